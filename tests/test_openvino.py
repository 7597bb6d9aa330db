"""OpenVINO folders: they answer as the run does, say what they are, and tell nobody."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from support.drawn_weights import NETWORK, by_torch, drawn_pixels, saved
from support.formats import hold
from support.settled import FAMILIES, USUAL, normalised, settled

import budgetnet
from budgetnet.cli import main
from budgetnet.data.images import Preprocessing
from budgetnet.model.seal import sealed
from budgetnet.networks import Squeeze
from budgetnet.networks.values import HARD_SIGMOID
from budgetnet.ship.exported import ExportedFile
from budgetnet.ship.good_enough import MOST_DIFFERENCE

pytest.importorskip("openvino", reason="OpenVINO is not installed")

from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.openvino.eight_bits import OpenvinoEightBits
from budgetnet.ship.openvino.folder import EXACT, GRAPH, WEIGHTS, files_of
from budgetnet.ship.openvino.graph import converted, first_difference
from budgetnet.ship.openvino.quiet import quiet_openvino
from budgetnet.ship.openvino.read import OPS, opened
from budgetnet.ship.plain_pixels import PlainPixels

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("openvino"), budgetnet.build(NETWORK, seed=0))


@pytest.fixture(scope="module")
def file(weights: Path) -> ExportedFile:
    (file,) = budgetnet.export(weights, to="openvino", data="digits", out=weights.with_name("model-openvino")).files
    return file


def test_the_folder_answers_as_the_model_does(file: ExportedFile, weights: Path) -> None:
    assert file.parity is not None and file.parity < MOST_DIFFERENCE
    assert file.dtype == "float32" and file.top1 == file.float_top1 and file.images > 300
    parts = sorted(Path(file.file).iterdir())
    assert [part.name for part in parts] == [WEIGHTS, GRAPH]
    assert (
        sum(part.stat().st_size for part in parts) == file.bytes > file.flash_bytes > 4 * budgetnet.cost(NETWORK).params
    )
    images = drawn_pixels(37)
    expected = by_torch(weights, images)
    found = opened(Path(file.file)).logits(iter(images))
    assert np.abs(found - expected).max() < MOST_DIFFERENCE * expected.std()


def test_any_program_reads_what_goes_in_what_comes_out_and_the_labels(file: ExportedFile) -> None:
    model = quiet_openvino().Core().read_model(Path(file.file) / GRAPH)
    (given,), (made,) = model.inputs, model.outputs
    assert given.get_names() == {"image"} and made.get_names() == {"logits"}
    assert str(given.get_partial_shape()) == "[?,1,16,16]" and given.get_element_type().to_string() == "u8"
    assert str(made.get_partial_shape()) == "[?,10]"
    assert model.get_rt_info(["labels"]).astype(str).split("\n") == list("0123456789")
    notes = json.loads(model.get_rt_info(["budgetnet"]).astype(str))
    hold(notes, "budgetnet.export.v1")
    assert opened(Path(file.file)).notes.to_dict() == notes
    assert model.get_rt_info(["runtime_options", "INFERENCE_PRECISION_HINT"]).astype(str) == "f32"


def test_the_command_makes_equal_bytes_that_say_nothing_of_this_machine(
    file: ExportedFile, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "again"
    assert main(["export", str(weights), "digits", "--to", "openvino", "--out", str(target), "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "export --json")
    for name in (GRAPH, WEIGHTS):
        content = (target / name).read_bytes()
        assert content == (Path(file.file) / name).read_bytes()
        assert str(Path(__file__).parents[1]).encode() not in content


def test_the_first_layer_that_differs_is_named() -> None:
    module = PlainPixels(budgetnet.build(NETWORK, seed=0), Preprocessing((0.4,), (0.25,))).eval()
    model = converted(module)
    (image,) = drawn_pixels(1)
    assert first_difference(model, module, image) is None
    other = copy.deepcopy(module)  # a graph shares the memory of the weights that it was made of
    with torch.no_grad():
        other.model.classifier.weight[0] += 1
    assert first_difference(model, other, image) == "classifier"
    with torch.no_grad():
        other.model.get_submodule("stages.1.0.squeeze.expand").weight[0] += 1  # type: ignore[operator]
    assert first_difference(model, other, image) == "stages.1.0.squeeze.expand"


def test_it_is_read_without_torch(file: ExportedFile) -> None:
    code = (
        "import sys, numpy; sys.modules['torch'] = None; from pathlib import Path; "
        "from budgetnet.ship.formats import format_of, opener; path = Path(sys.argv[1]); "
        "print(opener(format_of(path))(path, True).logits([numpy.zeros((16, 16, 1), numpy.uint8)]).shape)"
    )
    ended = subprocess.run([sys.executable, "-c", code, file.file], capture_output=True, text=True)
    assert ended.stdout == "(1, 10)\n", ended.stderr


# Eight bits


def ops_in(graph: Any) -> set[str]:
    """The types of a graph's ops, as its file has them."""
    return {layer.get("type", "") for layer in ElementTree.fromstring(files_of(graph)[GRAPH]).iter("layer")}


