"""plan.json: what a run was asked, and what it fixed before it trained. All that follows is a function of it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from budgetnet import __version__
from budgetnet.arguments import shown
from budgetnet.codec import (
    ONLY_IF_SET,
    DamagedError,
    NonNegativeInt,
    NotEmpty,
    PositiveInt,
    as_object,
    from_plain,
    require,
    require_known,
    require_unique,
    to_plain,
)
from budgetnet.data import Data, Folders, ImageSet, identity_of
from budgetnet.data.deep import Range
from budgetnet.data.folders import PARTS
from budgetnet.data.images import SPLITS
from budgetnet.networks import Network
from budgetnet.parallel.workers import cores
from budgetnet.reading import read_json_file
from budgetnet.runs.files import reading, write_json

FORMAT = "budgetnet.plan.v2"
FILE = "plan.json"
COUNTED = (*SPLITS, "left_out")
"""What the images of a run are counted by."""
Request = TypeVar("Request")
Plan = TypeVar("Plan")


@dataclass(frozen=True, slots=True)
class DataRecord:
    """The images of a run.

    `path` is what they were opened from, or with `folders` a folder for each split. `counts` are images of each split
    and those left out: where nothing is trained, a split may have none. `value_range` is there for images of more than
    8 bits a value.
    """

    name: str
    path: str
    fingerprint: str
    classes: NotEmpty[str]
    in_channels: PositiveInt
    median_short_side_px: PositiveInt
    counts: dict[str, NonNegativeInt]
    folders: dict[str, tuple[str, ...]] | None = None
    value_range: Range | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        for name in COUNTED:
            require(name in self.counts, f"counts.{name} is missing")
        for name in self.counts:
            require(name in COUNTED, f"counts.{shown(name)[1:-1]} is not known")
        require_unique("classes has a name", self.classes)
        if self.folders is not None:
            require_known("a key of folders", list(self.folders), PARTS, "a data set of folders")
            Folders(**self.folders)
        if self.value_range is not None:
            low, high = self.value_range
            require(low < high, f"value_range is {low:g} to {high:g}; it must be a lower and a higher number")

    @property
    def data(self) -> Data:
        """What the images are opened from."""
        if self.folders is None:
            return self.path
        return Folders(**self.folders)

    def check_network(self, network: Network) -> None:
        """Raise a one-line `ValueError` for a network that cannot be of these images."""
        count = len(self.classes)
        same = network.classes == count
        require(same, f"{shown(network.name)} has {network.classes} classes, and data.classes in {FILE} {count}")


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """The machine and the versions that the bits depend on."""

    cpu: str
    cores: PositiveInt
    torch: str
    python: str
    budgetnet: str


@dataclass(frozen=True, slots=True)
class Amendment:
    """Fewer steps than planned, because the machine became slower.

    From `step` on, the training `job` of file `part` goes along the trunk until `trunk_until` and then takes
    `cooldown_steps`. It is written before it takes effect, so that a run that is taken up goes the same way.
    """

    job: str
    part: str
    step: NonNegativeInt
    trunk_until: NonNegativeInt
    cooldown_steps: NonNegativeInt


@dataclass(frozen=True, slots=True)
class Record(Generic[Request, Plan]):
    """What plan.json holds: the command, its images, the machine, the request, and the plan that was made for it.

    `seed` is that of the split of the images (of the first, where there are several).
    """

    command: str
    data: DataRecord
    seed: int
    machine: MachineRecord
    request: Request
    plan: Plan
    amendments: tuple[Amendment, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """What every run says of itself, whatever its command."""

    command: str
    data: DataRecord
    seed: NonNegativeInt
    machine: MachineRecord


def data_record(data: Data, images: ImageSet) -> DataRecord:
    """The images, as plan.json names them."""
    counts = {split: len(images.indices(split)) for split in SPLITS}
    return DataRecord(
        name=images.name,
        path=images.root if isinstance(data, Folders) else identity_of(data),
        fingerprint=images.fingerprint,
        classes=images.classes,
        in_channels=images.in_channels,
        median_short_side_px=images.median_short_side_px,
        counts={**counts, "left_out": len(images) - sum(counts.values())},
        folders={name: tuple(paths) for name, paths in data.resolved().items()} if isinstance(data, Folders) else None,
        value_range=images.value_range,
    )


def machine_record() -> MachineRecord:
    """This machine."""
    import torch

    return MachineRecord(processor(), cores(), torch.__version__, platform.python_version(), __version__)


def processor() -> str:
    """The processor's name, as the system gives it."""
    return processor_facts().get("model name", platform.processor())


def processor_facts() -> dict[str, str]:
    """What Linux tells of the first processor, by its names; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_header(run: Path) -> Header:
    """What a run's plan.json says, whatever its command. Raises a one-line `ValueError` for a damaged file."""
    rows = _rows(run)
    kept = {name: rows.get(name) for name in ("command", "data", "seed", "machine") if name in rows}
    return from_plain(Header, kept, f"{run / FILE}")


