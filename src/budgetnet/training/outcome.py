"""The end of a run: the untouched test split answers once, and everything is written down."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import shown
from budgetnet.atomic_write import written_aside
from budgetnet.codec import NonNegativeInt, Share, require, require_known, to_plain
from budgetnet.data import ImageSet, Pixels
from budgetnet.model.build import Model, build
from budgetnet.model.files import check_tensors, load_tensors
from budgetnet.model.trust import CheckedPromise, Trust
from budgetnet.model.weights import FILE as WEIGHTS
from budgetnet.model.weights import SIDE_NOTE, save_weights
from budgetnet.networks import Network
from budgetnet.reading import read_json_file
from budgetnet.runs.files import reading, reading_rows
from budgetnet.runs.record import DataRecord
from budgetnet.runs.split_file import write_split
from budgetnet.training.calibration import Calibration, HeldOut, answer_held_out
from budgetnet.training.evaluate import scores_at
from budgetnet.training.evaluation import Evaluation, evaluation_of
from budgetnet.training.image_scores import ImageScores, scores_in
from budgetnet.training.job import TrainingJob, held_out_of
from budgetnet.training.recipe import trained_network
from budgetnet.training.trainer import TrainingConfig

MOST_MISTAKES = 24
"""A report shows at most this many of the test images that were answered wrongly."""
FILE = "metrics.json"
FORMAT = "budgetnet.metrics.v2"
NETWORK = "network.json"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test image that was taken for another class, and how probable that class was said to be."""

    file: str
    label: str
    predicted: str
    probability: Share

    def __post_init__(self) -> None:
        require(self.probability > 0, "probability is 0, and of the most probable class it never is")


