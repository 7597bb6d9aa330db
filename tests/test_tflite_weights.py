"""Classifiers in TensorFlow Lite files, read: our own of every family, other writers' spellings, published ones."""

from __future__ import annotations

import csv
import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.executor import InlineExecutor
from support.networks import SQUEEZED
from support.quick import quick_for

import budgetnet
from budgetnet import Network, build, evaluate, inherit, load_weights, network, predict
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.data.images import Preprocessing
from budgetnet.model.build import Model
from budgetnet.model.layers import ConvNorm
from budgetnet.model.seal import OPEN, sealed
from budgetnet.model.sources import imagenet_classes
from budgetnet.model.weights import Weights as Read
from budgetnet.model.weights import load_model
from budgetnet.networks import Activation
from budgetnet.networks.zoo import TF_NORM
from budgetnet.runs.run import load_run
from budgetnet.ship.tflite.steps import ModelWeights

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from support.respelled import SPELLINGS, respelled
from support.settled import FAMILIES, USUAL, normalised, settled
from support.tflite_files import int8_file

from budgetnet.ship.tflite.writer import written

torch.set_num_threads(1)
PUBLISHED = {"0.25_128": "mobilenet_v1_25", "0.5_160": "mobilenet_v1_50", "0.75_192": "mobilenet_v1_75"}
SHARED = Path(__file__).resolve().parents[2] / "shared" / "weights"
FORMS = {
    f"{name} {padding}": dataclasses.replace(
        network(name, 10, 64), padding=padding, norm=TF_NORM if padding == "same" else network(name).norm
    )
    for name in FAMILIES
    for padding in ("symmetric", "same")
}
QUICK = (
    "mobilenet_v1 same",
    "mobilenet_v3_small symmetric",
    "mobilenet_v4_conv_small same",
    "ghostnet symmetric",
    "resnet18 same",
)


