"""The measures of a study of twins in words: titles, units, digits. The same on cards, on the page, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from budgetnet.draw.wording import MINUS, counted, percent, signed

TITLES: Mapping[str, str] = {
    "last_loss": "loss of the last steps",
    "train_loss": "loss on training images",
    "accuracy": "validation accuracy",
    "loss_range": "range of the loss along the gradient",
    "gradient_change": "change of the gradient along itself",
    "first_order_error": "error of the first-order promise",
    "relative_smoothness": "largest gradient change over distance",
    "dead_share": "dead units",
}
UNITS: Mapping[str, str] = {
    "last_loss": "nats",
    "train_loss": "nats",
    "accuracy": "points",
    "loss_range": "nats",
    "gradient_change": "of its length",
    "first_order_error": "of the promise",
    "relative_smoothness": "relative",
    "dead_share": "points",
}
DIGITS: Mapping[str, int] = {"accuracy": 1, "relative_smoothness": 0, "dead_share": 1}
PROBED = ("loss_range", "gradient_change", "first_order_error", "relative_smoothness")
"""The measures of the probes of a gradient."""
SHARES = ("accuracy", "dead_share")
"""The measures that people read in percent."""
MEANS: Mapping[str, str] = {
    "last_loss": "mean over the last steps, on augmented batches, as trained",
    "train_loss": "at the end, of a fixed set of training images, without augmentation; cross-entropy",
    "accuracy": "at the end, on all validation images",
    "loss_range": "largest minus smallest loss over the lengths",
    "gradient_change": f"|g(t) {MINUS} g| / |g|, mean over the lengths: 0 where the gradient stays what it is",
    "first_order_error": "how far the loss is from what the gradient promises, as a share of it; mean over the lengths",
    "relative_smoothness": f"max (|g(t) {MINUS} g| / |g|) / (|w(t) {MINUS} w| / |w|) of all lengths: low is smooth",
    "dead_share": "no gradient gets through on any validation image; gates are not counted",
}


def _scaled(measure: str, value: float) -> tuple[float, int]:
    return (100 * value if measure in SHARES else value), DIGITS.get(measure, 3)


def measure_text(measure: str, value: float) -> str:
    """A value: 0.534, or 71.2 where it is a share."""
    number, digits = _scaled(measure, value)
    return f"{number:,.{digits}f}"


def spread_of(measure: str, spread: Mapping[str, Any] | None) -> str:
    """0.534 ± 0.012: mean and standard deviation over the seeds; a dash where a seed has no number."""
    if spread is None:
        return "\N{EN DASH}"
    text = measure_text(measure, spread["mean"])
    return text if spread["deviation"] is None else f"{text} ± {measure_text(measure, spread['deviation'])}"


def difference_text(measure: str, mean: float, low: float | None, high: float | None) -> str:
    """-0.012 (-0.020 to -0.004), with signs as wide as a plus."""
    parts = [signed(*_scaled(measure, value)) for value in (mean, low, high) if value is not None]
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({parts[1]} to {parts[2]})"


def what_was_trained(row: Mapping[str, Any]) -> str:
    """What a sheet of trainings shows."""
    return (
        f"{row['network']} on {row['data']}, {counted(row['seeds'], 'seed')} each, {row['steps']:,} steps of "
        f"{row['batch']} images ({row['epochs']:.1f} epochs), recipe {row['recipe']}. Twins of a seed have the same "
        "split, random numbers and batches."
    )


def verdict_of(difference: Mapping[str, Any]) -> str:
    """Whether the two differ, in a word."""
    if difference["low"] is None:
        return "one seed cannot tell"
    return "yes" if difference["stands"] else "alone" if difference["differs"] else "inside the spread"


def end_title(measure: str) -> str:
    """The title of a card: with its unit."""
    return f"{TITLES[measure].capitalize()}, {'%' if measure in SHARES else UNITS[measure]}"


def dead_text(trainings: Sequence[Mapping[str, Any]]) -> str:
    """Dead of all units, over all seeds."""
    dead, units = (sum(one[name] for one in trainings) for name in ("dead", "units"))
    return f"{dead:,} of {units:,} ({percent(dead / units)})"
