"""How well a model answers: probabilities on images, and what follows from them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.arguments import DATA, RUN, listener, path
from budgetnet.learn.data import ImageSet, Pixels, Preprocessing, input_batches, open_cache, open_images
from budgetnet.learn.data.images import SPLITS
from budgetnet.learn.progress import Progress, Update
from budgetnet.learn.run import Loaded, check_device, learned_validation, load_run, read_json
from budgetnet.learn.statistics import wilson
from budgetnet.model.build import Model
from budgetnet.spec import check_integer, choose

CALIBRATION_BINS = 15
CHOICES = (*SPLITS, "all")
SHOWN_CLASSES = 20


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its images, and precision, recall and F1 as shares; 0 where nothing is divided by."""

    name: str
    count: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Shares in [0, 1] over `count` images; `top1_low` and `top1_high` are Wilson's 95 % interval.

    `top5` is None for 5 classes or fewer. `confusion[true][predicted]` counts images.
    """

    count: int
    top1: float
    top1_low: float
    top1_high: float
    top5: float | None
    balanced_accuracy: float
    expected_calibration_error: float
    per_class: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON has them; `from_dict` gives an equal value back."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Evaluation:
        """The evaluation of a JSON object. Raises a one-line `ValueError` for unknown or missing keys."""
        try:
            per_class = tuple(ClassRow(**one) for one in row["per_class"])
            confusion = tuple(tuple(counts) for counts in row["confusion"])
            return Evaluation(**{**row, "per_class": per_class, "confusion": confusion})
        except (TypeError, KeyError) as error:
            raise ValueError(f"this is no evaluation: {error}") from error


@torch.inference_mode()
def probabilities(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    batch: int = 64,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """softmax(model(image)) of the images at `indices`, in their order: float32 (n, classes).

    The model computes in evaluation mode, at its network's resolution, and is left in the mode it
    was in; it must be on `device`. Raises `ValueError` for a batch below 1.
    """
    check_integer("batch", batch)
    answers = np.empty((len(indices), model.network.classes), np.float32)
    was_training = model.training
    model.eval()
    try:
        done = 0
        for inputs in input_batches(pixels, indices, batch, model.network.resolution_px, preprocessing, device):
            answers[done : done + len(inputs)] = model(inputs).float().softmax(1).cpu().numpy()
            done += len(inputs)
            if progress:
                progress(Update("evaluate", done, len(indices), images.name))
    finally:
        model.train(was_training)
    return answers


def score(probabilities: NDArray[np.floating], labels: NDArray[np.integer], classes: tuple[str, ...]) -> Evaluation:
    """What (n, classes) probabilities say about (n,) true labels.

    top-k: the true class is among the k most probable (the lower class first where two are equal);
    balanced accuracy: mean recall over the classes that have images. Raises `ValueError` for other
    shapes, no images, labels out of range, or probabilities that are no numbers.
    """
    answers, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    _check(answers, truth, classes)
    true_share = answers[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(len(classes)) < truth[:, None]
    rank = ((answers > true_share) | ((answers == true_share) & earlier)).sum(1)
    predicted = answers.argmax(1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    right = int((rank == 0).sum())
    rows = _class_rows(confusion, classes)
    low, high = wilson(right, len(truth))
    return Evaluation(
        count=len(truth),
        top1=right / len(truth),
        top1_low=low,
        top1_high=high,
        top5=float((rank < 5).mean()) if len(classes) > 5 else None,
        balanced_accuracy=float(np.mean([row.recall for row in rows if row.count])),
        expected_calibration_error=calibration_error(answers.max(1), predicted == truth),
        per_class=rows,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: sum over bins of |bin| / n * |accuracy(bin) - mean confidence(bin)|.

    Bins are ((m - 1) / bins, m / bins] over the probability of the predicted class.
    Source: Guo et al., arXiv:1706.04599, section 2, equation 3.
    """
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    split: str = "test",
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Score a run's model, or weights alone (`load_weights` says which), on a split of images.

    Without `data`, on those that the run was trained from, in the run's own split; split "all" takes
    every image of a folder, and for weights that no run made "test" is all that is not given as another
    split. Classes are matched by name, capitals and underscores aside. Raises one-line `ValueError`s: no data
    known, data that changed since the run, a class that the model does not know, an empty split.
    """
    run, data = path("run", run, RUN), None if data is None else path("data", data, DATA)
    choose("split", split, CHOICES)
    listener("progress", progress)
    check_device(device)
    loaded = load_run(run)
    images, places = images_of(run, loaded, data, split, progress)
    indices = np.concatenate([images.indices(name) for name in SPLITS]) if split == "all" else images.indices(split)
    if not len(indices):
        raise ValueError(f"{images.name} has no {split} images; choose another split")
    pixels = open_cache(images, loaded.side_px, progress=progress)
    model = loaded.model.to(device)
    answers = probabilities(model, images, pixels, indices, loaded.preprocessing, device=device, progress=progress)
    return score(answers, np.array([places[images.labels[i]] for i in indices]), loaded.classes)


def class_places(names: tuple[str, ...], known: tuple[str, ...], where: str) -> list[int]:
    """Where the model has each class of the images. Raises a one-line `ValueError` for one that it does not know."""
    exact = {name: place for place, name in enumerate(known)}
    loose = {loosened(name): place for place, name in reversed(list(enumerate(known)))}
    places = [exact.get(name, loose.get(loosened(name), -1)) for name in names]
    if -1 in places:
        some = ", ".join(known[:SHOWN_CLASSES]) + (", ..." if len(known) > SHOWN_CLASSES else "")
        raise ValueError(f"{where} has class {names[places.index(-1)]}, which the model does not know; it has {some}")
    return places


def known_class(name: str, classes: Sequence[str]) -> int | None:
    """Where a class stands among those of a model, capitals and underscores aside; None where it does not."""
    if name in classes:
        return classes.index(name)
    wanted = loosened(name)
    return next((place for place, one in enumerate(classes) if loosened(one) == wanted), None)


def loosened(name: str) -> str:
    """A class's name as names are compared: without capitals, with spaces for underscores."""
    return name.replace("_", " ").casefold()


