"""The Open Inference Protocol, version 2, over HTTP: requests to pixels, answers to bytes. No network, no model.

Sources: github.com/kserve/open-inference-protocol, inference_rest.md and open_inference_rest.yaml in its folder
specification/protocol; tensors as bytes behind the JSON are the extension "binary_tensor_data" of the Triton Inference
Server, described in extension_binary_data.md of its folder docs/protocol.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from budgetnet.arguments import shown
from budgetnet.reading import named_json

EXTENSIONS = ("binary_tensor_data",)
HEADER_LENGTH = "Inference-Header-Content-Length"
"""Where bytes stand behind the JSON of a body, this header says how long the JSON is."""
PIXELS, NUMBERS = "UINT8", "FP32"
"""The protocol's names of the types of what goes in and what comes out."""
BINARY_SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
VARIABLE = -1
"""A side of a tensor that may have any length is given as this."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the protocol says of an input or an output."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a model's metadata."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes, a batch of images, and what it gives of each."""

    image: Tensor
    outputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that a request asks for, in JSON or as bytes."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request of inference, read.

    Attributes:
        id: The client's name for it, which the answer repeats; None where it has none.
        images: Pixels, (n, height, width, channels).
        outputs: What is asked for, in its order.
    """

    id: str | None
    images: NDArray[np.uint8]
    outputs: tuple[WantedOutput, ...]


def read_request(body: bytes, header_length: str | None, signature: Signature, most_images: int) -> Request:
    """A request's body. `header_length` is the value of the header of that name, None where there is none.

    Raises a one-line `ValueError` for what is not of the protocol, or not what the model takes.
    """
    text, binary = _parts(body, header_length)
    row = _object("the request", named_json("the request", text))
    name = row.get("id")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"id is {shown(name)}; it must be a string")
    (given,) = _inputs(row, signature)
    shape = _shape(given, signature.image, most_images)
    images = _pixels(given, binary, shape)
    return Request(name, images, _outputs(row, signature))


def _parts(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    """The JSON, and the bytes behind it."""
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdecimal() or len(header_length) > 12:
        raise ValueError(f"{HEADER_LENGTH} is {shown(header_length)}; it must be the length of the JSON in bytes")
    length = int(header_length)
    if length > len(body):
        raise ValueError(f"{HEADER_LENGTH} is {length:,}, and the body has {len(body):,} bytes")
    return body[:length], body[length:]


def _object(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {shown(value)}; it must be a JSON object")
    return cast("dict[str, Any]", value)


def _objects(what: str, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {shown(value)}; it must be a list of JSON objects")
    return [_object(f"{what}[{index}]", one) for index, one in enumerate(cast("list[object]", value))]


def _parameters(what: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return _object(f"parameters of {what}", row.get("parameters", {}))


def _inputs(row: Mapping[str, Any], signature: Signature) -> list[dict[str, Any]]:
    rows = _objects("inputs", row.get("inputs"))
    names = [one.get("name") for one in rows]
    if names != [signature.image.name]:
        raise ValueError(f"inputs are {shown(names)}; the model takes one, {signature.image.name!r}")
    if (datatype := rows[0].get("datatype")) != signature.image.datatype:
        raise ValueError(f"datatype of {names[0]} is {shown(datatype)}; it must be {signature.image.datatype!r}")
    return rows


def _shape(given: Mapping[str, Any], image: Tensor, most_images: int) -> tuple[int, ...]:
    shape: Any = given.get("shape")
    wanted = f"[n, {', '.join(map(str, image.shape[1:]))}]: images, height, width, channels"
    if not isinstance(shape, list) or not all(type(side) is int for side in cast("list[object]", shape)):
        raise ValueError(f"shape of {image.name} is {shown(shape)}; it must be {wanted}")
    sides = tuple(cast("list[int]", shape))
    if len(sides) != len(image.shape) or sides[1:] != image.shape[1:] or sides[0] < 1:
        raise ValueError(f"shape of {image.name} is {shown(shape)}; it must be {wanted}")
    if sides[0] > most_images:
        raise ValueError(f"a request may have {most_images:,} images, and this one has {sides[0]:,}; send several")
    return sides


def _pixels(given: Mapping[str, Any], binary: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    name, parameters = given["name"], _parameters(given["name"], given)
    if BINARY_SIZE not in parameters:
        if "data" not in given:
            raise ValueError(f"{name} has no data")
        if binary:
            raise ValueError(f"{len(binary):,} bytes stand behind the JSON, and no input has {BINARY_SIZE}")
        return _pixels_of_json(name, given["data"], shape)
    if "data" in given:
        raise ValueError(f"{name} has data and {BINARY_SIZE}; give one of them")
    size, needed = parameters[BINARY_SIZE], math.prod(shape)
    if type(size) is not int or size != needed:
        raise ValueError(f"{BINARY_SIZE} of {name} is {shown(size)}; its shape needs {needed:,} bytes")
    if len(binary) != size:
        raise ValueError(f"{len(binary):,} bytes stand behind the JSON, and {name} needs {size:,}")
    return np.frombuffer(binary, np.uint8).reshape(shape)


def _pixels_of_json(name: str, data: object, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Numbers in a flat list or in lists of lists."""
    if not isinstance(data, list):
        raise ValueError(f"data of {name} is {shown(data)}; it must be a list")
    try:
        values = np.array(data)
    except ValueError as error:
        raise ValueError(f"data of {name} has lists of different lengths") from error
    if values.dtype.kind != "i" or not values.size or values.min() < 0 or values.max() > 255:
        raise ValueError(f"data of {name} must be integers from 0 to 255")
    if values.shape != shape and values.shape != (math.prod(shape),):
        raise ValueError(f"data of {name} has the shape {list(values.shape)}; it must be {list(shape)}, or flat")
    return values.astype(np.uint8).reshape(shape)


