"""Small features of images, enough for a quick linear classifier to tell many classes apart.

Three views of an image of a few pixels, none of which minds a small shift: orientations of its edges, responses to
patches of the images themselves, and its colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.data.augment import LUMA, TO_YIQ
from budgetnet.data.draw import MASK

SIDE_PX = 32
"""The pixels of a side that images are scaled to before features are taken."""
PATCH_PX = 6
PATCHES = 48
"""The number of patches. Half of them mirror the others, so that a mirrored image is described as well as the
original."""
DRAWN_PATCHES = 2000
FLAT = 0.03
"""The deviation of a patch's values (0 to 1) below which it shows nothing."""
ORIENTATIONS, CELLS = 12, 4
SHADES = 12
AT_ONCE = 128
"""How many images' responses are held at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What turns images (n, c, 32, 32), values 0 to 1, into features (n, d), the last of them 1.

    `filters` are patches, whitened; `mean` and `deviation` those of the images that it was made for.
    """

    filters: Tensor
    mean: Tensor
    deviation: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """The features of images."""
        values = (_raw(images, self.filters) - self.mean) / self.deviation
        return torch.cat([values, torch.ones(len(values), 1)], 1)


def features_of(images: Tensor, seed: int) -> Features:
    """The features for images like these; their patches are drawn by the seed.

    Source: Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, AISTATS 2011.
    """
    filters = _filters(images, seed)
    raw = _raw(images, filters)
    deviation = raw.std(0)
    return Features(filters, raw.mean(0), deviation + 1e-3 * deviation.max() + 1e-9)


def _raw(images: Tensor, filters: Tensor) -> Tensor:
    parts = [images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE)]
    return torch.cat([torch.cat([_edges(part), _responses(part, filters), _colours(part)], 1) for part in parts])


def _filters(images: Tensor, seed: int) -> Tensor:
    generator = np.random.default_rng([seed & MASK, len(images)])
    count, channels = images.shape[:2]
    places = generator.integers(0, (count, SIDE_PX - PATCH_PX + 1, SIDE_PX - PATCH_PX + 1), (DRAWN_PATCHES, 3))
    drawn = [images[n, :, top : top + PATCH_PX, left : left + PATCH_PX] for n, top, left in places.tolist()]
    patches = torch.stack(drawn).flatten(1)
    patches = patches - patches.mean(1, keepdim=True)
    both = torch.cat([patches, _mirrored(patches, channels)]).double()
    sizes, axes = torch.linalg.eigh(both.T @ both / len(both))
    stretch = (sizes.clamp(min=0.0) + 0.01 * sizes.max() + 1e-9).rsqrt()
    whiten = (axes @ torch.diag(stretch) @ axes.T).float()
    seen = patches[patches.std(1) > FLAT]
    chosen = (seen if len(seen) >= PATCHES // 2 else patches)[: PATCHES // 2] @ whiten
    chosen = (chosen / (chosen.norm(dim=1, keepdim=True) + 1e-6)) @ whiten
    filters = torch.cat([chosen, _mirrored(chosen, channels)]).view(-1, channels, PATCH_PX, PATCH_PX)
    return filters - filters.mean((1, 2, 3), keepdim=True)


def _mirrored(patches: Tensor, channels: int) -> Tensor:
    return patches.view(-1, channels, PATCH_PX, PATCH_PX).flip(3).flatten(1)


def _edges(images: Tensor) -> Tensor:
    """Histograms of the gradient's direction and of its axis, of all the image, its quarters and sixteenths.

    The channel of the strongest gradient counts. Source: Dalal and Triggs, Histograms of Oriented Gradients, CVPR 2005.
    """
    wide = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across, down = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2], wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    across, down, strength = _strongest(across, down)
    cells = functional.adaptive_avg_pool2d(_shares_of_turn(torch.atan2(down, across)) * strength, CELLS)
    found: list[Tensor] = []
    for histogram in (cells, cells[:, : ORIENTATIONS // 2] + cells[:, ORIENTATIONS // 2 :]):
        for parts in (1, 2, CELLS):
            pooled = functional.adaptive_avg_pool2d(histogram, parts).flatten(1)
            found.append((pooled / (pooled.sum(1, keepdim=True) + 1e-5)).sqrt())
    return torch.cat(found, 1)


def _strongest(across: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of gradients (n, c, h, w) that of the channel where it is longest, and its length, each (n, 1, h, w)."""
    lengths = across.square() + down.square()
    best, rows, columns = lengths[:, :1], across[:, :1], down[:, :1]
    for channel in range(1, lengths.shape[1]):  # many times as fast as argmax along so short an axis
        length = lengths[:, channel : channel + 1]
        longer = length > best
        best = torch.where(longer, length, best)
        rows = torch.where(longer, across[:, channel : channel + 1], rows)
        columns = torch.where(longer, down[:, channel : channel + 1], columns)
    return rows, columns, best.sqrt()


def _shares_of_turn(angles: Tensor) -> Tensor:
    """Angles (n, 1, ...) in radians as shares of the two nearest of 12 directions: (n, 12, ...)."""
    directions = torch.arange(ORIENTATIONS, dtype=torch.float32).view(-1, *([1] * (angles.ndim - 2)))
    steps = (angles * (ORIENTATIONS / (2 * math.pi))) % ORIENTATIONS
    away = (steps - directions).abs_()
    return torch.minimum(away, ORIENTATIONS - away).neg_().add_(1.0).clamp_(min=0.0)


def _responses(images: Tensor, filters: Tensor) -> Tensor:
    """How strongly patches answer, of any sign and of their own, less the mean of all patches at that place."""
    mean = torch.full((1, *filters.shape[1:]), 1.0 / filters[0].numel())
    stride = PATCH_PX // 3
    answers = functional.conv2d(images, filters, stride=stride)
    means = functional.conv2d(images, mean, stride=stride)
    spread = (functional.conv2d(images.square(), mean, stride=stride) - means.square()).clamp_(min=0.0).sqrt_()
    answers /= spread.add_(0.05)
    sizes = answers.abs()
    usual = sizes.mean(1, keepdim=True)
    signed, sizes = (answers - usual).relu_(), (sizes - usual).relu_()
    quarters = functional.adaptive_avg_pool2d(sizes, 2).flatten(1)
    return torch.cat([quarters, sizes.amax((2, 3)), sizes.mean((2, 3)), signed.mean((2, 3))], 1)


def _colours(images: Tensor) -> Tensor:
    """A picture of 4 by 4 pixels, a histogram of shades of grey and, of colour images, one of hues."""
    luma = torch.tensor(LUMA if images.shape[1] == 3 else (1.0,))
    grey = torch.einsum("nchw,c->nhw", images, luma).flatten(1)
    shades = [(1.0 - (grey - index / (SHADES - 1)).abs() * (SHADES - 1)).clamp_(min=0.0) for index in range(SHADES)]
    found = [functional.adaptive_avg_pool2d(images, 4).flatten(1)]
    found.append(torch.stack([shade.mean(1) for shade in shades], 1).sqrt())
    if images.shape[1] == 3:
        across, up = torch.einsum("nchw,ck->knhw", images, torch.from_numpy(TO_YIQ[:, 1:]).float()).flatten(2)
        hues = _shares_of_turn(torch.atan2(up, across)[:, None]) * (across.square() + up.square()).sqrt()[:, None]
        found.append(hues.mean(2).sqrt())
    return torch.cat(found, 1)
