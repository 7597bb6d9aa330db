"""The sections of a page about one trained network: its answer, its limits, its classes, its mistakes, its data."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from budgetnet.budgets.budget import Budget, Certificate
from budgetnet.costs.network_cost import cost
from budgetnet.costs.planners import planner_of
from budgetnet.data.deep import in_words
from budgetnet.draw import thumbnails
from budgetnet.draw.figures import Curves, curves_svg
from budgetnet.draw.page import render_page
from budgetnet.draw.wording import (
    LIMIT_TITLES,
    TIMES,
    amount,
    count,
    counted,
    listed,
    on_runtime,
    percent,
    points,
    rounded,
    signed,
    size,
)
from budgetnet.experiments.report import (
    Block,
    Cell,
    Code,
    Column,
    Command,
    Facts,
    Figure,
    Markup,
    Row,
    Section,
    Table,
    Text,
    row,
)
from budgetnet.networks import Network
from budgetnet.runs.record import DataRecord
from budgetnet.runs.split_file import SplitFile
from budgetnet.ship.describe import accuracy_words
from budgetnet.ship.exported import ExportedFile
from budgetnet.training.calibration import Calibration
from budgetnet.training.evaluation import ClassRow, Evaluation
from budgetnet.training.events import Events
from budgetnet.training.outcome import Metrics, Mistake

TEMPLATE = Path(__file__).parent / "trained.html.j2"
MOST_LABELLED = 30
"""A confusion matrix of at most this many classes can still be read."""
MOST_PAIRS = 20
"""A table shows at most this many pairs of classes that were taken for one another."""
MOST_ROWS = 200
"""A table shows at most this many classes: of more, those found least often; metrics.json has all."""
SHOWN_ROWS = 15
"""This many of many classes are shown unfolded."""
MOST_FILES = 200
"""A list on a page shows at most this many files; split.json has all."""


def images_of(number: int) -> str:
    """1 image, 2 images."""
    return counted(number, "image")


class Accuracy(Protocol):
    """A share of right answers with its 95 % interval: of a model, or of an exported file."""

    @property
    def top1(self) -> float:
        """The share of right answers."""
        ...

    @property
    def top1_low(self) -> float:
        """The lower end of its interval."""
        ...

    @property
    def top1_high(self) -> float:
        """The upper end."""
        ...


def interval(accuracy: Accuracy) -> str:
    """97.0 to 99.1, in percent."""
    return f"{points(accuracy.top1_low)} to {points(accuracy.top1_high)}"


def answer(test: Evaluation, certificate: Certificate | None, file: ExportedFile | None = None) -> Markup:
    """The accuracy in large figures, and how the network stands to its budget.

    Where a file in eight bits is shipped the accuracy is that of the file, with the model's beside it.
    """
    shown, how = (test, "") if file is None else (file, " by the file in eight bits")
    beside = "" if file is None else f" The model that it was made of, in float32, has {percent(test.top1)}."
    text = (
        f"of {images_of(test.count)} held out for the test are labelled right{how} (95 % interval {interval(shown)})."
        f"{beside} {verdict(certificate)}"
    )
    return _markup("answer", accuracy=shown, text=text)


def summary_rows(
    test: Evaluation,
    network: Network,
    budget: Budget | None,
    certificate: Certificate | None,
    file: ExportedFile | None = None,
) -> dict[str, str]:
    """The network, how it stands to its budget, and its accuracy: what is shown of it in a few lines."""
    kept = verdict(certificate)
    accuracy = f"{percent(test.top1)} of {images_of(test.count)} held out for the test (95 % interval {interval(test)})"
    if file is not None:
        accuracy = f"{accuracy_words(file)}, held out for the test"
    return {"network": sizes(network, budget), **({"budget": kept} if kept else {}), "accuracy": accuracy}


def sizes(network: Network, budget: Budget | None) -> str:
    """The network in numbers, in a line."""
    price = budget.price(network) if budget else cost(network)
    height, width = network.resolution_px
    parts = (
        f"{height}{TIMES}{width} px",
        f"{network.depth} blocks",
        f"{count(price.macs)} multiply-adds",
        f"{count(price.params)} parameters",
        f"{size(price.peak_activation_bytes)} of peak activations in {price.dtype}"
        f"{on_runtime('peak_activation_bytes', price.runtime)}",
    )
    return ", ".join(parts)


def limits_asked(budget: Budget) -> str:
    """At most 60 M multiply-adds and 3 M parameters."""
    return "at most " + listed(
        [
            f"{rounded(name, limit)} {_words(name)}{on_runtime(name, budget.runtime)}"
            for name, limit in budget.limits().items()
        ]
    )


def _words(name: str) -> str:
    title = LIMIT_TITLES[name].replace(" (MACs)", "")
    text = title[0].lower() + title[1:]
    return f"of {text}" if name.endswith("bytes") else text


def verdict(certificate: Certificate | None) -> str:
    """How the network stands to its budget, in a sentence; empty without one."""
    if certificate is None:
        return ""
    binding, many = certificate.binding, len(certificate.limits)
    unit = _words(binding.name).removeprefix("of ") + on_runtime(binding.name, certificate.runtime)
    what = f"{amount(binding.name, binding.used)} of {rounded(binding.name, binding.limit)} {unit}"
    if binding.left < 0:
        return f"It breaks its budget: {what}."
    tail = "" if many == 1 else f" That is the tightest of its {many} limits."
    return f"It uses {what} and leaves {percent(binding.left / binding.limit)}.{tail}"


def certificate_section(certificate: Certificate, budget: Budget) -> Section:
    """The certificate: a bar a limit, and of a joint network a row a dial.

    The terminal has its own, in exact numbers (`cli.pricing`).
    """
    following = certificate.next
    after = {} if following is None else {row.name: row.used for row in budget.check(following.network).limits}
    columns = [Column("limit", number=False), *map(Column, ("at most", "used", "left")), Column("share used")]
    columns += [Column("next larger")] if following else []
    rows: list[Row] = []
    for one in certificate.limits:
        cells = [
            Cell(LIMIT_TITLES[one.name] + on_runtime(one.name, certificate.runtime)),
            Cell(rounded(one.name, one.limit)),
            Cell(amount(one.name, one.used)),
            Cell(amount(one.name, one.left), broken=one.left < 0),
            Cell("", (percent(one.share),), bar=one.share),
        ]
        if following:
            share = after[one.name] / one.limit
            text = f"{percent(share)}{', too much' if share > 1 else ''}"
            cells.append(Cell(amount(one.name, after[one.name]), (text,), broken=share > 1))
        rows.append(Row(tuple(cells)))
    runtime = "" if budget.runtime == "deployed" else f" as {planner_of(budget.runtime).title} needs it"
    note = (
        f"Counted for {budget.dtype} and a batch of {budget.batch}, BatchNorm folded{runtime}. The numbers are those "
        "of the real, rounded network, not of the scaling formula."
    )
    kept = "Every limit is kept." if certificate.fits else "Not every limit is kept."
    predictions = " ".join(f"Latency: {row.prediction}." for row in certificate.limits if row.prediction is not None)
    text = Text(" ".join(part for part in (kept, _why_largest(certificate), predictions) if part))
    table = Table(tuple(columns), tuple(rows), note, terminal=False)
    dials = (_dials_table(certificate),) if certificate.dials else ()
    return Section("certificate", "Certificate", (text, table, *dials))


def _dials_table(certificate: Certificate) -> Table:
    """Each dial of a joint network, its next setting, and why it is not taken."""
    rows = tuple(
        Row(
            (
                Cell(dial.dial),
                Cell(dial.at),
                Cell(dial.next or "\N{EN DASH}"),
                Cell(dial.reason(lambda name: _words(name).removeprefix("of "))),
            )
        )
        for dial in certificate.dials
    )
    titles = ("dial", "setting now", "next setting", "why it is not taken")
    columns = tuple(Column(title, number=False) for title in titles)
    return Table(columns, rows, "Each row turns one dial and leaves the others where they are.", terminal=False)


def _why_largest(certificate: Certificate) -> str:
    """Why nothing larger on the path is the answer."""
    following = certificate.next
    if certificate.staged:
        return (
            "Of the networks found from the joint one on that keep them, it has the most multiply-adds a block: "
            "no dial a step, and none forward against another back, gives more."
        )
    if certificate.dials:
        return "Of all networks of its four dials near the compound line that keep them, it has the most multiply-adds."
    if following is None:
        return f"{certificate.end[0].upper()}{certificate.end[1:]}." if certificate.end else ""
    runtime = certificate.runtime
    titles = [_words(name).removeprefix("of ") + on_runtime(name, runtime) for name in following.broken_limits]
    parts = [f"breaks {listed(titles)}"] if titles else []
    parts += [f"leaves too little {listed(list(following.lacks))} for its training"] if following.lacks else []
    return (
        f"The next larger network on the same path, at φ = {signed(following.phi, 4)}, {' and '.join(parts)}, so this "
        "one is the largest that fits."
    )


def training_section(events: Events, phase: str, caption: str) -> tuple[Section, ...]:
    """The curves of a training; nothing where it left fewer than two points."""
    steps = [event for event in events.curve(phase) if event.accuracy is not None]
    if len(steps) < 2:
        return ()
    epochs_a_step = steps[-1].epoch / steps[-1].step
    curves = Curves(
        epochs=tuple(event.epoch for event in steps),
        losses=tuple(event.loss for event in steps),
        accuracies=tuple(event.accuracy or 0.0 for event in steps),
        rates=tuple(event.learning_rate for event in steps),
        scores=tuple(
            (score.step * epochs_a_step, score.accuracy, score.low, score.high) for score in events.scores_of(phase)
        ),
    )
    return (Section("training", "Training", (Figure(partial(curves_svg, curves), caption, "training"),)),)


def classes_section(metrics: Metrics, classes: int) -> Section:
    """Accuracy in several ways, and a row a class."""
    test = metrics.test
    facts = {
        "Top-1 accuracy": f"{percent(test.top1)}, interval {interval(test)}",
        **({} if test.top5 is None else {"Top-5 accuracy": percent(test.top5)}),
        "Balanced accuracy": f"{percent(test.balanced_accuracy)}, the mean of the classes' recalls",
        **calibration_facts(metrics.calibration),
        "For comparison": f"{percent(commonest_share(test))} for always answering the commonest class",
    }
    shown = class_rows(test)
    blocks: list[Block] = [Facts(facts)]
    if len(shown) <= MOST_LABELLED:
        blocks.append(_class_table(shown))
    else:
        blocks.append(Text(f"The {SHOWN_ROWS} classes that are found least often:"))
        blocks.append(_class_table(shown[:SHOWN_ROWS]))
        rest = len(shown) - SHOWN_ROWS
        blocks.append(
            _class_table(shown[SHOWN_ROWS:], f"The {'other' if len(shown) == classes else 'next'} {rest} classes")
        )
    if len(shown) < classes:
        blocks.append(
            Text(
                f"metrics.json has all {classes:,} classes; those without a test image are not in these tables.",
                quiet=True,
            )
        )
    return Section("classes", "Classes", tuple(blocks))


def trust_section(metrics: Metrics, file: ExportedFile | None = None) -> tuple[Section, ...]:
    """When not to believe it, by the answers of the file in eight bits where one is shipped.

    Nothing in runs from before this was kept.
    """
    trust, promises = metrics.trust, metrics.promises if file is None else file.promises
    if trust is None:
        return ()
    blocks: list[Block] = []
    if trust.familiar is not None:
        blocks.append(
            Text(
                '`predict` marks an image as "none of these" where it looks less like the classes than 95 % of theirs.'
            )
        )
    basis = f"{trust.images:,} validation images that it has not learned"
    basis += "" if file is None else ", as the file in eight bits answers them"
    if promises:
        columns = (Column("wrong at most"), Column("answered"), Column("answered, test"), Column("wrong, test"))
        rows = tuple(
            row(
                percent(one.promise.max_error, 0),
                percent(one.promise.share),
                percent(one.answered / one.images),
                f"{percent(one.wrong / one.answered) if one.answered else '-'} ({one.wrong:,} of {one.answered:,})",
            )
            for one in promises
        )
        note = (
            f"Each row holds with 95 % confidence, by {basis}: with `--max-error` its less sure answers do not count, "
            "and of the others at most this share is wrong. The test images show what came of it."
        )
        blocks.append(Table(columns, rows, note, terminal=False))
    else:
        blocks.append(Text(f"Of {basis} no share of errors up to 10 % can be promised with 95 % confidence."))
    return (Section("trust", "When not to believe it", tuple(blocks)),)


def calibration_facts(calibration: Calibration) -> dict[str, str]:
    """How the probabilities were calibrated, and what that did to the expected calibration error on the test images."""
    before, after = calibration.test_error_before, calibration.test_error_after
    error = ""
    if before is not None and after is not None:
        error = f"; calibration error {percent(before)} without it, {percent(after)} with it, on the test images"
    return {"Probabilities": f"temperature {calibration.temperature:.2f}, {calibration.basis}{error}"}


def class_rows(evaluation: Evaluation) -> tuple[ClassRow, ...]:
    """The classes in their order; where they are many, those found least often first."""
    if len(evaluation.per_class) <= MOST_LABELLED:
        return evaluation.per_class
    asked = (one for one in evaluation.per_class if one.count)
    return tuple(sorted(asked, key=lambda one: one.recall)[:MOST_ROWS])


def commonest_share(evaluation: Evaluation) -> float:
    """Accuracy of always answering the commonest class."""
    return max(one.count for one in evaluation.per_class) / evaluation.count


def _class_table(rows: Sequence[ClassRow], folded: str = "") -> Table:
    columns = (
        Column("class", number=False),
        *map(Column, ("images", "precision %", "recall %", "F1")),
        Column("recall"),
    )
    cells = tuple(
        row(
            one.name,
            f"{one.count:,}",
            points(one.precision),
            points(one.recall),
            f"{one.f1:.3f}",
            Cell("", bar=one.recall),
        )
        for one in rows
    )
    return Table(columns, cells, folded=folded, terminal=False)


def confused_pairs(evaluation: Evaluation) -> tuple[tuple[str, str, int], ...]:
    """(true, predicted, images) of the mistakes that were made most often."""
    names = [one.name for one in evaluation.per_class]
    return tuple((names[true], names[taken], number) for true, taken, number in evaluation.confused[:MOST_PAIRS])


def confusion_section(test: Evaluation, classes: Sequence[str]) -> Section:
    """What was taken for what."""
    pairs = confused_pairs(test)
    if not pairs:
        return Section("confusion", "Confusion", (Text("No test image was taken for another class."),))
    if len(classes) <= MOST_LABELLED:
        true, taken, number = pairs[0]
        said = Text(
            "Rows are what the test images are, columns what they were taken for. Most often "
            f"{true} was taken for {taken}: {images_of(number)}."
        )
        return Section("confusion", "Confusion", (said, _markup("confusion", classes=classes, counts=test.confusion)))
    columns = (Column("is", number=False), Column("was taken for", number=False), Column("images"))
    table = Table(columns, tuple(row(true, taken, f"{number:,}") for true, taken, number in pairs), terminal=False)
    said = Text(f"Of {len(classes):,} classes, those that were taken for another most often.")
    return Section("confusion", "Confusion", (said, table))


@dataclass(frozen=True, slots=True)
class Shown:
    """A mistake with its thumbnail's address, if the image could be read; `tiny` ones are shown with their pixels."""

    mistake: Mistake
    source: str | None
    tiny: bool


