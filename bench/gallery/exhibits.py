"""Exhibits of the zoo and of a solution's report."""

from __future__ import annotations

from budgetnet.experiments.report.evidence import read_evidence
from budgetnet.experiments.report.page import WIDE_PX, render
from budgetnet.experiments.report.views import curves, trials

from bench.gallery.exhibit import Exhibit, Picture, page_picture, reached
from bench.gallery.files import save_drawing, take_drawing
from bench.gallery.runs import Asked, solved_run
from bench.gallery.trained import training_command
from budgetnet import cost, names, network
from budgetnet.cli.pricing import listed, plot_networks
from budgetnet.draw.figures import curves_svg, trials_svg
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
    run = solved_run(asked, progress)
    evidence = read_evidence(run)
    (asked.work / "report.html").write_text(render(evidence), encoding="utf-8")
    limit = evidence.budget.macs if evidence.budget else None
    save_drawing(trials_svg(trials(evidence), WIDE_PX, "", limit), asked.out / "report-race.svg")
    learned = curves(evidence)
    shown = [
        *page_picture(asked.work / "report.html", asked.out / "report.jpg", "The report of a run", REPORT),
        Picture(
            "report-race.svg",
            "Validation accuracy of the raced candidates over multiply-adds",
            "The race: a trail for each candidate, a point for each rung; the diamond is the one that was chosen, "
            "pale bars are 95 % intervals.",
        ),
    ]
    if learned is not None:
        save_drawing(curves_svg(learned, WIDE_PX, ""), asked.out / "report-training.svg")
        caption = f"The winner's training. It gets {reached(evidence.test)} right."
        shown.append(Picture("report-training.svg", "Loss, accuracy and learning rate over the epochs", caption))
    return Exhibit(
        "The report of a solution",
        "Which network fits the budget, and why this one?",
        (training_command(evidence),),
        "how-it-works.md",
        tuple(shown),
    )


REPORT = (
    "The top of report.html: the answer with its interval, the certificate with every limit and the next larger "
    "network that breaks one, and what was tried."
)
