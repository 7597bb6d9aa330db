"""What an exported file says of itself where it is a source of weights: whatever is made of it keeps its budget."""

from __future__ import annotations

from pathlib import Path

from budgetnet.model.hub_folder import HUB_NOTES, hub_folder, read_config
from budgetnet.model.tflite_file import TFLITE_SUFFIX
from budgetnet.ship.formats import ROWS
from budgetnet.ship.notes import Notes


def said_by(source: str) -> Notes | None:
    """The notes of a .tflite file or a hub's folder that `export` wrote; None for runs and for what others made.

    Formats that no weights are read from are not asked. Raises a one-line `ValueError` for what was changed.
    """
    path = Path(source)
    if path.suffix.lower() == TFLITE_SUFFIX and ROWS["tflite"].is_of(path):
        from budgetnet.ship.tflite.archive import notes_behind

        return notes_behind(source, path.read_bytes())
    if (folder := hub_folder(source)) is None:
        return None
    config = read_config(folder)
    return Notes.from_dict(config[HUB_NOTES]) if HUB_NOTES in config else None
