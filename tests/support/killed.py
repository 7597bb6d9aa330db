"""A command that is killed, not asked, once it has got so far."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from budgetnet.model.files import load_checkpoint

TESTS = Path(__file__).resolve().parents[1]


def timeless(*arguments: str, clock: str = "TimelessClock()") -> list[str]:
    """budgetnet's command line in a process of its own, by a clock that never has steps left out: to be killed and
    compared with another of the same plan. `clock` makes one of `support.simulated`."""
    program = (
        f"import sys; sys.path[:] = {[str(TESTS), *sys.path]!r}\n"
        "from budgetnet.cli import main\n"
        "from support.simulated import SimulatedClock, TimelessClock\n"
        f"if __name__ == '__main__': sys.exit(main(sys.argv[1:], {clock}))"
    )
    return [sys.executable, "-c", program, *arguments]


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """The command at work; what it says on standard error is kept."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_when(command: Sequence[str], reached: Callable[[], bool]) -> None:
    """Start the command and kill it, not asking, once it has got so far. A test has a timeout of its own."""
    process = start(command)
    while not reached():
        assert process.poll() is None, f"it ended before it could be killed: {process.stderr.read().decode()}"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def checkpoints(run: Path) -> Mapping[Path, tuple[int, int]]:
    """The checkpoints of a run, and what changes in each when it is written again."""
    found: dict[Path, tuple[int, int]] = {}
    for path in (run / "training").glob("*/*.pt"):
        try:
            status = path.stat()
        except FileNotFoundError:  # a cool-down's goes with its end
            continue
        found[path] = (status.st_ino, status.st_mtime_ns)
    return found


def kill_at_random(
    command: Sequence[str], run: Path, random: Random, most: int, counting: Callable[[], bool] = lambda: True
) -> str:
    """Start the command and kill it behind a random number of new checkpoints, at most `most`, and some milliseconds.

    Those are counted once `counting` is true. Killed is the process alone, whose workers have to notice, or all of
    them at once. Says where that was.
    """
    wanted, later, alone = random.randint(1, most), random.uniform(0.0, 0.05), random.random() < 0.5
    before, seen, newest = checkpoints(run), 0, Path()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    while seen < wanted:
        assert process.poll() is None, f"it ended before it could be killed: {process.stderr.read().decode()}"
        now = checkpoints(run)
        changed = [path for path, what in now.items() if before.get(path) != what]
        if changed and counting():
            seen, newest = seen + len(changed), changed[-1]
        before = now
        time.sleep(0.002)
    time.sleep(later)
    (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    step = load_checkpoint(newest)["step"] if newest.exists() else "its end"
    who = "the process" if alone else "it and its workers"
    return f"{who} {1000 * later:.0f} ms behind {seen} checkpoints, {newest.relative_to(run)} at step {step}"
