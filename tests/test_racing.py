"""Replayed races: what they cost by hand, and that they find the best where scores tell it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from support.baseline_search import GREY, PREPROCESSING
from support.networks import GROWABLE as BASE
from support.spaces import BUDGET, SMALL

from bench.racing import MARKS, training_of
from bench.racing import main as race
from bench.replay import Form, Rung, Table, forms_for, replayed
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.training.job import JobContext
from budgetnet.training.trainer import TrainingSpec

SEEDS = 3


def table(losses: np.ndarray) -> Table:
    """Trunks of 1, 2, 4, 8 and 16 multiply-adds, and cool-downs of a tenth of those."""
    trunk = np.tile([1.0, 2.0, 4.0, 8.0, 16.0], (len(losses), 1))
    return Table(losses, trunk, trunk / 10)


def truthful(candidates: int) -> Table:
    quality = np.random.default_rng(1).permutation(candidates).astype(float)
    return table(np.broadcast_to(quality[:, None, None], (candidates, SEEDS, 5)).copy())


def test_all_in_full_costs_every_training_and_no_score_on_the_way() -> None:
    form = Form("all", (Rung(12, 4, SEEDS),))
    _, macs = replayed(form, truthful(12), np.random.default_rng(0))
    assert macs == pytest.approx(12 * SEEDS * (16 + 1.6))


def test_a_trunk_is_paid_once_and_every_cooldown() -> None:
    form = Form("halving", (Rung(4, 0), Rung(2, 2), Rung(1, 4, SEEDS)))
    _, macs = replayed(form, truthful(4), np.random.default_rng(0))
    first = 4 * (1 + 0.1)
    second = 2 * (4 - 1 + 0.4)
    third = (16 - 4 + 1.6) + 2 * (16 + 1.6)
    assert macs == pytest.approx(first + second + third)


def test_truthful_scores_find_the_best_and_races_cost_less() -> None:
    scores = truthful(12)
    best = int(scores.losses[:, 0, 0].argmin())
    found = [replayed(form, scores, np.random.default_rng(0)) for form in forms_for(12, SEEDS)]
    assert {winner for winner, _ in found} == {best}
    assert all(macs < found[0][1] for _, macs in found[1:])


def test_scores_of_chance_find_no_more_than_chance() -> None:
    generator = np.random.default_rng(0)
    form = forms_for(12, SEEDS)[4]
    winners = [replayed(form, table(generator.normal(size=(12, SEEDS, 5))), generator)[0] for _ in range(1200)]
    counts = np.bincount(winners, minlength=12)
    assert counts.min() > 60 and counts.max() < 145  # 100 expected, deviation 9.6


def test_a_training_leaves_its_trunk_in_order(tmp_path: Path) -> None:
    space = FeasibleSpace.of(SMALL, BUDGET)
    network = space.network(space.sample(0))
    draft = TrainingSpec("draft", network, GREY, PREPROCESSING, 0, 8).for_steps(160)
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    one = training_of(draft, network, "n01", 2, context, MARKS, None)
    ends = [job.trunk_until + job.cooldown_steps for job in one.jobs]
    assert ends == [10, 20, 40, 80, 160]
    assert [job.trunk_until for job in one.jobs] == sorted(job.trunk_until for job in one.jobs)
    assert one.jobs[0].config.seed == 2 and one.tested and not one.done


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_bench_of_races(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every candidate in full and from inherited weights, the races replayed; what is done is not done again."""
    base, out = tmp_path / "base.json", tmp_path / "out"
    base.write_text(BASE.to_json(), encoding="utf-8")
    asked = ["digits", "--base", str(base), "--out", str(out), "--candidates", "3", "--seeds", "2", "--steps", "48"]
    monkeypatch.setattr(sys, "argv", ["racing", *asked])
    race()
    found = json.loads((out / "racing.json").read_text())
    assert len(found["networks"]) == 3 and {row["id"] for row in found["networks"]} == {"n01", "n02", "n03"}
    assert sum(row["lost"] == 0 for row in found["networks"]) >= 1, "the best is the best"
    full = found["forms"][0]
    assert full["times_less"] == 1 and full["same"] == 1 and full["lost"] == 0
    assert all(0 < row["macs"] <= full["macs"] for row in found["forms"])
    assert f"{full['macs'] / 1e12:.2f}" in capsys.readouterr().out
    trained = {path: path.stat().st_mtime_ns for path in out.glob("training/*/*.npz")}
    assert len(trained) > 3 * 2 * 2
    race()
    assert {path: path.stat().st_mtime_ns for path in out.glob("training/*/*.npz")} == trained
