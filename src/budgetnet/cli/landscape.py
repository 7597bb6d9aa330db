"""Commands about landscapes: output, functions, dead. Torch is imported when they start to work.

loss and training have files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from budgetnet.cli import show
from budgetnet.cli.options import (
    BY_DATA,
    IMAGES,
    NETWORK,
    OUTPUT,
    REAL,
    WHOLE,
    AsJson,
    ByFolder,
    DeviceOption,
    read_list,
)
from budgetnet.cli.progress import progress

if TYPE_CHECKING:
    from budgetnet.inspect.landscape import FunctionFacts, OutputLandscape, RunUse

app = App(
    name="landscape",
    help="See what an activation function does: to a network's output, to gradients, to units, to the loss.",
    sort_key=100,  # behind the commands that make something
)

Activations = Annotated[
    tuple[str, ...] | None,
    Parameter(
        converter=read_list,
        consume_multiple=True,
        group=NETWORK,
        metavar="NAME",
        help="Such as relu, swish, swish:0.5 (its beta), hard_swish, gelu, tanh; several unless given.",
    ),
]
OutFolder = Annotated[
    Path, Parameter(group=OUTPUT, metavar="FOLDER", help="For pictures (PNG, SVG), numbers and landscape.html.")
]
OtherImages = Annotated[
    str | None, Parameter(group=IMAGES, metavar="DATA", help="Other labelled images; each run's own unless given.")
]
SplitOption = Annotated[
    Literal["train", "validation", "test", "all"] | None,
    Parameter(
        group=IMAGES,
        metavar="train|validation|test|all",
        show_default=False,
        help="Which of the images; unless given, one of the run's own splits, and all of other images.",
    ),
]
MostImages = Annotated[int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Most images that are looked at.")]


@app.command(sort_key=0)
def output(
    *,
    activations: Activations = None,
    seeds: Annotated[
        int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Draws of the weights; numbers have a spread.")
    ] = 10,
    size: Annotated[
        int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Steps of the grid along a side, even.")
    ] = 240,
    layers: Annotated[int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Dense layers.")] = 6,
    units: Annotated[int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Units of each layer.")] = 128,
    extent: Annotated[
        float, REAL, Parameter(group=NETWORK, metavar="X", help="The plane's two inputs go from -X to X.")
    ] = 3.0,
    out: OutFolder = Path("landscape"),
    as_json: AsJson = False,
) -> int:
    """Draw the output of networks as they are initialised, over a plane of inputs.

    ReLU beside Swish and others, with the same random numbers and one colour scale:
    a surface, a heat map, where it bends, and how rough it is over the seeds.
    docs/landscape.md says how to read them.

    Example: budgetnet landscape output --activations relu swish:0.5 swish gelu
    """
    from budgetnet.codec import to_plain
    from budgetnet.inspect import landscape as landscapes
    from budgetnet.inspect.landscape.page import OUTPUT_FORMAT
    from budgetnet.inspect.landscape.plane import ACTIVATIONS

    check_folder(out)
    with progress() as shown:
        found = landscapes.output_landscape(
            ACTIVATIONS if activations is None else activations, seeds, size, layers, units, extent, shown
        )
        files = landscapes.write_output(out, found, shown)
    if as_json:
        show.print_json({"files": files, "landscape": {"format": OUTPUT_FORMAT, **to_plain(found.numbers())}})
    else:
        _print_output(found, files)
    return 0


@app.command(sort_key=1)
def functions(
    *,
    activations: Activations = None,
    extent: Annotated[float, REAL, Parameter(group=NETWORK, metavar="X", help="Inputs go from -X to X.")] = 6.0,
    out: OutFolder = Path("landscape"),
    as_json: AsJson = False,
) -> int:
    """Draw activation functions and their slopes.

    Swish's minimum, its limits x / 2 and ReLU, where gradients die, and the gain that each needs.

    Example: budgetnet landscape functions --activations relu swish:0.1 swish swish:10
    """
    from budgetnet.codec import to_plain
    from budgetnet.inspect import landscape as landscapes
    from budgetnet.inspect.landscape.functions import FunctionsLandscape
    from budgetnet.inspect.landscape.page import FUNCTIONS_FORMAT

    check_folder(out)
    found = landscapes.functions_landscape(activations, extent)
    with progress() as shown:
        files = landscapes.write_functions(out, found, extent, shown)
    if as_json:
        numbers = to_plain(FunctionsLandscape(extent, found))
        show.print_json({"files": files, "functions": {"format": FUNCTIONS_FORMAT, **numbers}})
    else:
        _print_functions(found, files)
    return 0


@app.command(sort_key=2)
def dead(
    run: Annotated[tuple[str, ...], Parameter(help="Runs' folders, or weights with --data.")],
    /,
    *,
    data: OtherImages = None,
    folders: ByFolder = BY_DATA,
    split: SplitOption = None,
    images: MostImages = 256,
    layers: Annotated[bool, Parameter(group=OUTPUT, help="A row for every layer as well.")] = False,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> int:
    """Count the units of trained networks that have died.

    dead: no gradient gets through, on any image. silent: the same output whatever
    the image. blocked: the share of all places whose gradient is blocked. One rule
    for every activation: docs/landscape.md.

    Example: budgetnet landscape dead runs/photos-1a2b3c runs/photos-4d5e6f
    """
    from budgetnet.inspect.landscape import dead_units_of

    given = folders.others(data)
    with progress() as shown:
        uses = [dead_units_of(one, given, split, images, device=device, progress=shown) for one in run]
    if as_json:
        show.print_json({"runs": [_use_row(use) for use in uses]})
        return 0
    for index, use in enumerate(uses):
        if index:
            show.say()
        _print_use(use, layers)
    return 0


def check_folder(out: Path) -> None:
    """Raise `ValueError` before the work, not after it, where pictures cannot go there."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out is {out}, which is a file; give a folder")


