"""Bases in the images' own size: where scaling starts, for every search that scales networks to a budget."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Sequence

from budgetnet.arguments import of_kind, several
from budgetnet.data import ImageSet
from budgetnet.networks import Network, Px, zoo
from budgetnet.networks.scaling import adapt, droppable_strides

LEAST_PX, MOST_PX = 32, 224
SMALL_PX, MOST_DROPPED = 96, 2
"""Images below this size are small for a stride of 32: 0, 1 and 2 dropped strides are separate bases."""
SAME_SHAPE = 1.1
"""Images whose width and height stand to each other as in another within this factor have the same shape."""
LEAST_LAST_PX = 4
"""The last map has at least this many pixels a side: on a smaller one most taps of a 3x3 kernel fall on padding. With
the race left to find that out, CIFAR-10 at 8 M MACs ended with a last map of 2 px, because such networks are fast and
lead early: docs/lab-log.md."""

AdaptedBase = tuple[str, int, Network]
"""A base's name, how many of its strides are dropped, and its network."""


def given_base(what: str, value: object) -> str | Network:
    """A base as it was given, a name of the zoo or a network. Raises a one-line `ValueError` for anything else."""
    base = of_kind(what, value, (str, Network), "a name of the zoo or a Network")
    if isinstance(base, str):
        zoo.network(base)
    return base


def given_bases(what: str, value: object) -> tuple[str | Network, ...]:
    """Bases as they were given, each as `given_base`; one alone is a list of one."""
    return several(what, value, given_base, (str, Network), "a list of names of the zoo or Networks")


def base_px(images: ImageSet) -> int:
    """The side that scaling starts from: the median short side, even, within 32 and 224 px."""
    return min(MOST_PX, max(LEAST_PX, images.median_short_side_px // 2 * 2))


def largest_px(images: ImageSet) -> int:
    """Where paths end: at twice the images' own size, since more pixels show nothing new."""
    return max(LEAST_PX, 2 * images.median_short_side_px)


def shaped_px(images: ImageSet) -> Px:
    """Height and width that a pretrained base starts from: `base_px` on the short side, in the images' shape
    where most have one, else a square.

    Pretrained weights come with a crop in the network's shape, which cuts the sides off a photo of 4:3.
    """
    px = base_px(images)
    shares = sorted(width / height for height, width in images.sizes_px)
    least, usual, most = (shares[round(quantile * (len(shares) - 1))] for quantile in (0.1, 0.5, 0.9))
    if most > usual * SAME_SHAPE or least < usual / SAME_SHAPE:
        return px, px
    return (px, round(px * usual / 2) * 2) if usual >= 1 else (round(px / usual / 2) * 2, px)


def adapted_bases(images: ImageSet, bases: Sequence[str | Network], inherited: bool = False) -> Iterator[AdaptedBase]:
    """(name, dropped strides, network) of every base, adapted to the images and their classes.

    Pretrained weights mean what they mean with their own strides, so none is dropped where they are `inherited`.
    """
    px = base_px(images)
    for base in distinct(bases):
        row = dataclasses.replace(base, classes=len(images.classes), in_channels=images.in_channels)
        if inherited:
            yield row.name, 0, adapt(row, shaped_px(images))
            continue
        most = min(MOST_DROPPED, droppable_strides(row)) if px < SMALL_PX else 0
        for dropped in range(most + 1):
            yield row.name, dropped, adapt(row, px, dropped)


def distinct(bases: Sequence[str | Network]) -> tuple[Network, ...]:
    """The bases as networks, each once. Raises `ValueError` for two that their names do not tell apart."""
    rows: dict[str, Network] = {}
    for base in bases:
        row = zoo.network(base) if isinstance(base, str) else base
        # Some file systems do not tell upper from lower case.
        if rows.setdefault(safe_name(row.name).casefold(), row) != row:
            raise ValueError(f"two bases are called {row.name}; give one of them another name in its file")
    return tuple(rows.values())


def safe_name(name: str) -> str:
    """The name as a part of a folder's: letters of any script, digits and _.+- in at most 100 bytes."""
    kept = re.sub(r"[^\w.+-]+|^\.", "_", unicodedata.normalize("NFC", name))
    return kept.encode()[:100].decode(errors="ignore")


def last_px(network: Network) -> int:
    """The shorter side of the last map, in pixels."""
    side = min(network.stem_px)
    for stage in network.stages:
        side = -(-side // stage.stride)
    return side


def map_rank(dropped_strides: int, network: Network) -> tuple[int, int]:
    """Which of a small base's numbers of dropped strides to take, the least first.

    First those with a last map of 4 px, with the fewest strides dropped; of others those with the largest map.
    """
    return -min(last_px(network), LEAST_LAST_PX), dropped_strides
