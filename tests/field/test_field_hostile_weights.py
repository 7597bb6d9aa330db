"""Files of weights that are not weights: numbers that are none, and claims that would take memory; one line each."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support.foreign_files import TIMM, TINY, named_as, smallest
from torch import Tensor

from budgetnet import build, evaluate, load_weights, predict
from budgetnet.cli import main
from budgetnet.data.decode import decode, look
from budgetnet.model.files import load_tensors, read_header, save_tensors
from budgetnet.model.weights import load_model, save_weights
from budgetnet.runs.files import read_events, read_json

PREPROCESSING = {"mean": [0.5] * 3, "std": [0.25] * 3}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A weights file of ours."""
    save_weights(tmp_path / "weights.safetensors", build(TINY, seed=1), ["a", "b", "c"], PREPROCESSING)
    return tmp_path / "weights.safetensors"


def spoilt(path: Path, name: str, value: float) -> None:
    tensors, metadata = load_tensors(path)
    tensors[name].view(-1)[0] = value
    save_tensors(path, tensors, metadata)


# Numbers that are none


@pytest.mark.parametrize(
    ("value", "name", "says"),
    [
        (float("nan"), "stages.0.0.depthwise.conv.weight", "nan in stages.0.0.depthwise.conv.weight"),
        (float("inf"), "classifier.bias", "inf in classifier.bias"),
        (-0.5, "stem.norm.running_var", r"-0.5 \(a variance\) in stem.norm.running_var"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_file_and_tensor(
    value: float, name: str, says: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt(own, name, value)
    for ask in (
        load_model,
        evaluate,
        lambda path: predict(path, "x.png"),
        lambda path: load_weights(build(TINY), path),
    ):
        with pytest.raises(ValueError, match=rf"weights.safetensors has {says}; its training diverged") as caught:
            ask(own)
        assert "\n" not in str(caught.value)
    assert main(["predict", str(own), "x.png"]) == 2
    assert "nan %" not in capsys.readouterr().out


def test_numbers_that_float32_cannot_hold_are_none(tmp_path: Path) -> None:
    state = {name: one.double() if one.is_floating_point() else one for name, one in named_as(TIMM, smallest()).items()}
    state["conv_stem.weight"].view(-1)[-1] = 1e300
    torch.save({"state_dict": state}, tmp_path / "x.pth")
    save_file(state, tmp_path / "x.safetensors")
    for file in ("x.pth", "x.safetensors"):
        with pytest.raises(ValueError, match=rf"{file} has inf in conv_stem.weight"):
            load_model(tmp_path / file)


def test_answers_that_are_no_numbers_are_refused(own: Path, tmp_path: Path) -> None:
    tensors, metadata = load_tensors(own)
    for name in tensors:
        if name.endswith("conv.weight"):
            tensors[name] = torch.full_like(tensors[name], 1e38)
    save_tensors(own, tensors, metadata)
    Image.fromarray(np.full((20, 20, 3), 200, np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="answers with values that are not numbers"):
        list(predict(own, tmp_path / "x.png"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_of_floats_are_checked(value: float, tmp_path: Path) -> None:
    pixels = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    Image.fromarray(pixels).save(tmp_path / "good.tif")
    assert decode(tmp_path / "good.tif", 1).max() == 255
    pixels[5, 7] = value
    Image.fromarray(pixels).save(tmp_path / "bad.tif")
    with pytest.raises(ValueError, match=rf"bad.tif: its pixel in row 5, column 7 is {value}, not a number"):
        decode(tmp_path / "bad.tif", 1)
    with pytest.raises(ValueError, match="its pixel in row 5, column 7"):
        look(tmp_path / "bad.tif")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"loss": [1.0, {"a": NaN}]}', r"has nan in loss\[1\].a, not a number"),
        ('{"loss": -Infinity}', "has -inf in loss, not a number"),
        ('{"loss": 1e999}', "has inf in loss, not a number"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ('{"a": ' + "9" * 5000 + "}", "has an integer of 5,000 digits; 40 are the most"),
        ("[" * 100_000 + "]" * 100_000, "is nested deeper than 64 levels"),
        ('{"a": ' * 65 + "1" + "}" * 65, "is nested deeper than 64 levels"),
        ("{", "is not JSON: Expecting"),
    ],
)
def test_json_that_is_none_is_refused_by_file_and_key(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text, encoding="utf-8")
    (tmp_path / "events.jsonl").write_text(f"{text}\n", encoding="utf-8")
    for read, where in ((read_json, "metrics.json"), (read_events, "line 1 of .*events.jsonl")):
        with pytest.raises(ValueError, match=f"{where} {says}") as caught:
            read(tmp_path / where.rpartition("*")[2])
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_of_any_editor_is_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"name": "é"}', encoding=encoding)
    assert read_json(tmp_path / "x.json") == {"name": "é"}


@pytest.mark.parametrize("name", ["plan.json", "metrics.json", "network.json", "coefficients.json", "certificate.json"])
def test_the_command_line_names_a_file_with_nan(name: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {**json.loads(TINY.to_json()), "format": "budgetnet.coefficients.v1", "alpha": float("nan")}
    row |= {"format": "budgetnet.network.v1", "drop_path": float("nan")} if name == "network.json" else {}
    file = own.with_name(name)
    file.write_text(json.dumps(row))
    commands = {
        "plan.json": ["evaluate", str(own)],
        "network.json": ["cost", str(file)],
        "coefficients.json": ["scale", "mobilenet_v1", "--coefficients", str(file)],
    }
    if name in commands:
        assert main(commands[name]) == 2
        said = capsys.readouterr().err
        assert name in said and "has nan in" in said and said.count("\n") == 1
    else:
        with pytest.raises(ValueError, match=rf"{name} has nan in alpha"):
            read_json(file)


# Claims


def refused(path: Path, says: str, load: Callable[[Path], object] = load_model) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_that_are_no_rows_of_numbers_are_named(tmp_path: Path) -> None:
    state = named_as(TIMM, smallest())
    wide = state["conv_head.weight"]
    shared = torch.zeros(64 * 64)
    for tensor, says in (
        (wide[:1, :1].clone().expand(wide.shape), r"conv_head.weight is expanded, [\d,]+ numbers out of 1; save"),
        (torch.as_strided(torch.ones(9), (1 << 15, 1 << 15, 1, 1), (0, 0, 0, 0)), "conv_head.weight is expanded"),
        (wide.to(torch.complex64), "conv_head.weight has complex numbers"),
        (wide.to("meta"), "_rebuild_meta_tensor_no_storage, which is more than"),
        (torch.quantize_per_tensor(wide, 0.1, 0, torch.qint8), "_rebuild_qtensor, which is more than"),
    ):
        torch.save({**state, "conv_head.weight": tensor}, tmp_path / "x.pth")
        refused(tmp_path / "x.pth", says)
    many = {f"blocks.0.0.{place}.weight": shared.view(64, 64) for place in range(300)}
    torch.save({"conv_stem.weight": shared.view(64, 64, 1, 1), **many}, tmp_path / "x.pth")
    refused(tmp_path / "x.pth", "share their numbers and are more than the file")


def safetensors(header: dict[str, object], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"a": {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 16]}}, "not a whole safetensors file"),
        ({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 60]}}, "not a whole safetensors file"),
        (
            {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"},
            "not a whole safetensors file",
        ),
        ({"a": {"dtype": "C64", "shape": [2], "data_offsets": [0, 16]}}, "keeps a as C64, which no weight is"),
        ({"a": {"dtype": "U64", "shape": [2], "data_offsets": [0, 16]}}, "keeps a as U64, which no weight is"),
    ],
    ids=["shape", "offset", "overlap", "complex", "unsigned"],
)
def test_headers_that_lie_are_refused(header: dict[str, object], says: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors(header, bytes(16)))
    refused(tmp_path / "x.safetensors", says)


