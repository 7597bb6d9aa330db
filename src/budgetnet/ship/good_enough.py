"""Whether a file may be called good: it keeps the budget, runs in the arena, and answers as the model does."""

from __future__ import annotations

from budgetnet.budgets.budget import Budget, LimitRow, limit_rows
from budgetnet.networks import Network
from budgetnet.ship.exported import ExportedFile

MOST_DIFFERENCE = 1e-4
"""A float32 file may differ from the model by this much, in standard deviations of the logits."""
MOST_LOSS = 0.01
"""Eight bits must be shown to cost less than this share of the images, by the interval, where there are enough."""
MOST_SEEN_LOSS = 0.005
"""Eight bits may cost at most this share of the images where there are too few to show it."""
ENOUGH_IMAGES = 1000
"""This many test images are enough to show it."""


def faults_of(file: ExportedFile) -> tuple[str, ...]:
    """Why a file is not good enough, in words; nothing where it is."""
    faults = [
        f"it takes {row.used:,} of {row.name}, {-row.left:,} more than the budget has"
        for row in file.keeps
        if row.left < 0
    ]
    if file.allocated is False:
        faults.append(
            f"TensorFlow Lite Micro does not run it in the {file.arena_bytes or 0:,} bytes that were promised"
        )
    if file.parity is not None and file.parity > MOST_DIFFERENCE:
        faults.append(f"its logits differ from the model's by {file.parity:.1e} of their standard deviation")
    change, what = file.change, "eight bits" if file.dtype == "int8" else file.dtype
    if not file.shown and change.value < -MOST_SEEN_LOSS:
        faults.append(f"{what} cost {-100 * change.value:.1f} points of {file.images:,} test images")
    if file.shown and change.low < -MOST_LOSS:
        faults.append(
            f"{what} cost {-100 * change.value:.1f} points of {file.images:,} test images, and up to "
            f"{-100 * change.low:.1f} are not ruled out"
        )
    return tuple(faults)


def counted(network: Network, budget: Budget) -> tuple[LimitRow, ...]:
    """What a network uses of each limit as the budget counts it; a limit on training is the run's own affair."""
    return tuple(row for row in limit_rows(budget.price(network), budget) if row.name != "train_bytes")


def limits_of(network: Network, budget: Budget, flash_bytes: int, arena_bytes: int | None) -> tuple[LimitRow, ...]:
    """What a file uses of each limit; where no arena is known, limits on RAM are left to the run's certificate."""
    real = {"weight_bytes": flash_bytes}
    left_out: set[str] = set()
    if arena_bytes is None:
        left_out |= {"peak_activation_bytes", "peak_bytes"}
    else:
        real |= {"peak_activation_bytes": arena_bytes, "peak_bytes": flash_bytes + arena_bytes}
    rows = (row for row in counted(network, budget) if row.name not in left_out)
    return tuple(
        LimitRow(row.name, row.limit, real.get(row.name, row.used), row.limit - real.get(row.name, row.used))
        for row in rows
    )
