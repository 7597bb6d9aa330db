"""Metrics against scikit-learn and torchmetrics, intervals against published values, whole runs end to end."""

from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.finished_runs import train_record

from budgetnet import build, evaluate, network, open_images
from budgetnet.data import default_preprocessing, open_cache
from budgetnet.model.weights import save_weights
from budgetnet.runs.files import append_event, read_events, read_json, write_json
from budgetnet.runs.record import save_record
from budgetnet.runs.run import load_run
from budgetnet.statistics import paired_difference, wilson
from budgetnet.training.evaluate import probabilities
from budgetnet.training.evaluation import Evaluation, calibration_error, score

DIGITS = tuple(str(digit) for digit in range(10))


def answers(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    logits = draw.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    odds = np.exp(logits)
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32), labels


def test_score_equals_scikit_learn():
    from sklearn import metrics

    shares, labels = answers(500, 8, seed=1)
    found = score(shares, labels, tuple("abcdefgh"))
    predicted = shares.argmax(1)
    assert found.count == 500
    assert found.top1 == pytest.approx(metrics.accuracy_score(labels, predicted), abs=1e-12)
    assert found.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, shares, k=5), abs=1e-12)
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, predicted), abs=1e-12)
    assert found.confusion == tuple(map(tuple, metrics.confusion_matrix(labels, predicted).tolist()))
    precision, recall, f1, count = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    ours = np.array([(row.precision, row.recall, row.f1, row.count) for row in found.per_class]).T
    np.testing.assert_allclose(ours, [precision, recall, f1, count], atol=1e-12)
    assert (found.top1_low, found.top1_high) == wilson(round(found.top1 * 500), 500)


@pytest.mark.slow
def test_calibration_error_equals_torchmetrics():
    from torchmetrics.functional.classification import multiclass_calibration_error

    shares, labels = answers(700, 4, seed=2)
    theirs = multiclass_calibration_error(torch.tensor(shares), torch.tensor(labels), num_classes=4, n_bins=15)
    assert score(shares, labels, tuple("abcd")).expected_calibration_error == pytest.approx(float(theirs), abs=1e-6)


def test_calibration_error_by_hand():
    # 0.45 lies in the first of two bins, the others in the second.
    confidence, right = np.array([0.8, 0.9, 0.45, 0.55]), np.array([True, False, True, True])
    assert calibration_error(confidence, right, bins=2) == pytest.approx(
        (abs(1 - 0.8 - 0.9 + 1 - 0.55) + abs(1 - 0.45)) / 4
    )
    assert calibration_error(np.ones(3), np.ones(3, bool)) == 0.0


def test_top5_is_none_for_five_classes_and_classes_without_images_do_not_count():
    shares, labels = answers(50, 5, seed=3)
    labels = np.where(labels == 4, 0, labels)
    found = score(shares, labels, tuple("abcde"))
    assert found.top5 is None
    assert found.per_class[4].count == 0 and found.per_class[4].recall == 0.0
    assert found.balanced_accuracy == pytest.approx(np.mean([row.recall for row in found.per_class[:4]]))


def test_equal_probabilities_are_not_all_right():
    found = score(np.full((10, 10), 0.1), np.arange(10), DIGITS)
    assert found.top1 == 0.1 and found.top5 == 0.5


@pytest.mark.parametrize(
    ("shares", "labels", "what"),
    [
        (np.ones((2, 2)) / 2, [0, 1, 1], "a row an image"),
        (np.ones((0, 2)), [], "a row an image"),
        (np.ones((2, 2)) / 2, [0, 2], "must be from 0 to 1"),
        (np.array([[np.nan, np.nan]]), [0], "diverged"),
    ],
)
def test_score_refuses_what_is_no_answer(shares, labels, what):
    with pytest.raises(ValueError, match=what):
        score(shares, np.array(labels, dtype=np.int64), ("a", "b"))


def test_evaluation_survives_json():
    found = score(*answers(60, 7, seed=4), tuple("abcdefg"))
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match="the evaluation is damaged: count is missing"):
        Evaluation.from_dict({"top1": 0.5})
    with pytest.raises(ValueError, match="the evaluation is damaged: top9 is not known"):
        Evaluation.from_dict({**found.to_dict(), "top9": 0.5})


def test_wilson_against_published_values():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    for correct, count, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        assert wilson(correct, count) == pytest.approx((low, high), abs=5e-5)
    with pytest.raises(ValueError, match="not a share"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="not a share"):
        wilson(3, 2)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_holds_the_share(pair):
    low, high = wilson(*pair)
    assert 0.0 <= low <= pair[0] / pair[1] <= high <= 1.0
    mirror = wilson(pair[1] - pair[0], pair[1])
    assert mirror == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_paired_difference_by_hand():
    a = np.array([True] * 60 + [False] * 40)
    b = np.array([True] * 50 + [False] * 10 + [True] * 5 + [False] * 35)
    found = paired_difference(a, b)
    assert found.value == pytest.approx(0.05) and found.n == 100
    # Agresti and Min: half an image in each cell: 10.5 and 5.5 of 102.
    error = math.sqrt(16 - 25 / 102) / 102
    assert (found.low, found.high) == pytest.approx((5 / 102 - 1.96 * error, 5 / 102 + 1.96 * error), abs=1e-5)
    back = paired_difference(b, a)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_two_that_answer_alike_differ_by_no_more_than_the_images_can_tell():
    few, many = paired_difference([True] * 10, [True] * 10), paired_difference([True] * 1000, [True] * 1000)
    assert few.value == many.value == 0.0
    assert few.low < many.low < 0.0 < many.high < few.high
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([True], [True, False])


