"""A GPU in under eight minutes: speed of training beside timm's plain loop, memory beside its prediction, one solve.

    python -m bench.gpu [--networks efficientnet_b0 ...] [--batch 64] [--seconds 4] [--solve cifar10/ --time 3m]
                        [--device cuda] [--out gpu.json]

Images a second of whole training steps, EfficientNet B0 to B4 at their published sizes: ours (a `Trainer` with its
data, augmentation, clipping and moving average, from random images in a folder that is removed) in float32 and
bfloat16, and timm's network in a plain loop (channels_last, AdamW, tensors that are already on the device) in the same
numbers, and compiled. The peak of what the device allocated stands beside `train_bytes`. Then `solve` on a folder, if
one is given. What does not run says why, and the rest goes on. Every row is written as soon as it is known.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState
from PIL import Image

import budgetnet
from budgetnet.data import data_of
from budgetnet.data.images import Preprocessing
from budgetnet.experiments.compute import Compute
from budgetnet.networks import Network
from budgetnet.runs.files import write_json
from budgetnet.training.job import JobContext, accelerator_for, opened
from budgetnet.training.recipe import recipe_of
from budgetnet.training.trainer import Trainer, TrainingSpec, images_per_second

NETWORKS = tuple(f"efficientnet_b{size}" for size in range(5))
COMPILED = ("efficientnet_b0", "efficientnet_b4")
"""Compiling one network takes up to a minute, so that only the ends are compiled."""
CLASSES, IMAGES = 10, 40
"""So many classes are drawn, of so many images each."""
STEPS = 1000
"""The length that a training is planned for; it is never reached."""


@dataclass(frozen=True, slots=True)
class Row:
    """One loop and one network: `failure` says why there is no speed."""

    network: str
    loop: str
    precision: str
    batch: int
    images_per_second: float | None
    peak_bytes: int | None
    predicted_bytes: int | None
    failure: str | None


def drawn_folder(root: Path, side_px: int) -> None:
    """JPEG files of noise, a folder a class."""
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        folder = root / f"class_{label}"
        folder.mkdir(parents=True)
        for index in range(IMAGES):
            pixels = draw.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.jpg", quality=85)


def ours(network: Network, folder: Path, batch: int, device: str, precision: str, seconds: float) -> float:
    """Images a second of our training steps in this process."""
    AcceleratorState._reset_state(reset_partial_state=True)  # one process has one number type, and here it has two
    context = JobContext(data_of(folder), 0, max(network.resolution_px), str(folder / "run"), device, precision)
    images, pixels = opened(context.data, context.split_seed, context.side_px)
    spec = TrainingSpec("gpu", network, recipe_of("modern"), Preprocessing(), 0, batch)
    trainer = Trainer(spec.for_steps(STEPS), images, pixels, accelerator_for(context), alone=True)
    trainer.wrapped.train()
    return images_per_second(trainer, seconds)


def theirs(network: Network, batch: int, device: str, precision: str, compiled: bool, seconds: float) -> float:
    """Images a second of a plain loop with timm's network; the images lie on the device."""
    import timm

    model: torch.nn.Module = timm.create_model(network.name, num_classes=network.classes)
    model = model.to(device=device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
    run: Callable[[torch.Tensor], torch.Tensor] = torch.compile(model) if compiled else model
    optimiser = torch.optim.AdamW(model.parameters(), fused=device == "cuda")
    shape = (batch, 3, *network.resolution_px)
    inputs = torch.randn(shape, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(0, network.classes, (batch,), device=device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(run(inputs), labels)
        loss.backward()
        optimiser.step()
        synchronise(device)

    for _ in range(3):
        step()
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < 3 or time.perf_counter() < end:
        before = time.perf_counter()
        step()
        durations.append(time.perf_counter() - before)
    return batch / float(np.median(durations))


def synchronise(device: str) -> None:
    """Wait for what the device still computes."""
    if device != "cpu":
        torch.accelerator.synchronize()


def row_of(
    network: Network, loop: str, precision: str, batch: int, device: str, speed: Callable[[], float], predicted: bool
) -> Row:
    """One loop, with the most that the device allocated meanwhile, where it says that."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate, failure = None, None
    try:
        rate = speed()
    except Exception as error:  # a compiler's and a device's own kinds have none in common
        failure = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    said = budgetnet.cost(network).train_bytes(batch, "adamw", ema=True) if predicted else None
    row = Row(network.name, loop, precision, batch, rate, peak, said, failure)
    shown = failure or f"{rate:8.1f} images/s"
    memory = "" if peak is None else f", {peak / 2**30:.2f} GiB" + ("" if said is None else f" of {said / 2**30:.2f}")
    print(f"{network.name:16} {loop:14} {precision:9} {shown}{memory}", flush=True)
    return row


def speeds(asked: argparse.Namespace, device: str, save: Callable[[Row], None]) -> None:
    """A row for each network, loop and number type."""
    for name in asked.networks:
        network = budgetnet.network(name, CLASSES, asked.resolution)
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root) / "images"
            drawn_folder(folder, max(network.resolution_px))
            for precision in ("float32", "bfloat16"):

                def our_speed(network: Network = network, folder: Path = folder, precision: str = precision) -> float:
                    return ours(network, folder, asked.batch, device, precision, asked.seconds)

                # The bound on memory is of float32.
                save(row_of(network, "ours", precision, asked.batch, device, our_speed, precision == "float32"))
        for precision, compiled in (("float32", False), ("bfloat16", False), ("bfloat16", True)):
            if compiled and name not in COMPILED:
                continue

            def their_speed(network: Network = network, precision: str = precision, compiled: bool = compiled) -> float:
                return theirs(network, asked.batch, device, precision, compiled, asked.seconds)

            loop = "timm, compiled" if compiled else "timm"
            save(row_of(network, loop, precision, asked.batch, device, their_speed, False))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--resolution", type=int, default=None, help="the published one unless given")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--solve", type=Path, default=None, help="a folder of images")
    parser.add_argument("--time", default="3m", help="for solve")
    parser.add_argument("--macs", default="40M", help="for solve")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    asked = parser.parse_args(arguments)
    device = Compute(asked.device).checked().device
    named = torch.cuda.get_device_name() if device == "cuda" else device
    found: dict[str, object] = {"device": named, "torch": torch.__version__, "rows": [], "solve": None}
    rows: list[object] = []
    print(f"{named}, torch {torch.__version__}", flush=True)

    def save(row: Row) -> None:
        rows.append(asdict(row))
        write_json(asked.out, found | {"rows": rows})

    speeds(asked, device, save)
    if asked.solve is not None:
        before = time.monotonic()
        solved = budgetnet.solve(asked.solve, budgetnet.Budget(macs=asked.macs), asked.time, device=device)
        seconds, top1 = time.monotonic() - before, solved.test.top1
        print(f"solve, {asked.time}: {seconds:.0f} s, {100 * top1:.1f} % of test images", flush=True)
        write_json(asked.out, found | {"rows": rows, "solve": {"seconds": seconds, "top1": top1}})


if __name__ == "__main__":
    main()
