"""What a model answers to the images of a split: logits, probabilities, and what each answer is worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.data import ImageSet, Pixels, Preprocessing
from budgetnet.data.batches import input_batches, inputs_of
from budgetnet.model.build import Model
from budgetnet.model.probabilities import class_probabilities
from budgetnet.networks import check_integer
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.run import Loaded
from budgetnet.training.answerer import BATCH, Answerer
from budgetnet.training.image_scores import MOST_WHOLE_CLASSES, ImageScores, image_scores, joined


def answerer_of(loaded: Loaded, device: str = "cpu") -> Answerer:
    """A run's model, or that of weights alone, as one that answers. It computes in evaluation mode, on the device."""
    loaded.model.to(device).eval()

    @torch.inference_mode()
    def answer(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, shares = loaded.answer(inputs_of(pixels, loaded.preprocessing, device))
        return logits.cpu().numpy(), shares.cpu().numpy()

    return Answerer(loaded.network, loaded.classes, loaded.preprocessing, loaded.side_px, answer, loaded.trust)


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
