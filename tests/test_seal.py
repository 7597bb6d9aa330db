"""An exported file that changed behind its export, by a byte or by its end, is refused, in every format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from support.drawn_weights import NETWORK, saved

import budgetnet
from budgetnet.cli import main
from budgetnet.data.images import Preprocessing
from budgetnet.model.seal import OPEN, check_seal, sealed
from budgetnet.model.weights import load_model
from budgetnet.ship.exported import Format
from budgetnet.ship.formats import opener

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
pytest.importorskip("openvino", reason="OpenVINO is not installed")

from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.ship.tflite.writer import written

Change = Callable[[bytes], bytes]
OUT: dict[Format, str] = {"tflite": "m.tflite", "onnx": "m.onnx", "openvino": "m-openvino", "hub": "m-hub"}
PARTS: dict[Format, tuple[str, ...]] = {
    "tflite": ("",),
    "onnx": ("",),
    "openvino": ("model.xml", "model.bin"),
    "hub": ("config.json", "model.safetensors"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Path]:
    folder = tmp_path_factory.mktemp("seal")
    weights = saved(folder, budgetnet.build(NETWORK, seed=0))
    for to, name in OUT.items():
        budgetnet.export(weights, to=to, dtype="float32", data="digits", out=folder / name)
    return {to: folder / name for to, name in OUT.items()}


def tflite_of(name: str) -> bytes:
    """A network of the zoo as another tool writes it: the model alone."""
    net = budgetnet.network(name, classes=10, resolution_px=32)
    return written(net, ModelWeights(budgetnet.build(net, seed=0), Preprocessing((0.5,) * 3, (0.5,) * 3)), None).content


def flipped(share: float) -> Change:
    """The last bit of one byte is another: text stays text, and most numbers stay numbers."""

    def change(content: bytes) -> bytes:
        at = int(share * len(content))
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return change


CHANGES: dict[str, Change] = {
    **{f"a bit at {share:.0%}": flipped(share) for share in (0.2, 0.4, 0.6, 0.8, 0.99)},
    "two bytes more": lambda content: content + b"\n\n",
    "nine bytes fewer": lambda content: content[:-9],
    "a label": lambda content: content.replace(b'"9"', b'"8"').replace(b"&quot;9&quot;", b"&quot;8&quot;"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("to", "part"), [(to, part) for to, parts in PARTS.items() for part in parts])
def test_a_changed_file_is_refused_in_one_line(
    to: Format, part: str, change: str, files: dict[Format, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = tmp_path / files[to].name
    if files[to].is_dir():
        shutil.copytree(files[to], spoilt)
    else:
        shutil.copy(files[to], spoilt)
    content = (files[to] / part).read_bytes() if part else files[to].read_bytes()
    changed = CHANGES[change](content)
    if changed == content:
        assert change == "a label"
        return
    (spoilt / part if part else spoilt).write_bytes(changed)
    image = tmp_path / "image.png"
    Image.new("L", (16, 16)).save(image)
    for command, *more in (("predict", str(image)), ("evaluate", "digits"), ("measure",)):
        assert main([command, str(spoilt), *more]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and error.startswith("budgetnet: "), error
    if to in ("tflite", "hub"):
        with pytest.raises(ValueError, match=r"m[.-]"):
            load_model(spoilt)


@pytest.mark.parametrize(
    ("to", "spoil", "words"),
    [
        ("onnx", lambda path: path.write_bytes(path.read_bytes()[:100]), "is no ONNX file, or is cut short"),
        ("onnx", lambda path: path.write_bytes(b""), "is no ONNX file"),
        ("openvino", lambda path: (path / "model.bin").unlink(), "cannot read"),
        ("openvino", lambda path: (path / "model.xml").unlink(), "cannot read"),
    ],
)
def test_a_file_with_the_ending_of_a_format_is_refused_by_its_reader(
    to: Format,
    spoil: Callable[[Path], object],
    words: str,
    files: dict[Format, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoilt = tmp_path / files[to].name
    (shutil.copytree if files[to].is_dir() else shutil.copy)(files[to], spoilt)
    spoil(spoilt)
    for command, *more in (("predict", "image.png"), ("evaluate", "digits"), ("measure",)):
        assert main([command, str(spoilt), *more]) == 2
        error = capsys.readouterr().err
        assert words in error and str(spoilt) in error and error.count("\n") == 1


def test_of_a_file_out_of_a_folder_the_folder_is_asked_for(
    files: dict[Format, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for command, *more in (("predict", "image.png"), ("measure",)):
        assert main([command, str(files["openvino"] / "model.xml"), *more]) == 2
        assert f"give the folder, {files['openvino']}" in capsys.readouterr().err


def test_no_weights_are_read_from_a_file_for_a_runtime(
    files: dict[Format, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "of-onnx.tflite")
    assert main(["export", str(files["onnx"]), "digits", "--to", "tflite", "--out", out]) == 2
    error = capsys.readouterr().err
    assert "no weights are read from it; give a run's folder" in error and error.count("\n") == 1


def test_the_network_of_a_hubs_folder_and_of_anothers_file_is_measured_in_torch(
    files: dict[Format, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.tflite"  # as another tool writes it: without our notes
    bare.write_bytes(tflite_of("mobilenet_v3_small"))
    assert main(["measure", str(files["hub"]), str(bare), str(files["tflite"]), "--seconds", "0.5s", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["measurements"]
    assert [row["runtime"] for row in rows] == ["torch", "torch", "LiteRT"]
    assert [row["name"] for row in rows[:2]] == [NETWORK.name, "mobilenet_v3_small"]
    assert main(["measure", str(tmp_path / "gone.tflite")]) == 2
    assert "there is no network" in capsys.readouterr().err


def test_the_untouched_files_are_taken(files: dict[Format, Path]) -> None:
    answers = [budgetnet.evaluate(path, "digits") for path in files.values()]
    assert len({round(one.top1, 6) for one in answers}) == 1


@pytest.mark.parametrize("to", OUT)
def test_every_format_says_what_it_was_found_to_be(to: Format, files: dict[Format, Path]) -> None:
    notes = opener(to)(files[to], False).notes
    evaluated = budgetnet.evaluate(files[to], "digits")
    assert notes.certificate is not None and notes.run_sha256 is None, "drawn weights are of no run"
    assert notes.certificate.top1_low <= notes.certificate.top1 <= notes.certificate.top1_high
    assert notes.certificate.faults == () and notes.certificate.dtype == "float32"
    assert notes.certificate.images < evaluated.count, "it was judged by the test images alone"


def test_a_class_that_looks_as_a_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="has two digests"):
        sealed({"": f"{OPEN} {OPEN}".encode()})
    with pytest.raises(ValueError, match="has no digest"):
        check_seal("model.onnx", {"": b"of before"})
