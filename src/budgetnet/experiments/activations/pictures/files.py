"""The pictures of a study as files, for slides and papers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgetnet.draw.style import COLOURS
from budgetnet.experiments.activations.pictures.cards import (
    beta_cards,
    betas_sheet,
    gradient_cards,
    loss_cards,
    training_sheet,
)
from budgetnet.inspect.landscape.sheets import save_png, save_svg
from budgetnet.parallel.progress import Progress, Update

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from budgetnet.experiments.activations.result import Study

SHEET, BETAS = "training", "training-betas"
"""The sheets' names; that of trained betas is there where there are any."""


def write_pictures(study: Study, folder: Path, progress: Progress) -> None:
    """Write the sheets into a folder, and every single card into its folder `pictures`, as SVG and as PNG."""
    cards = (*loss_cards(study), *gradient_cards(study), *beta_cards(study))
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for done, card in enumerate(cards, start=1):
        figure = card.figure()
        save_svg(figure, folder / "pictures" / f"{card.name}.svg")
        figure.set_facecolor(COLOURS["paper"])  # a PNG cannot follow the reader's light or dark setting
        save_png(figure, folder / "pictures" / f"{card.name}.png")
        progress(Update("files", done, len(cards)))
    _save(training_sheet(study), folder / SHEET)
    betas = betas_sheet(study)
    if betas is not None:
        _save(betas, folder / BETAS)


def _save(figure: Figure, path: Path) -> None:
    save_png(figure, path.with_suffix(".png"))
    save_svg(figure, path.with_suffix(".svg"))
