"""ONNX files: they answer as the run does, say what they are, and nothing is read that none of ours has."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.drawn_weights import NETWORK, PREPROCESSING, by_torch, drawn_pixels, saved
from support.formats import hold
from support.networks import SQUEEZED
from support.settled import FAMILIES, USUAL, normalised, settled

import budgetnet
from budgetnet.cli import main
from budgetnet.data import network_pixels, open_cache, open_images
from budgetnet.data.images import Preprocessing
from budgetnet.model.build import Model
from budgetnet.model.seal import sealed
from budgetnet.model.weights import load_model
from budgetnet.ship.eight_bits.quantiles import QUANTILES, seen_of
from budgetnet.ship.eight_bits.rounded import kept_by
from budgetnet.ship.eight_bits.rounded import rounded as rounded_weights
from budgetnet.ship.eight_bits.steps import logits, values
from budgetnet.ship.exported import ExportedFile
from budgetnet.ship.good_enough import MOST_DIFFERENCE

pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

import onnx
import onnxruntime

from budgetnet.ship.onnx.eight_bits import OnnxEightBits
from budgetnet.ship.onnx.graph import EXPORTER_LOG, exported, with_outputs, without_warnings
from budgetnet.ship.onnx.parity import first_difference
from budgetnet.ship.onnx.read import OPS, opened, session
from budgetnet.ship.plain_pixels import OUTPUT, PlainPixels

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("onnx"), budgetnet.build(NETWORK, seed=0))


@pytest.fixture(scope="module")
def file(weights: Path) -> ExportedFile:
    (file,) = budgetnet.export(weights, to="onnx", data="digits", out=weights.with_name("model.onnx")).files
    return file


def digits_of(count: int) -> np.ndarray:
    """Embedded digits at the size of the network."""
    images = open_images("digits", 0)
    cached = open_cache(images, 16)
    return network_pixels([cached[index] for index in range(count)], 16, Preprocessing((0.4,), (0.25,)))


def test_the_file_answers_as_the_model_does(file: ExportedFile, weights: Path) -> None:
    assert file.parity is not None and file.parity < MOST_DIFFERENCE
    assert file.dtype == "float32" and file.top1 == file.float_top1 and file.images > 300
    assert Path(file.file).stat().st_size == file.bytes > file.flash_bytes > 4 * budgetnet.cost(NETWORK).params
    images = drawn_pixels(37)
    expected = by_torch(weights, images)
    found = opened(Path(file.file)).logits(iter(images))
    assert np.abs(found - expected).max() < MOST_DIFFERENCE * expected.std()


def test_any_runtime_reads_what_goes_in_what_comes_out_and_the_labels(file: ExportedFile) -> None:
    plain = onnxruntime.InferenceSession(file.file, providers=["CPUExecutionProvider"])
    (given,), (made,) = plain.get_inputs(), plain.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", ["batch", 1, 16, 16])
    assert (made.name, made.type, made.shape) == ("logits", "tensor(float)", ["batch", 10])
    assert plain.run(None, {"image": np.zeros((1, 1, 16, 16), np.uint8)})[0].shape == (1, 10)
    says = plain.get_modelmeta().custom_metadata_map
    assert says["labels.txt"].split("\n") == list("0123456789")
    hold(json.loads(says["budgetnet.json"]), "budgetnet.export.v1")
    assert opened(Path(file.file)).notes.to_dict() == json.loads(says["budgetnet.json"])
    onnx.checker.check_model(onnx.load(file.file), full_check=True)


def test_nodes_and_weights_are_called_as_the_modules(file: ExportedFile) -> None:
    graph = onnx.load(file.file).graph
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names) and "stages.1.0.expand.conv/Conv" in names
    assert {"stages.1.0.expand.conv.weight", "classifier.weight"} <= {weight.name for weight in graph.initializer}


def test_the_first_layer_that_differs_is_named(file: ExportedFile, weights: Path) -> None:
    module = PlainPixels(load_model(weights).model, Preprocessing((0.4,), (0.25,))).eval()
    model = onnx.load(file.file)
    (image,) = drawn_pixels(1)
    assert first_difference(model, module, image) is None
    with torch.no_grad():
        module.model.get_submodule("stages.1.0.expand.conv").weight[0] *= 1.5  # type: ignore[operator]
    assert first_difference(model, module, image) == "stages.1.0.expand.conv"


def test_the_command_makes_equal_bytes_that_say_nothing_of_this_machine(
    file: ExportedFile, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "again.onnx"
    assert main(["export", str(weights), "digits", "--to", "onnx", "--out", str(target), "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "export --json")
    content = target.read_bytes()
    assert content == Path(file.file).read_bytes()
    assert b".py" not in content and str(Path(__file__).parents[1]).encode() not in content


def test_it_is_read_without_torch(file: ExportedFile) -> None:
    code = (
        "import sys, numpy; sys.modules['torch'] = None; from pathlib import Path; "
        "from budgetnet.ship.formats import format_of, opener; path = Path(sys.argv[1]); "
        "print(opener(format_of(path))(path, True).logits([numpy.zeros((16, 16, 1), numpy.uint8)]).shape)"
    )
    ended = subprocess.run([sys.executable, "-c", code, file.file], capture_output=True, text=True)
    assert ended.stdout == "(1, 10)\n", ended.stderr


# Eight bits


@pytest.fixture(scope="module")
def rounded(weights: Path) -> ExportedFile:
    target = weights.with_name("model-int8.onnx")
    return budgetnet.export(weights, to="onnx", dtype="int8", data="digits", out=target, force=True).files[0]


def test_eight_bits_answer_as_the_model_does(rounded: ExportedFile, weights: Path) -> None:
    assert rounded.dtype == "int8" and rounded.parity is None
    assert rounded.quantile in QUANTILES and rounded.calibration_images == 200
    assert [row.way for row in rounded.tried][:2] == ["rounded", "corrected biases"]
    assert min(row.divergence for row in rounded.tried) < 0.02
    images = digits_of(20)
    expected = by_torch(weights, images)
    found = opened(Path(rounded.file)).logits(iter(images))
    assert 0 < np.abs(found - expected).max() < 0.2 * expected.std()


def test_maps_are_unsigned_and_weights_signed_by_channel_and_pixels_stay_exact(rounded: ExportedFile) -> None:
    model = onnx.load(rounded.file)
    weights = {row.name: row for row in model.graph.initializer}
    assert {row.domain for row in model.opset_import} == {""}
    kernel = weights["stages.1.0.expand.conv.weight_quantized"]
    assert kernel.data_type == onnx.TensorProto.INT8
    assert list(weights["stages.1.0.expand.conv.weight_scale"].dims) == [kernel.dims[0]]
    rounding = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {weights[node.input[2]].data_type for node in rounding} == {onnx.TensorProto.UINT8}
    made = {node.output[0]: node for node in model.graph.node}
    first = next(node for node in rounding if made[node.input[0]].name == "pixels/Add")
    scale = onnx.numpy_helper.to_array(weights[first.input[1]])
    assert scale == pytest.approx(1 / 255 / PREPROCESSING["std"][0]), "a step of the pixels is a step of the integers"


def test_ranges_are_cut_at_both_ends_and_hold_every_pixel(weights: Path) -> None:
    network = eight_bits(load_model(weights).model, Preprocessing((0.4,), (0.25,)))
    seen = seen_of(values(network.steps, network.weights, pixels_of(drawn_pixels(6))), network.maps)
    whole, cut = network.scales(seen, 1.0), network.scales(seen, 0.99)
    assert whole.keys() == cut.keys() and network.maps
    assert all(cut[name].scale < whole[name].scale for name in network.maps if "conv" in name)
    normalised_pixels = next(name for name, scale in cut.items() if scale.ends == pytest.approx((-1.6, 2.4), abs=0.01))
    assert normalised_pixels not in network.maps
    gates = [scale for name, scale in cut.items() if "sigmoid" in name]
    assert gates and all(scale.ends == pytest.approx((0.0, 1.0)) for scale in gates)


def eight_bits(model: Model, preprocessing: Preprocessing) -> OnnxEightBits:
    return OnnxEightBits(PlainPixels(model, preprocessing).eval(), preprocessing)


def pixels_of(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(list(images))).permute(0, 3, 1, 2).float()


SMALL = dataclasses.replace(SQUEEZED, classes=10)


@pytest.mark.parametrize(
    "net",
    [SMALL, *(pytest.param(budgetnet.network(name, 10, 48), marks=pytest.mark.slow) for name in FAMILIES)],
    ids=lambda net: net.name,
)
def test_torch_computes_and_rounds_as_the_graph_does(net: budgetnet.Network) -> None:
    """Biases are corrected and weights trained by steps in torch: of the maps that ONNX Runtime has, each makes the one
    that it makes, but for ties."""
    model, images = settled(net)
    network = eight_bits(model, USUAL)
    with torch.no_grad():
        scales = network.scales(seen_of(values(network.steps, network.weights, images), network.maps), 1.0)
        file = network.file(network.weights, scales)
        places = [f"{name}{'' if name == OUTPUT else '_DequantizeLinear_Output'}" for name in scales]
        run = session(with_outputs(file, places).SerializeToString())
        held = run.run(places, {"image": images.numpy().astype(np.uint8)})
        real = dict(zip(scales, map(torch.from_numpy, held), strict=True))

        def as_there(name: str, value: torch.Tensor) -> torch.Tensor:
            if name not in scales:
                return value
            off = (kept_by(scales)(name, value) - real[name]).abs() / scales[name].scale
            assert off.max() < 2 and off.mean() < 0.05, name
            return real[name]

        logits(network.steps, rounded_weights(network.steps, network.weights), images, as_there)


# Files of others


def outside(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../secret")


def hidden_outside(model: onnx.ModelProto) -> None:
    node = model.graph.node.add(op_type="Cast", name="more")
    outside_of = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    outside_of.t.external_data.add(key="location", value="/etc/passwd")


def oversized(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def endless(model: onnx.ModelProto) -> None:
    model.graph.node.add(op_type="Loop", name="endless")


def foreign_op(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def other_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 100_000


def torn(model: onnx.ModelProto) -> None:
    model.graph.node[5].input[0] = "nowhere"


def resealed(model: onnx.ModelProto) -> bytes:
    """As somebody writes it who knows how the digest is made."""
    content = model.SerializeToString()
    return sealed({"": content})[""] if model.metadata_props else content


def without_notes(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def odd_notes(model: onnx.ModelProto) -> None:
    for row in (one for one in model.metadata_props if one.key == "budgetnet.json"):
        row.value = '{"format": "budgetnet.export.v1", "classes": 3}'


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (outside, "reads its weight .* from another file"),
        (hidden_outside, "reads its weight .* from another file"),
        (oversized, "says to have more values than the file"),
        (endless, "has Loop, which no exported file has"),
        (foreign_op, "has Cast, which no exported file has"),
        (other_size, "its input is not what its notes say"),
        (torn, "is damaged"),
        (without_notes, "is no ONNX file that budgetnet exported"),
        (odd_notes, "budgetnet.json is damaged"),
    ],
)
def test_what_no_exported_file_has_is_one_line(
    spoil: Callable[[onnx.ModelProto], None], words: str, file: ExportedFile, tmp_path: Path
) -> None:
    model = onnx.load(file.file)
    spoil(model)
    (tmp_path / "spoilt.onnx").write_bytes(resealed(model))
    with pytest.raises(ValueError, match=words) as caught:
        opened(tmp_path / "spoilt.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize("spoil", [outside, oversized, None])
def test_the_commands_say_one_line(
    spoil: Callable[[onnx.ModelProto], None] | None,
    command: str,
    file: ExportedFile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, spoilt = onnx.load(file.file), tmp_path / "spoilt.onnx"
    if spoil is not None:
        spoil(model)
    content = resealed(model)
    spoilt.write_bytes(content if spoil is not None else content[: len(content) - 9])
    image = tmp_path / "image.png"
    Image.new("L", (16, 16)).save(image)
    assert main([command, str(spoilt), str(image) if command == "predict" else "digits"]) == 2
    error = capsys.readouterr().err
    assert str(spoilt) in error and error.count("\n") == 1


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_one_line(keep: float, file: ExportedFile, tmp_path: Path) -> None:
    content = Path(file.file).read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match=r"cut\.onnx") as caught:
        opened(tmp_path / "cut.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_without_the_packages_one_line_says_so(weights: Path) -> None:
    """In a process of its own, where nothing has imported them yet."""
    code = "import sys; sys.modules['onnxscript'] = None; from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"
    asked = ["export", str(weights), "digits", "--to", "onnx", "--out", str(weights.with_name("none.onnx"))]
    ended = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "ONNX files in float32 need onnxscript; pip install 'budgetnet[onnx]'" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_as_the_model_does(name: str) -> None:
    model, images = settled(budgetnet.network(name, 10, 64))
    graph = exported(PlainPixels(model, USUAL).eval()).model
    (found,) = session(graph.SerializeToString()).run(None, {"image": images.numpy().astype(np.uint8)})
    with torch.inference_mode():
        expected = model(normalised(images)).numpy()
    most = 10 * MOST_DIFFERENCE  # drawn weights make more of rounding than trained ones
    assert np.abs(found - expected).max() < most * expected.std()
    assert {node.op_type for node in graph.graph.node} <= OPS


def test_the_exporter_logs_its_errors_alone(caplog: pytest.LogCaptureFixture) -> None:
    registration = importlib.import_module(EXPORTER_LOG)
    before = registration.logger.level
    with without_warnings():
        registration.logger.warning("an op of another package is absent")
        registration.logger.error("an op is wrong")
    assert [row.message for row in caplog.records] == ["an op is wrong"]
    assert registration.logger.level == before
