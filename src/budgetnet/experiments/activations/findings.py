"""What the numbers of a study of activations show and what they do not, in plain sentences made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from budgetnet.draw.wording import counted, listed
from budgetnet.experiments.activations.measures import DEAD_SHARE, MEASURES, TRAIN_LOSS, Measure
from budgetnet.experiments.activations.result import StudiedActivation
from budgetnet.statistics import PairedDifference
from budgetnet.training.chance import failed_seeds

Differences = Mapping[str, Sequence[PairedDifference]]
"""The paired differences of each measure are found by its name."""


def findings(twins: Sequence[StudiedActivation], differences: Differences) -> tuple[str, ...]:
    """Sentences: what differs between twins and what not, how far seeds lie apart, where beta went, what to beware."""
    titles = {twin.name: twin.title for twin in twins}
    return (
        *_headline(differences, titles),
        *(
            sentence
            for measure in MEASURES
            if measure is not DEAD_SHARE  # it has a sentence of its own
            for sentence in _measure(measure, differences[measure.name], titles)
        ),
        *_spread(twins),
        f"Dead units at the end, all seeds together: "
        f"{listed([f'{twin.title} {twin.dead:,} of {twin.units:,}' for twin in twins])}.",
        *(sentence for twin in twins for sentence in _betas(twin)),
        *_beware(twins),
    )


def _headline(differences: Differences, titles: Mapping[str, str]) -> Iterator[str]:
    """How many differences there are, and which are significant when all are counted."""
    rows = [(each, pair) for each in MEASURES for pair in differences[each.name] if pair.low is not None]
    if not rows:
        return
    together = [(measure, pair) for measure, pair in rows if pair.significant_holm]
    alone = sum(pair.significant for _, pair in rows) - len(together)
    shown = [f"{measure.title} ({titles[pair.a]} and {titles[pair.b]})" for measure, pair in together]
    yield (
        f"Of {counted(len(rows), 'difference')}, all counted together (Holm), {len(together)} shown to differ"
        f"{f': {listed(shown)}' if shown else ''}; {alone} apart only if looked at alone; "
        f"{len(rows) - len(together) - alone} inside the spread."
    )


def _measure(measure: Measure, pairs: Sequence[PairedDifference], titles: Mapping[str, str]) -> Iterator[str]:
    """What is said of a measure: pairs that differ with their intervals, pairs that do not."""

    def told(pair: PairedDifference) -> str:
        return f"{titles[pair.a]} minus {titles[pair.b]} {measure.difference_text(pair)}"

    together = [told(pair) for pair in pairs if pair.significant_holm]
    alone = [told(pair) for pair in pairs if pair.significant > pair.significant_holm]
    inside = [f"{titles[row.a]} and {titles[row.b]}" for row in pairs if row.low is not None and not row.significant]
    parts = [f"shown to differ: {'; '.join(together)}"] if together else []
    parts += [f"apart if looked at alone, not when all are counted: {'; '.join(alone)}"] if alone else []
    parts += [f"inside the spread: {'; '.join(inside)}"] if inside else []
    if parts:
        rest = "".join(f". {part[0].upper()}{part[1:]}" for part in parts[1:])
        yield f"{measure.title.capitalize()}, {measure.unit}: {parts[0]}{rest}."


def _spread(twins: Sequence[StudiedActivation]) -> Iterator[str]:
    """How far the seeds of a twin end from one another: what there is to see of poor minima."""
    seeds = len(twins[0].trainings)
    spreads = [(twin.title, twin.measures[TRAIN_LOSS.name]) for twin in twins]
    parts = [
        f"{title} {TRAIN_LOSS.text(min(spread.values))} to {TRAIN_LOSS.text(max(spread.values))}"
        for title, spread in spreads
        if spread is not None
    ]
    if seeds > 1 and parts:
        yield (
            f"From the best seed to the worst, {TRAIN_LOSS.title}, {TRAIN_LOSS.unit}: {listed(parts)}. With {seeds} "
            f"seeds each, a poor minimum that comes less than once in {seeds} trainings may not be among them."
        )


def _betas(twin: StudiedActivation) -> Iterator[str]:
    """Where the trained betas ended."""
    if not twin.layers:
        return
    ends = np.array([training.betas[-1] for training in twin.trainings], np.float64)
    if not np.isfinite(ends).all():
        return
    means = ends.mean(0)
    above, below = int((ends > twin.beta).all(0).sum()), int((ends < twin.beta).all(0).sum())
    low, high = int(means.argmin()), int(means.argmax())
    yield (
        f"{twin.title}: of {counted(len(means), 'layer')}, {above} ended above {twin.beta:g} in every seed and {below} "
        f"below it. Mean over the seeds from {means[low]:.2f} ({twin.layers[low]}) to {means[high]:.2f} "
        f"({twin.layers[high]}), over all {means.mean():.2f}."
    )


def _beware(twins: Sequence[StudiedActivation]) -> Iterator[str]:
    for twin in twins:
        yield from failed_seeds(twin.title, twin.trainings)
    seeds = len(twins[0].trainings)
    if seeds == 1:
        yield "One seed is one training of each: there are no intervals but those that the choice of images leaves."
    if seeds == 2:
        yield "Two seeds hardly say how much trainings differ by luck."
