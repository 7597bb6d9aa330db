"""What a study of activations shows: losses, how far gradients can be trusted, trained betas, all measures."""

from __future__ import annotations

from collections.abc import Sequence

from budgetnet.draw.command_line import in_lines
from budgetnet.draw.wording import MINUS, counted, listed, percent
from budgetnet.experiments.activations.measures import DEAD_SHARE, MEASURES, Measure
from budgetnet.experiments.activations.networks import activation_name
from budgetnet.experiments.activations.pictures.cards import (
    Card,
    beta_cards,
    gradient_cards,
    loss_cards,
    what_was_trained,
)
from budgetnet.experiments.activations.plan import StudyRecord
from budgetnet.experiments.activations.result import Study
from budgetnet.experiments.report import (
    Block,
    Cards,
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
from budgetnet.experiments.reproduce import augment_flags, base_words, data_words, facts_of
from budgetnet.inspect.landscape.words import numbers_are
from budgetnet.statistics import PairedDifference

MARKS = (
    "Curves: mean over the seeds, the band from the smallest seed to the largest. Circles: seeds. Diamonds: means, "
    "above with one standard deviation to either side, below with the 95 % interval of the paired difference. Blue: "
    "the two differ, also when all differences of this page are counted. Grey and filled: only if looked at alone. "
    "Hollow: inside the spread."
)


def report(record: StudyRecord, found: Study) -> Report:
    """The report of a study."""
    sections = [
        Section("training", "Twins in training", (_cards(loss_cards(found)), Text(MARKS, quiet=True)), "Training"),
        Section(
            "gradient",
            "How far the gradient can be trusted",
            (Text(_probed(found)), _cards(gradient_cards(found))),
            "Gradient",
        ),
    ]
    if betas := beta_cards(found):
        sections.append(Section("betas", "Where a trained β goes", (_cards(betas),), "Trained β"))
    sections += [
        Section("differences", "What the twins came to", (_measures(found), _pairs(found)), "Measures"),
        Section("read", "How to read it", (Facts({each.heading: each.meaning for each in MEASURES}),)),
        Section("again", "Make it again", _again(record), "Again"),
    ]
    return Report(
        title=f"{found.network} with {listed([twin.title for twin in found.twins])}",
        overline=f"{found.data}, {len(record.data.classes)} classes: {counted(found.seeds, 'seed')}, {found.steps:,} "
        "steps each",
        intro=what_was_trained(found),
        findings=tuple(map(Finding, found.statement)),
        sections=tuple(sections),
        paths={
            "report": str(found.report),
            "pictures": str(found.run / "training.png"),
            "each picture": str(found.run / "pictures"),
            "numbers": str(found.run / "training.json"),
        },
    )


def _cards(cards: Sequence[Card]) -> Cards:
    return Cards(tuple(Figure(card.svg, "", card.name.replace(".", "-")) for card in cards))


def _probed(found: Study) -> str:
    return (
        f"After {len(found.probe_steps)} of the steps the weights w go along the gradient g of the loss of "
        f"{found.probe_images} training images, to w {MINUS} t |w| g / |g| for t from {found.lengths[0]} to "
        f"{found.lengths[-1]}, and back. Distances are relative to the weights and changes to the gradient, so that "
        "twins whose gradients differ in size compare."
    )


def _measures(found: Study) -> Table:
    """A row a measure, a column a twin."""
    columns = [Column("at the end, or median over the probes", number=False)]
    columns += [Column(twin.title) for twin in found.twins]
    rows = [
        row(each.heading, *(each.spread_text(twin.measures[each.name]) for twin in found.twins)) for each in MEASURES
    ]
    dead = [f"{twin.dead:,} of {twin.units:,} ({percent(twin.dead / twin.units)})" for twin in found.twins]
    rows.append(row(f"{DEAD_SHARE.title.capitalize()}, all seeds", *dead))
    return Table(tuple(columns), tuple(rows), note=f"{numbers_are(found.seeds)}.")


def _pairs(found: Study) -> Table:
    titles = {twin.name: twin.title for twin in found.twins}
    columns = (
        Column("measure", number=False),
        Column("twins", number=False),
        Column("difference, 95 % interval"),
        Column("differ", number=False),
    )
    rows = tuple(
        _pair(each, pair, f"{titles[pair.a]} {MINUS} {titles[pair.b]}")
        for each in MEASURES
        for pair in found.differences[each.name]
    )
    return Table(columns, rows, folded="All paired differences", terminal=False)


def _pair(measure: Measure, pair: PairedDifference, who: str) -> Row:
    if pair.low is None:
        verdict = "one seed cannot tell"
    else:
        verdict = "yes" if pair.significant_holm else "alone" if pair.significant else "inside the spread"
    return row(measure.heading, who, measure.difference_text(pair), verdict)


def study_command(record: StudyRecord) -> str:
    """The command that makes a study again, every argument written out."""
    request = record.request
    words = ["budgetnet", "landscape", "training", *data_words(record.data.data)]
    words += [] if request.network is None else ["--network", *base_words([request.network])]
    words += ["--activations", *map(activation_name, request.activations), "--recipe", request.recipe.name]
    words += ["--seeds", str(request.seeds), "--steps", str(request.steps)]
    words += ["--probes", str(request.probes), "--probe-images", str(request.probe_images)]
    return in_lines([*words, *augment_flags(request.augment)])


def _again(record: StudyRecord) -> tuple[Block, ...]:
    facts = {"Seeds": ", ".join(map(str, range(record.request.seeds)))}
    return (
        Command(study_command(record)),
        Facts(facts_of(record, record.plan.augmentation[0], facts)),
        Text("A study is a function of `plan.json`, which lies beside this page and holds the steps.", quiet=True),
    )
