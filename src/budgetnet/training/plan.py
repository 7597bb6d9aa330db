"""What a run fixes before it trains: plan.json. All that follows is a function of it and the seed."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import platform
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from budgetnet import __version__
from budgetnet.arguments import seconds
from budgetnet.budgets.budget import Budget
from budgetnet.data import (
    Data,
    Folders,
    ImageSet,
    Preprocessing,
    default_preprocessing,
    identity_of,
    name_of,
    needed_side_px,
)
from budgetnet.data.deep import Range, check_mixture, tell_range
from budgetnet.model.weights import source_preprocessing
from budgetnet.networks import Network, check_integer
from budgetnet.networks.scaling import PAPER, Coefficients
from budgetnet.parallel.workers import ProcessGroup, cores
from budgetnet.runs.run import INITIAL, planned_held_out, read_json, reading, write_json
from budgetnet.training.recipe import Recipe
from budgetnet.training.trainer import TrainingConfig

FORMAT = "budgetnet.plan.v2"
NOT_GIVEN = (
    ("weights", None),
    ("pretrained", "none"),
    ("coefficients", None),
    ("finalists", 4),
    ("augment", None),
    ("train_bytes", None),
)
"""Arguments that say nothing: those of a run from before there were others keep their folder's name."""

SAID: Mapping[str, str] = {"train_bytes": "--train-bytes"}
"""Arguments by the names that people know, where the first word of ours is another."""


class TooShort(ValueError):
    """A time that is too short for what it is asked for, in one line; `least_seconds` would do."""

    def __init__(self, time_seconds: float, what: str, least_seconds: float, instead: str = "") -> None:
        self.least_seconds = least_seconds
        super().__init__(
            f"{time_seconds:g} s are too short {what}; give at least {math.ceil(least_seconds)} s{instead}"
        )


def too_few(epochs: float, least: float) -> str:
    """How often images would be seen, and that it is no training; never a number that rounds up to the least."""
    seen = f"{epochs:.2g}" if float(f"{epochs:.2g}") < least else f"{math.floor(100 * epochs) / 100:g}"
    return f"{seen} times, and fewer than {least:g} times is no training"


def check_time(time_seconds: float | str) -> float:
    """The seconds of a time above 0, given as a number or as text with its unit. Raises a one-line `ValueError`."""
    return seconds("time", time_seconds)


def run_folder(out: Path | str | None, data: Data, arguments: Mapping[str, Any]) -> Path:
    """The run's folder: `out`, or runs/<data>-<hash of the arguments>, so that the same command finds its run.

    Sources of weights, other coefficients and another augmentation count only where there are any.
    """
    if out is not None:
        return Path(out)
    named = {name: value for name, value in arguments.items() if (name, value) not in NOT_GIVEN}
    text = json.dumps({**named, "data": identity_of(data)}, sort_keys=True)
    return Path("runs") / f"{name_of(data)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def run_lock(run: Path) -> Iterator[None]:
    """The run's folder, made, and locked against a second process at work in it.

    The system frees the lock when its holder dies. Raises `ValueError` where another holds it, and for
    a folder of something else, which is left as it is.
    """
    _refuse_foreign(run)
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    run.mkdir(parents=True, exist_ok=True)
    with (run / ".lock").open("a") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_that_file(lock.fileno(), run / ".lock"):  # who held it has just removed it
                raise BlockingIOError
        except ImportError:  # Windows: the files are written whole all the same
            pass
        except BlockingIOError as error:
            raise ValueError(f"{run} is in use by another process; wait for it or give another --out") from error
        try:
            yield
        finally:
            if {child.name for child in run.iterdir()} <= {".lock", INITIAL}:  # bad input, most often
                (run / ".lock").unlink(missing_ok=True)
                shutil.rmtree(run / INITIAL, ignore_errors=True)
                for folder in made:  # one that the user made stays
                    with contextlib.suppress(OSError):  # another run has come into it
                        folder.rmdir()


