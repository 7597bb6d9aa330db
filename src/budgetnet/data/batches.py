"""Batches: pixels fitted to the network's resolution, augmented, normalised, in channels_last."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from budgetnet.data.augment import (
    Augmentation,
    Drawn,
    colour_and_normalise,
    draws_of,
    erase,
    mix,
    mix_shares,
    move,
    within,
)
from budgetnet.data.cache import Pixels
from budgetnet.data.draw import draw, order_of
from budgetnet.data.fitting import Box, centre_box, fitted, network_pixels
from budgetnet.data.images import ImageSet, Preprocessing
from budgetnet.data.randaugment import operations_without, randaugment
from budgetnet.networks import Px, check_integer, square


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs (n, c, h, w) float32 channels_last; labels (n,) int64; targets (n, classes) when images
    are mixed, else None; index (n,), the images' positions in the `ImageSet`."""

    inputs: Tensor
    labels: Tensor
    targets: Tensor | None
    index: NDArray[np.int64]


def prepare(
    arrays: Sequence[NDArray[np.uint8]],
    resolution_px: int | Px,
    preprocessing: Preprocessing,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Decoded images (h, w, c) uint8 as the input of evaluation: (n, c, height, width) float32 channels_last."""
    return inputs_of(network_pixels(arrays, resolution_px, preprocessing), preprocessing, device)


def inputs_of(pixels: NDArray[np.uint8], preprocessing: Preprocessing, device: str | torch.device = "cpu") -> Tensor:
    """Pixels of the network's size (n, height, width, c) as the input of evaluation, as `prepare` gives it."""
    return colour_and_normalise(_to_device(pixels, device), preprocessing, None, {})


def input_batches(
    pixels: Pixels,
    indices: NDArray[np.int64],
    batch: int,
    size_px: Px,
    preprocessing: Preprocessing,
    device: str | torch.device = "cpu",
) -> Iterator[Tensor]:
    """`prepare` for the images at `indices`, in their order, `batch` at a time: tensors (n, channels, *size_px)."""
    for start in range(0, len(indices), batch):
        arrays = [pixels[index] for index in indices[start : start + batch].tolist()]
        yield prepare(arrays, size_px, preprocessing, device)


def batches(
    images: ImageSet,
    pixels: Pixels,
    split: str,
    batch: int,
    resolution_px: int | Px,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epoch: int = 0,
    device: str | torch.device = "cpu",
) -> Iterator[Batch]:
    """Every image of a split once, the last batch smaller.

    "train" comes in the order of `train_order(images, seed, epoch)`, "validation" and "test" as they
    lie. Raises `ValueError` for a batch below 1 or an unknown split.
    """
    check_integer("batch", batch)
    indices = images.indices(split)
    order = order_of(indices, seed, epoch) if split == "train" else indices
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        yield train_batch(images, pixels, part, epoch, resolution_px, preprocessing, augmentation, seed, device)


def train_batch(
    images: ImageSet,
    pixels: Pixels,
    indices: NDArray[np.int64],
    epoch: int | NDArray[np.int64],
    resolution_px: int | Px,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Batch:
    """The batch of these images in this epoch (one, or one an image): a pure function of its arguments.

    Each image's pixels depend on (seed, epoch, index) alone; only mixing also looks at the image
    before it in the batch.
    """
    indices = np.asarray(indices, dtype=np.int64)
    labels = torch.tensor([images.labels[index] for index in indices.tolist()], dtype=torch.int64, device=device)
    arrays = [pixels[index] for index in indices.tolist()]
    size_px = square(resolution_px)
    if augmentation is None:
        return Batch(prepare(arrays, size_px, preprocessing, device), labels, None, indices)
    epochs = np.broadcast_to(np.asarray(epoch, dtype=np.int64), indices.shape)
    drawn = draws_of(seed, epochs, indices)
    inputs = augmented(arrays, indices, epochs, size_px, preprocessing, augmentation, seed, drawn, device)
    erase(inputs, augmentation, drawn)
    if not augmentation.mixes:
        return Batch(inputs, labels, None, indices)
    shares = mix_shares(augmentation, seed, epochs, indices, drawn)
    targets = functional.one_hot(labels, len(images.classes)).float()
    inputs, targets = mix(inputs, targets, augmentation, drawn, shares)
    return Batch(inputs, labels, targets, indices)


def augmented(
    arrays: Sequence[NDArray[np.uint8]],
    indices: NDArray[np.int64],
    epochs: NDArray[np.int64],
    size_px: Px,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    seed: int,
    drawn: Drawn,
    device: str | torch.device = "cpu",
) -> Tensor:
    """Images cropped, mirrored, moved and coloured as drawn, (n, c, height, width), before any erasing and mixing."""
    boxes = _random_boxes([array.shape[:2] for array in arrays], size_px, preprocessing, augmentation, drawn)
    flips = drawn["flip"] < augmentation.flip
    gathered = fitted(arrays, boxes, size_px, preprocessing, flips, _operations(augmentation, seed, epochs, indices))
    inputs = move(_to_device(gathered, device), augmentation, drawn)
    return colour_and_normalise(inputs, preprocessing, augmentation, drawn)


def _operations(
    augmentation: Augmentation, seed: int, epochs: NDArray[np.int64], indices: NDArray[np.int64]
) -> Callable[[int, Image.Image], Image.Image] | None:
    """RandAugment of the image at each place of a batch, if there is any."""
    if not augmentation.randaugment:
        return None
    count, magnitude = augmentation.randaugment
    numbers = draw(seed, epochs, indices, 2 * count, 2)
    choice = operations_without(augmentation.randaugment_leaves_out)
    return lambda place, image: randaugment(image, count, magnitude, numbers[place].tolist(), choice)


@dataclass(frozen=True, slots=True, eq=False)
class TrainBatches:
    """The endless stream of training batches, any step of which can be asked for at once.

    The stream is one permutation of the train images after another; step k takes positions
    k * batch to (k + 1) * batch - 1. So batches are always full, also where there are fewer images
    than `batch`, every image comes equally often, and step k needs nothing of the steps before it.
    """

    images: ImageSet
    pixels: Pixels
    batch: int
    resolution_px: int | Px
    preprocessing: Preprocessing
    augmentation: Augmentation | None = None
    seed: int = 0
    device: str | torch.device = "cpu"
    _indices: NDArray[np.int64] = field(init=False, repr=False)
    _orders: dict[int, NDArray[np.int64]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        check_integer("batch", self.batch)
        object.__setattr__(self, "_indices", self.images.indices("train"))

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch, dtype=np.int64)
        epochs, offsets = np.divmod(positions, len(self._indices))
        indices = np.array(
            [self._order(epoch)[offset] for epoch, offset in zip(epochs.tolist(), offsets.tolist(), strict=True)]
        )
        return train_batch(
            self.images,
            self.pixels,
            indices,
            epochs,
            self.resolution_px,
            self.preprocessing,
            self.augmentation,
            self.seed,
            self.device,
        )

    def stream(self, first_step: int, last_step: int, ahead: int = 0) -> Iterator[Batch]:
        """Batches of first_step to last_step - 1; up to `ahead` of them are made in a thread beforehand.

        The thread changes when a batch is made, never what is in it.
        """
        if ahead == 0:
            yield from map(self.batch_at, range(first_step, last_step))
            return
        pool = ThreadPoolExecutor(1)
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in range(first_step, last_step):
                waiting.append(pool.submit(self.batch_at, step))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._orders:
            if len(self._orders) > 4:
                self._orders.clear()
            self._orders[epoch] = order_of(self._indices, self.seed, epoch)
        return self._orders[epoch]


def _to_device(pixels: NDArray[np.uint8], device: str | torch.device) -> Tensor:
    """(n, h, w, c) uint8 to (n, c, h, w) float32, which is channels_last; bytes travel, not floats."""
    return torch.from_numpy(pixels).to(device, non_blocking=True).permute(0, 3, 1, 2).float()


def _random_boxes(
    sizes_px: Sequence[tuple[int, ...]],
    to_px: Px,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    drawn: Drawn,
) -> list[Box]:
    """A random box of each image: area by `crop_scale`, shape by `crop_ratio`, cut off at the image's sides."""
    if augmentation.crop_scale is None:
        return [centre_box(size, to_px, preprocessing) for size in sizes_px]
    height, width = np.array(sizes_px, dtype=np.float64).T
    area = height * width * within(drawn["area"], *augmentation.crop_scale)
    low, high = augmentation.crop_ratio
    # Relative to what evaluation sees: a stretched image is allowed the distortion it will have there.
    shape = width / height if preprocessing.fit == "stretch" else to_px[1] / to_px[0]
    shape = shape * np.exp(within(drawn["ratio"], math.log(low), math.log(high)))
    wide, tall = np.minimum(np.sqrt(area * shape), width), np.minimum(np.sqrt(area / shape), height)
    left, top = drawn["left"] * (width - wide), drawn["top"] * (height - tall)
    right, bottom = np.minimum(left + wide, width), np.minimum(top + tall, height)
    return [tuple(row) for row in np.stack([left, top, right, bottom], axis=1).tolist()]