def mistakes_section(metrics: Metrics, data: DataRecord) -> tuple[Section, ...]:
    """The test images that it was surest of and wrong about; nothing where there are none."""
    rows = tuple(_shown(metrics.mistakes, data))
    if not rows:
        return ()
    wrong = sum(number for _, _, number in metrics.test.confused)
    which = f"{len(rows)} of {wrong:,} test images" if len(rows) < wrong else "The test images"
    said = Text(f"{which} that it got wrong, those that it was surest of first. Some may be labelled wrong.")
    return (Section("mistakes", "Worst mistakes", (said, _markup("mistakes", rows=rows)), "Mistakes"),)


def _shown(mistakes: Sequence[Mistake], data: DataRecord) -> Iterator[Shown]:
    for one in mistakes:
        if data.path == "digits":
            seen = thumbnails.digit(one.file)
        else:
            seen = thumbnails.thumbnail(Path(data.path) / one.file, data.in_channels, data.value_range)
        source, side_px = seen if seen is not None else (None, 0)
        yield Shown(one, source, side_px <= thumbnails.SMALL_PX)


def network_section(network: Network) -> Section:
    """Its stages and its source."""
    source = (Text(network.source, quiet=True),) if network.source else ()
    return Section("network", "The network", (Code(str(network)), *source), "Network")


