"""What a comparison shows: the networks side by side, their differences, accuracy against cost, the trainings."""

from __future__ import annotations

import dataclasses
from functools import partial

from budgetnet.draw import wording
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.intervals import accuracy_svg, forest_svg
from budgetnet.draw.wording import LIMIT_NAMES, count, counted, percent, points, sides, signed, size
from budgetnet.experiments.compare.pictures import pareto_svg
from budgetnet.experiments.compare.plan import ComparePlan
from budgetnet.experiments.compare.published import published_section
from budgetnet.experiments.compare.recommendations import recommendations
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compare.result import Compared, Comparison
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
)
from budgetnet.experiments.reproduce import (
    augment_flags,
    base_words,
    budget_flags,
    coefficient_flags,
    data_words,
    facts_of,
    limits_in_words,
    usual_flags,
)
from budgetnet.networks.zoo.published import EFFICIENTNET_BEST
from budgetnet.runs.record import Record
from budgetnet.statistics import PairedDifference

NOTHING = "\N{EN DASH}"
MOST_PAIRS = 28
"""Pairs in the picture of differences: beyond, the table is easier to read."""
TITLES = {
    "families": "{networks} side by side",
    "scaling": "{base}, scaled in {many} ways",
    "ablation": "{base}, and without one part at a time",
}
INTROS = {
    "families": "Every network is scaled to the same budget from the images' own size",
    "scaling": "One network is scaled to the same budget by every strategy",
    "ablation": "The base and every variant of it are scaled to the same budget from the images' own size, so that "
    "what a part costs is given back to depth, width and resolution",
}
ALIKE = (
    "each is trained by the same recipe for the same time on the same splits, and tested on images that no choice "
    "has seen."
)
CompareRecord = Record[CompareRequest, ComparePlan]


def report(record: CompareRecord, found: Comparison) -> Report:
    """The report of a comparison."""
    request = record.request
    many = len(found.networks)
    names = {"networks": counted(many, "network"), "many": many, "base": found.networks[0].base}
    sections = [
        Section("table", "Side by side", _networks(found), "Table"),
        Section("accuracy", "Accuracy", (_accuracy(found, request.seeds),)),
    ]
    if found.pairs:
        sections.append(Section("differences", "Differences", _differences(found)))
    sections.append(Section("costs", "Accuracy against cost", (_costs(found),), "Costs"))
    if request.question == "scaling":
        sections.append(published_section())
    sections.append(Section("training", "Training", _trainings(found)))
    sections.append(Section("again", "Make it again", _again(record, found), "Again"))
    return Report(
        title=TITLES[request.question].format(**names),
        overline=f"{record.data.name}, {len(record.data.classes)} classes: {described(request)}",
        intro=f"{INTROS[request.question]}; {ALIKE}",
        findings=tuple(Finding(text) for text in _said(found)),
        sections=tuple(sections),
        paths={"report": str(found.report), "networks": str(found.run / "networks")},
    )


def _said(found: Comparison) -> list[str]:
    left_out = [f"{one.base} is left out: {one.reason}." for one in found.left_out]
    return [*found.statement, *left_out, *_disturbed(found), *_untimed(found)]


def _disturbed(found: Comparison) -> list[str]:
    timed = any(one.image_ms is not None for one in found.networks)
    return [f"The times (ms) are disturbed: {found.disturbance}."] if found.disturbance and timed else []


def _untimed(found: Comparison) -> list[str]:
    return [f"{one.label} has no time (ms): {why}." for one in found.networks if (why := one.measurement.refusal)]


def described(request: CompareRequest) -> str:
    """At most 60 M MACs, 3 seeds, in 60 min."""
    parts = [f"at most {limit}" for limit in limits_in_words(request.budget)]
    parts.append(counted(request.seeds, "seed"))
    return ", ".join([*parts, f"in {wording.duration(request.time_seconds)}"])


