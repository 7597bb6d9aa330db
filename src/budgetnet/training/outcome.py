"""The end of a run: the untouched test split answers once, and everything is written down."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet, Pixels
from budgetnet.data.images import SPLITS
from budgetnet.model.build import Model, build
from budgetnet.model.files import check_tensors, load_tensors
from budgetnet.model.weights import FILE as WEIGHTS
from budgetnet.model.weights import save_weights
from budgetnet.runs.run import INITIAL, SIDE_NOTE, read_json, reading, write_json
from budgetnet.training.calibration import Calibration, calibrate
from budgetnet.training.evaluate import Evaluation, evaluation_of, scores_at
from budgetnet.training.image_scores import ImageScores, scores_in
from budgetnet.training.job import TrainingJob, held_out_of
from budgetnet.training.plan import preprocessing_row
from budgetnet.training.recipe import trained_network

FORMAT = "budgetnet.metrics.v1"
MISTAKES = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of the finished network. `validation` chose it, so it is optimistic; `test` is not.

    Where the final training learned from the validation images, `validation` is the score before it. `calibration` is
    None in runs from before there was one.
    """

    validation: Evaluation
    test: Evaluation
    calibration: Calibration | None


def write_split(run: Path, images: ImageSet, held_out: NDArray[np.int64] | None = None) -> None:
    """split.json: which file is where, what was left out, and which validation images (`held_out`, their positions)
    stayed out of a final training that learned from the others."""
    names = (*SPLITS, "left_out")  # LEFT_OUT is the number behind the splits'
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for file, place in zip(images.files, images.split, strict=True):
        rows[names[place]].append(file)
    if held_out is not None and len(held_out):
        rows["held_out"] = [images.files[index] for index in held_out.tolist()]
    rows["unreadable"] = [list(row) for row in images.unreadable]
    rows["duplicates"] = [list(row) for row in images.duplicates]
    write_json(run / "split.json", rows)


def finalize(
    run: Path,
    job: TrainingJob,
    images: ImageSet,
    pixels: Pixels,
    extra: Mapping[str, Any],
    judged: TrainingJob | None = None,
) -> Outcome:
    """Test the job's weights once; write network.json, weights.safetensors and metrics.json, in that order.

    metrics.json comes last: where it exists the run is finished. `judged` is the job whose validation scores count,
    if not this one: a job that learned from those images has none. The temperature is fitted on images that the job has
    not learned, or where it learned all of them, with the model of `judged`.
    """
    config, device, labels = job.config, job.context.device, np.asarray(images.labels)
    model = trained_model(job).to(device)
    calibration = _calibrated(model, job, judged, images, pixels)

    def scores(split: str) -> tuple[ImageScores, ImageScores]:
        """The model's answers to a split, at temperature 1 and at that of the model."""
        asked, both = images.indices(split), (1.0, calibration.temperature)
        before, after = scores_at(both, model, images, pixels, asked, labels[asked], config.preprocessing, device)
        return before, after

    indices = images.indices("test")
    plain, answers = scores("test")
    if judged is None:
        asked = images.indices("validation")
        _, validation = scores("validation")
    else:
        with np.load(judged.scores) as rows:
            asked = rows["indices"]
            validation = scores_in(rows, labels[asked])
    test = evaluated(answers, images, indices)
    calibration = dataclasses.replace(
        calibration,
        test_error_before=evaluated(plain, images, indices).expected_calibration_error,
        test_error_after=test.expected_calibration_error,
    )
    outcome = Outcome(evaluated(validation, images, asked), test, calibration)
    with written_aside(run / "network.json") as aside:
        aside.write_text(model.network.to_json(), encoding="utf-8")
    notes = {SIDE_NOTE: str(job.context.side_px)}
    preprocessing = preprocessing_row(config.preprocessing)
    save_weights(run / WEIGHTS, model.cpu(), images.classes, preprocessing, notes, calibration.temperature)
    write_json(
        run / "metrics.json",
        {
            "format": FORMAT,
            "validation": outcome.validation.to_dict(),
            "test": outcome.test.to_dict(),
            "calibration": to_plain(calibration),
            "mistakes": mistakes(answers, images, indices),
            **extra,
        },
    )
    clear(Path(job.context.folder))
    return outcome


def _calibrated(
    model: Model, job: TrainingJob, judged: TrainingJob | None, images: ImageSet, pixels: Pixels
) -> Calibration:
    """The temperature of the job's model, on its device."""
    preprocessing, device = job.config.preprocessing, job.context.device
    asked = images.indices("validation")
    if not job.learns_validation:
        return calibrate(model, images, pixels, asked, "validation", preprocessing, device)
    if len(held_out := held_out_of(job, images)):
        return calibrate(model, images, pixels, held_out, "held out", preprocessing, device)
    assert judged is not None, "a training that learned all validation images comes out of a race"
    earlier = trained_model(judged).to(device)
    return calibrate(earlier, images, pixels, asked, "race", preprocessing, device)


def check_trained(run: Path, job: TrainingJob) -> None:
    """Raise a one-line `ValueError` where a job that is done has lost its weights: its run was finished once."""
    if not job.weights.exists():
        what = f"{run / 'metrics.json'} is missing, though the run was finished: what it was measured with was removed"
        raise ValueError(f"{what}; put the file back, or begin anew with --fresh")


def trained_model(job: TrainingJob) -> Model:
    """The model at the end of a job that is done, in evaluation mode, on the CPU."""
    config = job.config
    model = build(trained_network(config.network, config.recipe, config.steps))
    model.load_state_dict(load_tensors(job.weights)[0])
    return model.eval()


def clear(folder: Path) -> None:
    """Remove a run's checkpoints and weights along the way: it is finished, only its scores are asked for again."""
    if (folder.parent / INITIAL).is_dir():
        shutil.rmtree(folder.parent / INITIAL)
    for pattern in ("*/*.pt", "*/*.safetensors", "*/*.part"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def finished(run: Path) -> Outcome | None:
    """The outcome of a run that is done, from its metrics.json; None where it is not.

    A kill behind the last word may have left checkpoints: they are removed. Raises a one-line `ValueError` where a file
    that the run left is missing or damaged: what is shown as done must be there.
    """
    if not (run / "metrics.json").exists():
        return None
    with reading(run / "metrics.json"):
        metrics = read_json(run / "metrics.json")
        validation, test = (Evaluation.from_dict(metrics[split]) for split in ("validation", "test"))
        outcome = Outcome(validation, test, calibration_in(metrics))
    with reading(run / WEIGHTS):
        check_tensors(run / WEIGHTS)
    clear(run / "training")
    return outcome


def calibration_in(metrics: Mapping[str, Any]) -> Calibration | None:
    """The calibration in a metrics.json; None in one from before there was any."""
    return Calibration.from_dict(metrics["calibration"]) if "calibration" in metrics else None


def evaluated(answers: ImageScores, images: ImageSet, indices: NDArray[np.int64]) -> Evaluation:
    """Scores of answers to the images of these indices."""
    return evaluation_of(answers, np.asarray(images.labels)[indices], images.classes)


def mistakes(answers: ImageScores, images: ImageSet, indices: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The test images that it was most sure of and wrong about, the surest first."""
    labels, sure, predicted = np.asarray(images.labels)[indices], answers.confidence, answers.predicted
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    return [
        {
            "file": images.files[indices[place]],
            "label": images.classes[labels[place]],
            "predicted": images.classes[predicted[place]],
            "probability": float(sure[place]),
        }
        for place in worst.tolist()
    ]
