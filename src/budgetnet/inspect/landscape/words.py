"""Measured numbers as people read them, the same on a sheet, on the page and in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from budgetnet.draw.wording import MINUS, counted, plain
from budgetnet.inspect.landscape.plane import ActivationLandscape, OutputLandscape, OutputNumbers, Spread

MEASURE_TITLES: Mapping[str, str] = {
    "total_variation": "total variation",
    "bend": "bend",
    "largest_bend": "largest bend",
    "edge_growth": "edge growth",
    "kink_share": "cells with a kink",
    "kinks_per_length": "kinks in a length of 1",
}
DIGITS: Mapping[str, int] = {"edge_growth": 3, "largest_bend": 1, "kinks_per_length": 1}
ON_A_CARD = ("total_variation", "bend", "edge_growth", "kink_share")


def spread_text(measure: str, spread: Spread) -> str:
    """0.61 ± 0.13: mean and standard deviation over the seeds; shares in percent; a plain 0 where there is none."""
    if spread.mean == 0.0 and not spread.deviation:
        return "0"
    share = measure == "kink_share"
    factor, digits = (100.0, 1) if share else (1.0, DIGITS.get(measure, 2))
    text = f"{factor * spread.mean:.{digits}f}"
    if spread.deviation is not None:
        text += f" ± {factor * spread.deviation:.{digits}f}"
    return text + "\N{NO-BREAK SPACE}%" if share else text


def measured(row: ActivationLandscape) -> tuple[tuple[str, str], ...]:
    """(name, value) of the measures that stand on a card."""
    return tuple((MEASURE_TITLES[name], spread_text(name, row.spread(name))) for name in ON_A_CARD)


def numbers_are(seeds: int) -> str:
    """What stands before and behind the ±."""
    return "Numbers: one seed" if seeds == 1 else f"Numbers: mean ± standard deviation of {seeds} seeds"


def what_it_is(landscape: OutputLandscape) -> str:
    """What a sheet of landscapes shows."""
    plane = landscape.plane
    return (
        f"One number out of a network of {counted(plane.layers, 'dense layer')} of {counted(plane.units, 'unit')}, "
        f"as it is initialised, over the plane of its two inputs x₁ and x₂, each from {plain(-plane.extent)} to "
        f"{plain(plane.extent)}. Total variation: how far the output goes up and down, in standard deviations, while "
        "an input moves by 1. Bend: how much its slope turns on that way. The pictures are of seed 0. "
        f"{numbers_are(landscape.seeds)}."
    )


def verdict(found: OutputNumbers) -> str:
    """How ReLU's landscape stands to that of Swish, beta = 1; empty without both."""
    measures = {row.name: row.measures for row in found.activations}
    if not {"relu", "swish"} <= measures.keys():
        return ""
    relu, swish = measures["relu"], measures["swish"]
    pairs = list(zip(relu["bend"].values, swish["bend"].values, strict=True))
    more = sum(a > b for a, b in pairs)
    seeds = "the one seed" if len(pairs) == 1 else f"{more} of {len(pairs)} seeds"
    times = relu["bend"].mean / swish["bend"].mean
    return (
        f"ReLU bends more than Swish β = 1 in {seeds}, {times:.1f} times as much in the mean. Where the grid becomes "
        f"twice as fine, ReLU's bends grow {relu['edge_growth'].mean:.2f} times (edges do so 1.41 times), those of "
        f"Swish {swish['edge_growth'].mean:.2f} times. Along a length of 1 ReLU goes up and down by "
        f"{relu['total_variation'].mean:.2f} standard deviations in the mean, Swish by "
        f"{swish['total_variation'].mean:.2f}."
    )


def interval_text(pair: Sequence[float]) -> str:
    """−6 to −3.02: the ends of an interval."""
    return " to ".join(f"{end:.3g}".replace("-", MINUS) for end in pair)


def signed(value: float, digits: int = 3) -> str:
    """A number with a minus that is as wide as a plus; never a minus before a plain 0."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)
