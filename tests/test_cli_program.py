"""The program as a process: quick to start, quiet when its reader leaves, clean when it is interrupted."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
PROGRAM = "import sys; from budgetnet.cli import main; sys.argv[0] = 'budgetnet'; sys.exit(main())"
HEAVY = ("torch", "numpy", "torchvision", "PIL", "pydantic")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **more}


def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, env=environment(**more), check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "efficientnet_b0", "--macs", "60M"],
        pytest.param(["zoo"], marks=pytest.mark.slow),
        pytest.param(["cost", "mobilenet_v2"], marks=pytest.mark.slow),
        pytest.param(["solve", "--help"], marks=pytest.mark.slow),
        ["solve"],
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = (
        f"import sys; from budgetnet.cli import main; main({arguments!r}); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())
    assert done.stderr.splitlines()[-1] == "", done.stderr


@pytest.mark.slow
def test_fit_answers_in_a_blink() -> None:
    """At most three times what Python and the command line's libraries take to load; the median of five, in turns."""

    def seconds(*words: str) -> float:
        start = time.perf_counter()
        subprocess.run(words, capture_output=True, timeout=120, env=environment(), check=True)
        return time.perf_counter() - start

    libraries = (sys.executable, "-c", "import cyclopts, rich.table, rich.progress")
    fitting = command("fit", "efficientnet_b0", "--macs", "60M")
    ratios = [seconds(*fitting) / seconds(*libraries) for _ in range(5)]
    assert statistics.median(ratios) < 3, ratios


def test_a_pipe_gets_plain_and_whole_lines_however_narrow_the_terminal() -> None:
    done = run("zoo", COLUMNS="20", TERM="xterm-256color", FORCE_COLOR="")
    assert "\x1b" not in done.stdout and "…" not in done.stdout
    assert len(done.stdout.splitlines()[0]) > 60


def test_json_is_one_document_on_standard_output() -> None:
    done = run("cost", "mobilenet_v2", "--json", "--ops")
    assert done.stderr == "" and json.loads(done.stdout)["macs"] > 0


def test_a_reader_that_leaves_is_met_with_silence() -> None:
    process = subprocess.Popen(
        command("cost", "efficientnet_b7", "--ops", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_ctrl_c_is_one_line_and_130() -> None:
    code = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from budgetnet import cli
import budgetnet.budgets.fit
def interrupted(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
budgetnet.budgets.fit.fit = interrupted
raise SystemExit(cli.main(["fit", "efficientnet_b0", "--macs", "60M"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "budgetnet: interrupted\n")
