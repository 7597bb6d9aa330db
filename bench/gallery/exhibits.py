"""Exhibits of the zoo, of comparisons and of a solution's report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.gallery.exhibit import Exhibit, Picture, comparison_command, reached, training_command
from bench.gallery.files import save_drawing, save_page, take_drawing
from bench.gallery.runs import Asked, compared_runs, solved_run
from budgetnet import cost, names, network
from budgetnet.cli.pricing import listed, plot_networks
from budgetnet.draw.figures import curves_svg, trials_svg
from budgetnet.draw.wording import count, duration, percent
from budgetnet.experiments.compare.curves import curves_svg as costs_svg
from budgetnet.experiments.compare.page import write_page
from budgetnet.experiments.compare.pictures import accuracy_svg, forest_svg, pareto_svg
from budgetnet.experiments.compare.questions import Question
from budgetnet.experiments.compare.rows import Row, differences_of, networks_of
from budgetnet.experiments.report.evidence import read_evidence
from budgetnet.experiments.report.page import WIDE_PX, render
from budgetnet.experiments.report.views import curves, trials
from budgetnet.parallel.progress import Progress
from budgetnet.runs.run import read_json


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


TITLES: dict[Question, tuple[str, str]] = {
    "families": ("Families at one budget", "Which family is best on these images?"),
    "scaling": ("One base, scaled in different ways", "Is it better to scale everything together?"),
    "ablation": ("A base without its parts", "What are Swish, squeeze-and-excitation and the rest worth?"),
}


def comparison(asked: Asked, question: Question, progress: Progress) -> Exhibit:
    """Accuracy, paired differences and accuracy against each cost; at several costs the curves over them come first."""
    runs = compared_runs(asked, question, progress)
    plans, answers = ([read_json(run / file) for run in runs] for file in ("plan.json", "comparison.json"))
    rows, pairs = networks_of(answers[-1]), differences_of(answers[-1])
    several = len(runs) > 1
    drawn = {
        **({"curves": costs_svg([networks_of(one) for one in answers], WIDE_PX, "")} if several else {}),
        "accuracy": accuracy_svg(rows, WIDE_PX, ""),
        **({"differences": forest_svg(pairs, WIDE_PX, "")} if pairs else {}),
        # The networks of an ablation have as many multiply-adds: costs are no question there.
        **({"costs": pareto_svg(rows, WIDE_PX, "")} if question != "ablation" else {}),
    }
    for name, svg in drawn.items():
        save_drawing(svg, asked.out / f"{question}-{name}.svg")
    captions, (title, ask) = _captions(plans[-1], answers, several), TITLES[question]
    shown = [Picture(f"{question}-{name}.svg", f"{title}: {name}", captions[name]) for name in drawn]
    if question == "families":
        shown = [*_page_picture(write_page(runs[-1]), asked.out / "families-table.jpg", title, TABLE), *shown]
    return Exhibit(title, ask, (comparison_command(plans),), "compare.md", tuple(shown))


def _captions(plan: Row, answers: Sequence[Row], several: bool) -> dict[str, str]:
    """What to see in each picture of a comparison, of the largest one where there are several."""
    found = answers[-1]
    where = " at the largest of these costs" if several else ""
    return {
        "curves": "Accuracy at each cost, where all networks are fitted again. The thick blue curve is "
        + ("compound scaling. " if plan["question"] == "scaling" else "the best at the largest cost. ")
        + _spread(answers),
        "accuracy": f"Accuracy on {found['test_images']:,} test images of {plan['data']['name']}{where}. The diamond "
        f"is the mean over {plan['seeds']} seeds, the line its 95 % interval, circles below it are the seeds. "
        f"{_worth(plan, found)}",
        "differences": "Differences on the same test images: intervals of two networks may overlap above and the two "
        "differ all the same. Colour: they differ, also when all pairs are counted. Filled grey: only if that pair is "
        "looked at alone. Hollow: not told apart. The answer begins: " + " ".join(found["statement"][:2]),
        "costs": f"Accuracy against what it costs{where}; filled and joined: none costs less and is as accurate. "
        "The numbers go by accuracy; the names are below.",
    }


def _spread(answers: Sequence[Row]) -> str:
    """How near to each other the costs are that count as one."""
    costs = [[row["macs"] for row in found["networks"]] for found in answers]
    each = [f"{count(min(one))} to {count(max(one))}, {percent(max(one) / min(one) - 1, 0)} apart" for one in costs]
    return f"Networks have whole blocks and channels, so that costs differ (MACs): {'; '.join(each)}."


def _worth(plan: Row, found: Row) -> str:
    """How long the trainings were, and whether they tell anything about the networks."""
    unequal = [sentence for sentence in found["statement"] if sentence.startswith("Trainings took")]
    each = " ".join([f"Every training was planned to take {duration(found['seconds_each'])} of one core.", *unequal])
    if plan["data"]["path"] != "digits":
        return each
    return f"{each} That is an example of the picture: so short a training on the digits says little of the networks."


def solution(asked: Asked, progress: Progress) -> Exhibit:
    """The report of a solution: the page, its race and its training."""
    run = solved_run(asked, progress)
    evidence = read_evidence(run)
    (asked.work / "report.html").write_text(render(evidence), encoding="utf-8")
    limit = evidence.budget.macs if evidence.budget else None
    save_drawing(trials_svg(trials(evidence), WIDE_PX, "", limit), asked.out / "report-race.svg")
    learned = curves(evidence)
    shown = [
        *_page_picture(asked.work / "report.html", asked.out / "report.jpg", "The report of a run", REPORT),
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
TABLE = (
    "The top of the comparison's page: what the data show, and the table: how each network was designed and scaled, "
    "its blocks, what it is suited to, its costs, its accuracy."
)


def _page_picture(page: Path, file: Path, what: str, caption: str) -> list[Picture]:
    """The top of a page, as a browser shows it; without a browser the one that is there."""
    if not save_page(page, file) and not file.is_file():
        return []
    return [Picture(file.name, what, caption)]
