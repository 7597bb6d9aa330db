"""Commands under a launcher: processes that are told their place by the environment, as torchrun tells them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
"""torchrun, by whichever Python runs the tests."""


@contextlib.contextmanager
def ranks(
    command: Sequence[str], processes: int, environments: Sequence[Mapping[str, str]] | None = None
) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes of a command, in the order of their ranks, each with its own environment where any are given.

    None of them is left at the end.
    """
    place = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    started: list[subprocess.Popen[str]] = []
    try:
        for rank, own in enumerate(environments or [{}] * processes):
            environment = {**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank), **own}
            started.append(popen(command, environment))
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def popen(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """The command at work, whose words are kept."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment and dict(environment))


def spoken(error: str) -> list[str]:
    """What budgetnet said on standard error of how it ended: its launcher has words of its own."""
    return [line for line in error.splitlines() if line.startswith("budgetnet: ")]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
