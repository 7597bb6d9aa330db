"""The study of activations: what is replaced, smoothness that is known, the same numbers whatever kills a training."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from support.executor import InlineExecutor
from support.formats import hold
from support.killed import kill_when, start
from support.legible import unreadable
from support.networks import PLAIN
from support.page import Page

import budgetnet
from budgetnet import activation_study, network
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet, default_preprocessing, open_images
from budgetnet.data.batches import Batch
from budgetnet.experiments.activations.findings import findings
from budgetnet.experiments.activations.measures import MEASURES, last_steps
from budgetnet.experiments.activations.networks import (
    SMALL,
    activation_name,
    activation_title,
    base_for,
    parse_activation,
    with_activation,
)
from budgetnet.experiments.activations.pictures.cards import (
    beta_cards,
    betas_sheet,
    gradient_cards,
    loss_cards,
    training_sheet,
)
from budgetnet.experiments.activations.pictures.look import looks
from budgetnet.experiments.activations.plan import probe_steps
from budgetnet.experiments.activations.probe import ModelProbe, Probe, probe
from budgetnet.experiments.activations.report import study_command
from budgetnet.experiments.activations.result import Study, differences_of, studied_activation
from budgetnet.experiments.activations.training import ProbedTraining, TrainingRecord, read_training, train_and_probe
from budgetnet.inspect.landscape.page import write_functions
from budgetnet.model.build import build
from budgetnet.model.files import save_tensors
from budgetnet.networks import IDENTITY, RELU, SIGMOID, Activation, Head, Network, Squeeze, Stage, Stem
from budgetnet.statistics import from_seeds, mean_interval
from budgetnet.training.augmenting import Augment
from budgetnet.training.job import JobContext, whole_job
from budgetnet.training.recipe import MODERN, trained_network
from budgetnet.training.trainer import Trainer, TrainingSpec

Capture = pytest.CaptureFixture[str]
TINY = Network(
    "tiny",
    Stem(4, stride=2, activation=RELU),
    (Stage(8, stride=2, expansion=2.0, squeeze=Squeeze(0.5), activation=RELU),),
    Head(8, activation=RELU),
    resolution_px=(16, 16),
)
TRAINED = Activation("swish", trainable=True)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.mark.parametrize("name", ["relu", "swish", "swish:0.5", "swish:trainable", "swish:0.5:trainable"])
def test_names_are_read_back(name: str) -> None:
    assert activation_name(parse_activation(name)) == name
    assert activation_name(parse_activation(parse_activation(name))) == name


def test_titles() -> None:
    titles = [activation_title(parse_activation(name)) for name in ("relu", "swish", "swish:2", "swish:2:trainable")]
    assert titles == ["ReLU", "Swish", "Swish β = 2", "Swish with trained β from 2"]


@pytest.mark.parametrize(("name", "words"), [("relu:trainable", "only swish"), ("mish:trainable", "choose from relu")])
def test_no_activation_is_one_line(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        parse_activation(name)
    assert "\n" not in str(error.value)


def test_an_activation_is_replaced_everywhere_but_in_gates() -> None:
    twin = with_activation(network("mobilenet_v3_small"), TRAINED)
    rows = [conv.activation for conv in twin.convs()]
    gates = [stage.squeeze.gate for stage in twin.stages if stage.squeeze]
    assert {row for row in rows if row not in gates} == {TRAINED, IDENTITY}
    assert gates == [stage.squeeze.gate for stage in network("mobilenet_v3_small").stages if stage.squeeze]
    linear = [conv.activation == IDENTITY for conv in network("mobilenet_v3_small").convs()]
    assert linear == [row == IDENTITY for row in rows], "what is linear stays so"
    assert with_activation(SMALL, TRAINED).stages[0].squeeze == Squeeze(0.25, inner=TRAINED, gate=SIGMOID)


def test_twins_of_a_seed_begin_with_the_same_weights() -> None:
    relu, trained = (build(with_activation(TINY, row), seed=3).state_dict() for row in (RELU, TRAINED))
    assert all(torch.equal(tensor, trained[name]) for name, tensor in relu.items())
    assert {name.rpartition(".")[2] for name in trained.keys() - relu.keys()} == {"beta"}


def test_a_network_without_activations_is_refused() -> None:
    linear = dataclasses.replace(
        TINY,
        stem=Stem(4, activation=IDENTITY),
        stages=(Stage(8, activation=IDENTITY),),
        head=Head(None, activation=RELU),
    )
    with pytest.raises(ValueError, match="no activation to replace"):
        with_activation(linear, RELU)


def test_the_network_fits_the_images(digits: ImageSet) -> None:
    small = base_for(digits)
    assert (small.classes, small.in_channels, small.resolution_px) == (10, 1, (32, 32))
    assert base_for(digits, TINY).resolution_px == (16, 16)
    assert base_for(digits, "mobilenet_v3_small").resolution_px == (32, 32)
    wide = dataclasses.replace(digits, sizes_px=((300, 400),) * len(digits.sizes_px))
    assert base_for(wide).resolution_px == (64, 64)


def test_probes_come_evenly_and_at_the_end() -> None:
    assert probe_steps(400, 4) == (100, 200, 300, 400)
    assert probe_steps(3, 20) == (1, 2, 3)


def test_a_quadratic_is_as_smooth_as_it_is_known_to_be() -> None:
    """L = w A w / 2: g = A w, g_t - g = -t |w| A g / |g|, and the promise is off by t |w| g A g / (2 |g|^3)."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    a, w = root @ root.T, torch.randn(6, generator=generator, dtype=torch.float64)
    parts = [w[:2].clone().requires_grad_(), w[2:].clone().requires_grad_()]

    def loss() -> torch.Tensor:
        whole = torch.cat(parts)
        return whole @ a @ whole / 2

    lengths = (0.001, 0.01, 0.1)
    found = probe(loss, parts, lengths)
    g = a @ w
    unit, size = g / g.norm(), float(w.norm())
    curved = float((a @ unit).norm())
    assert found.loss == pytest.approx(float(w @ a @ w) / 2)
    assert (found.gradient_norm, found.weight_norm) == (pytest.approx(float(g.norm())), pytest.approx(size))
    assert found.smoothness == pytest.approx(curved)
    assert found.relative_smoothness == pytest.approx(curved * size / float(g.norm()))
    for length, change, error in zip(lengths, found.gradient_changes, found.first_order_errors, strict=True):
        assert change == pytest.approx(length * size * curved / float(g.norm()))
        assert error == pytest.approx(length * size * float(unit @ a @ unit) / (2 * float(g.norm())))
    there = [float((w - t * size * unit) @ a @ (w - t * size * unit)) / 2 for t in lengths]
    assert found.losses == pytest.approx(there)
    assert found.loss_range == pytest.approx(max(found.loss, *there) - min(found.loss, *there))
    assert torch.equal(torch.cat(parts).detach(), w), "the weights end as they began"


