"""Exported files answer as their run does, without torch; what is no such file is one line."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.executor import InlineExecutor
from support.formats import hold
from support.networks import GROWABLE

import budgetnet
from budgetnet.cli import main
from budgetnet.data import digits, open_images
from budgetnet.model.probabilities import class_probabilities, class_probabilities_of_file
from budgetnet.ship.exported import ExportedFile, Format, NumberType
from budgetnet.ship.formats import ROWS, format_of, opener
from budgetnet.training.predict import Prediction

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from budgetnet.ship.tflite.archive import notes_behind, with_archive

NETWORK = dataclasses.replace(GROWABLE, in_channels=1, classes=10)
Capture = pytest.CaptureFixture[str]
Files = dict[str, ExportedFile]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("answers") / "run"
    budgetnet.train("digits", NETWORK, epochs=4, out=run, cluster=InlineExecutor())
    return run


@pytest.fixture(scope="module")
def files(run: Path) -> Files:
    """Both of its files, by their number types."""
    return {dtype: budgetnet.export(run, dtype=dtype, force=True).files[0] for dtype in ("int8", "float32")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of each class, as files in class folders."""
    folder, images = tmp_path_factory.mktemp("photos"), open_images("digits")
    for label, name in enumerate(images.classes):
        (folder / name).mkdir()
        for index in [at for at, one in enumerate(images.labels) if one == label][:4]:
            Image.fromarray(digits.pixels()[index][..., 0]).resize((40, 32)).save(folder / name / f"{index}.png")
    return folder


def answered(source: str | Path, photos: Path) -> list[Prediction]:
    found = list(budgetnet.predict(source, photos, batch=7, top=10))
    return [one for one in found if isinstance(one, Prediction)]