def file_of(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    return path


def preprocessing_of(read: Read) -> Preprocessing:
    return Preprocessing(**read.preprocessing)


def answers(read: Read, images: torch.Tensor) -> torch.Tensor:
    """The logits of a model that was read, of pixels."""
    mean, std = (torch.tensor(read.preprocessing[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        return read.model((images / 255 - mean) / std)


def alike(one: Network, other: Network) -> bool:
    """Whether two networks are the same but for their names."""
    return dataclasses.replace(one, name="any", source="") == dataclasses.replace(other, name="any", source="")


# Our own files


@pytest.mark.parametrize("name", quick_for(FORMS, QUICK))
def test_a_float_file_is_read_back_to_the_last_bit(name: str, tmp_path: Path) -> None:
    """What was read, written again, is the same file: kernels, biases, normalisation and padding."""
    model, images = settled(FORMS[name])
    content = written(FORMS[name], ModelWeights(model, USUAL), None).content
    read = load_model(file_of(tmp_path, content))
    assert alike(read.network, FORMS[name])
    assert written(read.network, ModelWeights(read.model, preprocessing_of(read)), None).content == content
    with torch.no_grad():
        expected = model(normalised(images))
    assert (answers(read, images) - expected).abs().max() < 1e-3 * expected.std()


@pytest.mark.parametrize("name", quick_for(FORMS, QUICK))
def test_eight_bits_come_back_to_within_half_a_step(name: str, tmp_path: Path) -> None:
    model, images = settled(FORMS[name])
    content, scales = int8_file(model, images)
    read = load_model(file_of(tmp_path, content))
    assert alike(read.network, FORMS[name])
    exact, found = ModelWeights(model, USUAL), ModelWeights(read.model, preprocessing_of(read))
    for op in ops_of(model.network):
        if op.layer is None:
            continue
        (kernel, bias), (own_kernel, own_bias) = exact.of(op), found.of(op)
        others = None if op.code == "FULLY_CONNECTED" else (1, 2, 3)
        step = kernel.abs().amax(others, keepdim=True) / 127
        assert bool(((kernel - own_kernel).abs() <= 0.501 * step + 1e-12).all()), op.name
        bias_step = step.flatten() * scales[op.reads[0].name].scale
        around = 3.0 if op.fused == "hard_sigmoid" else 0.0  # is added to the bias, and rounded with it to float32
        assert bool(((bias - own_bias).abs() <= 0.501 * bias_step + 1e-6 * bias.abs() + 1e-7 * around).all()), op.name
    assert written(read.network, found, scales).content == content


def test_a_small_network_answers_as_before(tmp_path: Path) -> None:
    model, images = settled(dataclasses.replace(SQUEEZED, classes=10))
    read = load_model(
        file_of(tmp_path, written(model.network, ModelWeights(model, USUAL), None).content), model.network
    )
    with torch.no_grad():
        expected = model(normalised(images))
    assert (answers(read, images) - expected).abs().max() < 1e-5 * expected.std()


@pytest.mark.parametrize(
    "activation",
    [
        Activation("tanh"),
        Activation("swish", beta=1.5),
        Activation("swish", beta=0.5, trainable=True),
        Activation("relu"),
    ],
)
def test_activations_that_the_zoo_has_not(activation: Activation, tmp_path: Path) -> None:
    base = dataclasses.replace(SQUEEZED, classes=10, name="mine")
    own = dataclasses.replace(
        base,
        stem=dataclasses.replace(base.stem, activation=activation),
        stages=tuple(dataclasses.replace(stage, activation=activation) for stage in base.stages),
        head=dataclasses.replace(base.head, activation=activation),
    )
    model, images = settled(own)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".beta"):
                parameter.fill_(0.75)
        expected = model(normalised(images))
    path = file_of(tmp_path, written(own, ModelWeights(model, USUAL), None).content)
    assert (answers(load_model(path, own), images) - expected).abs().max() < 1e-5 * expected.std()
    with pytest.raises(ValueError, match=r"model.tflite does not fit mine: "):
        load_model(path, dataclasses.replace(base, stem=dataclasses.replace(base.stem, activation=Activation("gelu"))))
    if activation.kind == "swish":
        other = dataclasses.replace(activation, beta=1.25, trainable=False)
        stages = tuple(dataclasses.replace(stage, activation=other) for stage in own.stages)
        with pytest.raises(ValueError, match=r"\.beta is (0.75|1.5) and not 1.25"):
            load_model(path, dataclasses.replace(own, stages=stages))


def test_what_fits_a_model_and_what_does_not(tmp_path: Path) -> None:
    own = network("mobilenet_v2_35", 10, 64)
    model, images = settled(own)
    path = file_of(tmp_path, written(own, ModelWeights(model, USUAL), None).content)
    # At another size, too, and whatever its BatchNorm's epsilon is.
    larger = load_weights(build(dataclasses.replace(own, resolution_px=(96, 96), norm=TF_NORM)), path).eval()
    with torch.no_grad():
        assert (larger(normalised(images)) - model(normalised(images))).abs().max() < 1e-2
    with pytest.warns(UserWarning, match="has 10 classes and the model 3: its classifier is left as it is"):
        three = load_weights(build(network("mobilenet_v2_35", 3, 64), seed=0), path)
    assert bool((three.classifier.weight == build(network("mobilenet_v2_35", 3, 64), seed=0).classifier.weight).all())
    for wrong, says in (
        (dataclasses.replace(own, padding="same"), "stem.conv is not in it as the network has it"),
        (network("mobilenet_v2_50", 10, 64), "stages.1.0.project.conv is not in it as the network has it"),
        (network("mobilenet_v3_small", 10, 64), "it has 53 layers with weights and the network 54"),
    ):
        model = build(wrong, seed=0)
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        with pytest.raises(ValueError, match=f"model.tflite does not fit {wrong.name}: {says}"):
            load_weights(model, path)
        assert all(bool((tensor == before[key]).all()) for key, tensor in model.state_dict().items())
    unknown = dataclasses.replace(SQUEEZED, classes=10)
    drawn, _ = settled(unknown)
    path.write_bytes(written(unknown, ModelWeights(drawn, USUAL), None).content)
    with pytest.raises(
        ValueError, match=r"has TensorFlow Lite's names, but is not a network of the zoo; give the netw"
    ):
        load_model(path)
    assert load_model(path, unknown).network.classes == 10


# Files with our archive behind them


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    own = dataclasses.replace(SQUEEZED, in_channels=1, classes=10, resolution_px=(16, 16))
    budgetnet.train("digits", own, epochs=2, out=folder, cluster=InlineExecutor())
    for dtype, name in (("int8", "model.tflite"), ("float32", "model-float32.tflite")):
        budgetnet.export(folder, dtype=dtype, out=folder / name, force=True)
    return folder


def test_an_exported_file_names_its_network_classes_and_temperature(run: Path) -> None:
    expected, found = load_run(run), load_run(run / "model-float32.tflite")
    assert found.network == expected.network and found.classes == expected.classes
    assert found.preprocessing == expected.preprocessing and found.side_px == expected.side_px
    assert found.temperature == expected.temperature != 1.0
    ours, theirs = (evaluate(one, "digits") for one in (run, run / "model-float32.tflite"))
    assert theirs.top1 == ours.top1 and theirs.log_loss == pytest.approx(ours.log_loss, abs=1e-5)
    assert abs(evaluate(run / "model.tflite", "digits").top1 - ours.top1) < 0.05


@pytest.mark.slow
def test_a_training_begins_from_an_exported_file(run: Path, few_digits: Path, tmp_path: Path) -> None:
    path, own = run / "model-float32.tflite", load_run(run).network
    here = InlineExecutor()
    again = budgetnet.train(few_digits, weights=str(path), epochs=1, out=tmp_path / "again", cluster=here)
    assert load_run(again.run).network.stages == own.stages
    wider = budgetnet.scale(own, 1.0, "width")
    larger = budgetnet.train(few_digits, wider, pretrained=str(path), epochs=1, out=tmp_path / "larger", cluster=here)
    assert load_run(larger.run).network.stages[0].channels > own.stages[0].channels


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("format", "x", "is damaged: its format is not budgetnet.export.v1"),
        ("network", {"name": "x"}, "is damaged: "),
        ("classes", ["a"], "is damaged: its classes do not match its network"),
        ("preprocessing", 7, "is damaged: it has no preprocessing"),
        ("side_px", 0, "is damaged: its side_px is no number of pixels"),
        ("temperature", -1, "is damaged: its temperature is no number above 0"),
    ],
)
def test_notes_that_are_damaged(key: str, value: Any, says: str, run: Path, tmp_path: Path) -> None:
    path = changed_notes(run / "model.tflite", tmp_path, lambda notes: notes | {key: value})
    with pytest.raises(ValueError, match=f"budgetnet.json in .*{says}") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_notes_of_another_network(run: Path, tmp_path: Path) -> None:
    deeper = json.loads(network("efficientnet_b0").to_json())
    path = changed_notes(run / "model.tflite", tmp_path, lambda notes: notes | {"network": deeper})
    with pytest.raises(ValueError, match=r"budgetnet.json in .* is of another network: it has \d+ layers with weights"):
        load_model(path)


def changed_notes(file: Path, folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """A copy of an exported file with other notes."""
    content = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
        notes, labels = json.loads(archive.read("budgetnet.json")), archive.read("labels.txt")
    path = file_of(folder, content[:start])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", labels)
        archive.writestr("budgetnet.json", json.dumps(change(notes)))
        archive.comment = OPEN.encode()
    path.write_bytes(sealed({"": path.read_bytes()})[""])
    return path


# Other writers


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_other_spellings_of_the_same_network(spelling: str, tmp_path: Path) -> None:
    own = network("mobilenet_v3_small", 10, 64)
    model, images = settled(own)
    content = written(own, ModelWeights(model, USUAL), None).content
    other = respelled(content, spelling)
    assert other != content
    read = load_model(file_of(tmp_path, other))
    assert alike(read.network, own)
    with torch.no_grad():
        expected = model(normalised(images))
    most = 0.05 if spelling == "kernels in 16 bits" else 1e-3
    assert (answers(read, images) - expected).abs().max() < most * expected.std()


# Published files


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> tuple[Path, str]:
    path = SHARED / f"mobilenet_v1_{request.param}_quant.tflite"
    if not path.is_file():
        pytest.skip("the published files are not beside the checkout, at ../shared/weights")
    return path, PUBLISHED[request.param]


def test_published_files_say_what_they_are(published: tuple[Path, str]) -> None:
    path, name = published
    loaded = load_run(path)
    side_px = int(path.name.split("_")[3])
    assert alike(loaded.network, dataclasses.replace(network(name, 1000, side_px), padding="same", norm=TF_NORM))
    assert loaded.network.name == name and loaded.classes[:2] == ("tench", "goldfish")
    # (pixel - 128) / 128, as the input's scale and zero point say.
    assert loaded.preprocessing.mean == loaded.preprocessing.std == (128 / 255,) * 3
    assert loaded.preprocessing.interpolation == "bilinear"
    for module in loaded.model.modules():
        if isinstance(module, ConvNorm):
            scale = module.norm.weight / (module.norm.running_var + module.norm.eps).sqrt()
            assert bool((scale == 1).all()) and not bool(module.norm.running_mean.any())


def test_published_files_answer_as_the_interpreter_does(
    published: tuple[Path, str], shared_data: Callable[[str], Path]
) -> None:
    """On average the logits are a step of eight bits apart. Padded otherwise, they are several."""
    path, _ = published
    loaded, folder = load_run(path), shared_data("imagenet-samples")
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file)][:12]
    images = torch.stack([pixels(folder / name, loaded.network.resolution_px) for name in names])
    expected, step = integer_logits(path, images)
    mean, std = (torch.tensor(row)[:, None, None] for row in (loaded.preprocessing.mean, loaded.preprocessing.std))
    inputs = (images.float() / 255 - mean) / std
    symmetric = build(dataclasses.replace(loaded.network, padding="symmetric"))
    symmetric.load_state_dict(loaded.model.state_dict())
    with torch.no_grad():
        steps, padded = ((one(inputs) - expected[:, 1:]).abs() / step for one in (loaded.model, symmetric.eval()))
    assert steps.mean() < 1.0 < 3.0 < padded.mean()
    assert steps.max() < 12 < 0.7 * expected.std() / step


