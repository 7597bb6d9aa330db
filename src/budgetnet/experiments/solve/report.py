"""What a solve shows: the answer, its certificate, what was tried, why this one, and all of the trained network."""

from __future__ import annotations

import dataclasses

from budgetnet.draw.command_line import in_lines
from budgetnet.draw.figures import Trial, trials_svg
from budgetnet.draw.wording import (
    LIMIT_NAMES,
    MINUS,
    amount,
    count,
    counted,
    duration,
    percent,
    points,
    printable,
    shortened,
    sides,
    signed,
)
from budgetnet.experiments import trained
from budgetnet.experiments.report import Block, Cell, Column, Facts, Figure, Finding, Report, Row, Section, Table, Text
from budgetnet.experiments.reproduce import (
    augment_flags,
    base_words,
    budget_flags,
    coefficient_flags,
    data_words,
    facts_of,
    recipe_words,
    usual_flags,
)
from budgetnet.experiments.solve.candidates import Candidate
from budgetnet.experiments.solve.result import RungScore, SolveRecord, SolveResult
from budgetnet.experiments.solve.shipping import Shipped
from budgetnet.runs.split_file import read_split
from budgetnet.ship.describe import facts_of_file
from budgetnet.training.augmenting import words_of
from budgetnet.training.events import events_of

MOST_SIGNS = 44
"""A picture shows at most this many characters of a name."""


def report(record: SolveRecord, found: SolveResult) -> Report:
    """The report of a solve."""
    request, plan, data, fit = record.request, record.plan, record.data, found.fit
    last = plan.final_seconds is None
    events = events_of(found.run)
    sections = [
        _certificate(record, found),
        *_file_section(found),
        Section("tried", "What was tried", _tried(record, found)),
        Section("choice", "Why this one", _choice(record, found)),
        *trained.training_section(events, f"race/{found.choice.id}" if last else "final", _caption(record, found)),
        trained.classes_section(found, len(data.classes)),
        *trained.trust_section(found, found.shipped and found.shipped.file),
        trained.confusion_section(found.test, data.classes),
        *trained.mistakes_section(found, data),
        trained.network_section(fit.network),
        trained.data_section(data, read_split(found.run), found, chose=True),
        trained.use_section(found.run),
        trained.again_section(solve_command(record), facts(record)),
    ]
    limits = f"{trained.limits_asked(request.budget)}, within {duration(request.time_seconds)}"
    return Report(
        title=fit.network.name,
        overline=f"{data.name}, {len(data.classes)} classes: {limits}",
        intro=trained.sizes(fit.network, request.budget),
        findings=(Finding(f"{found.choice.reason}."),),
        sections=tuple(sections),
        paths=_file_path(found)
        | {"report": str(found.run / "report.html"), "predict": f"budgetnet predict {found.run} IMAGE..."},
        answer=trained.answer(found.test, fit.certificate, found.shipped and found.shipped.file),
    )


def measured_latency(record: SolveRecord, found: SolveResult) -> str | None:
    """What the winner takes here, and whether that keeps the limit; None where it was not measured."""
    limit_us = record.request.budget.latency_us
    row = next((row for row in record.plan.latencies if row.id == found.choice.id), None)
    if limit_us is None or row is None:
        return None
    measured_us = 1000 * row.measured_ms
    kept = "within" if measured_us <= limit_us else "above"
    time, limit, said = (amount("latency_us", value) for value in (measured_us, limit_us, row.predicted_us))
    return (
        f"{time} an image, measured here with {row.runtime}: {kept} the limit of {limit}; at most {said} were predicted"
    )


def _certificate(record: SolveRecord, found: SolveResult) -> Section:
    """The certificate, and beside a prediction of latency what was measured."""
    section = trained.certificate_section(found.fit.certificate, record.request.budget)
    measured = measured_latency(record, found)
    if measured is None:
        return section
    return dataclasses.replace(section, blocks=(*section.blocks, Text(f"Latency: {measured}.")))


def _file_path(found: SolveResult) -> dict[str, str]:
    """Where the file in eight bits lies, or why it does not; nothing of a budget in float."""
    if found.shipped is None:
        return {}
    if found.shipped.faults:
        return {"no file was left": _faults(found.shipped)}
    return {"file": str(found.run / found.shipped.file.file)}


def _faults(shipped: Shipped) -> str:
    """Why no file was left, and what helps."""
    return "; ".join([*shipped.faults, *([shipped.hint] if shipped.hint else [])])


def _file_section(found: SolveResult) -> tuple[Section, ...]:
    """The file in eight bits: what it takes, what it uses of each limit, and its accuracy beside the model's."""
    if found.shipped is None:
        return ()
    file, faults = found.shipped.file, found.shipped.faults
    said = (
        "This is the file for the device, as LiteRT and TensorFlow Lite Micro run it. It was read back and answered "
        "the test images once, by the kernels that microcontrollers have."
    )
    if faults:
        said = (
            f"No file was left in the run's folder: {_faults(found.shipped)}. `export --force` writes it all the same."
        )
    columns = (Column("limit", number=False), *map(Column, ("at most", "the file uses", "left")))
    rows = tuple(
        Row(
            (
                Cell(LIMIT_NAMES[row.name]),
                Cell(amount(row.name, row.limit)),
                Cell(amount(row.name, row.used)),
                Cell(amount(row.name, row.left), broken=row.left < 0),
            )
        )
        for row in file.keeps
    )
    blocks = (Text(said), Facts(facts_of_file(file)), *((Table(columns, rows, terminal=False),) if rows else ()))
    return (Section("file", "The file", blocks),)


