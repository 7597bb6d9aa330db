"""This machine's speed: times that are those of the deployed model, and what other programs did to them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from support.compared import ALONE
from support.formats import hold
from torch.utils._python_dispatch import TorchDispatchMode

import budgetnet
from budgetnet import Network, build, network
from budgetnet.answers.measure import Measured
from budgetnet.cli import main
from budgetnet.cli import measure as command
from budgetnet.codec import from_plain
from budgetnet.inspect.latency import measure_each
from budgetnet.inspect.turns import Clocks, Measurement, TimedRun, measurement
from budgetnet.model.deployed import deployed
from budgetnet.parallel.progress import Progress, Update

SMALL = network("mobilenet_v3_small", classes=5, resolution_px=32)
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", ("mobilenet_v3_small", "mobilenet_v4_conv_small", "tf_efficientnetv2_b0"))
def test_the_deployed_model_answers_as_the_model_does(name: str) -> None:
    model = build(network(name, classes=7, resolution_px=48), seed=3).train()
    images = torch.randn((4, 3, 48, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(images)  # statistics of BatchNorm that are not 0 and 1
        folded = deployed(model)
        model.eval()
        torch.testing.assert_close(folded(images), model(images), atol=1e-4, rtol=1e-3)
    assert not [part for part in folded.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)], "the model is left as it was"


class SimulatedMachine(TorchDispatchMode):
    """A machine on which each number that an operation of torch gives takes 1 us, and nothing else takes time.

    `slowness` times as long while that is set; `waiting` is how long it waits for a core for each second of work, and
    `others` the cores that other programs take.
    """

    def __init__(self, others: float = 0.0, waiting: float = 0.0) -> None:
        super().__init__()
        self.others, self.waiting, self.slowness = others, waiting, 1.0
        self.worked = self.waited = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            seconds = 1e-6 * self.slowness * found.numel()
            self.worked += seconds
            self.waited += self.waiting * seconds
        return found

    @property
    def wall(self) -> float:
        return self.worked + self.waited

    def clocks(self, fine: bool = True) -> Clocks:
        """`fine`: the system has a clock for each thread."""
        return Clocks(
            wall=lambda: self.wall,
            thread=(lambda: self.worked) if fine else None,
            process=lambda: self.worked,
            machine=lambda: self.worked + self.others * self.wall,
        )


def simulated(
    machine: SimulatedMachine, *networks: Network, fine: bool = True, progress: Progress | None = None
) -> tuple[Measurement, ...]:
    """The networks' times on this machine."""
    with machine:
        return measure_each(networks or (SMALL,), seconds=0.5, progress=progress, clocks=machine.clocks(fine))


def test_networks_take_turns_and_nothing_disturbs_them() -> None:
    large = network("mobilenet_v3_small", classes=5, resolution_px=64)
    before = torch.get_num_threads()
    rows = simulated(SimulatedMachine(), SMALL, large)
    assert torch.get_num_threads() == before
    for row in rows:
        assert row.alone and row.disturbance is None and row.refusal is None and row.halves_ratio == pytest.approx(1.0)
        assert row.runs >= 10 and row.image_ms == row.latency_ms and row.clock == "processor"
        assert row.low_ms == pytest.approx(row.latency_ms) and row.high_ms == pytest.approx(row.median_ms)
    small_ms, large_ms = (row.latency_ms for row in rows)
    assert small_ms is not None and large_ms is not None and 3.0 < large_ms / small_ms < 4.5, "four times the pixels"


def test_a_thread_that_waits_for_a_core_has_the_time_of_one_that_does_not() -> None:
    (quiet,) = simulated(SimulatedMachine(others=0.04))
    (busy,) = simulated(SimulatedMachine(others=1.4, waiting=4.0))
    assert busy.latency_ms == pytest.approx(quiet.latency_ms) and busy.median_ms == pytest.approx(5 * quiet.median_ms)
    assert quiet.disturbance is None and quiet.alone
    assert busy.disturbance == "other programs took 140 % of a core" and not busy.alone and busy.refusal is None


def test_without_a_clock_of_the_thread_the_undisturbed_turns_count() -> None:
    machine = SimulatedMachine(others=0.9, waiting=4.0)

    def turned(update: Update) -> None:
        machine.waiting = 4.0 if update.done < 5 else 0.0

    (row,) = simulated(machine, fine=False, progress=turned)
    (quiet,) = simulated(SimulatedMachine(), fine=False)
    assert row.clock == "wall" and row.latency_ms == pytest.approx(quiet.latency_ms)
    assert row.high_ms == pytest.approx(5 * quiet.high_ms) and row.disturbance == "other programs took 90 % of a core"