def data_section(data: DataRecord, split: SplitFile, metrics: Metrics, chose: bool) -> Section:
    """Which images, and what was left out."""
    counts, held_out = data.counts, metrics.held_out
    kind = "greyscale" if data.in_channels == 1 else "colour"
    validation = f"{counts['validation']:,}{', which chose the network' if chose else ''}"
    if held_out:
        validation += f"; {held_out:,} of them, of every class its share, stayed out of the final training"
    facts = {
        "Images": f"{sum(counts.values()):,} in {len(data.classes):,} classes, median short side "
        f"{data.median_short_side_px} px, {kind}",
        **(
            {}
            if data.value_range is None
            else {
                "Values": f"more than 8 bits each: {in_words(data.value_range)}, by the training images, became 256 "
                "levels; what lies outside is clipped"
            }
        ),
        "Classes": listed(list(data.classes)) if len(data.classes) <= MOST_LABELLED else f"{len(data.classes):,}",
        "Training": f"{counts['train']:,}",
        "Validation": validation,
        "Test": f"{counts['test']:,}, used once, at the end",
        "Left out": f"{counts['left_out']:,}{', equal to an image elsewhere' if counts['left_out'] else ''}",
        "Unreadable": f"{len(split.unreadable):,}",
    }
    lists = (
        *_files("Files that could not be read", split.unreadable, ": "),
        *_files("Images left out, and the ones they equal", split.duplicates, " = "),
    )
    return Section("data", "Data", (Facts(facts), *lists))


