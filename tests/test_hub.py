"""Folders for the Hugging Face hub: timm and the hub's own reader take them, and they answer as the run does."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, ModelCardData
from PIL import Image
from support.drawn import filled, images
from support.drawn_weights import NETWORK
from support.formats import hold

import budgetnet
from budgetnet.budgets.budget import Budget
from budgetnet.cli import main
from budgetnet.model.build import Model
from budgetnet.model.licences import ROWS as LICENCES
from budgetnet.model.licences import licence_of
from budgetnet.model.seal import sealed
from budgetnet.model.timm_names import TimmModel, as_timm_has_it, timm_model, timm_names
from budgetnet.model.trust import trust_of
from budgetnet.model.weights import load_model, save_weights
from budgetnet.networks import Network
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.runs.run import load_run
from budgetnet.ship.exported import ExportedFile
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.hub import make as making
from budgetnet.ship.hub.card import UNKNOWN, card_of
from budgetnet.ship.subject import Origin, Subject
from budgetnet.training.predict import Prediction

timm = pytest.importorskip("timm", reason="timm is not installed")

torch.set_num_threads(1)
SMALL = dataclasses.replace(
    resize(budgetnet.network("mobilenet_v3_small_50", 10, 32), Scaling(), name="small"), in_channels=1
)
"""timm has it: mobilenetv3_small_050."""
DIGITS = list("0123456789")
PREPROCESSING = {"mean": [0.4], "std": [0.25], "interpolation": "bicubic"}
TRUST = trust_of(np.eye(10).repeat(40, 0) * 5, np.arange(10).repeat(40))


def drawn_model(network: Network) -> Model:
    model = filled(Model(network))
    assert isinstance(model, Model)
    return model


def saved(folder: Path, network: Network, classes: list[str] = DIGITS) -> Path:
    file = folder / "weights" / "tiny.safetensors"
    file.parent.mkdir()
    save_weights(file, drawn_model(network), classes, PREPROCESSING, {"side_px": "40"}, 2.5, TRUST)
    return file


def exported(weights: Path, name: str = "hub") -> ExportedFile:
    (file,) = budgetnet.export(weights, to="hub", data="digits", out=weights.with_name(name)).files
    return file


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("hub"), SMALL)


@pytest.fixture(scope="module")
def file(weights: Path) -> ExportedFile:
    return exported(weights)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that timm does not have."""
    weights = saved(tmp_path_factory.mktemp("own"), NETWORK)
    exported(weights)
    return weights


@pytest.fixture(params=["timm's", "our own"])
def pair(request: pytest.FixtureRequest, weights: Path, file: ExportedFile, own: Path) -> tuple[Path, Path]:
    """A weights file and its folder for the hub."""
    return (weights, Path(file.file)) if request.param == "timm's" else (own, own.with_name("hub"))