def pixels(path: Path, px: tuple[int, int]) -> torch.Tensor:
    from PIL import Image

    image = Image.open(path).convert("RGB").resize((px[1], px[0]), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def integer_logits(path: Path, images: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What LiteRT makes before the softmax, of pixels (n, c, h, w), and the step of its eight bits."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    judge = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
    )
    judge.allocate_tensors()
    (softmax,) = (op for op in judge._get_ops_details() if op["op_name"] == "SOFTMAX")
    (made,) = (row for row in judge.get_tensor_details() if row["index"] == softmax["inputs"][0])
    step, zero_point = made["quantization"]
    rows: list[torch.Tensor] = []
    for image in images:
        judge.set_tensor(judge.get_input_details()[0]["index"], image.permute(1, 2, 0)[None].contiguous().numpy())
        judge.invoke()
        rows.append(torch.from_numpy(judge.get_tensor(made["index"])[0].astype(np.float32)))
    return (torch.stack(rows) - zero_point) * step, step


def test_published_files_are_parents_of_any_size(published: tuple[Path, str]) -> None:
    path, name = published
    parent = load_model(path).network
    images = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for width, strategy in ((-1.0, "compound"), (1.0, "width")):
        own = dataclasses.replace(budgetnet.scale(parent, width, strategy), classes=5)
        child = inherit(build(own, seed=0), path, images)
        assert isinstance(child, Model) and bool(child(images).isfinite().all())
    with pytest.raises(ValueError, match="its padding is symmetric and not same"):
        inherit(build(network(name, 5, 64), seed=0), path, images)


def test_published_files_predict(published: tuple[Path, str], shared_data: Callable[[str], Path]) -> None:
    path, _ = published
    folder = shared_data("imagenet-samples")
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:30]
    found = predict(path, [folder / row["file"] for row in rows])
    right = [one.label == imagenet_classes()[int(row["class_index"])] for one, row in zip(found, rows, strict=True)]
    assert sum(right) >= 10  # of what the smallest gets 42 % right
