"""One picture of several limits at once, limits as walls and dials as arrows: `python -m bench.walls docs/walls.svg`.

A network stands where its use of two limits puts it. Each single dial goes up to the wall that it meets first; from the
largest of those the four dials, turned one after the other, lead to the joint network in the corner between the walls.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.gallery.files import save_drawing
from bench.joint import WAKE_WORDS
from budgetnet import Budget, BudgetError, adapt, fit, network
from budgetnet.budgets.dials import DIALS, Dial
from budgetnet.budgets.path import LEAST_PHI
from budgetnet.budgets.path import Path as DialPath
from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.draw.wording import TIMES, count, listed, percent, rounded
from budgetnet.networks import Network
from budgetnet.networks.scaling import STRATEGIES, Scaling, integers, with_integers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMITS = ("peak_activation_bytes", "weight_bytes")
"""The limits across and up: a microcontroller's SRAM and its flash."""
BASE, CLASSES, SIDES_PX = "efficientnet_lite0", 6, (84, 112)
SIZE_PX, LEFT_PX, ABOVE_PX, BELOW_PX = (880, 640), 64, 64, 50
LINE = 18.0
"""From one line of a label to the next, in typographic points."""
MOST = (1.2, 1.34)
"""How far beyond the walls the picture goes, in shares of the limits."""

TRACK: Mapping[str, Any] = {"color": COLOURS["quiet"], "linewidth": 2, "marker": "o", "markersize": 4}
BEYOND: Mapping[str, Any] = {"color": COLOURS["quiet"], "linewidth": 1.5, "linestyle": (0, (2, 2))}
TURN: Mapping[str, Any] = {"color": COLOURS["accent"], "linewidth": 2.4}
"""How lines are drawn, in the picture and in its key."""

Use = tuple[float, float]
"""The shares of `LIMITS` that a network uses."""