def _outputs(row: Mapping[str, Any], signature: Signature) -> tuple[WantedOutput, ...]:
    all_binary = _flag(ALL_BINARY, _parameters("the request", row), False)
    known = [one.name for one in signature.outputs]
    rows = _objects("outputs", row.get("outputs") or [{"name": name} for name in known])
    found: list[WantedOutput] = []
    for one in rows:
        name = one.get("name")
        if name not in known or name in {other.name for other in found}:
            raise ValueError(f"outputs has {shown(name)}; ask for each of {', '.join(known)} at most once")
        parameters = _parameters(name, one)
        if unknown := sorted({"classification", "shared_memory_region"} & parameters.keys()):
            raise ValueError(f"parameters of {name} has {unknown[0]}, which is not one of {', '.join(EXTENSIONS)}")
        found.append(WantedOutput(name, _flag(BINARY, parameters, all_binary)))
    return tuple(found)


def _flag(name: str, parameters: Mapping[str, Any], otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {shown(value)}; it must be true or false")
    return value


def response(
    request: Request, model: str, version: str, arrays: Mapping[str, NDArray[np.float32]]
) -> tuple[bytes, int | None]:
    """The body of an answer, and the length of its JSON where bytes stand behind it.

    `arrays` has each output, (n, classes).
    """
    rows: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for wanted in request.outputs:
        array = np.ascontiguousarray(arrays[wanted.name], "<f4")
        row: dict[str, Any] = {"name": wanted.name, "datatype": NUMBERS, "shape": list(array.shape)}
        if wanted.binary:
            behind.append(array.tobytes())
            rows.append({**row, "parameters": {BINARY_SIZE: array.nbytes}})
        else:
            rows.append({**row, "data": array.ravel().tolist()})
    name = {} if request.id is None else {"id": request.id}
    text = json_bytes({"model_name": model, "model_version": version, **name, "outputs": rows})
    return (text + b"".join(behind), len(text)) if behind else (text, None)


def server_metadata(version: str) -> dict[str, Any]:
    """What the server is."""
    return {"name": "budgetnet", "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(
    name: str, versions: Sequence[str], platform: str, signature: Signature, properties: Mapping[str, str]
) -> dict[str, Any]:
    """What a model is, takes and gives."""
    return {
        "name": name,
        "versions": list(versions),
        "platform": platform,
        "inputs": [signature.image.to_dict()],
        "outputs": [one.to_dict() for one in signature.outputs],
        "properties": dict(properties),
    }


def json_bytes(value: object) -> bytes:
    """A value as JSON. Raises `ValueError` for numbers that JSON does not have."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
