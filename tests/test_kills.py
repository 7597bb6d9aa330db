"""A solve that is killed at random moments, with checkpoints behind it, ends with the bits of one that was left alone.

Both follow one plan: its counts of steps come from a simulated clock. Where a plan was amended on the way, because the
machine was too slow for it, the amendments are a part of it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random

import pytest
import torch
from support.killed import kill_at_random, kill_when, start
from support.solves import command, planned, solved, solved_quickly, written_parent

from budgetnet.model.files import load_tensors
from budgetnet.runs.record import amendments_of


@pytest.fixture(autouse=True)
def _checkpoints_at_every_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def of_the_same_plan(run: Path, other: Path) -> Path:
    """A folder with the run's plan and the weights that it begins from, and nothing that came of them."""
    other.mkdir()
    shutil.copy(run / "plan.json", other)
    if (run / "initial").exists():
        shutil.copytree(run / "initial", other / "initial")
    return other


def check_same(run: Path, undisturbed: Path) -> None:
    """The same weights to the last bit, and the same scores."""
    assert (run / "plan.json").read_bytes() == (undisturbed / "plan.json").read_bytes()
    found, expected = (load_tensors(folder / "weights.safetensors")[0] for folder in (run, undisturbed))
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    metrics, others = (json.loads((folder / "metrics.json").read_text()) for folder in (run, undisturbed))
    assert metrics == others


def race_is_over(run: Path) -> bool:
    kept = planned(run)["kept"]
    return len(list(run.glob(f"training/*/rung-{len(kept) - 1}.npz"))) == kept[-1]


def test_killed_in_its_final_training_it_ends_with_the_same_bits(
    few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    started = command(f"solved_quickly({str(run)!r}, {str(few_digits)!r})")
    print(kill_at_random(started, run, Random(1), 40, lambda: race_is_over(run)))
    monkeypatch.delenv("BUDGETNET_CHECKPOINT_SECONDS")  # what is not killed needs none, and they take half of its time
    undisturbed = of_the_same_plan(run, tmp_path / "undisturbed")
    solved_quickly(run, few_digits)
    solved_quickly(undisturbed, few_digits)
    check_same(run, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("pretrained", [False, True], ids=["from nothing", "pretrained"])
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bits(pretrained: bool, tmp_path: Path) -> None:
    run, random = tmp_path / "run", Random(20 + pretrained)
    source = written_parent(tmp_path) if pretrained else "none"
    started = command(f"solved({str(run)!r}, {source!r})")
    moments = [kill_at_random(started, run, random, 3)]
    undisturbed = of_the_same_plan(run, tmp_path / "undisturbed")
    if pretrained:
        shutil.copytree(run, tmp_path / "damaged", ignore=shutil.ignore_patterns("initial"))
        with pytest.raises(ValueError, match=r"initial/.*\.safetensors is missing.* --fresh"):
            solved(tmp_path / "damaged", source)
    race = sum(
        steps["trunk_until"] + steps["cooldown_steps"] for row in planned(run)["entrants"] for steps in row["rungs"]
    )
    moments += [kill_at_random(started, run, random, max(1, race // 12)) for _ in range(9)]
    kill_when(started, lambda: race_is_over(run))
    final = min(row["final"]["trunk_until"] for row in planned(run)["entrants"])
    moments += [kill_at_random(started, run, random, max(1, final // 8)) for _ in range(10)]
    print("\n".join(moments))
    assert start(started).wait() == 0
    assert start(command(f"solved({str(undisturbed)!r}, {source!r})")).wait() == 0
    check_same(run, undisturbed)
    assert json.loads((run / "metrics.json").read_text())["test"]["top1"] > 0.5


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_behind_amendments_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Each training is far too long for its time, so the plan is amended; an undisturbed run follows what it says."""
    run, random = tmp_path / "run", Random(3)
    hurried = command(f"solved({str(run)!r}, clock=HurriedClock(3e8))")
    kill_when(hurried, lambda: (run / "plan.json").exists() and len(amendments_of(run)) > 0)
    print("\n".join(kill_at_random(hurried, run, random, 20) for _ in range(4)))
    assert start(hurried).wait() == 0
    amendments = amendments_of(run)
    assert {row.part for row in amendments} >= {"final"}, "the final training too was late"
    undisturbed = of_the_same_plan(run, tmp_path / "undisturbed")
    assert start(command(f"solved({str(undisturbed)!r}, clock=SimulatedClock(3e8))")).wait() == 0
    assert amendments_of(undisturbed) == amendments
    check_same(run, undisturbed)