def _tried(record: SolveRecord, found: SolveResult) -> tuple[Block, ...]:
    """The candidates that raced, in a picture and a table, and those that did not."""
    plan = record.plan
    rows = {row.id: row for row in plan.candidates}
    ranked = [rows[name] for name in found.ranked()]
    rest = sorted((row for row in plan.candidates if not row.raced), key=lambda row: -row.share)
    blocks: list[Block] = [Text(_how_tried(record, len(ranked)))]
    trials = _trials(ranked, found)
    rungs = len(plan.kept)
    trail = "Each trail is a candidate; its points are its rungs, each after more training, the filled one the last. "
    marks = f" {MINUS}1s and {MINUS}2s mean one and two strides dropped."
    dropped = any(row.dropped_strides for row in ranked)
    blocks.append(
        Figure(
            lambda width, prefix: trials_svg(trials, width, prefix, record.request.budget.macs),
            f"{trail if rungs > 1 else ''}Numbers are those of the table. The diamond is the network that was chosen; "
            f"pale bars are 95 % intervals.{marks if dropped else ''}",
            "race",
        )
    )
    blocks.append(_raced_table(ranked, found, rungs, len(rest)))
    if rest:
        blocks.append(_unraced_table(rest))
    return tuple(blocks)


def _how_tried(record: SolveRecord, raced: int) -> str:
    plan = record.plan
    how = (
        "were each trained to the end, on a core of its own, and compared on the validation images"
        if plan.final_seconds is None
        else "raced on the validation images"
    )
    how += ", in eight bits" if plan.eight_bits else ""
    many = len(plan.candidates)
    which = "One network keeps" if many == 1 else f"{many} different networks keep"
    text = f"{which} the budget. {raced} of them {how}"
    if len(plan.kept) > 1:
        text += "; after every rung but the last the better half went on"
        if plan.incumbent:
            text += ", and with it the pretrained network at a lower resolution, which one would take by hand"
    return f"{text}."


def _trials(ranked: list[Candidate], found: SolveResult) -> tuple[Trial, ...]:
    """What the picture of the race shows, numbered as the table."""
    return tuple(
        Trial(
            number=number,
            name=shortened(printable(f"{row.base} {row.strategy}"), MOST_SIGNS) + _dropped(row),
            macs=row.macs,
            accuracies=tuple(rung.accuracy for rung in rungs),
            low=rungs[-1].low,
            high=rungs[-1].high,
            chosen=row.id == found.choice.id,
        )
        for number, row in enumerate(ranked, start=1)
        for rungs in [found.rungs(row.id)]
    )


def _dropped(row: Candidate) -> str:
    """Strides dropped, as a short mark: two candidates may differ in nothing else."""
    return f" {MINUS}{row.dropped_strides}s" if row.dropped_strides else ""


def _scaling(row: Candidate) -> str:
    """compound, φ −1.32, 112 px, 1 stride dropped."""
    parts = [row.strategy, *([] if row.phi is None else [f"φ\N{NO-BREAK SPACE}{signed(row.phi)}"])]
    parts += [f"{sides(row.resolution_px)}\N{NO-BREAK SPACE}px"]
    parts += [f"{counted(row.dropped_strides, 'stride')} dropped"] if row.dropped_strides else []
    return ", ".join(parts)


def _raced_table(ranked: list[Candidate], found: SolveResult, rungs: int, others: int) -> Table:
    """Those that raced, the best first: who came further stands above who scored more earlier."""
    columns = (
        Column("", terminal=False),
        Column("raced", number=False),
        Column("px", page=False),
        Column("MACs"),
        Column("params"),
        Column("peak activations", terminal=False),
        Column("used"),
        *(Column(f"rung {rung + 1}, %", terminal=False) for rung in range(rungs)),
        Column("rungs", page=False),
        Column("log loss", page=False),
        Column("accuracy", page=False),
    )
    rows = tuple(_raced_row(number, row, found, rungs) for number, row in enumerate(ranked, start=1))
    more = f"{counted(others, 'more network')} within the budget, not raced; the report says why. " if others else ""
    return Table(
        columns,
        rows,
        note="Below each score: its 95 % interval, and the mean log loss, which decides: it takes into account how "
        "sure each answer was. All candidates answer the same validation images, so two of them differ more clearly "
        "than their intervals suggest.",
        terminal_note=f"{more}log loss, accuracy: on validation, after the last rung that each ran; log loss decides.",
    )


