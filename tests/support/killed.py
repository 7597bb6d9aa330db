"""A command that is killed, not asked, once it has got so far."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """The command at work; what it says on standard error is kept."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def kill_when(command: Sequence[str], reached: Callable[[], bool]) -> None:
    """Start the command and kill it, not asking, once it has got so far."""
    process = start(command)
    deadline = time.monotonic() + 240
    while not reached():
        assert process.poll() is None, f"it ended before it could be killed: {process.stderr.read().decode()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
