"""Whether a time limit is kept: `python -m bench.time_kept --time 60 --busy 2`, seconds of the clock on the wall.

Each run is the command `solve` as its user starts it, on the digits; `--busy` processes compute beside it all the time.
Promised: at most the larger of 5 s and 10 % over the limit.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEAST_OVER_SECONDS, MOST_OVER_SHARE = 5.0, 0.1


def burn() -> None:
    """Compute without end."""
    value = 1.0
    while True:
        value = value * 1.0000001 % 7.0


def main() -> int:
    """Run, print a line a run, and return 1 where a limit was not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, nargs="+", default=[50.0, 100.0])
    parser.add_argument("--macs", default="2M")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--busy-after", type=float, default=0.0, help="seconds until the others begin")
    asked = parser.parse_args()
    late = 0
    for seconds in asked.time:
        took, found = measured(seconds, asked.macs, asked.busy, asked.busy_after)
        most = seconds + max(LEAST_OVER_SECONDS, MOST_OVER_SHARE * seconds)
        late += took > most
        print(f"limit {seconds:g} s, took {took:.1f} s, allowed {most:g} s; {found}", flush=True)
    return 1 if late else 0


def measured(seconds: float, macs: str, busy: int, busy_after: float) -> tuple[float, str]:
    """Seconds of one solve from the start of its process to its end, and what came out."""
    others = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "budgetnet", "solve", "digits", "--macs", macs, "--time", f"{seconds:g}s"]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--out", str(run), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if busy_after:
            time.sleep(busy_after)
        for other in others:
            other.start()
        output, errors = process.communicate()
        took = time.monotonic() - began
        for other in others:
            other.kill()
        if process.returncode:
            return took, errors.decode().strip().splitlines()[-1]
        amendments = json.loads((run / "plan.json").read_text())["amendments"]
        return (
            took,
            f"{100 * json.loads(output)['test']['top1']:.1f} % of the test images, {len(amendments)} amendments",
        )


if __name__ == "__main__":
    sys.exit(main())