def read_record(run: Path, command: str, request: type[Request], plan: type[Plan]) -> Record[Request, Plan] | None:
    """The record of a run that was begun; None where there is none.

    Raises a one-line `ValueError` for the plan of another command or version, and for a damaged one: which key it is.
    """
    path = run / FILE
    if not path.exists():
        return None
    rows = _rows(run)
    if rows.get("command") != command:
        held = shown(rows.get("command"))
        raise ValueError(f"{run} holds a run of {held}, not of {command!r}, by its {FILE}; give another --out")
    where = f"{path}"
    try:
        header = read_header(run)
        return Record(
            command=command,
            data=header.data,
            seed=header.seed,
            machine=header.machine,
            request=from_plain(request, rows.get("request"), f"{where}: its request"),
            plan=from_plain(plan, rows.get("plan"), f"{where}: its plan"),
            amendments=_amendments(rows, where),
        )
    except DamagedError as error:
        raise ValueError(f"{error}; put the file back, or begin again with --fresh or another --out") from error


def save_record(run: Path, record: Record[Any, Any]) -> None:
    """Write plan.json."""
    write_json(run / FILE, {"format": FORMAT, **to_plain(record)})


def append_amendment(run: Path, amendment: Amendment) -> None:
    """Add an amendment to plan.json; the file is written aside and renamed. Trainings side by side wait for each other:
    of two that read the same file, one would lose the other's amendment."""
    with _alone(run):
        rows = _rows(run)
        amendments = (*_amendments(rows, str(run / FILE)), amendment)
        write_json(run / FILE, {**rows, "amendments": to_plain(amendments)})


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Hold the lock of a run's folder itself: the file `.lock` in it is held by the whole run."""
    try:
        import fcntl
    except ImportError:  # Windows: each file is whole all the same, but an amendment may be lost
        yield
        return
    folder = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # the lock goes with it, as it does where the process dies


def amendments_of(run: Path) -> tuple[Amendment, ...]:
    """The amendments that a run's plan.json holds; none where there is no plan."""
    if not (run / FILE).exists():
        return ()
    return _amendments(_rows(run), str(run / FILE))


@dataclass(frozen=True, slots=True)
class _Amendments:
    """The one key of plan.json that grows."""

    amendments: tuple[Amendment, ...] = ()


def _amendments(rows: Mapping[str, Any], where: str) -> tuple[Amendment, ...]:
    return from_plain(_Amendments, {name: rows[name] for name in rows.keys() & {"amendments"}}, where).amendments


def _rows(run: Path) -> Mapping[str, Any]:
    """plan.json as an object of this version."""
    path = run / FILE
    with reading(path):
        rows = as_object(read_json_file(path), str(path))
    if rows.get("format") != FORMAT:
        what = f"was planned by another version of budgetnet, by the format in {FILE}"
        raise ValueError(f"{run} {what}; give another --out, or --fresh")
    return rows


NAMES: Mapping[str, str] = {
    "activations": "choice of activations",
    "augment": "augmentation",
    "bases": "choice of bases",
    "candidates": "number of candidates",
    "coefficients": "choice of coefficients",
    "draws": "number of draws",
    "epochs": "number of epochs",
    "finalists": "number of finalists",
    "images": "number of images",
    "networks": "choice of networks",
    "pretrained": "--pretrained",
    "probe_images": "number of images for probes",
    "probes": "number of probes",
    "run_weights": "choice of runs",
    "seeds": "number of seeds",
    "start_share": "--start-share",
    "steps": "number of steps",
    "strategies": "choice of strategies",
    "train_bytes": "--train-bytes",
    "weights": "choice of weights",
}
"""A field of a request that is not listed here is called by its first word; all are read behind "another"."""


def name_in_words(field: str) -> str:
    """What people call a field of a request, to stand behind "another"."""
    return NAMES.get(field, field.split("_")[0])


def check_request(planned: object, given: object, run: Path) -> None:
    """Raise a one-line `ValueError` where the run was begun with another request: it would answer another question.

    A recipe is the same by its name: the run follows its plan's, also where a newer version has a better one.
    """
    for one in dataclasses.fields(given):  # type: ignore[arg-type]
        was, now = getattr(planned, one.name), getattr(given, one.name)
        same = was.name == now.name if one.name == "recipe" and was is not None and now is not None else was == now
        if not same:
            what = name_in_words(one.name)
            raise ValueError(
                f"{run} was begun with another {what}; give another --out, or --fresh ({FILE} has the first)"
            )


def check_images(record: Record[Any, Any], images: ImageSet, run: Path) -> None:
    """Raise a one-line `ValueError` where the run was planned on other images."""
    if record.data.fingerprint != images.fingerprint:
        where = f"{run} was begun on other images than {images.name} holds now, by its {FILE}"
        raise ValueError(f"{where}; use --fresh to begin again")


def check_values(record: Record[Any, Any], images: ImageSet, run: Path) -> None:
    """Raise a one-line `ValueError` where a run was planned with pixels that were scaled otherwise."""
    if record.data.value_range != images.value_range:
        what = f"which scaled images of more than 8 bits otherwise, by its {FILE}"
        raise ValueError(f"{run} was begun by another version of budgetnet, {what}; use --fresh to begin again")


def warn_of_other_cores(record: Record[Any, Any], run: Path) -> None:
    """Warn where the plan was made on a machine of other cores: its steps stay, and take another time."""
    planned, here = record.machine.cores, cores()
    if planned != here:
        what = f"{run} was planned on {planned} cores and goes on with {here}"
        warnings.warn(f"{what}: its steps stay as planned, and take another time", stacklevel=3)
