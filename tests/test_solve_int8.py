"""A solve whose budget is in int8: networks are chosen in eight bits, and the winner leaves as the file of a device."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.executor import InlineExecutor, StoppedError
from support.formats import hold
from support.simulated import SimulatedClock
from support.spaces import BASE

import budgetnet
from budgetnet import Budget, solve
from budgetnet.data import default_preprocessing, network_pixels, open_cache, open_images
from budgetnet.data.draw import evenly
from budgetnet.experiments.solve import Solution
from budgetnet.experiments.solve.shipping import FILE, eight_bits_for
from budgetnet.experiments.timing import TimeBudget
from budgetnet.model.probabilities import class_probabilities_of_file
from budgetnet.runs.files import reading_rows
from budgetnet.ship.rounded_job import in_eight_bits, run_rounded_job
from budgetnet.ship.subject import CALIBRATION_IMAGES
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.interpreters import logits_by_litert
from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.training.image_scores import scores_in
from budgetnet.training.job import JobContext, Timing, TrainingJob
from budgetnet.training.outcome import trained_model
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingSpec

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

CHIP = Budget(macs=350_000, weight_bytes=40_960, peak_activation_bytes=49_152, dtype="int8", runtime="tflite_micro")
SPEED = 2e8


def text_of(run: Path) -> str:
    """What people read of a run's page."""
    return " ".join(re.sub(r"<[^>]*>", " ", html.unescape((run / "report.html").read_text())).split())