@dataclass(frozen=True, slots=True)
class Metrics:
    """Scores of a finished network.

    `validation` may have chosen it, and is then optimistic; `test` has not. Where the final training `learned` from the
    validation images too (all but `held_out` of them), `validation` is the score before it. `trust` says when not to
    believe it, None where no image was held out and in files from before it was kept; `promises` are those of 1, 2, 5
    and 10 % that can be made, and what came of them on the test images.
    """

    validation: Evaluation
    test: Evaluation
    calibration: Calibration
    mistakes: tuple[Mistake, ...]
    learned: tuple[str, ...]
    held_out: NonNegativeInt
    trust: Trust | None = field(default=None, kw_only=True)
    promises: tuple[CheckedPromise, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        splits = (("train",), ("train", "validation"))
        require(
            self.learned in splits, f"learned is {shown(list(self.learned))}; it must be train, or train and validation"
        )
        some = self.held_out == 0 or "validation" in self.learned
        require(some, f"held_out is {self.held_out}, and the validation images were not learned")
        require(self.held_out <= self.validation.count, "held_out is more than there are validation images")
        classes = [[row.name for row in one.per_class] for one in (self.validation, self.test)]
        require(classes[0] == classes[1], "validation and test have other classes in per_class")
        wrong = sum(images for *_, images in self.test.confused)
        some = bool(self.mistakes) == bool(wrong)
        require(some, f"mistakes has {len(self.mistakes)} images, and {wrong} of the test images are wrong")
        for one in self.promises:
            require(one.images == self.test.count, f"promises has {one.images} images, of {self.test.count} of test")
        for one in self.mistakes:
            require_known("a label of mistakes", [one.label, one.predicted], classes[1], "test.per_class")
            require(one.label != one.predicted, "a mistake has its label as predicted")


def finalize(
    job: TrainingJob, images: ImageSet, pixels: Pixels, scored: TrainingJob | None = None, networks: int = 1
) -> Metrics:
    """Test the job's weights once; write split.json, network.json and weights.safetensors into the run's folder.

    `scored` is the job whose validation scores count, if not this one: a job that learned from those images has none.
    The temperature is fitted on images that the job has not learned, or where it learned all of them, with the model of
    `scored`. The validation images helped to choose its network from as many as `networks`. Raises a one-line
    `ValueError` where the job is done and its weights have gone.
    """
    run, config, device, labels = job.run, job.config, job.context.device, np.asarray(images.labels)
    check_trained(job)
    learned = ("train", "validation") if job.learns_validation else ("train",)
    held_out = held_out_of(job, images) if job.learns_validation else np.empty(0, np.int64)
    write_split(run, images, learned, held_out.tolist())
    model = trained_model(job).to(device)
    held = _held_out_answers(model, job, scored, images, pixels)
    calibration = held.calibration()
    trust = held.trust(calibration.temperature, networks)

    def scores(split: str) -> tuple[ImageScores, ImageScores]:
        """The model's answers to a split, at temperature 1 and at that of the model."""
        asked, both = images.indices(split), (1.0, calibration.temperature)
        before, after = scores_at(both, model, images, pixels, asked, labels[asked], config.preprocessing, device)
        return before, after

    indices = images.indices("test")
    plain, answers = scores("test")
    if scored is None:
        asked = images.indices("validation")
        _, validation = scores("validation")
    else:
        with reading_rows(scored.scores) as rows:
            asked = rows["indices"]
            validation = scores_in(rows, labels[asked])
    test = evaluated(answers, images, indices)
    with written_aside(run / NETWORK) as aside:
        aside.write_text(model.network.to_json(), encoding="utf-8")
    notes, preprocessing = {SIDE_NOTE: str(job.context.side_px)}, to_plain(config.preprocessing)
    save_weights(run / WEIGHTS, model.cpu(), images.classes, preprocessing, notes, calibration.temperature, trust)
    return Metrics(
        validation=evaluated(validation, images, asked),
        test=test,
        calibration=dataclasses.replace(
            calibration,
            test_error_before=evaluated(plain, images, indices).expected_calibration_error,
            test_error_after=test.expected_calibration_error,
        ),
        mistakes=mistakes(answers, images, indices),
        learned=learned,
        held_out=len(held_out),
        trust=trust,
        promises=tuple(
            promise.check(answers.confidence, answers.right) for promise in (trust.promises() if trust else ())
        ),
    )


def _held_out_answers(
    model: Model, job: TrainingJob, scored: TrainingJob | None, images: ImageSet, pixels: Pixels
) -> HeldOut:
    """The answers of the job's model, on its device, to images that it has not learned."""
    preprocessing, device = job.config.preprocessing, job.context.device
    validation = images.indices("validation")
    if not job.learns_validation:
        return answer_held_out(model, images, pixels, validation, "validation", preprocessing, device)
    if len(held_out := held_out_of(job, images)):
        return answer_held_out(model, images, pixels, held_out, "held out", preprocessing, device)
    assert scored is not None, "a training that learned all validation images comes out of a race"
    earlier = trained_model(scored).to(device)
    return answer_held_out(earlier, images, pixels, validation, "race", preprocessing, device)


def check_classes(metrics: Metrics, data: DataRecord) -> None:
    """Raise a one-line `ValueError` where a run's scores are of other classes or images than its plan.json has."""
    names = tuple(row.name for row in metrics.test.per_class)
    require(names == data.classes, "test.per_class has other classes than data.classes in plan.json")
    ours, planned = metrics.test.count, data.counts["test"]
    require(ours == planned, f"test.count is {ours}, and data.counts.test in plan.json {planned}")


def check_parent(parent: str | None, pretrained: str) -> None:
    """Raise a one-line `ValueError` where a plan has a parent, and its request wanted no pretrained weights."""
    kept = parent is None or pretrained != "none"
    require(kept, f"parent in plan.json is {shown(parent)}, and its request wanted no pretrained weights")


def check_seeds(configs: Sequence[TrainingConfig], seed: int) -> None:
    """Raise a one-line `ValueError` where a training has another seed than its run."""
    for config in configs:
        same = config.seed == seed
        require(same, f"config.seed of {config.id} in plan.json is {config.seed}, and its seed {seed}")


def check_trained(job: TrainingJob) -> None:
    """Raise a one-line `ValueError` where a job that is done has lost its weights: its run was finished once."""
    if not job.weights.exists():
        what = f"{job.run / FILE} is missing, though the run was finished: what it was measured with was removed"
        raise ValueError(f"{what}; put the file back, or begin again with --fresh")


def check_model(run: Path) -> None:
    """Raise a one-line `ValueError` where a finished run's network.json or its weights are missing or damaged."""
    with reading(run / NETWORK):
        Network.from_json(json.dumps(read_json_file(run / NETWORK)))
    with reading(run / WEIGHTS):
        check_tensors(run / WEIGHTS)


def trained_model(job: TrainingJob) -> Model:
    """The model at the end of a job that is done, in evaluation mode, on the CPU."""
    config = job.config
    model = build(trained_network(config.network, config.recipe, config.steps))
    model.load_state_dict(load_tensors(job.weights)[0])
    return model.eval()


def evaluated(answers: ImageScores, images: ImageSet, indices: NDArray[np.int64]) -> Evaluation:
    """Scores of answers to the images of these indices."""
    return evaluation_of(answers, np.asarray(images.labels)[indices], images.classes)


def mistakes(answers: ImageScores, images: ImageSet, indices: NDArray[np.int64]) -> tuple[Mistake, ...]:
    """The test images that it was most sure of and wrong about, the surest first."""
    labels, sure, predicted = np.asarray(images.labels)[indices], answers.confidence, answers.predicted
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(
            images.files[indices[index]],
            images.classes[labels[index]],
            images.classes[predicted[index]],
            float(sure[index]),
        )
        for index in worst.tolist()
    )