def test_a_float_file_answers_as_the_run_does(run: Path, files: Files, photos: Path) -> None:
    ours, theirs = answered(files["float32"].file, photos), answered(run, photos)
    assert len(ours) == 40 and [one.path for one in ours] == [one.path for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.label == other.label
        found, expected = dict(one.top), dict(other.top)
        assert max(abs(found[name] - share) for name, share in expected.items()) < 1e-4
    assert len({one.label for one in theirs}) > 3, "the images are told apart"
    own, other = budgetnet.evaluate(files["float32"].file), budgetnet.evaluate(run)
    assert (
        own.count == other.count and own.top1 == other.top1 and own.log_loss == pytest.approx(other.log_loss, abs=1e-4)
    )


def test_a_file_says_when_not_to_believe_it_as_the_run_does(run: Path, files: Files, photos: Path) -> None:
    """What the run promises lies in the file; of int8 by the file's own answers to the same images."""
    for dtype, near, errors in (("float32", 0, 0), ("int8", 4, 4)):
        ours, theirs = (answered(one, photos) for one in (files[dtype].file, run))
        assert {type(one.none_of_these) for one in (*ours, *theirs)} == {bool}
        unlike = [one.none_of_these != other.none_of_these for one, other in zip(ours, theirs, strict=True)]
        assert sum(unlike) <= near
        mine, other = (budgetnet.evaluate(one, max_error=0.5).promise for one in (files[dtype].file, run))
        assert mine is not None and other is not None and mine.promise.images == other.promise.images
        assert abs(mine.promise.wrong - other.promise.wrong) <= errors


def test_an_int8_file_is_as_accurate_as_its_export_said(files: Files, photos: Path) -> None:
    file = files["int8"]
    found = budgetnet.evaluate(file.file)
    assert (found.top1, found.top1_low, found.top1_high) == (file.top1, file.top1_low, file.top1_high)
    assert budgetnet.evaluate(file.file, photos).count == 40, "of other images all"
    right = [one.label == Path(one.path).parent.name for one in answered(file.file, photos)]
    assert budgetnet.evaluate(file.file, photos).top1 == np.mean(right)


def test_a_file_elsewhere_asks_for_images(files: Files, photos: Path, tmp_path: Path, capsys: Capture) -> None:
    moved = shutil.copy(files["int8"].file, tmp_path / "moved.tflite")
    assert main(["evaluate", str(moved)]) == 2
    assert "has no plan.json" in capsys.readouterr().err
    assert main(["evaluate", str(moved), str(photos), "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "Evaluation")


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_torch_is_not_loaded(files: Files, photos: Path, dtype: str) -> None:
    file = files[dtype].file
    commands = [["predict", file, str(photos)], ["evaluate", file], ["evaluate", file, str(photos)]]
    commands.append(["measure", file, "--seconds", "500ms"])
    check_without_torch(*commands)


def check_without_torch(*commands: list[str]) -> None:
    """All commands do their work in one process, and none loads torch."""
    program = (
        "import sys; from budgetnet.cli import main; "
        f"codes = [main(command) for command in {list(commands)!r}]; "
        "sys.exit(str(codes) if any(codes) or {'torch', 'torchvision'} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "INFO" not in done.stderr, "what a runtime says of itself"


@pytest.mark.parametrize(
    ("to", "module"), [("onnx", "onnxruntime"), pytest.param("openvino", "openvino", marks=pytest.mark.slow)]
)
def test_other_formats_answer_as_the_run_does_without_torch(
    to: Literal["onnx", "openvino"], module: str, run: Path, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip(module, reason="it is not installed")
    (file,) = budgetnet.export(run, to=to, force=True).files
    assert budgetnet.evaluate(file.file).top1 == file.top1 == budgetnet.evaluate(run).top1
    for one, other in zip(answered(file.file, photos), answered(run, photos), strict=True):
        expected = dict(other.top)
        assert max(abs(share - expected[name]) for name, share in one.top) < 1e-4
    check_without_torch(
        ["predict", file.file, str(photos)], ["evaluate", file.file], ["measure", file.file, "--seconds", "500ms"]
    )
    moved = tmp_path / Path(file.file).name
    (shutil.copytree if Path(file.file).is_dir() else shutil.copy)(file.file, moved)
    part = moved / "model.xml" if moved.is_dir() else moved
    part.write_bytes(part.read_bytes()[: -part.stat().st_size // 3])
    capsys.readouterr()
    assert main(["predict", str(moved), str(photos)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_of_c_answers_as_the_int8_file_does_without_torch(files: Files, run: Path, photos: Path) -> None:
    (folder,) = budgetnet.export(run, to="c", force=True).files
    assert budgetnet.evaluate(folder.file).top1 == folder.top1 == files["int8"].top1
    for one, other in zip(answered(folder.file, photos), answered(files["int8"].file, photos), strict=True):
        expected = dict(other.top)
        assert max(abs(share - expected[name]) for name, share in one.top) < 0.05, "TensorFlow Lite Micro, and LiteRT"
    check_without_torch(["predict", folder.file, str(photos)], ["measure", folder.file, "--seconds", "500ms"])


@pytest.mark.parametrize(
    ("to", "dtype", "module"),
    [
        ("tflite", "int8", "ai_edge_litert"),
        ("tflite", "float32", "ai_edge_litert"),
        ("onnx", "float32", "onnxruntime"),
        pytest.param("onnx", "int8", "onnxruntime", marks=pytest.mark.slow),
        pytest.param("openvino", "float32", "openvino", marks=pytest.mark.slow),
        pytest.param("openvino", "int8", "openvino", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_gives_probabilities_answers_as_the_run_does(
    to: Format, dtype: NumberType, module: str, run: Path, photos: Path
) -> None:
    pytest.importorskip(module, reason="it is not installed")
    target = run / f"soft-{ROWS[to].names[dtype]}"
    (file,) = budgetnet.export(run, to=to, dtype=dtype, out=target, softmax=True, force=True).files
    runner = opener(to)(target, True)
    assert runner.notes.softmax and "softmax" in runner.notes.to_dict()
    given = np.exp(runner.logits(iter(np.zeros((1, *NETWORK.resolution_px, 1), np.uint8))) / runner.notes.temperature)
    assert given.sum() == pytest.approx(1.0, abs=0.02 if dtype == "int8" else 1e-5)
    assert file.parity is None if dtype == "int8" else file.parity is not None and file.parity < 1e-4
    assert budgetnet.evaluate(target).top1 == file.top1
    ours, theirs = answered(target, photos), answered(run, photos)
    most = 1e-4 if dtype == "float32" else 0.15
    for one, other in zip(ours, theirs, strict=True):
        expected = dict(other.top)
        assert max(abs(share - expected[name]) for name, share in one.top) < most
        assert one.none_of_these is None and other.none_of_these is not None, "strangers are told by logits"
    mine, other = (budgetnet.evaluate(one, max_error=0.5).promise for one in (target, run))
    assert mine is not None and other is not None and mine.promise.images == other.promise.images
    errors = 0 if dtype == "float32" else 4  # of int8 by the file's own answers
    assert abs(mine.promise.wrong - other.promise.wrong) <= errors


def test_files_and_networks_take_turns_in_one_table(files: Files, capsys: Capture) -> None:
    names = [files["int8"].file, files["float32"].file, "mobilenet_v3_small"]
    assert main(["measure", *names, "--resolution", "32", "--seconds", "500ms", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "measure --json")
    rows = found["measurements"]
    assert [row["name"] for row in rows] == names
    ran = [(row["dtype"], row["runtime"]) for row in rows]
    assert ran == [("int8", "LiteRT"), ("float32", "LiteRT"), ("float32", "torch")]
    assert all(row["measurement"]["runs"] >= 10 for row in rows)
    assert len({row["measurement"]["others_cores"] for row in rows}) == 1, "they were timed together"
    assert main(["measure", *names, "--resolution", "32", "--seconds", "500ms"]) == 0
    assert "int8, LiteRT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "FILE", "PHOTOS", "--device", "cuda"], "runs on the processor"),
        (["evaluate", "FILE", "--network", "mobilenet_v3_small"], "leave network away"),
        (["predict", "FILE", "PHOTOS", "--class-names", "a,b"], "leave class_names away"),
        (["measure", "FILE", "--batch", "2"], "batch is 2"),
        (["measure", "FILE", "--device", "cuda"], "runs on the processor"),
        (["measure", "FILE", "--resolution", "32"], "leave those options away"),
        (["measure", "PHOTOS"], "there is no network"),
    ],
)
def test_what_a_file_cannot_do_is_one_line(
    words: list[str], message: str, files: Files, photos: Path, capsys: Capture
) -> None:
    given = {"FILE": files["int8"].file, "PHOTOS": str(photos)}
    assert main([given.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_one_line(
    data: st.DataObject, files: Files, photos: Path, tmp_path: Path, capsys: Capture
) -> None:
    whole = Path(files["int8"].file).read_bytes()
    cut = st.integers(0, len(whole) - 1).map(lambda end: whole[:end])
    flipped = st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)).map(
        lambda at: whole[: at[0]] + bytes([whole[at[0]] ^ at[1]]) + whole[at[0] + 1 :]
    )
    content = data.draw(cut | flipped | st.binary(max_size=300))
    file = tmp_path / "damaged.tflite"
    file.write_bytes(content)
    image = next(photos.rglob("*.png"))
    code = main(["predict", str(file), str(image)])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and error.startswith("budgetnet: ")


def more_weights_than_bytes(graph: Any, buffers: list[Any]) -> None:
    graph.tensors[graph.operators[1].inputs[1]].shape = np.array([1 << 12, 3, 3, 1 << 12], np.int32)


def tensor_out_of_range(graph: Any, buffers: list[Any]) -> None:
    graph.operators[2].inputs = np.array([99_999, 1, 2], np.int32)


def weights_outside(graph: Any, buffers: list[Any]) -> None:
    weights = buffers[graph.tensors[graph.operators[1].inputs[1]].buffer]
    weights.data, weights.offset, weights.size = None, 1 << 40, 1 << 30


def no_weights(graph: Any, buffers: list[Any]) -> None:
    buffers[graph.tensors[graph.operators[1].inputs[1]].buffer].data = None


@pytest.mark.parametrize("spoil", [more_weights_than_bytes, tensor_out_of_range, weights_outside, no_weights])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_hostile_model_of_the_right_digest_is_one_line(
    spoil: Callable[[Any, list[Any]], None], command: str, files: Files, photos: Path, tmp_path: Path, capfd: Any
) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    whole = Path(files["int8"].file).read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(whole[: files["int8"].flash_bytes], 0))
    spoil(model.subgraphs[0], model.buffers)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    file = tmp_path / "hostile.tflite"
    file.write_bytes(with_archive(bytes(builder.Output()), notes_behind("the file", whole)))
    capfd.readouterr()
    assert main([command, str(file), str(photos)]) == 2
    error = capfd.readouterr().err
    assert str(file) in error and "is damaged" in error and error.count("\n") == 1


def test_a_file_of_another_tool_is_none_of_ours(files: Files, tmp_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(Path(files["int8"].file).read_bytes()[: files["int8"].flash_bytes])
    assert format_of(bare) is None and format_of(Path(files["int8"].file)) == "tflite"
    assert format_of(tmp_path) is None and format_of(tmp_path / "gone.tflite") is None


@given(st.integers(2, 6), st.floats(0.05, 20.0), st.integers(0, 2**32 - 1))
@example(3, 1.0, 0)
def test_probabilities_of_arrays_are_those_of_tensors(classes: int, temperature: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=10.0, size=(4, classes)).astype(np.float32)
    found = class_probabilities_of_file(logits, temperature)
    expected = class_probabilities(torch.from_numpy(logits), temperature).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