@pytest.fixture(scope="module")
def rounded(weights: Path) -> ExportedFile:
    target = weights.with_name("model-openvino-int8")
    return budgetnet.export(weights, to="openvino", dtype="int8", data="digits", out=target, force=True).files[0]


@pytest.mark.slow
def test_eight_bits_answer_as_the_model_does(rounded: ExportedFile, weights: Path) -> None:
    assert rounded.dtype == "int8" and rounded.parity is None and rounded.calibration_images == 200
    assert [row.way for row in rounded.tried][:2] == ["rounded", "corrected biases"]
    assert min(row.divergence for row in rounded.tried) < 0.02
    images = drawn_pixels(20)
    expected = by_torch(weights, images)
    runner = opened(Path(rounded.file))
    found = runner.logits(iter(images))
    assert runner.dtype == "int8" and 0 < np.abs(found - expected).max() < 0.3 * expected.std()


@pytest.mark.slow
def test_layers_compute_in_eight_bits_and_the_graph_says_how_exactly_it_is_meant(rounded: ExportedFile) -> None:
    openvino = quiet_openvino()
    model = openvino.Core().read_model(Path(rounded.file) / GRAPH)
    (given,), (made,) = model.inputs, model.outputs
    assert given.get_names() == {"image"} and made.get_names() == {"logits"}
    assert str(given.get_partial_shape()) == "[?,1,16,16]" and given.get_element_type().to_string() == "u8"
    assert model.get_rt_info(["runtime_options", "INFERENCE_PRECISION_HINT"]).astype(str) == "f32"
    ran = openvino.Core().compile_model(model, "CPU", EXACT).get_runtime_model().get_ops()
    layers = [
        op.get_rt_info()["runtimePrecision"].astype(str)
        for op in ran
        if op.get_rt_info()["layerType"].astype(str) in ("Convolution", "FullyConnected")
    ]
    assert layers and set(layers) <= {"u8", "i8"}
    assert (Path(rounded.file) / WEIGHTS).stat().st_size < 3 * budgetnet.cost(NETWORK).params


@pytest.mark.slow
def test_eight_bits_are_equal_bytes(rounded: ExportedFile, weights: Path, tmp_path: Path) -> None:
    again = budgetnet.export(
        weights, to="openvino", dtype="int8", data="digits", out=tmp_path / "again", force=True
    ).files[0]
    for name in (GRAPH, WEIGHTS):
        assert (Path(again.file) / name).read_bytes() == (Path(rounded.file) / name).read_bytes()


def test_a_hard_sigmoid_in_eight_bits_is_read_and_has_a_kernel_that_is_right() -> None:
    """ONNX's, from which int8 is made, has an op of its own in OpenVINO, which a float graph does not have."""
    stages = tuple(dataclasses.replace(one, squeeze=Squeeze(0.25, gate=HARD_SIGMOID)) for one in NETWORK.stages)
    model, images = settled(dataclasses.replace(NETWORK, stages=stages, in_channels=3))
    network = OpenvinoEightBits(PlainPixels(model, USUAL).eval(), USUAL)
    graph = network.file(network.weights, {step.name: Scale(0.05, 128) for step in network.steps})
    assert ops_in(graph) <= OPS
    gates = [op for op in graph.get_ordered_ops() if op.get_type_name() == "HardSigmoid"]
    probed = graph.clone()
    pairs = [(op.input_value(0).get_node().get_friendly_name(), op.get_friendly_name()) for op in gates]
    probed.add_outputs([(name, 0) for pair in pairs for name in pair])
    compiled = quiet_openvino().Core().compile_model(probed, "CPU", EXACT)
    made = list(compiled(images.numpy().astype(np.uint8)).values())[1:]
    assert len(made) == 2 * len(stages)
    for given, found in zip(made[::2], made[1::2], strict=True):
        np.testing.assert_allclose(found, np.clip(given / 6 + 0.5, 0, 1), atol=1e-6)
        assert len(np.unique(found)) > 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_in_eight_bits_has_ops_that_are_read(name: str) -> None:
    model, _ = settled(budgetnet.network(name, 10, 64))
    network = OpenvinoEightBits(PlainPixels(model, USUAL).eval(), USUAL)
    graph = network.file(network.weights, {step.name: Scale(0.05, 128) for step in network.steps})
    assert ops_in(graph) <= OPS


# Files of others


def set_in(find: str, key: str, value: str) -> Callable[[ElementTree.Element], None]:
    """What gives the first element that is found another value."""

    def spoil(graph: ElementTree.Element) -> None:
        row = graph.find(find)
        assert row is not None
        row.set(key, value)

    return spoil


