"""The archive behind a .tflite model: a zip file where TensorFlow Lite's tools look for labels. Interpreters pass it
over."""

from __future__ import annotations

import io
import json
import zipfile

from budgetnet.reading import named_json
from budgetnet.ship.notes import LABELS, NOTES, Notes

DATE = (1980, 1, 1, 0, 0, 0)
"""The archive's files have this date, so that equal exports are equal bytes."""
MOST_BYTES = 64 << 20
"""Notes of more bytes are not read: those of 20,000 classes have one."""


def with_archive(model: bytes, notes: Notes) -> bytes:
    """The model with a zip archive behind it, which has the labels and all that reading the answers takes."""
    content = io.BytesIO(model)
    texts = {LABELS: "\n".join(notes.classes), NOTES: json.dumps(notes.to_dict(), allow_nan=False)}
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def notes_behind(file: str, content: bytes) -> Notes:
    """The notes in a file of this name. Raises a one-line `ValueError` where there are none, or damaged ones."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(NOTES).file_size > MOST_BYTES:
                raise ValueError(f"{NOTES} behind {file} has more than {MOST_BYTES >> 20} MiB")
            text = archive.read(NOTES)
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{file} is no .tflite file that budgetnet exported, or is cut short: no {NOTES} lies behind its model"
        ) from error
    return Notes.from_dict(named_json(f"{NOTES} behind {file}", text))
