"""Where the time of a training step goes, by op, beside what this processor could do at most.

    python -m bench.roofline [--networks efficientnet_b0 ...] [--sizes 64 112 224] [--batch 32] [--out roofline.json]

A step is a forward and a backward pass and AdamW's update, in float32, channels_last, on one thread, of drawn images.
torch's profiler says how long each op took by itself. Beside it two bounds from this machine's own speed, measured in
the same minute: `multiply` is the step's multiply-adds (three times those of an inference) at the speed of a large
product of matrices, and `move` is every map read or written `PASSES` times at the speed of a large copy. Neither is a
floor: 3x3 convolutions are computed with fewer multiplications, and small maps stay in the cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import budgetnet
from budgetnet.networks import Network
from budgetnet.runs.files import write_json

NETWORKS = ("efficientnet_b0", "efficientnet_lite0", "efficientnetv2_s", "mobilenet_v3_large")
SIZES_PX = (64, 112, 224)
PASSES = 15
"""Times that each convolution's output is read or written in a step: it is written, then read and written by BatchNorm
and by the activation, and in the backward pass twice as much."""
STEPS, WARM_UP = 3, 2
SIDE, COPIED = 2048, 1 << 26
"""The side of the matrices, and the floats that are copied."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "BatchNorm": ("batch_norm",),
    "activation": ("silu", "relu", "hardswish", "hardsigmoid", "hardtanh", "sigmoid", "threshold"),
    "gates, skips": ("mul", "add", "mean", "sum", "div", "expand"),
    "AdamW": ("adam", "foreach", "addcmul", "addcdiv", "sqrt", "lerp"),
    "copies": ("copy", "clone", "contiguous", "fill", "zero", "empty", "pad"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One thread's speed: multiply-adds a second of a product of matrices, bytes a second of a copy."""

    macs_per_second: float
    bytes_per_second: float


@dataclass(frozen=True, slots=True)
class Row:
    """One network at one size: milliseconds of an image of the batch."""

    network: str
    resolution_px: int
    step_ms: float
    ops_ms: Mapping[str, float]
    multiply_ms: float
    move_ms: float


def quickest(action: Callable[[], object], times: int = 5) -> float:
    """Seconds of the quickest of some runs."""
    durations: list[float] = []
    for _ in range(times):
        before = time.process_time()
        action()
        durations.append(time.process_time() - before)
    return min(durations)


def machine() -> Machine:
    """This machine's, now."""
    left, right, out = (torch.randn(SIDE, SIDE) for _ in range(3))
    source, target = torch.randn(COPIED), torch.empty(COPIED)
    return Machine(
        SIDE**3 / quickest(lambda: torch.mm(left, right, out=out)),
        2 * source.nbytes / quickest(lambda: target.copy_(source)),
    )


def group_of(op: str, shapes: Sequence[Sequence[int]]) -> str:
    """Which row of the table an op counts in."""
    if "conv" in op:
        # A depthwise filter has one input channel, and so has no 1x1 convolution of ours.
        weights = [shape for shape in shapes if len(shape) == 4][-1:]
        kind = "depthwise" if weights and weights[0][1] == 1 else "dense"
        return f"{kind}, backward" if "backward" in op else f"{kind}, forward"
    return next((name for name, parts in GROUPS.items() if any(part in op for part in parts)), "other")


def profiled(network: Network, batch: int, here: Machine) -> Row:
    """The mean of some steps."""
    model = budgetnet.build(network, seed=0).train().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = torch.optim.AdamW(model.parameters(), foreach=True)
    shape = (batch, network.in_channels, *network.resolution_px)
    inputs = torch.randn(shape).to(memory_format=torch.channels_last)
    labels = torch.randint(0, network.classes, (batch,))

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()

    for _ in range(WARM_UP):
        step()
    alone = quickest(step, STEPS)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
        for _ in range(STEPS):
            step()
    spent: dict[str, float] = {}
    for event in seen.key_averages(group_by_input_shape=True):
        group = group_of(event.key, event.input_shapes)
        spent[group] = spent.get(group, 0.0) + event.self_cpu_time_total
    whole = sum(spent.values())
    price = budgetnet.cost(network)
    return Row(
        network.name,
        network.resolution_px[0],
        1e3 * alone / batch,
        # The profiler slows each op down; its shares are of the step without it.
        {name: 1e3 * alone / batch * value / whole for name, value in sorted(spent.items(), key=lambda one: -one[1])},
        1e3 * 3 * price.macs / here.macs_per_second,
        1e3 * PASSES * 4 * price.activations / here.bytes_per_second,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print two tables, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES_PX)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("roofline.json"))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows: list[Row] = []
    speeds: list[Machine] = []
    for name in asked.networks:
        for px in asked.sizes:
            speeds.append(machine())
            rows.append(profiled(budgetnet.network(name, 10, px), asked.batch, speeds[-1]))
            write_json(asked.out, {"machine": [asdict(one) for one in speeds], "rows": [asdict(row) for row in rows]})
    macs, moved = ([getattr(one, field) for one in speeds] for field in Machine.__dataclass_fields__)
    print(f"product of matrices: {np.median(macs) / 1e9:.1f} G multiply-adds/s ({min(macs) / 1e9:.1f} to ", end="")
    print(f"{max(macs) / 1e9:.1f}); copy: {np.median(moved) / 2**30:.1f} GiB/s ({min(moved) / 2**30:.1f} to ", end="")
    print(f"{max(moved) / 2**30:.1f})")
    groups = sorted(
        {name for row in rows for name in row.ops_ms}, key=lambda name: -sum(r.ops_ms.get(name, 0) for r in rows)
    )
    print(f"| network | px | step, ms | multiply | move | {' | '.join(groups)} |")
    print("| --- " * (5 + len(groups)) + "|")
    for row in rows:
        parts = " | ".join(f"{row.ops_ms.get(name, 0.0):.2f}" for name in groups)
        bounds = f"{row.multiply_ms:.2f} | {row.move_ms:.2f}"
        print(f"| {row.network} | {row.resolution_px} | {row.step_ms:.2f} | {bounds} | {parts} |")


if __name__ == "__main__":
    main()
