"""Exhibits of the zoo and of a solution's report."""

from __future__ import annotations

from bench.gallery.exhibit import Exhibit, Picture, page_picture, reached
from bench.gallery.files import save_drawing, take_drawing
from bench.gallery.runs import Asked, solved_run
from bench.gallery.trained import training_command
from budgetnet import cost, names, network
from budgetnet.cli.pricing import listed, plot_networks
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.report import WIDE_PX, Figure, write_report
from budgetnet.experiments.solve import SOLVE
from budgetnet.parallel.progress import Progress


def zoo(asked: Asked) -> Exhibit:
    """Published accuracy over multiply-adds."""
    source, what = asked.work / "zoo.svg", "Published ImageNet accuracy over multiply-adds"
    plot_networks(listed([(one, cost(one)) for one in map(network, names())]), source)
    take_drawing(source, asked.out / "zoo.svg", what)
    caption = (
        "Every network of the zoo with a published accuracy. Filled and joined: no other listed has as much with fewer "
        "multiply-adds. Each was trained by its authors' own recipe, and that is worth points: what the networks "
        "themselves are worth, only a comparison by one recipe tells."
    )
    return Exhibit(
        "The zoo",
        "What was published, at which cost?",
        ("budgetnet zoo --plot zoo.svg",),
        "fit.md",
        (Picture("zoo.svg", what, caption),),
    )


def solution(asked: Asked, progress: Progress) -> Exhibit:
    """The report of a solution: the page, its race and its training."""
    record, found = read_finished(SOLVE, solved_run(asked, progress))
    report = SOLVE.report(record, found)
    blocks = [block for section in report.sections for block in section.blocks]
    figures = {block.name: block for block in blocks if isinstance(block, Figure)}
    save_drawing(figures["race"].draw(WIDE_PX, ""), asked.out / "report-race.svg")
    shown = [
        *page_picture(write_report(report, asked.work), asked.out / "report.jpg", "The report of a run", REPORT),
        Picture(
            "report-race.svg",
            "Validation accuracy of the raced candidates over multiply-adds",
            "The race: a trail for each candidate, a point for each rung; the diamond is the one that was chosen, "
            "pale bars are 95 % intervals.",
        ),
    ]
    if "training" in figures:
        save_drawing(figures["training"].draw(WIDE_PX, ""), asked.out / "report-training.svg")
        caption = f"The winner's training. It gets {reached(found.test)} right."
        shown.append(Picture("report-training.svg", "Loss, accuracy and learning rate over the epochs", caption))
    return Exhibit(
        "The report of a solution",
        "Which network fits the budget, and why this one?",
        (training_command(found),),
        "how-it-works.md",
        tuple(shown),
    )


REPORT = (
    "The top of report.html: the answer with its interval, the certificate with every limit and the next larger "
    "network that breaks one, and what was tried."
)