def _is_that_file(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one that this path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _refuse_foreign(run: Path) -> None:
    """Raise a one-line `ValueError` for a folder that holds something else than a run."""
    if (run / "plan.json").exists():
        with reading(run / "plan.json", "give another --out"):
            plan = read_json(run / "plan.json")  # other programs have files of that name
        if not isinstance(plan, dict) or not str(plan.get("format")).startswith("budgetnet.plan."):
            raise ValueError(f"{run} holds a plan.json of something else: it is no run; give another --out")
        return
    # A kill before the plan was written leaves a part of it, or the weights to begin from.
    names = {child.name for child in run.iterdir()} if run.exists() else set[str]()
    parts = {name for name in names if name.startswith(".plan.json.") and name.endswith(".part")}
    if INITIAL in names and all(child.suffix in (".safetensors", ".part") for child in (run / INITIAL).glob("*")):
        parts.add(INITIAL)
    if names - parts - {".lock"}:
        raise ValueError(f"{run} holds files but no plan.json: it is no run; give another --out")


def clear_run(run: Path) -> None:
    """Remove all of a run but its lock: what says that it is finished first, what says that it is a run last."""
    _refuse_foreign(run)
    results = ("metrics.json", "comparison.json", "coefficients.json", "baseline.json", "family.json")
    order = dict.fromkeys(results, 0) | {"plan.json": 2}
    for child in sorted(run.iterdir(), key=lambda child: order.get(child.name, 1)):
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        elif child.name != ".lock":
            child.unlink()


def same_arguments(plan: Mapping[str, Any], asked: Mapping[str, Any], run: Path) -> None:
    """Raise a one-line `ValueError` where the run was begun with other arguments: it would answer another question.

    A recipe is the same by its name: the run follows its plan's, also where a newer version has a better one.
    """
    for name, value in json.loads(json.dumps(asked)).items():
        begun = plan.get(name, dict(NOT_GIVEN).get(name, value))
        same = begun["name"] == value["name"] if name == "recipe" else begun == value
        if not same:
            what = SAID.get(name, name.split("_")[0])
            raise ValueError(f"{run} was begun with another {what}; give another --out, or --fresh")


def same_version(plan: Mapping[str, Any], run: Path) -> None:
    """Raise a one-line `ValueError` for a plan that another version of budgetnet made: its keys mean other things."""
    if plan.get("format") != FORMAT:
        raise ValueError(f"{run} was planned by another version of budgetnet; give another --out, or --fresh")


def given_coefficients(coefficients: Coefficients) -> dict[str, float] | None:
    """alpha, beta, gamma as a run's arguments name them; None for the paper's."""
    return None if coefficients == PAPER else dataclasses.asdict(coefficients)


def data_row(data: Data, images: ImageSet) -> dict[str, Any]:
    """The images, as plan.json names them; `data_in` gives back what they were opened from."""
    counts = {split: len(images.indices(split)) for split in ("train", "validation", "test")}
    return {
        "name": images.name,
        "path": images.root if isinstance(data, Folders) else identity_of(data),
        "folders": data.resolved() if isinstance(data, Folders) else None,
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
        "in_channels": images.in_channels,
        "median_short_side_px": images.median_short_side_px,
        "counts": {**counts, "left_out": len(images) - sum(counts.values())},
        **({} if images.value_range is None else {"value_range": list(images.value_range)}),
    }


def machine_row() -> dict[str, Any]:
    """The machine and the versions that the bits depend on."""
    import torch

    versions = {"torch": torch.__version__, "python": platform.python_version(), "budgetnet": __version__}
    return {"cpu": processor(), "cores": cores(), **versions}


def process_group_row(group: ProcessGroup) -> dict[str, int]:
    """How many processes train together, as plan.json keeps it; a machine of other cores does not change it."""
    return {"processes": group.processes, "threads": group.threads}


def process_group_of(plan: Mapping[str, Any], run: Path) -> ProcessGroup:
    """The team of `team_row`; a warning where the plan was made on a machine of other cores."""
    planned, here = plan["machine"]["cores"], cores()
    if planned != here:
        what = f"{run} was planned on {planned} cores and goes on with {here}"
        warnings.warn(f"{what}: its steps stay as planned, and take another time", stacklevel=2)
    return ProcessGroup(plan["processes"], plan["threads"])


def processor() -> str:
    """The processor's name, as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def same_data(fingerprint: str, images: ImageSet, run: Path) -> None:
    """Raise a one-line `ValueError` where the run was planned on images of another fingerprint."""
    if fingerprint != images.fingerprint:
        raise ValueError(f"{run} was begun on other images than {images.name} holds now; use --fresh to start anew")


def load_plan(run: Path, command: str, fresh: bool = False) -> dict[str, Any] | None:
    """The plan of a run that was begun, or None, also if a `fresh` one is to be made.

    Raises `ValueError` for the plan of another command.
    """
    path = run / "plan.json"
    if fresh or not path.exists():
        return None
    with reading(path):
        plan = read_json(path)
        if not isinstance(plan, dict):
            raise ValueError(f"{path} is no plan")
    same_version(plan, run)
    if plan.get("command") != command:
        raise ValueError(f"{run} holds a run of {plan.get('command')!r}, not of {command!r}; give another --out")
    return plan


def check_plan(plan: Mapping[str, Any], run: Path) -> None:
    """Raise a one-line `ValueError` for a plan of `train` or `solve` that lacks what a run goes on from."""
    with reading(run / "plan.json"):
        if plan["budget"] is not None:
            Budget.from_dict(plan["budget"])
        if plan["command"] == "train":
            rows = [plan["final"]]
        else:
            rows = [entrant for entrant in plan["race"]["entrants"] if entrant["rungs"]]
            ids = {row["id"] for row in plan["candidates"]}
            if missing := {row["id"] for row in rows} - ids:
                raise ValueError(f"its candidates lack {min(missing)}")
        for row in rows:
            config_of(row["config"], plan)
        planned_held_out(plan)
        for value in (plan["processes"], plan["threads"], plan["machine"]["cores"], plan["seed"]):
            check_integer("a count in it", value, least=0)
        for text in (plan["data"]["fingerprint"], plan["data"]["path"], plan["machine"]["budgetnet"]):
            if not isinstance(text, str):
                raise ValueError(f"{text!r} is no text")


def save_plan(run: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Write plan.json; what comes back is what a later start will read."""
    write_json(run / "plan.json", {"format": FORMAT, **plan})
    return read_json(run / "plan.json")


def config_row(config: TrainingConfig) -> dict[str, Any]:
    """A config as plan.json keeps it; recipe and preprocessing are the run's."""
    return {
        "id": config.id,
        "network": json.loads(config.network.to_json()),
        "batch": config.batch,
        "steps": config.steps,
        "warmup_steps": config.warmup_steps,
    }


def epochs_of(config: Mapping[str, Any], images: ImageSet) -> float:
    """How often a training with the config of this row sees each training image."""
    return config["steps"] * config["batch"] / len(images.indices("train"))


def config_of(row: Mapping[str, Any], plan: Mapping[str, Any]) -> TrainingConfig:
    """The config of `config_row`."""
    return TrainingConfig(
        id=row["id"],
        network=Network.from_json(json.dumps(row["network"])),
        recipe=Recipe.from_dict(plan["recipe"]),
        preprocessing=Preprocessing(**plan["preprocessing"]),
        seed=plan["seed"],
        batch=row["batch"],
        steps=row["steps"],
        warmup_steps=row["warmup_steps"],
    )


def preprocessing_row(preprocessing: Preprocessing) -> dict[str, Any]:
    """Plain values of a preprocessing; without `value_range` where there is none, as before there were any."""
    row = dataclasses.asdict(preprocessing)
    return {name: value for name, value in row.items() if name != "value_range" or value is not None}


def preprocessing_for(images: ImageSet, weights: str | Path | None = None) -> Preprocessing:
    """What a network trained on these images takes: the weights' own, or from nothing the usual.

    For another count of channels than the weights', the mean of theirs. Values of more than 8 bits are scaled by the
    range of these images, whatever the weights' images spanned.
    """
    if weights is None:
        row = default_preprocessing(images.in_channels)
    else:
        row = Preprocessing(**source_preprocessing(weights))
    row = dataclasses.replace(row, value_range=told_range(images))
    if len(row.mean) == images.in_channels:
        return row
    mean, std = (sum(values) / len(values) for values in (row.mean, row.std))
    return dataclasses.replace(row, mean=(mean,) * images.in_channels, std=(std,) * images.in_channels)


def told_range(images: ImageSet) -> Range | None:
    """The range that images of more than 8 bits a value are scaled by, which a warning tells; None for others.

    Raises a one-line `ValueError` for a mixture with 8-bit images that mean something else by their grey.
    """
    if images.value_range is not None:
        check_mixture(images.name, images.files, images.spreads, images.value_range)
        trained = [images.spreads[index] for index in images.indices("train").tolist()]
        tell_range(images.name, [row for row in trained if row is not None], images.value_range)
    return images.value_range


def same_values(plan: Mapping[str, Any], images: ImageSet, run: Path) -> None:
    """Raise a one-line `ValueError` where an unfinished run was planned with pixels that were scaled otherwise."""
    begun = plan["data"].get("value_range")
    if (begun and tuple(begun)) != images.value_range:
        what = "which scaled images of more than 8 bits otherwise"
        raise ValueError(f"{run} was begun by another version of budgetnet, {what}; use --fresh to start anew")


def planned_preprocessing(plan: Mapping[str, Any] | None, images: ImageSet, source: str | Path | None) -> Preprocessing:
    """The plan's preprocessing, or before there is one that of `preprocessing_for`."""
    return preprocessing_for(images, source) if plan is None else Preprocessing(**plan["preprocessing"])


def side_px_for(networks: Sequence[Network], preprocessing: Preprocessing) -> int:
    """The short side that serves every network of a run, so that images are decoded once."""
    return max(needed_side_px(network.resolution_px, preprocessing) for network in networks)
