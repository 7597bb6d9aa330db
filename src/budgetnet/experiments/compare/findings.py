"""What the numbers of a comparison show and what they do not, in plain sentences made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from budgetnet.draw.wording import counted, listed
from budgetnet.experiments.compare.result import Compared
from budgetnet.statistics import PairedDifference
from budgetnet.training.chance import failed_seeds

UNEVEN = 1.2
"""A statement says so where the longest training is more than this many times as long as the shortest."""


def findings(
    networks: Sequence[Compared], pairs: Sequence[PairedDifference], test_images: int, reference: str | None = None
) -> tuple[str, ...]:
    """Sentences: how much was asked, which pairs differ, which are not shown to, what to beware of.

    `networks` are in the order of their accuracy; with a `reference` all pairs are those with it.
    """
    labels = {row.id: row.label for row in networks}
    first = _best(networks, pairs, labels) if reference is None else _changes(pairs, labels, reference)
    return (
        _asked(networks, test_images),
        *first,
        *(_differing(pairs, labels) if reference is None or any(row.significant_holm for row in pairs) else ()),
        *_alike(pairs, labels),
        *_beware(networks, pairs),
    )


def _asked(networks: Sequence[Compared], test_images: int) -> str:
    seeds = len(networks[0].seeds)
    each = networks[0].seeds[0].count
    images = f"{each:,} test images" if test_images == each else f"{each:,} test images a seed, {test_images:,} in all"
    return f"{counted(len(networks), 'network')}, {counted(seeds, 'seed')} each, {images}."


def _best(networks: Sequence[Compared], pairs: Sequence[PairedDifference], labels: Mapping[str, str]) -> Iterator[str]:
    if len(networks) < 2:
        yield "There is nothing to compare it with."
        return
    best = networks[0]
    open_rows = [row.b for row in pairs if row.a == best.id and not row.significant_holm]
    what = f"{best.label} has the highest mean, {_percent(best.accuracy)}"
    if open_rows:
        others = listed([labels[name] for name in open_rows])
        yield f"{what}, but that is not shown to be more than {others}."
    else:
        yield f"{what}, and that is more than every other's."


def _changes(pairs: Sequence[PairedDifference], labels: Mapping[str, str], reference: str) -> Iterator[str]:
    """What changing the reference does."""
    groups = {
        "shown to cost accuracy": [labels[row.b] for row in pairs if row.significant_holm and row.difference > 0],
        "shown to gain some": [labels[row.b] for row in pairs if row.significant_holm and row.difference < 0],
    }
    parts = [f"{listed(names)} {_are(names)} {what}" for what, names in groups.items() if names]
    said = "; ".join(parts) or "none is shown to cost accuracy or to gain some"
    yield f"Of {counted(len(pairs), 'change')} to {labels[reference]}: {said}."


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _differing(pairs: Sequence[PairedDifference], labels: Mapping[str, str]) -> Iterator[str]:
    rows = [row if row.difference >= 0 else row.turned() for row in pairs if row.significant_holm]
    if rows:
        parts = [f"{name} than {listed(others)}" for name, others in _grouped(rows, labels, _points).items()]
        yield f"More accurate: {'; '.join(parts)}."
    elif pairs:
        yield "No pair is shown to differ."


def _alike(pairs: Sequence[PairedDifference], labels: Mapping[str, str]) -> Iterator[str]:
    rows = [row for row in pairs if not row.significant]
    if rows:
        yield f"No difference shown, for its interval includes 0: {_from(rows, labels)}."
    rows = [row for row in pairs if row.significant and not row.significant_holm]
    if rows:
        yield (
            f"Shown to differ only if the pair is looked at alone, and not when all {len(pairs)} pairs are counted, "
            f"of which one in twenty would seem to differ by chance: {_from(rows, labels)}."
        )


def _from(rows: Sequence[PairedDifference], labels: Mapping[str, str]) -> str:
    """x from y and z; y from z."""
    return "; ".join(f"{name} from {listed(others)}" for name, others in _grouped(rows, labels).items())


def _grouped(
    rows: Sequence[PairedDifference], labels: Mapping[str, str], more: Callable[[PairedDifference], str] | None = None
) -> dict[str, list[str]]:
    """The others of every network that stands first in a pair, with what else is said of each."""
    grouped: dict[str, list[str]] = {}
    for row in rows:
        text = labels[row.b] if more is None else f"{labels[row.b]} by {more(row)}"
        grouped.setdefault(labels[row.a], []).append(text)
    return grouped


def _beware(networks: Sequence[Compared], pairs: Sequence[PairedDifference]) -> Iterator[str]:
    seeds = len(networks[0].seeds)
    if seeds == 1:
        yield "One seed is one training of each: another could change the order by more than the intervals say."
    if seeds == 2:
        yield "Two seeds hardly say how much trainings differ by luck: where that is much, intervals are too narrow."
    if seeds > 1 and pairs and any((row.error_seeds or 0.0) > row.error_images for row in pairs):
        many = sum((row.error_seeds or 0.0) > row.error_images for row in pairs)
        of = f"In {many} of {len(pairs)} pairs" if many < len(pairs) else "In every pair"
        yield f"{of} the seeds differ by more than the choice of images explains; more seeds would tell more."
    for row in networks:
        yield from failed_seeds(row.label, row.seeds)
    took = [row.training_seconds for row in networks if row.training_seconds is not None]
    if took and max(took) > UNEVEN * min(took):
        yield (
            f"Trainings took {min(took):.0f} to {max(took):.0f} s, though they should take equally long: steps are "
            "counted before, by a speed that was then measured."
        )
    if len({row.recipe for row in networks}) > 1:
        yield "Recipes differ, because some networks begin from pretrained weights and some from nothing."


def _points(row: PairedDifference) -> str:
    return f"{100 * row.difference:+.1f} points ({100 * (row.low or 0.0):+.1f} to {100 * (row.high or 0.0):+.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