def test_paired_interval_covers_what_it_says():
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        b = draw.random(200) < 0.7
        a = np.where(draw.random(200) < 0.15, draw.random(200) < 0.9, b)
        truth = 0.15 * (0.9 - 0.7)
        found = paired_difference(a, b)
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """An untrained digits model, saved as a finished run."""
    folder = tmp_path_factory.mktemp("run")
    images = open_images("digits")
    row = dataclasses.replace(network("mobilenet_v3_small", classes=10, resolution_px=16), in_channels=1)
    torch.set_num_threads(1)
    model = build(row, seed=1)
    save_weights(folder / "weights.safetensors", model, DIGITS, dataclasses.asdict(default_preprocessing(1)))
    save_record(folder, train_record("digits", images, row))
    return folder


def test_probabilities_are_softmax_in_the_order_of_the_indices(digits_run):
    images, loaded = open_images("digits"), load_run(digits_run)
    pixels = open_cache(images, 16)
    indices = images.indices("test")[:50][::-1].copy()
    told = []
    found = probabilities(loaded.model, images, pixels, indices, loaded.preprocessing, batch=16, progress=told.append)
    assert found.dtype == np.float32 and found.shape == (50, 10)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-5)
    again = probabilities(loaded.model, images, pixels, indices[::-1], loaded.preprocessing, batch=50)
    np.testing.assert_allclose(found, again[::-1], atol=1e-5)
    assert [(update.done, update.total) for update in told] == [(16, 50), (32, 50), (48, 50), (50, 50)]
    with pytest.raises(ValueError, match="batch"):
        probabilities(loaded.model, images, pixels, indices, loaded.preprocessing, batch=0)


def test_probabilities_leave_a_model_in_training_as_it_was(digits_run):
    images, loaded = open_images("digits"), load_run(digits_run)
    pixels, indices = open_cache(images, 16), images.indices("test")[:20]
    calm = probabilities(loaded.model, images, pixels, indices, loaded.preprocessing)
    before = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    loaded.model.train()
    np.testing.assert_array_equal(probabilities(loaded.model, images, pixels, indices, loaded.preprocessing), calm)
    assert loaded.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in loaded.model.state_dict().items())


def test_evaluate_a_run_on_its_own_test_split(digits_run):
    images = open_images("digits")
    found = evaluate(digits_run)
    assert found.count == len(images.indices("test"))
    assert found == evaluate(digits_run / "weights.safetensors", "digits")
    every = evaluate(digits_run, split="all")
    assert every.count == sum(len(images.indices(split)) for split in ("train", "validation", "test"))


def test_evaluate_refuses_what_it_cannot_know(digits_run, tmp_path):
    alone = tmp_path / "weights.safetensors"
    alone.write_bytes((digits_run / "weights.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"no plan\.json"):
        evaluate(alone)
    assert evaluate(alone, "digits").count > 0
    with pytest.raises(ValueError, match="choose one of train, validation, test, all"):
        evaluate(digits_run, split="tset")
    plan = read_json(digits_run / "plan.json")
    write_json(tmp_path / "plan.json", {**plan, "data": {**plan["data"], "fingerprint": "0" * 16}})
    with pytest.raises(ValueError, match="have changed since this run"):
        evaluate(tmp_path)
    with pytest.raises(ValueError, match="choose one of auto, cpu"):
        evaluate(digits_run, device="gpu")


def test_evaluate_matches_classes_by_name(digits_run, tmp_path):
    from PIL import Image

    for digit in ("7", "3"):
        (tmp_path / "some" / digit).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (16, 16), (index * 20, int(digit), 0)).save(tmp_path / "some" / digit / f"{index}.png")
    found = evaluate(digits_run, tmp_path / "some", split="all")
    assert {row.name: row.count for row in found.per_class if row.count} == {"3": 10, "7": 10}
    (tmp_path / "some" / "3").rename(tmp_path / "some" / "three")
    with pytest.raises(ValueError, match="has class three, which the model does not know"):
        evaluate(digits_run, tmp_path / "some")


def test_json_files_are_whole_or_absent(tmp_path):
    file = tmp_path / "value.json"
    write_json(file, {"name": "caf\udce9", "n": [1, 2.5, None]})
    assert read_json(file) == {"name": "caf\udce9", "n": [1, 2.5, None]}
    with pytest.raises(ValueError):
        write_json(file, {"loss": float("nan")})
    assert read_json(file)["n"] == [1, 2.5, None], "a failed write left the old file"
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]
    file.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        read_json(file)
    with pytest.raises(ValueError, match="cannot read"):
        read_json(tmp_path / "absent.json")


def test_a_torn_event_is_dropped(tmp_path):
    file = tmp_path / "events.jsonl"
    assert read_events(file) == ()
    append_event(file, {"step": 1, "loss": float("inf")})
    append_event(file, {"step": 2})
    with file.open("ab") as end:
        end.write(b'{"step": 3, "lo')
    assert [event["step"] for event in read_events(file)] == [1, 2]
    append_event(file, {"step": 3})
    assert read_events(file) == ({"step": 1, "loss": None}, {"step": 2}, {"step": 3})
    file.write_bytes(b'nonsense\n{"step": 1}\n')
    with pytest.raises(ValueError, match="line 1"):
        read_events(file)


def test_many_writers_of_one_events_file_lose_nothing(tmp_path):
    file = tmp_path / "events.jsonl"

    def write(who: int) -> None:  # the lock belongs to an opened file, so threads stand for processes
        for step in range(100):
            append_event(file, {"who": who, "step": step})

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    events = read_events(file)
    for who in range(4):
        assert [event["step"] for event in events if event["who"] == who] == list(range(100))
