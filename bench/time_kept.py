"""Whether a time limit is kept: `python -m bench.time_kept --time 60 --busy 2`, seconds of the clock on the wall.

Each run is the command `solve` as its user starts it, on the digits; `--busy` processes compute beside it all the time.
With `--killed-at` it is killed at each of these seconds of its own and started again; all starts count together.
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
from collections.abc import Sequence
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
    parser.add_argument("--target", default=None, help="a device, in place of --macs")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--busy-after", type=float, default=0.0, help="seconds until the others begin")
    parser.add_argument("--killed-at", type=float, nargs="*", default=[], help="seconds of a start, one for each kill")
    asked = parser.parse_args()
    late = 0
    for seconds in asked.time:
        limits = ["--macs", asked.macs] if asked.target is None else ["--target", asked.target]
        took, found = measured(seconds, limits, asked.busy, asked.busy_after, asked.killed_at)
        most = seconds + max(LEAST_OVER_SECONDS, MOST_OVER_SHARE * seconds)
        late += took > most
        print(f"limit {seconds:g} s, took {took:.1f} s, allowed {most:g} s; {found}", flush=True)
    return 1 if late else 0


def measured(
    seconds: float, limits: Sequence[str], busy: int, busy_after: float, kills: Sequence[float]
) -> tuple[float, str]:
    """Seconds of one solve from the start of each of its processes to their ends, and what came out."""
    others = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "budgetnet", "solve", "digits", *limits, "--time", f"{seconds:g}s"]
        command += ["--out", str(run), "--json"]
        began = time.monotonic()
        for after in kills:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as doomed:
                time.sleep(after)
                doomed.kill()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
        found = json.loads(output)
        text = f"{100 * found['test']['top1']:.1f} % of the test images, {len(amendments)} amendments"
        if found["shipped"] is not None:
            eight_bits = json.loads((run / "plan.json").read_text())["plan"]["eight_bits"]
            text += f"; the file {100 * found['shipped']['file']['top1']:.1f} %, planned with {eight_bits}"
        return took, text


if __name__ == "__main__":
    sys.exit(main())
