"""What is promised of a model's errors is kept on other images, and strangers are told from a model's own images."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import beta, binom

from budgetnet.answers.evaluate import evaluate
from budgetnet.answers.predict import predict
from budgetnet.cli import main
from budgetnet.codec import from_plain, to_plain
from budgetnet.data import default_preprocessing
from budgetnet.model.build import Model, build
from budgetnet.model.files import load_tensors, save_tensors
from budgetnet.model.trust import CurvePoint, Promise, Trust, curve_of, familiarity, fewest_images, trust_of
from budgetnet.model.weights import save_weights
from budgetnet.networks.zoo import network
from budgetnet.runs.run import load_run
from budgetnet.training.calibration import fit_temperature
from budgetnet.training.predict import Prediction


def drawn(count: int, spread: float, seed: int, classes: int = 6) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits, and labels drawn by their probabilities: the larger the spread, the fewer answers are wrong."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=spread, size=(count, classes))
    odds = np.exp(logits)
    labels = (draw.random((count, 1)) > (odds / odds.sum(1, keepdims=True)).cumsum(1)).sum(1)
    return (1.7 * logits).astype(np.float32), np.minimum(labels, classes - 1)


answers = st.integers(1, 400).flatmap(
    lambda count: st.tuples(
        st.lists(st.sampled_from(np.linspace(0.2, 1.0, 40).tolist()), min_size=count, max_size=count),
        st.lists(st.integers(0, 9).map(bool), min_size=count, max_size=count),
    )
)


def trust_in(confidence: NDArray[np.floating], right: NDArray[np.bool_], networks: int = 1) -> Trust:
    return Trust(len(right), curve_of(confidence, right), None, networks)


@settings(max_examples=40, deadline=None)
@given(answers, st.sampled_from([0.05, 0.1, 0.2, 0.3, 0.5]))
def test_a_promise_counts_its_images_and_lies_above_clopper_and_pearsons_bound(
    found: tuple[list[float], list[bool]], max_error: float
) -> None:
    confidence, right = np.array(found[0]), np.array(found[1])
    trust = trust_in(confidence, right)
    for point in trust.curve:
        answered = confidence >= point.threshold
        assert (point.answered, point.wrong) == (answered.sum(), (answered & ~right).sum())
    assert from_plain(Trust, to_plain(trust), "a file") == trust
    try:
        promise = trust.promise(max_error)
    except ValueError as error:
        assert "\n" not in str(error) and f"at most {100 * max_error:g} % wrong answers cannot be promised" in str(
            error
        )
        return
    assert promise.answered >= fewest_images(max_error)
    assert beta.ppf(0.95, promise.wrong + 1, promise.answered - promise.wrong) <= max_error or (
        promise.wrong == promise.answered
    )
    check = promise.check(confidence, right)
    assert (check.images, check.answered, check.wrong) == (len(right), promise.answered, promise.wrong)


def test_a_promise_by_hand() -> None:
    """The 300 surest of 400 answers are right, then every second one is."""
    confidence = np.linspace(1.0, 0.5, 400)
    right = np.array([True] * 300 + [False, True] * 50)
    promise = trust_in(confidence, right).promise(0.02)
    # One more per cent of the images is 4 answers, 2 of them wrong.
    passing = [extra for extra in range(0, 100, 4) if binom.cdf(extra // 2, 300 + extra, 0.02) <= 0.05]
    assert promise == Promise(0.02, confidence[299 + passing[-1]], 400, 300 + passing[-1], passing[-1] // 2)
    assert str(promise) == "answers 75 % of the images and is wrong on at most 2 % of those, with 95 % confidence"
    everything = trust_in(confidence, np.ones(400, bool)).promise(0.02)
    assert (everything.threshold, everything.share) == (0.0, 1.0), "all answers count, less probable ones too"


def test_of_too_few_images_or_too_many_errors_nothing_is_promised() -> None:
    few = trust_in(np.linspace(1.0, 0.5, 100), np.ones(100, bool))
    assert few.promise(0.03).answered == 100 and fewest_images(0.03) == 99
    with pytest.raises(
        ValueError, match=r"takes 149 held-out images .* there are 100; the smallest that can be is 3%$"
    ):
        few.promise(0.02)
    bad = trust_in(np.linspace(1.0, 0.5, 400), np.arange(400) % 4 < 3)
    with pytest.raises(
        ValueError, match=r"too many of the surest answers to 400 .* the smallest that can be is 3[0-9]%$"
    ):
        bad.promise(0.1)
    with pytest.raises(ValueError, match="no share can be"):
        trust_in(np.ones(1), np.zeros(1, bool)).promise(0.5)
    for wrong in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"max_error is .*; it must be a share of the answers"):
            few.promise(wrong)


def test_images_that_chose_among_networks_promise_less() -> None:
    confidence, right = np.linspace(1.0, 0.5, 400), np.arange(400) % 80 != 79
    one, ten = trust_in(confidence, right), trust_in(confidence, right, networks=10)
    assert one.promise(0.05).wrong >= ten.promise(0.05).wrong
    assert fewest_images(0.02, networks=10) == 263
    with pytest.raises(ValueError, match="takes 263 held-out images"):
        trust_in(confidence[:200], right[:200], networks=10).promise(0.02)


@pytest.mark.parametrize(("held_out", "max_error", "spread"), [(100, 0.1, 12.0), (250, 0.05, 6.0), (600, 0.02, 12.0)])
def test_a_promise_is_broken_in_at_most_5_of_100_resplits(held_out: int, max_error: float, spread: float) -> None:
    logits, labels = drawn(3_000, spread, seed=0)
    broken, made = resplit(logits, labels, held_out, max_error, fitted=False)
    assert broken <= 50 and made > 300, f"{broken} broken of {made} made in 1,000"


@pytest.mark.slow
@pytest.mark.parametrize(("held_out", "max_error", "spread"), [(100, 0.1, 12.0), (250, 0.05, 6.0), (600, 0.02, 12.0)])
def test_a_temperature_of_the_same_images_breaks_no_more(held_out: int, max_error: float, spread: float) -> None:
    logits, labels = drawn(3_000, spread, seed=1)
    broken, made = resplit(logits, labels, held_out, max_error, fitted=True)
    assert broken <= 50 and made > 300, f"{broken} broken of {made} made in 1,000"


def test_the_level_is_nearly_used_up() -> None:
    """Where all answers are as probable and a little too many are wrong, a promise is made nearly 5 times of 100."""
    draw = np.random.default_rng(0)
    made = sum(
        any(promise.max_error == 0.05 for promise in trust_in(np.ones(250), draw.random(250) > 0.0501).promises())
        for _ in range(1_000)
    )
    assert 20 < made <= 50


def resplit(
    logits: NDArray[np.float32], labels: NDArray[np.int64], held_out: int, max_error: float, fitted: bool
) -> tuple[int, int]:
    """In 1,000 draws of held-out images: how often more of the other answers are wrong than was promised, and how often
    there was a promise. The temperature is fitted on each draw, or 1."""
    draw, broken, made = np.random.default_rng(1), 0, 0
    for _ in range(1_000):
        order = draw.permutation(len(labels))
        mine, others = order[:held_out], order[held_out:]
        temperature = fit_temperature(logits[mine], labels[mine]) if fitted else 1.0
        try:
            promise = trust_of(logits[mine], labels[mine], temperature).promise(max_error)
        except ValueError:
            continue
        scaled = logits[others] / temperature
        confidence = np.exp(scaled.max(1) - familiarity(scaled))
        check = promise.check(confidence, logits[others].argmax(1) == labels[others])
        made, broken = made + 1, broken + (check.wrong > max_error * check.answered)
    return broken, made


def test_nineteen_of_twenty_own_images_are_kept() -> None:
    draw = np.random.default_rng(0)
    for count in (19, 40, 252):
        kept = [
            1 - trust_of(logits[:count], labels[:count]).strangers(logits[count:]).mean()
            for logits, labels in (drawn(count + 500, 3.0, seed) for seed in draw.integers(1 << 30, size=100))
        ]
        assert 0.94 < float(np.mean(kept)) < 0.95 + 1.0 / count
    assert trust_of(*drawn(18, 3.0, 0)).familiar is None


def test_a_stranger_has_less_energy() -> None:
    logits, labels = drawn(400, 4.0, seed=0)
    trust = trust_of(logits + 6.0, labels)
    assert trust.strangers(np.zeros((2, 6))).tolist() == [True, True]
    assert trust.strangers(np.full((1, 6), 20.0)).tolist() == [False]
    assert not trust_of(logits[:10], labels[:10]).strangers(np.zeros((1, 6))).any(), "of 10 images nothing is known"
    assert familiarity(np.array([[1e4, -1e4]], np.float32)).tolist() == [1e4]


def test_a_damaged_trust_is_refused() -> None:
    curve = (CurvePoint(0.9, 30, 1), CurvePoint(0.0, 40, 3))
    Trust(40, curve, 0.3)
    for wrong, images, points in (
        ("does not answer 41 images", 41, curve),
        ("not in order", 40, curve[::-1]),
        ("not in order", 40, (CurvePoint(0.9, 30, 4), curve[1])),
        ("not in order", 40, (CurvePoint(0.9, 39, 1), curve[1])),
    ):
        with pytest.raises(ValueError, match=wrong):
            Trust(images, points, None)
    with pytest.raises(ValueError, match="wrong is 31, of 30 answered"):
        CurvePoint(0.9, 30, 31)
    with pytest.raises(ValueError, match="familiar is nan"):
        Trust(40, curve, math.nan)
    logits, labels = drawn(40, 3.0, 0)
    for of in ((logits[:0], labels[:0]), (np.full((40, 6), np.nan), labels)):
        with pytest.raises(ValueError, match="trust needs held-out images, and logits that are numbers"):
            trust_of(*of)


@pytest.fixture(scope="module")
def model() -> Model:
    return build(network("mobilenet_v3_small", classes=3, resolution_px=32), seed=0)


def saved(file: Path, model: Model, trust: Trust | None) -> Path:
    save_weights(file, model, ["bird", "cat", "dog"], to_plain(default_preprocessing(3)), trust=trust)
    return file


def test_predict_marks_strangers_and_answers_that_are_not_sure_enough(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "black.png")
    picture, file = str(tmp_path / "black.png"), tmp_path / "weights.safetensors"
    sure, unsure = ((CurvePoint(threshold, 60, 0), CurvePoint(0.0, 100, 40)) for threshold in (0.01, 0.999))
    for familiar, curve, marks, said in (
        (-1e6, sure, (False, True), "black.png: "),
        (-1e6, unsure, (False, False), "not sure enough ("),
        (1e6, sure, (True, True), "none of these ("),
        (None, unsure, (None, False), "not sure enough ("),
    ):
        saved(file, model, Trust(100, curve, familiar))
        (found,) = predict(file, picture, max_error=0.05)
        assert isinstance(found, Prediction) and (found.none_of_these, found.answered) == marks
        assert found.label in ("bird", "cat", "dog"), "it stays visible"
        assert main(["predict", str(file), picture, "--max-error", "5%"]) == 0
        assert f"{said}{found.label}" in capsys.readouterr().out
        (found,) = predict(file, picture)
        assert isinstance(found, Prediction) and (found.none_of_these, found.answered) == (marks[0], None)


def test_weights_without_trust_are_read_and_promise_nothing(model: Model, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "black.png")
    file = saved(tmp_path / "weights.safetensors", model, None)
    assert load_run(file).trust is None
    (found,) = predict(file, tmp_path / "black.png")
    assert isinstance(found, Prediction) and found.none_of_these is None and found.answered is None
    for ask in (evaluate, predict):
        with pytest.raises(ValueError, match="these weights say nothing of answers to images that stayed out"):
            ask(file, tmp_path, max_error=0.05)
    tensors, metadata = load_tensors(file)
    for text, words in (
        ("{", "its trust"),
        ("{}", "images is missing"),
        ('{"images": 1' + "0" * 20 + "}", "images is"),
    ):
        save_tensors(file, tensors, metadata | {"trust": text})
        with pytest.raises(ValueError, match=f"metadata of .* is damaged: {words}") as caught:
            load_run(file)
        assert "\n" not in str(caught.value)


def test_trust_needs_no_torch() -> None:
    """Exported files are asked without it."""
    code = "import sys, budgetnet.model.trust as t; t.fewest_images(0.1); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
