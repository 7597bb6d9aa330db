"""torchrun and the like: all of their processes train one network, the first of them leads, and a kill is told once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.killed import timeless
from support.launched import TORCHRUN, free_port, popen, ranks, spoken

from budgetnet import Budget, compare, network, preview, search_family, solve, train
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.model.files import load_tensors
from budgetnet.parallel import launcher
from budgetnet.parallel.launcher import Launch, launch, leads
from budgetnet.parallel.ranks import group_here
from budgetnet.parallel.workers import ProcessGroup, process_group_for

WORDS = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "32", "--json", "--out"]
FOUR = {"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the second of four that a launcher started."""
    for name, value in FOUR.items():
        monkeypatch.setenv(name, value)


def same_weights(one: Path, other: Path) -> bool:
    expected, found = (load_tensors(run / "weights.safetensors")[0] for run in (one, other))
    return all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def until(reached: Callable[[], bool], *processes: object) -> None:
    """Wait until the processes have got so far; a test has a timeout of its own."""
    while not reached():
        assert all(process.poll() is None for process in processes), "ended before it got so far"  # type: ignore[attr-defined]
        time.sleep(0.02)


def test_the_environment_says_which_of_a_launchers_processes_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launcher.NAMES:
        monkeypatch.delenv(name, raising=False)
    assert launch() is None and leads()
    for name, value in FOUR.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(1, 1, 4, 4) and not leads()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert launch() == Launch(1, 1, 4, 2)
    monkeypatch.delenv("MASTER_PORT")
    with pytest.raises(ValueError, match=r"started 4 processes.*does not say MASTER_PORT; start with torchrun"):
        launch()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch() is None and leads()


def test_mpi_has_other_names_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in launcher.NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items():
        monkeypatch.setenv(f"OMPI_COMM_WORLD_{name}", value)
    with pytest.raises(ValueError, match="does not say MASTER_ADDR and MASTER_PORT"):
        launch()
    monkeypatch.setenv("MASTER_ADDR", "first")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert launch() == Launch(3, 1, 4, 2)


@pytest.mark.usefixtures("four")
def test_what_cannot_be_shared_is_refused_in_a_line(tmp_path: Path) -> None:
    net, budget, run = network("mobilenet_v1"), Budget(macs=2_000_000), tmp_path / "run"
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: compare("digits", budget, out=run), "only train and solve share one training"),
        (lambda: search_family("digits", budget, out=run), "only train and solve share one training"),
        (lambda: preview("digits", budget), "only train and solve share one training"),
        (lambda: train("digits", net, epochs=1, out=run, cluster=Cluster("local")), "a cluster has processes"),
        (lambda: solve("digits", budget, out=run, cluster=Cluster("local")), "a cluster has processes"),
    ]
    for call, words in refused:
        with pytest.raises(ValueError, match=words) as caught:
            call()
        assert "without torchrun" in str(caught.value) and "\n" not in str(caught.value)
    assert not run.exists()


def test_the_group_is_all_that_were_started_and_each_has_enough_images(
    four: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert process_group_for("cpu", 64, machine_cores=8) == ProcessGroup(4, 2)
    with pytest.raises(ValueError, match=r"4 processes for batches of 24 images, and each needs 8.*start 3 or fewer"):
        process_group_for("cpu", 24)


@pytest.mark.usefixtures("four")
def test_another_count_of_processes_goes_on_where_they_can_share_a_batch() -> None:
    planned = ProcessGroup(4, 3)
    assert group_here(planned, "cpu", 64) == planned, "its threads are the plan's"
    with pytest.warns(UserWarning, match="planned for 2 processes goes on with 4"):
        assert group_here(ProcessGroup(2, 1), "cpu", 64).processes == 4
    with pytest.raises(ValueError, match="batches of 50 images, of which 4 processes have no equal parts; start 2, 5"):
        group_here(ProcessGroup(2, 1), "cpu", 50)


@pytest.mark.slow
def test_two_processes_train_one_network_and_the_first_alone_writes(some_digits: Path, tmp_path: Path) -> None:
    words = ["train", str(some_digits), *WORDS[2:], str(tmp_path / "run"), "--epochs", "4"]
    with ranks([sys.executable, "-m", "budgetnet", *words], 2) as processes:
        (first, told), (second, nothing) = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0, 0], told + nothing
    assert json.loads(first)["run"] == str(tmp_path / "run")
    assert second == "" and spoken(told + nothing) == [] and "splits:" in told and "splits:" not in nothing
    assert json.loads((tmp_path / "run" / "plan.json").read_text())["plan"]["group"] == {"processes": 2, "threads": 1}


