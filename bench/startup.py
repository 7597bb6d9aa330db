"""What `import budgetnet` and a fit add to a fresh Python process."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from bench.table import Measurement

REPEATS = 11
LIMIT_MS = 200.0
EMPTY = "pass"
FIT = "import budgetnet as b; b.fit(b.network('efficientnet_b0'), b.Budget(macs=60_000_000))"


def process_ms(code: str) -> float:
    """The time of one Python process from start to end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1e3 * (time.perf_counter() - start)


def measure() -> list[Measurement]:
    """The median difference of interleaved pairs, so that a busy moment falls on both sides."""
    for code in (EMPTY, FIT):  # once uncounted: the first reads the files from disk
        process_ms(code)
    differences_ms = [-process_ms(EMPTY) + process_ms(FIT) for _ in range(REPEATS)]
    name = "import budgetnet and a fit, more than `python -c pass`"
    return [Measurement(name, statistics.median(differences_ms), LIMIT_MS, REPEATS)]
