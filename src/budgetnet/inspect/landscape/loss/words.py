"""Losses around weights as people read them, the same on a sheet, on the page and in a terminal."""

from __future__ import annotations

import math
from typing import cast

from budgetnet.draw.wording import MINUS, counted, plain
from budgetnet.inspect.landscape.functions import TITLES
from budgetnet.inspect.landscape.loss.values import Eigenvalue, LossLandscape, RunLoss
from budgetnet.networks import ActivationKind

MOST_PLACES = 6
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SPLITS = {"train": "training"}


def activations(run: RunLoss) -> str:
    """ReLU, hard-swish."""
    titles = [TITLES.get(cast(ActivationKind, kind), kind) for kind in run.activations if kind != "identity"]
    return ", ".join(titles)


def what_it_is(landscape: LossLandscape) -> str:
    """What a sheet of losses shows."""
    many, split = len(landscape.runs) > 1, SPLITS.get(landscape.split, landscape.split)
    return (
        f"The loss on {counted(landscape.images, f'{split} image')}, without augmentation, where the "
        "weights are moved away from the trained ones along random directions, filter by filter as long as the "
        f"weights themselves.{' All networks have the same random numbers and the same images.' if many else ''}"
    )


def loss_text(value: float | None) -> str:
    """Three digits: 0.0869, 4.31."""
    if value is None:
        return "no number"
    digits = f"{value:.3g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.1e}"
    return digits.replace("-", MINUS)


def rise_text(run: RunLoss) -> str:
    """1.21 ± 0.31: mean and standard deviation over the draws, to as many places, three digits of the mean."""
    if run.rise is None:
        return "no number"
    size = abs(run.rise.mean)
    places = min(max(2 - math.floor(math.log10(size)), 0), MOST_PLACES) if size else 2
    text = f"{run.rise.mean:.{places}f}".replace("-", MINUS)
    return text if run.rise.deviation is None else f"{text} ± {run.rise.deviation:.{places}f}"


def eigenvalue_text(found: Eigenvalue) -> str:
    """43.6, or at least 43.6 where it did not converge."""
    return ("" if found.converged else "at least ") + three_digits(found.value)


def three_digits(value: float) -> str:
    """24.0, 145, 12,345."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    return text.replace("-", MINUS)


def three_digits_at_most(value: float) -> str:
    """Of an axis: 0.05, 20, 1,000."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", MINUS)


def power_of_ten(value: float) -> str:
    """Of an axis over many decades: 10⁶ for a million."""
    return f"10{str(round(math.log10(value))).translate(RAISED)}"


def verdict(landscape: LossLandscape) -> str:
    """How the first two twins stand to one another; empty for one run."""
    if len(landscape.runs) < 2:
        return ""
    one, other = landscape.runs[:2]
    pairs = [(a, b) for a, b in zip(one.rises, other.rises, strict=True) if a is not None and b is not None]
    more = sum(a > b for a, b in pairs)
    return (
        f"At a distance of {plain(landscape.around.radius)} the loss of {one.label} rises by {rise_text(one)}, that "
        f"of {other.label} by {rise_text(other)} (nats); that of {one.label} rises more in {more} of {len(pairs)} "
        "directions. "
        f"The Hessian's largest eigenvalue is {eigenvalue_text(one.eigenvalue)} for {one.label} and "
        f"{eigenvalue_text(other.eigenvalue)} for {other.label}. One training each: "
        "other seeds of the same network may differ as much."
    )
