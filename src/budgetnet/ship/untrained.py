"""Networks that nobody has trained, in the runtime that would run their file: a time does not depend on the weights."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from budgetnet.costs.latency import DeviceTiming, TimedBy, TimedDType
from budgetnet.data.images import Preprocessing
from budgetnet.inspect.latency import at_work
from budgetnet.inspect.turns import Timed
from budgetnet.model.build import build
from budgetnet.networks import Network
from budgetnet.runs.record import processor, processor_facts
from budgetnet.ship.eight_bits.ladder import EightBits
from budgetnet.ship.eight_bits.quantiles import seen_of
from budgetnet.ship.eight_bits.steps import values
from budgetnet.ship.exported import Format
from budgetnet.ship.formats import ROWS
from budgetnet.ship.plain_pixels import PlainPixels

FORMATS: Mapping[TimedBy, Format] = {"onnxruntime": "onnx", "openvino": "openvino", "tflite": "tflite"}
"""The format that each runtime reads; torch takes the network as it is."""
RUNTIMES: tuple[TimedBy, ...] = (*FORMATS, "torch")
"""What networks can be timed in on this machine, where it is installed."""
IMAGES = 2
"""Ranges of eight bits are read from so many drawn images: they decide what is computed, and not how fast."""


def machine() -> str:
    """This machine, in words: two processors of one name, as virtual machines show them, have other numbers."""
    facts = processor_facts()
    told = ("cpu family", "model", "stepping")
    numbers = ", ".join(f"{name.removeprefix('cpu ')} {facts[name]}" for name in told if name in facts)
    name = f"{processor()} ({numbers})" if numbers else processor()
    return f"{name}, {platform.system()} {platform.machine()}"


def is_of_this_machine(timing: DeviceTiming) -> bool:
    """Whether a device file was made here, or on a machine of the same processor and system."""
    return timing.runtime != "other" and timing.device == machine()


def check_runtime(runtime: TimedBy, dtype: TimedDType) -> None:
    """Raise a one-line `ValueError` where a runtime is not installed here, or does not have such numbers."""
    if runtime in FORMATS:
        ROWS[FORMATS[runtime]].check_installed(dtype)
    elif dtype != "float32":
        raise ValueError(f"torch times networks in float32, not in {dtype}; take another runtime")


def words(runtime: TimedBy) -> str:
    """A runtime's name as its makers write it."""
    return ROWS[FORMATS[runtime]].runtime if runtime in FORMATS else runtime


def installed_runtimes(dtype: TimedDType) -> tuple[TimedBy, ...]:
    """The runtimes that are installed here and have such numbers."""
    return tuple(runtime for runtime in RUNTIMES if _is_installed(runtime, dtype))


def _is_installed(runtime: TimedBy, dtype: TimedDType) -> bool:
    try:
        check_runtime(runtime, dtype)
    except ValueError:
        return False
    return True


def versions_of(runtime: TimedBy) -> dict[str, str]:
    """The versions of what runs a network there, by package."""
    packages = {"torch": "torch"} if runtime not in FORMATS else ROWS[FORMATS[runtime]].packages
    return {name: importlib.metadata.version(name) for name in packages.values()}


def timed_network(network: Network, runtime: TimedBy, dtype: TimedDType, stack: contextlib.ExitStack) -> Timed:
    """An inference of one image on one thread, from pixels to logits, by a network with drawn weights.

    It can be timed until the stack closes.
    """
    if runtime not in FORMATS:
        (timed,) = stack.enter_context(at_work([network], batch=1, threads=1, device="cpu"))
        return timed
    model = build(network, seed=0)
    half = (0.5,) * network.in_channels
    scaled = Preprocessing(half, half)
    shape = (*network.resolution_px, network.in_channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    match FORMATS[runtime]:
        case "onnx":
            session = _onnx(PlainPixels(model, scaled).eval(), scaled, dtype)
            name = session.get_inputs()[0].name
            return Timed(network.name, lambda: session.run(None, {name: pixels}))
        case "openvino":
            compiled = _openvino(PlainPixels(model, scaled).eval(), scaled, dtype)
            return Timed(network.name, lambda: compiled(pixels))
        case _:
            from budgetnet.ship.tflite.interpreters import interpreter_of, logits_from
            from budgetnet.ship.tflite.steps import ModelWeights

            interpreter = interpreter_of(_tflite(network, ModelWeights(model, scaled), dtype))
            return Timed(network.name, lambda: logits_from(interpreter, [image]))


def _onnx(module: PlainPixels, preprocessing: Preprocessing, dtype: TimedDType) -> Any:
    from budgetnet.ship.onnx.eight_bits import OnnxEightBits
    from budgetnet.ship.onnx.graph import exported
    from budgetnet.ship.onnx.metadata import content_of
    from budgetnet.ship.onnx.read import session

    if dtype == "float32":
        return session(content_of(exported(module).model))
    return session(content_of(_rounded(OnnxEightBits(module, preprocessing), module.example())))


def _openvino(module: PlainPixels, preprocessing: Preprocessing, dtype: TimedDType) -> Any:
    from budgetnet.ship.openvino.graph import converted
    from budgetnet.ship.openvino.read import compiled

    if dtype == "float32":
        return compiled(converted(module))
    from budgetnet.ship.openvino.eight_bits import OpenvinoEightBits  # for which ONNX's packages are needed

    return compiled(_rounded(OpenvinoEightBits(module, preprocessing), module.example()))


def _tflite(network: Network, weights: Any, dtype: TimedDType) -> bytes:
    from budgetnet.ship.tflite.eight_bits import TfliteEightBits
    from budgetnet.ship.tflite.writer import written

    if dtype == "float32":
        return written(network, weights, None).content
    shape = (IMAGES, network.in_channels, *network.resolution_px)
    return _rounded(TfliteEightBits(network, weights), torch.zeros(shape))


def _rounded(network: EightBits[Any], like: torch.Tensor) -> Any:
    """The file in eight bits, with the ranges of drawn images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, *like.shape[1:]), generator=generator).float()
    with torch.no_grad():
        seen = seen_of(values(network.steps, network.weights, images), network.maps)
    return network.file(network.weights, network.scales(seen, 1.0))
