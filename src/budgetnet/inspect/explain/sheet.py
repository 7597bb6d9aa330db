"""The sheet: images below one another, and beside each what the networks look at; for the page and for slides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from budgetnet.draw.wording import count, percent
from budgetnet.inspect.explain.drawing import Drawing
from budgetnet.inspect.explain.figures import SheetHead, SheetTile, save, sheet_figure
from budgetnet.inspect.explain.subjects import Subject
from budgetnet.inspect.explain.values import ClassMap, ImageRow, NetworkRow
from budgetnet.training.scored_images import loosened


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What a network looks at for a class. `right`: whether its answer is the image's class; None where unknown."""

    map: ClassMap
    pixels: NDArray[np.uint8]
    predicted: bool
    right: bool | None

    @property
    def wrong(self) -> bool:
        """Whether it is a wrong answer."""
        return self.predicted and self.right is False

    @property
    def note(self) -> str:
        """The probability, and before it whether it is the answer, and where that is known a right one."""
        if not self.predicted:
            return percent(self.map.probability)
        word = {None: "predicted", True: "right", False: "wrong"}[self.right]
        return f"{word}, {percent(self.map.probability)}"


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A cell for every network; an image's `first` line has the predicted classes, each further one a named class."""

    image: ImageRow
    pixels: NDArray[np.uint8]
    first: bool
    cells: tuple[Cell, ...]


def lines(drawing: Drawing, subjects: Sequence[Subject]) -> Iterator[Line]:
    """The lines of all drawn images."""
    for image, shown in zip(drawing.images, drawing.shown, strict=True):
        for number, positions in enumerate(shown.lines):
            if number and not any(positions):  # all predict that class: the first line shows it
                continue
            cells: list[Cell] = []
            for answer, overlays, position, subject in zip(
                image.answers, shown.overlays, positions, subjects, strict=True
            ):
                right = _right(image.label, answer.label, subject.loaded.classes)
                cells.append(Cell(answer.maps[position], overlays[position], position == 0, right))
            yield Line(image, shown.pixels, number == 0, tuple(cells))


def _right(label: str | None, predicted: str, classes: Sequence[str]) -> bool | None:
    """Whether the answer is the image's class; None where that is not known, or the network does not know it."""
    if label is None or loosened(label) not in map(loosened, classes):
        return None
    return loosened(label) == loosened(predicted)


def write_sheet(folder: Path, sheet: Sequence[Line], networks: Sequence[NetworkRow]) -> None:
    """Draw the sheet as grad-cam.png in the folder."""
    heads = [_head(row) for row in networks] if len(networks) > 1 else [SheetHead("Grad-CAM")]
    blocks: list[list[list[SheetTile | None]]] = []
    for line in sheet:
        file = Path(line.image.path).name
        title, note = (f"is {line.image.label}", file) if line.image.label else (file, "")
        own = SheetTile(line.pixels, title, note, False) if line.first else None
        if line.first:
            blocks.append([])
        tiles = [SheetTile(cell.pixels, cell.map.label, cell.note, cell.wrong) for cell in line.cells]
        blocks[-1].append([own, *tiles])
    save(sheet_figure(blocks, [SheetHead("image"), *heads]), folder / "grad-cam", (".png",))


def _head(row: NetworkRow) -> SheetHead:
    """A network's name, and what it costs and reaches."""
    reached = () if row.top1 is None else (f"test {percent(row.top1)}",)
    return SheetHead(row.label, (f"{count(row.macs)} MACs", *reached))
