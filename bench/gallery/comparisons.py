"""Exhibits of comparisons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bench.gallery.exhibit import Exhibit, Picture, page_picture, shown_data
from bench.gallery.files import save_drawing
from bench.gallery.runs import Asked, comparisons_of
from budgetnet.draw.intervals import accuracy_svg, forest_svg
from budgetnet.draw.wording import count, duration, percent
from budgetnet.experiments.compare.curves import curves_svg
from budgetnet.experiments.compare.pictures import pareto_svg
from budgetnet.experiments.compare.report import compare_command, named_pairs
from budgetnet.experiments.compare.request import Question
from budgetnet.experiments.compare.result import Comparison
from budgetnet.experiments.report import WIDE_PX
from budgetnet.parallel.progress import Progress

TITLES: dict[Question, tuple[str, str]] = {
    "families": ("Families at one budget", "Which family is best on these images?"),
    "scaling": ("One base, scaled in different ways", "Is it better to scale everything together?"),
    "ablation": ("A base without its parts", "What are Swish, squeeze-and-excitation and the rest worth?"),
}


def comparison(asked: Asked, question: Question, progress: Progress) -> Exhibit:
    """Accuracy, paired differences and accuracy against each cost; at several costs the curves over them come first."""
    found = comparisons_of(asked, question, progress)
    last, several = found[-1], len(found) > 1
    pairs = named_pairs(last)
    drawn = {
        **({"curves": curves_svg([one.networks for one in found], WIDE_PX, "")} if several else {}),
        "accuracy": accuracy_svg([row.mean for row in last.networks], WIDE_PX, ""),
        **({"differences": forest_svg(pairs, WIDE_PX, "")} if pairs else {}),
        # The networks of an ablation have as many multiply-adds: costs are not a question there.
        **({"costs": pareto_svg(last.networks, WIDE_PX, "")} if question != "ablation" else {}),
    }
    for name, svg in drawn.items():
        save_drawing(svg, asked.out / f"{question}-{name}.svg")
    captions, (title, ask) = _captions(found), TITLES[question]
    shown = [Picture(f"{question}-{name}.svg", f"{title}: {name}", captions[name]) for name in drawn]
    if question == "families":
        shown = [*page_picture(last.report, asked.out / "families-table.jpg", title, TABLE), *shown]
    return Exhibit(title, ask, (comparison_command(found),), "compare.md", tuple(shown))


def comparison_command(found: Sequence[Comparison]) -> str:
    """The command that makes a comparison again, of one cost or of several, the smallest first."""
    record = found[-1].record
    request = record.request
    seconds = sum(one.record.request.time_seconds for one in found)
    whole = compare_command(
        dataclasses.replace(
            record,
            data=dataclasses.replace(record.data, path=shown_data(record.data.path)),
            request=dataclasses.replace(request, time_seconds=seconds),
        )
    )
    if len(found) == 1:
        return whole
    first, most = next(iter(request.budget.limits().items()))
    shares = (one.record.request.budget.limits()[first] / most for one in found)
    return f"{whole} \\\n    --shares {','.join(f'{share:g}' for share in shares)}"


def _captions(found: Sequence[Comparison]) -> dict[str, str]:
    """What to see in each picture of a comparison, of the largest one where there are several."""
    last, request = found[-1], found[-1].record.request
    where = " at the largest of these costs" if len(found) > 1 else ""
    return {
        "curves": "Accuracy at each cost, where all networks are fitted anew. The thick blue curve is "
        + ("compound scaling. " if request.question == "scaling" else "the best at the largest cost. ")
        + _spread(found),
        "accuracy": f"Accuracy on {last.test_images:,} test images of {last.record.data.name}{where}. The diamond "
        f"is the mean over {request.seeds} seeds, the line its 95 % interval, circles below it are the seeds. "
        f"{_worth(last)}",
        "differences": "Differences on the same test images: intervals of two networks may overlap above and the two "
        "differ all the same. Colour: they differ, also when all pairs are counted. Filled grey: only if that pair is "
        "looked at alone. Hollow: no difference shown. The answer begins: " + " ".join(last.statement[:2]),
        "costs": f"Accuracy against what it costs{where}; filled and joined: none costs less and is as accurate. "
        "The numbers go by accuracy; the names are below.",
    }


def _spread(found: Sequence[Comparison]) -> str:
    """How near to each other the costs are that count as one."""
    costs = [[row.macs for row in one.networks] for one in found]
    each = [f"{count(min(one))} to {count(max(one))}, {percent(max(one) / min(one) - 1, 0)} apart" for one in costs]
    return f"Networks have whole blocks and channels, so that costs differ (MACs): {'; '.join(each)}."


def _worth(found: Comparison) -> str:
    """How long the trainings were, and whether they tell anything about the networks."""
    unequal = [sentence for sentence in found.statement if sentence.startswith("Trainings took")]
    each = " ".join([f"Every training was planned to take {duration(found.seconds_each)} of one core.", *unequal])
    if found.record.data.path != "digits":
        return each
    return f"{each} That is an example of the picture: so short a training on the digits says little of the networks."


TABLE = (
    "The top of the comparison's page: what the data show, and the table: how each network was designed and scaled, "
    "its blocks, what it is suited to, its costs, its accuracy."
)
