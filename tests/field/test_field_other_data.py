"""`evaluate` on other images: all of them, unless asked for a part; and it says which the run has learned from."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.finished_runs import train_record

from budgetnet import Folders, build, evaluate, network, open_images
from budgetnet.cli import main
from budgetnet.data import default_preprocessing, open_cache
from budgetnet.model.weights import save_weights
from budgetnet.runs.record import save_record
from budgetnet.runs.split_file import write_split
from budgetnet.training.job import JobContext, lend, opened

CLASSES = ("cat", "dog")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def fill(folder: Path, count: int, start: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(folder / f"{number:03d}.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty images of each class."""
    for context, name in enumerate(CLASSES):
        fill(tmp_path / "photos" / name, 20, 40 * context)
    return tmp_path / "photos"


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Path:
    """An untrained model as a finished run on the photos."""
    return made(tmp_path / "run", photos)


def made(folder: Path, data: Path | Folders) -> Path:
    folder.mkdir()
    images = open_images(data)
    small = network("mobilenet_v3_small", classes=2, resolution_px=32)
    model = build(small, seed=1)
    save_weights(folder / "weights.safetensors", model, CLASSES, dataclasses.asdict(default_preprocessing(3)))
    save_record(folder, train_record(data if isinstance(data, Folders) else str(data), images, small))
    write_split(folder, images, ("train",), ())
    return folder


def counted(run: Path, *data: Path | Folders, split: str | None = None) -> tuple[int, str]:
    """How many images are scored, and what is warned of."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        count = evaluate(run, *data, split=split).count
    return count, " ".join(str(one.message) for one in found if "learned" in str(one.message))


def test_other_images_are_scored_whole(run: Path, tmp_path: Path) -> None:
    for context, name in enumerate(CLASSES):
        fill(tmp_path / "other" / name, 10, 100 + 20 * context)
    assert counted(run, tmp_path / "other") == (20, "")
    assert counted(run, tmp_path / "other", split="test") == (4, "")
    fill(tmp_path / "cats" / "cat", 2, 200)
    assert counted(run, tmp_path / "cats") == (2, ""), "one class, and too few to split"


def test_the_split_of_the_run_is_for_its_own_images(run: Path, photos: Path, tmp_path: Path) -> None:
    assert counted(run) == counted(run, photos) == counted(run, photos, split="test") == (8, "")
    shutil.copytree(photos, tmp_path / "moved")
    assert counted(run, tmp_path / "moved") == (8, "")
    count, warned = counted(run, photos, split="all")
    assert count == 40 and "learned from 28 of these 40 images" in warned and "--split test is not" in warned


def test_images_that_the_run_learned_from_are_counted(run: Path, photos: Path) -> None:
    fill(photos / "cat", 5, 200)  # the folder grew, and "have changed since" says to name it
    with pytest.raises(ValueError, match="have changed since this run"):
        evaluate(run)
    count, warned = counted(run, photos)
    assert count == 45 and "learned from 28 of these 45 images" in warned
    assert "evaluate RUN without DATA" in warned


def test_given_splits_are_scored_whole_or_one(run: Path, tmp_path: Path) -> None:
    for start, part in enumerate(("val", "test")):
        for context, name in enumerate(CLASSES):
            fill(tmp_path / "parts" / part / name, 3 + start, 100 + 50 * start + 20 * context)
    parts = tmp_path / "parts"
    assert counted(run, parts) == (14, "")
    assert counted(run, parts, split="test") == counted(run, Folders(test=parts / "test")) == (8, "")
    assert counted(run, Folders(val=parts / "val", test=parts / "test"), split="validation") == (6, "")
    with pytest.raises(ValueError, match="has no train images; choose another split"):
        evaluate(run, Folders(test=parts / "test"), "train")


def test_a_run_on_folders_finds_them_again(tmp_path: Path) -> None:
    for part, start in (("mine", 0), ("theirs", 100)):
        for context, name in enumerate(CLASSES):
            fill(tmp_path / part / name, 10, start + 20 * context)
    folders = Folders(train=tmp_path / "mine", test=tmp_path / "theirs")
    run = made(tmp_path / "run", folders)
    assert counted(run) == counted(run, folders) == (20, "")
    assert counted(run, tmp_path / "theirs") == (20, "")
    count, warned = counted(run, tmp_path / "mine")
    assert count == 20 and "learned from 18 of these 20" in warned


def test_the_command_says_what_it_took(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["evaluate", str(run)]) == 0
    assert "taken: 8 images, the test split of the run's own" in capsys.readouterr().err
    fill(tmp_path / "cats" / "cat", 3, 200)
    (tmp_path / "cats" / "cat" / "damaged.txt").write_text("x")
    assert main(["evaluate", str(run), str(tmp_path / "cats"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["count"] == 3
    assert "cats: 3 images of 1 classes: cat 3" in captured.err
    assert "taken: 3 images, all of them; --split takes a part" in captured.err
    assert main(["evaluate", str(run), "--test", str(photos / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_what_is_lent_to_a_worker_elsewhere_is_found_by_its_folders(photos: Path) -> None:
    context = JobContext(Folders(train=photos), 0, 4, "nowhere")
    images = open_images(context.data)
    lend(context, images, open_cache(images, 4))
    sent: JobContext = pickle.loads(pickle.dumps(context))
    assert opened(sent.data, sent.split_seed, sent.side_px)[0] is images