def answers(model: torch.nn.Module, side: int = 32) -> np.ndarray:
    drawn = torch.randn(20, 1, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.eval()(drawn).numpy()


# timm


def test_timm_loads_the_folder_and_answers_as_the_run(weights: Path, file: ExportedFile) -> None:
    assert file.parity is not None and file.parity < MOST_DIFFERENCE and file.top1 == file.float_top1
    assert file.latency_ms is None and file.arena_bytes is None and file.dtype == "float32"
    theirs = timm.create_model(f"local-dir:{file.file}", pretrained=True)
    expected = answers(load_model(weights).model)
    assert np.abs(answers(theirs) - expected).max() < MOST_DIFFERENCE * expected.std()
    assert {one.name for one in Path(file.file).iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert file.bytes == sum(one.stat().st_size for one in Path(file.file).iterdir())


def test_the_cards_own_lines_answer_as_predict_does(file: ExportedFile, tmp_path: Path) -> None:
    """At the network's size, where no library resizes."""
    photo = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    Image.fromarray(pixels).save(photo)
    (lines,) = re.findall(r"```python\n(.*?)```", Path(file.file, "README.md").read_text(), re.S)
    asked = lines.replace("hf-hub:OWNER/NAME", f"local-dir:{file.file}").replace("photo.jpg", str(photo))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(asked, {})
    name, probability = said.getvalue().split()
    (expected,) = budgetnet.predict(file.file, photo)
    assert isinstance(expected, Prediction)
    label, sure = expected.top[0]
    assert name == label and float(probability) == pytest.approx(sure, abs=1e-4)


LARGE_EPS = dataclasses.replace(budgetnet.network("mobilenet_v2").norm, eps=1e-3)
FORMS: dict[str, tuple[Network, TimmModel | None]] = {
    "as published": (budgetnet.network("tinynet_e"), TimmModel("tinynet_e")),
    "another size of images": (budgetnet.network("efficientnet_lite0", 7, 96), TimmModel("efficientnet_lite0")),
    "a width": (budgetnet.network("mnasnet_b1_50"), TimmModel("mnasnet_050")),
    "a depth": (
        budgetnet.scale(budgetnet.network("mobilenet_v2_35"), 1, "depth"),
        TimmModel("mobilenetv2_035", {"depth_multiplier": 2.0}),
    ),
    "TensorFlow's form": (
        dataclasses.replace(budgetnet.network("mobilenet_v3_small"), padding="same", norm=LARGE_EPS),
        TimmModel("tf_mobilenetv3_small_100"),
    ),
    "padding and epsilon": (
        dataclasses.replace(budgetnet.network("mobilenet_v2_35"), padding="same", norm=LARGE_EPS),
        TimmModel("mobilenetv2_035", {"pad_type": "same", "bn_eps": 1e-3}),
    ),
    "width and depth": (
        budgetnet.scale(budgetnet.network("efficientnetv2_b0"), -4),
        TimmModel(
            "tf_efficientnetv2_b0",
            {"pad_type": "", "bn_eps": 1e-5, "depth_multiplier": 0.5, "channel_multiplier": 0.68},
        ),
    ),
    "widths that timm fixes": (budgetnet.scale(budgetnet.network("efficientnet_lite0"), -2), None),
    "ours alone": (NETWORK, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_timm_computes_what_the_network_does(form: str) -> None:
    network, expected = FORMS[form]
    found = timm_model(network)
    assert found == expected
    if found is None:
        return
    model = drawn_model(network)
    theirs = timm.create_model(found.name, num_classes=network.classes, **found.arguments)
    theirs.load_state_dict(as_timm_has_it(model, theirs.state_dict()))
    for height, width in ((64, 64), (65, 97)):
        drawn = images(2, 3, height, width).double()
        with torch.inference_mode():
            expected, found_there = model.double()(drawn), theirs.double().eval()(drawn)
        assert (found_there - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs"), list(timm_names()))
def test_every_name_of_timm_is_of_that_network(ours: str, theirs: str) -> None:
    network = budgetnet.network(ours)
    assert timm_model(network) == TimmModel(theirs)
    with torch.device("meta"):
        model, other = Model(network), timm.create_model(theirs)
    shapes = {name: tensor.shape for name, tensor in as_timm_has_it(model, other.state_dict()).items()}
    assert shapes == {name: tensor.shape for name, tensor in other.state_dict().items()}


def test_a_timm_that_computes_otherwise_is_told_by_the_test_images(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TimmModel("mobilenetv3_small_050", {"bn_eps": 0.5})
    monkeypatch.setattr(making, "timm_model", lambda network: other)
    with pytest.raises(ValueError, match=r"makes other logits than the run's model, by .*; take another timm"):
        exported(weights, "otherwise")
    assert not weights.with_name("otherwise").exists() and not list(weights.parent.glob(".*"))


def test_without_timm_one_line_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"\(mobilenetv3_small_050\).*pip install 'budgetnet\[hub\]'"):
        exported(weights, "without")
    assert not weights.with_name("without").exists()


# Read back


def test_all_that_answering_takes_comes_back(pair: tuple[Path, Path]) -> None:
    before, after = (load_run(source) for source in pair)
    assert after.network == before.network and after.classes == before.classes
    assert after.preprocessing == before.preprocessing and after.side_px == before.side_px == 40
    assert after.temperature == before.temperature == 2.5 and after.trust == before.trust is not None
    for name, tensor in before.model.state_dict().items():
        assert torch.equal(tensor, after.model.state_dict()[name]), name


def test_it_answers_as_the_run(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert budgetnet.evaluate(pair[1], "digits") == budgetnet.evaluate(pair[0], "digits")
    Image.effect_noise((50, 40), 90).save(tmp_path / "noise.png")
    ours, folders = (next(iter(budgetnet.predict(source, tmp_path / "noise.png", top=10))) for source in pair)
    assert ours == folders


def test_weights_and_pretrained_take_it(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    source, folder = pair
    network = load_model(source).network
    filling = budgetnet.load_weights(budgetnet.build(network, seed=1), folder)
    assert np.array_equal(answers(filling), answers(load_model(source).model))
    wider = resize(network, Scaling(width=1.5), name="wider")
    assert budgetnet.inherit(budgetnet.build(wider, seed=0), folder).network == wider
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file, **_: str(folder / file))
    assert load_model("hf-hub:me/mine").temperature == 2.5
    assert load_run("hf-hub:me/mine@main").trust == TRUST


# The card


def card(folder: str | Path) -> ModelCard:
    return ModelCard.load(Path(folder) / "README.md")


def header(of: ModelCard) -> ModelCardData:
    assert isinstance(of.data, ModelCardData)
    return of.data


def test_the_hubs_own_reader_takes_the_header(file: ExportedFile, own: Path) -> None:
    data = header(card(file.file))
    assert (data.library_name, data.pipeline_tag, data.license) == ("timm", "image-classification", "unknown")
    assert data.tags == ["image-classification", "timm", "transformers", "budgetnet"] and data.metrics == ["accuracy"]
    assert data.model_name == "small" and data.eval_results is not None
    first, top5 = data.eval_results
    assert first.metric_type == "accuracy" and first.metric_value == pytest.approx(file.top1, abs=5e-5)
    assert (first.dataset_name, first.dataset_split) == ("digits", "test") and top5.metric_value >= first.metric_value
    assert header(card(own.with_name("hub"))).library_name == "budgetnet"


def test_a_result_has_its_interval_in_its_name(file: ExportedFile) -> None:
    name = (header(card(file.file)).eval_results or [])[0].metric_name or ""
    found = re.fullmatch(r"Accuracy \(95 % interval (0\.\d{4}) to (0\.\d{4}), ([\d,]+) images\)", name)
    assert found is not None and found[3] == f"{file.images:,}"
    assert [float(found[1]), float(found[2])] == pytest.approx([file.top1_low, file.top1_high], abs=5e-5)


# Of the hub's list of licences, docs/hub/repositories-licenses.md of huggingface/hub-docs at 008d54d.
LICENCES_OF_THE_HUB = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-nc-4.0", "unknown", "other"}


def test_licences_are_words_of_the_hub() -> None:
    assert {licence.id for _, licence in LICENCES} | {UNKNOWN} <= LICENCES_OF_THE_HUB


def test_the_text_says_how_well_and_how(file: ExportedFile, own: Path) -> None:
    text = card(file.file).text
    assert f"| likeliest class right | {100 * file.top1:.1f}\N{NO-BREAK SPACE}% | {100 * file.top1_low:.1f} to" in text
    assert "hf-hub:OWNER/NAME" in text and "It was made without limits." in text
    assert "What it was trained on is not known" in text and "images of digits, in float32" in text
    lines = card(own.with_name("hub")).text.splitlines()
    assert any(line.startswith("timm has no network of this form") for line in lines)
    assert "import timm" not in lines
    assert "architecture" not in json.loads(own.with_name("hub").joinpath("config.json").read_text())


@pytest.fixture(scope="module")
def subject(weights: Path) -> Subject:
    from budgetnet.data import data_of

    return Subject.of(str(weights), data_of("digits"), None)


@pytest.mark.parametrize(
    ("source", "licence", "words"),
    [
        ("lite0", "apache-2.0", "began from the weights lite0, which are under apache-2.0 (by the LICENSE file"),
        ("hf-hub:timm/resnet50.tv_in1k", "bsd-3-clause", "which are under bsd-3-clause (by timm"),
        ("/home/me/secret/parent.pth", "unknown", "the weights parent.pth, whose licence budgetnet does not know"),
        ("hf-hub:somebody/net", "unknown", "the weights hf-hub:somebody/net, whose licence budgetnet does not know"),
        (None, "unknown", "The training began from drawn weights"),
    ],
)
def test_the_licence_of_the_parent_is_known_or_to_be_filled_in(
    source: str | None, licence: str, words: str, subject: Subject
) -> None:
    begun = dataclasses.replace(subject, origin=Origin(trained_here=True, began_from=source, images=None))
    made = ModelCard(card_of(begun, None, 1000))
    assert header(made).license == licence and words in made.text.replace("\\", "")
    assert ("**Fill" in made.text) == (licence == "unknown")
    assert "secret" not in str(made), "where it lies on this machine is nobody's business"


def test_licences_are_those_that_timm_says() -> None:
    known = 0
    for name in timm.list_pretrained():
        if (licence := licence_of(f"hf-hub:timm/{name}")) is not None:
            known += 1
            assert timm.get_pretrained_cfg(name).license == licence.id, name
    assert known > 100
    assert licence_of("hf-hub:timm/efficientnet_b0.ra_in1k@main") is not None
    assert licence_of("lite3") is None and licence_of("lite0/mine") is None


def test_the_budget_is_that_of_the_run(subject: Subject) -> None:
    budget = Budget(macs=2_000_000, weight_bytes=700 << 10, dtype="int8")
    text = card_of(dataclasses.replace(subject, budget=budget), None, 1000)
    price = budgetnet.cost(SMALL, dtype="int8")
    assert f"| Multiply-adds (MACs) | 2,000,000 | {price.macs:,} | {2_000_000 - price.macs:,} |" in text
    assert f"| Weights | 716,800 | {price.weight_bytes:,} |" in text and "The weights here are in float32" in text


def test_odd_names_stay_names(subject: Subject) -> None:
    odd = ("a|b", "<script>", "*stars*", "two\nlines", "\udce9", "---", *map(str, range(4)))
    loaded = dataclasses.replace(subject.loaded, classes=odd)
    made = ModelCard(card_of(dataclasses.replace(subject, loaded=loaded), None, 1000))
    assert r"a\|b, \<script\>, \*stars\*, two lines" in made.text
    str(made).encode()


def test_a_run_says_its_images_and_its_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    budgetnet.train("digits", SMALL, epochs=1, out=run, budget=Budget(macs=2_000_000, weight_bytes=10**6, dtype="int8"))
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["weight_bytes"] = 10_000
    (run / "plan.json").write_text(json.dumps(plan))
    assert main(["export", str(run), "--to", "hub"]) == 2, "it breaks its budget"
    assert "of weight_bytes" in capsys.readouterr().err and not (run / "hub").exists()
    plan["request"]["budget"]["weight_bytes"] = 1_000_000
    (run / "plan.json").write_text(json.dumps(plan))
    assert main(["export", str(run), "--to", "hub", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    hold(answer, "export --json")
    (row,) = answer["files"]
    assert (row["format"], row["file"]) == ("hub", str(run / "hub"))
    assert {one["name"] for one in row["keeps"]} == {"macs", "weight_bytes"}, "counted in int8, as asked"
    text = card(run / "hub").text
    assert "which neither training nor any choice has seen" in text and "Trained on digits: 1,259 images" in text
    assert str(tmp_path) not in text + (run / "hub" / "config.json").read_text()
    assert budgetnet.evaluate(run / "hub") == budgetnet.evaluate(run)
    assert main(["export", str(run), "--to", "hub"]) == 2
    assert "is there and not empty" in capsys.readouterr().err


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "weights"], "is there and not empty; remove it"),
        (["--out", "weights/tiny.safetensors"], "is a file; give --out the name of a new folder"),
        (["--out", "nowhere/hub"], "in a folder that is not there"),
        (["--out", "new", "--dtype", "int8"], "Hugging Face hub files are written in float32"),
        (["--out", "new", "--softmax"], "softmax is for tflite, onnx, openvino, and a folder for the hub has logits"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    words: str,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(weights.parents[1])
    before = sorted(weights.parents[1].rglob("*"))
    assert main(["export", str(weights), "digits", "--to", "hub", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert sorted(weights.parents[1].rglob("*")) == before


WEIGHTS = "model.safetensors"


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        whole = {"config.json": json.dumps(config).encode(), "model.safetensors": (folder / WEIGHTS).read_bytes()}
        (folder / "config.json").write_bytes(sealed(whole)["config.json"])

    return spoil


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no JSON": (lambda folder: (folder / "config.json").write_text('{"architecture": '), r"config\.json"),
    "no object": (lambda folder: (folder / "config.json").write_text("[1]"), r"config\.json is damaged"),
    "notes are a list": (rewritten(lambda one: one.update(budgetnet=[])), r"budgetnet in .*config\.json"),
    "a class less": (rewritten(lambda one: one["budgetnet"]["classes"].pop()), "classes do not match its network"),
    "no temperature": (rewritten(lambda one: one["budgetnet"].pop("temperature")), "temperature"),
    "an endless temperature": (rewritten(lambda one: one["budgetnet"].update(temperature=math.inf)), "config"),
    "another network": (
        rewritten(lambda one: one["budgetnet"]["network"]["stages"].pop()),
        "does not fit small",
    ),
    "mean in words": (rewritten(lambda one: one["pretrained_cfg"].update(mean="grey")), "mean in pretrained_cfg"),
    "pretrained_cfg in words": (rewritten(lambda one: one.update(pretrained_cfg="grey")), "pretrained_cfg"),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        r"no model\.safetensors beside its config\.json",
    ),
    "cut short": (lambda folder: (folder / WEIGHTS).write_bytes(b"12345678{"), "was changed after its export"),
    "weights of another": (lambda folder: (folder / WEIGHTS).write_bytes(b"12345678{" * 99), "was changed"),
    "a label": (
        lambda folder: (folder / "config.json").write_text((folder / "config.json").read_text().replace('"9"', '"8"')),
        "was changed after its export",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_folder_is_one_line(
    how: str, file: ExportedFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words = SPOILT[how]
    folder = Path(shutil.copytree(file.file, tmp_path / "spoilt"))
    spoil(folder)
    with pytest.raises(ValueError, match=words) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and "spoilt" in str(caught.value)
    assert main(["evaluate", str(folder), "digits"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
