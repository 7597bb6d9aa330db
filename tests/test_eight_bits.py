"""Eight bits that keep the answers: the run that rounds as the file does, corrected biases, and training on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.networks import SQUEEZED

from budgetnet import network
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.networks import Network
from budgetnet.ship.difference import divergence

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")

from ai_edge_litert.interpreter import Interpreter, OpResolverType
from support.settled import USUAL, settled
from support.tflite_files import as_integers, int8_file

from budgetnet.ship.tflite.float_run import OpWeights, Weights, logits, made
from budgetnet.ship.tflite.rounded_run import Changed, Rounded, corrected, kept_by
from budgetnet.ship.tflite.scale import Scale
from budgetnet.ship.tflite.tuned import tuned
from budgetnet.ship.tflite.writer import written

torch.set_num_threads(1)
NETWORKS: dict[str, Network] = {
    "squeeze-and-excitation and swish": dataclasses.replace(SQUEEZED, classes=10),
    "mobilenet_v2": network("mobilenet_v2", 10, 48),
    "mobilenet_v3_small": network("mobilenet_v3_small", 10, 48),
    "ghostnet": network("ghostnet", 10, 48),
}


def rounded_logits(net: Network, weights: OpWeights, scales: dict[str, Scale], images: torch.Tensor) -> torch.Tensor:
    return logits(ops_of(net), Rounded(weights), images, kept_by(scales))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_op_rounds_as_the_file_does(name: str) -> None:
    """Of the integers that the reference kernels read, an op makes the integers that they make, but for ties."""
    model, images = settled(NETWORKS[name])
    _, scales = int8_file(model, images)
    net, weights = model.network, Weights(model, USUAL)
    file = written(net, weights, scales)
    judge = Interpreter(
        model_content=file.content,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    judge.allocate_tensors()
    judge.set_tensor(judge.get_input_details()[0]["index"], as_integers(images))
    judge.invoke()

    def real(tensor: str) -> torch.Tensor:
        integers = torch.from_numpy(judge.get_tensor(file.tensors[tensor]).astype(np.float32))
        at = scales[tensor]
        value = at.scale * (integers - at.zero_point)
        return value.permute(0, 3, 1, 2) if value.ndim == 4 else value[:, :, None, None]

    for op in ops_of(net):
        with torch.no_grad():
            found = kept_by(scales)(op.makes.name, made(op, Rounded(weights), [real(one.name) for one in op.reads]))
        steps = (found - real(op.makes.name)).abs() / scales[op.makes.name].scale
        # MEAN multiplies by the size and the scales at once, in a number of 32 bits.
        assert steps.max() < 1.01 and steps.mean() < (0.35 if op.code == "MEAN" else 0.05), op.name


def uneven(name: str) -> tuple[Network, Weights, dict[str, Scale], torch.Tensor]:
    """A network whose channels have weights of very different sizes, as folded BatchNorm leaves them."""
    model, images = settled(NETWORKS[name])
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d) and module.groups == 1:
                module.weight.mul_(torch.exp(1.5 * torch.randn(1, module.in_channels, 1, 1, generator=draw)))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
        mean, std = (torch.tensor(row)[:, None, None] for row in (USUAL.mean, USUAL.std))
        model.train()((images / 255 - mean) / std)
    model.eval()
    _, scales = int8_file(model, images)
    return model.network, Weights(model, USUAL), scales, images


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_corrected_biases_bring_the_sums_back(name: str) -> None:
    net, weights, scales, images = uneven(name)
    with torch.no_grad():
        expected = logits(ops_of(net), weights, images)
        plain = rounded_logits(net, weights, scales, images)
        better = rounded_logits(net, corrected(ops_of(net), weights, scales, images), scales, images)
    assert (better.mean(0) - expected.mean(0)).norm() < 0.5 * (plain.mean(0) - expected.mean(0)).norm()


def test_corrected_weights_are_those_of_the_model_but_for_the_biases() -> None:
    net, weights, scales, images = uneven("mobilenet_v2")
    better = corrected(ops_of(net), weights, scales, images)
    assert set(better.changed) == {op.name for op in ops_of(net) if op.layer is not None}
    for op in ops_of(net):
        if op.layer is not None:
            assert torch.equal(better.of(op)[0], weights.of(op)[0])
    moved = [op.name for op in ops_of(net) if op.layer and not torch.equal(better.of(op)[1], weights.of(op)[1])]
    assert len(moved) > len(better.changed) / 2


def test_training_in_eight_bits_comes_nearer() -> None:
    net, weights, scales, images = uneven("mobilenet_v2")
    ops, begin = ops_of(net), Changed(weights)
    every = np.arange(len(images))
    trained = tuned(ops, weights, begin, scales, every, lambda some: images[torch.from_numpy(some)], steps=25)
    with torch.no_grad():
        expected = logits(ops, weights, images).numpy()
        before, after = (rounded_logits(net, one, scales, images).numpy() for one in (begin, trained))
    assert divergence(expected, after, 1.0) < divergence(expected, before, 1.0)
    content = written(net, trained, scales).content
    assert len(content) == len(written(net, weights, scales).content)


def test_gradients_pass_through_rounding_and_stop_where_values_are_cut() -> None:
    at = Scale.of(-1.0, 1.0)
    value = torch.tensor([-3.0, -0.5, 0.501, 3.0], requires_grad=True)
    kept = kept_by({"x": at})("x", value)
    kept.sum().backward()
    assert value.grad is not None and value.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert torch.allclose(kept, value.clamp(-1, 1), atol=1.01 * at.scale)
    again = kept_by({"x": at})("x", kept.detach())
    assert torch.allclose(again, kept.detach(), atol=1e-6)
