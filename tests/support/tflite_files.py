"""Networks of any shape as int8 files, and the two interpreters that judge them."""

from __future__ import annotations

import dataclasses
from random import Random

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from tflite_micro.python.tflite_micro import runtime

from budgetnet import Network, build, network
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.data.images import Preprocessing
from budgetnet.model.build import Model
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.ship.tflite.float_run import Weights, values
from budgetnet.ship.tflite.interpreters import as_read
from budgetnet.ship.tflite.ranges import Observed
from budgetnet.ship.tflite.scale import Scale
from budgetnet.ship.tflite.writer import written

USUAL = Preprocessing()
FAMILIES = (
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_lite0",
    "efficientnet_b0",
    "efficientnetv2_b0",
    "mobilenet_v4_conv_small",
    "ghostnet",
    "mnasnet_a1",
    "resnet50",
)


def random_network(index: int) -> Network:
    """A small network of the family index % 10, of a depth, width, size and padding drawn by the index."""
    draw = Random(index)
    base = network(FAMILIES[index % len(FAMILIES)], draw.choice((2, 6, 10)), draw.choice((48, 64, 80)))
    deep, wide, size = draw.uniform(0.3, 1.0), draw.uniform(0.2, 0.5), draw.uniform(0.6, 1.4)
    drawn = resize(base, Scaling(deep, wide, size), name=f"{base.name} {index}")
    height, width = drawn.resolution_px
    px = height + draw.choice((0, 1)), width + draw.choice((0, 1, 8))
    return dataclasses.replace(drawn, resolution_px=px, padding=draw.choice(("symmetric", "same")))


def settled(drawn: Network) -> tuple[Model, torch.Tensor]:
    """A model of it with drawn weights, and images; its BatchNorm has seen them, so that values keep their size.

    Images are pixels, 0 to 255.
    """
    model = build(drawn, seed=0)
    images = torch.randint(
        0, 256, (8, drawn.in_channels, *drawn.resolution_px), generator=torch.Generator().manual_seed(0)
    )
    images = images.float()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(normalised(images))
    return model.eval(), images


def normalised(images: torch.Tensor) -> torch.Tensor:
    """What a model reads of pixels."""
    mean, std = (torch.tensor(row, dtype=images.dtype)[:, None, None] for row in (USUAL.mean, USUAL.std))
    return (images / 255 - mean) / std


def int8_file(model: Model, images: torch.Tensor) -> tuple[bytes, dict[str, Scale]]:
    """The file of a model, calibrated by these images, and the scales of its tensors."""
    ops, weights = ops_of(model.network), Weights(model, USUAL)
    scales = Observed(ops, values(ops, weights, images)).scales()
    return written(model.network, weights, scales).content, scales


def as_integers(images: torch.Tensor) -> NDArray[np.int8]:
    """The first image as the file reads it: (1, h, w, c), pixel - 128."""
    return as_read(images[0].permute(1, 2, 0).numpy().astype(np.uint8))


def by_litert(file: bytes, image: NDArray[np.int8]) -> NDArray[np.int8]:
    """What LiteRT's reference kernels answer."""
    judge = Interpreter(model_content=file, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    judge.allocate_tensors()
    judge.set_tensor(judge.get_input_details()[0]["index"], image)
    judge.invoke()
    return judge.get_tensor(judge.get_output_details()[0]["index"]).copy()


def by_micro(file: bytes, image: NDArray[np.int8], arena_bytes: int, printed: bool = False) -> NDArray[np.int8]:
    """What TensorFlow Lite Micro answers in an arena of so many bytes; `printed`: it says on stderr how it uses them.

    Raises where it does not get by with them; far too few end the process.
    """
    judge = runtime.Interpreter.from_bytes(file, arena_size=arena_bytes)
    judge.set_input(image, 0)
    judge.invoke()
    if printed:
        judge.print_allocations()
    return judge.get_output(0)
