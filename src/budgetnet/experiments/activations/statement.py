"""What the numbers of a study of twins show and what they do not, in plain sentences made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from budgetnet.draw.wording import counted, listed
from budgetnet.experiments.activations.result import MEASURES, Twin, TwinDifference
from budgetnet.inspect.landscape.training.words import TITLES, UNITS, difference_text, measure_text

SAID = tuple(name for name in MEASURES if name != "dead_share")
"""Measures that each have a sentence; dead units have one of their own."""


def statement(twins: Sequence[Twin], differences: Sequence[TwinDifference]) -> tuple[str, ...]:
    """Sentences: what differs between twins and what not, how far seeds lie apart, where beta went, what to beware."""
    titles = {row.name: row.title for row in twins}
    return (
        *_headline(differences, titles),
        *(sentence for name in SAID for sentence in _measure(name, differences, titles)),
        *_spread(twins),
        *_dead(twins),
        *_betas(twins),
        *_beware(twins),
    )


def _headline(differences: Sequence[TwinDifference], titles: Mapping[str, str]) -> Iterator[str]:
    """How many differences there are, and which stand when all are counted."""
    rows = [row for row in differences if row.low is not None]
    stand = [row for row in rows if row.stands]
    alone = sum(row.differs for row in rows) - len(stand)
    if not rows:
        return
    shown = listed([f"{TITLES[row.measure]} ({titles[row.a]} and {titles[row.b]})" for row in stand]) if stand else ""
    yield (
        f"Of {counted(len(rows), 'difference')}, all counted together (Holm), {len(stand)} shown to differ"
        f"{': ' + shown if shown else ''}; {alone} apart only if looked at alone; {len(rows) - len(stand) - alone} "
        "inside the spread."
    )


def _measure(measure: str, differences: Sequence[TwinDifference], titles: Mapping[str, str]) -> Iterator[str]:
    """What is said of a measure: pairs that differ with their intervals, pairs that do not."""
    rows = [row for row in differences if row.measure == measure]
    told = [_told(row, titles) for row in rows if row.stands]
    alone = [_told(row, titles) for row in rows if row.differs and not row.stands]
    open_rows = [f"{titles[row.a]} and {titles[row.b]}" for row in rows if row.low is not None and not row.differs]
    parts = [f"shown to differ: {'; '.join(told)}"] if told else []
    parts += [f"apart if looked at alone, not when all are counted: {'; '.join(alone)}"] if alone else []
    parts += [f"inside the spread: {'; '.join(open_rows)}"] if open_rows else []
    if parts:
        yield f"{TITLES[measure].capitalize()}, {UNITS[measure]}: {'. '.join(_capital(parts))}."


def _capital(parts: Sequence[str]) -> Iterator[str]:
    """The first part goes on from a colon; the others begin a sentence."""
    return (part if place == 0 else part[0].upper() + part[1:] for place, part in enumerate(parts))


def _told(row: TwinDifference, titles: Mapping[str, str]) -> str:
    return f"{titles[row.a]} minus {titles[row.b]} {difference_text(row.measure, row.mean, row.low, row.high)}"


def _spread(twins: Sequence[Twin]) -> Iterator[str]:
    """How far the seeds of a twin end from one another: what there is to see of poor minima."""
    seeds = len(twins[0].trainings)
    spreads = [(row.title, row.spread("train_loss")) for row in twins]
    known = [(title, spread) for title, spread in spreads if spread is not None]
    if seeds < 2 or not known:
        return
    parts = [
        f"{title} {measure_text('train_loss', min(spread.values))} to {measure_text('train_loss', max(spread.values))}"
        for title, spread in known
    ]
    yield (
        f"From the best seed to the worst, {TITLES['train_loss']}, {UNITS['train_loss']}: {listed(parts)}. "
        f"With {seeds} seeds each, a poor minimum that comes less than once in {seeds} trainings may not be among them."
    )


def _dead(twins: Sequence[Twin]) -> Iterator[str]:
    parts = []
    for row in twins:
        dead, units = (sum(getattr(one, name) for one in row.trainings) for name in ("dead", "units"))
        parts.append(f"{row.title} {dead:,} of {units:,}")
    yield f"Dead units at the end, all seeds together: {listed(parts)}."


def _betas(twins: Sequence[Twin]) -> Iterator[str]:
    """Where the trained betas ended."""
    for row in twins:
        if not row.trainable or not row.trainings[0].layers:
            continue
        ends = np.array([one.betas[-1] for one in row.trainings])
        if not np.isfinite(ends).all():
            continue
        means, many = ends.mean(0), ends.shape[1]
        above, below = int((ends > row.beta).all(0).sum()), int((ends < row.beta).all(0).sum())
        low, high = int(means.argmin()), int(means.argmax())
        layers = row.trainings[0].layers
        yield (
            f"{row.title}: of {counted(many, 'layer')}, {above} ended above {row.beta:g} in every seed and {below} "
            f"below it. Mean over the seeds from {means[low]:.2f} ({layers[low]}) to {means[high]:.2f} "
            f"({layers[high]}), over all {means.mean():.2f}."
        )


def _beware(twins: Sequence[Twin]) -> Iterator[str]:
    seeds = len(twins[0].trainings)
    for row in twins:
        lost = [str(one.seed) for one in row.trainings if one.diverged]
        if lost:
            yield f"{row.title} diverged in seed {listed(lost)}: answers are no numbers, and its losses are left out."
    if seeds == 1:
        yield "One seed is one training of each: there are no intervals but those that the choice of images leaves."
    if seeds == 2:
        yield "Two seeds hardly say how much trainings differ by luck."
