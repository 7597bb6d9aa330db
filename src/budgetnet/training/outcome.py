"""The end of a run: the untouched test split answers once, and everything is written down."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet, Pixels
from budgetnet.data.images import SPLITS
from budgetnet.model.build import Model, build
from budgetnet.model.files import check_tensors, load_tensors
from budgetnet.model.weights import FILE as WEIGHTS
from budgetnet.model.weights import save_weights
from budgetnet.runs.run import INITIAL, SIDE_NOTE, read_json, reading, write_json
from budgetnet.training.evaluate import Evaluation, answer, evaluation_of
from budgetnet.training.image_scores import ImageScores, scores_in
from budgetnet.training.job import TrainingJob
from budgetnet.training.plan import preprocessing_row
from budgetnet.training.recipe import trained_network

FORMAT = "budgetnet.metrics.v1"
MISTAKES = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of the finished network. `validation` chose it, so it is optimistic; `test` is not.

    Where the final training learned from the validation images, `validation` is the score before it.
    """

    validation: Evaluation
    test: Evaluation


def write_split(run: Path, images: ImageSet) -> None:
    """split.json: which file is where, and what was left out."""
    names = (*SPLITS, "left_out")  # LEFT_OUT is the number behind the splits'
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for file, place in zip(images.files, images.split, strict=True):
        rows[names[place]].append(file)
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
    if not this one: a job that learned from those images has none.
    """
    config, model = job.config, trained_model(job)
    indices = images.indices("test")
    device = job.context.device
    labels = np.asarray(images.labels)
    answers, _ = answer(model.to(device), images, pixels, indices, labels[indices], config.preprocessing, device)
    with np.load((judged or job).scores) as rows:
        asked = rows["indices"]
        validation = scores_in(rows, labels[asked])
    outcome = Outcome(evaluated(validation, images, asked), evaluated(answers, images, indices))
    with written_aside(run / "network.json") as aside:
        aside.write_text(model.network.to_json(), encoding="utf-8")
    notes = {SIDE_NOTE: str(job.context.side_px)}
    save_weights(run / WEIGHTS, model.cpu(), images.classes, preprocessing_row(config.preprocessing), notes)
    write_json(
        run / "metrics.json",
        {
            "format": FORMAT,
            "validation": outcome.validation.to_dict(),
            "test": outcome.test.to_dict(),
            "mistakes": mistakes(answers, images, indices),
            **extra,
        },
    )
    clear(Path(job.context.folder))
    return outcome


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
        outcome = Outcome(Evaluation.from_dict(metrics["validation"]), Evaluation.from_dict(metrics["test"]))
    with reading(run / WEIGHTS):
        check_tensors(run / WEIGHTS)
    clear(run / "training")
    return outcome


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
