"""The main job: candidates, the race and its plan, and the same winner whatever kills it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.killed import kill_when, start
from support.simulated import SimulatedClock, limits_of
from support.spaces import BASE

from budgetnet.budgets.budget import Budget, BudgetError
from budgetnet.data import ImageSet, default_preprocessing, open_cache, open_images
from budgetnet.experiments.bases import adapted_bases, base_px
from budgetnet.experiments.solve import plan as plan_module
from budgetnet.experiments.solve import solve
from budgetnet.experiments.solve.candidates import LEAST_SHARE, Candidate, as_planned, candidates, raced_of
from budgetnet.experiments.solve.plan import Deadline, Field, drafted, entrant_row, entrants_for, planned
from budgetnet.model.files import load_tensors
from budgetnet.networks.zoo import network
from budgetnet.parallel.progress import silent
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.outcome import finished
from budgetnet.training.recipe import MODERN
from budgetnet.training.train import train
from budgetnet.training.trainer import TrainingConfig


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


def test_candidates_keep_the_budget_and_the_raced_use_it(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000, params=1_500_000)
    found = candidates(digits, budget, 6)
    raced = [row for row in found if row.raced]
    assert len(raced) == 6 and found[:6] == tuple(raced)
    assert all(budget.check(row.network).fits for row in found)
    assert all(row.share >= LEAST_SHARE for row in raced)
    assert all(row.network.classes == 10 and row.network.in_channels == 1 for row in found)
    assert len({row.id for row in found}) == len(found)
    shapes = {dataclasses.replace(row.network, name="-", source="-").to_json() for row in found}
    assert len(shapes) == len(found), "equal networks are merged"
    assert len({row.base for row in raced}) >= 3, "unlike each other"


def test_candidates_are_the_same_every_time(digits: ImageSet) -> None:
    budget = Budget(macs=3_000_000)
    assert candidates(digits, budget, 4) == candidates(digits, budget, 4)


def test_an_impossible_budget_names_the_limit(digits: ImageSet) -> None:
    with pytest.raises(BudgetError) as caught:
        candidates(digits, Budget(macs=1000), 4)
    assert caught.value.limit == "macs" and "\n" not in str(caught.value)


@pytest.mark.parametrize(("median_px", "expected"), [(8, 32), (32, 32), (85, 84), (112, 112), (480, 224)])
def test_scaling_starts_from_the_images_own_size(digits: ImageSet, median_px: int, expected: int) -> None:
    sized = dataclasses.replace(digits, sizes_px=((median_px, median_px + 40),) * len(digits))
    assert base_px(sized) == expected
    dropped = {drop for _, drop, _ in adapted_bases(sized, ["mobilenet_v2"])}
    assert dropped == ({0, 1, 2} if expected < 96 else {0})


def test_a_base_of_few_strides_drops_those_that_it_has(digits: ImageSet) -> None:
    assert [dropped for _, dropped, _ in adapted_bases(digits, [BASE])] == [0, 1]
    rows = candidates(digits, Budget(macs=1_000_000), 2, [BASE], ["compound"])
    assert rows and all(row.dropped_strides <= 1 for row in rows)


@pytest.mark.parametrize(("seconds", "workers", "expected"), [(100, 2, 2), (900, 2, 5), (900, 8, 12), (36000, 2, 12)])
def test_entrants_follow_the_core_seconds_of_the_race(seconds: float, workers: int, expected: int) -> None:
    assert entrants_for(seconds, workers) == expected


def test_an_entrants_steps_follow_its_speed(digits: ImageSet) -> None:
    row = candidates(digits, Budget(macs=2_000_000), 2)[0]
    draft = TrainingConfig(row.id, row.network, MODERN, default_preprocessing(1), 0, 32, 1, 1)
    slow, fast = (entrant_row(draft, Timing(rate, 1.5 * rate, 1.0), [10.0, 20.0], 60.0, 0) for rate in (320.0, 640.0))
    for name, ratio in (("slow", 1), ("fast", 2)):
        rungs = (slow if ratio == 1 else fast)["rungs"]
        trained = [rungs[0]["trunk_until"] + rungs[0]["cooldown_steps"]]
        trained += [rungs[1]["trunk_until"] + rungs[1]["cooldown_steps"] - rungs[0]["trunk_until"]]
        assert trained == [100 * ratio, 200 * ratio], name
    end = slow["final"]["trunk_until"] + slow["final"]["cooldown_steps"]
    assert end == slow["config"]["steps"] == slow["rungs"][1]["trunk_until"] + 60 * 480 // 32
    assert slow["final"]["trunk_until"] >= slow["rungs"][1]["trunk_until"]
    scored = entrant_row(draft, Timing(320.0, 480.0, 1.0), [10.0], 60.0, validation=640)["rungs"][0]
    assert scored["trunk_until"] + scored["cooldown_steps"] == 90, "a second of a rung is for its score"


def test_bases_of_one_name_are_told_apart_and_ids_are_folders(digits: ImageSet) -> None:
    budget, base = Budget(macs=2_000_000), network("mobilenet_v1")
    other = dataclasses.replace(network("mobilenet_v2"), name="mobilenet_v1")
    with pytest.raises(ValueError, match="two bases are called mobilenet_v1") as caught:
        candidates(digits, budget, 2, ["mobilenet_v1", other])
    assert "\n" not in str(caught.value)
    assert candidates(digits, budget, 2, [base, "mobilenet_v1"]) == candidates(digits, budget, 2, [base])
    odd = dataclasses.replace(base, name="../my net: 1")
    assert {row.id for row in candidates(digits, budget, 2, [odd], ["width"]) if not row.dropped_strides} <= {
        "_._my_net_1-width"
    }


def plan_of(found: Sequence[Candidate], digits: ImageSet) -> dict[str, Any]:
    raced = [row for row in found if row.raced]
    drafts = [TrainingConfig(row.id, row.network, MODERN, default_preprocessing(1), 0, 32, 1, 1) for row in raced]
    entrants = [entrant_row(draft, Timing(320.0, 480.0, 1.0), [10.0], 60.0, 0) for draft in drafts]
    plan = {"candidates": [row.to_dict() for row in found], "race": {"kept": [2], "entrants": entrants}}
    plan["final"] = {"seconds": 60.0, "learns": ["train", "validation"]}
    plan |= {"recipe": MODERN.to_dict(), "preprocessing": dataclasses.asdict(default_preprocessing(1)), "seed": 0}
    return json.loads(json.dumps(plan))


def test_a_plan_is_held_against_the_networks_and_not_only_their_ids(digits: ImageSet) -> None:
    budget = Budget(macs=2_000_000)
    found = candidates(digits, budget, 2)
    plan = plan_of(found, digits)
    assert as_planned(found, plan)
    told = raced_of(plan, budget)
    assert [(row.id, row.network, row.fit.cost) for row in told] == [
        (row.id, row.network, row.fit.cost) for row in found if row.raced
    ]
    plan["race"]["entrants"][0]["config"]["network"]["resolution_px"] = [30, 30]
    assert not as_planned(found, plan)


solve_module = sys.modules[solve.__module__]
"""The package's attribute of this name is the function."""


