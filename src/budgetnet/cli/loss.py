"""The command landscape loss: the loss around trained weights. Torch is imported when it starts to work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.landscape import MostImages, OtherImages, OutFolder, SplitOption, check_folder, print_files
from budgetnet.cli.options import BY_DATA, NETWORK, OUTPUT, REAL, WHOLE, AsJson, ByFolder, DeviceOption
from budgetnet.cli.progress import progress

if TYPE_CHECKING:
    from budgetnet.inspect.landscape.loss import LossLandscape


def loss(
    run: Annotated[tuple[str, ...], Parameter(help="A run's folder and its twins, or weights with --data.")],
    /,
    *,
    data: OtherImages = None,
    folders: ByFolder = BY_DATA,
    split: SplitOption = None,
    images: MostImages = 256,
    size: Annotated[
        int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Points along a side of the grid, odd.")
    ] = 21,
    extent: Annotated[
        float,
        REAL,
        Parameter(group=NETWORK, metavar="X", help="Steps go from -X to X; at 1 a move is as long as a filter."),
    ] = 1.0,
    draws: Annotated[
        int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Random directions for the rise of the loss.")
    ] = 10,
    radius: Annotated[float, REAL, Parameter(group=NETWORK, metavar="X", help="How far along them.")] = 0.25,
    seed: Annotated[int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Draws the directions and the images.")] = 0,
    device: DeviceOption = "auto",
    out: OutFolder = Path("landscape"),
    fresh: Annotated[bool, Parameter(group=OUTPUT, help="Begin again instead of going on.")] = False,
    as_json: AsJson = False,
) -> int:
    """Draw the loss around trained weights: along a line, over a plane, and how sharp it is.

    Twins, the same networks but for their activations, get the same random
    directions, the same images and one scale. A killed command goes on where it was.
    docs/landscape.md says how to read it.

    Example: budgetnet landscape loss runs/relu runs/swish
    """
    from budgetnet.codec import to_plain
    from budgetnet.inspect.landscape import write_loss
    from budgetnet.inspect.landscape.loss import loss_landscape
    from budgetnet.inspect.landscape.loss.part import LOSS_FORMAT
    from budgetnet.inspect.landscape.loss.values import Around

    check_folder(out)
    around = Around(size, extent, images, draws, radius, seed)
    with progress() as shown:
        found = loss_landscape(run, out / "loss", folders.others(data), split, around, device, fresh, shown)
        files = write_loss(out, found, shown)
    if as_json:
        show.print_json({"files": files, "landscape": {"format": LOSS_FORMAT, **to_plain(found)}})
    else:
        _print(found)
        print_files(files)
    return 0


def _print(found: LossLandscape) -> None:
    """A row a run."""
    from budgetnet.inspect.landscape.loss import words

    rows = [
        (
            run.label,
            words.loss_text(run.loss),
            show.percent(run.accuracy),
            show.typed(words.rise_text(run)),
            show.typed(words.eigenvalue_text(run.eigenvalue)),
            f"{run.eigenvalue.products}",
        )
        for run in found.runs
    ]
    rise = f"rise at {found.around.radius:g}"
    show.table(("run", "loss", "accuracy", rise, "largest eigenvalue", "products"), rows)
    show.say()
    for text in (words.verdict(found), f"On {found.images:,} {found.split} images, seed {found.around.seed}."):
        if text:
            show.say(show.typed(text), "dim")
