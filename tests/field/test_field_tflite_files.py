"""TensorFlow Lite files of any content: a model or one line, no traceback, and no memory for what is only claimed."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.foreign_files import TINY

from budgetnet import build, load_weights
from budgetnet.cli import main
from budgetnet.model.weights import load_model
from budgetnet.ship.tflite.steps import ModelWeights

pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")
pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from ai_edge_litert import schema_py_generated as schema
from support.respelled import File
from support.settled import USUAL, settled
from support.tflite_files import int8_file

from budgetnet.ship.tflite.writer import written

NETWORK = dataclasses.replace(TINY, classes=10, padding="same")
QUICK, MANY = 60, 3_000
MOST_BYTES = 32 << 20
"""Reading a file of some 20 kB may take at most this much memory."""


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    model, images = settled(NETWORK)
    return {"int8": int8_file(model, images)[0], "float32": written(NETWORK, ModelWeights(model, USUAL), None).content}


def refused(path: Path) -> str | None:
    """The line that a file is refused by; None for one that is read."""
    try:
        load_model(path, NETWORK)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return str(error)
    return None


def test_whole_files_are_read(contents: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in contents.items():
        (tmp_path / f"{name}.tflite").write_bytes(content)
        assert refused(tmp_path / f"{name}.tflite") is None


def held(contents: dict[str, bytes], folder: Path, changes: int, slow: bool) -> None:
    """Bytes changed, left out and cut off: read or refused by a line, in little memory."""

    @settings(max_examples=MANY if slow else QUICK, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(st.data())
    def holds(data: Any) -> None:
        content = bytearray(contents[data.draw(st.sampled_from(sorted(contents)))])
        for _ in range(data.draw(st.integers(1, changes))):
            place = data.draw(st.integers(0, len(content) - 1))
            how = data.draw(st.sampled_from(["flip", "flip", "number", "cut"]))
            if how == "flip":
                content[place] ^= 1 << data.draw(st.integers(0, 7))
            elif how == "number":
                content[place : place + 4] = data.draw(st.sampled_from([b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f"]))
            elif place > 8:
                del content[place:]
        (folder / "x.tflite").write_bytes(content)
        tracemalloc.start()
        try:
            refused(folder / "x.tflite")
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
        finally:
            tracemalloc.stop()

    holds()


def test_damaged_bytes_are_a_line(contents: dict[str, bytes], tmp_path: Path) -> None:
    # The tables stand in front of and among the numbers: of small layers more bytes are tables.
    held(contents, tmp_path, 3, slow=False)


@pytest.mark.slow
def test_many_damaged_bytes_are_a_line(contents: dict[str, bytes], tmp_path: Path) -> None:
    held(contents, tmp_path, 30, slow=True)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_files_that_are_cut_short(share: float, contents: dict[str, bytes], tmp_path: Path) -> None:
    content = contents["float32"]
    (tmp_path / "x.tflite").write_bytes(content[: int(share * len(content))])
    assert refused(tmp_path / "x.tflite") is not None


def _enormous(file: File) -> None:
    file.graph.tensors[file.graph.inputs[0]].shape = [1, 2**31 - 1, 2**31 - 1, 3]


def _claims(file: File) -> None:
    file.graph.tensors[file.graph.operators[1].inputs[1]].shape = [2**20, 3, 3, 2**20]


def _outside(file: File) -> None:
    file.model.buffers[file.graph.tensors[file.graph.operators[1].inputs[1]].buffer].offset = 2**40


def _two_graphs(file: File) -> None:
    file.model.subgraphs.append(file.graph)


def _unknown(file: File) -> None:
    file.graph.operators[2].opcodeIndex = file.code(schema.BuiltinOperator.LSTM)


def _features(file: File) -> None:
    file.graph.outputs = list(file.graph.operators.pop(-1).inputs[:1])


def _sums(file: File) -> None:
    file.graph.outputs = [int(file.graph.operators[3].outputs[0])]


def _two_images(file: File) -> None:
    file.graph.inputs = [int(file.graph.inputs[0])] * 2


def _four_bits(file: File) -> None:
    file.graph.tensors[file.graph.operators[1].inputs[1]].type = schema.TensorType.INT4


def _not_a_number(file: File) -> None:
    buffer = file.model.buffers[file.graph.tensors[file.graph.operators[1].inputs[1]].buffer]
    data = bytearray(bytes(buffer.data))
    data[:4] = b"\x00\x00\xc0\x7f"
    buffer.data = data


def _dilated(file: File) -> None:
    file.graph.operators[1].builtinOptions.dilationHFactor = 2


def _dark(file: File) -> None:
    kernel = file.graph.tensors[file.graph.operators[0].inputs[1]]
    file.model.buffers[kernel.buffer].data = bytearray(len(file.model.buffers[kernel.buffer].data))


STRANGE: dict[str, tuple[Callable[[File], None], str]] = {
    "images of billions of pixels": (_enormous, "does not fit tiny: .*px|does not fit tiny: height in pixels"),
    "a kernel of terabytes": (_claims, "tensor .* is 1048576x3x3x1048576 of FLOAT32, but has 864 bytes"),
    "numbers outside of the file": (_outside, "has its numbers outside of the model"),
    "several graphs": (_two_graphs, "has 2 graphs; classifiers that are read have one"),
    "an op of another kind": (_unknown, "op 2 is LSTM, which no network of a known family has"),
    "no classifier": (_features, "has no classifier: it ends in features, 16 of them"),
    "a map at the end": (_sums, "is no classifier: it does not end in a vector of classes"),
    "two images": (_two_images, "is no classifier: it reads 2 and makes 1 tensors"),
    "four bits": (_four_bits, "has no kernel of 4 sides in the file"),
    "numbers that are none": (
        _not_a_number,
        "has nan in conv_2d_1.weight; its training diverged or the file is damaged",
    ),
    "a dilated convolution": (_dilated, "has a window that is dilated or not square"),
    "pixels times zero": (_dark, "multiplies pixels by other than numbers above 0"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_files_are_a_line(
    what: str, contents: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, says = STRANGE[what]
    file = File(contents["float32"])
    change(file)
    path = tmp_path / "x.tflite"
    path.write_bytes(file.content())
    for ask in (lambda: load_model(path, NETWORK), lambda: load_weights(build(NETWORK), path)):
        with pytest.raises(ValueError, match=says) as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert main(["predict", str(path), "x.png"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_layers_that_share_their_numbers_are_refused(contents: dict[str, bytes], tmp_path: Path) -> None:
    """A chain of a thousand convolutions with one kernel is a small file that would be many numbers."""
    file = File(contents["float32"])
    kernel = file.tensor([256, 1, 1, 256], np.zeros(256 * 256, "float32"))
    first = file.tensor([256, 3, 3, 3], np.zeros(256 * 27, "float32"))
    image = int(file.graph.inputs[0])
    options = file.graph.operators[1].builtinOptions
    rows = [file.op(schema.BuiltinOperator.CONV_2D, [image, first], file.tensor([1, 8, 8, 256]), options)]
    for _ in range(1_000):
        read, options = int(rows[-1].outputs[0]), schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        rows.append(file.op(schema.BuiltinOperator.CONV_2D, [read, kernel], file.tensor([1, 8, 8, 256]), options))
    mean = next(op for op in file.graph.operators if file.kind(op) == schema.BuiltinOperator.MEAN)
    mean.inputs = [int(rows[-1].outputs[0]), int(mean.inputs[1])]
    last = file.graph.operators[-1]
    last.inputs = [int(mean.outputs[0]), file.tensor([10, 256], np.zeros(2560, "float32"))]
    file.graph.operators = [*rows, mean, last]
    (tmp_path / "x.tflite").write_bytes(file.content())
    assert "layers that share their numbers and are more than the file" in (refused(tmp_path / "x.tflite") or "")


@pytest.mark.parametrize("name", ["budgetnet.json", "labels.txt"])
def test_an_archive_that_is_packed_to_burst(name: str, contents: dict[str, bytes], tmp_path: Path) -> None:
    packed = io.BytesIO(contents["float32"])
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b" " * (1 << 26))
    (tmp_path / "x.tflite").write_bytes(packed.getvalue())
    assert f"{name} in" in (refused(tmp_path / "x.tflite") or "") and "larger than" in (
        refused(tmp_path / "x.tflite") or ""
    )


def test_what_is_no_file_of_the_format(tmp_path: Path) -> None:
    for content, says in (
        (b"<html>", "is a web page"),
        (b"", "is empty"),
        (b"PK\x03\x04" * 9, "is not a TensorFlow Lite"),
    ):
        (tmp_path / "x.tflite").write_bytes(content)
        assert says in (refused(tmp_path / "x.tflite") or "")
    assert "no such file" in (refused(tmp_path / "none.tflite") or "").lower()
    os.mkfifo(tmp_path / "pipe.tflite")
    assert "is not a file" in (refused(tmp_path / "pipe.tflite") or "")


def test_a_missing_package_is_named(contents: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(contents["int8"])
    code = "import sys; sys.modules['flatbuffers'] = None; from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "predict", "x.tflite", "x.png"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "x.tflite needs flatbuffers to be read; pip install 'budgetnet[tflite]'" in ended.stderr