@dataclass(frozen=True, slots=True)
class Track:
    """The networks that one dial passes through until it meets a wall, the first that breaks one behind them."""

    name: str
    kept: tuple[Use, ...]
    beyond: Use
    macs: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One dial turned alone from one network to another, the change in words, and where both stand."""

    dial: Dial
    change: str
    start: Use
    end: Use


@dataclass(frozen=True, slots=True)
class Walls:
    """What the picture shows. `outside`: the single dials of which no network keeps the limits."""

    budget: Budget
    asked: str
    tracks: tuple[Track, ...]
    outside: tuple[str, ...]
    turns: tuple[Turn, ...]
    joint: Use
    joint_macs: int


def walls() -> Walls:
    """The single dials and the joint network of a base under three limits, all priced as they are."""
    base, budget = adapt(network(BASE, CLASSES), SIDES_PX), WAKE_WORDS
    largest_px = 2 * min(SIDES_PX)
    tracks: dict[str, tuple[Track, Network]] = {}
    outside: list[str] = []
    for strategy in STRATEGIES:
        try:
            found = fit(base, budget, strategy, largest_px=largest_px)
        except BudgetError:
            outside.append(strategy)
            continue
        path = DialPath(base, strategy, largest_px=largest_px)
        assert found.phi is not None and found.certificate.next is not None
        kept = [use(one, budget) for phi, one in path.networks(LEAST_PHI) if phi <= found.phi]
        beyond = use(found.certificate.next.network, budget)
        tracks[strategy] = Track(strategy, tuple(kept), beyond, found.cost.macs), found.network
    joint = fit(base, budget, "joint", largest_px=largest_px)
    _, start = max(tracks.values(), key=lambda row: row[0].macs)
    return Walls(
        budget,
        f"{BASE}, {CLASSES} classes, images of {SIDES_PX[0]}{TIMES}{SIDES_PX[1]} px, {budget.dtype}",
        tuple(track for track, _ in tracks.values()),
        tuple(outside),
        turns(start, joint.network, budget),
        use(joint.network, budget),
        joint.cost.macs,
    )


def use(one: Network, budget: Budget) -> Use:
    """The shares of both limits that a network uses."""
    shares = {row.name: row.share for row in budget.check(one).limits}
    across, up = (shares[name] for name in LIMITS)
    return across, up


def turns(start: Network, end: Network, budget: Budget) -> tuple[Turn, ...]:
    """From one network of a base to another, a dial after the other: first those that are turned back."""
    old, new = (integers(one, Scaling()) for one in (start, end))
    sides = (TIMES.join(map(str, one.resolution_px)) for one in (old, new))
    changes: dict[Dial, tuple[str, dict[str, Any]]] = {
        "depth": (f"{start.depth} to {end.depth} blocks", {"repeats": new.repeats}),
        "width": (
            f"{sum(old.channels)} to {sum(new.channels)} channels",
            {"stem": new.stem, "channels": new.channels},
        ),
        "resolution": (f"{' to '.join(sides)} px", {"resolution_px": new.resolution_px}),
        "head": (f"{old.head} to {new.head} channels", {"head": new.head, "hidden": new.hidden}),
    }

    def turned_up(dial: Dial) -> bool:
        return any(value is not None and value > getattr(old, name) for name, value in changes[dial][1].items())

    found: list[Turn] = []
    here = old
    for dial in sorted(reversed(DIALS), key=turned_up):
        words, change = changes[dial]
        turned = here._replace(**change)
        if turned != here:
            found.append(Turn(dial, words, *(use(with_integers(start, at), budget) for at in (here, turned))))
            here = turned
    return tuple(found)


def picture(shown: Walls) -> Figure:
    """The walls, the single dials' arrows, and the way around into the corner."""
    with house_style():
        figure = new_figure(*SIZE_PX)
        wide, high = SIZE_PX[0] - LEFT_PX - 8, SIZE_PX[1] - ABOVE_PX - BELOW_PX
        axes = Place(LEFT_PX, BELOW_PX, wide, high).on(figure)
        axes.set_xlim(0, MOST[0])
        axes.set_ylim(0, MOST[1])
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        names = [percent(tick, 0) for tick in ticks]
        axes.set_xticks(ticks, names)
        axes.set_yticks(ticks, names)
        axes.grid(False)
        axes.set_xlabel("SRAM that is used (peak activations), share of the limit", x=0.5 / MOST[0])
        axes.set_title("Flash that is used (weights), share of the limit", pad=12, x=-LEFT_PX / wide)
        figure.text(0, 1 - 12 / SIZE_PX[1], shown.asked, fontweight="bold", va="center")
        _draw_walls(axes, shown)
        for track in shown.tracks:
            _draw_track(axes, track)
        _draw_turns(axes, shown)
        _draw_key(axes, shown)
    return figure


def _draw_walls(axes: Axes, shown: Walls) -> None:
    """What lies beyond each limit, with the limit; the dials that stay beyond."""
    from matplotlib.patches import Polygon

    across, up = (f"{shown.budget.limits()[name]:,} bytes" for name in LIMITS)
    corners = [(0, 1), (0, MOST[1]), MOST, (MOST[0], 0), (1, 0), (1, 1)]
    axes.add_patch(Polygon(corners, facecolor=COLOURS["line"], edgecolor="none", zorder=0))
    axes.plot([0, 1, 1], [1, 1, 0], color=COLOURS["ink"], linewidth=3, solid_joinstyle="miter", zorder=1)
    axes.text(
        (1 + MOST[0]) / 2, 0.5, f"wall of the SRAM: {across} of activations", rotation=-90, ha="center", va="center"
    )
    axes.text(0.02, MOST[1] - 0.06, f"wall of the flash: {up} of weights", va="center")
    if shown.outside:
        text = f"{listed(shown.outside)} alone: each of their networks is beyond a wall"
        axes.text(0.02, MOST[1] - 0.13, text, va="center", color=COLOURS["quiet"], fontsize=12)


def _draw_track(axes: Axes, track: Track) -> None:
    """A dial's networks up to the last that keeps the limits; dashed to the next, which does not."""
    across, up = zip(*track.kept, strict=True)
    axes.plot(across, up, **TRACK)
    last = track.kept[-1]
    line = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, **BEYOND}
    axes.annotate("", track.beyond, last, arrowprops=line)
    axes.plot(*last, "o", color=COLOURS["quiet"], markersize=10, markeredgecolor=COLOURS["paper"], zorder=4)
    _write(axes, (f"{track.name} alone", f"{count(track.macs)} MACs"), last, (12, -26), "left")


