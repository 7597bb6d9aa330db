"""The interpreters that judge a file: LiteRT, and TensorFlow Lite Micro where it is installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.ship.eight_bits.scale import PIXELS


def logits_by_litert(file: bytes, images: Iterable[NDArray[np.uint8]], reference: bool = False) -> NDArray[np.float32]:
    """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes); `reference` as in `interpreter_of`."""
    return logits_from(interpreter_of(file, reference), images)


def interpreter_of(file: bytes, reference: bool = False) -> Any:
    """A file in LiteRT, ready to answer, on one thread.

    `reference`: in int8 by the kernels that say what is right, which TensorFlow Lite Micro follows, in place of the
    quick ones. In float32 both are right, and those of the reference take minutes.
    """
    from ai_edge_litert.interpreter import OpResolverType

    interpreter = _interpreter(file, experimental_op_resolver_type=OpResolverType.AUTO)
    if reference and interpreter.get_input_details()[0]["dtype"] is np.int8:
        interpreter = _interpreter(file, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    return interpreter


def logits_from(interpreter: Any, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows: list[NDArray[np.float32]] = []
    for image in images:
        interpreter.set_tensor(given["index"], as_read(image, given["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(made["index"])[0].astype(np.float32))
    logits = np.stack(rows)
    if made["dtype"] is np.float32:
        return logits
    scale, zero_point = made["quantization"]
    return (logits - np.float32(zero_point)) * np.float32(scale)


def float_tensors_by_litert(file: bytes, image: NDArray[np.uint8], tensors: Iterable[int]) -> list[NDArray[np.float32]]:
    """What these tensors of a float32 file, by their places in it, hold for an image."""
    from ai_edge_litert.interpreter import OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate keeps its tensors to itself
    interpreter = _interpreter(file, experimental_preserve_all_tensors=True, experimental_op_resolver_type=plain)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], as_read(image, np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(index).copy() for index in tensors]


def _interpreter(file: bytes, **how: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    with _nothing_said():
        interpreter = Interpreter(model_content=file, num_threads=1, **how)
        interpreter.allocate_tensors()
    return interpreter


@contextmanager
def _nothing_said() -> Iterator[None]:
    """Nothing goes to standard error meanwhile: LiteRT says there that it uses its quick kernels, and has no way to ask
    it not to. What is wrong it raises."""
    try:
        usual = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(usual, 2)
        os.close(usual)


def as_read(image: NDArray[np.uint8], dtype: type[np.number[Any]] = np.int8) -> NDArray[Any]:
    """An image (h, w, c) as a file of this number type reads it, (1, h, w, c): pixel - 128 as int8, else the pixel."""
    pixels = image[None].astype(np.int16)
    return (pixels + PIXELS.zero_point if dtype is np.int8 else pixels).astype(dtype)


def allocates(file: bytes, image: NDArray[np.uint8], arena_bytes: int) -> bool | None:
    """Whether TensorFlow Lite Micro answers in an arena of so many bytes; None where it is not installed."""
    try:
        interpreter = micro_interpreter(file, arena_bytes)
        if interpreter is None:
            return None
        interpreter.set_input(as_read(image), 0)
        interpreter.invoke()
    except RuntimeError:
        return False
    return True


def micro_interpreter(file: bytes, arena_bytes: int) -> Any | None:
    """A file in TensorFlow Lite Micro with an arena of so many bytes; None where that is not installed.

    Raises its `RuntimeError` where the file does not start in them.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(file, arena_size=arena_bytes)
