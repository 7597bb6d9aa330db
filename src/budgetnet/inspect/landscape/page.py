"""The files of a folder of landscapes, and one self-contained page of all that is in the folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.draw import wording
from budgetnet.draw.page import render_page
from budgetnet.draw.style import COLOURS
from budgetnet.inspect.landscape import words
from budgetnet.inspect.landscape.chart import NARROW_PX, WIDE_PX, measures_chart
from budgetnet.inspect.landscape.curves import PARTS, function_cards, functions_sheet
from budgetnet.inspect.landscape.drawing import SCALES, output_figures
from budgetnet.inspect.landscape.functions import FunctionFacts, title_of
from budgetnet.inspect.landscape.loss.drawing import loss_figures
from budgetnet.inspect.landscape.loss.part import LOSS, loss_part, loss_row
from budgetnet.inspect.landscape.loss.values import LossLandscape
from budgetnet.inspect.landscape.parts import numbers_of, picture_of, write_part
from budgetnet.inspect.landscape.plane import OutputLandscape, Spread
from budgetnet.inspect.landscape.sheets import file_name, save_png, save_svg
from budgetnet.inspect.landscape.training.cards import betas_sheet, training_cards, training_sheet
from budgetnet.inspect.landscape.training.page import BETAS, TRAINING, TRAINING_FORMAT, training_values
from budgetnet.networks import Activation
from budgetnet.parallel.progress import Progress

TEMPLATES = Path(__file__).parent

PAGE = "landscape.html"
OUTPUT, FUNCTIONS = "output", "functions"
OUTPUT_FORMAT, FUNCTIONS_FORMAT = "budgetnet.output-landscape.v1", "budgetnet.functions-landscape.v1"


def write_output(folder: str | Path, landscape: OutputLandscape, progress: Progress | None = None) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of output landscapes; the paths of what people open."""
    sheet, cards = output_figures(landscape, progress)
    cards["measures"] = measures_chart(landscape, WIDE_PX)
    cards["measures-narrow"] = measures_chart(landscape, NARROW_PX)
    files = write_part(Path(folder), OUTPUT, output_row(landscape), sheet, cards, progress)
    return write_page(folder), *files


def write_functions(
    folder: str | Path, facts: Sequence[FunctionFacts], extent: float, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of activation functions; the paths of what people open."""
    sheet, cards = functions_sheet(facts, extent), function_cards(facts, extent)
    files = write_part(Path(folder), FUNCTIONS, functions_row(facts, extent), sheet, cards, progress)
    return write_page(folder), *files


def write_loss(folder: str | Path, landscape: LossLandscape, progress: Progress | None = None) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of losses around weights; the paths of what people open."""
    sheet, cards = loss_figures(landscape, progress)
    files = write_part(Path(folder), LOSS, loss_row(landscape), sheet, cards, progress)
    return write_page(folder), *files


def write_training(folder: str | Path, row: Mapping[str, Any], progress: Progress | None = None) -> tuple[Path, ...]:
    """Write the pictures, the numbers and the page of trainings; the paths of what people open."""
    folder, cards = Path(folder), training_cards(row)
    (folder / TRAINING).mkdir(parents=True, exist_ok=True)
    for name, figure in cards.items():
        figure.set_facecolor(COLOURS["paper"])  # a PNG cannot follow the reader's light or dark setting
        save_png(figure, folder / TRAINING / f"{name}.png")
        figure.set_facecolor("none")
    betas = betas_sheet(row)
    if betas is not None:
        save_png(betas, folder / f"{BETAS}.png")
        save_svg(betas, folder / f"{BETAS}.svg")
    files = write_part(folder, TRAINING, row, training_sheet(row), cards, progress)
    return write_page(folder), *files, *([folder / f"{BETAS}.png", folder / f"{BETAS}.svg"] if betas else [])


def output_row(landscape: OutputLandscape) -> dict[str, Any]:
    """What output.json holds."""
    return {"format": OUTPUT_FORMAT, **landscape.to_dict()}


def functions_row(facts: Sequence[FunctionFacts], extent: float) -> dict[str, Any]:
    """What functions.json holds."""
    return {"format": FUNCTIONS_FORMAT, "extent": extent, "activations": [row.to_dict() for row in facts]}


def write_page(folder: str | Path) -> Path:
    """Write landscape.html from the parts that the folder has; it asks no network for anything.

    Raises a one-line `ValueError` for a part that is damaged, or of another version.
    """
    path = Path(folder) / PAGE
    text = render(Path(folder))
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return path


def render(folder: Path) -> str:
    """The page's text."""
    values = {
        "words": words,
        "wording": wording,
        "output": _output(folder),
        "functions": _functions(folder),
        "training": _training(folder),
        "loss": loss_part(folder),
    }
    return render_page(TEMPLATES / "landscape.html.j2", values)


def _output(folder: Path) -> dict[str, Any] | None:
    """What the template reads of the output landscapes."""
    row = numbers_of(folder, OUTPUT, OUTPUT_FORMAT)
    if row is None:
        return None
    lines = [_output_line(line) for line in row["activations"]]
    return {
        **row,
        "lines": lines,
        "verdict": words.verdict(row["activations"]),
        "cards": [picture_of(folder, OUTPUT, line["file"], f"Output landscape of {line['title']}") for line in lines],
        "scales": [picture_of(folder, OUTPUT, name, text) for name, text in SCALES.items()],
        "charts": [picture_of(folder, OUTPUT, f"measures{tail}", "The measures of all") for tail in ("", "-narrow")],
    }


def _output_line(line: Mapping[str, Any]) -> dict[str, Any]:
    activation = Activation(line["kind"], line["beta"])
    spreads = {
        name: Spread(row["mean"], row["deviation"], tuple(row["values"])) for name, row in line["measures"].items()
    }
    return {
        **line,
        "title": title_of(activation),
        "file": file_name(activation),
        "texts": {name: words.spread_text(name, spread) for name, spread in spreads.items()},
    }


def _functions(folder: Path) -> dict[str, Any] | None:
    """What the template reads of the functions."""
    row = numbers_of(folder, FUNCTIONS, FUNCTIONS_FORMAT)
    if row is None:
        return None
    named = [(line, Activation(line["kind"], line["beta"])) for line in row["activations"]]
    lines = [{**line, "title": title_of(one), "file": file_name(one)} for line, one in named]
    family = any(line["kind"] == "swish" for line in lines)
    return {
        **row,
        "lines": lines,
        "family": [picture_of(folder, FUNCTIONS, part, text) for part, text in PARTS.items()] if family else [],
        "cards": [picture_of(folder, FUNCTIONS, line["file"], f"{line['title']} and its slope") for line in lines],
    }


def _training(folder: Path) -> dict[str, Any] | None:
    """What the template reads of the trainings."""
    row = numbers_of(folder, TRAINING, TRAINING_FORMAT)
    return None if row is None else training_values(row, partial(picture_of, folder, TRAINING))