def test_a_header_is_read_without_its_numbers(own: Path) -> None:
    header = read_header(own)
    assert header.shapes["stem.conv.weight"] == (8, 3, 3, 3) and header.metadata["format"] == "budgetnet.weights.v1"


def pickled(program: bytes) -> Callable[[Path], None]:
    """A file of torch.save with another pickle in it."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/version", b"3\n")
            archive.writestr("archive/byteorder", b"little")

    return write


def bomb(path: Path) -> None:
    """Each codec doubles the bytes: 40 of them would be a terabyte."""
    text = b"X\x04\x00\x00\x00abcd" + b"X\x06\x00\x00\x00latin1"
    start = b"\x80\x02c_codecs\nencode\nq\x00" + text + b"\x86R"
    again = b"q\x01h\x00h\x01X\x03\x00\x00\x00hex\x86R"
    pickled(start + again * 40 + b".")(path)


def itself(path: Path) -> None:
    row: dict[str, object] = {}
    row["model"] = row
    torch.save(row, path)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "bytearray": (pickled(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."), "builtins.bytearray, which"),
    "tensor of a size": (pickled(b"\x80\x02ctorch\nTensor\nJ\xff\xff\xff\x7f\x85R."), "torch.Tensor, which"),
    "codecs": (bomb, "holds texts that would grow when they are read"),
    "itself": (itself, "holds no named tensors"),
    "another protocol": (lambda path: torch.save({"a": 1 + 0j}, path, pickle_protocol=4), "protocol|no named tensors"),
    "nothing": (pickled(b""), "is not a whole file of torch.save"),
    "noise": (pickled(bytes(range(256))), "is not a whole file of torch.save"),
    "deep": (pickled(b"\x80\x02" + b"]" + b"q\x00h\x00" * 9 + b"]a" * 100_000 + b"."), "not a whole file|no named"),
    "script": (lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path), "is TorchScript"),
    "bare": (lambda path: path.write_bytes(pickle.dumps({"a": [1]}, protocol=2)), "not a whole file|no named tensors"),
    "other archive": (lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a"), "no file of torch.save"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:Detected pickle protocol")
@pytest.mark.parametrize("case", HOSTILE)
def test_pickles_that_no_training_writes_are_refused(case: str, tmp_path: Path) -> None:
    write, says = HOSTILE[case]
    write(tmp_path / "x.pth")
    refused(tmp_path / "x.pth", says)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    import os

    for name in ("x.pth", "x.safetensors", "x.json", "x.h5"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "is not a file", read_json if name.endswith("json") else load_model)


BOUNDED = """
import resource, sys
from pathlib import Path
from budgetnet.cli import main
from budgetnet.model.weights import load_model
from budgetnet import build
import budgetnet.runs.run

