"""The zoo in one picture: published accuracy over multiply-adds, or over milliseconds that were measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.atomic_write import written_aside
from budgetnet.draw.figures import Place
from budgetnet.draw.labels import Label, label_points
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import new_figure
from budgetnet.draw.wording import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png", ".pdf")
FIRST = (
    "efficientnet_lite0",
    "efficientnet_b0",
    "efficientnet_b7",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "efficientnetv2_l",
)
"""The names that people look for: they choose their places before the others."""
SIZE_PX = (900, 600)
WIDE_RATIO = 1000
"""Where the costs are further apart only powers of ten are written, nearer 2 and 5 times those as well."""
MOST_PX, FEW_PX = 150, 62
"""How far the first names and the others may stand from their points."""


@dataclass(frozen=True, slots=True)
class Point:
    """A network: what it costs, published top-1 in percent."""

    name: str
    cost: float
    top1: float


@dataclass(frozen=True, slots=True)
class CostAxis:
    """What a network costs, in words: the axis, the front, and how a value of it is written."""

    label: str
    front: str
    written: Callable[[float], str]


MACS = CostAxis(
    "multiply-adds (MACs) of one image, logarithmic",
    "none listed has as much with fewer multiply-adds",
    lambda value: rounded("macs", value),
)


def milliseconds(device: str) -> CostAxis:
    """The axis of times that were measured on a machine."""
    plain = re.sub(r" \(.*\)", "", device)
    return CostAxis(
        f"measured milliseconds of one image, logarithmic: one core of {plain}, each in its fastest runtime",
        "none listed has as much in less time",
        lambda value: f"{value:g} ms",
    )


def check_picture(path: Path) -> None:
    """Raise a one-line `ValueError` for an ending that is not a picture's."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path} is not a picture that can be drawn; give a name that ends in {', '.join(FORMATS)}")


def draw_zoo(path: str | Path, points: Sequence[Point], front: Collection[str], axis: CostAxis = MACS) -> Path:
    """Draw every point, join those of the front; name all for which there is room, those of `FIRST` first.

    Written as the path's ending says.

    Raises a one-line `ValueError` for an ending that is not a picture's, or no points.
    """
    path = Path(path)
    check_picture(path)
    if not points:
        raise ValueError("none of the networks has a published accuracy; loosen the limits")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.ticker import LogLocator, NullFormatter

    with house_style():
        figure = new_figure(*SIZE_PX)
        FigureCanvasAgg(figure)
        axes = Place(52, 54, SIZE_PX[0] - 60, SIZE_PX[1] - 92).on(figure)
        axes.set_xscale("log")
        axes.set_xlabel(axis.label)
        axes.set_title("Published ImageNet top-1, %", pad=12)
        ratio = max(point.cost for point in points) / min(point.cost for point in points)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if ratio > WIDE_RATIO else (1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(lambda value, _: axis.written(value))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.09, y=0.1)
        _draw(axes, points, front, axis.front)
        with written_aside(path) as aside:
            kind = path.suffix[1:].lower()
            figure.savefig(aside, format=kind, dpi=150, facecolor=COLOURS["paper"], bbox_inches="tight", pad_inches=0.2)
    return path


def _draw(axes: Axes, points: Sequence[Point], front: Collection[str], label: str) -> None:
    """Filled and joined points of the front, hollow others, and the names."""
    leaders = sorted((point for point in points if point.name in front), key=lambda point: point.cost)
    others = [point for point in points if point.name not in front]
    line = [(point.cost, point.top1) for point in leaders]
    axes.plot(
        [point.cost for point in others],
        [point.top1 for point in others],
        "o",
        label="the others",
        markersize=6,
        markerfacecolor=COLOURS["paper"],
        markeredgecolor=COLOURS["quiet"],
    )
    axes.plot([x for x, _ in line], [y for _, y in line], "o-", color=COLOURS["accent"], markersize=7, label=label)
    axes.legend(loc="lower right", frameon=False, fontsize=12, labelcolor=COLOURS["quiet"], reverse=True)
    order = {name: index for index, name in enumerate(FIRST)}
    wanted = sorted([*leaders, *others], key=lambda point: (order.get(point.name, len(FIRST)), point.name not in front))
    reach = {name: MOST_PX for name in FIRST}
    labels = [Label(point.cost, point.top1, point.name, reach=reach.get(point.name, FEW_PX)) for point in wanted]
    label_points(axes, labels, [line])
