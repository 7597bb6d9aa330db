"""A training whose network is to run in eight bits: it is scored as the file that would be written of it rounds.

Kernels have a scale a channel, maps a scale that some training images say, and biases are corrected, as in the file
(`ship.tflite.make`); what a file may do beyond that, choosing among quantiles and training on, is left to the winner.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet, Pixels, network_pixels
from budgetnet.data.draw import evenly
from budgetnet.model.probabilities import class_probabilities
from budgetnet.runs.files import reading_rows
from budgetnet.ship.eight_bits.ladder import CORRECTION_IMAGES
from budgetnet.ship.eight_bits.quantiles import QUANTILES, seen_of
from budgetnet.ship.eight_bits.rounded import corrected, kept_by, rounded
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Weights, logits, values
from budgetnet.ship.subject import CALIBRATION_IMAGES
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.training.answerer import BATCH
from budgetnet.training.evaluate import answer_rows
from budgetnet.training.image_scores import MOST_WHOLE_CLASSES, ImageScores, image_scores, joined
from budgetnet.training.job import TrainingJob, opened, run_job
from budgetnet.training.outcome import trained_model

FORWARD_PASSES = 3.0
"""An image in eight bits takes as long as this many images in float: every map is rounded on its way."""


def run_rounded_job(job: TrainingJob) -> bool:
    """Train the job to its end, unless it is done, and score its network in eight bits; True once that is written."""
    if not job.scores.exists():
        run_job(job)
    images, pixels = opened(job.context.data, job.context.split_seed, job.context.side_px)
    with reading_rows(job.scores) as rows:
        rows = {name: rows[name] for name in rows}
    if all(np.isfinite(rows[name]).all() for name in ("probabilities", "confidence") if name in rows):
        answers, whole = _rounded_answers(job, images, pixels, rows["indices"])
        rows = {**answer_rows(answers, whole), "indices": rows["indices"]}
    with written_aside(job.rounded_scores) as aside, aside.open("wb") as file:
        np.savez(file, **rows)  # pyright: ignore[reportArgumentType]
    return True


def rounded_images(validation: int) -> float:
    """How many images in float take as long as scoring so many in eight bits does, the calibration with them."""
    return 2 * CALIBRATION_IMAGES + 2 * FORWARD_PASSES * CORRECTION_IMAGES + FORWARD_PASSES * validation


@torch.no_grad()
def in_eight_bits(network: TfliteEightBits, calibration: Tensor) -> tuple[Weights, Mapping[str, Scale]]:
    """The network's weights with corrected biases, and the scales of its maps, by images (n, c, h, w) in 0 to 255."""
    steps, weights = network.steps, network.weights
    seen = seen_of((row for some in calibration.split(BATCH) for row in values(steps, weights, some)), network.maps)
    scales = network.scales(seen, QUANTILES[0])
    chosen = evenly(np.arange(len(calibration)), CORRECTION_IMAGES)
    return corrected(steps, weights, scales, calibration[chosen]), scales


@torch.no_grad()
def _rounded_answers(
    job: TrainingJob, images: ImageSet, pixels: Pixels, indices: NDArray[np.int64]
) -> tuple[ImageScores, NDArray[np.float32] | None]:
    """What the job's network answers in eight bits to the images at `indices`, and the probabilities themselves."""
    preprocessing, model = job.config.preprocessing, trained_model(job)

    def inputs(some: NDArray[np.int64]) -> Tensor:
        """Pixels of 0 to 255 at the network's size: (n, c, h, w)."""
        sized = network_pixels([pixels[index] for index in some.tolist()], model.network.resolution_px, preprocessing)
        return torch.from_numpy(sized).permute(0, 3, 1, 2).float()

    training = images.indices("train")
    labels = np.asarray(images.labels)
    calibration = evenly(training[np.argsort(labels[training], kind="stable")], CALIBRATION_IMAGES)
    eight_bits = TfliteEightBits(model.network, ModelWeights(model, preprocessing))
    weights, scales = in_eight_bits(eight_bits, inputs(calibration))
    short, kept = rounded(eight_bits.steps, weights), kept_by(scales)
    whole = None
    if model.network.classes <= MOST_WHOLE_CLASSES:
        whole = np.empty((len(indices), model.network.classes), np.float32)
    parts: list[ImageScores] = []
    for start in range(0, len(indices), BATCH):
        some = slice(start, start + BATCH)
        found = logits(eight_bits.steps, short, inputs(indices[some]), kept)
        shares = class_probabilities(found).numpy()
        parts.append(image_scores(shares, labels[indices[some]], found.numpy()))
        if whole is not None:
            whole[some] = shares
    return joined(parts), whole
