"""TensorFlow Lite files of our own writing, in the interpreters that run them; the promise of the planner, kept."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
from scipy.special import softmax
from support.networks import SQUEEZED
from support.settled import FAMILIES, USUAL, normalised, random_network, settled

from budgetnet import build, cost, network, scale
from budgetnet.costs.planners.tflite_micro import plan
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.networks import Activation, Network
from budgetnet.ship.eight_bits.quantiles import seen_of
from budgetnet.ship.eight_bits.scale import HIGHEST, LOWEST, Scale
from budgetnet.ship.eight_bits.steps import logits, values
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.ranges import Ranges
from budgetnet.ship.tflite.steps import ModelWeights, steps_of, weights_of

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from support.tflite_files import as_integers, by_litert, by_micro, int8_file, seen_in

torch.set_num_threads(1)
QUICK, ALL = len(FAMILIES), 44
MOST_STEPS = 8
"""Of 256: the two interpreters round some ties in two ways, and behind tens of layers of drawn weights that grows."""


def activated(kind: str, **more: object) -> Network:
    row = Activation(kind, **more)  # type: ignore[arg-type]
    base = network("mobilenet_v3_small", 10, 48)
    stages = tuple(dataclasses.replace(stage, activation=row) for stage in base.stages)
    return dataclasses.replace(base, name=kind, stages=stages, stem=dataclasses.replace(base.stem, activation=row))


KINDS = {
    **{name: network(name, 10, 64) for name in FAMILIES},
    "tanh": activated("tanh"),
    "swish of another beta": activated("swish", beta=1.5),
    "swish of a trained beta": activated("swish", beta=0.5, trainable=True),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_ops_are_the_model(name: str) -> None:
    """Whatever the planner prices and the writer writes computes what the model computes."""
    model, images = settled(KINDS[name])
    model, images = model.double(), images.double()  # drawn weights make more of rounding than trained ones
    with torch.no_grad():
        expected = model(normalised(images))
    ops, weights = ops_of(model.network), ModelWeights(model, USUAL)
    found = logits(steps_of(ops, weights), weights_of(ops, weights), images)
    assert (found - expected).abs().max() / expected.std() < 1e-9


@pytest.mark.parametrize(
    "index", [*range(QUICK), *(pytest.param(i, marks=pytest.mark.slow) for i in range(QUICK, ALL))]
)
def test_a_network_runs_in_the_arena_that_was_promised(index: int) -> None:
    drawn = random_network(index)
    model, images = settled(drawn)
    file, _ = int8_file(model, images)
    promise = cost(drawn, dtype="int8", runtime="tflite_micro")
    image = as_integers(images)
    answered = by_micro(file, image, promise.peak_activation_bytes)
    difference = answered.astype(int) - by_litert(file, image)
    assert np.abs(difference).max() <= MOST_STEPS
    assert len(set(answered.ravel().tolist())) > 1, "an answer of one value is none"
    assert len(file) <= promise.weight_bytes


@pytest.mark.parametrize("index", [1, 2, *(pytest.param(i, marks=pytest.mark.slow) for i in range(3, QUICK))])
def test_a_network_that_gives_probabilities_runs_in_the_arena_that_was_promised(index: int) -> None:
    """The promise has the op, and what it makes is softmax(logits / temperature) to a step or two of 1/256."""
    drawn = random_network(index)
    model, images = settled(drawn)
    eight_bits = TfliteEightBits(drawn, ModelWeights(model, USUAL))
    scales = eight_bits.scales(seen_in(model, images), 0.99999)
    plain, file = (eight_bits.file(eight_bits.weights, scales, temperature) for temperature in (None, 1.5))
    promise, image = plan(drawn, 1, "int8", softmax=True), as_integers(images)
    answered = by_micro(file, image, promise.arena_bytes)
    assert len(file) <= promise.file_bytes
    without = plan(drawn, 1, "int8")
    assert 0 < promise.arena_bytes - without.arena_bytes < 300 and promise.file_bytes - without.file_bytes < 200
    logits = scales["classifier"].scale * by_micro(plain, image, without.arena_bytes).astype(float)
    assert np.abs((answered + 128.0) / 256 - softmax(logits / 1.5, axis=1)).max() < 2 / 256


@pytest.mark.parametrize(
    ("name", "phi", "px"), [("mobilenet_v3_small", -3, 22), ("mobilenet_v3_large", -4, 20), ("mobilenet_v2", -4, 16)]
)
def test_small_maps_are_promised_what_planning_them_takes(name: str, phi: float, px: int) -> None:
    """Before the first op runs the interpreter plans all tensors in the arena, which takes more than small maps do."""
    small = dataclasses.replace(scale(network(name, 10, 224), phi), resolution_px=(px, px))
    model, images = settled(small)
    file, _ = int8_file(model, images)
    promised = cost(small, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    by_micro(file, as_integers(images), promised)
    with pytest.raises(RuntimeError):
        by_micro(file, as_integers(images), round(0.97 * promised))


def test_narrow_layers_are_promised_what_their_scales_take() -> None:
    """Half of a Ghost module's few channels are not a multiple of 4, and the arrays of their scales are rounded up."""
    narrow = scale(network("ghostnet", 10, (24, 24)), -2)
    model, images = settled(narrow)
    file, _ = int8_file(model, images)
    promised = cost(narrow, dtype="int8", runtime="tflite_micro").peak_activation_bytes
    by_micro(file, as_integers(images), promised)
    with pytest.raises(RuntimeError):
        by_micro(file, as_integers(images), round(0.995 * promised))


