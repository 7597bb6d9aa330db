"""How well answers are: accuracy with its interval, calibration, classes, confusions. From probabilities alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from budgetnet.model.trust import CheckedPromise
from budgetnet.statistics import wilson
from budgetnet.training.image_scores import ImageScores, image_scores

CALIBRATION_BINS = 15
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
