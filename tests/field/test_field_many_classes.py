"""Thousands of classes: what is held and written grows with classes and images, not with their product or square."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from budgetnet import adapt, cost, network, scale
from budgetnet.cli import results
from budgetnet.data import default_preprocessing, open_cache, open_images
from budgetnet.data.split import assign
from budgetnet.experiments.trained import MOST_ROWS, class_rows, confused_pairs
from budgetnet.model.build import build
from budgetnet.runs.files import read_json, write_json
from budgetnet.statistics import log_losses
from budgetnet.training.evaluate import answer, answer_rows, probabilities
from budgetnet.training.evaluation import Evaluation, evaluation_of, score
from budgetnet.training.image_scores import ImageScores, image_scores, joined, scores_in


def drawn(images: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    shares = draw.random((images, classes), np.float32)
    return shares / shares.sum(1, keepdims=True), draw.integers(0, classes, images)


def guessed(labels: np.ndarray, classes: int) -> ImageScores:
    """Answers without their probabilities, as they are held for many classes."""
    draw, images = np.random.default_rng(1), len(labels)
    share, predicted = draw.random(images, np.float32), draw.integers(0, classes, images)
    ranks = np.where(predicted == labels, 0, draw.integers(1, classes, images))
    return ImageScores(predicted, share, share, ranks)


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number:05d}" for number in range(classes))


@given(st.integers(1, 60), st.integers(2, 12), st.integers(0, 9), st.booleans())
@settings(max_examples=40)
def test_a_few_numbers_an_image_say_what_all_probabilities_say(
    images: int, classes: int, seed: int, broken: bool
) -> None:
    shares, labels = drawn(images, classes, seed)
    shares[::3] = np.round(shares[::3], 1)  # equal ones among them
    if broken:
        shares[0, seed % classes] = np.nan
    found = image_scores(shares, labels)
    right = (shares.argmax(1) == labels) & np.isfinite(shares).all(1)  # argmax takes NaN
    assert found.right.tolist() == right.tolist()
    np.testing.assert_array_equal(found.losses, log_losses(shares, labels))
    assert found.finite.tolist() == np.isfinite(shares).all(1).tolist()
    halves = joined([image_scores(shares[:images // 2], labels[:images // 2]),
                     image_scores(shares[images // 2:], labels[images // 2:])])  # fmt: skip
    again = scores_in(halves.rows(), labels)
    assert all(np.array_equal(value, again.rows()[name], equal_nan=True) for name, value in found.rows().items()) or (
        images < 2
    )


def test_the_confusion_table_is_left_out_above_200_classes_and_the_mistakes_are_kept() -> None:
    for classes in (200, 201):
        shares, labels = drawn(700, classes)
        found = score(shares, labels, names(classes))
        assert (found.confusion is None) == (classes > 200)
        wrong = sum(images for _, _, images in found.confused)
        assert wrong == 700 - round(700 * found.top1) and all(true != other for true, other, _ in found.confused)
        counts = [images for *_, images in found.confused]
        assert counts == sorted(counts, reverse=True)
        if found.confusion is not None:
            assert all(found.confusion[true][predicted] == images for true, predicted, images in found.confused)
            assert wrong == sum(map(sum, found.confusion)) - sum(row[at] for at, row in enumerate(found.confusion))
        assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.slow
def test_files_grow_with_the_classes_and_not_with_their_square(tmp_path: Path) -> None:
    sizes: dict[int, int] = {}
    for classes in (2_000, 20_000):
        labels = np.random.default_rng(2).integers(0, classes, 2 * classes)
        found = evaluation_of(guessed(labels, classes), labels, names(classes))
        write_json(tmp_path / "metrics.json", found.to_dict())
        sizes[classes] = (tmp_path / "metrics.json").stat().st_size
        assert Evaluation.from_dict(read_json(tmp_path / "metrics.json")) == found
    assert sizes[20_000] < 11 * sizes[2_000] and sizes[20_000] < 20e6, sizes


def test_memory_grows_with_the_images_and_the_classes_alone() -> None:
    """40,000 images of 20,000 classes: a table of the classes is 3.2 GB, all probabilities as much."""
    labels = np.random.default_rng(2).integers(0, 20_000, 40_000)
    answers = guessed(labels, 20_000)
    tracemalloc.start()
    evaluation_of(answers, labels, names(20_000))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 60e6


def test_probabilities_are_held_a_part_at_a_time_for_more_than_1000_classes(tmp_path: Path) -> None:
    images = open_images("digits")
    pixels, indices = open_cache(images, 32), images.indices("validation")
    labels = np.array(images.labels)[indices]
    tiny = scale(network("mobilenet_v1", classes=1000, resolution_px=32), phi=-10, strategy="width")
    for classes in (1000, 1001):
        model = build(dataclasses.replace(tiny, classes=classes, in_channels=1)).eval()
        found, whole = answer(model, images, pixels, indices, labels, default_preprocessing(1))
        every = probabilities(model, images, pixels, indices, default_preprocessing(1))
        np.testing.assert_allclose(found.losses, log_losses(every, labels), rtol=1e-4)
        assert (found.right == (every.argmax(1) == labels)).mean() > 0.99
        assert (whole is None) == (classes > 1000)
        with (tmp_path / "answers.npz").open("wb") as file:
            np.savez(file, **answer_rows(found, whole))  # pyright: ignore[reportArgumentType]
        with np.load(tmp_path / "answers.npz") as rows:
            assert scores_in(rows, labels).right.tolist() == found.right.tolist()
        size = (tmp_path / "answers.npz").stat().st_size
        assert size > 4 * classes * len(indices) if whole is not None else size < 60 * len(indices) + 2000


def test_the_terminal_and_the_page_show_what_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.random.default_rng(2).integers(0, 5_000, 9_000)
    found = evaluation_of(guessed(labels, 5_000), labels, names(5_000))
    results.print_evaluation(found)
    said = capsys.readouterr().out
    more = len(np.unique(labels)) - results.MOST_CLASSES
    assert len(said.splitlines()) < 80 and f"\n{more:,} more classes were found as often or oftener" in said
    assert len(class_rows(found)) == MOST_ROWS and len(confused_pairs(found)) == 20
    assert all(row.count for row in class_rows(found)), "classes without a test image were not asked"


def test_all_classes_with_too_few_images_are_counted() -> None:
    labels = [0, 0, 0, 1, 1, 2]
    digests = [str(number) for number in range(6)]
    with pytest.raises(ValueError, match=r"class b has 2 distinct .* at least 3 \(1 more with too few\)"):
        assign(labels, digests, [None] * 6, ("a", "b", "c"), 0)


def test_three_images_a_class_are_one_in_each_split() -> None:
    classes = 3_000
    labels = [label for label in range(classes) for _ in range(3)]
    split, _ = assign(labels, [str(at) for at in range(3 * classes)], [None] * (3 * classes), names(classes), 0)
    assert [sorted(split[at : at + 3]) for at in range(0, 3 * classes, 3)] == [[0, 1, 2]] * classes


def test_diverged_answers_of_many_classes_are_told() -> None:
    share = np.full(3, math.nan, np.float32)
    answers = ImageScores(np.zeros(3, np.int64), share, share, np.zeros(3, np.int64))
    assert not answers.right.any() and np.isinf(answers.losses).all()
    with pytest.raises(ValueError, match="are not numbers"):
        evaluation_of(answers, np.zeros(3, np.int64), names(1_500))


MOST_BYTES = 4e9
CLASSES, EACH, SIDE_PX = 20_000, 4, 16


def class_folders(root: Path, first: int, count: int, each: int, seed: int) -> Path:
    """Small images whose red, green and blue are the class's number to the base 28, with some noise."""
    draw = np.random.default_rng(seed)
    header = f"P6 {SIDE_PX} {SIDE_PX} 255\n".encode()
    for number in range(first, first + count):
        folder = root / f"c{number:05d}"
        folder.mkdir(parents=True)
        colour = [20 + 8 * (number // 28**place % 28) for place in range(3)]
        for image in range(each):
            pixels = draw.normal(colour, 12, (SIDE_PX, SIDE_PX, 3))
            (folder / f"{image}.ppm").write_bytes(header + pixels.clip(0, 255).astype(np.uint8).tobytes())
    return root


def ran(arguments: tuple[str, ...], folder: Path, code: int = 0) -> tuple[str, float]:
    """What a command says, and the most bytes that it and its processes hold together, shared pages counted once."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "100"}
    most = 0.0
    with (folder / "said").open("w+") as said:
        command = [sys.executable, "-m", "budgetnet", *arguments]
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said) as process:
            while process.poll() is None:
                most = max(most, held_bytes(process.pid))
                time.sleep(0.5)
        said.seek(0)
        text = said.read()
    assert process.returncode == code, text
    return text, most


def held_bytes(process: int) -> float:
    held = 0.0
    try:
        root = psutil.Process(process)
        for one in (root, *root.children(recursive=True)):
            held += one.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended meanwhile: the next look counts
        return 0.0
    return held


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared pages are counted once on Linux only")
def test_20000_classes_are_priced_trained_for_an_epoch_reported_and_evaluated_in_4_gb(tmp_path: Path) -> None:
    class_folders(tmp_path / "data", 0, CLASSES, EACH, seed=0)
    class_folders(tmp_path / "others", 300, 200, 2, seed=1)
    tiny = scale(adapt(network("mobilenet_v1", classes=CLASSES), SIDE_PX, 2), phi=-6, strategy="width")
    (tmp_path / "tiny.json").write_text(tiny.to_json(), encoding="utf-8")
    most: dict[str, float] = {}

    said, most["cost"] = ran(("cost", "tiny.json", "--json"), tmp_path)
    assert json.loads(said)["params"] > 100 * CLASSES
    _, most["fit"] = ran(("fit", "efficientnet_b0", "--classes", f"{CLASSES}", "--macs", "60M"), tmp_path)
    training = ("train", "data", "--network", "tiny.json", "--epochs", "1", "--out", "run")
    said, most["train"] = ran(training, tmp_path)
    assert f"{CLASSES * EACH:,} images of {CLASSES:,} classes" in said and len(said) < 20_000
    said, most["evaluate"] = ran(("evaluate", "run"), tmp_path)
    assert f"taken: {CLASSES:,} images" in said and len(said) < 20_000
    said, most["evaluate others"] = ran(("evaluate", "run", "others"), tmp_path)
    assert "taken: 400 images" in said
    said, most["predict"] = ran(("predict", "run", "others/c00300", "--top", "5"), tmp_path)
    assert len(said.splitlines()) == 2
    said, most["again"] = ran(training, tmp_path)
    assert "report.html" in said
    assert min(most.values()) > 0.0 and max(most.values()) < MOST_BYTES, most

    sizes = {path.name: path.stat().st_size for path in (tmp_path / "run").iterdir() if path.is_file()}
    images, limits = CLASSES * EACH, {"plan.json": 40 * CLASSES, "metrics.json": 600 * CLASSES}
    limits |= {"split.json": 40 * images, "report.html": 500_000, "weights.safetensors": 6 * cost(tiny).params}
    assert limits.keys() <= sizes.keys() and all(sizes[name] < limit for name, limit in limits.items()), sizes
    scores = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*.npz"))
    assert 0 < scores < 60 * images, scores
