"""How well a model answers: probabilities on images, and what follows from them."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.arguments import RUN, listener, path
from budgetnet.codec import (
    ONLY_IF_SET,
    NonNegativeFloat,
    NonNegativeInt,
    NotEmpty,
    PositiveInt,
    Share,
    from_plain,
    require,
    require_interval,
    require_unique,
    to_plain,
)
from budgetnet.data import (
    Folders,
    ImageSet,
    Pixels,
    Preprocessing,
    data_of,
    input_batches,
    open_cache,
    open_images,
)
from budgetnet.data.deep import UNKNOWN_RANGE, Range, check_mixture, is_outside, outside_note
from budgetnet.data.images import SPLITS
from budgetnet.data.telling import classes_line, left_out_lines
from budgetnet.model.build import Model
from budgetnet.model.probabilities import class_probabilities
from budgetnet.model.trust import CheckedPromise, error_share
from budgetnet.model.weights import numbered_classes
from budgetnet.networks import Network, check_integer, choose, network_of
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.record import Header, read_header
from budgetnet.runs.run import Loaded, check_device, load_run
from budgetnet.runs.split_file import learned_files
from budgetnet.statistics import wilson
from budgetnet.training.image_scores import MOST_WHOLE_CLASSES, ImageScores, image_scores, joined

BATCH = 64
"""This many images are answered together."""
CALIBRATION_BINS = 15
CHOICES = (*SPLITS, "all")
SHOWN_CLASSES = 20
MOST_TABLE_CLASSES = 200
"""A confusion table has at most this many classes: with 2,000 it is 89 MB of JSON."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """The scores of one class; a share is 0 where its denominator is.

    Attributes:
        name: The class.
        count: How many images it has.
        precision: The share of right answers among those that name this class.
        recall: The share of this class's images that are answered right.
        f1: The harmonic mean of both.
    """

    name: str
    count: NonNegativeInt
    precision: Share
    recall: Share
    f1: Share

    def __post_init__(self) -> None:
        both = self.precision + self.recall
        mean = 2 * self.precision * self.recall / both if both else 0.0
        require(abs(self.f1 - mean) < 1e-6, f"f1 is {self.f1:g}; by precision and recall it is {mean:g}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a model answers labelled images. Shares are in [0, 1].

    Attributes:
        count: How many images were scored.
        top1: The share of right answers.
        top1_low: The lower end of Wilson's 95 % interval of `top1`.
        top1_high: Its upper end.
        top5: The share of images whose class is among the five most probable; None for 5 classes or fewer.
        balanced_accuracy: The mean recall of the classes that have images.
        expected_calibration_error: The mean distance of confidence and accuracy over 15 bins (Guo et al.,
            arXiv:1706.04599, section 2, equation 3).
        per_class: A row for each class.
        confusion: Counts of images by true class (rows) and predicted class; None for more than 200 classes.
        confused: The mistakes as (true class, predicted class, images), those made most often first.
        log_loss: The mean of -log p of the true class, in nats; None in files from before it was kept. It and the
            calibration error are those of the probabilities at the model's temperature.
        promise: With `max_error`, what was promised of the surer answers, and what came of it on these images.
    """

    count: PositiveInt
    top1: Share
    top1_low: Share
    top1_high: Share
    top5: Share | None
    balanced_accuracy: Share
    expected_calibration_error: Share
    per_class: NotEmpty[ClassRow]
    confusion: tuple[tuple[NonNegativeInt, ...], ...] | None
    confused: tuple[tuple[NonNegativeInt, NonNegativeInt, PositiveInt], ...]
    log_loss: NonNegativeFloat | None = None
    promise: CheckedPromise | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        require_interval(self.top1, self.top1_low, self.top1_high, "top1")
        checked = self.promise is None or self.promise.images == self.count
        require(checked, f"promise is of other images than the {self.count} that were scored")
        names, counts = [row.name for row in self.per_class], [row.count for row in self.per_class]
        classes = len(names)
        require_unique("per_class has a name", names)
        require(sum(counts) == self.count, f"per_class has {sum(counts)} images, and count is {self.count}")
        require((self.top5 is None) == (classes <= 5), f"top5 is {self.top5}, of {classes} classes")
        require(self.top5 is None or self.top5 >= self.top1, "top5 is below top1")
        taken, missed = [0] * classes, [0] * classes
        for true, predicted, images in self.confused:
            known = max(true, predicted) < classes and true != predicted
            require(known, f"confused has {predicted} for {true}, of {classes} classes")
            taken[predicted] += images
            missed[true] += images
        right, wrong = round(self.top1 * self.count), sum(missed)
        require(right + wrong == self.count, f"confused has {wrong} images, and by top1 {self.count - right} are wrong")
        for row, others, lost in zip(self.per_class, taken, missed, strict=True):
            found = row.count - lost
            shares = {"recall": (row.recall, row.count), "precision": (row.precision, found + others)}
            for name, (share, whole) in shares.items():
                kept = abs(share * whole - found) < 1e-6 * max(1, whole)
                require(kept, f"{name} of {row.name} in per_class is {share:g}; by confused it is {found} of {whole}")
        recalls = [row.recall for row in self.per_class if row.count]
        mean = sum(recalls) / len(recalls)
        kept = abs(self.balanced_accuracy - mean) < 1e-6
        require(kept, f"balanced_accuracy is {self.balanced_accuracy:g}, and the mean recall of per_class {mean:g}")
        some = self.confusion is not None or classes > MOST_TABLE_CLASSES
        require(some, f"confusion is missing, of {classes} classes")
        if self.confusion is not None:
            sizes = {len(self.confusion), *map(len, self.confusion)}
            require(sizes == {classes}, f"confusion must have {classes} rows and columns, as per_class has")
            same = [sum(row) for row in self.confusion] == counts
            require(same, "confusion and per_class count the images of a class otherwise")

    def to_dict(self) -> dict[str, Any]:
        """The fields in JSON's types.

        Returns:
            What `from_dict` takes.
        """
        return to_plain(self)

    @staticmethod
    def from_dict(row: dict[str, Any]) -> Evaluation:
        """The evaluation of `to_dict`.

        Args:
            row: A JSON object.

        Returns:
            The evaluation.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        return from_plain(Evaluation, row, "the evaluation")


def answer(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    labels: NDArray[np.integer],
    preprocessing: Preprocessing,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> tuple[ImageScores, NDArray[np.float32] | None]:
    """What the model answers to the images at `indices` with these true labels, and the `probabilities` themselves.

    These are None for more than 1,000 classes: of many images they would not fit into memory.
    """
    whole = None
    if model.network.classes <= MOST_WHOLE_CLASSES:
        whole = np.empty((len(indices), model.network.classes), np.float32)
    parts: list[ImageScores] = []
    for some, logits in _logits(model, images, pixels, indices, preprocessing, BATCH, device, progress):
        shares = class_probabilities(logits).cpu().numpy()
        parts.append(image_scores(shares, labels[some], logits.cpu().numpy()))
        if whole is not None:
            whole[some] = shares
    return joined(parts), whole


def scores_at(
    temperatures: Sequence[float],
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    labels: NDArray[np.integer],
    preprocessing: Preprocessing,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> tuple[ImageScores, ...]:
    """What the model's answers to the images at `indices` with these true labels are worth at each temperature."""
    parts: list[list[ImageScores]] = [[] for _ in temperatures]
    for some, logits in _logits(model, images, pixels, indices, preprocessing, BATCH, device, progress):
        order = logits.cpu().numpy()
        for temperature, rows in zip(temperatures, parts, strict=True):
            rows.append(image_scores(class_probabilities(logits, temperature).cpu().numpy(), labels[some], order))
    return tuple(map(joined, parts))


