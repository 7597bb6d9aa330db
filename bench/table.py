"""A measured median against its limit, and the machine that it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """A median of `repeats` in milliseconds, with the limit that is promised."""

    name: str
    median_ms: float
    limit_ms: float
    repeats: int

    @property
    def broken(self) -> bool:
        """Whether the promise does not hold here."""
        return self.median_ms > self.limit_ms


def median_ms(work: Callable[[], object], repeats: int) -> float:
    """The median time of `work`, after one call that is not counted."""
    work()
    times_ms: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times_ms.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times_ms)


def processor() -> str:
    """The processor's name, as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_table(rows: list[Measurement]) -> None:
    """The rows, under a line that names the machine."""
    print(f"{processor()}, {os.cpu_count()} cores, 1 thread used, Python {platform.python_version()}")
    print(f"{'what':<58}{'median ms':>11}{'limit ms':>10}{'repeats':>9}")
    for row in rows:
        verdict = "  BROKEN" if row.broken else ""
        print(f"{row.name:<58}{row.median_ms:>11.2f}{row.limit_ms:>10.0f}{row.repeats:>9}{verdict}")