def test_where_two_halves_of_the_runs_disagree_there_is_no_time() -> None:
    machine = SimulatedMachine()

    def turned(update: Update) -> None:
        machine.slowness = 2.0 if update.done % 2 else 1.0

    (row,) = simulated(machine, progress=turned)
    assert (row.latency_ms, row.low_ms, row.median_ms, row.high_ms, row.image_ms) == (None,) * 5
    assert row.refusal == "two halves of its runs, taken in turns, differ 2.0 times" and row.runs >= 10
    assert row.disturbance is None, "it is the machine itself that changes"


def test_one_lucky_run_does_not_count() -> None:
    rounds = [[TimedRun(2.0, 1.0)] * 10 for _ in range(10)]
    rounds[3][4] = TimedRun(0.1, 0.1)
    row = measurement(rounds, 1, 1, "cpu", "processor", None)
    assert row.latency_ms == 1.0 and row.median_ms == 2.0 and row.runs == 100
    assert row.disturbance == "this system does not say what else ran" and not row.alone


def test_a_system_that_shows_an_idle_machine_does_not_say_what_ran() -> None:
    machine = SimulatedMachine()
    with machine:
        clocks = dataclasses.replace(machine.clocks(), machine=lambda: 0.0)
        (row,) = measure_each([SMALL], seconds=0.5, clocks=clocks)
    assert row.others_cores is None and row.latency_ms is not None


def test_a_time_from_before_the_clock_was_stored_is_still_read() -> None:
    now = {"latency_ms": 2.0, "low_ms": 1.9, "high_ms": 2.1, "runs": 500, "batch": 2, "threads": 1, "device": "cpu"}
    row = from_plain(Measurement, {**now, "alone": True, "others_cores": 0.0}, "a file")
    assert row.image_ms == 1.0 and row.median_ms is None and row.refusal is None
    busy = {**now, "latency_ms": None, "low_ms": None, "high_ms": None, "alone": False, "others_cores": 0.5}
    assert from_plain(Measurement, busy, "a file").refusal == "none was taken"


DISTURBED = dataclasses.replace(ALONE, alone=False, others_cores=0.4)
UNSTEADY = dataclasses.replace(DISTURBED, latency_ms=None, low_ms=None, median_ms=None, high_ms=None, halves_ratio=1.83)


def _measured(row: Measurement) -> Measured:
    return Measured(SMALL.name, SMALL, "torch", "float32", row)


def test_a_disturbed_time_is_given_and_a_line_says_so(capsys: Capture) -> None:
    command.answer([_measured(DISTURBED)], as_json=False)
    captured = capsys.readouterr()
    assert captured.err == "budgetnet: disturbed: other programs took 40 % of a core; the times may be too long\n"
    row = next(line.split() for line in captured.out.splitlines() if line.startswith(SMALL.name))
    assert row[-5:] == ["1.80", "1.90", "2.00", "2.10", "500"]
    command.answer([_measured(ALONE)], as_json=False)
    assert capsys.readouterr().err == ""


def test_a_network_without_a_time_has_a_line_that_says_why(capsys: Capture) -> None:
    command.answer([_measured(DISTURBED), _measured(UNSTEADY)], as_json=True)
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    hold(found, "measure --json")
    assert [row["measurement"]["latency_ms"] for row in found["measurements"]] == [1.8, None]
    why = "two halves of its runs, taken in turns, differ 1.8 times; measure it for longer, as --seconds 10s"
    assert captured.err.splitlines()[1:] == [f"budgetnet: mobilenet_v3_small has no time: {why}"]
    command.answer([_measured(UNSTEADY)], as_json=False)
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(SMALL.name))
    assert row[-5:] == ["-", "-", "-", "-", "500"]


def test_the_command_prints_a_row_a_network(capsys: Capture) -> None:
    """On this machine as it is, whatever else runs."""
    arguments = ["measure", "mobilenet_v3_small", "mobilenet_v1", "--resolution", "32", "--seconds", "500ms"]
    assert main([*arguments, "--batch", "2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith(("measure: ", "budgetnet: ")) for line in captured.err.splitlines())
    price = budgetnet.cost(network("mobilenet_v1", resolution_px=32))
    row = next(line.split() for line in lines if line.startswith("mobilenet_v1"))
    assert row[1] == "32" and f"{price.macs / 1e6:.1f}" in row
    assert main([*arguments, "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "measure --json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"threads": 10_000}, "cores here"),
        ({"seconds": 0.01}, "at least 0.5"),
        ({"device": "abacus"}, "cpu, cuda, mps"),
    ],
)
def test_bad_arguments_are_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        budgetnet.measure(network("mobilenet_v1"), **options)
    assert "\n" not in str(caught.value)
