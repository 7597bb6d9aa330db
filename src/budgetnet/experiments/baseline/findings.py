"""What a search for a baseline shows and what it does not, in plain sentences made from its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from budgetnet.draw.wording import counted
from budgetnet.experiments.baseline.plan import BaselinePlan
from budgetnet.experiments.baseline.result import Candidate, Final, Semifinal
from budgetnet.statistics import PairedDifference
from budgetnet.training.chance import nothing_learned


def findings(
    plan: BaselinePlan,
    candidates: Sequence[Candidate],
    semifinals: Sequence[Semifinal],
    finals: Sequence[Final],
    against_base: PairedDifference,
    test_images: int,
    networks_in_space: int,
    scored_by: str,
    shortened: int,
) -> tuple[str, ...]:
    """Sentences: the winner, its difference from the base, what was searched, what the scores do not say.

    `shortened`: how many trainings had fewer steps than planned.
    """
    winner = finals[0]
    trainings = f"{plan.seeds} trainings" if plan.seeds > 1 else "one training"
    leading = sum(row.front for row in candidates)
    return (
        f"The winner, {winner.network.name}, gets {100 * winner.accuracy:.1f} % ({100 * winner.low:.1f} to "
        f"{100 * winner.high:.1f}) of {test_images} test images with {winner.macs / 1e6:.2f} M MACs, "
        f"over {trainings} from nothing.",
        _against_base(plan, winner, finals[-1], against_base),
        f"{len(candidates)} of {float(networks_in_space):.2g} networks were scored, by {scored_by}; {leading} of them "
        f"are on the front of accuracy against MACs.{_semifinals(plan, candidates, semifinals, finals)}",
        "Such a score ranks; it does not say how accurate a network is at the end of a whole training, and how well it "
        "ranks here was not measured by this search.",
        *_shortened(shortened),
        *(nothing_learned(row.id, row.unlearned) for row in finals if row.unlearned),
    )


def _against_base(plan: BaselinePlan, winner: Final, base: Final, pair: PairedDifference) -> str:
    if len(base.unlearned) == plan.seeds:
        return "No training of the base learned anything, so the winner compares with nothing."
    points = f"{100 * pair.difference:+.1f} points ({100 * (pair.low or 0.0):+.1f} to {100 * (pair.high or 0.0):+.1f})"
    what = f"the base, which has {base.macs / 1e6:.2f} M MACs: {points}."
    text = f"It differs from {what}" if pair.significant else f"The test images do not tell it from {what}"
    if base.reward > winner.reward:
        text += (
            " By the objective on validation, which chose among the finalists, the base is ahead: "
            f"{base.reward:.3f} against {winner.reward:.3f}."
        )
    return text


def _shortened(count: int) -> Iterator[str]:
    if count:
        yield f"The machine became slower: {counted(count, 'training')} had fewer steps than planned, to keep the time."


def _semifinals(
    plan: BaselinePlan, candidates: Sequence[Candidate], semifinals: Sequence[Semifinal], finals: Sequence[Final]
) -> str:
    if plan.semifinals is None:
        return ""
    known = {row.id for row in candidates}
    predicted = sum(row.id not in known for row in semifinals)
    others = f" and {predicted} that a model of the scores predicts to be better" if predicted else ""
    return (
        f" The best {len(semifinals) - predicted}{others} were trained for {plan.semifinals.steps:,} steps, and the "
        f"best {len(finals) - 1} of those, with the base, for {plan.finals.steps:,}."
    )
