"""Eight bits that keep the answers: the run that rounds as the file does, corrected biases, and training on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.networks import SQUEEZED

from budgetnet import network
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.networks import Network
from budgetnet.ship.difference import divergence

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")

from ai_edge_litert.interpreter import Interpreter, OpResolverType
from support.settled import USUAL, settled
from support.tflite_files import as_integers, int8_file, seen_in

from budgetnet.ship.eight_bits.ladder import EightBits
from budgetnet.ship.eight_bits.rounded import corrected, kept_by, rounded
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import Weights, logits, made
from budgetnet.ship.eight_bits.tuned import tuned
from budgetnet.ship.tflite.eight_bits import TfliteEightBits
from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.ship.tflite.writer import written

torch.set_num_threads(1)
NETWORKS: dict[str, Network] = {
    "squeeze-and-excitation and swish": dataclasses.replace(SQUEEZED, classes=10),
    "mobilenet_v2": network("mobilenet_v2", 10, 48),
    "mobilenet_v3_small": network("mobilenet_v3_small", 10, 48),
    "ghostnet": network("ghostnet", 10, 48),
    "resnet18": network("resnet18", 10, 48),
}


def rounded_logits(
    network: EightBits[bytes], weights: Weights, scales: Mapping[str, Scale], images: torch.Tensor
) -> torch.Tensor:
    return logits(network.steps, rounded(network.steps, weights), images, kept_by(scales))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_op_rounds_as_the_file_does(name: str) -> None:
    """Of the integers that the reference kernels read, an op makes the integers that they make, but for ties."""
    model, images = settled(NETWORKS[name])
    _, scales = int8_file(model, images)
    net, weights = model.network, ModelWeights(model, USUAL)
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

    network = TfliteEightBits(net, weights)
    as_file = rounded(network.steps, network.weights)
    code = {op.name: op.code for op in ops_of(net)}
    stored: dict[str, torch.Tensor] = {}
    for step in network.steps:
        reads = [real(one) if one in file.tensors else stored[one] for one in step.reads]
        with torch.no_grad():
            found = kept_by(scales)(step.name, made(step, reads, as_file))
        stored = {step.name: found}  # a sum is read by the next step alone
        if step.name in file.tensors:
            steps = (found - real(step.name)).abs() / scales[step.name].scale
            # MEAN multiplies by the size and the scales at once, in a number of 32 bits.
            assert steps.max() < 1.01 and steps.mean() < (0.35 if code[step.name] == "MEAN" else 0.05), step.name


def uneven(name: str) -> tuple[TfliteEightBits, Mapping[str, Scale], torch.Tensor]:
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
    network = TfliteEightBits(model.network, ModelWeights(model, USUAL))
    return network, network.scales(seen_in(model, images), 0.99999), images


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small"])
def test_corrected_biases_bring_the_sums_back(name: str) -> None:
    network, scales, images = uneven(name)
    better = corrected(network.steps, network.weights, scales, images)
    with torch.no_grad():
        expected = logits(network.steps, network.weights, images)
        plain = rounded_logits(network, network.weights, scales, images)
        found = rounded_logits(network, better, scales, images)
    assert (found.mean(0) - expected.mean(0)).norm() < 0.5 * (plain.mean(0) - expected.mean(0)).norm()


def test_corrected_weights_are_those_of_the_model_but_for_the_biases() -> None:
    network, scales, images = uneven("mobilenet_v2")
    better = corrected(network.steps, network.weights, scales, images)
    assert better.keys() == network.weights.keys()
    assert all(torch.equal(better[layer][0], kernel) for layer, (kernel, _) in network.weights.items())
    moved = [layer for layer, (_, bias) in network.weights.items() if not torch.equal(better[layer][1], bias)]
    assert len(moved) > len(better) / 2


def test_training_in_eight_bits_comes_nearer() -> None:
    network, scales, images = uneven("mobilenet_v2")
    every = np.arange(len(images))

    def pixels(some: NDArray[np.int64]) -> torch.Tensor:
        return images[torch.from_numpy(some)]

    trained = tuned(network.steps, network.weights, network.weights, scales, every, pixels, count=25)
    with torch.no_grad():
        expected = logits(network.steps, network.weights, images).numpy()
        before, after = (rounded_logits(network, one, scales, images).numpy() for one in (network.weights, trained))
    assert divergence(expected, after, 1.0) < divergence(expected, before, 1.0)
    assert len(network.file(trained, scales)) == len(network.file(network.weights, scales))


def test_gradients_pass_through_rounding_and_stop_where_values_are_cut() -> None:
    at = Scale.of(-1.0, 1.0)
    value = torch.tensor([-3.0, -0.5, 0.501, 3.0], requires_grad=True)
    kept = kept_by({"x": at})("x", value)
    kept.sum().backward()
    assert value.grad is not None and value.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert torch.allclose(kept, value.clamp(-1, 1), atol=1.01 * at.scale)
    again = kept_by({"x": at})("x", kept.detach())
    assert torch.allclose(again, kept.detach(), atol=1e-6)
