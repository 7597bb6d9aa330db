"""Full disks, cut checkpoints, missing and damaged files: one line that names the file and what to do."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.failing_clock import FailingClock
from support.finished_runs import train_record

from budgetnet import network, scale, train
from budgetnet.atomic_write import written_aside
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import default_preprocessing, open_images
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.train import TRAIN, Trained
from budgetnet.model.files import load_tensors, save_checkpoint
from budgetnet.runs.files import append_event, read_events, write_json
from budgetnet.runs.record import save_record
from budgetnet.training.job import JobContext, opened, run_job, whole_job
from budgetnet.training.outcome import finalize
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingConfig, TrainingSpec

SOURCE = Path(__file__).resolve().parents[2] / "src"
Capture = pytest.CaptureFixture[str]


def tiny_config() -> TrainingConfig:
    tiny = scale(network("mobilenet_v1", classes=10, resolution_px=32), phi=-10, strategy="width")
    tiny = dataclasses.replace(tiny, in_channels=1)
    return TrainingSpec("final", tiny, MODERN, default_preprocessing(1), 0, 64).for_steps(4)


def epochs() -> float:
    """Those of four steps."""
    return 4 * 64 / len(open_images("digits", 0).indices("train"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps, made in this process by the functions that a training calls."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    images, config = open_images("digits", 0), tiny_config()
    record = train_record("digits", images, config.network, epochs())
    save_record(
        folder,
        dataclasses.replace(
            record, plan=dataclasses.replace(record.plan, config=config, cooldown_steps=config.cooldown_steps)
        ),
    )
    job = whole_job(config, JobContext("digits", 0, 32, str(folder / "training")), "final", 2)
    assert run_job(job)
    append_event(folder / "events.jsonl", {"kind": "step", "phase": "final", "step": 1, "loss": 2.3, "accuracy": 0.1,
                                           "epoch": 0.1, "learning_rate": 0.1, "seconds": 1.0})  # fmt: skip
    metrics = finalize(job, images, opened("digits", 0, 32)[1])
    write_json(folder / TRAIN.file, {"format": TRAIN.format, **to_plain(metrics)})
    again(folder)  # which draws the page, and removes what only a training needs
    return folder


def again(folder: Path) -> Trained:
    """The same call as made the run."""
    return train("digits", tiny_config().network, folder, epochs=epochs())


def test_the_finished_run_is_shown_again(run: Path) -> None:
    found = again(run)
    assert found.result == read_finished(TRAIN, run)[1] and 0 <= found.test.top1 <= 1
    assert (run / "report.html").exists() and not list(run.glob("training/*/*.pt"))


DAMAGES = {
    "missing": None,
    "empty": b"",
    "an object": b"{}",
    "a list": b"[1]",
    "null": b"null",
    "text": b"hello",
    "binary": b"\xff\xfe\x00{",
}


SELDOM = [pytest.param(damage, marks=pytest.mark.slow) for damage in DAMAGES if damage not in ("missing", "an object")]


@pytest.mark.parametrize("damage", ["missing", "an object", "cut", *SELDOM])
@pytest.mark.parametrize(
    "name", ["plan.json", "metrics.json", "network.json", "split.json", "weights.safetensors", "events.jsonl"]
)
def test_a_file_of_a_finished_run_that_is_missing_or_damaged(
    run: Path, tmp_path: Path, capsys: Capture, name: str, damage: str
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    file = copy / name
    content = file.read_bytes()[: file.stat().st_size // 2] if damage == "cut" else DAMAGES[damage]
    whole_lines = b"\n" if name == "events.jsonl" and damage != "cut" else b""
    file.unlink() if content is None else file.write_bytes(content + whole_lines)
    said: list[str] = []
    try:
        again(copy)
    except ValueError as error:
        said.append(str(error))
    if name in ("plan.json", "weights.safetensors"):
        for words in (["evaluate", str(copy)], ["predict", str(copy), "missing.png"]):
            assert main(words) == 2
            said.append(capsys.readouterr().err.strip())
    if name == "events.jsonl" and damage in ("missing", "cut"):
        assert not said  # curves alone: without them the page has none, and a torn last line is dropped as ever
        return
    assert any(name in line for line in said), said
    assert all("\n" not in line and "Traceback" not in line for line in said), said
    told = next(line for line in said if name in line)
    assert any(advice in told for advice in ("--fresh", "--out", "goes on with it", "train", "only")), told


def test_deleted_weights_are_not_shown_as_done(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"weights.safetensors; put the file back, or begin again with --fresh"):
        again(copy)
    assert (copy / "metrics.json").exists(), "nothing is removed"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_checkpoint_is_named(tmp_path: Path, share: float) -> None:
    job = whole_job(tiny_config(), JobContext("digits", 0, 32, str(tmp_path / "run" / "training")), "final", 2)
    job.folder.mkdir(parents=True)
    assert run_job(job)
    expected = load_tensors(job.weights)[0]
    trunk = job.folder / "trunk.pt"
    content = trunk.read_bytes()
    job.scores.unlink()
    trunk.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        ValueError, match=r"trunk.pt is not a whole checkpoint; remove it, and the same command goes on"
    ):
        run_job(job)
    trunk.unlink()
    assert run_job(job), "what the line says to do"
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_tensors(job.weights)[0].items())


def test_a_checkpoint_of_another_training_is_named(tmp_path: Path) -> None:
    job = whole_job(tiny_config(), JobContext("digits", 0, 32, str(tmp_path / "run" / "training")), "final", 2)
    job.folder.mkdir(parents=True)
    save_checkpoint(job.folder / "trunk.pt", {"step": 1, "model": {"other": torch.zeros(3)}})
    with pytest.raises(ValueError, match=r"trunk.pt is not a checkpoint of this training; remove it"):
        run_job(job)


FULL = """
import resource, signal, sys
sys.path.insert(0, SOURCE)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
from pathlib import Path
import numpy as np, torch
from budgetnet.runs.record import save_record
from budgetnet.runs.files import append_event, write_json
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.train import TRAIN, Trained
from budgetnet.model.files import save_checkpoint, save_tensors
from budgetnet.atomic_write import written_aside
folder = Path(FOLDER)
big = torch.zeros(100_000)
def answers(path):
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, big=big.numpy())
def events(path):
    for number in range(10_000):
        append_event(path, {"kind": "step", "step": number})
