"""Training steps and jobs: the same bits after any interruption, and runs that are found again."""

from __future__ import annotations

import dataclasses
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from budgetnet.budgets.budget import Budget
from budgetnet.data import default_preprocessing, open_cache, open_images
from budgetnet.experiments.train import train
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.model.files import load_tensors
from budgetnet.model.weights import load_model, save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Scaling, adapt, resize
from budgetnet.networks.zoo import network
from budgetnet.parallel.progress import silent
from budgetnet.parallel.workers import ProcessGroup, Workers, _quota_cores, cores, process_group_for
from budgetnet.runs.files import read_events
from budgetnet.runs.folder import clear_run, run_folder, run_lock
from budgetnet.runs.record import read_record
from budgetnet.training.final import train_data_parallel
from budgetnet.training.job import JobContext, TrainingJob, run_job, whole_job
from budgetnet.training.memory import shared_batch
from budgetnet.training.predictions import predictions_of, read_test_predictions, read_validation_predictions
from budgetnet.training.recipe import FINETUNE, MODERN
from budgetnet.training.trainer import StepReport, Trainer, TrainingConfig, seed_of


@pytest.fixture(scope="module")
def tiny() -> Network:
    base = dataclasses.replace(network("mobilenet_v2", 10, 16), in_channels=1)
    return resize(base, Scaling(width=0.25, depth=0.3))


@pytest.fixture(scope="module")
def config(tiny: Network) -> TrainingConfig:
    recipe = dataclasses.replace(MODERN, ema_share=0.2, dropout=0.2, drop_path=0.1)
    return TrainingConfig("tiny", tiny, recipe, default_preprocessing(1), seed=3, batch=16, steps=10, warmup_steps=2)


def trainer(config: TrainingConfig) -> Trainer:
    images = open_images("digits", 0)
    return Trainer(config, images, open_cache(images, 8), Accelerator(cpu=True))


def nothing(report: StepReport) -> None:
    """Nobody listens."""


def state(one: Trainer) -> dict[str, torch.Tensor]:
    tensors = {f"model.{name}": value for name, value in one.model.state_dict().items()}
    return tensors | {f"mean.{name}": value for name, value in one.mean.state_dict().items()}


def test_a_training_goes_on_from_a_checkpoint_with_the_same_bits(config: TrainingConfig, tmp_path: Path) -> None:
    whole, first, second = trainer(config), trainer(config), trainer(config)
    rate = config.schedule.trunk
    whole.advance(6, rate, nothing)
    first.advance(3, rate, nothing)
    first.save(tmp_path / "trunk.pt")
    second.load(tmp_path / "trunk.pt")
    assert second.step == 3
    torch.manual_seed(12345)  # the global random state must not matter
    second.advance(6, rate, nothing)
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, state(second)[name]), name
    assert not list(tmp_path.glob("*.part"))


def test_another_seed_trains_other_weights(config: TrainingConfig) -> None:
    one, other = trainer(config), trainer(dataclasses.replace(config, seed=4))
    for each in (one, other):
        each.advance(1, config.schedule.trunk, nothing)
    assert not torch.equal(one.model.classifier.weight, other.model.classifier.weight)


def test_learning_lowers_the_loss(config: TrainingConfig) -> None:
    row = dataclasses.replace(adapt(network("mobilenet_v3_small", 10), 32, 2), in_channels=1)
    row = resize(row, Scaling(width=0.35, depth=0.3))
    losses: list[float] = []
    one = trainer(dataclasses.replace(config, network=row, steps=40, batch=32))
    one.advance(40, one.config.schedule.trunk, lambda report: losses.append(report.loss))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def context(folder: Path) -> JobContext:
    return JobContext("digits", 0, 8, str(folder / "training"))


@dataclasses.dataclass
class CutShort:
    """Interrupts a training after so many steps."""

    after: int

    def on_start(self, trainer: Trainer) -> None:
        pass

    def on_step(self, trainer: Trainer, step: StepReport) -> None:
        if step.step > self.after:
            raise KeyboardInterrupt

    def on_checkpoint(self) -> None:
        pass


