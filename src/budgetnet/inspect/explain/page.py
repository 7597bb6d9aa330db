"""The page of an explanation: what its template reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet.draw import wording
from budgetnet.draw.page import render_page
from budgetnet.draw.thumbnails import encoded
from budgetnet.inspect.explain.drawing import Drawing
from budgetnet.inspect.explain.gates import LEAST_IMAGES
from budgetnet.inspect.explain.sheet import Line
from budgetnet.inspect.explain.subjects import shown_name
from budgetnet.inspect.explain.values import Explanation
from budgetnet.inspect.twins import source_name

TEMPLATES = Path(__file__).parent

FINE_CELLS = 16
"""A map with at least this many cells says where something is."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a page is made from; `gates` are the pictures of the gates, `command` makes it again."""

    explanation: Explanation
    drawing: Drawing
    lines: Sequence[Line]
    gates: Sequence[str]
    command: str


def write_page(file: Path, parts: Parts) -> None:
    """Write the page: one HTML file with all pictures inside."""
    file.write_text(render_page(TEMPLATES / "explain.html.j2", _values(parts)), encoding="utf-8")


def _values(parts: Parts) -> dict[str, Any]:
    found = parts.explanation
    return {
        "found": found,
        "first": found.networks[0],
        "title": source_name(found.networks[0].source),
        "twins": [network for network in found.networks if network.role != "other"],
        "words": wording,
        "name": shown_name,
        "blocks": _blocks(parts.lines),
        "maps": list(zip(parts.drawing.images, parts.drawing.shown, strict=True)),
        "kinds": {kind for network in found.networks for kind in network.activations},
        "stages": [
            (name, [row for row in found.stages if row.stage == name])
            for name in dict.fromkeys(row.stage for row in found.stages)
        ],
        "drawn": len(parts.drawing.images),
        "cropped": any(_is_cropped(line) for line in parts.lines),
        "coarse": [network for network in found.networks if math.prod(network.layer_px) < FINE_CELLS],
        "least_images": LEAST_IMAGES,
        "gate_pictures": parts.gates,
        "command": parts.command,
        "file": lambda path: Path(path).name,
    }


def _blocks(lines: Sequence[Line]) -> list[list[dict[str, Any]]]:
    """The lines of each image."""
    blocks: list[list[dict[str, Any]]] = []
    for line in lines:
        if line.first:
            blocks.append([])
        blocks[-1].append(_line(line))
    return blocks


def _line(line: Line) -> dict[str, Any]:
    """A line with its pictures as addresses."""
    return {
        "image": line.image,
        "source": encoded(line.pixels)[0] if line.first else None,
        "cells": [{"cell": cell, "source": encoded(cell.pixels)[0]} for cell in line.cells],
    }


def _is_cropped(line: Line) -> bool:
    """Whether some network saw less than the whole image."""
    assert line.image.size_px is not None
    height, width = line.image.size_px
    whole = (0.0, 0.0, float(width), float(height))
    return not all(np.allclose(cell.map.seen_px, whole) for cell in line.cells)
