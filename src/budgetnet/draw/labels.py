"""Names beside their points: none covers a point, a line or another name, and none of their leaders cross."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgetnet.draw.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

RADIUS = 7.0
"""The radius that a point takes up, in typographic points."""
NEAR, FAR = (9.0, 12.0), (18.0, 26.0, 36.0, 48.0, 62.0, 78.0, 96.0, 120.0, 150.0)
"""The distances of a name from its point; a name that is far away has a line to it."""
DIRECTIONS = 24


@dataclass(frozen=True, slots=True)
class Label:
    """A point's name, at most `reach` points away from it: with a leader unless it stands beside it."""

    x: float
    y: float
    text: str
    colour: str = "ink"
    bold: bool = False
    reach: float = 150.0


def label_points(
    axes: Axes,
    labels: Sequence[Label],
    lines: Sequence[Sequence[tuple[float, float]]] = (),
    size: float = 12,
    points: Sequence[tuple[float, float]] = (),
) -> tuple[str, ...]:
    """Write the labels in their order of importance; those for which there was no room come back.

    `lines` are drawn lines and `points` further points, all in the axes' units, which no label covers.
    """
    from matplotlib.path import Path

    # Leaders are lines too, and must not move the limits.
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    at = axes.transData.transform
    unit = axes.figure.dpi / 72
    page = _Page(
        inside=axes.bbox,
        points=[tuple(place) for place in at([(one.x, one.y) for one in labels] + list(points)).tolist()],
        lines=[Path(at(line)) for line in lines if len(line) > 1],
        boxes=[],
        leaders=[],
        unit=unit,
    )
    missing: list[str] = []
    for label, place in zip(labels, page.points[: len(labels)], strict=True):
        text = _written(axes, label, size)
        if not _placed(axes, text, label, place, page):
            text.remove()
            missing.append(label.text)
    return tuple(missing)


@dataclass(frozen=True, slots=True)
class _Page:
    """What is taken, in pixels of the screen; `unit` of them are a point."""

    inside: Bbox
    points: list[tuple[float, float]]
    lines: list[Path]
    boxes: list[Bbox]
    leaders: list[Path]
    unit: float


def _written(axes: Axes, label: Label, size: float) -> Text:
    """The text at its point; where it really stands is found afterwards."""
    return axes.annotate(
        label.text,
        (label.x, label.y),
        (0, 0),
        textcoords="offset points",
        color=COLOURS[label.colour],
        fontsize=size,
        fontweight="bold" if label.bold else "normal",
        annotation_clip=False,
        zorder=6,
    )


def _placed(axes: Axes, text: Text, label: Label, place: tuple[float, float], page: _Page) -> bool:
    """Put the text to the first free place around its point; False where there is none."""
    drawn = text.get_window_extent()
    for box, leader in _choices(place, drawn.width, drawn.height, page.unit, label.reach):
        if not _free(box, leader, place, page):
            continue
        across, up = box.x0 - place[0] + drawn.width / 2, box.y0 - place[1] + drawn.height / 2
        text.set_position((across / page.unit, up / page.unit))  # so that it stands there at any resolution
        text.set_horizontalalignment("center")
        text.set_verticalalignment("center")
        page.boxes.append(box)
        if leader is not None:
            page.leaders.append(leader)
            ends = axes.transData.inverted().transform(leader.vertices)
            axes.plot(ends[:, 0], ends[:, 1], color=COLOURS["faint"], linewidth=0.8, zorder=2)
        return True
    return False


def _choices(
    place: tuple[float, float], wide: float, high: float, unit: float, reach: float
) -> Iterator[tuple[Bbox, Path | None]]:
    """Boxes around a point, the nearest first and the sides before the rest; far ones with a leader."""
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox

    turns = [2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS)]
    turns.sort(key=lambda turn: -math.cos(2 * turn))
    for distance in (*NEAR, *(one for one in FAR if one <= reach)):
        for turn in turns:
            across, up = math.cos(turn), math.sin(turn)
            end = (place[0] + unit * distance * across, place[1] + unit * distance * up)
            # The box touches the end of the leader with the side, corner or edge that faces the point.
            left = end[0] + (across - 1) / 2 * wide
            box = Bbox.from_bounds(left, end[1] + (up - 1) / 2 * high, wide, high)
            start = (place[0] + unit * RADIUS * across, place[1] + unit * RADIUS * up)
            yield box, Path([start, end]) if distance in FAR else None


def _free(box: Bbox, leader: Path | None, place: tuple[float, float], page: _Page) -> bool:
    """Whether a name and its leader meet nothing that is drawn."""
    inside, grown = page.inside, box.padded(2 * page.unit)
    if not (inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1):
        return False
    radius = RADIUS * page.unit
    own, others = _distance(box, place), [point for point in page.points if point != place]
    # Beside its point a name is nearer to that than to any other, and far from it near to none.
    least = max(radius, 1.3 * own) if leader is None else 2.4 * radius
    if own < radius or any(_distance(box, point) < least for point in others):
        return False
    if any(grown.overlaps(other) for other in page.boxes):
        return False
    if any(path.intersects_bbox(grown, filled=False) for path in (*page.lines, *page.leaders)):
        return False
    if leader is None:
        return True
    return not (
        any(leader.intersects_path(other, filled=False) for other in (*page.lines, *page.leaders))
        or any(leader.intersects_bbox(other.padded(page.unit), filled=False) for other in page.boxes)
        or any(leader.intersects_bbox(_around(point, 0.6 * radius), filled=False) for point in others)
    )


def _distance(box: Bbox, point: tuple[float, float]) -> float:
    """From a point to a box, 0 inside."""
    across = max(box.x0 - point[0], 0.0, point[0] - box.x1)
    up = max(box.y0 - point[1], 0.0, point[1] - box.y1)
    return math.hypot(across, up)


def _around(point: tuple[float, float], radius: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_bounds(point[0] - radius, point[1] - radius, 2 * radius, 2 * radius)
