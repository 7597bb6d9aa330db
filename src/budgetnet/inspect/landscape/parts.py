"""A part of a folder of landscapes: NAME.json, NAME.png, NAME.svg, and a folder NAME of the pictures of the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from budgetnet.codec import from_record, to_plain
from budgetnet.draw.svg import inline_svg
from budgetnet.inspect.landscape.sheets import save_png, save_svg
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.runs.files import read_json, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = TypeVar("Numbers")


def write_part(
    folder: Path,
    part: str,
    form: str,
    numbers: object,
    sheet: Figure,
    cards: Mapping[str, Figure],
    progress: Progress | None,
) -> tuple[Path, ...]:
    """Write the files of a part: its sheet, its numbers in the format `form`, and the figures of the page by name."""
    (folder / part).mkdir(parents=True, exist_ok=True)
    progress = progress or silent
    for done, (name, figure) in enumerate(cards.items(), start=1):
        save_svg(figure, folder / part / f"{name}.svg")
        progress(Update("files", done, len(cards)))
    save_png(sheet, folder / f"{part}.png")
    save_svg(sheet, folder / f"{part}.svg")
    # Last: the numbers say which pictures belong to them.
    write_json(folder / f"{part}.json", {"format": form, **to_plain(numbers)})
    return folder / f"{part}.png", folder / f"{part}.svg", folder / f"{part}.json"


def numbers_of(folder: Path, part: str, form: str, kind: type[Numbers]) -> Numbers | None:
    """The numbers of a part; None where the folder does not have it.

    Raises a one-line `ValueError` for a file that is damaged, or of another format.
    """
    path = folder / f"{part}.json"
    if not path.is_file():
        return None
    try:
        return from_record(kind, read_json(path), form, str(path))
    except ValueError as error:
        raise ValueError(f"{error}; run budgetnet landscape {part} again, or delete it") from error


def picture_of(folder: Path, part: str, name: str, description: str) -> str:
    """A picture of the folder as part of the page."""
    path = folder / part / f"{name}.svg"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror or error}; make the {part} pictures again") from error
    return inline_svg(text, f"{part}-{name}-".replace(".", "-"), description)