@pytest.mark.parametrize("cut", [2, 5, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (1, 3, 4, 6))])
def test_a_job_cut_anywhere_ends_with_the_same_weights(
    config: TrainingConfig, cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint after every step, and an interruption in the trunk or in the cool-down."""
    whole = TrainingJob(config, context(tmp_path / "whole"), "rung-0", "race/tiny", trunk_until=4, cooldown_steps=3)
    (tmp_path / "whole").mkdir()
    assert run_job(whole)
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "0")
    (tmp_path / "cut").mkdir()
    job = dataclasses.replace(whole, context=context(tmp_path / "cut"))
    with pytest.raises(KeyboardInterrupt):
        run_job(job, CutShort(cut))
    assert not job.scores.exists()
    assert run_job(job)
    expected, found = load_tensors(whole.weights)[0], load_tensors(job.weights)[0]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert np.array_equal(np.load(whole.scores)["probabilities"], np.load(job.scores)["probabilities"])


def test_the_next_job_goes_on_from_before_the_cooldown(config: TrainingConfig, tmp_path: Path) -> None:
    first = TrainingJob(config, context(tmp_path), "rung-0", "race/tiny", trunk_until=3, cooldown_steps=2)
    second = dataclasses.replace(first, name="final", phase="final", trunk_until=6, cooldown_steps=2)
    assert run_job(first) and run_job(second)
    straight = dataclasses.replace(second, context=context(tmp_path / "straight"))
    (tmp_path / "straight").mkdir()
    assert run_job(straight)
    expected, found = load_tensors(straight.weights)[0], load_tensors(second.weights)[0]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    scores = [event for event in read_events(tmp_path / "events.jsonl") if event["kind"] == "score"]
    assert [(event["phase"], event["step"]) for event in scores] == [("race/tiny", 5), ("final", 8)]


def test_a_job_may_learn_from_the_validation_images(config: TrainingConfig, tmp_path: Path) -> None:
    rung = TrainingJob(config, context(tmp_path), "rung-0", "race/tiny", trunk_until=2, cooldown_steps=1)
    final = dataclasses.replace(rung, name="final", phase="final", trunk_until=12, learns_validation=True)
    assert run_job(rung) and run_job(final)
    scores = [event for event in read_events(tmp_path / "events.jsonl") if event["kind"] == "score"]
    assert [event["phase"] for event in scores] == ["race/tiny"], "a score on learned images is none"
    images = open_images("digits", 0)
    learned = images.with_validation()
    assert set(learned.indices("train")) == {*images.indices("train"), *images.indices("validation")}
    assert not len(learned.indices("validation"))
    assert np.array_equal(learned.indices("test"), images.indices("test"))
    single_process = dataclasses.replace(final, context=context(tmp_path / "apart"), learns_validation=False)
    (tmp_path / "apart").mkdir()
    assert run_job(single_process)
    ours, theirs = (load_tensors(job.weights)[0] for job in (final, single_process))
    assert any(not torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_a_final_training_that_diverged_is_not_finished(config: TrainingConfig, tmp_path: Path) -> None:
    wild = dataclasses.replace(config, recipe=dataclasses.replace(config.recipe, learning_rate=1e30))
    final = TrainingJob(wild, context(tmp_path), "final", "final", trunk_until=4, cooldown_steps=1)
    rung = dataclasses.replace(final, name="rung-0", phase="race/tiny")
    assert run_job(rung) and rung.scores.exists()
    assert np.isnan(np.load(rung.scores)["probabilities"]).all()
    assert run_job(final) and final.diverged.exists() and not final.scores.exists()
    assert train_data_parallel(final, ProcessGroup(1, 1), silent) is False, "nor is it trained again"


def damaged_rows() -> dict[str, bytes | None]:
    """What a full disk, a crash or a hand leaves of an .npz file; None for no file at all."""
    whole, array, pickled = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(whole, probabilities=np.full((5, 10), 0.1), labels=np.arange(5), indices=np.arange(5))
    np.save(array, np.arange(3))
    np.savez(pickled, indices=np.array([None, "a"], dtype=object))
    content = whole.getvalue()
    half, flipped = len(content) // 4, bytes([content[200] ^ 1])
    return {
        "missing": None,
        "empty": b"",
        "cut": content[:half],
        "text": b"hello, hello",
        "a changed byte": content[:200] + flipped + content[201:],
        "another kind of file": array.getvalue(),
        "pickled": pickled.getvalue(),
    }


@pytest.mark.parametrize("damage", damaged_rows())
def test_damaged_answers_of_an_unfinished_run_are_one_line(config: TrainingConfig, damage: str, tmp_path: Path) -> None:
    job, content = whole_job(config, context(tmp_path), "final", 2), damaged_rows()[damage]
    images = open_images("digits", 0)
    readers: dict[Path, Callable[[], object]] = {
        job.scores: lambda: read_validation_predictions(job, images),
        job.predictions: lambda: predictions_of(job, images),
    }
    for path, read in readers.items():
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match="begin again with --fresh") as caught:
            read()
        line = str(caught.value)
        assert str(path) in line and "\n" not in line and "pickle" not in line, line


def test_answers_without_an_array_or_of_other_images_are_one_line(config: TrainingConfig, tmp_path: Path) -> None:
    job = whole_job(config, context(tmp_path), "final", 2)
    job.predictions.parent.mkdir()
    job.scores.parent.mkdir(parents=True)
    np.savez(job.predictions, probabilities=np.full((5, 10), 0.1), indices=np.arange(5))
    with pytest.raises(ValueError, match=r"tiny\.npz is damaged: .*labels.*--fresh"):
        read_test_predictions(job)
    np.savez(job.scores, probabilities=np.full((1, 10), 0.1), indices=np.array([10**6]))
    with pytest.raises(ValueError, match=r"final\.npz is damaged: .*out of bounds.*--fresh"):
        read_validation_predictions(job, open_images("digits", 0))


@pytest.mark.parametrize(
    ("machine", "recipe_batch", "expected"),
    [
        (2, 64, (64, ProcessGroup(2, 1))),
        (64, 64, (64, ProcessGroup(8, 8))),
        (6, 64, (60, ProcessGroup(6, 1))),
        (4, 12, (12, ProcessGroup(1, 4))),
    ],
)
def test_a_process_group_leaves_each_enough_images(
    machine: int, recipe_batch: int, expected: tuple[int, ProcessGroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    group = process_group_for("cpu", recipe_batch, machine)
    assert (group.equal_batch(recipe_batch), group) == expected
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    assert process_group_for("cpu", recipe_batch, machine).threads == min(2, expected[1].threads)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(ValueError, match="OMP_NUM_THREADS is 'many'; give a whole number"):
        process_group_for("cpu", recipe_batch, machine)


def test_a_training_has_the_process_group_of_this_machine() -> None:
    batch, group = shared_batch(dataclasses.replace(MODERN, batch=61), open_images("digits", 0), "cpu")
    assert group == process_group_for("cpu", 61) and batch == group.equal_batch(61)


def test_a_containers_quota_counts(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("1:cpu:/old\n0::/pod/box\n")
    inner = tmp_path / "fs" / "pod" / "box"
    inner.mkdir(parents=True)
    assert _quota_cores(tmp_path / "cgroup", tmp_path / "fs") == float("inf")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert _quota_cores(tmp_path / "cgroup", tmp_path / "fs") == 1.5
    assert _quota_cores(tmp_path / "nowhere", tmp_path / "fs") == float("inf")
    assert cores() >= 1


@pytest.mark.slow
def test_three_that_train_together_go_on_with_the_same_bits(config: TrainingConfig, tmp_path: Path) -> None:
    """Whatever is summed over processes must be summed in one order, in the first step and in later ones."""
    shared = dataclasses.replace(config, batch=24, steps=12)
    whole = TrainingJob(shared, context(tmp_path / "whole"), "final", "final", trunk_until=8, cooldown_steps=2)
    first = TrainingJob(shared, context(tmp_path / "cut"), "rung-0", "race/tiny", trunk_until=3, cooldown_steps=2)
    second = dataclasses.replace(whole, context=first.context)
    for folder in ("whole", "cut"):
        (tmp_path / folder).mkdir()
    with Workers(run_job, 3, data_parallel=True) as workers:
        workers.run([whole, first, second])
    expected, found = load_tensors(whole.weights)[0], load_tensors(second.weights)[0]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.slow
@pytest.mark.skipif(cores() < 2, reason="one process is not a team")
def test_ctrl_c_saves_what_all_have_done_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "32", "--epochs", "100"]
    command = [sys.executable, "-m", "budgetnet", *words, "--out", str(run)]

    def listen() -> None:  # a shell's background jobs ignore Ctrl-C, and so would what they start
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=listen)
    try:
        deadline = time.monotonic() + 120
        while not (run / "events.jsonl").exists():  # long before the first checkpoint by the clock
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130 and "goes on where this one was" in error and "Traceback" not in error
    assert torch.load(run / "training" / "final" / "trunk.pt", weights_only=True)["step"] > 0


def test_seeds_are_a_function_of_their_values() -> None:
    assert seed_of(1, 2, 0) == seed_of(1, 2, 0)
    assert len({seed_of(seed, step, rank) for seed in range(5) for step in range(5) for rank in range(5)}) == 125
    assert 0 <= seed_of("anything") < 2**63


def test_the_same_request_finds_the_same_run(tmp_path: Path, tiny: Network) -> None:
    asked = Budget(macs=5)
    assert run_folder(None, "digits", "solve", asked) == run_folder(None, "digits", "solve", Budget(macs=5))
    assert run_folder(None, "digits", "solve", asked) != run_folder(None, "digits", "solve", Budget(macs=6))
    assert run_folder(None, "digits", "solve", asked) != run_folder(None, "digits", "fit", asked)
    assert run_folder(None, "digits", "solve", asked).parent == Path("runs")
    assert run_folder(tmp_path, "digits", "solve", asked) == tmp_path


def begun(run: Path) -> object:
    return read_record(run, "train", TrainRequest, TrainPlan)


PLANNED = json.dumps({"format": "budgetnet.plan.v2", "command": "solve"})


def test_a_run_has_one_worker_at_a_time_and_fresh_empties_it(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        with pytest.raises(ValueError, match="in use by another process"), run_lock(tmp_path):
            pass
        (tmp_path / "plan.json").write_text(PLANNED)
        (tmp_path / "training").mkdir()
    with run_lock(tmp_path):
        clear_run(tmp_path, "metrics.json")
        assert [child.name for child in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == [], "nothing came of it, and the folder was there before"


def test_a_fresh_start_with_bad_input_leaves_the_run(tiny: Network, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "plan.json").write_text(json.dumps({"format": "budgetnet.plan.v2", "command": "train"}))
    with pytest.raises(ValueError):
        train(tmp_path / "nowhere", tiny, out=run, epochs=1, fresh=True)
    assert (run / "plan.json").exists()
    with pytest.raises(ValueError, match="params"):
        train("digits", tiny, out=run, epochs=1, fresh=True, budget=Budget(params=10))
    assert (run / "plan.json").exists()


def test_a_kill_while_the_plan_is_written_leaves_a_run_that_can_begin(tmp_path: Path) -> None:
    (tmp_path / ".plan.json.123.part").write_text('{"for')
    with run_lock(tmp_path):
        assert begun(tmp_path) is None


def test_a_run_of_another_version_is_refused_in_a_line(tiny: Network, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"format": "budgetnet.plan.v1", "command": "train"}))
    with pytest.raises(ValueError, match="planned by another version of budgetnet, by the format") as caught:
        train("digits", tiny, out=tmp_path, epochs=1)
    assert "\n" not in str(caught.value)


def _one_waits_for_the_other(which: str) -> str:
    """Rank 0 of a pair that exchanges something, and the one that fails and never comes."""
    if which == "fails":
        raise ValueError("no space left")
    time.sleep(240)
    return which


def test_a_job_that_fails_is_told_while_the_other_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="no space left"), Workers(_one_waits_for_the_other, 2) as workers:
        workers.run(["waits", "fails"])
    assert time.monotonic() - began < 120


def test_a_folder_of_something_else_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="not a run"), run_lock(tmp_path):
        pass
    (tmp_path / "plan.json").write_text('{"format_version": "1.2", "resource_changes": []}')
    with pytest.raises(ValueError, match="not a run"), run_lock(tmp_path):
        pass
    with pytest.raises(ValueError, match="not a run"):
        clear_run(tmp_path, "metrics.json")
    assert {child.name for child in tmp_path.iterdir()} == {"thesis.tex", "plan.json"}, "not even a lock"
    (tmp_path / "plan.json").write_text(PLANNED)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.part").touch()
    with pytest.raises(ValueError, match="holds files but no plan"):
        clear_run(tmp_path / "other", "metrics.json")
    assert (tmp_path / "other" / "thesis.part").exists(), "another program's half-written file"
    with pytest.raises(ValueError, match="'solve', not of 'train'"):
        begun(tmp_path)


def test_bad_arguments_are_one_line(tiny: Network, tmp_path: Path) -> None:
    for options, words in [
        ({}, "either epochs or a time"),
        ({"epochs": 1, "time_seconds": 5}, "either epochs or a time"),
        ({"epochs": -1}, "above 0"),
        ({"time_seconds": float("nan")}, "above 0"),
        ({"epochs": 1, "recipe": "magic"}, "paper, modern"),
        ({"epochs": 1, "device": "abacus"}, "cpu, cuda, mps"),
        ({"epochs": 1, "precision": "float8"}, "float32, bfloat16, float16"),
        ({"epochs": 1, "precision": "float16"}, "needs a GPU"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            train("digits", tiny, out=tmp_path, **options)
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_training_begins_from_the_weights_given(tiny: Network, tmp_path: Path) -> None:
    """At a rate of nothing they come out as they went in, BatchNorm's statistics too."""
    before = load_model(train("digits", tiny, out=tmp_path / "before", epochs=4).run)
    model, preprocessing = before.model, {**before.preprocessing, "std": [0.4]}
    save_weights(tmp_path / "given.safetensors", model, [str(digit) for digit in range(10)], preprocessing)
    still = dataclasses.replace(FINETUNE, learning_rate=1e-12, weight_decay=0.0, zero_classifier=False)
    done = train("digits", out=tmp_path / "run", epochs=0.1, recipe=still, weights=tmp_path / "given.safetensors")
    found, metadata = load_tensors(tmp_path / "run" / "weights.safetensors")
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5, msg=name)
    assert json.loads(metadata["preprocessing"])["std"] == [0.4], "preprocessing comes with the weights"
    assert done.network.stages == tiny.stages
    assert not (tmp_path / "run" / "initial").exists(), "the run is done with them"
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["request"]["weights"] == str(tmp_path / "given.safetensors")
    with pytest.raises(ValueError, match="begun with another network"):
        train("digits", tiny, out=tmp_path / "run", epochs=0.1, recipe=still, weights=tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="give a network to train, or weights"):
        train("digits", out=tmp_path / "none", epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_train_learns_the_digits_and_is_read_when_asked_again(recipe: str, tmp_path: Path) -> None:
    row = resize(network("mobilenet_v3_small", 10, 24), Scaling(width=0.5))
    asked = {"out": tmp_path / recipe, "epochs": 12, "recipe": recipe, "budget": Budget(macs=20_000_000)}
    first = train("digits", row, **asked)
    assert first.test.top1 > (0.9 if recipe == "modern" else 0.3)
    assert (first.run / "certificate.json").exists()
    before = {
        path: path.stat().st_mtime_ns for path in first.run.rglob("*") if path.is_file() and path.suffix != ".html"
    }
    assert train("digits", row, **asked) == first
    after = {
        path: path.stat().st_mtime_ns for path in first.run.rglob("*") if path.is_file() and path.suffix != ".html"
    }
    assert before == after


def written(run: Path) -> dict[Path, int]:
    """When each file of a run was written; the page is drawn anew by every version."""
    files = (path for path in run.rglob("*") if path.is_file() and path.suffix != ".html")
    return {path: path.stat().st_mtime_ns for path in files}