def _files(title: str, rows: Sequence[tuple[str, str]], between: str) -> Iterator[Code]:
    if rows:
        lines = [f"{first}{between}{second}" for first, second in rows[:MOST_FILES]]
        lines += [f"and {len(rows) - MOST_FILES} more, in split.json"] if len(rows) > MOST_FILES else []
        yield Code("\n".join(lines), folded=title)


def use_section(run: Path) -> Section:
    """How the network is used from a shell and from Python."""
    shell = f"budgetnet predict {shlex.quote(str(run))} IMAGE...\nbudgetnet evaluate {shlex.quote(str(run))}"
    python = f'import budgetnet\n\nfor answer in budgetnet.predict({str(run)!r}, ["photo.jpg"]):\n    print(answer)'
    return Section("use", "Use it", (Command(shell), Command(python)), "Use")


def again_section(command: str, facts: dict[str, str]) -> Section:
    """How the run is made again."""
    note = (
        "A run is a function of plan.json, which lies beside this page and holds the steps of every training with "
        "their amendments, and of the number of threads."
    )
    return Section("again", "Make it again", (Command(command), Facts(facts), Text(note, quiet=True)), "Again")


def _markup(what: str, **values: Any) -> Markup:
    """A part of the page that no other kind has."""
    return Markup(render_page(TEMPLATE, {"what": what, "percent": percent, **values}))
