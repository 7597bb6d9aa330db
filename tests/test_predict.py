"""Answers for files: the same pixels as in evaluation, any mix of good and bad paths, in their order."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from budgetnet import build, network, open_images, predict
from budgetnet.answers.evaluate import evaluate
from budgetnet.data import Preprocessing, open_cache
from budgetnet.model.weights import save_weights
from budgetnet.runs.run import load_run
from budgetnet.statistics import log_losses
from budgetnet.training.evaluate import probabilities
from budgetnet.training.predict import Prediction, Unreadable

CLASSES = ("cat", "dog", "fish")
PREPROCESSING = Preprocessing(crop_share=0.875, fit="crop", interpolation="bicubic")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Twelve noisy JPEGs of a few sizes, larger and smaller than the network's resolution."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(0)
    for label, index in itertools.product(CLASSES, range(4)):
        (folder / label).mkdir(exist_ok=True)
        size = (90 + 40 * index, 120, 3) if index else (40, 30, 3)
        coarse = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        image = coarse.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        image.save(folder / label / f"{index}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """An untrained model, its answers made clear-cut, saved as a run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    row = network("mobilenet_v3_small", classes=3, resolution_px=64)
    model = build(row, seed=1)
    with torch.no_grad():
        model.classifier.weight.mul_(1000)
    save_weights(folder / "weights.safetensors", model, CLASSES, dataclasses.asdict(PREPROCESSING))
    return folder


def paths_of(found) -> list[str]:
    return [one.path for one in found]


@pytest.mark.parametrize("note", [None, "48", "100"])
def test_files_are_answered_as_in_evaluation(photos, run, tmp_path, monkeypatch, note):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    notes = {} if note is None else {"side_px": note}
    whole = load_run(run)
    file = tmp_path / "weights.safetensors"
    temperature = 1.0 if note is None else 2.5
    save_weights(file, whole.model, CLASSES, dataclasses.asdict(PREPROCESSING), notes, temperature)
    loaded = load_run(file)
    assert loaded.side_px == (74 if note is None else int(note)), "64 / 0.875, rounded up"
    images = open_images(photos)
    pixels = open_cache(images, loaded.side_px)
    indices = np.arange(len(images.files))
    expected = probabilities(loaded.model, images, pixels, indices, loaded.preprocessing, temperature=temperature)
    found = list(predict(file, [photos / name for name in images.files], top=3))
    ours = [[dict(one.top)[name] for name in CLASSES] for one in found if isinstance(one, Prediction)]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.1, "the images are told apart"
    labels = np.asarray(images.labels)
    assert evaluate(file, photos, split="all").log_loss == pytest.approx(log_losses(expected, labels).mean(), abs=1e-4)


def test_top_is_sorted_and_never_more_than_the_classes(photos, run):
    for one in predict(run, photos, top=9):
        assert isinstance(one, Prediction)
        assert len(one.top) == 3
        assert [share for _, share in one.top] == sorted((share for _, share in one.top), reverse=True)
        assert (one.label, one.probability) == one.top[0]
        assert sum(share for _, share in one.top) == pytest.approx(1.0, abs=1e-5)


def test_batches_change_nothing_but_memory(photos, run):
    one, many = list(predict(run, photos, batch=1)), list(predict(run, photos, batch=5))
    assert paths_of(one) == paths_of(many) and len(one) == 12
    for left, right in zip(one, many, strict=True):
        assert isinstance(left, Prediction) and isinstance(right, Prediction)
        assert left.probability == pytest.approx(right.probability, abs=1e-5)


def test_bad_files_are_reported_in_their_place_and_the_rest_is_answered(photos, run, tmp_path):
    good = str(photos / "cat" / "1.jpg")
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(Path(good).read_bytes()[:600])
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    (tmp_path / "empty").mkdir()
    nowhere = tmp_path / "link.jpg"
    nowhere.symlink_to(tmp_path / "gone.jpg")
    asked = [torn, good, text, tmp_path / "gone.jpg", tmp_path / "empty", tmp_path / "*.gif", nowhere, good]
    found = list(predict(run, asked, batch=3))
    assert paths_of(found) == [str(path) for path in asked]
    assert [isinstance(one, Prediction) for one in found] == [str(path) == good for path in asked]
    reasons = {Path(one.path).name: one.reason for one in found if isinstance(one, Unreadable)}
    assert reasons["notes.txt"] == "not an image of a known format"
    assert reasons["gone.jpg"] == reasons["*.gif"] == "there is no such file"
    assert reasons["empty"] == "it holds no images"
    assert "No such file" in reasons["link.jpg"]
    assert all(reason and "\n" not in reason and "/" not in reason for reason in reasons.values())


def test_folders_and_globs(photos, run, tmp_path):
    every = sorted(str(path) for path in photos.rglob("*.jpg"))
    assert paths_of(predict(run, photos)) == every
    assert paths_of(predict(run, str(photos))) == every
    assert paths_of(predict(run, [photos / "*" / "*.jpg"])) == every
    assert paths_of(predict(run, [photos / "**" / "*.jpg"])) == every
    assert paths_of(predict(run, [photos / "**"])) == every
    assert paths_of(predict(run, [photos / "*"])) == every
    assert paths_of(predict(run, [photos / "dog" / "[12].jpg"])) == every[5:7]
    odd = tmp_path / "a[1].jpg"
    odd.write_bytes(Path(every[0]).read_bytes())
    assert paths_of(predict(run, [odd])) == [str(odd)], "a file's own name goes before a glob"
    for name in (".hidden.jpg", "notes.txt", "__MACOSX"):
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_text("x")
    assert paths_of(predict(run, tmp_path)) == [str(odd)]


@pytest.mark.parametrize("paths", [[], ["gone.jpg"], ["*.gif", "gone"], "gone*"])
def test_no_file_at_all_is_an_error_at_once(run, paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="there is no image at"):
        predict(run, paths)


def test_bad_arguments_are_errors_at_once(photos, run, tmp_path):
    with pytest.raises(ValueError, match=r"holds no weights\.safetensors"):
        predict(tmp_path, photos)
    with pytest.raises(ValueError, match="top is 0"):
        predict(run, photos, top=0)
    with pytest.raises(ValueError, match="batch is 0"):
        predict(run, photos, batch=0)
    with pytest.raises(ValueError, match="device"):
        predict(run, photos, device="gpu")


def test_answers_stream(photos, run):
    """The first answers come before the last path is looked at."""
    seen: list[str] = []

    def files():
        for path in sorted(photos.rglob("*.jpg")):
            seen.append(str(path))
            yield path

    stream = predict(run, files(), batch=2)
    assert isinstance(next(stream), Prediction)
    assert len(seen) < 12


def test_a_grey_model_takes_colour_files(photos, tmp_path):
    row = dataclasses.replace(network("mobilenet_v3_small", classes=3, resolution_px=32), in_channels=1)
    grey = dataclasses.asdict(Preprocessing(mean=(0.5,), std=(0.25,)))
    save_weights(tmp_path / "weights.safetensors", build(row, seed=1), CLASSES, grey)
    assert all(isinstance(one, Prediction) for one in predict(tmp_path, photos))