def _networks(found: Comparison) -> tuple[Block, ...]:
    """The table, the most accurate network first, and what its figures mean."""
    published = any(one.published_top1 is not None for one in found.networks)
    columns = [
        Column("network", number=False),
        Column("px"),
        Column("MACs"),
        Column("params"),
        Column("peak bytes", terminal=False),
        Column("ms"),
        Column("test %"),
        Column("95 %"),
        *([Column("ImageNet")] if published else []),
    ]
    uses = recommendations(found.networks)
    rows = tuple(_network_row(one, uses[one.id], published) for one in found.networks)
    table = Table(
        tuple(columns),
        rows,
        note="Below the MACs: how much of the limit that binds is used. Networks are whole blocks and channels, so "
        "hardly any uses all of it. Below the params: activations. Below the test accuracy: each seed's. Suited: a "
        "cost is named where no other network costs less of it and has as high a mean; presets are those of "
        f"`--target`. {_speeds(found)}",
        terminal_note="ImageNet: top-1 of the family's base as published, each by its own recipe; not measured here."
        if published
        else "",
    )
    sources = sorted({one.published_source for one in found.networks if one.published_source})
    return (table, *([_published(found, sources)] if sources else []))


def _speeds(found: Comparison) -> str:
    words = (
        "Milliseconds: lower decile of the runs on this machine, one image at once, one thread, BatchNorm folded; "
        "below them how long a training took."
    )
    if not (problems := [*_disturbed(found), *_untimed(found)]):
        return words
    again = "`budgetnet measure` on the files in `networks/` takes them again, best when nothing else runs."
    return " ".join([words, *problems, again])


def _published(found: Comparison, sources: list[str]) -> Text:
    best = any(one.base.startswith(("efficientnet_b", "tf_efficientnet_b")) for one in found.networks)
    figures = " and ".join(f"{one.top1:.1f} % ({one.source})" for one in EFFICIENTNET_BEST)
    return Text(
        f"ImageNet: published top-1 of the family's base at its own size, each by its authors' recipe "
        f"({'; '.join(sources)}). Those were not measured here and do not compare with each other or with the column "
        "beside." + (f" For EfficientNet's best network, B7, two figures are in use: {figures}." if best else ""),
        quiet=True,
    )


def _network_row(one: Compared, use: str, published: bool) -> Row:
    seconds = NOTHING if one.training_seconds is None else f"{one.training_seconds:,.0f} s"
    dropped = f"; {counted(one.dropped_strides, 'stride')} dropped" if one.dropped_strides else ""
    cells = [
        Cell(one.label),
        Cell(sides(one.network.resolution_px)),
        Cell(count(one.macs), (f"{percent(one.share, 0)} of {LIMIT_NAMES[one.binding]}",)),
        Cell(count(one.params), (count(one.activations),)),
        Cell(size(one.peak_bytes)),
        Cell(NOTHING if one.image_ms is None else f"{one.image_ms:.2f}", (seconds,)),
        Cell(points(one.accuracy), (", ".join(points(seed.accuracy) for seed in one.seeds),), strong=True),
        Cell(f"{points(one.low)} to {points(one.high)}"),
    ]
    if published:
        cells.append(Cell(NOTHING if one.published_top1 is None else f"{one.published_top1:.1f}"))
    notes = (
        *((("Designed", one.origin),) if one.origin else ()),
        ("Blocks", one.blocks),
        ("Scaled", f"{one.design}{_phi(one)}{dropped}"),
        ("Suited", use),
    )
    return Row(tuple(cells), notes)


def _phi(one: Compared) -> str:
    return "" if one.phi is None else f"; φ\N{NO-BREAK SPACE}{signed(one.phi)}"


def _accuracy(found: Comparison, seeds: int) -> Figure:
    several = ", the circles below it are the seeds" if seeds > 1 else ""
    return Figure(
        partial(accuracy_svg, [one.mean for one in found.networks]),
        f"The diamond is the mean over {counted(seeds, 'seed')}, the line its 95 % interval{several}. Two networks "
        "answer the same images, so they may differ clearly where these intervals overlap: the next picture tells.",
        "accuracy",
    )


def named_pairs(found: Comparison) -> list[PairedDifference]:
    """The pairs with the names of their networks."""
    labels = {one.id: one.label for one in found.networks}
    return [dataclasses.replace(pair, a=labels[pair.a], b=labels[pair.b]) for pair in found.pairs]


