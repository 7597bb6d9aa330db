"""The command measure: how fast networks are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import AS_PUBLISHED, COMPUTING, TIME, WHOLE, AsJson, DeviceOption, Shape, open_network
from budgetnet.cli.progress import progress
from budgetnet.draw.wording import counted

if TYPE_CHECKING:
    from budgetnet.answers.measure import Measured

Networks = Annotated[
    tuple[str, ...],
    Parameter(help="Names of the zoo, network .json files, runs' folders, or files that export wrote."),
]


def measure(
    network: Networks,
    /,
    *,
    batch: Annotated[int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Images at once.")] = 1,
    threads: Annotated[int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Computing threads.")] = 1,
    seconds: Annotated[
        float, TIME, Parameter(group=COMPUTING, show_default="1s", help="How long each network runs, as 2s.")
    ] = 1.0,
    device: DeviceOption = "cpu",
    shape: Shape = AS_PUBLISHED,
    as_json: AsJson = False,
) -> int:
    """Measure milliseconds an image on this machine.

    All take turns. Networks run in torch, with BatchNorm folded; files that export wrote in their own runtime, one
    image on one thread. A line says how much other programs disturbed it.

    Example: budgetnet measure efficientnet_b0 mobilenet_v2 --batch 1 --threads 1
    """
    from budgetnet.ship.formats import format_of

    subjects = [name if format_of(Path(name)) else shape.apply(open_network(name)) for name in network]
    if shape != AS_PUBLISHED and all(isinstance(one, str) for one in subjects):
        raise ValueError("exported files have their classes and resolution; leave those options away")
    from budgetnet.answers.measure import measure_each

    with progress() as shown:
        found = measure_each(subjects, batch, threads, seconds, device, shown)
    answer(found, as_json)
    return 0


def answer(found: Sequence[Measured], as_json: bool) -> None:
    """Print what was found, and to standard error what disturbed it or kept one from a time."""
    if as_json:
        show.print_json({"measurements": [_row(one) for one in found]})
    else:
        _print(found)
    if disturbance := found[0].measurement.disturbance:
        show.notice(f"budgetnet: disturbed: {disturbance}; the times may be too long")
    for one in found:
        if refusal := one.measurement.refusal:
            show.notice(f"budgetnet: {one.name} has no time: {refusal}; measure it for longer, as --seconds 10s")


def _row(one: Measured) -> dict[str, object]:
    from budgetnet import cost

    price = cost(one.network)
    row = {"name": one.name, "resolution_px": one.network.resolution_px, "macs": price.macs, "params": price.params}
    return {**row, "runtime": one.runtime, "dtype": one.dtype, "measurement": one.measurement}


def _print(found: Sequence[Measured]) -> None:
    from budgetnet import cost

    files = any(one.runtime != "torch" for one in found)
    cells: list[tuple[str, ...]] = []
    for one in found:
        row, price = one.measurement, cost(one.network)
        times = (row.latency_ms, row.low_ms, row.median_ms, row.high_ms)
        shown = ("-" if time is None else f"{time / row.batch:.2f}" for time in times)
        name = (one.name, f"{one.dtype}, {one.runtime}") if files else (one.name,)
        sides = show.sides(one.network)
        cells.append((*name, sides, show.short(price.macs), show.short(price.params), *shown, str(row.runs)))
    names = ("network", "in") if files else ("network",)
    show.table((*names, "px", "MACs", "params", "ms", "25 %", "50 %", "75 %", "runs"), cells, text_columns=len(names))
    first = found[0].measurement
    images, threads = counted(first.batch, "image"), counted(first.threads, "thread")
    clock = "the thread's own clock" if first.clock == "processor" else "the clock on the wall"
    show.say(f"Milliseconds of one image; {images} at once, {threads}, {first.device}.", "dim")
    show.say(f"ms: lower decile by {clock}; 25 to 75 %: quartiles on the wall.", "dim")
