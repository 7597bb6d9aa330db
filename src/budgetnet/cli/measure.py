"""The command measure: how fast networks are on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import AS_PUBLISHED, COMPUTING, TIME, WHOLE, AsJson, Shape, open_network
from budgetnet.cli.progress import progress
from budgetnet.draw.wording import counted

if TYPE_CHECKING:
    from budgetnet.answers.measure import Measured
    from budgetnet.costs.latency import TimedBy, TimedDType

Networks = Annotated[
    tuple[str, ...],
    Parameter(help="Names of the zoo, network .json files, runs' folders, files that export wrote, or weights."),
]

MeasuredIn = Literal["torch", "onnxruntime", "openvino", "tflite", "all"]


def measure(
    network: Networks,
    /,
    *,
    batch: Annotated[int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Images at once.")] = 1,
    threads: Annotated[int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Computing threads.")] = 1,
    seconds: Annotated[
        float, TIME, Parameter(group=COMPUTING, show_default="1s", help="How long each network runs, 0.5s or more.")
    ] = 1.0,
    device: Annotated[
        Literal["cpu", "cuda", "mps"], Parameter(group=COMPUTING, help="Where the computing is done.")
    ] = "cpu",
    runtime: Annotated[
        MeasuredIn, Parameter(group=COMPUTING, help="What runs networks; all: each that is installed.")
    ] = "torch",
    dtype: Annotated[
        Literal["float32", "int8"], Parameter(group=COMPUTING, help="The numbers that networks compute with.")
    ] = "float32",
    shape: Shape = AS_PUBLISHED,
    as_json: AsJson = False,
) -> int:
    """Measure milliseconds an image on this machine.

    All take turns. Networks, and those of weights, run in torch, with BatchNorm folded, or as the file that export
    would write, with drawn weights; files that export wrote in their own runtime, one image on one thread. A line says
    how much other programs disturbed it.

    Example: budgetnet measure efficientnet_b1 resnet152 --runtime all
    """
    subjects = [name if _is_file(name) else shape.apply(open_network(name)) for name in network]
    if shape != AS_PUBLISHED and all(isinstance(one, str) for one in subjects):
        raise ValueError("exported files and weights have their classes and resolution; leave those options away")
    from budgetnet.answers.measure import measure_each

    with progress() as shown:
        found = measure_each(subjects, batch, threads, seconds, device, _runtimes(runtime, dtype), dtype, shown)
    answer(found, as_json)
    return 0


def _is_file(name: str) -> bool:
    """Whether a name is that of an exported file or of weights, and of no network."""
    from budgetnet.model.hub_folder import hub_folder
    from budgetnet.ship.formats import format_of

    path = Path(name)
    return bool(format_of(path) or hub_folder(name)) or (path.is_file() and path.suffix != ".json")


def _runtimes(asked: MeasuredIn, dtype: TimedDType) -> Sequence[TimedBy]:
    if asked != "all":
        return [asked]
    from budgetnet.ship.untrained import installed_runtimes

    return installed_runtimes(dtype)


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

    where = len({one.runtime for one in found}) > 1 or found[0].runtime != "torch"
    fastest = _fastest(found)
    cells: list[tuple[str, ...]] = []
    for one in found:
        row, price = one.measurement, cost(one.network)
        times = (row.latency_ms, row.low_ms, row.median_ms, row.high_ms)
        shown = ["-" if time is None else f"{time / row.batch:.2f}" for time in times]
        if where and len(found) > len(fastest):
            shown[0] += "*" if one in fastest else " "
        name = (one.name, f"{one.dtype}, {one.runtime}") if where else (one.name,)
        sides = show.sides(one.network)
        cells.append((*name, sides, show.short(price.macs), show.short(price.params), *shown, str(row.runs)))
    names = ("network", "in") if where else ("network",)
    show.table((*names, "px", "MACs", "params", "ms", "25 %", "50 %", "75 %", "runs"), cells, text_columns=len(names))
    first = found[0].measurement
    images, threads = counted(first.batch, "image"), counted(first.threads, "thread")
    clock = "the thread's own clock" if first.clock == "processor" else "the clock on the wall"
    show.say(f"Milliseconds of one image; {images} at once, {threads}, {first.device}.", "dim")
    show.say(f"ms: lower decile by {clock}; 25 to 75 %: quartiles on the wall.", "dim")
    if where and len(found) > len(fastest):
        show.say("* the network's fastest.", "dim")
    for line in _ratios(fastest):
        show.say(line)


def _fastest(found: Sequence[Measured]) -> list[Measured]:
    """Of each network the row with the least time, in the order of the networks."""
    best: dict[str, Measured] = {}
    for one in found:
        time = one.measurement.image_ms
        known = best.get(one.name)
        if time is not None and (known is None or time < (known.measurement.image_ms or time)):
            best[one.name] = one
    return list(best.values())


def _ratios(fastest: Sequence[Measured]) -> list[str]:
    """A line for each network behind the first: how many times as long, beside what was published of the two."""
    from budgetnet.networks import zoo
    from budgetnet.networks.zoo.published import LATENCIES

    as_published = {one.name for one in fastest if one.name in zoo.ROWS and one.network == zoo.network(one.name)}
    published = {row.network: row for row in LATENCIES if row.network in as_published}
    times = [(one.name, one.measurement.image_ms) for one in fastest if one.measurement.image_ms is not None]
    lines: list[str] = []
    for name, image_ms in times[1:]:
        first, first_ms = times[0]
        line = f"{name} takes {image_ms / first_ms:.2f} times as long as {first}"
        known, other = published.get(first), published.get(name)
        if known and other and known.source == other.source:
            line += f"; published: {other.seconds / known.seconds:.2f} times ({other.device}; {other.source})"
        lines.append(f"{line}.")
    return lines
