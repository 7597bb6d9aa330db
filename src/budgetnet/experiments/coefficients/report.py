"""What a search for coefficients shows: the ranking, how compute is shared, which differences are shown, the check."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from budgetnet.budgets.coefficient_space import NAMES, Interval
from budgetnet.budgets.coefficients_file import FILE
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.intervals import accuracy_svg
from budgetnet.draw.wording import amount, counted, duration, percent, points, sides, signed
from budgetnet.experiments.coefficients.findings import MOST_SEEDS, between, named, triple
from budgetnet.experiments.coefficients.plan import FOUND, PAPER_ID
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.coefficients.result import (
    Checked,
    CoefficientSearch,
    CoefficientsRecord,
    Needed,
    Ranked,
    Score,
    ScoreDifference,
)
from budgetnet.experiments.coefficients.triangle import triangle_svg
from budgetnet.experiments.report import (
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Figure,
    Finding,
    Report,
    Row,
    Section,
    Table,
    Text,
    row,
    verdict,
)
from budgetnet.experiments.reproduce import augment_flags, base_words, data_words, facts_of, usual_flags

COMPARED = {FOUND: "found", PAPER_ID: "the paper's"}
"""The two networks of the check are called this where people read them."""


def report(record: CoefficientsRecord, found: CoefficientSearch) -> Report:
    """The report of a search for coefficients."""
    request = record.request
    sections = [
        Section("ranking", "Ranking", _ranking(record, found)),
        Section("triangle", "How compute is shared", (_triangle(found),), "Shares"),
    ]
    if found.differences:
        sections.append(Section("apart", "Which differ", (_differences(found.differences, found),)))
    if found.needed:
        sections.append(Section("needed", "What it would cost to know more", (_needed(found),), "Cost to know more"))
    sections.append(Section("check", "The check at φ = 2", _check(found), "Check"))
    sections.append(Section("use", "Use it", (Command(_use(record)),), "Use"))
    sections.append(Section("again", "Make it again", _again(record), "Again"))
    file = found.run / FILE
    return Report(
        title=f"α, β, γ = {triple(found.coefficients)}",
        overline=f"{record.data.name}, {len(record.data.classes)} classes: {described(request, found.base.name)}",
        intro="Networks of the same cost raced on the validation images; the answer was checked against the paper's "
        "coefficients at φ = 2 on test images that no choice has seen.",
        findings=tuple(map(Finding, (found.drawn, *found.statement))),
        sections=tuple(sections),
        paths={
            "report": str(found.report),
            "coefficients": str(file),
            "use": f"budgetnet fit BASE --macs 60M --coefficients {file}",
        },
    )


def described(request: CoefficientsRequest, base: str) -> str:
    """2 times the MACs of efficientnet_b0 within 5 %, 3 seeds, in 45 min."""
    what = f"{request.growth:g} times the {NAMES[request.measure]} of {base} within {100 * request.tolerance:g} %"
    return f"{what}, {counted(request.seeds, 'seed')}, in {duration(request.time_seconds)}"


def _ranking(record: CoefficientsRecord, found: CoefficientSearch) -> tuple[Block, ...]:
    several = ", the circles are the seeds" if found.seeds > 1 else ""
    finalists = [
        one.score.named(f"{_label(one)}{', nearest to the paper' if one.paper else ''}")
        for one in found.ranking
        if one.finalist
    ]
    figure = Figure(
        partial(accuracy_svg, finalists, split="validation"),
        f"The last rung, the lowest log loss first. The diamond is the mean over {counted(found.seeds, 'seed')}, the "
        f"line its 95 % interval{several}. All predict the same images, so two may differ where these overlap: "
        "which do stands below.",
        "ranking",
    )
    columns = (
        Column("network", number=False),
        *map(Column, ("α", "β", "γ", "px", NAMES[found.measure])),
        Column("times", page=False),
        *map(Column, ("rung", "log loss")),
        Column("95 %", page=False),
        Column("%"),
    )
    table = Table(
        columns,
        tuple(_ranked(one, found, len(record.plan.kept)) for one in found.ranking),
        note="Below α, β and γ: the interval in which each may lie without changing the network; all three together "
        "are its region. Log loss and accuracy (%) are those of the last rung that a network ran, on the validation "
        "images, with 95 % intervals; those of different rungs do not compare, for the trainings differ in length.",
        terminal_note="log loss, %: on validation, in the last rung that each ran; those of different rungs do not "
        "compare.",
    )
    return (figure, table)


def _ranked(one: Ranked, found: CoefficientSearch, rungs: int) -> Row:
    score, chosen, ratio = one.score, one.coefficients, f"{one.cost / found.base_cost:.2f}"
    values = zip((chosen.alpha, chosen.beta, chosen.gamma), one.region.sides, strict=True)
    return row(
        f"{one.id} (paper)" if one.paper else one.id,
        *(Cell(f"{value:.3f}", (_within(side),)) for value, side in values),
        Cell(sides(one.network.resolution_px), (f"{one.network.depth} blocks",)),
        Cell(amount(found.measure, one.cost), (f"{ratio} times",)),
        ratio,
        f"{one.rung + 1} of {rungs}",
        Cell(f"{score.log_loss:.3f}", (_losses(score),), strong=True),
        _losses(score),
        Cell(points(score.accuracy), (_accuracies(score),)),
        strong=one is found.best,
    )


def _within(side: Interval) -> str:
    """1.12 to 1.16; exactly 1."""
    return between(side).removeprefix("from ")


def _label(one: Ranked | Checked) -> str:
    return f"{COMPARED.get(one.id, one.id)}  {triple(one.coefficients)}"


def _losses(score: Score) -> str:
    return f"{score.log_loss_low:.3f} to {score.log_loss_high:.3f}"


def _accuracies(score: Score) -> str:
    return f"{points(score.accuracy_low)} to {points(score.accuracy_high)}"


def _triangle(found: CoefficientSearch) -> Figure:
    accuracies = [one.first.accuracy for one in found.ranking]
    return Figure(
        partial(triangle_svg, found.ranking),
        "A network's place is its share of the growth in depth (log α), width (2 log β) and resolution (2 log γ). "
        "Darker: more accurate in the first rung, where all were trained alike, from "
        f"{percent(min(accuracies))} to {percent(max(accuracies))}. Ringed in colour: those of the last rung. The "
        "outline around a place is the extent of its region: all coefficients in it give that network. The cross is "
        "the paper's choice, 1.2, 1.1, 1.15, a direction and not a network.",
        "triangle",
    )


def _differences(pairs: Sequence[ScoreDifference], found: CoefficientSearch) -> Table:
    names = {one.id: named(one) for one in found.ranking}
    columns = (
        Column("network", number=False),
        Column("against", number=False),
        *map(Column, ("log loss", "95 %", "points", "95 %")),
        Column("verdict", number=False),
    )
    return Table(
        columns,
        tuple(row(names[pair.a], names[pair.b], *_apart(pair), verdict(pair.log_loss)) for pair in pairs),
        note="Differences on the same validation images, mean over the seeds; a lower log loss is better. The verdict "
        "is by log loss; Holm's correction at 5 % counts all pairs. Validation chose, so the winner's own score is "
        "optimistic.",
        terminal=False,
    )


def _apart(pair: ScoreDifference) -> tuple[str, str, str, str]:
    """Log loss, its interval, points of accuracy, their interval."""
    (low, high), (worst, best) = pair.interval, pair.accuracy_interval
    return (
        signed(pair.log_loss.difference, 3),
        f"{signed(low, 3)} to {signed(high, 3)}",
        signed(100 * pair.accuracy.difference, 1),
        f"{signed(100 * worst, 1)} to {signed(100 * best, 1)}",
    )


def _needed(found: CoefficientSearch) -> Table:
    columns = (
        Column("network", number=False),
        Column("against", number=False),
        *map(Column, ("times the seeds and the images", "seeds, on these images", "hours here")),
    )
    return Table(
        columns,
        tuple(_needed_row(one, found.seeds) for one in found.needed),
        note="If the two really differ by as much as they seemed to, that many show it at 95 % in four cases of five. "
        "Hours: of training for as many times the seeds, both networks, each as long as here.",
        terminal=False,
    )


def _needed_row(one: Needed, seeds: int) -> Row:
    if one.times * seeds > MOST_SEEDS:
        return row(one.a, one.b, f"more than {MOST_SEEDS:,} seeds: take them as equal", "", "")
    alone = "not enough" if one.seeds is None else str(one.seeds)
    return row(one.a, one.b, f"{one.times:.1f}", alone, f"{one.hours:.1f}")


def _check(found: CoefficientSearch) -> tuple[Block, ...]:
    check = found.check
    if check.difference is None:
        return (
            Text(
                "The found coefficients and the paper's give the same network at this cost: there is nothing to check."
            ),
        )
    figure = Figure(
        partial(accuracy_svg, [one.score.named(_label(one)) for one in check.networks]),
        "On the test images, which no choice has seen: networks of the two compound paths whose cost is as near as "
        "whole blocks and channels allow.",
        "check",
    )
    columns = (
        Column("coefficients", number=False),
        *map(Column, ("φ", "px", NAMES[found.measure], "log loss", "accuracy %")),
    )
    table = Table(columns, tuple(_checked(one, found) for one in check.networks), terminal=False)
    loss, losses, accuracy, accuracies = _apart(check.difference)
    said = verdict(check.difference.log_loss).replace("differ", "they differ")
    text = f"Found minus the paper's: {loss} in log loss ({losses}), {accuracy} points of accuracy ({accuracies}); "
    return (figure, table, Text(f"{text}{said}."))


def _checked(one: Checked, found: CoefficientSearch) -> Row:
    return row(
        COMPARED[one.id],
        f"{one.phi:.2f}",
        sides(one.network.resolution_px),
        Cell(amount(found.measure, one.cost), (f"{one.cost / found.base_cost:.2f} times",)),
        Cell(f"{one.score.log_loss:.3f}", (_losses(one.score),), strong=True),
        Cell(points(one.score.accuracy), (_accuracies(one.score),)),
    )


def _use(record: CoefficientsRecord) -> str:
    (base,) = base_words([record.request.base])
    return (
        f"budgetnet fit {base} --macs 60M --coefficients {FILE}\n"
        f"budgetnet solve {record.data.path} --macs 60M --coefficients {FILE}"
    )


def coefficients_command(record: CoefficientsRecord) -> str:
    """The command that makes the search again, every argument written out."""
    request = record.request
    words = ["budgetnet", "search", "coefficients", *data_words(record.data.data)]
    words += ["--base", *base_words([request.base]), "--growth", f"{request.growth:g}"]
    words += ["--tolerance", f"{100 * request.tolerance:g}%", "--measure", request.measure]
    words += ["--candidates", str(request.candidates), "--seeds", str(request.seeds)]
    words += ["--finalists", str(request.finalists), "--time", f"{request.time_seconds:g}s"]
    words += ["--seed", str(request.seed), "--recipe", request.recipe.name, *augment_flags(request.augment)]
    words += usual_flags(
        ("--precision", request.precision, "float32"),
        ("--train-bytes", request.train_bytes, None),
    )
    return in_lines(words)


def _again(record: CoefficientsRecord) -> tuple[Block, ...]:
    plan, seconds = record.plan, record.plan.seconds
    early = ", ".join(map(duration, seconds.rungs))
    first = f"{early} in the early rungs; " if early else ""
    facts = {
        "A training": f"{first}{duration(seconds.last)} in the last, {duration(seconds.check)} in the check, "
        f"{plan.slots} at a time, one core or GPU each",
        "Raced": " then ".join(map(str, plan.kept)),
    }
    return (
        Command(coefficients_command(record)),
        Facts(facts_of(record, plan.augmentation, facts)),
        Text(
            "A search is a function of plan.json, which lies beside this page and holds the steps of every training "
            "with their amendments.",
            quiet=True,
        ),
    )
