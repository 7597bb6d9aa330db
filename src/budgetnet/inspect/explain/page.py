"""The page of an explanation: what its template reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from budgetnet.draw import wording
from budgetnet.draw.page import render_page
from budgetnet.draw.thumbnails import encoded
from budgetnet.inspect.explain.drawing import Drawing
from budgetnet.inspect.explain.gates import LEAST_IMAGES
from budgetnet.inspect.explain.sheet import Cell, Line
from budgetnet.inspect.explain.subjects import shown_name
from budgetnet.inspect.explain.values import Explanation, ImageRow, NetworkRow, StageRow
from budgetnet.inspect.side_by_side import source_name

TEMPLATES = Path(__file__).parent

FINE_CELLS = 16
"""A map with at least this many cells says where something is."""


@dataclass(frozen=True, slots=True, eq=False)
class PageCell:
    """What a network looks at for a class, and its picture's address."""

    cell: Cell
    source: str


@dataclass(frozen=True, slots=True, eq=False)
class PageLine:
    """A line of the sheet; `source` is the address of the image's own picture, in its first line."""

    image: ImageRow
    source: str | None
    cells: tuple[PageCell, ...]


@dataclass(frozen=True, slots=True)
class PageStage:
    """A stage's maps in each of the twins."""

    name: str
    rows: tuple[StageRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExplainPage:
    """What the template reads: the explanation, its pictures, and the command that makes it again.

    `blocks` are the lines of each drawn image, `maps` its activation maps as a picture. `cropped`: some network saw
    less than a whole image. `gate_pictures` are none, or the gates of all
    blocks and, where classes are compared, those of the classes.
    """

    found: Explanation
    blocks: tuple[tuple[PageLine, ...], ...]
    maps: tuple[tuple[ImageRow, str], ...]
    cropped: bool
    gate_pictures: tuple[str, ...]
    command: str
    least_images: int = LEAST_IMAGES

    @property
    def first(self) -> NetworkRow:
        """The network that is explained."""
        return self.found.networks[0]

    @property
    def title(self) -> str:
        """Its name."""
        return source_name(self.first.source)

    @property
    def twins(self) -> tuple[NetworkRow, ...]:
        """It and its twins."""
        return tuple(network for network in self.found.networks if network.role != "other")

    @property
    def kinds(self) -> set[str]:
        """The activation functions of all networks."""
        return {kind for network in self.found.networks for kind in network.activations}

    @property
    def stages(self) -> tuple[PageStage, ...]:
        """The values of the maps, stage by stage."""
        rows = self.found.stages
        names = dict.fromkeys(row.stage for row in rows)
        return tuple(PageStage(name, tuple(row for row in rows if row.stage == name)) for name in names)

    @property
    def coarse(self) -> tuple[NetworkRow, ...]:
        """Networks whose map has too few cells to say where something is."""
        return tuple(network for network in self.found.networks if math.prod(network.layer_px) < FINE_CELLS)


def explain_page(
    found: Explanation, drawing: Drawing, lines: Sequence[Line], gate_pictures: tuple[str, ...], command: str
) -> ExplainPage:
    """The page of an explanation."""
    blocks: list[list[PageLine]] = []
    for line in lines:
        if line.first:
            blocks.append([])
        cells = tuple(PageCell(cell, encoded(cell.pixels)[0]) for cell in line.cells)
        blocks[-1].append(PageLine(line.image, encoded(line.pixels)[0] if line.first else None, cells))
    return ExplainPage(
        found=found,
        blocks=tuple(map(tuple, blocks)),
        maps=tuple((image, shown.maps) for image, shown in zip(drawing.images, drawing.shown, strict=True)),
        cropped=any(map(_is_cropped, lines)),
        gate_pictures=gate_pictures,
        command=command,
    )


def write_page(file: Path, page: ExplainPage) -> None:
    """Write the page: one HTML file with all pictures inside."""
    values = {"page": page, "words": wording, "name": shown_name, "file": lambda path: Path(path).name}
    file.write_text(render_page(TEMPLATES / "explain.html.j2", values), encoding="utf-8")


def _is_cropped(line: Line) -> bool:
    """Whether some network saw less than the whole image."""
    assert line.image.size_px is not None
    height, width = line.image.size_px
    whole = (0.0, 0.0, float(width), float(height))
    return not all(np.allclose(cell.map.seen_px, whole) for cell in line.cells)
