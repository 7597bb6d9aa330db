"""Experiments on a cluster of two nodes: a node and the driver are killed, and the answer is that of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.baseline_search import made_again, scores_in
from support.killed import start
from support.networks import GROWABLE as BASE
from support.simulated import SimulatedClock, TimelessClock
from support.spaces import SMALL
from support.two_nodes import TwoNodes, two_nodes

import budgetnet
from budgetnet.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
PATIENCE_SECONDS = 1200


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


def run_until(command: list[str], reached: Callable[[], bool], then: Callable[[Any], None]) -> None:
    """Start a command, and once it has got so far do something to it."""
    process = start(command)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert process.poll() is None, f"it ended before: {process.stderr.read().decode()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    then(process)
    _, words = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode in (0, -signal.SIGKILL), words.decode()


def kill(process: Any) -> None:
    os.kill(process.pid, signal.SIGKILL)


def copied(run: Path, *names: str) -> Path:
    """Another run of the same plan, with some of what the first has made."""
    other = run.with_name(f"{run.name}-here")
    other.mkdir()
    for name in ("plan.json", *names):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        if (run / name).is_dir():
            shutil.copytree(run / name, other / name)
        else:
            shutil.copy(run / name, other / name)
    return other


def test_a_baseline_survives_a_kill_and_a_lost_node(cluster: TwoNodes, tmp_path: Path) -> None:
    space, run = tmp_path / "space.json", tmp_path / "run"
    space.write_text(SMALL.to_json())
    asked = ["search", "baseline", "digits", "--macs", "150K", "--space", str(space), "--time", "180s"]
    command = [sys.executable, "-m", "budgetnet", *asked, "--out", str(run), "--cluster", cluster.address]
    command += ["--storage", str(tmp_path / "shared")]
    run_until(command, lambda: len(scores_in(run)) >= 5, kill)
    before = scores_in(run)
    run_until(command, lambda: len(scores_in(run)) >= len(before) + 3, lambda _: cluster.replace())
    after = scores_in(run)
    plan, found = (json.loads((run / name).read_text()) for name in ("plan.json", "baseline.json"))
    assert plan["plan"]["slots"] == 2
    assert len(before) < len(after) == plan["plan"]["scores"]["networks"], "whole, and nothing twice"
    assert before.items() <= after.items(), "no finished trial is repeated"
    here = tmp_path / "here"
    made_again(run, here)
    alone = json.loads((here / "baseline.json").read_text())
    for name in ("candidates", "semifinals", "hypervolume", "finals", "winner", "against_base"):
        assert found[name] == alone[name], name
    assert scores_in(here) == after


def test_coefficients_survive_a_kill_and_a_lost_node(cluster: TwoNodes, tmp_path: Path) -> None:
    base, run = tmp_path / "own.json", tmp_path / "run"
    base.write_text(BASE.to_json())
    asked = ["search", "coefficients", "digits", "--base", str(base), "--tolerance", "20%", "--candidates", "6"]
    asked += ["--seeds", "2", "--time", "300s"]
    command = [sys.executable, "-m", "budgetnet", *asked, "--out", str(run), "--cluster", cluster.address]
    command += ["--storage", str(tmp_path / "shared")]

    def rungs() -> int:
        return len(list(run.glob("training/n*/rung-0.npz")))

    run_until(command, lambda: rungs() >= 2, kill)
    done = {path: path.stat().st_mtime_ns for path in run.glob("training/n*/rung-0.npz")}
    run_until(command, lambda: rungs() >= len(done) + 1, lambda _: cluster.replace())
    found = json.loads((run / "coefficients.json").read_text())
    assert all(path.stat().st_mtime_ns == before for path, before in done.items()), "no finished training is repeated"
    assert not list(run.glob("training/**/*.part"))
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert {event["phase"].partition("/")[0] for event in events} >= {"race", "last"}
    here = copied(run)
    assert main([*asked, "--out", str(here)], TimelessClock()) == 0
    assert json.loads((here / "coefficients.json").read_text()) == found, "the same bits as on this machine"


def test_a_solve_survives_a_kill_in_its_race(cluster: TwoNodes, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = ["solve", "digits", "--macs", "300K", "--time", "300s", "--out", str(run)]
    command = [sys.executable, "-m", "budgetnet", *asked, "--cluster", cluster.address]
    command += ["--storage", str(tmp_path / "shared")]
    run_until(command, lambda: any((tmp_path / "shared" / "run").glob("*/training/*/trunk.pt")), kill)
    run_until(command, lambda: (run / "metrics.json").exists(), lambda _: None)
    plan = json.loads((run / "plan.json").read_text())["plan"]
    assert plan["slots"] == 2 and plan["group"] == {"processes": 1, "threads": 1}
    here = copied(run)
    alone = budgetnet.solve("digits", budgetnet.Budget(macs=300_000), 300, here, clock=SimulatedClock())
    assert (run / "weights.safetensors").read_bytes() == (here / "weights.safetensors").read_bytes()
    assert alone.test.top1 == json.loads((run / "metrics.json").read_text())["test"]["top1"]


def test_a_training_on_a_node_is_that_of_this_machine(cluster: TwoNodes, tmp_path: Path) -> None:
    """As the final training of a `solve`: one job, on one slot."""
    run = tmp_path / "run"
    asked = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "32", "--epochs", "6"]
    command = [sys.executable, "-m", "budgetnet", *asked, "--out", str(run), "--cluster", cluster.address]
    command += ["--storage", str(tmp_path / "shared")]
    run_until(command, lambda: any((tmp_path / "shared").glob("run/*")), kill)
    run_until(command, lambda: (run / "metrics.json").exists(), lambda _: None)
    assert json.loads((run / "plan.json").read_text())["plan"]["group"] == {"processes": 1, "threads": 1}
    here = copied(run)
    assert main([*asked, "--out", str(here)], TimelessClock()) == 0
    assert (run / "weights.safetensors").read_bytes() == (here / "weights.safetensors").read_bytes()


def test_a_whole_chain_is_that_of_this_machine(cluster: TwoNodes, tmp_path: Path) -> None:
    """Killed while the family is trained."""
    space, run = tmp_path / "space.json", tmp_path / "run"
    space.write_text(SMALL.to_json())
    asked = ["search", "family", "digits", "--macs", "150K", "--space", str(space), "--time", "240s"]
    command = [sys.executable, "-m", "budgetnet", *asked, "--out", str(run), "--cluster", cluster.address]
    command += ["--storage", str(tmp_path / "shared")]
    run_until(command, lambda: any(run.glob("family/answers/*.npz")), kill)
    done = {path: path.stat().st_mtime_ns for path in run.glob("family/answers/*.npz")}
    run_until(command, lambda: (run / "family.json").exists(), lambda _: None)
    assert all(path.stat().st_mtime_ns == before for path, before in done.items()), "no finished training is repeated"
    here = copied(run, *(f"{part}/plan.json" for part in ("baseline", "coefficients", "family")))
    assert main([*asked, "--out", str(here)], TimelessClock()) == 0
    names = ["coefficients/coefficients.json", *(f"family/S{phi}.safetensors" for phi in range(4))]
    for name in names:
        assert (run / name).read_bytes() == (here / name).read_bytes(), name