def solved(run: Path, budget: Budget = CHIP, **executor: object) -> Solution:
    place = InlineExecutor(SPEED, **executor)  # type: ignore[arg-type]
    how = {"bases": [BASE], "strategies": ["resolution"], "augment": "none", "clock": SimulatedClock(SPEED)}
    return solve("digits", budget, 600.0, run, cluster=place, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def solution(tmp_path_factory: pytest.TempPathFactory) -> Solution:
    return solved(tmp_path_factory.mktemp("int8") / "run")


def test_the_file_lies_in_the_run_and_answers_as_its_figures_say(solution: Solution) -> None:
    shipped = solution.shipped
    assert shipped is not None and shipped.faults == () and shipped.file.file == FILE
    file = shipped.file
    path = solution.run / FILE
    assert path.stat().st_size == file.bytes
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for name in ("certificate.json", "metrics.json"):
        assert json.loads((solution.run / name).read_text())["shipped"]["file"]["sha256"] == file.sha256
    assert file.top1 == budgetnet.evaluate(path).top1 > 0.5, "by the file's own runtime"
    assert file.float_top1 == budgetnet.evaluate(solution.run).top1 == solution.test.top1
    assert file.top1_low < file.top1 < file.top1_high
    used = {row.name: row.used for row in file.keeps}
    assert used == {
        "macs": solution.fit.cost.macs,
        "weight_bytes": file.flash_bytes,
        "peak_activation_bytes": file.arena_bytes,
    }
    assert all(row.left >= 0 for row in file.keeps)


def test_an_export_of_the_run_is_the_file_that_it_shipped(solution: Solution) -> None:
    assert solution.shipped is not None
    (again,) = budgetnet.export(solution.run).files
    assert again.sha256 == solution.shipped.file.sha256


def test_certificate_metrics_and_report_have_the_files_accuracy_and_the_models_beside_it(solution: Solution) -> None:
    assert solution.shipped is not None
    file = solution.shipped.file
    for name, schema in (("certificate.json", "certificate.json"), ("metrics.json", "metrics.json, solve")):
        whole = json.loads((solution.run / name).read_text())
        hold(whole, schema)
        row = whole["shipped"]["file"]
        assert [row[key] for key in ("top1", "top1_low", "top1_high", "float_top1")] == [
            file.top1, file.top1_low, file.top1_high, file.float_top1,
        ]  # fmt: skip
    page = text_of(solution.run)
    both = f"{100 * file.top1:.1f}", f"{100 * file.float_top1:.1f}"
    assert "The file" in page and f"{file.flash_bytes:,} bytes" in page
    assert "labelled right by the file in eight bits" in page and f"in float32, has {both[1]}" in page
    assert all(share in repr(solution) for share in both)


def test_rungs_are_scored_in_eight_bits(solution: Solution) -> None:
    plan = solution.result.record.plan
    hold(json.loads((solution.run / "plan.json").read_text()), "plan.json, solve")
    for row in solution.result.race:
        folder = solution.run / "training" / row.id
        with reading_rows(folder / f"rung-{row.rung}-int8.npz") as rows:
            rounded = scores_in(rows, labels := labels_of(rows["indices"]))
        with reading_rows(folder / f"rung-{row.rung}.npz") as rows:
            in_float = scores_in(rows, labels)
        assert row.log_loss == pytest.approx(float(rounded.losses.mean())) and row.accuracy == rounded.right.mean()
        assert not np.array_equal(rounded.losses, in_float.losses)
        assert abs(rounded.losses.mean() - in_float.losses.mean()) < 0.1, "and they are close"
    assert plan.eight_bits is not None and "in eight bits" in solution.choice


def labels_of(indices: np.ndarray) -> np.ndarray:
    return np.asarray(open_images("digits", 0).labels)[indices]


def test_a_score_in_eight_bits_is_that_of_the_file(tmp_path: Path) -> None:
    """The rounding in torch, by which networks are chosen, against the file in LiteRT."""
    digits = open_images("digits", 0)
    spec = TrainingSpec("n", BASE, MODERN, default_preprocessing(1), 0, 32)
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    job = TrainingJob(spec.for_steps(120), context, "rung-0", "race/n", 100, 20)
    assert run_rounded_job(job)
    with reading_rows(job.rounded_scores) as rows:
        chosen_by, indices = rows["probabilities"], rows["indices"]
    with reading_rows(job.scores) as rows:
        in_float = rows["probabilities"]
    training = digits.indices("train")
    some = evenly(training[np.argsort(np.asarray(digits.labels)[training], kind="stable")], CALIBRATION_IMAGES)
    cached, preprocessing = open_cache(digits, 8), spec.preprocessing

    def sized(wanted: np.ndarray) -> np.ndarray:
        return network_pixels([cached[index] for index in wanted.tolist()], BASE.resolution_px, preprocessing)

    calibration = torch.from_numpy(sized(some)).permute(0, 3, 1, 2).float()
    eight_bits = TfliteEightBits(BASE, ModelWeights(trained_model(job), preprocessing))
    file = eight_bits.file(*in_eight_bits(eight_bits, calibration))
    logits = logits_by_litert(file, sized(indices), reference=True)
    found = class_probabilities_of_file(logits, 1.0)
    distances = np.abs(found - chosen_by)
    assert distances.max() < 0.05 and distances.mean() < 0.005
    assert (found.argmax(1) == chosen_by.argmax(1)).mean() > 0.97
    assert not np.array_equal(chosen_by, in_float)


@pytest.mark.slow
def test_stopped_behind_the_race_it_ends_with_the_same_file(solution: Solution, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        solved(run, stop_after=1)
    (rung,) = (run / "training").glob("*/rung-0.npz")
    rung.with_name("rung-0-int8.npz").unlink()  # as if it had been killed between the two scores
    again = solved(run)
    assert (run / FILE).read_bytes() == (solution.run / FILE).read_bytes()
    assert again.shipped is not None and solution.shipped is not None
    clock = {"latency_ms": None}
    assert dataclasses.replace(again.shipped.file, **clock) == dataclasses.replace(solution.shipped.file, **clock)


@pytest.mark.slow
def test_a_file_that_breaks_a_limit_is_not_left_and_the_solve_says_so(tmp_path: Path) -> None:
    """A budget that counts the weights alone: the file has its ops and scales beside them."""
    with pytest.warns(UserWarning, match="no .tflite file of the networks that will race keeps weight_bytes"):
        found = solved(tmp_path / "run", Budget(macs=350_000, weight_bytes=6_000, dtype="int8"))
    assert found.shipped is not None and "of weight_bytes" in found.shipped.faults[0]
    assert not (found.run / FILE).exists() and found.shipped.file.top1 > 0.3
    assert "No file was left in the run's folder" in text_of(found.run)


WITHOUT_PACKAGES = """
import sys
sys.modules["ai_edge_litert"] = sys.modules["flatbuffers"] = None
import budgetnet
print(len(budgetnet.preview("digits", budgetnet.Budget(macs="2M"), 100.0, bases=["mobilenet_v1"]).entrants) > 0)
try:
    budgetnet.solve("digits", budgetnet.Budget(macs="2M", dtype="int8"), 100.0, out="run")
except ValueError as error:
    print(error)
"""


def test_without_the_packages_of_the_file_only_an_int8_budget_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    raced, refused = done.stdout.strip().split("\n")
    assert raced == "True"
    assert refused.startswith(
        "a budget in int8 is kept by a file in eight bits, which is tested: TensorFlow Lite files"
    )
    assert "pip install 'budgetnet[tflite]'" in refused and not (tmp_path / "run" / "plan.json").exists()


def test_more_time_gives_more_steps_in_eight_bits_up_to_enough() -> None:
    images = open_images("digits", 0)
    timing = Timing(1000.0, 1800.0, 1.0)

    def planned(seconds: float) -> tuple[int, float]:
        found = eight_bits_for(images, [timing], TimeBudget(SimulatedClock(), 0.0, seconds))
        return found.tuning_steps, found.seconds

    rows = [planned(seconds) for seconds in (20.0, 60.0, 100.0, 1000.0)]
    assert [steps for steps, _ in rows] == [12, 37, 62, 100]
    assert all(seconds < after for (_, seconds), (_, after) in itertools.pairwise(rows))
