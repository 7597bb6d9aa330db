"""What a family shows: its members, what each step gains, the published family, and the searches that led to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from budgetnet.draw.command_line import in_lines
from budgetnet.draw.wording import count, counted, duration, listed, points, sides, signed
from budgetnet.experiments.coefficients.findings import triple
from budgetnet.experiments.family.findings import cut_members
from budgetnet.experiments.family.members import PublishedMember
from budgetnet.experiments.family.pictures import family_svg
from budgetnet.experiments.family.plan import BASELINE, COEFFICIENTS, MEMBERS
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.family.result import Family, FamilyRecord, SearchPart
from budgetnet.experiments.family.training import Member, MembersRecord, TrainedMembers
from budgetnet.experiments.report import (
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Figure,
    Finding,
    Links,
    Report,
    Row,
    Section,
    Table,
    Text,
    row,
    verdict,
)
from budgetnet.experiments.reproduce import (
    augment_flags,
    base_words,
    budget_flags,
    data_words,
    facts_of,
    limits_in_words,
    usual_flags,
)
from budgetnet.statistics import PairedDifference

NOTHING = "\N{EN DASH}"
TITLES = {BASELINE.name: "1. The baseline", COEFFICIENTS.name: "2. The coefficients"}


def report(record: FamilyRecord, found: Family) -> Report:
    """The report of a search for a family."""
    request = record.request
    files = tuple((f"{one.id}.json", f"{MEMBERS.name}/{one.id}.json") for one in found.members)
    members = _members(found.members, found.gains, found.test_images, found.steps, found.batch, found.epochs)
    ends = (found.members[0].id, found.members[-1].id)
    networks, weights = (f"{ends[0]}.{kind} to {ends[1]}.{kind}" for kind in ("json", "safetensors"))
    return Report(
        title="A family, S0 to S3",
        overline=f"{record.data.name}, {len(record.data.classes)} classes: {described(request)}",
        intro="A baseline was searched within the budget, then α, β, γ on it; S1 to S3 are the baseline scaled with "
        "them by φ = 1, 2, 3. All four were trained alike and tested on images that no choice has seen.",
        findings=tuple(map(Finding, found.statement)),
        sections=(
            Section("family", "The family", (*members, Links(files)), "Family"),
            Section("published", "Published, beside it", (_published(found.published),), "Published"),
            Section("parts", "The searches that led here", _parts(record, found.parts), "The searches"),
            Section("use", "Use it", _use(record, found), "Use"),
            Section("again", "Make it again", _again(record, found), "Again"),
        ),
        paths={
            "report": str(found.report),
            "family": f"{found.run / MEMBERS.name}: {networks}, {weights}",
            "coefficients": str(found.run / COEFFICIENTS.name / "coefficients.json"),
        },
    )


def members_report(record: MembersRecord, found: TrainedMembers) -> Report:
    """The report of the third part by itself."""
    plan, request = record.plan, record.request
    facts = {"Seeds": str(plan.seeds), "Recipe": plan.recipe.name}
    members = _members(found.members, found.gains, found.test_images, plan.steps, plan.batch, plan.epochs)
    return Report(
        title="S0 to S3, trained alike",
        overline=f"{record.data.name}, {len(record.data.classes)} classes: α, β, γ = {triple(request.coefficients)}",
        intro="The members of a family, tested on images that no choice has seen.",
        findings=(),
        sections=(
            Section("family", "The family", members, "Family"),
            Section("again", "What it depends on", (Facts(facts_of(record, plan.augmentation, facts)),), "Facts"),
        ),
        paths={"report": str(found.report)},
    )


def described(request: FamilyRequest) -> str:
    """At most 8 M MACs, in 3 h 0 min."""
    parts = [f"at most {limit}" for limit in limits_in_words(request.budget)]
    return ", ".join([*parts, f"in {duration(request.time_seconds)}"])


def _members(
    members: Sequence[Member],
    gains: Sequence[PairedDifference],
    test_images: int,
    steps: int,
    batch: int,
    epochs: float,
) -> tuple[Block, ...]:
    """The picture, the table, and what each step gains."""
    seeds = len(members[0].seeds)
    what = f"the mean over {seeds} seeds, the circles are the seeds" if seeds > 1 else "one training"
    figure = Figure(
        partial(family_svg, members),
        f"The diamond is {what}, the line its 95 % interval. All predict the same images, so two may differ where "
        "these overlap: below.",
        "family",
    )
    columns = (
        Column("network", number=False),
        *map(Column, ("px", "blocks", "MACs", "params", "top-1 %", "95 %", "training")),
    )
    cut = cut_members(members, steps, epochs)
    had, planned = ("was to have", ", as planned") if cut else ("had", "")
    table = Table(
        columns,
        tuple(_member(one, members[0]) for one in members),
        note=f"On {test_images:,} test images. Every member {had} {steps:,} steps of {batch} images, {epochs:.1f} "
        "epochs: equal epochs, as in the authors' code, and not equal seconds, of which the small make more. "
        f"Training is the time of one training's steps. {cut}".rstrip(),
        terminal_note=f"S0 to S3: {test_images:,} test images, {epochs:.1f} epochs each{planned}.",
    )
    titles = (Column("step", number=False), Column("points"), Column("95 %"), Column("verdict", number=False))
    steps_table = Table(
        titles,
        tuple(map(_gain, gains)),
        note="Differences on the same test images; Holm's correction at 5 % counts all three.",
        terminal=False,
    )
    return (figure, table, steps_table)


def _member(one: Member, first: Member) -> Row:
    return row(
        Cell(one.id, ("the winner" if one is first else f"φ = {one.phi}",)),
        sides(one.network.resolution_px),
        str(one.blocks),
        Cell(count(one.macs), (f"{one.macs / first.macs:.2f} times",)),
        count(one.params),
        Cell(points(one.accuracy), strong=True),
        f"{points(one.low)} to {points(one.high)}",
        NOTHING if one.training_seconds is None else duration(one.training_seconds),
    )


def _gain(pair: PairedDifference) -> Row:
    low, high = (signed(100 * (end or 0.0), 1) for end in (pair.low, pair.high))
    return row(f"{pair.a} minus {pair.b}", signed(100 * pair.difference, 1), f"{low} to {high}", verdict(pair))


def _published(members: Sequence[PublishedMember]) -> Table:
    columns = (
        Column("published", number=False),
        *map(Column, ("px", "blocks", "MACs", "params", "ImageNet %")),
    )
    rows = tuple(
        row(
            one.name.removeprefix("efficientnet_").upper(),
            sides(one.resolution_px),
            str(one.blocks),
            Cell(count(one.macs), (f"{one.macs / members[0].macs:.2f} times",)),
            count(one.params),
            f"{one.published_top1:.1f}",
        )
        for one in members
    )
    return Table(
        columns,
        rows,
        note=f"Accuracies are of their authors ({members[0].source}), on ImageNet by their recipe, and were not "
        "measured here: they show how the paper's family grows and compare with none above. Costs are "
        "counted here, for 1000 classes.",
        terminal_note="B0 to B3: published by others for ImageNet and its 1000 classes; no accuracy to compare with.",
    )


def _parts(record: FamilyRecord, parts: Sequence[SearchPart]) -> tuple[Block, ...]:
    plan = record.plan
    seconds = {BASELINE.name: plan.baseline_seconds, COEFFICIENTS.name: plan.coefficients_seconds}
    blocks: list[Block] = []
    for part in parts:
        blocks.append(Links(((TITLES[part.name], part.report),)))
        blocks.append(Text(f"{duration(seconds[part.name])} were planned for it.", quiet=True))
        blocks += [Text(sentence) for sentence in part.said]
    return tuple(blocks)


def _use(record: FamilyRecord, found: Family) -> tuple[Block, ...]:
    coefficients = f"{COEFFICIENTS.name}/coefficients.json"
    commands = (
        "budgetnet predict family/S1.safetensors IMAGE...",
        f"budgetnet fit family/S0.json --macs 60M --coefficients {coefficients}",
        f"budgetnet solve {record.data.path} --macs 60M --base family/S0.json --coefficients {coefficients}",
    )
    return (
        Command("\n".join(commands)),
        Text(
            "In the folder of this page. The networks lie in family/, S0.json to S3.json, with their weights of the "
            f"first seed beside them; α, β, γ = {triple(found.coefficients)} as printed are rounded, the file has "
            "them in full.",
            quiet=True,
        ),
    )


def family_command(record: FamilyRecord) -> str:
    """The command that makes the family again, every argument written out."""
    request = record.request
    words = ["budgetnet", "search", "family", *data_words(record.data.data)]
    words += [*budget_flags(request.budget), "--time", f"{request.time_seconds:g}s"]
    words += ["--base", *base_words([request.base])] if request.space is None else ["--space", "space.json"]
    words += ["--exponent", f"{request.exponent:g}", "--recipe", request.recipe.name]
    words += [*augment_flags(request.augment), "--seed", str(request.seed)]
    words += usual_flags(("--precision", request.precision, "float32"))
    return in_lines(words)


def _again(record: FamilyRecord, found: Family) -> tuple[Block, ...]:
    plan, seeds = record.plan, len(found.members[0].seeds)
    cut = any(one.steps is not None for one in found.members)
    seconds = (plan.baseline_seconds, plan.coefficients_seconds, plan.family_seconds)
    times = [
        f"{duration(each)} for {part.name}"
        for each, part in zip(seconds, (BASELINE, COEFFICIENTS, MEMBERS), strict=True)
    ]
    facts = {
        "Time, as planned": listed(times),
        "A training": f"{found.steps:,} steps of {found.batch} images, {found.epochs:.1f} epochs, "
        f"{counted(seeds, 'seed')}, on one core or GPU each{', as planned' if cut else ''}",
        "Recipe": record.request.recipe.name,
    }
    return (
        Command(family_command(record)),
        Facts(facts_of(record, plan.augmentation, facts)),
        Text(
            "A family is a function of its plan.json and those of its parts, baseline/, coefficients/ and family/, "
            "which hold the steps of every training with their amendments.",
            quiet=True,
        ),
    )
