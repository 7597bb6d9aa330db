"""The archive behind a .tflite model: a zip file where TensorFlow Lite's tools look for labels. Interpreters pass it
over."""

from __future__ import annotations

import io
import zipfile
import zlib

from budgetnet.model.exported_names import NOTES
from budgetnet.model.seal import OPEN, check_seal, sealed
from budgetnet.reading import named_json
from budgetnet.ship.notes import Notes

DATE = (1980, 1, 1, 0, 0, 0)
"""The archive's files have this date, so that equal exports are equal bytes."""
MOST_BYTES = 64 << 20
"""Notes of more bytes are not read: those of 20,000 classes have one."""


def with_archive(model: bytes, notes: Notes) -> bytes:
    """The model with a zip archive behind it, which has the labels and all that reading the answers takes.

    The seal is the archive's comment: all else in an archive has a checksum of its own.
    """
    content = io.BytesIO(model)
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in notes.texts().items():
            archive.writestr(zipfile.ZipInfo(name, DATE), text, zipfile.ZIP_DEFLATED)
        archive.comment = OPEN.encode()
    return sealed({"": content.getvalue()})[""]


def notes_behind(file: str, content: bytes) -> Notes:
    """The notes in a file of this name. Raises a one-line `ValueError` where there are none, or damaged ones, and where
    the file is not the one that was exported."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            notes = _read(archive, NOTES)
    except _DAMAGES as error:
        raise ValueError(
            f"{file} is no .tflite file that budgetnet exported, or is cut short: no {NOTES} lies behind its model"
        ) from error
    check_seal(file, {"": content})
    return Notes.from_dict(named_json(f"{NOTES} behind {file}", notes))


_DAMAGES = (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, zlib.error)
"""These are raised where a damaged archive is read."""


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise ValueError(f"{name} has more than {MOST_BYTES >> 20} MiB")
    return archive.read(name)
