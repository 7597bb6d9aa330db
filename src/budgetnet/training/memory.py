"""Memory for training: what is free here, and the largest batch whose training fits into it.

A training's need is predicted before it starts (`costs.training_memory.train_bytes`), so that it is not the system's
memory killer that says that a batch was too large.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from budgetnet.costs.training_memory import train_bytes
from budgetnet.data import ImageSet
from budgetnet.networks import Network
from budgetnet.parallel.launcher import launch
from budgetnet.parallel.workers import LEAST_IMAGES, ProcessGroup, process_group_for, workers_for
from budgetnet.training.recipe import Recipe, guarded_batch

PROCESS_BYTES = 500 * 2**20
"""A worker process takes this much before it trains: the libraries, and what PyTorch keeps at hand. Measured: 0.35 to
0.45 GB."""
USABLE_SHARE = 0.9
"""This share of the free memory is used: other programs grow, too."""


def free_bytes(device: str = "cpu") -> int:
    """Memory that this process and its workers may still take: of the system or, if that is less, of the control group.

    On a GPU that of the device.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return min([int(psutil.virtual_memory().available), *_group_bytes()])


def _group_bytes(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterable[int]:
    """What each control group of this process still allows; pages of files that can be dropped count as free.

    Version 2: memory.max and memory.current of the group and those above it. Version 1: the memory controller's.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, inner = line.split(":", 2)
        if controllers == "":
            base, limit, usage, cache = root, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit, usage = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cache = "total_inactive_file"
        else:
            continue
        group = base / inner.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base) and (row := _group_row(folder, limit, usage, cache)) is not None:
                yield row


def _group_row(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    try:
        most = (folder / limit).read_text().strip()
        if most == "max":
            return None
        used = int((folder / usage).read_text())
        rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # the root group has no limit, and a group may be gone
        return None
    return max(0, int(most) - used + int(rows.get(cache, 0)))


def training_bytes(network: Network, recipe: Recipe, batch: int) -> int:
    """Predicted peak of one training step of `batch` images in this recipe, in bytes."""
    return train_bytes(network, batch, recipe.optimiser, ema=recipe.ema_share > 0)


def most_training_bytes(device: str, most_bytes: int | None = None) -> int:
    """What one training may take where every worker has one: its part of the free memory, or `most_bytes` if less."""
    started = launch()
    count = max(workers_for(device), started.local_processes if started else 1)
    here = free_bytes(device) // (count if device == "cpu" else 1)
    room = process_room(here, device)
    return room if most_bytes is None else min(room, most_bytes)


def process_room(free: int, device: str) -> int:
    """What a training may take in a process that has so many free bytes for itself."""
    return max(0, int(USABLE_SHARE * free) - (PROCESS_BYTES if device == "cpu" else 0))


def training_batch(
    recipe: Recipe,
    train_images: int,
    networks: Sequence[Network],
    device: str,
    single_process: bool = True,
    most_bytes: int | None = None,
    room: int | None = None,
) -> int:
    """The recipe's batch for so many images, halved until training any of the networks fits into memory.

    `single_process`: every worker trains one by itself, with a whole batch; else all share one batch. `most_bytes` is
    a limit on
    one training, all its processes together; `room` is what a process may take, that of `most_training_bytes` unless
    given. Raises a one-line `ValueError` where not even 8 images at once fit.
    """
    batch = guarded_batch(recipe, train_images)
    least = min(LEAST_IMAGES, batch)
    room = most_training_bytes(device) if room is None else room
    while True:
        processes = 1 if single_process else process_group_for(device, batch).processes
        share = max(1, batch // processes)
        need, worst = max(((training_bytes(row, recipe, share), row) for row in networks), key=lambda pair: pair[0])
        if need <= room and (most_bytes is None or need * processes <= most_bytes):
            return batch
        if batch == least:
            break
        batch = max(least, batch // 2)
    if need > room:
        why = f"{_gigabytes(room)} of memory are free for it"
    else:
        why = f"--train-bytes allows {_gigabytes(most_bytes or 0)}"
    height, width = worst.resolution_px
    raise ValueError(
        f"training {worst.name} at {height}x{width} px takes {_gigabytes(need * processes)} with {batch} images at "
        f"once, the fewest that train well, and {why}; take a smaller network or fewer pixels"
        + (", or free some memory" if need > room else ", or raise the limit")
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2g} GB" if count < 1e10 else f"{count / 1e9:,.0f} GB"


def shared_batch(
    recipe: Recipe,
    images: ImageSet,
    device: str,
    networks: Sequence[Network] = (),
    most_bytes: int | None = None,
    single_process: bool = True,
) -> tuple[int, ProcessGroup]:
    """The batch of a training and the process group that shares it, in equal parts.

    With `networks`, any of them can be trained in the memory that there is, and in `most_bytes`, and where trainings
    run `single_process` by each worker for itself; see `training_batch`.
    """
    count = len(images.indices("train"))
    batch = (
        training_batch(recipe, count, networks, device, single_process, most_bytes)
        if networks
        else guarded_batch(recipe, count)
    )
    group = process_group_for(device, batch)
    return group.equal_batch(batch), group
