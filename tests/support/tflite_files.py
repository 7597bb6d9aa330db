"""Networks as int8 files, and the two interpreters that judge them."""

from __future__ import annotations

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from tflite_micro.python.tflite_micro import runtime

from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.model.build import Model
from budgetnet.ship.eight_bits.quantiles import Seen, seen_of
from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.eight_bits.steps import values
from budgetnet.ship.tflite.interpreters import as_read
from budgetnet.ship.tflite.ranges import Ranges
from budgetnet.ship.tflite.steps import ModelWeights, steps_of, weights_of
from budgetnet.ship.tflite.writer import written
from support.settled import USUAL


def int8_file(model: Model, images: torch.Tensor) -> tuple[bytes, dict[str, Scale]]:
    """The file of a model, calibrated by these images, and the scales of its tensors."""
    scales = Ranges(ops_of(model.network)).scales(seen_in(model, images))
    return written(model.network, ModelWeights(model, USUAL), scales).content, scales


def seen_in(model: Model, images: torch.Tensor) -> dict[str, list[Seen]]:
    """What the tensors of a model held for these images."""
    ops, weights = ops_of(model.network), ModelWeights(model, USUAL)
    with torch.no_grad():
        return seen_of(values(steps_of(ops, weights), weights_of(ops, weights), images), Ranges(ops).maps)


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
