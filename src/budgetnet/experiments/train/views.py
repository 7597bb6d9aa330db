"""What each section of the report says: values and text from the evidence, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.costs.network_cost import cost
from budgetnet.draw.figures import Curves, Trial
from budgetnet.draw.wording import (
    LIMIT_NAMES,
    LIMIT_TITLES,
    MINUS,
    TIMES,
    amount,
    count,
    counted,
    duration,
    percent,
    points,
    printable,
    rounded,
    shortened,
    sides,
    signed,
    size,
)
from budgetnet.experiments.report.evidence import Evidence, Row, placing
from budgetnet.training.evaluate import ClassRow, Evaluation

MOST_LABELLED = 30
"""Classes in a confusion matrix that can still be read."""
MOST_PAIRS = 20
MOST_ROWS = 200
"""Classes in a table: of more, those found least often; metrics.json has all."""
MOST_SIGNS = 44
"""Of a name in a picture."""


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit in words; `share` of it is used, `next` is what the next larger network would use."""

    title: str
    limit: str
    used: str
    left: str
    share: float
    next: str | None
    next_share: float
    broken: bool


def limit_lines(evidence: Evidence) -> tuple[LimitLine, ...]:
    """The certificate, a line a limit."""
    if evidence.certificate is None:
        return ()
    following = evidence.certificate.next
    after: dict[str, int] = {}
    if following is not None and evidence.budget is not None:
        after = {row.name: row.used for row in evidence.budget.check(following.network).limits}
    return tuple(
        LimitLine(
            title=LIMIT_TITLES[row.name],
            limit=rounded(row.name, row.limit),
            used=amount(row.name, row.used),
            left=amount(row.name, row.left),
            share=row.used / row.limit,
            next=amount(row.name, after[row.name]) if row.name in after else None,
            next_share=after.get(row.name, 0) / row.limit,
            broken=after.get(row.name, 0) > row.limit,
        )
        for row in evidence.certificate.limits
    )


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """A candidate in words. `number` is 0 where it did not race; `scores` has a place for every rung."""

    number: int
    base: str
    scaling: str
    macs: str
    params: str
    peak: str
    share: float
    binding: str
    why: str
    scores: tuple[tuple[str, str, str] | None, ...]
    chosen: bool
    dropped: int


def candidate_lines(evidence: Evidence) -> tuple[CandidateLine, ...]:
    """Those that raced, the best first: who came further stands above who scored more earlier."""
    raced = sorted((row for row in evidence.candidates if row["raced"]), key=lambda row: _placing(evidence, row))
    rest = sorted((row for row in evidence.candidates if not row["raced"]), key=lambda row: -row["share"])
    width = max((len(evidence.rungs(row["id"])) for row in raced), default=0)
    numbered = [*((row, number) for number, row in enumerate(raced, start=1)), *((row, 0) for row in rest)]
    return tuple(_candidate_line(evidence, row, number, width) for row, number in numbered)


def _placing(evidence: Evidence, row: Row) -> tuple[float, ...]:
    rungs = evidence.rungs(row["id"])
    return placing(rungs) if rungs else (0.0, 0.0)


def _candidate_line(evidence: Evidence, row: Row, number: int, width: int) -> CandidateLine:
    scores = [
        (points(rung["accuracy"]), f"{points(rung['low'])} to {points(rung['high'])}", _log_loss(rung))
        for rung in evidence.rungs(row["id"])
    ]
    return CandidateLine(
        number=number,
        base=row["base"],
        scaling=_scaling(row),
        macs=count(row["macs"]),
        params=count(row["params"]),
        peak=amount("peak_activation_bytes", row["peak_activation_bytes"]),
        share=row["share"],
        binding=LIMIT_NAMES[row["binding"]],
        why=row["why"],
        scores=(*scores, *[None] * (width - len(scores))),
        chosen=evidence.choice is not None and row["id"] == evidence.choice["id"],
        dropped=row["dropped_strides"],
    )


def _log_loss(rung: Row) -> str:
    return "" if rung.get("log_loss") is None else f"log loss {rung['log_loss']:.3f}"


def _scaling(row: Row) -> str:
    """compound, φ −1.32, 112 px, 1 stride dropped."""
    parts = [row["strategy"], f"φ\N{NO-BREAK SPACE}{signed(row['phi'])}"]
    parts.append(f"{sides(row['resolution_px'])}\N{NO-BREAK SPACE}px")
    if dropped := row["dropped_strides"]:
        parts.append(f"{counted(dropped, 'stride')} dropped")
    return ", ".join(parts)