def _differences(found: Comparison) -> tuple[Block, ...]:
    pairs = named_pairs(found)
    columns = (
        Column("network", number=False),
        Column("against", number=False),
        Column("points"),
        Column("95 %"),
        Column("each seed", terminal=False),
        Column("differ", number=False),
    )
    drawn = len(pairs) <= MOST_PAIRS
    table = Table(
        columns,
        tuple(_pair_row(pair) for pair in pairs),
        note="The standard error is the larger of the one that the choice of images leaves and the one that the seeds "
        "show. yes: the two differ, also when all pairs are counted (Holm's correction at 5 %); alone: only if that "
        "pair is looked at alone; no: this test shows no difference.",
        folded="The numbers" if drawn else "",
        terminal_note="On the same test images, mean over seeds. alone: not when all pairs are counted.",
    )
    figure = Figure(
        partial(forest_svg, pairs),
        "Mean over the seeds of the difference on the same test images. In colour: the two differ, also when all "
        f"{counted(len(pairs), 'pair')} are counted. Grey and filled: only if that pair is looked at alone. Hollow: "
        "the interval includes 0, and no difference is shown.",
        "forest",
    )
    return (figure, table) if drawn else (table,)


def _pair_row(pair: PairedDifference) -> Row:
    low, high = (signed(100 * (end or 0.0), 1) for end in (pair.low, pair.high))
    each = ", ".join(signed(100 * value, 1) for value in pair.seeds)
    verdict = "yes" if pair.significant_holm else "alone" if pair.significant else "no"
    return row(pair.a, pair.b, signed(100 * pair.difference, 1), f"{low} to {high}", each, verdict)


def _costs(found: Comparison) -> Figure:
    words = (
        "Filled and joined: no other costs less and has as high a mean. The numbers go by accuracy; the names are "
        "below. The lines up and down are 95 % intervals."
    )
    return Figure(partial(pareto_svg, found.networks), " ".join([words, *_disturbed(found)]), "pareto")


def _trainings(found: Comparison) -> tuple[Block, ...]:
    titles = ("seconds", "images a second", "batch", "steps", "epochs")
    columns = (
        Column("network", number=False),
        *map(Column, titles),
        Column("recipe", number=False),
        Column("begun from", number=False),
    )
    rows = tuple(
        row(
            one.label,
            NOTHING if one.training_seconds is None else f"{one.training_seconds:,.0f}",
            f"{one.images_per_second:,.0f}",
            str(one.batch),
            f"{one.steps:,}",
            f"{one.epochs:.1f}",
            one.recipe,
            one.parent or "nothing",
        )
        for one in found.networks
    )
    note = (
        f"Every training had {wording.duration(found.seconds_each)} of one core or GPU: equal time, not equal steps, "
        "so a network that trains faster sees more images. Steps follow from the images a second that were measured "
        f"before the trainings; {_taken(found)}."
    )
    return (Table(columns, rows, note, terminal=False),)


def _taken(found: Comparison) -> str:
    """What of the table is not as it was planned."""
    cut = len({one.job for one in found.record.amendments})
    if not cut:
        return "the seconds are those that they took"
    return (
        f"then the machine became slower, and {counted(cut, 'training')} had fewer. Steps, epochs and seconds are what "
        "they took, mean over seeds"
    )


def compare_command(record: CompareRecord) -> str:
    """The command that makes the comparison again, every argument written out."""
    request = record.request
    words = ["budgetnet", "compare", *data_words(record.data.data), *budget_flags(request.budget)]
    words += ["--seeds", str(request.seeds), "--time", f"{request.time_seconds:g}s"]
    words += ["--networks", *base_words(request.networks)]
    if request.question == "scaling":
        words += ["--scaling", "--start-share", f"{request.start_share:g}"]
    else:
        words += [*(["--ablate"] if request.question == "ablation" else []), "--strategy", request.strategy]
    words += [*coefficient_flags(request.coefficients), *augment_flags(request.augment)]
    words += usual_flags(
        ("--pretrained", request.pretrained, "none"),
        ("--recipe", request.recipe and request.recipe.name, None),
        ("--precision", request.precision, "float32"),
    )
    return in_lines(words)


def _again(record: CompareRecord, found: Comparison) -> tuple[Block, ...]:
    plan = record.plan
    facts = {
        "A training": f"{wording.duration(plan.seconds_each)} of one core or GPU, {plan.slots} at a time",
        "Seeds": ", ".join(map(str, range(record.request.seeds))),
    }
    return (
        Command(compare_command(record)),
        Facts(facts_of(record, plan.entrants[0].augmentation[0], facts)),
        Text(
            "A comparison is a function of plan.json, which lies beside this page and holds the steps of every "
            "training with their amendments; only the milliseconds are this machine's of that moment.",
            quiet=True,
        ),
    )
