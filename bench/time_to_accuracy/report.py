"""What the cells say: a table, differences paired by seeds, how much sooner an arm is there, and curves."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from bench.gallery.files import save_drawing
from bench.time_to_accuracy.cells import Cells, Found, Task
from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.statistics import from_seeds, mean_interval

Key = tuple[Task, str, float]
LINES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def grouped(cells: Cells) -> dict[Key, dict[int, Found]]:
    """What was found, by task, arm and time, of each seed."""
    rows: dict[Key, dict[int, Found]] = {}
    for done in cells.done:
        if done.found is not None:
            cell = done.cell
            rows.setdefault((cell.task, cell.arm, cell.seconds), {})[cell.seed] = done.found
    return dict(sorted(rows.items(), key=lambda row: (row[0][0].name, row[0][2], row[0][1])))


def lines(cells: Cells) -> Iterator[str]:
    """The whole report as text."""
    rows = grouped(cells)
    yield f"Judged by the {cells.judge} images; ours is `{cells.ours}`. A row: trainings of that time, to their end.\n"
    yield "| task | seconds | arm | seeds | accuracy, % | network, M MACs | training, T MACs | epochs | took, s |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for (task, arm, seconds), found in rows.items():
        each = list(found.values())

        def mean(name: str, over: float = 1.0, each: Sequence[Found] = each) -> float:
            return statistics.fmean(getattr(row, name) for row in each) / over

        accuracy = f"{100 * mean('accuracy'):.1f}"
        yield (
            f"| {task.name} | {seconds:g} | {arm} | {len(each)} | {accuracy} | {mean('macs', 1e6):.1f} "
            f"| {mean('training_macs', 1e12):.2f} | {mean('epochs'):.1f} | {mean('took_seconds'):.1f} |"
        )
    yield "\nDifferences of accuracy, points, paired by seeds (95 %, t):\n"
    yield from differences(rows)
    yield "\nSeconds until an arm's accuracy is the other's at its longest time, and how many times sooner that is:\n"
    yield from sooner(rows)
    for done in cells.done:
        if done.error is not None:
            yield f"\n{done.cell.name} has nothing: {done.error}"


def differences(rows: Mapping[Key, Mapping[int, Found]]) -> Iterator[str]:
    """`ours` minus each other arm."""
    for (task, arm, seconds), others in rows.items():
        ours = rows.get((task, "ours", seconds), {})
        seeds = sorted(ours.keys() & others.keys())
        if arm == "ours" or not seeds:
            continue
        pairs = [100 * (ours[seed].accuracy - others[seed].accuracy) for seed in seeds]
        mean, (low, high) = statistics.fmean(pairs), mean_interval(from_seeds(pairs))
        interval = f"({low:+.1f} to {high:+.1f})" if len(pairs) > 1 else "(one seed has no interval)"
        yield f"- {task.name}, {seconds:g} s: ours - {arm} {mean:+.1f} {interval}, {len(seeds)} seeds"


def curve(rows: Mapping[Key, Mapping[int, Found]], task: Task, arm: str) -> list[tuple[float, float, float]]:
    """(seconds, mean training MACs, mean accuracy) of each time, the shortest first."""
    return sorted(
        (
            seconds,
            statistics.fmean(one.training_macs for one in found.values()),
            statistics.fmean(one.accuracy for one in found.values()),
        )
        for (of, by, seconds), found in rows.items()
        if (of, by) == (task, arm)
    )


def sooner(rows: Mapping[Key, Mapping[int, Found]]) -> Iterator[str]:
    """When ours has the accuracy of each other arm's longest time."""
    for task, arm in dict.fromkeys((task, arm) for task, arm, _ in rows if arm != "ours"):
        ours, theirs = curve(rows, task, "ours"), curve(rows, task, arm)
        if not ours or not theirs:
            continue
        seconds, _, accuracy = theirs[-1]
        reached = reaches([(at, value) for at, _, value in ours], accuracy)
        told = "not in the times that were measured" if reached is None else f"{seconds / reached:.1f} times sooner"
        at = "" if reached is None else f"{reached:.0f} s, "
        yield f"- {task.name}: {arm} has {100 * accuracy:.1f} % at {seconds:g} s; ours {at}{told}"


def reaches(points: Sequence[tuple[float, float]], accuracy: float) -> float | None:
    """The time at which a line through the points, in the logarithm of time, first has an accuracy; at the earliest
    the first point's, for nothing is known before."""
    if points[0][1] >= accuracy:
        return points[0][0]
    for (before, low), (after, high) in pairwise(points):
        if high >= accuracy:
            return before * (after / before) ** ((accuracy - low) / (high - low))
    return None


def draw(cells: Cells, file: Path) -> None:
    """Accuracy against time and against training MACs, a row a task."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    rows = grouped(cells)
    tasks = list(dict.fromkeys(task for task, _, _ in rows))
    arms = sorted({arm for _, arm, _ in rows}, key=lambda arm: (arm != "ours", arm))
    height = 250
    with house_style():
        figure = new_figure(860, height * len(tasks))
        for place, task in enumerate(tasks):
            below = height * (len(tasks) - 1 - place) + 52
            for column, (what, words) in enumerate(((0, "seconds"), (1, "training multiply-adds, 10^12"))):
                axes = Place(50 + 430 * column, below, 330, height - 96).on(figure)
                axes.set_xscale("log")
                axes.set_xlabel(words)
                axes.set_title(f"{task.name}: accuracy, %", pad=10, loc="left")
                for arm, line in zip(arms, LINES * len(arms), strict=False):
                    points = curve(rows, task, arm)
                    if not points:
                        continue
                    across = [point[what] / (1.0, 1e12)[what] for point in points]
                    colour = COLOURS["accent" if arm == "ours" else "quiet"]
                    up = [100 * point[2] for point in points]
                    axes.plot(across, up, linestyle=line, marker="o", markersize=5, color=colour)
                    axes.annotate(
                        arm, (across[-1], up[-1]), (7, 0), textcoords="offset points", va="center", color=colour
                    )
                if what == 0:
                    ticks = sorted({point[what] for arm in arms for point in curve(rows, task, arm)})
                    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                else:
                    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                axes.minorticks_off()
        described = (
            f"Accuracy of {len(arms)} arms on {len(tasks)} tasks against the time and the multiply-adds of a training"
        )
        save_drawing(inline_svg(figure, "sooner-", described), file)
