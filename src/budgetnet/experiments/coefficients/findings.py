"""What a search for coefficients shows and what it does not, in plain sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from budgetnet.budgets.coefficient_space import Interval, Region
from budgetnet.draw.wording import counted, listed
from budgetnet.experiments.coefficients.result import Check, Needed, Ranked, ScoreDifference
from budgetnet.networks.scaling import Coefficients
from budgetnet.training.chance import failed_seeds, nothing_learned

MOST_SEEDS = 1000
"""Two networks that more seeds than this are needed to tell apart are equal for all that matters."""


def findings(
    ranking: Sequence[Ranked],
    differences: Sequence[ScoreDifference],
    alike: Sequence[str],
    needed: Sequence[Needed],
    check: Check,
) -> tuple[str, ...]:
    """Sentences: the answer, what it is not shown to differ from, its region, the cost of knowing more, the check."""
    labels = {row.id: named(row) for row in ranking}
    best, seeds = ranking[0], len(ranking[0].score.seeds)
    return (
        _answer(best),
        *_alike(best, alike, labels, len(differences)),
        *_against_paper(ranking, differences),
        _region(best.region),
        *_needed(needed, labels, seeds),
        *_check(check),
        *_beware(ranking, seeds),
    )


def named(row: Ranked) -> str:
    """n03 (1.24, 1.06, 1.12)."""
    return f"{row.id} ({triple(row.coefficients)})"


def triple(chosen: Coefficients) -> str:
    """alpha, beta, gamma to three digits."""
    return f"{chosen.alpha:.3g}, {chosen.beta:.3g}, {chosen.gamma:.3g}"


def _answer(best: Ranked) -> str:
    score = best.score
    return (
        f"alpha, beta, gamma = {triple(best.coefficients)} has the lowest log loss on the validation images: "
        f"{score.log_loss:.3f} ({score.log_loss_low:.3f} to {score.log_loss_high:.3f}), {100 * score.accuracy:.1f} % "
        "right."
    )


def _alike(best: Ranked, alike: Sequence[str], labels: dict[str, str], pairs: int) -> Iterator[str]:
    if alike:
        others = listed([labels[name] for name in alike])
        yield f"It is not shown to differ from {others}: the answer could be any of them."
    elif pairs:
        yield "It is shown to differ from every other of the last rung, also when all pairs are counted."


def _against_paper(ranking: Sequence[Ranked], differences: Sequence[ScoreDifference]) -> Iterator[str]:
    paper = next(row for row in ranking if row.paper)
    if paper is ranking[0]:
        yield "That network is the one nearest to the paper's choice (1.2, 1.1, 1.15)."
        return
    row = next((row for row in differences if row.b == paper.id and row.a == ranking[0].id), None)
    if row is not None:
        verdict = "which is shown to be better" if row.log_loss.significant_holm else "no difference shown"
        yield f"Against {named(paper)}, the network nearest to the paper's choice: {_apart(row)}; {verdict}."


def _apart(row: ScoreDifference) -> str:
    """-0.012 in log loss (-0.030 to +0.006), +1.2 points of accuracy (-0.3 to +2.7)."""
    (low, high), (worst, best) = row.interval, row.accuracy_interval
    return (
        f"{row.log_loss.difference:+.3f} in log loss ({low:+.3f} to {high:+.3f}), {100 * row.accuracy.difference:+.1f} "
        f"points of accuracy ({100 * worst:+.1f} to {100 * best:+.1f})"
    )


def _region(region: Region) -> str:
    sides = zip(("alpha", "beta", "gamma"), region.sides, strict=True)
    parts = [f"{name} {between(side)}" for name, side in sides]
    return f"No data can say more than the box that gives this network: {listed(parts)}."


def between(side: Interval) -> str:
    """from 1.12 to 1.16; exactly 1."""
    return f"exactly {side.low:g}" if side.top == side.low else f"from {side.low:.4g} to {side.high:.4g}"


def _needed(needed: Sequence[Needed], labels: dict[str, str], seeds: int) -> Iterator[str]:
    for row in needed:
        what = f"To tell {labels[row.a]} from {labels[row.b]}, if they differ as much as they seemed to,"
        many = seeds * row.times
        if many > MOST_SEEDS:
            yield f"{what} would take more than {MOST_SEEDS:,} seeds: take them as equal."
            continue
        alone = (
            f", or {row.seeds} seeds on these images"
            if row.seeds is not None
            else "; no number of seeds is enough on these"
        )
        yield (
            f"{what} takes {row.times:.1f} times the seeds and the images ({many:.0f} seeds, {row.hours:.1f} h of "
            f"training here){alone}."
        )


def _check(check: Check) -> Iterator[str]:
    if check.same:
        yield (
            f"At phi = {check.phi:g} the found coefficients and the paper's give the same network at this cost: there "
            "is nothing to check."
        )
        return
    row = check.difference
    assert row is not None
    found, paper = check.networks
    lost = {one.id: [seed.seed for seed in one.score.seeds if not seed.learned] for one in check.networks}
    for one, seeds in lost.items():
        if seeds:
            yield nothing_learned(f"In the check at phi = {check.phi:g} the {one} coefficients' network", seeds)
    if any(len(lost[one.id]) == len(one.score.seeds) for one in check.networks):
        return
    better = "shown to be better" if row.log_loss.difference < 0 else "shown to be worse"
    verdict = better if row.log_loss.significant_holm else "no difference shown"
    yield (
        f"Checked at phi = {check.phi:g} on the test images, which no choice has seen: the found coefficients get "
        f"{100 * found.score.accuracy:.1f} %, the paper's {100 * paper.score.accuracy:.1f} % with a cost that is "
        f"{_cost(found.cost, paper.cost)}; {_apart(row)}; {verdict}."
    )


def _beware(ranking: Sequence[Ranked], seeds: int) -> Iterator[str]:
    if seeds == 1:
        yield "One seed is one training of each: another could change the order by more than the intervals say."
    early = sum(not row.finalist for row in ranking)
    if early:
        yield (
            f"{counted(early, 'network')} left the race earlier, on one seed and short trainings: their scores compare "
            "with those of their own rung alone."
        )
    for row in ranking:
        # Trainings of early rungs are so short that they need not have learned anything.
        seeds_of = row.score.seeds if row.finalist else [one for one in row.score.seeds if one.diverged]
        yield from failed_seeds(named(row), seeds_of)


def _cost(found: int, paper: int) -> str:
    """the same; 10 % lower: whole blocks, channels and pixels do not allow any nearer."""
    percent = round(100 * (paper / found - 1))
    return "the same" if percent == 0 else f"{abs(percent)} % {'lower' if percent < 0 else 'higher'}"
