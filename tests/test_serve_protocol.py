"""The Open Inference Protocol as a codec: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.serving import RULES, binary_request

from budgetnet.serve.protocol import HEADER_LENGTH, Request, Signature, Tensor, read_request, response

MODEL = Signature(
    Tensor("image", "UINT8", (-1, 2, 3, 1)),
    (Tensor("logits", "FP32", (-1, 4)), Tensor("probabilities", "FP32", (-1, 4))),
)
MOST = 5


def read(body: bytes, length: str | None = None) -> Request:
    return read_request(body, length, MODEL, MOST)


def as_json(images: np.ndarray[Any, Any], **more: Any) -> bytes:
    row = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    return json.dumps({"inputs": [row], **more}).encode()


@st.composite
def pixels(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    images = draw(st.integers(1, MOST))
    return np.array(draw(st.lists(st.integers(0, 255), min_size=6 * images, max_size=6 * images)), np.uint8).reshape(
        images, 2, 3, 1
    )


@given(pixels(), st.text(max_size=9))
def test_pixels_arrive_in_each_of_the_three_ways(images: np.ndarray[Any, Any], name: str) -> None:
    flat = json.loads(as_json(images, id=name))
    flat["inputs"][0]["data"] = images.ravel().tolist()
    body, headers = binary_request(images, id=name)
    ways = [read(body, headers[HEADER_LENGTH]), read(as_json(images, id=name)), read(json.dumps(flat).encode())]
    for request in ways:
        assert request.id == name
        np.testing.assert_array_equal(request.images, images)
        assert request.images.dtype == np.uint8
        assert [one.name for one in request.outputs] == ["logits", "probabilities"]


@given(st.lists(st.sampled_from(["logits", "probabilities"]), unique=True, min_size=1), st.data())
def test_outputs_come_in_the_form_and_order_that_was_asked_for(names: list[str], data: st.DataObject) -> None:
    images = np.zeros((2, 2, 3, 1), np.uint8)
    everywhere = data.draw(st.sampled_from([None, True, False]))
    own = [data.draw(st.sampled_from([None, True, False])) for _ in names]
    rows = [
        {"name": name, **({} if one is None else {"parameters": {"binary_data": one}})}
        for name, one in zip(names, own, strict=True)
    ]
    more = {} if everywhere is None else {"parameters": {"binary_data_output": everywhere}}
    request = read(as_json(images, outputs=rows, **more))
    expected = [bool(everywhere) if one is None else one for one in own]
    assert [(one.name, one.binary) for one in request.outputs] == list(zip(names, expected, strict=True))
    arrays = {name: np.random.default_rng(0).random((2, 4), np.float32) for name in names}
    body, length = response(request, "cats", "1", arrays)
    assert (length is None) == (not any(expected))
    row, behind = json.loads(body[:length]), body[len(body) if length is None else length :]
    jsonschema.validate(row, RULES["answer"])
    for name, binary, one in zip(names, expected, row["outputs"], strict=True):
        assert one["name"] == name and one["shape"] == [2, 4]
        if binary:
            size = one["parameters"]["binary_data_size"]
            found, behind = np.frombuffer(behind[:size], "<f4"), behind[size:]
        else:
            found = np.array(one["data"], np.float32)
        np.testing.assert_array_equal(found.reshape(2, 4), arrays[name])
    assert not behind


GOOD = np.zeros((1, 2, 3, 1), np.uint8)


def changed(**more: Any) -> dict[str, Any]:
    row = json.loads(as_json(GOOD))
    row["inputs"][0] |= more
    return row


NESTED = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"", "the request is not JSON"),
        (b"\xff\xfe\xff", "the request is not JSON"),
        (NESTED.encode(), "nested deeper"),
        (b'{"inputs": 1e999}', "not a number"),
        ([], "the request is \\[\\]; it must be a JSON object"),
        ({}, "inputs is None; it must be a list"),
        ({"inputs": []}, "inputs are \\[\\]; the model takes one, 'image'"),
        ({"inputs": [{"name": "image"}, {"name": "image"}]}, "the model takes one"),
        (changed(name="pixels"), "the model takes one, 'image'"),
        (changed(datatype="FP32"), "datatype of image is 'FP32'; it must be 'UINT8'"),
        (changed(shape=[1, 2, 3]), "shape of image is \\[1, 2, 3\\]; it must be \\[n, 2, 3, 1\\]"),
        (changed(shape=[1, 1, 2, 3]), "it must be \\[n, 2, 3, 1\\]"),
        (changed(shape=[0, 2, 3, 1]), "it must be \\[n, 2, 3, 1\\]"),
        (changed(shape=[-1, 2, 3, 1]), "it must be \\[n, 2, 3, 1\\]"),
        (changed(shape=[True, 2, 3, 1]), "it must be \\[n, 2, 3, 1\\]"),
        (changed(shape=[10**30, 2, 3, 1]), "a request may have 5 images"),
        (changed(shape="all"), "it must be \\[n, 2, 3, 1\\]"),
        (changed(data=[1, 2]), "has the shape \\[2\\]; it must be \\[1, 2, 3, 1\\], or flat"),
        (changed(data=[[1, 2], [3]]), "lists of different lengths"),
        (changed(data=[0, 0, 0, 0, 0, 256]), "integers from 0 to 255"),
        (changed(data=[0, 0, 0, 0, 0, -1]), "integers from 0 to 255"),
        (changed(data=[0.5] * 6), "integers from 0 to 255"),
        (changed(data=[True] * 6), "integers from 0 to 255"),
        (changed(data=["0"] * 6), "integers from 0 to 255"),
        (changed(data=[None] * 6), "integers from 0 to 255"),
        (changed(data=[10**30] * 6), "integers from 0 to 255"),
        (changed(data=[]), "integers from 0 to 255"),
        (changed(data="abc"), "it must be a list"),
        (changed(parameters=3), "parameters of image is 3"),
        (changed(parameters={"binary_data_size": 6}), "give one of them"),
        ({**changed(), "id": 3}, "id is 3; it must be a string"),
        ({**changed(), "outputs": [{"name": "boxes"}]}, "ask for each of logits, probabilities at most once"),
        ({**changed(), "outputs": [{"name": "logits"}, {"name": "logits"}]}, "at most once"),
        ({**changed(), "outputs": [{"name": ["logits"]}]}, "at most once"),
        ({**changed(), "outputs": ["logits"]}, "outputs\\[0\\] is 'logits'; it must be a JSON object"),
        ({**changed(), "parameters": {"binary_data_output": 1}}, "it must be true or false"),
        (
            {**changed(), "outputs": [{"name": "logits", "parameters": {"classification": 2}}]},
            "classification, which is not one of binary_tensor_data",
        ),
    ],
)
def test_what_is_not_of_the_protocol_is_one_line(row: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as caught:
        read(row if isinstance(row, bytes) else json.dumps(row).encode())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("length", "body", "fault"),
    [
        ("-1", b"{}", "must be the length of the JSON"),
        ("1e2", b"{}", "must be the length of the JSON"),
        ("\u0663", b"{}", "must be the length of the JSON"),
        ("9" * 5000, b"{}", "must be the length of the JSON"),
        ("3", b"{}", "is 3, and the body has 2 bytes"),
    ],
)
def test_a_wrong_length_of_the_json_is_one_line(length: str, body: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read(body, length)


def test_bytes_that_are_too_few_or_too_many_are_one_line() -> None:
    body, headers = binary_request(GOOD)
    for wrong in (body[:-1], body + b"x"):
        with pytest.raises(ValueError, match="image needs 6"):
            read(wrong, headers[HEADER_LENGTH])
    with pytest.raises(ValueError, match="no input has binary_data_size"):
        read(as_json(GOOD) + b"123", str(len(as_json(GOOD))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["image", "UINT8"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "datatype", "shape", "data", "parameters", "binary_data_size", "id"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300)
@given(JSON, st.none() | st.integers(0, 400).map(str), st.binary(max_size=8))
def test_whatever_is_sent_is_read_or_refused_in_one_line(value: Any, length: str | None, behind: bytes) -> None:
    try:
        request = read(json.dumps(value).encode() + behind, length)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert request.images.shape[1:] == (2, 3, 1)


@settings(max_examples=300)
@given(st.data())
def test_a_good_request_with_one_part_changed_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    row = changed()
    place = data.draw(st.sampled_from(["name", "datatype", "shape", "data", "parameters"]))
    row["inputs"][0][place] = data.draw(JSON)
    try:
        read(json.dumps(row).encode())
    except ValueError as error:
        assert "\n" not in str(error)