def answer_rows(answers: ImageScores, whole: NDArray[np.float32] | None) -> dict[str, NDArray[np.generic]]:
    """The arrays of a file of answers: whole probabilities, or of many classes what the answers are worth."""
    return answers.rows() if whole is None else {"probabilities": whole}


def probabilities(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    batch: int = BATCH,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
    temperature: float = 1.0,
) -> NDArray[np.float32]:
    """softmax(model(image) / temperature) of the images at `indices`, in their order: float32 (n, classes).

    The model computes in evaluation mode, at its network's resolution, and is left in the mode it
    was in; it must be on `device`. Raises `ValueError` for a batch below 1.
    """
    check_integer("batch", batch)
    answers = np.empty((len(indices), model.network.classes), np.float32)
    for some, logits in _logits(model, images, pixels, indices, preprocessing, batch, device, progress):
        answers[some] = class_probabilities(logits, temperature).cpu().numpy()
    return answers


def logits_of(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    device: str | torch.device = "cpu",
) -> NDArray[np.float32]:
    """model(image) of the images at `indices`, in their order: float32 (n, classes)."""
    answers = np.empty((len(indices), model.network.classes), np.float32)
    for some, logits in _logits(model, images, pixels, indices, preprocessing, BATCH, device):
        answers[some] = logits.cpu().numpy()
    return answers


