"""Accuracy over how compute is shared: a triangle whose corners are depth, width and resolution alone."""

# pyright: standard
# What matplotlib gives back is only partly typed.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.budgets.coefficient_sample import Shares, corners, shares
from budgetnet.draw.figures import NARROW_PX, Mark, Place, name_marks
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import percent
from budgetnet.experiments.coefficients.findings import triple
from budgetnet.experiments.coefficients.result import Ranked
from budgetnet.networks.scaling import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]
HEIGHT = math.sqrt(3) / 2
"""A triangle whose side is 1 has this height."""
NAMES_PX = 280
GAP_PX = 22.0
FAINTEST = 0.12
"""The least accurate network is drawn with this opacity."""


def triangle_svg(ranking: Sequence[Ranked], width_px: int, prefix: str) -> str:
    """Every network that raced at its shares, the darker the more accurate in the first rung; regions as outlines.

    The first of the ranking is the answer.
    """
    narrow = width_px < NARROW_PX
    side = width_px - (64 if narrow else 60 + NAMES_PX)
    place = Place(32, 46, side, HEIGHT * side)
    with house_style():
        figure = new_figure(width_px, round(place.height) + 92)
        axes = place.on(figure)
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, HEIGHT)
        _frame(axes)
        _regions(axes, ranking)
        _points(axes, ranking)
        _paper(axes)
        _names(axes, ranking, place, narrow)
        best = f"{ranking[0].id}  {triple(ranking[0].coefficients)}"
        what = f"Shares of depth, width and resolution of {len(ranking)} networks; the answer is {best}"
        return inline_svg(figure, prefix, what)


def at(place: Shares) -> Point:
    """Where shares lie: width alone at the left, resolution alone at the right, depth alone at the top."""
    depth, _, resolution = place
    return resolution + depth / 2, depth * HEIGHT


def hull(points: Sequence[Point]) -> list[Point]:
    """The convex hull's corners, counter-clockwise. Source: Andrew, Information Processing Letters 9 (1979)."""

    def half(ordered: Sequence[Point]) -> list[Point]:
        chain: list[Point] = []
        for point in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        return chain[:-1]

    ordered = sorted(set(points))
    return ordered if len(ordered) < 3 else half(ordered) + half(ordered[::-1])


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _frame(axes: Axes) -> None:
    """The triangle, lines of equal shares, and what its corners are."""
    for share in (0.25, 0.5, 0.75):
        rest = 1 - share
        for one, other in (
            ((share, rest, 0.0), (share, 0.0, rest)),
            ((rest, share, 0.0), (0.0, share, rest)),
            ((rest, 0.0, share), (0.0, rest, share)),
        ):
            axes.plot(*zip(at(one), at(other), strict=True), color=COLOURS["line"], linewidth=0.8, zorder=1)
    ends = [at(corner) for corner in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))]
    axes.plot(*zip(*ends, strict=True), color=COLOURS["faint"], linewidth=1, zorder=1, clip_on=False)
    for text, corner, offset, align in (
        ("depth alone", (1.0, 0.0, 0.0), (0, 12), "center"),
        ("width alone", (0.0, 1.0, 0.0), (-24, -20), "left"),
        ("resolution alone", (0.0, 0.0, 1.0), (24, -20), "right"),
    ):
        where = {"textcoords": "offset points", "ha": align, "va": "center", "annotation_clip": False}
        axes.annotate(text, at(corner), offset, color=COLOURS["quiet"], **where)


def _regions(axes: Axes, ranking: Sequence[Ranked]) -> None:
    for rank, row in enumerate(ranking):
        outline, best = hull([at(corner) for corner in corners(row.region)]), rank == 0
        if len(outline) < 3:
            axes.plot(*zip(*outline, strict=True), color=COLOURS["faint"], linewidth=1, zorder=2, clip_on=False)
            continue
        colour = COLOURS["accent" if best else "faint"]
        edge = [*outline, outline[0]]
        if best:
            axes.fill(*zip(*outline, strict=True), color=colour, alpha=0.15, linewidth=0, zorder=1.5)
        axes.plot(*zip(*edge, strict=True), color=colour, linewidth=1.4 if best else 0.7, zorder=2, clip_on=False)


def _points(axes: Axes, ranking: Sequence[Ranked]) -> None:
    low, high = (end(row.first.accuracy for row in ranking) for end in (min, max))
    for rank, row in enumerate(ranking):
        share = (row.first.accuracy - low) / (high - low) if high > low else 1.0
        point = at(shares(row.coefficients))
        size = 13 if rank == 0 else 11 if row.finalist else 9
        axes.plot(
            *point,
            "o",
            markersize=size,
            markeredgewidth=1.6 if row.finalist else 0.9,
            markerfacecolor=COLOURS["paper"],
            markeredgecolor=COLOURS["accent" if row.finalist else "faint"],
            clip_on=False,
        )
        shade = FAINTEST + (1 - FAINTEST) * share
        axes.plot(
            *point,
            "o",
            markersize=size - 2.5,
            color=COLOURS["accent"],
            alpha=shade,
            markeredgewidth=0,
            clip_on=False,
        )


def _paper(axes: Axes) -> None:
    """The paper's choice itself, which is not a network of the space but a direction."""
    axes.plot(*at(shares(PAPER)), "X", markersize=11, color=COLOURS["warm"], markeredgecolor=COLOURS["paper"], zorder=8)


def _names(axes: Axes, ranking: Sequence[Ranked], place: Place, narrow: bool) -> None:
    """The last rung's and the paper's at the right; on a narrow page the caption and the table have to do."""
    if narrow:
        return
    marks = [
        Mark(
            *at(shares(row.coefficients)),
            f"{row.id}  {triple(row.coefficients)}, {percent(row.first.accuracy)}",
            rank == 0,
        )
        for rank, row in enumerate(ranking)
        if row.finalist
    ]
    marks.append(Mark(*at(shares(PAPER)), "the paper: 1.2, 1.1, 1.15", False))
    name_marks(axes, marks, place, GAP_PX)
