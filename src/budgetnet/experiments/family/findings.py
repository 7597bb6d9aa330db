"""What a family shows and what it does not, in plain sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from budgetnet.draw.wording import listed
from budgetnet.experiments.family.training import Member, TrainedMembers
from budgetnet.networks.scaling import Coefficients
from budgetnet.statistics import PairedDifference
from budgetnet.training.chance import nothing_learned


def findings(trained: TrainedMembers, coefficients: Coefficients) -> tuple[str, ...]:
    """Sentences: the ends of the family, what each step gains, how it was trained, what does not compare."""
    return (_ends(trained, coefficients), _gains(trained.gains), *_training(trained), *_beware(trained))


def _ends(trained: TrainedMembers, chosen: Coefficients) -> str:
    first, last = trained.members[0], trained.members[-1]
    triple = f"{chosen.alpha:.3g}, {chosen.beta:.3g}, {chosen.gamma:.3g}"
    return (
        f"S0, the winner of the search for a baseline, gets {_share(first)} of {trained.test_images:,} test images "
        f"with {first.macs / 1e6:.2f} M MACs; scaled with alpha, beta, gamma = {triple}, {last.id} gets {_share(last)} "
        f"with {last.macs / first.macs:.1f} times as many, where the formula promises {2**last.phi}."
    )


def _share(member: Member) -> str:
    return f"{100 * member.accuracy:.1f} % ({100 * member.low:.1f} to {100 * member.high:.1f})"


def _gains(rows: Sequence[PairedDifference]) -> str:
    parts = "; ".join(map(_gain, rows))
    return f"What each step gains on the same test images, verdicts with all of them counted: {parts}."


def _gain(row: PairedDifference) -> str:
    verdict = "no difference shown" if not row.significant_holm else "better" if row.difference > 0 else "worse"
    low, high = 100 * (row.low or 0.0), 100 * (row.high or 0.0)
    return f"{row.a} over {row.b} {100 * row.difference:+.1f} points ({low:+.1f} to {high:+.1f}), {verdict}"


def _training(trained: TrainedMembers) -> Iterator[str]:
    plan = trained.record.plan
    seeds = plan.seeds
    many = f"{seeds} seeds" if seeds > 1 else "one seed"
    cut = cut_members(trained.members, plan.steps, plan.epochs)
    same = "as planned" if cut else "the same"
    yield (
        f"Each was trained from nothing for {same} {plan.steps:,} steps of {plan.batch} images, "
        f"{plan.epochs:.1f} epochs, with {many}; the authors' code gives B0 to B7 350 epochs each, and a longer "
        "training may order these otherwise."
    )
    if cut:
        yield cut
    if seeds == 1:
        yield "One seed is one training of each: another could change a difference by more than the intervals say."


def cut_members(members: Sequence[Member], steps: int, epochs: float) -> str:
    """A sentence on those that had fewer than the planned steps; empty where none had."""
    cut = [
        f"{row.id} had {row.steps:,.0f} steps ({epochs * row.steps / steps:.1f} epochs)"
        for row in members
        if row.steps is not None
    ]
    if not cut:
        return ""
    return (
        f"The machine became slower, and {listed(cut)}: epochs are not equal, and what a member gains or loses may "
        "come from that."
    )


def _beware(trained: TrainedMembers) -> Iterator[str]:
    for member in trained.members:
        if member.unlearned:
            yield nothing_learned(member.id, member.unlearned)
    larger = listed([row.id for row in trained.members[1:]])
    yield (
        f"The budget is that of S0: {larger} are what it grows into, whatever they cost. The published B0 to B3 are "
        "others' trainings on ImageNet: they show how the paper's family grows, not how good this one is."
    )