SCRIPT = """
import sys
import budgetnet
net = budgetnet.network("mobilenet_v3_small", resolution_px=32)
try:
    budgetnet.train("digits", net, epochs=1, out=sys.argv[1], budget=budgetnet.Budget(params=10))
except ValueError as error:
    assert "params" in str(error), error
trained = budgetnet.train("digits", net, epochs=2, out=sys.argv[1])
again = budgetnet.train("digits", net, epochs=2, out=sys.argv[1], precision="bfloat16", fresh=True)
print(trained.test.top1, again.test.top1, trained.result.learned)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_script_gets_the_same_result_and_the_same_errors_in_every_process(tmp_path: Path) -> None:
    with ranks([sys.executable, "-c", SCRIPT, str(tmp_path / "run")], 2) as processes:
        said = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
    assert said[0][0] == said[1][0] and float(said[0][0].split()[0]) > 0.3


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("killed", [0, 2], ids=["the first", "another"])
def test_a_killed_process_ends_the_run_in_a_line_and_the_same_command_goes_on(
    killed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "1")
    run, plain = tmp_path / "run", tmp_path / "plain"
    words = [*WORDS, str(run), "--epochs", "6"]
    with ranks([sys.executable, "-m", "budgetnet", *words], 4) as processes:
        until((run / "training" / "final" / "trunk.pt").exists, *processes)
        processes[killed].kill()
        said = [process.communicate()[1] for process in processes]
        codes = [process.returncode for process in processes]
    assert codes.pop(killed) == -signal.SIGKILL and codes == [1, 1, 1]
    (line,) = spoken("".join(said))
    assert "a process of this training has ended" in line and "give the same command again" in line
    assert "Traceback" not in "".join(said)
    torchrun = popen([*TORCHRUN, "--nproc-per-node", "4", "-m", "budgetnet", *words])
    out, error = torchrun.communicate()
    assert torchrun.returncode == 0, error
    # Four workers of one process, from the same plan: a launcher's processes exchange gradients as those do.
    plain.mkdir()
    shutil.copy(run / "plan.json", plain)
    alone = popen([sys.executable, "-m", "budgetnet", *WORDS, str(plain), "--epochs", "6"])
    expected, error = alone.communicate()
    assert alone.returncode == 0, error
    assert same_weights(run, plain) and json.loads(out)["test"] == json.loads(expected)["test"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_launcher_that_is_asked_to_stop_saves_and_two_go_on_for_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    words = ["-m", "budgetnet", *WORDS, str(run), "--epochs", "6"]
    torchrun = popen([*TORCHRUN, "--nproc-per-node", "4", *words])
    until((run / "events.jsonl").exists, torchrun)  # long before the first checkpoint by the clock
    torchrun.send_signal(signal.SIGTERM)
    error = torchrun.communicate()[1]
    assert torchrun.returncode != 0
    assert spoken(error) == ["budgetnet: interrupted; the same command goes on where this one was"]
    assert torch.load(run / "training" / "final" / "trunk.pt", weights_only=True)["step"] > 0
    torchrun = popen([*TORCHRUN, "--nproc-per-node", "2", *words])
    out, error = torchrun.communicate()
    assert torchrun.returncode == 0, error
    assert any("planned for 4 processes goes on with 2" in line for line in spoken(error))
    assert json.loads(out)["test"]["top1"] > 0.8


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("same", [True, False], ids=["the same images", "other images"])
def test_two_nodes_share_nothing_but_images(
    same: bool, some_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node in a folder of its own, so that each sees its own images, cache and runs."""
    for node in ("0", "1"):
        shutil.copytree(some_digits, tmp_path / node / "photos")
    if not same:
        next((tmp_path / "1" / "photos" / "3").iterdir()).unlink()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    words = ["-m", "budgetnet", "train", "photos", *WORDS[2:], "run", "--epochs", "4"]
    nodes = [*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--master-port", str(free_port()), "--node-rank"]
    started = []
    for node in ("1", "0"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / node / "cache"))
        monkeypatch.chdir(tmp_path / node)
        started.append(popen([*nodes, node, *words]))
    (_, other), (first, error) = [process.communicate() for process in started]
    assert not (tmp_path / "1" / "run").exists(), "the run's folder is the first process's"
    if same:
        assert [process.returncode for process in started] == [0, 0], error + other
        assert json.loads(first)["run"] == "run" and (tmp_path / "0" / "run" / "metrics.json").exists()
    else:
        assert all(process.returncode for process in started)
        (line,) = spoken(error + other)
        assert "holds other images than on the first machine" in line


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_solve_races_in_the_first_process_and_ends_in_all(tmp_path: Path) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("cannot keep to one core here")
    run, before = tmp_path / "run", os.sched_getaffinity(0)
    bases = ["--base", "mobilenet_v3_small", "mobilenet_v2"]
    command = timeless("solve", "digits", "--macs", "1M", "--time", "90s", *bases, "--json", "--out", str(run))
    os.sched_setaffinity(0, set(sorted(before)[:1]))  # so that not all are trained to the end, a core each
    try:
        with ranks(command, 2) as processes:
            until(lambda: '"final"' in _events(run), *processes)
            processes[1].kill()
            error = processes[0].communicate()[1]
        assert processes[0].returncode == 1 and "a process of this training has ended" in spoken(error)[-1]
        scores = {path: path.stat().st_mtime_ns for path in run.glob("training/*/rung-0.npz")}
        with ranks(command, 2) as processes:
            (out, error), _ = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0, 0], error
    finally:
        os.sched_setaffinity(0, before)
    assert scores == {path: path.stat().st_mtime_ns for path in scores}, "what raced does not race again"
    assert json.loads(out)["test"]["top1"] > 0.5


def _events(run: Path) -> str:
    return (run / "events.jsonl").read_text() if (run / "events.jsonl").exists() else ""
