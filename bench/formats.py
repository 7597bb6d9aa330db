"""A run as every file that leaves the tool, and how fast each is: against eager torch, and timm's network of its size.

    python -m bench.formats RUN --out FOLDER

All formats are written into FOLDER through the usual gates. Then the files, the run's model as it is trained and timm's
network of the nearest multiply-adds take turns, with one image at a time on one thread.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import timm
import torch

from budgetnet import cost, export, network
from budgetnet.inspect.turns import Timed, clock_of, measurement, turns
from budgetnet.networks import zoo
from budgetnet.runs.run import load_run
from budgetnet.ship.answering import timed_file
from budgetnet.ship.formats import opener


def nearest_of_timm(macs: int) -> str:
    """The network of the zoo that timm has by the same name whose multiply-adds, at its own size, are nearest."""
    names = [name for name in zoo.names() if timm.is_model(name)]
    return min(names, key=lambda name: abs(math.log(cost(network(name)).macs / macs)))


def eager(name: str, model: torch.nn.Module, channels: int, px: tuple[int, int]) -> Timed:
    """A model as its library runs it: in float32, nothing folded."""
    model.eval()
    image = torch.rand(1, channels, *px, generator=torch.Generator().manual_seed(0))
    return Timed(name, lambda: model(image))


def main() -> None:
    """Export, time in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each")
    parser.add_argument("--force", action="store_true", help="formats that break the run's budget are timed, too")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    made = export(given.run, "all", out=given.out, force=given.force)
    for row in made.refused:
        print(f"no {row.format} file in {row.dtype}: {row.reason}")
    loaded = load_run(given.run)
    own, name = loaded.network, nearest_of_timm(cost(loaded.network).macs)
    size = network(name).resolution_px
    files = [timed_file(file.file, opener(file.format)(Path(file.file), False)) for file in made.files]
    ours = eager(f"{own.name} in eager torch", loaded.model, own.in_channels, own.resolution_px)
    theirs = eager(f"timm's {name} in eager torch", timm.create_model(name), 3, size)
    clock = clock_of(threads=1, device="cpu")
    with torch.inference_mode():
        rounds, others = turns([ours, theirs, *files], given.seconds, clock)
    times = [measurement(row, 1, 1, "cpu", clock, others).latency_ms for row in rounds]
    assert times[0] is not None, "two halves of the runs differ too much: other work ran beside"
    print(
        f"{own.name}: {cost(own).macs / 1e6:.1f} M multiply-adds at {own.resolution_px[0]}x{own.resolution_px[1]} px; ",
        end="",
    )
    print(f"timm's {name}: {cost(network(name)).macs / 1e6:.1f} M at {size[0]}x{size[1]} px")
    print("| | numbers | bytes | parity | test accuracy, % | minus the model, points | ms | times as fast as eager |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for timed, ms in zip((ours, theirs), times[:2], strict=True):
        print(f"| {timed.name} | float32 | | | | | {shown(ms)} | {'' if ms is None else f'{times[0] / ms:.2f}'} |")
    for file, ms in zip(made.files, times[2:], strict=True):
        parity = "" if file.parity is None else f"{file.parity:.1e}"
        accuracy = f"{100 * file.top1:.1f} ({100 * file.top1_low:.1f} to {100 * file.top1_high:.1f})"
        change = f"{100 * file.change.value:+.1f} ({100 * file.change.low:+.1f} to {100 * file.change.high:+.1f})"
        faster = "" if ms is None else f"{times[0] / ms:.2f}"
        cells = file.format, file.dtype, f"{file.bytes:,}", parity, accuracy, change, shown(ms), faster
        print(f"| {' | '.join(cells)} |")


def shown(ms: float | None) -> str:
    """Milliseconds, or that there are none."""
    return "not measured" if ms is None else f"{ms:.2f}"


if __name__ == "__main__":
    main()