def without_notes(graph: ElementTree.Element) -> None:
    graph.remove(graph.find("rt_info"))  # type: ignore[arg-type]


CONSTANT = "layers/layer[@type='Const']/data"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (set_in(CONSTANT, "offset", str(1 << 50)), "is shorter than its graph says"),
        (set_in(CONSTANT, "size", "-1"), "is shorter than its graph says"),
        (set_in(CONSTANT, "size", "many"), "is shorter than its graph says"),
        (set_in(CONSTANT, "shape", "1, 1, 1, 99999999999"), "is damaged"),
        (
            set_in("layers/layer[@type='Convolution']", "type", "TensorIterator"),
            "has TensorIterator, which no exported",
        ),
        (set_in("layers/layer[@type='Parameter']/data", "shape", "?,1,9999,16"), "its input is not what its notes say"),
        (set_in("edges/edge", "from-layer", "4000"), "is damaged"),
        (set_in("rt_info/budgetnet", "value", "{}"), "is not of the format"),
        (without_notes, "is no OpenVINO file that budgetnet exported"),
    ],
)
def test_what_no_exported_folder_has_is_one_line(
    spoil: Callable[[ElementTree.Element], None], words: str, file: ExportedFile, tmp_path: Path
) -> None:
    graph = ElementTree.parse(Path(file.file) / GRAPH).getroot()
    spoil(graph)
    whole = {GRAPH: ElementTree.tostring(graph), WEIGHTS: (Path(file.file) / WEIGHTS).read_bytes()}
    if spoil is not without_notes:  # as somebody writes it who knows how the digest is made
        whole = sealed(whole)
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "keep"), [(GRAPH, 0.0), (GRAPH, 0.5), (WEIGHTS, 0.0), (WEIGHTS, 0.9)])
def test_a_file_that_is_cut_short_is_one_line(name: str, keep: float, file: ExportedFile, tmp_path: Path) -> None:
    for part in Path(file.file).iterdir():
        content = part.read_bytes()
        (tmp_path / part.name).write_bytes(content[: int(keep * len(content))] if part.name == name else content)
    with pytest.raises(ValueError, match=r"cut short|was changed") as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_entities_are_not_expanded(file: ExportedFile, tmp_path: Path) -> None:
    text = (Path(file.file) / GRAPH).read_text()
    (tmp_path / GRAPH).write_text(text.replace("<net", '<!DOCTYPE net [<!ENTITY a "aaaa">]>\n<net', 1))
    (tmp_path / WEIGHTS).write_bytes((Path(file.file) / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="defines entities"):
        opened(tmp_path)


# Telemetry

GUARDED = """
import os, sys, time
asked = os.open("asked", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def guard(event, given):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(asked, event.encode())
        raise OSError("no network here")
sys.addaudithook(guard)
{before}
from pathlib import Path
from budgetnet.ship.openvino.quiet import quiet_openvino
from budgetnet.ship.openvino.read import opened
import torch
quiet_openvino().convert_model(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)))
opened(Path({folder!r}))
from budgetnet import build
from budgetnet.data.images import Preprocessing
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.openvino.eight_bits import OpenvinoEightBits
from budgetnet.ship.plain_pixels import PlainPixels
from support.drawn_weights import NETWORK
usual = Preprocessing((0.4,), (0.25,))
network = OpenvinoEightBits(PlainPixels(build(NETWORK, seed=0), usual).eval(), usual)
network.file(network.weights, {{step.name: Scale(0.1, 0) for step in network.steps}})
time.sleep(3.0)
"""


@pytest.mark.parametrize(
    ("before", "silent"), [("", True), pytest.param("import openvino_telemetry", False, marks=pytest.mark.slow)]
)
def test_nothing_is_sent_to_anybody(before: str, silent: bool, file: ExportedFile, tmp_path: Path) -> None:
    """In a process of its own, in which every way to a network is watched, in those that it forks, too; the second
    shows that the watch sees."""
    if before:
        pytest.importorskip("openvino_telemetry")
    code = GUARDED.format(before=before, folder=file.file)
    usual = {name: value for name, value in os.environ.items() if name not in ("CI", "NNCF_CI")}
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=usual | home, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ((tmp_path / "asked").read_text() == "") is silent


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_answers_as_the_model_does(name: str) -> None:
    model, images = settled(budgetnet.network(name, 10, 64))
    graph = converted(PlainPixels(model, USUAL).eval())
    answers = quiet_openvino().Core().compile_model(graph, "CPU", EXACT)
    found = answers({"image": images.numpy().astype(np.uint8)})["logits"]
    with torch.inference_mode():
        expected = model(normalised(images)).numpy()
    most = 10 * MOST_DIFFERENCE  # drawn weights make more of rounding than trained ones
    assert np.abs(found - expected).max() < most * expected.std()
    assert ops_in(graph) <= OPS
