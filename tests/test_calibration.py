"""Temperatures: fitted on images that no training has learned, kept with the weights, used by every answer."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.finished_runs import train_record

from budgetnet.answers.evaluate import evaluate
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet, Pixels, default_preprocessing, open_cache, open_images
from budgetnet.data.held_out import held_out_count, held_out_images
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.train import TRAIN
from budgetnet.experiments.train.result import TrainResult
from budgetnet.model.build import build
from budgetnet.model.files import load_tensors, save_tensors
from budgetnet.model.probabilities import class_probabilities
from budgetnet.model.weights import load_model, save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.networks.zoo import network
from budgetnet.runs.files import read_json, write_json
from budgetnet.runs.record import save_record
from budgetnet.runs.run import load_run
from budgetnet.runs.split_file import learned_files, read_split, write_split
from budgetnet.statistics import LEAST_PROBABILITY
from budgetnet.training.calibration import FEWEST_IMAGES, answer_held_out, fit_temperature, log_losses
from budgetnet.training.evaluate import probabilities
from budgetnet.training.evaluation import Evaluation, score
from budgetnet.training.image_scores import image_scores
from budgetnet.training.job import JobContext, TrainingJob, run_job
from budgetnet.training.outcome import Metrics, finalize
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingConfig


def drawn(count: int, temperature: float, seed: int = 0, classes: int = 10) -> tuple[NDArray, NDArray]:
    """Logits whose probabilities are right at this temperature, and labels drawn by them."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(scale=2.0, size=(count, classes))
    odds = np.exp(logits)
    chosen = (draw.random((count, 1)) > (odds / odds.sum(1, keepdims=True)).cumsum(1)).sum(1)
    return (temperature * logits).astype(np.float32), np.minimum(chosen, classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    logits, labels = drawn(20_000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)
    found = fit_temperature(logits, labels)
    around = [log_losses(logits, labels, factor * found).mean() for factor in (0.9, 1.0, 1.1)]
    assert min(around) == around[1], "the log loss is lowest there"


def test_few_images_that_are_all_right_do_not_make_answers_certain() -> None:
    unsure = np.log([[0.8, 0.1, 0.1]] * FEWEST_IMAGES)
    found = fit_temperature(unsure, np.zeros(FEWEST_IMAGES, int))
    confidence = class_probabilities(torch.tensor(unsure), found)[0, 0]
    assert 0.98 < confidence < 0.9999, "the log loss alone would say 1"


def test_of_too_few_images_or_no_numbers_there_is_no_temperature() -> None:
    logits, labels = drawn(FEWEST_IMAGES, 0.4)
    assert fit_temperature(logits, labels) != 1.0
    assert fit_temperature(logits[1:], labels[1:]) == 1.0
    logits[3, 2] = np.nan
    assert fit_temperature(logits, labels) == 1.0


@pytest.mark.parametrize("temperature", [0.05, 0.7, 3.0, 20.0])
def test_a_temperature_changes_no_rank(temperature: float) -> None:
    logits, labels = drawn(2_000, 5.0, classes=40)
    logits[:, 7] = np.nextafter(logits[:, 3], np.float32(np.inf))  # nearly the same number
    plain, scaled = (
        image_scores(class_probabilities(torch.tensor(logits), value).numpy(), labels, logits)
        for value in (1.0, temperature)
    )
    np.testing.assert_array_equal(plain.predicted, scaled.predicted)
    np.testing.assert_array_equal(plain.rank, scaled.rank)
    shares = class_probabilities(torch.tensor(logits), temperature).numpy()
    np.testing.assert_allclose(
        scaled.losses, -np.log(np.maximum(shares[np.arange(2_000), labels], LEAST_PROBABILITY)), rtol=1e-4
    )


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture(scope="module")
def pixels(digits: ImageSet) -> Pixels:
    return open_cache(digits, 8)


def test_what_stays_out_has_every_class_and_is_a_function_of_the_seed(digits: ImageSet) -> None:
    assert [held_out_count(images) for images in (0, 99, 100, 180, 1_000, 90_000)] == [0, 0, 50, 50, 250, 1_000]
    labels, validation = np.asarray(digits.labels), set(digits.indices("validation").tolist())
    for count in (10, 50, 101):
        found = held_out_images(digits, count, seed=0)
        assert len(found) == len(set(found.tolist())) == count and set(found.tolist()) <= validation
        counts = np.bincount(labels[found], minlength=10)
        assert counts.min() >= 1 and np.ptp(counts) <= 3, "the classes are about as large, and so are their shares"
        assert found.tolist() == held_out_images(digits, count, seed=0).tolist()
    assert held_out_images(digits, 50, 0).tolist() != held_out_images(digits, 50, 1).tolist()
    rare = dataclasses.replace(
        digits, labels=tuple(9 if place in validation and label != 3 else label for place, label in enumerate(labels))
    )
    assert set(np.asarray(rare.labels)[held_out_images(rare, 2, 0)]) == {3, 9}, "the rare class, too"
    learned = digits.with_validation(held_out_images(digits, 50, 0).tolist())
    assert learned.indices("validation").tolist() == held_out_images(digits, 50, 0).tolist()
    assert len(learned.indices("train")) == len(digits.indices("train")) + len(validation) - 50


@pytest.fixture(scope="module")
def tiny() -> Network:
    base = dataclasses.replace(network("mobilenet_v1", 10, 16), in_channels=1)
    return resize(base, Scaling(width=0.25, depth=0.3))


def test_the_temperature_lies_with_the_weights_and_files_without_one_have_1(tiny: Network, tmp_path: Path) -> None:
    row, classes = dataclasses.asdict(default_preprocessing(1)), [str(digit) for digit in range(10)]
    file = tmp_path / "weights.safetensors"
    save_weights(file, build(tiny, seed=1), classes, row, temperature=0.618)
    assert load_model(file).temperature == load_run(file).temperature == 0.618
    assert load_model(file).notes == {}
    tensors, metadata = load_tensors(file)
    for text, found in ((None, 1.0), ("0", None), ("nan", None), ("warm", None)):
        other = {name: value for name, value in metadata.items() if name != "temperature"}
        save_tensors(file, tensors, other if text is None else other | {"temperature": text})
        if found is not None:
            assert load_run(file).temperature == found
            continue
        with pytest.raises(ValueError, match="is damaged: its temperature is") as caught:
            load_run(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"temperature is 0\.0; it must be a number above 0"):
        save_weights(file, build(tiny, seed=1), classes, row, temperature=0.0)


@pytest.fixture(scope="module")
def rung(tiny: Network, tmp_path_factory: pytest.TempPathFactory) -> TrainingJob:
    """A short label-smoothed training on the digits, with its checkpoints."""
    plain = dataclasses.replace(
        MODERN.augmentation, flip=0.0, crop_scale=None, randaugment=None, mixup_alpha=0.0, cutmix_alpha=0.0
    )
    recipe = dataclasses.replace(MODERN, ema_share=0.0, augmentation=plain)
    assert recipe.label_smoothing == 0.1
    run = tmp_path_factory.mktemp("rung")
    config = TrainingConfig("tiny", tiny, recipe, default_preprocessing(1), seed=0, batch=32, steps=80, warmup_steps=4)
    context = JobContext("digits", 0, 8, str(run / "training"))
    job = TrainingJob(config, context, "rung-0", "race/tiny", trunk_until=30, cooldown_steps=30)
    assert run_job(job)
    return job


def copied(job: TrainingJob, run: Path) -> TrainingJob:
    """The job with its files in another run's folder."""
    shutil.copytree(job.context.folder, run / "training")
    return job.at(dataclasses.replace(job.context, folder=str(run / "training")))


@pytest.fixture(scope="module")
def trained(
    rung: TrainingJob, digits: ImageSet, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult]:
    """A finished run of that training, which has not learned from the validation images."""
    run = tmp_path_factory.mktemp("trained")
    save_record(run, train_record("digits", digits, rung.config.network))
    metrics = finalize(copied(rung, run), digits, pixels)
    write_json(run / TRAIN.file, {"format": TRAIN.format, **to_plain(metrics)})
    _, found = read_finished(TRAIN, run)
    assert metrics_of(found) == metrics, "nothing is lost on the way through the file"
    return run, found


def metrics_of(found: TrainResult) -> Metrics:
    return Metrics(**{field.name: getattr(found, field.name) for field in dataclasses.fields(Metrics)})


def test_the_calibration_error_of_a_label_smoothed_training_falls(
    trained: tuple[Path, TrainResult], digits: ImageSet
) -> None:
    run, done = trained
    found = done.calibration
    assert found.split == "validation" and found.images == len(digits.indices("validation"))
    assert 0.2 < found.temperature < 0.9, "soft targets leave answers less sure than they are right"
    assert found.error_after < found.error_before
    assert found.test_error_before is not None and found.test_error_after is not None
    assert found.test_error_after < found.test_error_before - 0.02
    assert found.test_error_after == done.test.expected_calibration_error
    assert (
        load_run(run).temperature == found.temperature == read_json(run / "metrics.json")["calibration"]["temperature"]
    )


def test_what_is_promised_of_a_run_lies_in_its_files_and_is_held_against_the_test_images(
    trained: tuple[Path, TrainResult], digits: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    run, done = trained
    found = load_run(run).trust
    assert found is not None and found == done.trust and found.networks == 1
    assert found.images == len(digits.indices("validation")) == found.curve[-1].answered
    assert round(found.images * (1 - done.validation.top1)) == found.curve[-1].wrong
    promise = found.promise(0.3)
    again = evaluate(run, split="validation", max_error=0.3).promise
    assert again is not None and again.promise == promise, "the images that it was found on"
    assert abs(again.answered - promise.answered) <= 1 and again.wrong <= promise.wrong + 1
    assert [one.promise for one in done.promises] == list(found.promises())
    tested = evaluate(run, max_error=0.3)
    assert tested.promise is not None and dataclasses.replace(tested, promise=None) == done.test
    assert "promise" not in done.test.to_dict() and Evaluation.from_dict(tested.to_dict()) == tested
    assert main(["evaluate", str(run), "--max-error", "30%"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "is wrong on at most 30 % of those, with 95 % confidence" in said and f"of {tested.promise.answered})" in said
    )


def test_every_answer_of_a_run_uses_its_temperature(
    trained: tuple[Path, TrainResult], digits: ImageSet, pixels: Pixels, capsys: pytest.CaptureFixture[str]
) -> None:
    run, done = trained
    loaded, indices = load_run(run), digits.indices("test")
    assert evaluate(run) == done.test and evaluate(run, split="validation") == done.validation
    warm, plain = (
        probabilities(loaded.model, digits, pixels, indices, loaded.preprocessing, temperature=temperature)
        for temperature in (loaded.temperature, 1.0)
    )
    labels = np.asarray(digits.labels)[indices]
    by_hand, without = (score(shares, labels, digits.classes) for shares in (warm, plain))
    assert by_hand.expected_calibration_error == pytest.approx(done.test.expected_calibration_error, abs=1e-6)
    assert by_hand.log_loss == pytest.approx(done.test.log_loss, abs=1e-6)
    assert without.top1 == done.test.top1 and without.log_loss is not None and done.test.log_loss is not None
    assert done.test.log_loss < without.log_loss
    assert main(["evaluate", str(run)]) == 0
    assert f"{done.test.log_loss:.3f}" in capsys.readouterr().out


@pytest.mark.parametrize(("held_out", "split", "count"), [(50, "held out", 50), (0, "race", 179)])
def test_a_final_training_that_learns_validation_is_calibrated_on_what_it_has_not_learned(
    held_out: int, split: str, count: int, rung: TrainingJob, digits: ImageSet, pixels: Pixels, tmp_path: Path
) -> None:
    """Or, where none stays out, by the network's last rung."""
    earlier = copied(rung, tmp_path)
    final = dataclasses.replace(
        earlier, name="final", phase="final", cooldown_steps=8, learns_validation=True, held_out=held_out
    )
    assert run_job(final)
    kept = held_out_images(digits, held_out, 0)
    resumed = copied(final, tmp_path / "resumed")
    done = finalize(final, digits, pixels, earlier)
    assert finalize(resumed, digits, pixels, earlier.at(resumed.context)) == done, "whoever ends the run"
    files = [folder / "weights.safetensors" for folder in (tmp_path, tmp_path / "resumed")]
    assert files[0].read_bytes() == files[1].read_bytes()
    found = done.calibration
    assert (found.split, found.images) == (split, count)
    trust = load_run(tmp_path).trust
    assert trust == done.trust and (trust is None) == (split == "race"), "the last rung's answers are another model's"
    assert str(count) in found.basis and (split == "race") == ("last rung" in found.basis)
    written = read_split(tmp_path)
    assert written.held_out == tuple(digits.files[index] for index in kept) and len(kept) == done.held_out == held_out
    assert written.learned == done.learned == ("train", "validation")
    assert learned_files(tmp_path) == {*written.train, *written.validation} - {*written.held_out}


def test_what_stays_out_is_not_learned(digits: ImageSet, tmp_path: Path, trained: tuple[Path, TrainResult]) -> None:
    """A warning counts the images that a run learned from, and those that stayed out are not among them."""
    run = shutil.copytree(trained[0], tmp_path / "run")
    validation = len(digits.indices("validation"))
    for held_out in (0, 50):
        write_split(run, digits, ("train", "validation"), held_out_images(digits, held_out, 0).tolist())
        with pytest.warns(UserWarning, match=f"learned from {validation - held_out} of these {validation} images"):
            evaluate(run, split="validation")
    write_json(run / "split.json", {**read_json(run / "split.json"), "held_out": "some"})
    with pytest.raises(ValueError, match=r"split\.json is damaged: held_out is 'some'; it must be an array"):
        evaluate(run, split="validation")


def test_a_model_that_has_learned_nothing_keeps_1(tiny: Network, digits: ImageSet, pixels: Pixels) -> None:
    validation = digits.indices("validation")
    model = build(tiny, seed=0).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(1000)  # sure, and right by luck
    held_out = answer_held_out(model, digits, pixels, validation, "validation", default_preprocessing(1))
    found = held_out.calibration()
    assert found.temperature == 1.0 and found.error_after == found.error_before
    assert found.basis.startswith("left as it was")
    few = answer_held_out(model, digits, pixels, validation[:20], "validation", default_preprocessing(1)).calibration()
    assert few.temperature == 1.0 and few.basis.startswith("not fitted, for 20 validation images are too few")


def test_a_result_of_another_version_is_refused_in_one_line(trained: tuple[Path, TrainResult], tmp_path: Path) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    metrics = read_json(run / "metrics.json")
    write_json(run / "metrics.json", {**metrics, "format": "budgetnet.metrics.v1"})
    with pytest.raises(ValueError, match=r"metrics\.json .* has the format 'budgetnet.metrics.v1'; this version reads"):
        read_finished(TRAIN, run)
    del metrics["calibration"]
    write_json(run / "metrics.json", metrics)
    with pytest.raises(ValueError, match=r"metrics\.json .*: calibration is missing; put the file back") as caught:
        read_finished(TRAIN, run)
    assert "\n" not in str(caught.value)