def _logits(
    model: Model,
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    preprocessing: Preprocessing,
    batch: int,
    device: str | torch.device,
    progress: Progress | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Which of the `indices`, and the model's logits for these: float32 (at most `batch`, classes), on the device."""
    was_training = model.training
    model.eval()
    try:
        done = 0
        for inputs in input_batches(pixels, indices, batch, model.network.resolution_px, preprocessing, device):
            with torch.inference_mode():
                logits = model(inputs).float()
            yield slice(done, done + len(inputs)), logits
            done += len(inputs)
            if progress:
                progress(Update("evaluate", done, len(indices), images.name))
    finally:
        model.train(was_training)


def score(probabilities: NDArray[np.floating], labels: NDArray[np.integer], classes: tuple[str, ...]) -> Evaluation:
    """What (n, classes) probabilities say about (n,) true labels.

    top-k: the true class is among the k most probable (the lower class first where two are equal);
    balanced accuracy: mean recall over the classes that have images. Raises `ValueError` for other
    shapes, no images, labels out of range, or probabilities that are not numbers.
    """
    answers, truth = np.asarray(probabilities), np.asarray(labels, dtype=np.int64)
    if answers.ndim != 2 or answers.shape != (len(truth), len(classes)) or not len(truth):
        raise ValueError(
            f"probabilities are {answers.shape}, but there are {len(truth)} labels and {len(classes)} classes; "
            "give a row an image and a column a class"
        )
    _check_labels(truth, classes)
    return evaluation_of(image_scores(answers, truth), truth, classes)


def evaluation_of(answers: ImageScores, labels: NDArray[np.integer], classes: tuple[str, ...]) -> Evaluation:
    """As `score`, of what each answer is worth. Raises `ValueError` for answers that are not numbers."""
    truth = np.asarray(labels, dtype=np.int64)
    _check_labels(truth, classes)
    if not answers.finite.all():
        raise ValueError("some probabilities are not numbers; the training of this model diverged")
    predicted = answers.predicted
    right = int((answers.rank == 0).sum())
    rows = _class_rows(truth, predicted, classes)
    pairs, images = np.unique(np.stack([truth, predicted]), axis=1, return_counts=True)
    wrong = pairs[0] != pairs[1]
    low, high = wilson(right, len(truth))
    return Evaluation(
        count=len(truth),
        top1=right / len(truth),
        top1_low=low,
        top1_high=high,
        top5=float((answers.rank < 5).mean()) if len(classes) > 5 else None,
        balanced_accuracy=float(np.mean([row.recall for row in rows if row.count])),
        expected_calibration_error=calibration_error(answers.confidence.astype(np.float64), predicted == truth),
        per_class=rows,
        confusion=_table(pairs, images, len(classes)) if len(classes) <= MOST_TABLE_CLASSES else None,
        confused=_most_first(pairs[:, wrong], images[wrong]),
        log_loss=float(answers.losses.mean()),
    )


def _table(pairs: NDArray[np.int64], images: NDArray[np.int64], classes: int) -> tuple[tuple[int, ...], ...]:
    """Rows of true classes, columns of predicted ones."""
    table = np.zeros((classes, classes), np.int64)
    table[pairs[0], pairs[1]] = images
    return tuple(tuple(row) for row in table.tolist())


def _most_first(pairs: NDArray[np.int64], images: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """(true, predicted, images), the most images first, then in the order of the classes."""
    order = np.argsort(-images, kind="stable")
    return tuple(zip(*(row[order].tolist() for row in (pairs[0], pairs[1], images)), strict=True))


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: sum over bins of |bin| / n * |accuracy(bin) - mean confidence(bin)|.

    Bins are ((m - 1) / bins, m / bins] over the probability of the predicted class.
    Source: Guo et al., arXiv:1706.04599, section 2, equation 3.
    """
    bin_index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(bin_index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def evaluate(
    run: str | Path,
    data: str | Path | Folders | None = None,
    split: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    network: Network | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    max_error: float | None = None,
) -> Evaluation:
    """Score a run's model, or the weights of another library, on labelled images.

    Classes are matched by their names, capitals and underscores aside. Where the run learned from some of the images, a
    warning counts them.

    Args:
        run: A run's folder, or a source of weights as `load_weights` takes it.
        data: Labelled images, as `open_images` takes them; unless given, those that the run was trained from, in its
            own split.
        split: "train", "validation", "test" or "all". Unless given "test" of the run's own images, and "all" of others.
        device: "cpu", "cuda" or "mps".
        progress: Called with an `Update` as the work goes on.
        network: The network of weights that do not say it.
        class_names: The classes of weights that do not say them, in the order of the answers: names, or a file.
        max_error: The share of wrong answers that is accepted, such as 0.02: what can be promised for it, from images
            that stayed out of the training (docs/trust.md), is held against these images.

    Returns:
        The scores.

    Raises:
        ValueError: The held-out images are too few to promise such a share of errors, no images are known, they changed
            since the run, one of their classes is unknown to the model, the split is empty, or the run cannot be read.
        TypeError: An argument has another type.

    Example:
        >>> import dataclasses
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> grey = dataclasses.replace(net, in_channels=1)
        >>> pixels = {"mean": [0.5], "std": [0.25]}
        >>> save_weights("digits.safetensors", budgetnet.build(grey, seed=0), list("0123456789"), pixels)
        >>> budgetnet.evaluate("digits.safetensors", "digits").count
        1797
    """
    run, data = path("run", run, RUN), None if data is None else data_of(data)
    if split is not None:
        choose("split", split, CHOICES)
    network = None if network is None else network_of("network", network)
    listener("progress", progress)
    check_device(device)
    if max_error is not None:
        max_error = error_share(max_error)
    loaded = load_run(run, network, class_names)
    promise = None if max_error is None else loaded.promise(max_error)
    scored = images_of(run, loaded, data, split, "test", progress)
    images, indices = scored.images, scored.indices
    pixels = open_cache(images, loaded.side_px, progress=progress)
    model = loaded.model.to(device)
    labels = np.array([scored.class_indices[images.labels[i]] for i in indices])
    (answers,) = scores_at(
        (loaded.temperature,), model, images, pixels, indices, labels, loaded.preprocessing, device, progress
    )
    found = evaluation_of(answers, labels, loaded.classes)
    if promise is None:
        return found
    return dataclasses.replace(found, promise=promise.check(answers.confidence, answers.right))


def class_indices(names: tuple[str, ...], known: tuple[str, ...], where: str) -> list[int]:
    """Where the model has each class of the images. Raises a one-line `ValueError` for one that it does not know."""
    exact = {name: index for index, name in enumerate(known)}
    loose = {loosened(name): index for index, name in reversed(list(enumerate(known)))}
    indices = [exact.get(name, loose.get(loosened(name), -1)) for name in names]
    if -1 in indices:
        some = ", ".join(known[:SHOWN_CLASSES]) + (", ..." if len(known) > SHOWN_CLASSES else "")
        unnamed = known == numbered_classes(len(known))
        hint = "; its classes have no names: give them with --class-names (class_names)" if unnamed else ""
        missing = names[indices.index(-1)]
        raise ValueError(f"{where} has class {missing}, which the model does not know; it has {some}{hint}")
    return indices


def known_class(name: str, classes: Sequence[str]) -> int | None:
    """Where a class stands among those of a model, capitals and underscores aside; None where it does not."""
    if name in classes:
        return classes.index(name)
    wanted = loosened(name)
    return next((index for index, one in enumerate(classes) if loosened(one) == wanted), None)


def loosened(name: str) -> str:
    """A class's name as names are compared: without capitals, with spaces for underscores."""
    return name.replace("_", " ").casefold()


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The images of an answer, with as many channels as the model takes.

    `class_indices`: where the model has each of their classes. `indices`: those of `split`, which are looked at.
    """

    images: ImageSet
    class_indices: list[int]
    split: str
    indices: NDArray[np.int64]


def images_of(
    run: str | Path,
    loaded: Loaded,
    data: str | Path | Folders | None,
    split: str | None,
    usual: str,
    progress: Progress | None,
) -> Scored:
    """The images to look at: without `data` those that the run was trained from, by its own split.

    Where no split is asked for it is the `usual` of the run's own images, and "all" of others. Raises the one-line
    `ValueError`s of `evaluate`, and one for a split without images.
    """
    plan_file = (Path(run) if Path(run).is_dir() else Path(run).parent) / "plan.json"
    plan = read_header(plan_file.parent) if Path(run).exists() and plan_file.is_file() else None
    if data is None and plan is None:
        raise ValueError(
            f"{run} does not say what it was trained from (it has no plan.json); give the images: evaluate RUN DATA, "
            "landscape ... --data DATA, explain RUN IMAGE"
        )
    images, own = _opened(data, plan, split, progress)
    chosen = split or (usual if own else "all")
    if chosen == "all":
        indices = np.sort(np.concatenate([images.indices(name) for name in SPLITS]))
    else:
        indices = images.indices(chosen)
    if not len(indices):
        raise ValueError(f"{images.name} has no {chosen} images; choose another split")
    if progress:
        lines = (classes_line(images), *left_out_lines(images), f"taken: {len(indices):,} images, {_what(chosen, own)}")
        progress(Update("images", len(images), len(images), lines=lines))
    if plan is not None and not (own and chosen in ("train", "test")):  # everyone knows it of the training images
        _warn_of_learned(Path(run), plan, images, indices, own)
    found = class_indices(images.classes, loaded.classes, images.name if data is None else str(data))
    value_range = loaded.preprocessing.value_range
    _check_values(images, value_range)
    images = dataclasses.replace(images, in_channels=loaded.network.in_channels, value_range=value_range)
    return Scored(images, found, chosen, indices)


def _opened(
    data: str | Path | Folders | None, plan: Header | None, split: str | None, progress: Progress | None
) -> tuple[ImageSet, bool]:
    """The images, and whether they are the run's own in its own split; a moved folder is still its own."""
    if plan is None:
        assert data is not None
        return open_images(data, 0, progress, whole=split in (None, "all", "test")), False
    own, seed = plan.data, plan.seed
    if data is None:
        images = open_images(own.data, seed, progress)
        if images.fingerprint != own.fingerprint:
            raise ValueError(
                f"the images in {own.data} have changed since this run, and its split with them; "
                "name the images to score anyway"
            )
        return images, True
    images = open_images(data, seed, progress, whole=True)
    if split not in (None, "all", *images.given) and (not images.given or "train" in images.given):
        images = open_images(data, seed)  # a part that the data does not give is carved
    if len(images) == sum(own.counts.values()):
        with contextlib.suppress(ValueError):  # other images that cannot be split
            split_again = open_images(data, seed)
            images = split_again if split_again.fingerprint == own.fingerprint else images
    return images, images.fingerprint == own.fingerprint


def _what(split: str, own: bool) -> str:
    if own:
        return f"{'all' if split == 'all' else f'the {split} split'} of the run's own"
    return "all of them; --split takes a part" if split == "all" else f"the {split} split of these others"


def _warn_of_learned(run: Path, plan: Header, images: ImageSet, indices: NDArray[np.int64], own: bool) -> None:
    """Warn where the run learned from images that are scored: the score is too high, and nothing else shows it.

    Of other data those count that equal an image of the run's folder that it learned from; where that folder has gone
    there is no telling.
    """
    learned = _learned(run if run.is_dir() else run.parent, plan, images if own else None)
    if count := sum(images.digests[index] in learned for index in indices.tolist()):
        instead = "--split test is not" if own else "evaluate RUN without DATA scores its own test images alone"
        warnings.warn(
            f"the run learned from {count:,} of these {len(indices):,} images, so this score is too high; {instead}",
            stacklevel=4,
        )


def _learned(run: Path, plan: Header, images: ImageSet | None) -> frozenset[str]:
    """Digests of the images that the run learned from, by its split.json, as far as they are still where they were."""
    if not (run / "split.json").is_file():
        return frozenset()
    files = learned_files(run)
    if images is None:
        try:
            images = open_images(plan.data.data, plan.seed, whole=True)
        except ValueError:  # the folder has gone, or holds something else now
            return frozenset()
    return frozenset(digest for file, digest in zip(images.files, images.digests, strict=True) if file in files)


def _check_values(images: ImageSet, value_range: Range | None) -> None:
    """Refuse images of other bits than those of the model's training; warn where their values lie elsewhere."""
    spreads = images.spreads or (None,) * len(images)
    deep = [spread for spread in spreads if spread is not None]
    if value_range is None:
        if deep:
            what = f"{len(deep)} of {len(spreads)} images of {images.name} have more than 8 bits a value"
            warnings.warn(f"{what}, {UNKNOWN_RANGE.partition(' a value, ')[2]}", stacklevel=4)
        return
    check_mixture(images.name, images.files, spreads, value_range)
    if outside := sum(is_outside(spread, value_range) for spread in deep):
        what = f"{outside} of {len(spreads)} images of {images.name}"
        warnings.warn(f"of {what} {outside_note(value_range).replace(' of its', '')}", stacklevel=4)


def _check_labels(truth: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    if truth.min() < 0 or truth.max() >= len(classes):
        raise ValueError(f"labels go from {truth.min()} to {truth.max()}; they must be from 0 to {len(classes) - 1}")


def _class_rows(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: tuple[str, ...]
) -> tuple[ClassRow, ...]:
    counts = [np.bincount(of, minlength=len(classes)) for of in (truth[truth == predicted], truth, predicted)]
    rows: list[ClassRow] = []
    for name, hits, count, called in zip(classes, *(row.tolist() for row in counts), strict=True):
        precision, recall = hits / max(called, 1), hits / max(count, 1)
        rows.append(ClassRow(name, count, precision, recall, 2 * hits / max(count + called, 1)))
    return tuple(rows)