def images_of(
    run: str | Path, loaded: Loaded, data: str | Path | None, split: str, progress: Progress | None
) -> tuple[ImageSet, list[int]]:
    """The images to score, with as many channels as the model takes, and where it has each of their classes.

    Without `data` those that the run was trained from. Raises the one-line `ValueError`s of `evaluate`.
    """
    plan_file = (Path(run) if Path(run).is_dir() else Path(run).parent) / "plan.json"
    plan = read_json(plan_file) if Path(run).exists() and plan_file.is_file() else None
    if data is None and plan is None:
        raise ValueError(
            f"{run} does not say what it was trained from (it has no plan.json); give the images: evaluate RUN DATA, "
            "landscape ... --data DATA, explain RUN IMAGE"
        )
    source = plan["data"]["path"] if data is None and plan else data
    assert source is not None
    images = open_images(source, plan["seed"] if plan else 0, progress, whole=plan is None and split == "test")
    if data is None and plan and images.fingerprint != plan["data"]["fingerprint"]:
        raise ValueError(
            f"the images in {source} have changed since this run, and its split with them; "
            "name the images to score anyway"
        )
    if data is None and plan and split == "validation" and learned_validation(plan):
        warnings.warn(
            "the final training learned from the validation images too, so this score is too high; --split test is not",
            stacklevel=3,
        )
    places = class_places(images.classes, loaded.classes, str(source))
    return dataclasses.replace(images, in_channels=loaded.network.in_channels), places


def _check(answers: NDArray[np.float64], truth: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    if answers.ndim != 2 or answers.shape != (len(truth), len(classes)) or not len(truth):
        raise ValueError(
            f"probabilities are {answers.shape}, but there are {len(truth)} labels and {len(classes)} classes; "
            "give a row an image and a column a class"
        )
    if truth.min() < 0 or truth.max() >= len(classes):
        raise ValueError(f"labels go from {truth.min()} to {truth.max()}; they must be from 0 to {len(classes) - 1}")
    if not np.isfinite(answers).all():
        raise ValueError("some probabilities are no numbers; the training of this model diverged")


def _class_rows(confusion: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[ClassRow, ...]:
    rows: list[ClassRow] = []
    for index, name in enumerate(classes):
        hits, count, called = int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())
        precision, recall = hits / max(called, 1), hits / max(count, 1)
        rows.append(ClassRow(name, count, precision, recall, 2 * hits / max(count + called, 1)))
    return tuple(rows)