def test_a_line_keeps_every_promise_and_a_flat_loss_makes_none() -> None:
    w = [torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)]
    line = probe(lambda: (w[0] * torch.tensor([1.0, 2.0])).sum(), w)
    assert line.smoothness == line.gradient_change == 0 and line.first_order_error == pytest.approx(0, abs=1e-9)
    flat = probe(lambda: (w[0] * 0).sum(), w)
    assert math.isnan(flat.first_order_error) and math.isnan(flat.smoothness) and flat.gradient_norm == 0


def test_scaling_the_weights_or_the_loss_changes_no_relative_number() -> None:
    w = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def found(weights: float, losses: float) -> Any:
        at = [(w * weights).requires_grad_()]
        return probe(lambda: losses * torch.sin(at[0] / weights).sum(), at)

    one, other = found(1.0, 1.0), found(10.0, 7.0)
    assert other.relative_smoothness == pytest.approx(one.relative_smoothness)
    assert other.first_order_error == pytest.approx(one.first_order_error)
    assert other.smoothness == pytest.approx(one.smoothness * 7 / 100)


def test_a_probe_never_touches_the_model() -> None:
    model = build(with_activation(dataclasses.replace(TINY, in_channels=1, classes=3), TRAINED), seed=0).train()
    images = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    batch = Batch(images, torch.arange(8) % 3, None, np.arange(8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    probing = ModelProbe(model, batch, 0.1)
    state = torch.random.get_rng_state()
    first = probing.at(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state) and all(one.grad is None for one in model.parameters())
    assert probing.at(model) == first, "the same weights give the same numbers"
    with torch.no_grad():
        model.classifier.weight.add_(0.1)
    assert probing.at(model) != first
    assert first.losses[0] < first.loss and 0 < first.first_order_errors[0] < first.first_order_errors[-1]


def test_an_interval_over_seeds_is_students() -> None:
    values = [0.1, 0.3, 0.25, 0.2]
    low, high = mean_interval(from_seeds(values))
    known = stats.ttest_1samp(values, 0.0)
    assert (low, high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert from_seeds(values).p_value == pytest.approx(known.pvalue)
    assert from_seeds([0.5]).error_seeds is None
    with pytest.raises(ValueError, match="at least one seed"):
        from_seeds([])


def made(out: Path, executor: InlineExecutor, **options: Any) -> Study:
    asked: dict[str, Any] = {"seeds": 2, "steps": 8, "probes": 2, "probe_images": 16, "network": TINY, **options}
    return activation_study("digits", out=out, cluster=executor, **asked)


@pytest.mark.slow
def test_a_study_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = InlineExecutor()
    write_functions(tmp_path / "one", budgetnet.inspect.landscape.functions_landscape(["relu"]), 6.0)
    study = made(tmp_path / "one", executor)
    twins = ("relu", "swish", "swish:trainable")
    assert executor.started == [f"training/{twin}, seed {seed}" for seed in (0, 1) for twin in twins], "rounds"
    run = tmp_path / "one" / "training"
    assert study.run == run
    hold(json.loads((run / "plan.json").read_text()), "plan.json, landscape training")
    row = json.loads((run / "training.json").read_text())
    hold(row, "TrainingLandscape")
    assert all(path.stat().st_size for path in study.files)
    assert {path.suffix for path in run.glob("pictures/steps-loss.*")} == {".png", ".svg"}
    assert 'href="training/report.html"' in (tmp_path / "one" / "landscape.html").read_text(encoding="utf-8")
    by_hand(study, run)
    page_of(run, study)
    can_be_read(study)
    assert not list(run.glob("training/*/*.pt")) and not list(run.glob("training/*/*.safetensors"))
    executor.started.clear()
    again = made(tmp_path / "one", executor)
    assert values_of(again) == values_of(study) and executor.started == [], "a finished one is shown again"
    with pytest.raises(ValueError, match="begun with another number of seeds"):
        made(tmp_path / "one", executor, seeds=3)
    (run / "training.json").write_text(json.dumps({**row, "twins": 5}))
    with pytest.raises(ValueError, match=r"training.json .*twins is 5"):
        made(tmp_path / "one", executor)
    killed_and_resumed(tmp_path, run, executor, monkeypatch)


def values_of(study: Study) -> dict[str, Any]:
    return {field.name: getattr(study, field.name) for field in dataclasses.fields(study)}


def can_be_read(study: Study) -> None:
    """Texts are whole and large enough, lines differ by more than colour, on both sheets and on every card."""
    betas = betas_sheet(study)
    cards = {card.name: card.figure() for card in (*loss_cards(study), *gradient_cards(study), *beta_cards(study))}
    assert betas is not None
    for name, figure in {"sheet": training_sheet(study), "betas": betas, **cards}.items():
        assert not unreadable(figure), name
    lines = cards["steps-loss"].axes[0].get_lines()
    assert [line.is_dashed() for line in lines] == [True, False, True]
    assert len({str(look.dash) for look in looks(study.twins)}) == len(study.twins)
    fixed = {name: tuple(row for row in rows if row.a == "swish") for name, rows in study.differences.items()}
    assert betas_sheet(dataclasses.replace(study, twins=study.twins[:2], differences=fixed)) is None


def by_hand(study: Study, run: Path) -> None:
    """Measures and differences from the files of the trainings."""
    kept = {
        (twin.name, seed): dict(np.load(run / "answers" / f"{twin.name.replace(':', '-')}-seed{seed}.npz"))
        for twin in study.twins
        for seed in (0, 1)
    }
    for twin in study.twins:
        files = [kept[twin.name, seed] for seed in (0, 1)]
        values = {name: spread.values for name, spread in twin.measures.items() if spread is not None}
        assert list(values) == [measure.name for measure in MEASURES]
        assert values["last_loss"] == pytest.approx([one["losses"].mean() for one in files])
        right = [(one["probabilities"].argmax(1) == one["labels"]).mean() for one in files]
        assert values["accuracy"] == pytest.approx(right)
        for one, training in zip(files, twin.trainings, strict=True):
            assert one["betas"].shape == (8, len(twin.layers)) and len(training.probes) == 2
            assert training.betas[-1] == tuple(one["betas"][-1]) if twin.trainable else not training.betas
            probed = [np.median(np.array([row.loss_range for row in training.probes], float))]
            probed.append(np.median(np.array([row.first_order_error for row in training.probes], float)))
            assert probed == [values[name][training.seed] for name in ("loss_range", "first_order_error")]
    relu, swish = ([kept[name, seed]["train_losses"].mean() for seed in (0, 1)] for name in ("relu", "swish"))
    pair = next(one for one in study.differences["train_loss"] if (one.a, one.b) == ("swish", "relu"))
    assert pair.difference == pytest.approx(np.mean(swish) - np.mean(relu))
    assert pair.low is not None and pair.high is not None and pair.low < pair.difference < pair.high
    trained = study.twins[2]
    assert trained.layers and any(beta != 1.0 for beta in trained.trainings[0].betas[-1])
    first = [kept[name, 0]["losses"][0] for name in ("swish", "swish:trainable")]
    assert first[0] == pytest.approx(first[1], rel=1e-4), "the first batch sees the same network"


def page_of(run: Path, study: Study) -> None:
    """The page says what the numbers say, and needs nothing but itself."""
    source = (run / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert all(sentence in text for sentence in study.statement)
    assert all(measure.heading in text and measure.meaning in text for measure in MEASURES)
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", source)
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and set(re.findall(r"url\(#([^)]+)\)", source)) <= set(ids)
    command = " ".join(study_command(study.record).replace("\\\n", " ").split())
    assert command.startswith("budgetnet landscape training digits --network network.json --activations relu swish ")
    assert command.endswith("--recipe modern --seeds 2 --steps 8 --probes 2 --probe-images 16")


def killed_and_resumed(tmp_path: Path, run: Path, executor: InlineExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between what was seen and the checkpoint, of the last step but three: the same numbers."""
    monkeypatch.setenv("BUDGETNET_CHECKPOINT_SECONDS", "0")
    two: dict[str, Any] = {"seeds": 1, "activations": ("relu", "swish:trainable")}
    save = Trainer.save

    def dies(self: Trainer, path: Path) -> None:
        if self.step == 5:
            raise KeyboardInterrupt
        save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            made(tmp_path / "two", executor, **two)
    assert not list((tmp_path / "two").glob("training/answers/*"))
    with np.load(next((tmp_path / "two").glob("training/training/*/notes.npz"))) as seen:
        assert len(seen["losses"]) == 5, "one step more than the checkpoint has"
    made(tmp_path / "two", executor, **two)
    for name in ("relu-seed0", "swish-trainable-seed0"):
        once, twice = (np.load(out / "answers" / f"{name}.npz") for out in (run, tmp_path / "two" / "training"))
        assert once.files == twice.files
        assert all(np.array_equal(once[key], twice[key]) for key in once.files)


def test_a_damaged_file_of_an_unfinished_training_is_one_line(tmp_path: Path) -> None:
    small = dataclasses.replace(PLAIN, classes=10, in_channels=1, resolution_px=(8, 8))
    config = TrainingSpec("relu-seed0", small, MODERN, default_preprocessing(1), 0, 16).for_steps(4)
    training = whole_job(config, JobContext("digits", 0, 8, str(tmp_path / "training")), "training/relu, seed 0", 2)
    job, images = ProbedTraining(training, (2,), (0.1,), 16), open_images("digits", 0)
    training.folder.mkdir(parents=True)
    job.record.parent.mkdir()
    job.record.write_bytes(b"")
    save_tensors(training.weights, build(trained_network(small, MODERN, config.steps)).state_dict())
    training.scores.write_bytes(b"PK, and no more")
    job.notes.write_bytes(b"")
    with pytest.raises(ValueError, match=rf"{job.record} is damaged: .*--fresh"):
        read_training(job, images)
    with pytest.raises(ValueError, match=rf"{job.notes} is damaged: .*--fresh"):
        train_and_probe(job)
    np.savez(job.notes, losses=[0.1], betas=[[]], probes=[], lengths=[0.1])
    with pytest.raises(ValueError, match=rf"{training.scores} is damaged: .*--fresh"):
        train_and_probe(job)


def made_up(
    seed: int, loss: float, shift: float = 0.0, dead: int = 0, betas: Sequence[float] = (), learned: bool = True
) -> TrainingRecord:
    """A training that ended with that loss."""
    rows = 10
    return TrainingRecord(
        seed=seed,
        losses=np.full(rows, loss),
        betas=np.full((rows, len(betas)), betas) if betas else np.zeros((rows, 0)),
        layers=tuple(f"stages.{place}.activation" for place in range(len(betas))),
        probes=(Probe((0.1,), 2.0, 1.0, 1.0, (1.9,), (1.0 + shift + 0.01 * seed,)).values(),),
        train_indices=np.arange(100) + 100 * seed,
        train_losses=np.full(100, loss),
        indices=np.arange(100) + 100 * seed,
        right=np.arange(100) < 80,
        diverged=not math.isfinite(loss),
        learned=learned,
        units=50,
        dead=dead,
        silent=0,
        blocked_share=0.5,
    )


def said(relu: Sequence[float], swish: Sequence[float], shift: float = 0.0, **more: Any) -> str:
    records = {
        RELU: [made_up(seed, loss, dead=3) for seed, loss in enumerate(relu)],
        TRAINED: [made_up(seed, loss, shift, **more) for seed, loss in enumerate(swish)],
    }
    differences = differences_of({activation_name(activation): rows for activation, rows in records.items()})
    twins = [studied_activation(activation, rows) for activation, rows in records.items()]
    for twin in twins:
        hold(to_plain(twin), "StudiedActivation")
    return " ".join(findings(twins, differences))


def test_findings_claim_what_the_data_show_and_no_more() -> None:
    clear = said([0.5, 0.52, 0.51, 0.5], [0.4, 0.42, 0.41, 0.41], 0.5, betas=(0.5, 1.5))
    assert "Loss of the last steps, nats: shown to differ: Swish with trained β minus ReLU \N{MINUS SIGN}0.0" in clear
    assert "Change of the gradient along itself, of its length: shown to differ: " in clear and "+0.500" in clear
    assert "Validation accuracy, points: inside the spread: " in clear
    assert "Of 8 differences, all counted together (Holm), " in clear
    assert "ReLU 12 of 200 and Swish with trained β 0 of 200" in clear
    assert "of 2 layers, 1 ended above 1 in every seed and 1 below it" in clear
    assert "from 0.50 (stages.0.activation) to 1.50 (stages.1.activation), over all 1.00" in clear
    alike = said([0.5, 0.4, 0.45], [0.45, 0.44, 0.47])
    assert "Loss on training images, nats: inside the spread" in alike and "nats: shown to differ" not in alike
    assert "a poor minimum that comes less than once in 3 trainings" in alike and "learned nothing" not in alike
    assert "One seed is one training of each" in said([0.5], [0.4])
    lost = said([0.5, math.nan], [0.4, 0.4])
    assert "ReLU diverged in seed 1" in lost and "Loss of the last steps" not in lost
    assert "Swish with trained β learned nothing in seed 0 and 1" in said([0.5, 0.4], [2.4, 2.4], learned=False)


def test_measures_without_an_interval_are_not_counted_among_the_others() -> None:
    """One seed: of eight differences only those of images have an interval, and Holm counts these two alone."""
    pairs = differences_of({"a": [made_up(0, 0.5)], "b": [made_up(0, 0.4, 0.5)]})
    known = {name for name, rows in pairs.items() if rows[0].p_value is not None}
    assert known == {"train_loss", "accuracy"} and pairs["train_loss"][0].significant_holm
    assert all(pairs[name][0].low is None and not pairs[name][0].significant for name in pairs.keys() - known)
    alike = differences_of({name: [made_up(seed, 0.5) for seed in (0, 1, 2)] for name in "ab"})["dead_share"][0]
    assert (alike.low, alike.high, alike.p_value, alike.significant) == (0.0, 0.0, 1.0, False), "known, and nothing"


def test_the_loss_at_the_end_is_of_a_twentieth_of_the_steps() -> None:
    assert [last_steps(steps) for steps in (4, 50, 400)] == [4, 10, 20]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--activations", "mish"], "mish"),
        (["digits", "--activations", "relu:trainable"], "only swish"),
        (["digits", "--seeds", "0"], "seeds is 0"),
        (["digits", "--steps", "0"], "steps is 0"),
        (["digits", "--probes", "0"], "probes is 0"),
        (["digits", "--recipe", "magic"], "modern"),
        (["digits", "--network", "nothing"], "nothing"),
        (["digits", "--network", "linear.json"], "no activation to replace"),
        (["digits", "--out", "linear.json"], "give a folder"),
        (["nowhere"], "there is no folder nowhere"),
        ([], "give DATA, a folder with a folder of images for each class"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    linear = dataclasses.replace(
        TINY, stem=Stem(4, activation=IDENTITY), stages=(Stage(8, activation=IDENTITY),), head=Head(None)
    )
    (tmp_path / "linear.json").write_text(linear.to_json(), encoding="utf-8")
    assert main(["landscape", "training", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    assert not list(tmp_path.glob("landscape/*"))


@pytest.mark.slow
def test_the_command_prints_its_numbers(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "tiny.json").write_text(TINY.to_json(), encoding="utf-8")
    arguments = ["landscape", "training", "digits", "--network", str(tmp_path / "tiny.json")]
    arguments += ["--activations", "relu,gelu", "--seeds", "1", "--steps", "2", "--probes", "1"]
    arguments += ["--probe-images", "8", "--out", str(tmp_path / "here")]
    assert main([*arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "landscape training --json")
    assert {one["low"] for one in row["training"]["differences"]["last_loss"]} == {None}
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "ReLU" in out and "gelu" in out.lower() and str(tmp_path / "here" / "training" / "report.html") in out
    assert "Validation accuracy, %" in out and "Dead units, all seeds" in out
    assert "One seed is one training of each" in " ".join(out.split())


def test_arguments_reach_the_study(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def noted(data: str, **more: object) -> None:
        seen.update(more, data=data)
        raise ValueError("noted")

    monkeypatch.setattr(budgetnet, "activation_study", noted)
    main(
        ["landscape", "training", "photos", "--network", "mobilenet_v2", "--activations", "relu", "swish:2,gelu",
         "--seeds", "3", "--steps", "70", "--recipe", "paper", "--probes", "7", "--probe-images", "30",
         "--out", str(tmp_path), "--fresh", "--augment", "none"]
    )  # fmt: skip
    capsys.readouterr()
    assert seen.pop("progress") is not None
    assert seen == {
        "data": "photos",
        "network": "mobilenet_v2",
        "activations": ("relu", "swish:2", "gelu"),
        "seeds": 3,
        "steps": 70,
        "augment": Augment("off", "off", "off", "off"),
        "recipe": "paper",
        "probes": 7,
        "probe_images": 30,
        "out": tmp_path,
        "device": "auto",
        "cluster": None,
        "fresh": True,
    }


def test_the_old_name_says_the_new_one() -> None:
    with pytest.raises(AttributeError, match=r"budgetnet\.train_twins is now called budgetnet\.activation_study"):
        _ = budgetnet.train_twins


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_anywhere_it_ends_with_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(TINY.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "budgetnet", "landscape", "training", "digits", "--seeds", "2", "--steps", "40"]
    command += ["--network", str(tmp_path / "tiny.json"), "--activations", "relu", "swish:trainable", "--out"]
    first, second = tmp_path / "first", tmp_path / "second"
    kill_when([*command, str(first)], lambda: (first / "training" / "plan.json").exists())
    kill_when([*command, str(first)], lambda: any(first.glob("training/answers/*.npz")))
    assert start([*command, str(first)]).wait() == 0
    assert start([*command, str(second)]).wait() == 0
    assert json.loads((first / "training/training.json").read_text()) == json.loads(
        (second / "training/training.json").read_text()
    )
