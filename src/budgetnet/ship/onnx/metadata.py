"""Labels and notes in an ONNX model: its own properties, which every runtime hands out and none needs."""

from __future__ import annotations

import onnx

from budgetnet.model.exported_names import NOTES
from budgetnet.model.seal import OPEN, SEAL, check_seal, sealed
from budgetnet.reading import named_json
from budgetnet.ship.notes import Notes


def with_notes(model: onnx.ModelProto, notes: Notes) -> bytes:
    """The bytes of a model that says its labels, a class a line, and all that reading the answers takes."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    onnx.helper.set_model_props(whole, {**notes.texts(), SEAL: OPEN})
    return sealed({"": content_of(whole)})[""]


def content_of(model: onnx.ModelProto) -> bytes:
    """The bytes of a model; equal models have equal bytes."""
    return model.SerializeToString(deterministic=True)


def notes_in(file: str, model: onnx.ModelProto, content: bytes) -> Notes:
    """The notes of a model, which is the content of a file of this name. Raises a one-line `ValueError` where there are
    none, or damaged ones, and where the file is not the one that was exported."""
    texts = {row.key: row.value for row in model.metadata_props}
    if NOTES not in texts:
        raise ValueError(f"{file} is no ONNX file that budgetnet exported: it has no property {NOTES!r}")
    check_seal(file, {"": content})
    return Notes.from_dict(named_json(f"the property {NOTES!r} of {file}", texts[NOTES]))