def test_a_finalist_whose_training_diverges_is_passed_over(
    digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(macs=2_000_000)
    found = candidates(digits, budget, 2)
    context = JobContext("digits", 0, 32, str(tmp_path / "training"))
    run = solve_module._Run(
        tmp_path,
        plan_of(found, digits),
        True,
        found,
        digits,
        open_cache(digits, 8),
        context,
        ProcessGroup(1, 1),
        silent,
    )
    best, second = (run._leg(row.id, "rung-0", "race", {"trunk_until": 1, "cooldown_steps": 1}) for row in found[:2])
    indices = digits.indices("validation")
    right = np.eye(10, dtype=np.float32)[np.asarray(digits.labels)[indices]]
    for job, answers in ((best, right), (second, right[::-1])):
        job.folder.mkdir(parents=True)
        np.savez(job.scores, probabilities=answers, indices=indices)
    np.savez(second.folder / "final.npz", probabilities=right, indices=indices)
    (second.folder / "final.safetensors").touch()
    monkeypatch.setattr(solve_module, "run_together", lambda job, group, progress: job.config.id != best.config.id)
    choice, final = run._final([best, second])
    assert choice.id == final.config.id == second.config.id
    assert not final.learns_validation, "its rung had learned nothing, so the validation images are kept to judge it by"
    assert f"the final training of {best.config.id} diverged" in choice.reason
    monkeypatch.setattr(solve_module, "run_together", lambda job, group, progress: False)
    with pytest.raises(ValueError, match="every finalist diverged") as caught:
        run._final([best, second])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("data_parallel", "to_the_end"), [(1.9, True), (3.0, False)])