def _print_output(found: OutputLandscape, files: Sequence[Path]) -> None:
    """A row an activation, a column a measure."""
    from budgetnet.inspect.landscape import words
    from budgetnet.inspect.landscape.functions import name_of

    show.table(
        ("activation", *(words.MEASURE_TITLES[name] for name in words.ON_A_CARD)),
        [
            (
                name_of(row.activation),
                *(show.typed(words.spread_text(name, row.spread(name))) for name in words.ON_A_CARD),
            )
            for row in found.rows
        ],
    )
    show.say()
    show.say(show.typed(f"{words.numbers_are(found.seeds)}."), "dim")
    print_files(files)


def _print_functions(found: Sequence[FunctionFacts], files: Sequence[Path]) -> None:
    """A row a function."""
    rows: list[tuple[str, ...]] = []
    for row in found:
        lowest = ("-", "-") if row.minimum is None else (f"{row.minimum.value:.4f}", f"{row.minimum.x:.4f}")
        limits = ("-" if value is None else f"{value:.3f}" for value in (row.from_half, row.from_relu))
        gains = (f"{row.gain:.3f}", f"{row.slope_growth:.3f}")
        rows.append((row.name, *gains, *lowest, show.percent(row.blocked_share), *limits))
    show.table(("function", "gain", "growth", "minimum", "at x", "blocked", "from x/2", "from ReLU"), rows)
    show.say()
    show.say("blocked: of inputs from N(0, 1), those with |slope| < 0.01 of the largest.", "dim")
    print_files(files)


def print_files(files: Sequence[Path]) -> None:
    """What was written, by its kind."""
    show.say()
    show.facts({path.suffix[1:]: str(path) for path in files})


def _use_row(use: RunUse) -> dict[str, object]:
    """A run's units as JSON has them."""
    found = use.use
    split = {"run": use.run, "network": use.network, "split": use.split, "images": found.images}
    return {**split, "kinds": found.kinds(), "layers": found.layers}


def _print_use(use: RunUse, layers: bool) -> None:
    """A row for each activation, or for each layer of it."""
    found = use.use
    show.say(f"{use.run}: {use.network}, {found.images:,} {use.split} images", "bold")
    rows = [
        (
            row.activation,
            str(row.layers),
            f"{row.units:,}",
            *_shares(row.dead, row.silent, row.units, row.blocked_share),
        )
        for row in found.kinds()
    ]
    show.table(("activation", "layers", "units", "dead", "silent", "blocked"), rows)
    if layers:
        show.say()
        each = [
            (row.name, row.activation, f"{row.units:,}", *_shares(row.dead, row.silent, row.units, row.blocked_share))
            for row in found.layers
        ]
        show.table(("layer", "activation", "units", "dead", "silent", "blocked"), each, text_columns=2)


def _shares(dead: int, silent: int, units: int, blocked_share: float) -> tuple[str, str, str]:
    return (
        f"{dead} ({show.percent(dead / units)})",
        f"{silent} ({show.percent(silent / units)})",
        show.percent(blocked_share),
    )