(size,) = (row.split()[1] for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmSize"))
limit = int(size) * 1024 + (400 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for file in sorted(Path(sys.argv[1]).iterdir()):
    command = ["cost", str(file)] if file.suffix == ".json" else ["predict", str(file), "x.png"]
    print(file.name, main(command), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the bound on memory is Linux's")
def test_no_claim_takes_memory_before_it_is_checked(own: Path, tmp_path: Path) -> None:
    """All of them in one process that may take 400 MB more than it has at the start."""
    files = tmp_path / "files"
    files.mkdir()
    tensors, metadata = load_tensors(own)
    row = json.loads(metadata["network"])
    stage = row["stages"][1]
    for name, change in (
        ("repeats", {"stages": [row["stages"][0], {**stage, "repeats": 3000, "channels": 640}]}),
        ("wide", {"stages": [row["stages"][0], {**stage, "channels": 100_000}]}),
        ("classes", {"classes": 10_000_000}),
        ("deep", {"stages": [row["stages"][0], {**stage, "repeats": 9_000, "channels": 64}]}),
    ):
        lies = {**metadata, "network": json.dumps({**row, **change})}
        save_tensors(files / f"{name}.safetensors", tensors, lies)
    state = named_as(TIMM, smallest())
    shape = (1 << 15, 1 << 15, 1, 1)
    torch.save({**state, "conv_head.weight": torch.ones(9)[:1].expand(1 << 30).view(shape)}, files / "expanded.pth")
    pickled(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.")(files / "bytes.pth")
    bomb(files / "codecs.pth")
    for name, change in (("billion", {"repeats": 10**9}), ("channels", {"channels": 10**300})):
        (files / f"{name}.json").write_text(json.dumps({**row, "stages": [{**stage, **change}]}))
    (files / "stages.json").write_text(json.dumps({**row, "stages": [stage] * 20_000}))
    (files / "nested.json").write_text('{"name": ' + "[" * 1_000_000 + "]" * 1_000_000 + "}")
    command = [sys.executable, "-c", BOUNDED, str(files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    codes = dict(line.split() for line in done.stdout.splitlines())
    assert codes == {file.name: "2" for file in files.iterdir()}, done.stderr[-2000:]
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == len(codes)


def test_expanded_tensors_are_told_from_views(tmp_path: Path) -> None:
    """A transposed or narrowed tensor has all of its numbers."""
    state: dict[str, Tensor] = named_as(TIMM, smallest())
    kernel = state["conv_head.weight"]
    state["conv_head.weight"] = kernel.flatten(1).t().contiguous().t()[:, :, None, None]
    torch.save(state, tmp_path / "x.pth")
    assert torch.equal(load_model(tmp_path / "x.pth").model.state_dict()["head.conv.weight"], kernel)