def test_where_each_entrant_has_a_core_all_are_trained_to_the_end(
    data_parallel: float, to_the_end: bool, digits: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless all cores at one training do so much more that a race gives its winner far more steps."""
    raced = {row.id: row.network for row in candidates(digits, Budget(macs=2_000_000), 2) if row.raced}
    drafts, group = drafted(raced, digits, MODERN, default_preprocessing(1), 0, "cpu")
    timing = Timing(320.0, 320.0 * data_parallel, 1.0)
    monkeypatch.setattr(plan_module, "workers_for", lambda device: 2)
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    field = Field((), limits_of(1e12), drafts, (timing,) * len(drafts), group, context, 1.0)
    deadline = Deadline(SimulatedClock(), 0.0, 200.0)
    _, plan = planned(field, digits, deadline, "cpu")
    assert (plan["final"] is None) is to_the_end
    for row in plan["race"]["entrants"]:
        last = row["rungs"][-1] if to_the_end else row["final"]
        assert last["trunk_until"] + last["cooldown_steps"] == row["config"]["steps"]
        assert (row["final"] is None) is to_the_end
    monkeypatch.setattr(plan_module, "workers_for", lambda device: 1)
    assert planned(field, digits, deadline, "cpu")[1]["final"] is not None


def test_of_two_trained_to_the_end_the_better_is_the_answer(digits: ImageSet, tmp_path: Path) -> None:
    found = candidates(digits, Budget(macs=2_000_000), 2)
    plan = plan_of(found, digits)
    plan["final"] = None
    for row in plan["race"]["entrants"]:
        row["final"] = None
    context = JobContext("digits", 0, 32, str(tmp_path / "training"))
    run = solve_module._Run(
        tmp_path, plan, True, found, digits, open_cache(digits, 8), context, ProcessGroup(1, 1), silent
    )
    jobs = [run._leg(row.id, "rung-0", "race", {"trunk_until": 1, "cooldown_steps": 1}) for row in found[:2]]
    indices = digits.indices("validation")
    right = np.eye(10, dtype=np.float32)[np.asarray(digits.labels)[indices]]
    unsure = 0.5 * right + 0.05
    for job, answers in zip(jobs, (unsure, right), strict=True):
        job.folder.mkdir(parents=True)
        job.weights.touch()
        np.savez(job.scores, probabilities=answers, indices=indices)
    choice, final = run._final(jobs)
    assert final is jobs[1] and choice.id == found[1].id
    np.savez(jobs[1].scores, probabilities=np.where(right > 0, right, np.nan), indices=indices)
    assert run._final(jobs)[1] is jobs[0], "answers that are no numbers are passed over"
    np.savez(jobs[0].scores, probabilities=right[::-1], indices=indices)
    with pytest.raises(ValueError, match="learned nothing"):
        run._final(jobs)


def test_bad_arguments_are_one_line(tmp_path: Path) -> None:
    budget = Budget(macs=2_000_000)
    for options, words in [
        ({"time_seconds": 3}, "at least 20"),
        ({"time_seconds": float("inf")}, "at least 20"),
        ({"recipe": "magic"}, "paper, modern"),
        ({"device": "abacus"}, "cpu, cuda, mps"),
        ({"bases": ["efficientnet_b99"]}, "efficientnet_b0"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            solve("digits", budget, out=tmp_path / "run", **options)
        assert "\n" not in str(caught.value)


COMMAND = [sys.executable, "-m", "budgetnet", "solve", "digits", "--macs", "1M", "--time", "40s", "--out"]


@pytest.fixture(params=[1, 2], ids=["a core: race and final training", "two cores: trained to the end"])
def cores(request: pytest.FixtureRequest) -> Iterator[int]:
    """This process and what it starts keep to so many cores."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < request.param:
        pytest.skip(f"cannot keep to {request.param} cores here")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[: request.param]))
    yield request.param
    os.sched_setaffinity(0, before)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_it_ends_with_the_same_winner_and_weights(tmp_path: Path, monkeypatch, cores: int) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    training = run / "training"
    kill_when([*COMMAND, str(run)], lambda: (run / "plan.json").exists())
    kill_when([*COMMAND, str(run)], lambda: any(training.glob("*/trunk.pt")))
    kill_when([*COMMAND, str(run)], lambda: any(training.glob("*/rung-0.npz")))
    first = {path: path.stat().st_mtime_ns for path in training.glob("*/rung-0.npz")}
    to_the_end = json.loads((run / "plan.json").read_text())["final"] is None
    assert to_the_end is (cores == 2)
    if not to_the_end:
        kill_when([*COMMAND, str(run)], lambda: '"final"' in (run / "events.jsonl").read_text())
    assert start([*COMMAND, str(run)]).wait() == 0
    assert first == {path: path.stat().st_mtime_ns for path in first}, "a finished rung is not run again"
    undisturbed.mkdir()
    shutil.copy(run / "plan.json", undisturbed)
    assert start([*COMMAND, str(undisturbed)]).wait() == 0
    ours, theirs = (json.loads((one / "metrics.json").read_text()) for one in (run, undisturbed))
    assert ours["choice"] == theirs["choice"] and ours["test"] == theirs["test"] and ours["race"] == theirs["race"]
    expected = load_tensors(undisturbed / "weights.safetensors")[0]
    found = load_tensors(run / "weights.safetensors")[0]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    outcome = finished(run)
    assert outcome is not None and outcome.test.top1 > 0.5
    assert "<html" in (run / "report.html").read_text()
    again = subprocess.run([*COMMAND, str(run), "--json"], capture_output=True, check=True)
    assert json.loads(again.stdout)["test"]["top1"] == outcome.test.top1


def test_of_limits_in_different_units_the_one_missed_by_the_least_factor_is_named(digits: ImageSet) -> None:
    # One base uses 11,264 bytes of 1000, another 328,544 MACs of 50,000: the factor is what compares.
    bases = ["mobilenet_v1", "mobilenet_v3_small"]
    with pytest.raises(BudgetError) as caught:
        candidates(digits, Budget(macs=50_000, peak_activation_bytes=1000), 2, bases, ["compound"])
    assert caught.value.limit == "macs" and caught.value.excess == 278_544


@pytest.mark.parametrize("command", [train, solve])
def test_under_a_launcher_of_many_processes_the_user_is_told(
    command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    what = network("mobilenet_v1") if command is train else Budget(macs=2_000_000)
    with pytest.raises(ValueError, match="without torchrun") as caught:
        command("digits", what, time_seconds=60.0, out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
