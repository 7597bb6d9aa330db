"""The instrument that says how soon an accuracy is there: what it counts of a run, and what it reads from its cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.time_to_accuracy.cells import Cell, Cells, Done, Found, Task
from bench.time_to_accuracy.report import grouped, lines, reaches
from bench.time_to_accuracy.spent import legs, winner_images
from budgetnet import network, train

TASK = Task("photos", "lite0", 25_000_000)


def found(right: int, seconds: float) -> Found:
    """A training that answered so many of 100 images rightly."""
    return Found("lite0", 24_000_000, 1e12, 5.0, seconds, right, 100)


def test_a_task_is_read_from_its_words():
    task = Task.of("../data/photos:lite0:25M")
    assert (task.data, task.weights, task.macs, task.name) == (
        "../data/photos",
        "lite0",
        25_000_000,
        "photos-lite0-25M",
    )
    with pytest.raises(ValueError, match="give DATA:WEIGHTS:MACS"):
        Task.of("photos")


def test_cells_come_back_from_their_file_and_others_are_refused(tmp_path: Path):
    cells = Cells("validation", "train", "compound").with_one(
        Done(Cell(TASK, "ours", 60.0, 0), found(90, 58), None, 99), tmp_path
    )
    assert Cells("validation", "train", "compound").read(tmp_path) == cells
    with pytest.raises(ValueError, match="--judge validation"):
        Cells("test", "train", "compound").read(tmp_path)


def test_the_report_pairs_arms_by_seeds():
    rights = {("ours", 0): 92, ("ours", 1): 94, ("rival", 0): 90, ("rival", 1): 91, ("rival", 2): 50}
    done = tuple(Done(Cell(TASK, arm, 60.0, seed), found(right, 58), None, 99) for (arm, seed), right in rights.items())
    text = "\n".join(lines(Cells("validation", "train", "compound", done)))
    assert "ours - rival +2.5 (" in text
    assert len(grouped(Cells("validation", "train", "compound", done))[TASK, "rival", 60.0]) == 3


def test_between_two_times_an_accuracy_is_reached_by_the_logarithm_of_time():
    points = [(60.0, 0.8), (240.0, 0.9)]
    assert reaches(points, 0.85) == pytest.approx(120.0)
    assert reaches(points, 0.7) == 60.0
    assert reaches(points, 0.95) is None


@pytest.mark.slow
def test_the_steps_of_a_training_are_those_that_its_run_took(tmp_path: Path):
    run = train("digits", network("mobilenet_v3_small", 10, 16), tmp_path / "run", epochs=1).run
    plan, metrics = (json.loads((run / name).read_text()) for name in ("plan.json", "metrics.json"))
    (leg,) = legs(plan, metrics)
    assert (
        leg.images == winner_images(plan, metrics) == plan["plan"]["config"]["steps"] * plan["plan"]["config"]["batch"]
    )


def test_the_steps_of_a_race_begin_where_the_trunk_was_left_as_amended():
    config = {"id": "a", "batch": 10, "steps": 30}
    rungs = [{"trunk_until": 8, "cooldown_steps": 2}, {"trunk_until": 16, "cooldown_steps": 4}]
    entrant = {"id": "a", "config": config, "rungs": rungs, "final": {"trunk_until": 20, "cooldown_steps": 10}}
    amended = {"job": "a", "part": "rung-0", "step": 3, "trunk_until": 6, "cooldown_steps": 2}
    plan = {"plan": {"entrants": [entrant]}, "amendments": [amended]}
    metrics = {"race": [{"id": "a", "rung": 0, "steps": 8}, {"id": "a", "rung": 1, "steps": 20}], "choice": {"id": "a"}}
    assert [(leg.first, leg.last) for leg in legs(plan, metrics)] == [(0, 8), (6, 20), (16, 30)]
    assert winner_images(plan, metrics) == 300
