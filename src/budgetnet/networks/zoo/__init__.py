"""The published networks: one file a family, a network is a row, each row cites its source."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache

from budgetnet.arguments import integer, text
from budgetnet.networks import Network, Norm, Px
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.networks.zoo import (
    efficientnet,
    efficientnet_edgetpu,
    efficientnet_lite,
    efficientnetv2,
    ghostnet,
    mnasnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_v4,
    resnet,
    tinynet,
)

TF_NORM = Norm(eps=1e-3, momentum=0.01)
"""The original TensorFlow models have BatchNorm with an epsilon of 0.001 and a decay of 0.99
(efficientnet_builder.py)."""

_FAMILIES = (
    efficientnet,
    efficientnetv2,
    efficientnet_lite,
    efficientnet_edgetpu,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_v4,
    mnasnet,
    tinynet,
    resnet,
    ghostnet,
)
ROWS: Mapping[str, Callable[[], Network]] = {name: row for family in _FAMILIES for name, row in family.ROWS.items()}
WITH_WIDTH = tuple(
    name for family in (mobilenet_v1, mobilenet_v2, mobilenet_v3, mobilenet_v4, mnasnet) for name in family.ROWS
)
"""These networks take a width in percent as a suffix of their name."""
_WITH_TF_FORM = tuple(name for name in ROWS if name.startswith(("efficientnet", "mobilenet_v3")))


def names() -> tuple[str, ...]:
    """The names of all published networks, as `network` takes them.

    MobileNets and MnasNets also take a width in percent as a suffix, such as mobilenet_v2_140.

    Returns:
        The names, family by family.

    Example:
        >>> import budgetnet
        >>> "efficientnet_b0" in budgetnet.names()
        True
    """
    return (*ROWS, *(f"tf_{name}" for name in _WITH_TF_FORM))


def network(name: str, classes: int = 1000, resolution_px: int | Px | None = None) -> Network:
    """A published network by its name, with other classes or another resolution if they are given.

    Args:
        name: One of `names`. The prefix `tf_` gives the original TensorFlow form: SAME padding and a BatchNorm epsilon
            of 0.001.
        classes: How many classes the classifier has.
        resolution_px: Height and width in pixels; an integer is a square. Unless given, the published one.

    Returns:
        The network. Its `source` says where the row comes from.

    Raises:
        ValueError: There is no such network (the message lists all names), or a number is out of bounds.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v2", classes=10, resolution_px=96)
        >>> net.classes, net.resolution_px, net.depth
        (10, (96, 96), 17)
    """
    row = _row(text("name", name))
    classes = integer("classes", classes)
    row = row if classes == row.classes else dataclasses.replace(row, classes=classes)
    return row if resolution_px is None else dataclasses.replace(row, resolution_px=resolution_px)


def origin(name: str) -> str:
    """How the family of that network was designed, by hand or by search, with its source. Raises as `network` does."""
    _row(name)
    plain = _plain(name.removeprefix("tf_"))
    # Names of rows may end in what looks like a width.
    return next(family.ORIGIN for family in _FAMILIES if name in family.ROWS or plain in family.ROWS)


@cache
def _row(name: str) -> Network:
    if name.startswith("tf_") and (match := name.removeprefix("tf_")) and _plain(match) in _WITH_TF_FORM:
        return dataclasses.replace(_row(match), name=name, padding="same", norm=TF_NORM)
    if name in ROWS:
        return ROWS[name]()
    if _plain(name) in WITH_WIDTH:
        percent = int(name.rpartition("_")[2])
        return resize(ROWS[_plain(name)](), Scaling(width=percent / 100), name=name)
    raise ValueError(f"there is no network {name!r}; choose one of {', '.join(names())}")


def _plain(name: str) -> str:
    """The name without a width suffix of two or three digits."""
    return re.sub(r"_(?=\d*[1-9])\d{2,3}$", "", name)