def _raced_row(number: int, row: Candidate, found: SolveResult, rungs: int) -> Row:
    scores, chosen = found.rungs(row.id), row.id == found.choice.id
    last = scores[-1]
    missing = [Cell("\N{EN DASH}")] * (rungs - len(scores))
    cells = (
        Cell(str(number)),
        Cell(row.id, (f"{row.base}{', chosen' if chosen else ''}", _scaling(row), row.why)),
        Cell("{}x{}".format(*row.resolution_px)),
        Cell(count(row.macs)),
        Cell(count(row.params)),
        Cell(amount("peak_activation_bytes", row.peak_activation_bytes)),
        Cell(percent(row.share, 0), (LIMIT_NAMES[row.binding],)),
        *(_score(score) for score in scores),
        *missing,
        Cell(str(len(scores))),
        Cell("-" if last.log_loss is None else f"{last.log_loss:.3f}"),
        Cell(percent(last.accuracy)),
    )
    return Row(cells, strong=chosen)


def _score(score: RungScore) -> Cell:
    loss = () if score.log_loss is None else (f"log loss {score.log_loss:.3f}",)
    return Cell(points(score.accuracy), (f"{points(score.low)} to {points(score.high)}", *loss))


def _unraced_table(rows: list[Candidate]) -> Table:
    """Those that fit and did not race, with the reason."""
    columns = (
        Column("network", number=False),
        *map(Column, ("MACs", "params", "peak activations", "used")),
        Column("why not", number=False),
    )
    cells = tuple(
        Row(
            (
                Cell(row.base, (_scaling(row),)),
                Cell(count(row.macs)),
                Cell(count(row.params)),
                Cell(amount("peak_activation_bytes", row.peak_activation_bytes)),
                Cell(percent(row.share, 0), (LIMIT_NAMES[row.binding],)),
                Cell(row.why),
            )
        )
        for row in rows
    )
    return Table(
        columns, cells, folded=f"{counted(len(rows), 'more network')} within the budget, not raced", terminal=False
    )


def _choice(record: SolveRecord, found: SolveResult) -> tuple[Block, ...]:
    choice, validation, test = found.choice, found.validation, found.test
    blocks = [Text(f"{choice.reason}.")]
    if choice.difference is not None:
        one = choice.difference
        blocks.append(
            Text(
                f"On the same images the two differ by {points(one.value, 2)} points, 95 % interval "
                f"{points(one.low, 2)} to {points(one.high, 2)}."
            )
        )
    learned = "validation" in found.learned
    when = "part of the race it scored" if learned else "training it scores"
    if not learned and record.plan.final_seconds is not None:
        when = "final training it scores"
    text = (
        f"After its {when} {percent(validation.top1)} on the validation images (interval "
        f"{trained.interval(validation)}). That is optimistic, for those images chose it. The test images chose "
        f"nothing and were used once: {percent(test.top1)} ({trained.interval(test)})."
    )
    if found.shipped is not None:
        share = percent(found.shipped.file.top1)
        text += f" Those are the model's, in float32; the file in eight bits has {share} of the test images."
    if learned:
        text += " With the choice made, the final training learned from the validation images as well"
        out = f", but for {trained.images_of(found.held_out)} that stayed out to calibrate its probabilities"
        text += f"{out if found.held_out else ''}."
    blocks.append(Text(text))
    return tuple(blocks)


def _caption(record: SolveRecord, found: SolveResult) -> str:
    """What the curves of the training are."""
    final = record.plan.final_seconds is not None
    text = f"The {'final ' if final else ''}training. "
    text += "Accuracy on the training images is a running mean over augmented batches"
    if "validation" in found.learned:
        out = f", but for {found.held_out:,}," if found.held_out else ""
        text += f"; the validation images{out} are among them."
    else:
        text += ", so it may lie below that on the validation images, whose bar is the 95 % interval."
    text += " It goes on from the network's own part of the race, so it does not start at epoch 0." if final else ""
    return f"{text} Augmentation: {words_of(record.plan.augmentation)}."


def facts(record: SolveRecord) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    plan, recipe = record.plan, record.plan.recipe
    return facts_of(
        record,
        plan.augmentation,
        {
            "Seed": str(record.seed),
            "Recipe": recipe_words(recipe),
            **({"Begun from": plan.parent} if plan.parent else {}),
        },
    )


def solve_command(record: SolveRecord) -> str:
    """The command that makes the run again, every argument written out."""
    request, plan = record.request, record.plan
    words = ["budgetnet", "solve", *data_words(record.data.data), *budget_flags(request.budget)]
    words += ["--time", f"{request.time_seconds:g}s"]
    bases = list(dict.fromkeys(row.base for row in plan.candidates)) if request.bases is None else request.bases
    words += ["--base", *base_words(bases), "--strategy", *request.strategies]
    words += coefficient_flags(request.coefficients)
    words += ["--pretrained", plan.parent] if plan.parent else []
    words += ["--recipe", plan.recipe.name, *augment_flags(request.augment), "--seed", str(request.seed)]
    return in_lines([*words, *usual_flags(("--precision", request.precision, "float32"))])