def trials(evidence: Evidence) -> tuple[Trial, ...]:
    """What the picture of the race shows, numbered as `candidate_lines`."""
    raced = sorted((row for row in evidence.candidates if row["raced"]), key=lambda row: _placing(evidence, row))
    return tuple(
        Trial(
            number=number,
            name=shortened(printable(f"{row['base']} {row['strategy']}"), MOST_SIGNS) + _dropped(row),
            macs=row["macs"],
            accuracies=tuple(rung["accuracy"] for rung in rungs),
            low=rungs[-1]["low"],
            high=rungs[-1]["high"],
            chosen=evidence.choice is not None and row["id"] == evidence.choice["id"],
        )
        for number, row in enumerate(raced, start=1)
        if (rungs := evidence.rungs(row["id"]))
    )


def _dropped(row: Row) -> str:
    """Strides dropped, as a short mark: two candidates may differ in nothing else."""
    return f" {MINUS}{row['dropped_strides']}s" if row["dropped_strides"] else ""


def curves(evidence: Evidence) -> Curves | None:
    """The final training; None where it left fewer than two points."""
    steps = [row for row in evidence.steps(evidence.final_phase) if row["accuracy"] is not None]
    if len(steps) < 2:
        return None
    epochs_a_step = steps[-1]["epoch"] / steps[-1]["step"]
    return Curves(
        epochs=tuple(row["epoch"] for row in steps),
        losses=tuple(row["loss"] for row in steps),
        accuracies=tuple(row["accuracy"] for row in steps),
        rates=tuple(row["learning_rate"] for row in steps),
        scores=tuple(
            (row["step"] * epochs_a_step, row["accuracy"], row["low"], row["high"])
            for row in evidence.scores(evidence.final_phase)
        ),
    )


def class_rows(evaluation: Evaluation) -> tuple[ClassRow, ...]:
    """The classes in their order; where they are many, those found least often first."""
    if len(evaluation.per_class) <= MOST_LABELLED:
        return evaluation.per_class
    asked = (row for row in evaluation.per_class if row.count)
    return tuple(sorted(asked, key=lambda row: row.recall)[:MOST_ROWS])


def commonest_share(evaluation: Evaluation) -> float:
    """Accuracy of always answering the commonest class."""
    return max(row.count for row in evaluation.per_class) / evaluation.count


def confused_pairs(evaluation: Evaluation) -> tuple[tuple[str, str, int], ...]:
    """(true, predicted, images) of the mistakes that were made most often."""
    names = [row.name for row in evaluation.per_class]
    return tuple(
        (names[true], names[predicted], images) for true, predicted, images in evaluation.confused[:MOST_PAIRS]
    )


def asked(evidence: Evidence) -> str:
    """The question in a line: at most 60 M multiply-adds and 3 M parameters, in 15 min."""
    parts: list[str] = []
    if evidence.budget is not None:
        limits = [f"{rounded(name, limit)} {_words(name)}" for name, limit in evidence.budget.limits().items()]
        parts.append("at most " + _listed(limits))
    if evidence.plan.get("time_seconds"):
        parts.append(f"within {duration(evidence.plan['time_seconds'])}")
    if evidence.plan.get("epochs"):
        parts.append(f"{evidence.plan['epochs']:g} epochs")
    return ", ".join(parts)


def _words(name: str) -> str:
    title = LIMIT_TITLES[name].replace(" (MACs)", "")
    text = title[0].lower() + title[1:]
    return f"of {text}" if name.endswith("bytes") else text


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def sizes(evidence: Evidence) -> str:
    """The network in numbers, in a line."""
    network = evidence.network
    price = evidence.budget.price(network) if evidence.budget else cost(network)
    height, width = network.resolution_px
    parts = (
        f"{height}{TIMES}{width} px",
        f"{network.depth} blocks",
        f"{count(price.macs)} multiply-adds",
        f"{count(price.params)} parameters",
        f"{size(price.peak_activation_bytes)} of peak activations in {price.dtype}",
    )
    return ", ".join(parts)


def verdict(evidence: Evidence) -> str:
    """How the network stands to its budget, in a sentence; empty without one."""
    if evidence.certificate is None:
        return ""
    row, many = evidence.certificate.binding, len(evidence.certificate.limits)
    what = f"{amount(row.name, row.used)} of {rounded(row.name, row.limit)} {_words(row.name).removeprefix('of ')}"
    if row.left < 0:
        return f"It breaks its budget: {what}."
    left = percent(row.left / row.limit)
    tail = "" if many == 1 else f" That is the tightest of its {many} limits."
    return f"It uses {what} and leaves {left}.{tail}"


def data_path(evidence: Evidence) -> Path | None:
    """The folder of the images; None for the embedded digits."""
    path = evidence.plan["data"]["path"]
    return None if path == "digits" else Path(path)