def _draw_turns(axes: Axes, shown: Walls) -> None:
    """An arrow for each dial that is turned, bent where it goes back, and the network at the end."""
    for number, turn in enumerate(shown.turns, start=1):
        back = sum(turn.end) < sum(turn.start)
        line = {"arrowstyle": "-|>", "mutation_scale": 18, "shrinkA": 5, "shrinkB": 5, **TURN}
        line |= {"connectionstyle": f"arc3,rad={0.16 if back else 0}"}
        axes.annotate("", turn.end, turn.start, arrowprops=line, zorder=3)
        if number > 1:
            axes.plot(
                *turn.start, "o", markersize=7, color=COLOURS["paper"], markeredgecolor=COLOURS["accent"], zorder=4
            )
        middle = (turn.start[0] + turn.end[0]) / 2, (turn.start[1] + turn.end[1]) / 2
        upright = abs(turn.end[1] - turn.start[1]) > abs(turn.end[0] - turn.start[0])
        beside, side = ((-24 if back else -14, 0), "right") if upright else ((0, -25), "center")
        look: dict[str, Any] = {"color": COLOURS["accent"], "fontsize": 12}
        _write(axes, (f"{number}  {turn.dial}", turn.change), middle, beside, side, **look)
    accent = COLOURS["accent"]
    axes.plot(*shown.joint, "D", color=accent, markersize=13, markeredgecolor=COLOURS["paper"], zorder=5)
    texts = "joint", f"{count(shown.joint_macs)} MACs"
    _write(axes, texts, shown.joint, (-14, -22), "right", color=accent, fontweight="bold")


def _write(axes: Axes, lines: Sequence[str], at: Use, beside: tuple[float, float], side: str, **look: Any) -> None:
    """Lines of text around a place beside a point, each by itself: a reader's font has other widths than ours."""
    for line, text in enumerate(lines):
        up = beside[1] + LINE * ((len(lines) - 1) / 2 - line)
        axes.annotate(text, at, (beside[0], up), textcoords="offset points", ha=side, va="center", zorder=6, **look)


def _draw_key(axes: Axes, shown: Walls) -> None:
    """What lines are, and the limit that has no axis."""
    from matplotlib.lines import Line2D

    macs = shown.budget.macs
    assert macs is not None
    marks = {
        "one dial alone: its networks, the smallest first": Line2D([], [], **TRACK),
        "its next network, which breaks a limit": Line2D([], [], **BEYOND),
        "one of four dials, turned by itself": Line2D([], [], **TURN),
    }
    look: dict[str, Any] = {"frameon": False, "fontsize": 12, "labelcolor": COLOURS["quiet"], "borderaxespad": 0}
    axes.legend(list(marks.values()), list(marks), loc="lower left", bbox_to_anchor=(0.012, 0.06), **look)
    third = f"The third limit, {rounded('macs', macs)} multiply-adds (MACs), is far: joint uses "
    third += f"{percent(shown.joint_macs / macs, 0)} of it."
    axes.text(0.02, 0.045, third, color=COLOURS["quiet"], fontsize=12, va="center")


def main(words: Sequence[str] | None = None) -> int:
    """Draw the picture into a file."""
    parser = argparse.ArgumentParser(prog="python -m bench.walls", description=__doc__)
    parser.add_argument("file", type=Path, help="the SVG file to write")
    save_drawing(drawing(walls()), parser.parse_args(words).file)
    return 0


def drawing(shown: Walls) -> str:
    """The picture as inline SVG, with what a screen reader says."""
    alone = max(shown.tracks, key=lambda track: track.macs)
    what = (
        f"Two limits as walls: {alone.name} alone ends at one wall with {count(alone.macs)} multiply-adds; four dials "
        f"reach the corner with {count(shown.joint_macs)}"
    )
    return inline_svg(picture(shown), "", what)


if __name__ == "__main__":
    sys.exit(main())