jobs = {"a.pt": lambda path: save_checkpoint(path, {"a": big}), "a.npz": answers, "a.jsonl": events,
        "a.safetensors": lambda path: save_tensors(path, {"a": big}),
        "a.json": lambda path: write_json(path, [0] * 99_999)}
for name, job in jobs.items():
    try:
        job(folder / name)
        print(name, "was written")
    except OSError as error:
        print(name, error.errno, error.filename == str(folder / name))
"""


@pytest.mark.slow
def test_what_the_disk_refuses_names_its_file_and_leaves_no_part(tmp_path: Path) -> None:
    """A file that may not grow stands for a full disk: the system refuses both in the same call."""
    program = FULL.replace("SOURCE", repr(str(SOURCE))).replace("FOLDER", repr(str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    names = ("a.pt", "a.npz", "a.jsonl", "a.safetensors", "a.json")
    assert done.stdout.splitlines() == [f"{name} {errno.EFBIG} True" for name in names], done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"], "no part is left"
    assert len(read_events(tmp_path / "a.jsonl")) > 1000, "whole lines"
    append_event(tmp_path / "a.jsonl", {"kind": "score"})
    assert read_events(tmp_path / "a.jsonl")[-1] == {"kind": "score"}, "a torn line is dropped once there is space"


def test_a_full_disk_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [1])
    with pytest.raises(OSError) as told, written_aside(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told.value.filename == str(path) and json.loads(path.read_text()) == [1]


def test_the_command_line_says_what_to_do_about_a_full_disk(tmp_path: Path, capsys: Capture) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "run" / "trunk.pt"))
    words = ["train", "digits", "--network", "mobilenet_v1", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(words, FailingClock(error=full)) == 1
    said = capsys.readouterr().err
    assert "trunk.pt: no space left on device; make space there, then give the same command again" in said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_whose_disk_was_full_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """`train` in a process that may not write large files fails in one line; without the limit it goes on."""
    config = tiny_config()
    (tmp_path / "net.json").write_text(config.network.to_json())
    words = ["train", "digits", "--network", str(tmp_path / "net.json"), "--epochs", "20", "--out"]
    program = [sys.executable, "-c", "import sys; from budgetnet.cli import main; sys.exit(main())"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}

    def started(out: str, limit: int | None) -> subprocess.CompletedProcess[str]:
        def limited() -> None:
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.run(
            [*program, *words, str(tmp_path / out)], capture_output=True, text=True, timeout=400, check=False,
            env=environment, preexec_fn=limited,
        )  # fmt: skip

    failed = started("run", 30_000)
    last = failed.stderr.strip().splitlines()[-1]
    assert failed.returncode == 1 and "trunk.pt: file too large; make space there" in last, failed.stderr
    assert "Traceback" not in failed.stderr
    assert started("run", None).returncode == 0 and started("whole", None).returncode == 0
    ours, theirs = (load_tensors(tmp_path / out / "weights.safetensors")[0] for out in ("run", "whole"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
