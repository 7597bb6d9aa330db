"""The files of an OpenVINO folder, and what they say beside the graph."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from budgetnet.model.exported_names import LABELS, NOTES
from budgetnet.model.seal import OPEN, check_seal, sealed
from budgetnet.reading import named_json
from budgetnet.ship.notes import Notes
from budgetnet.ship.openvino.quiet import quiet_openvino

GRAPH, WEIGHTS = "model.xml", "model.bin"
NOTES_KEY, LABELS_KEY, SEAL_KEY = "budgetnet", "labels", "budgetnet_sha256"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""Without it OpenVINO takes bfloat16 where a processor has it, which moves logits by a hundredth and more of their
standard deviation."""


def add_notes(model: Any, notes: Notes) -> None:
    """Let a graph say its labels, a class a line, all that reading the answers takes, and how exactly it is meant."""
    texts = notes.texts()
    model.set_rt_info(texts[LABELS], [LABELS_KEY])
    model.set_rt_info(texts[NOTES], [NOTES_KEY])
    model.set_rt_info(OPEN, [SEAL_KEY])
    for name, value in EXACT.items():
        model.set_rt_info(value, ["runtime_options", name])


def notes_in(folder: Path, graph: ElementTree.Element, files: Mapping[str, bytes]) -> Notes:
    """The notes in the graph of a folder with these files. Raises a one-line `ValueError` where there are none, or
    damaged ones, and where the folder is not the one that was exported."""
    file = folder / GRAPH
    row = graph.find(f"rt_info/{NOTES_KEY}")
    if row is None:
        raise ValueError(f"{file} is no OpenVINO file that budgetnet exported: its rt_info has no {NOTES_KEY!r}")
    check_seal(str(folder), files)
    return Notes.from_dict(named_json(f"{NOTES_KEY!r} in the rt_info of {file}", row.get("value", "")))


def files_of(model: Any) -> Mapping[str, bytes]:
    """The files of a graph, by their names; its weights stay in float32."""
    with tempfile.TemporaryDirectory() as folder:
        quiet_openvino().save_model(model, Path(folder) / GRAPH, compress_to_fp16=False)
        return {name: (Path(folder) / name).read_bytes() for name in (GRAPH, WEIGHTS)}


def with_notes(model: Any, notes: Notes) -> Mapping[str, bytes]:
    """The files of a graph that says its notes, under their seal."""
    add_notes(model, notes)
    return sealed(files_of(model))
