"""The command measure: how fast networks are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import AS_PUBLISHED, COMPUTING, TIME, WHOLE, AsJson, DeviceOption, Shape, open_network
from budgetnet.cli.progress import progress
from budgetnet.draw.wording import counted
from budgetnet.networks import Network

if TYPE_CHECKING:
    from budgetnet.inspect.latency import Measurement

Networks = Annotated[tuple[str, ...], Parameter(help="Names of the zoo, network .json files or runs' folders.")]


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

    The networks take turns; BatchNorm is folded. A line says how much other programs disturbed it.

    Example: budgetnet measure efficientnet_b0 mobilenet_v2 --batch 1 --threads 1
    """
    rows = [shape.apply(open_network(name)) for name in network]
    from budgetnet.inspect.latency import measure_each

    with progress() as shown:
        found = measure_each(rows, batch, threads, seconds, device, shown)
    answer(rows, found, as_json)
    return 0


def answer(networks: Sequence[Network], found: Sequence[Measurement], as_json: bool) -> None:
    """Print what was found of each network, and to standard error what disturbed it or kept a network from a time."""
    if as_json:
        show.print_json({"measurements": [_row(*pair) for pair in zip(networks, found, strict=True)]})
    else:
        _print(networks, found)
    if disturbance := found[0].disturbance:
        show.notice(f"budgetnet: disturbed: {disturbance}; the times may be too long")
    for network, row in zip(networks, found, strict=True):
        if row.refusal:
            show.notice(
                f"budgetnet: {network.name} has no time: {row.refusal}; measure it for longer, as --seconds 10s"
            )


def _row(network: Network, measurement: Measurement) -> dict[str, object]:
    from budgetnet import cost

    price = cost(network)
    row = {"name": network.name, "resolution_px": network.resolution_px, "macs": price.macs, "params": price.params}
    return {**row, "measurement": measurement}


def _print(networks: Sequence[Network], found: Sequence[Measurement]) -> None:
    from budgetnet import cost

    cells: list[tuple[str, ...]] = []
    for network, row in zip(networks, found, strict=True):
        price = cost(network)
        times = (row.latency_ms, row.low_ms, row.median_ms, row.high_ms)
        shown = ("-" if time is None else f"{time / row.batch:.2f}" for time in times)
        sides = show.sides(network)
        cells.append((network.name, sides, show.short(price.macs), show.short(price.params), *shown, str(row.runs)))
    show.table(("network", "px", "MACs", "params", "ms", "25 %", "50 %", "75 %", "runs"), cells)
    first = found[0]
    images, threads = counted(first.batch, "image"), counted(first.threads, "thread")
    clock = "the thread's own clock" if first.clock == "processor" else "the clock on the wall"
    show.say(f"Milliseconds of one image; {images} at once, {threads}, {first.device}.", "dim")
    show.say(f"ms: lower decile by {clock}; 25 to 75 %: quartiles on the wall.", "dim")