@pytest.mark.slow
def test_the_promises_are_near_what_is_needed(capfd: pytest.CaptureFixture[str]) -> None:
    """On average the arena within 3 % of what the interpreter takes, and the file within 1 %."""
    arenas: list[float] = []
    files: list[float] = []
    for index in range(ALL):
        drawn = random_network(index)
        model, images = settled(drawn)
        file, _ = int8_file(model, images)
        promise = cost(drawn, dtype="int8", runtime="tflite_micro")
        capfd.readouterr()
        by_micro(file, as_integers(images), promise.peak_activation_bytes, printed=True)
        taken = re.search(r"Arena allocation total (\d+)", "".join(capfd.readouterr()))
        assert taken is not None
        arenas.append(promise.peak_activation_bytes / int(taken[1]) - 1)
        files.append(promise.weight_bytes / len(file) - 1)
    print(
        f"arena {100 * np.mean(arenas):.2f} % above what is taken on average, {100 * max(arenas):.2f} % at most; "
        f"file {100 * np.mean(files):.2f} %, {100 * max(files):.2f} %"
    )
    assert min(arenas) > 0 and np.mean(arenas) <= 0.03
    assert min(files) >= 0 and np.mean(files) <= 0.01


def test_eight_bits_answer_as_the_model_does() -> None:
    """A few blocks with squeeze-and-excitation and Swish: what is left is rounding."""
    model, images = settled(dataclasses.replace(SQUEEZED, classes=10))
    file, scales = int8_file(model, images)
    out = scales["classifier"]
    found = out.scale * (by_litert(file, as_integers(images)).astype(float) - out.zero_point)
    with torch.no_grad():
        expected = model(normalised(images))
    assert np.abs(found - expected[:1].numpy()).max() < 0.2 * expected.std().item()


def test_scales() -> None:
    assert Scale.of(-1.0, 1.0) == Scale(2 / 255, -1) or Scale.of(-1.0, 1.0) == Scale(2 / 255, 0)
    for low, high in ((0.0, 6.0), (-3.0, 0.5), (2.0, 4.0), (-4.0, -2.0), (0.0, 0.0)):
        made = Scale.of(low, high)
        assert LOWEST <= made.zero_point <= HIGHEST
        # 0 is an integer, and both ends are within half a step.
        ends = [made.scale * (end - made.zero_point) for end in (LOWEST, HIGHEST)]
        assert ends[0] <= min(low, 0) + made.scale and ends[1] >= max(high, 0) - made.scale


def test_what_copies_keeps_its_scale() -> None:
    drawn = network("ghostnet", 10, 64)
    model, images = settled(drawn)
    ops = ops_of(drawn)
    scales = Ranges(ops).scales(seen_in(model, images))
    copies = [op for op in ops if op.code in ("PAD", "CONCATENATION", "MAX_POOL_2D")]
    assert copies
    for op in copies:
        assert len({scales[tensor.name] for tensor in (*op.reads, op.makes)}) == 1
    assert {scales[op.makes.name] for op in ops if op.code == "LOGISTIC"} <= {Scale(1 / 256, -128)}


def test_one_value_far_from_the_others_does_not_stretch_a_range() -> None:
    drawn = network("mobilenet_v2", 2, 32)
    ops = ops_of(drawn)
    weights = ModelWeights(build(drawn, seed=0).eval(), USUAL)
    made = values(steps_of(ops, weights), weights_of(ops, weights), settled(drawn)[1])
    rows = [(name, value.repeat(40, 1, 1, 1)) for name, value in made]

    def scales_of(rows: list[tuple[str, torch.Tensor]]) -> dict[str, Scale]:
        ranges = Ranges(ops)
        return ranges.scales(seen_of(rows, ranges.maps))

    usual = scales_of(rows)
    stretched = [(name, value.clone()) for name, value in rows]
    for name, value in stretched:
        if name == "stem.conv":
            value[5, 0, 3, 3] = 1e4
    found = scales_of(stretched)
    assert found["classifier"] == usual["classifier"]
    assert found["stem.conv"].scale < 1.1 * usual["stem.conv"].scale


@pytest.mark.parametrize("kind", ["hard_swish", "hard_sigmoid", "swish"])
def test_ops_behind_a_linear_layer_keep_its_two_dimensions(kind: str) -> None:
    """TensorFlow Lite Micro, built with its checks as it is unless asked, ends the program where they do not."""
    from ai_edge_litert import schema_py_generated as schema

    base = network("mobilenet_v3_small", 10, 48)
    beta = {"beta": 1.5} if kind == "swish" else {}
    head = dataclasses.replace(base.head, activation=Activation(kind, **beta))  # type: ignore[arg-type]
    content, _ = int8_file(*settled(dataclasses.replace(base, head=head)))
    (graph,) = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0)).subgraphs  # type: ignore[misc]
    dimensions = [len(tensor.shape) for tensor in graph.tensors]
    assert [dimensions[index] for op in graph.operators[-3:] for index in op.outputs] == [2, 2, 2]
    alike = [op for op in graph.operators if op.builtinOptionsType in (0, schema.BuiltinOptions.MulOptions)]
    assert alike
    for op in alike:
        assert len({dimensions[index] for index in (*op.inputs, *op.outputs)}) == 1
