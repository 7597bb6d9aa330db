"""The files of a folder of landscapes, and one self-contained page of all that is in the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.atomic_write import written_aside
from budgetnet.draw import wording
from budgetnet.draw.page import render_page
from budgetnet.inspect.landscape import words
from budgetnet.inspect.landscape.chart import NARROW_PX, WIDE_PX, measures_chart
from budgetnet.inspect.landscape.curves import PARTS, function_cards, functions_sheet
from budgetnet.inspect.landscape.drawing import SCALES, output_figures
from budgetnet.inspect.landscape.functions import FunctionFacts, FunctionsLandscape
from budgetnet.inspect.landscape.loss import words as loss_words
from budgetnet.inspect.landscape.loss.drawing import loss_figures
from budgetnet.inspect.landscape.loss.part import LOSS, LOSS_FORMAT, LossPart, loss_part
from budgetnet.inspect.landscape.loss.values import LossLandscape
from budgetnet.inspect.landscape.parts import numbers_of, picture_of, write_part
from budgetnet.inspect.landscape.plane import OutputLandscape, OutputNumbers
from budgetnet.inspect.landscape.sheets import file_name
from budgetnet.parallel.progress import Progress

TEMPLATES = Path(__file__).parent

PAGE = "landscape.html"
OUTPUT, FUNCTIONS = "output", "functions"
OUTPUT_FORMAT, FUNCTIONS_FORMAT = "budgetnet.output-landscape.v1", "budgetnet.functions-landscape.v1"
STUDY = "training"
"""The folder, within one of landscapes, of a study that `landscape training` made; its page is report.html there."""


@dataclass(frozen=True, slots=True)
class OutputPart:
    """Output landscapes on the page: a card an activation, the scales of their colours, a chart of their measures."""

    numbers: OutputNumbers
    verdict: str
    cards: tuple[str, ...]
    scales: tuple[str, ...]
    charts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionsPart:
    """Activation functions on the page: the family of Swish, where there is one, and a card a function."""

    numbers: FunctionsLandscape
    family: tuple[str, ...]
    cards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LandscapePage:
    """What the template reads: the parts that the folder has, and the address of a study's page beside it."""

    output: OutputPart | None
    functions: FunctionsPart | None
    loss: LossPart | None
    study: str | None


def write_output(folder: str | Path, landscape: OutputLandscape, progress: Progress | None = None) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of output landscapes; the paths of what people open."""
    sheet, cards = output_figures(landscape, progress)
    cards["measures"] = measures_chart(landscape, WIDE_PX)
    cards["measures-narrow"] = measures_chart(landscape, NARROW_PX)
    files = write_part(Path(folder), OUTPUT, OUTPUT_FORMAT, landscape.numbers(), sheet, cards, progress)
    return write_page(folder), *files


def write_functions(
    folder: str | Path, facts: Sequence[FunctionFacts], extent: float, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of activation functions; the paths of what people open."""
    sheet, cards = functions_sheet(facts, extent), function_cards(facts, extent)
    numbers = FunctionsLandscape(extent, tuple(facts))
    files = write_part(Path(folder), FUNCTIONS, FUNCTIONS_FORMAT, numbers, sheet, cards, progress)
    return write_page(folder), *files


def write_loss(folder: str | Path, landscape: LossLandscape, progress: Progress | None = None) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of losses around weights; the paths of what people open."""
    sheet, cards = loss_figures(landscape, progress)
    files = write_part(Path(folder), LOSS, LOSS_FORMAT, landscape, sheet, cards, progress)
    return write_page(folder), *files


def write_page(folder: str | Path) -> Path:
    """Write landscape.html from the parts that the folder has; it asks no network for anything.

    Raises a one-line `ValueError` for a part that is damaged, or of another version.
    """
    path = Path(folder) / PAGE
    text = render(Path(folder))
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return path


def link_study(folder: str | Path) -> None:
    """Bring the page of a folder of landscapes, where there is one, up to date with the study beside it."""
    if (Path(folder) / PAGE).is_file():
        write_page(folder)


def render(folder: Path) -> str:
    """The page's text."""
    study = f"{STUDY}/report.html"
    page = LandscapePage(
        output=_output(folder),
        functions=_functions(folder),
        loss=loss_part(folder),
        study=study if (folder / study).is_file() else None,
    )
    values = {"page": page, "words": words, "loss_words": loss_words, "wording": wording}
    return render_page(TEMPLATES / "landscape.html.j2", values)


def _output(folder: Path) -> OutputPart | None:
    numbers = numbers_of(folder, OUTPUT, OUTPUT_FORMAT, OutputNumbers)
    if numbers is None:
        return None

    def picture(name: str, text: str) -> str:
        return picture_of(folder, OUTPUT, name, text)

    return OutputPart(
        numbers=numbers,
        verdict=words.verdict(numbers),
        cards=tuple(picture(file_name(row.name), f"Output landscape of {row.title}") for row in numbers.activations),
        scales=tuple(picture(name, text) for name, text in SCALES.items()),
        charts=tuple(picture(f"measures{tail}", "The measures of all") for tail in ("", "-narrow")),
    )


def _functions(folder: Path) -> FunctionsPart | None:
    numbers = numbers_of(folder, FUNCTIONS, FUNCTIONS_FORMAT, FunctionsLandscape)
    if numbers is None:
        return None

    def picture(name: str, text: str) -> str:
        return picture_of(folder, FUNCTIONS, name, text)

    family = any(row.kind == "swish" for row in numbers.activations)
    return FunctionsPart(
        numbers=numbers,
        family=tuple(picture(part, text) for part, text in PARTS.items()) if family else (),
        cards=tuple(picture(file_name(row.name), f"{row.title} and its slope") for row in numbers.activations),
    )
