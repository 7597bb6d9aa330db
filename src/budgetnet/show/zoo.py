"""The zoo in one picture: published accuracy over multiply-adds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.show.style import COLOURS, house_style
from budgetnet.writing import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png", ".pdf")
BELOW = (((9, -4), "left"), ((5, -14), "left"), ((0, -15), "center"))
ABOVE_AND_BELOW = (((-9, 3), "right"), ((9, -11), "left"), ((-9, 14), "right"))
"""Where a name may stand beside its point: points to the right and up, and the side that it ends at."""


@dataclass(frozen=True, slots=True)
class Point:
    """A network: millions of multiply-adds, published top-1 in percent."""

    name: str
    macs: int
    top1: float


def draw_zoo(path: str | Path, points: Sequence[Point], front: Collection[str]) -> Path:
    """Draw every point, join those of the front and name them where there is room; written as the path's ending says.

    Raises a one-line `ValueError` for an ending that is no picture's, or no points.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path} is no picture that can be drawn; give a name that ends in {', '.join(FORMATS)}")
    if not points:
        raise ValueError("none of the networks has a published accuracy; loosen the limits")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(10.0, 6.4), layout="constrained", facecolor=COLOURS["paper"])
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_xscale("log")
        axes.set_xlabel("multiply-adds, millions")
        axes.set_ylabel("published ImageNet top-1, %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.margins(x=0.16, y=0.1)
        others = [point for point in points if point.name not in front]
        leaders = sorted((point for point in points if point.name in front), key=lambda point: point.macs)
        axes.plot([p.macs / 1e6 for p in others], [p.top1 for p in others], "o", color=COLOURS["faint"], markersize=5)
        axes.plot([p.macs / 1e6 for p in leaders], [p.top1 for p in leaders], "o-", color=COLOURS["accent"])
        figure.draw_without_rendering()
        _name(axes, leaders, others)
        with written_aside(path) as aside:
            figure.savefig(aside, format=path.suffix[1:].lower(), dpi=150)
    return path


def _name(axes: Axes, leaders: Sequence[Point], others: Sequence[Point]) -> None:
    """Write the names, the leaders' first, each where it covers neither a point nor another name, or nowhere."""
    from matplotlib.transforms import Bbox

    points = (*leaders, *others)
    places = axes.transData.transform([(point.macs / 1e6, point.top1) for point in points])
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for point in points:
        # The others keep to the side that the line does not cross, and so near that they are no neighbour's.
        for shift, side in ABOVE_AND_BELOW if point in leaders else BELOW:
            text = axes.annotate(
                point.name,
                (point.macs / 1e6, point.top1),
                xytext=shift,
                textcoords="offset points",
                ha=side,
                color=COLOURS["ink"],
                fontsize=10,
            )
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
