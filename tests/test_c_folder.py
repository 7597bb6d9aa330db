"""The folder of C++ that firmware is built of: what is in it, that it compiles, and that it answers as exported."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.executor import InlineExecutor
from support.formats import hold
from support.networks import GROWABLE

import budgetnet
from budgetnet.budgets.budget import Budget
from budgetnet.cli import main
from budgetnet.data import network_pixels, open_cache, open_images
from budgetnet.data.images import Preprocessing
from budgetnet.model.trust import CurvePoint, Trust, familiarity
from budgetnet.runs.run import load_run
from budgetnet.ship.c.seal import with_seal
from budgetnet.ship.c.source import array_bytes, string_literal
from budgetnet.ship.exported import ExportedFile
from budgetnet.ship.notes import Notes

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")

from ai_edge_litert import schema_py_generated as schema

from budgetnet.ship.c.make import RESOLVERS, TEMPLATES, array, rendered, settings
from budgetnet.ship.c.micro import MicroModel
from budgetnet.ship.c.read import opened
from budgetnet.ship.eight_bits.scale import Scale

NETWORK = dataclasses.replace(GROWABLE, in_channels=1, classes=10)
ROOMY = Budget(macs="2M", weight_bytes="64KiB", peak_activation_bytes="64KiB", dtype="int8", runtime="tflite_micro")
COMPILER = shutil.which("g++")
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fno-exceptions", "-fno-rtti")
SIMPLE = {"\\\\": 0x5C, '\\"': 0x22, "\\?": 0x3F}
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no g++")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedFile:
    """A run's folder with the folder in it, and its record."""
    run = tmp_path_factory.mktemp("folder") / "run"
    budgetnet.train("digits", NETWORK, epochs=8, out=run, budget=ROOMY, cluster=InlineExecutor())
    made = budgetnet.export(run, "c", out=run / "firmware", force=True)
    hold(made.to_dict(), "export --json")
    return made.files[0]


@pytest.fixture
def run(exported: ExportedFile, tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(exported.file).parent, tmp_path / "run"))


@pytest.fixture
def folder(run: Path) -> Path:
    return run / "firmware"


@pytest.fixture(scope="module")
def pixels(exported: ExportedFile) -> NDArray[np.uint8]:
    """The test images at the network's size."""
    loaded, images = load_run(Path(exported.file).parent), open_images("digits", 0)
    cached = open_cache(images, loaded.side_px)
    arrays = [cached[index] for index in images.indices("test").tolist()]
    return network_pixels(arrays, loaded.network.resolution_px, loaded.preprocessing)


def test_the_record_is_of_the_array(exported: ExportedFile, folder: Path, pixels: NDArray[np.uint8]) -> None:
    assert Path(exported.file).name == "firmware" and (exported.format, exported.dtype) == ("c", "int8")
    assert exported.bytes == sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    images = open_images("digits", 0)
    labels = np.array([images.labels[index] for index in images.indices("test").tolist()])
    answers = opened(folder, reference=True).logits(pixels).argmax(1)
    assert (answers == labels).mean() == exported.top1 > 0.3 and exported.allocated
    assert {row.name for row in exported.keeps} == {"macs", "weight_bytes", "peak_activation_bytes"}


@pytest.mark.slow
def test_the_array_is_the_model_of_the_tflite_file_and_equal_exports_are_equal_bytes(
    exported: ExportedFile, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    again.mkdir()
    run = str(Path(exported.file).parent)
    assert main(["export", run, "--to", "all", "--dtype", "int8", "--out", str(again), "--force"]) == 0
    assert "firmware (not compiled here)" in capsys.readouterr().out
    model = (again / "model.tflite").read_bytes()[: exported.flash_bytes]
    assert opened(folder).model.content == model and opened(folder).model.arena_bytes == exported.arena_bytes
    files = {one.relative_to(folder): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    second = again / "firmware"
    assert files == {one.relative_to(second): one.read_bytes() for one in second.rglob("*") if one.is_file()}


def test_the_array_answers_as_the_interpreter_does(folder: Path, pixels: NDArray[np.uint8]) -> None:
    from support.tflite_files import as_read, by_micro

    runner = opened(folder, reference=True)
    model, output = runner.model, runner.model.output
    for image, logits in zip(pixels[:5], runner.logits(pixels[:5]), strict=True):
        integers = by_micro(model.content, as_read(image), model.arena_bytes)[0]
        assert logits == pytest.approx((integers.astype(float) - output.zero_point) * output.scale, abs=1e-6)
        assert (model.integers(image) == integers).all()


def test_what_arduino_platformio_and_cmake_look_for_is_there(folder: Path) -> None:
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    needed = "name version author maintainer sentence paragraph category url architectures includes"
    assert set(properties) == set(needed.split()) and (folder / "src" / properties["includes"]).is_file()
    manifest = json.loads((folder / "library.json").read_text())
    assert manifest["name"] == properties["name"] and manifest["version"] == properties["version"]
    assert (folder / "src" / manifest["headers"]).is_file() and 0 < len(manifest["description"]) <= 255
    assert (folder / "examples/one_image/one_image.ino").is_file()  # a sketch is named after its folder
    named = re.findall(r"(?:src|examples)/[\w/]+\.cc", (folder / "CMakeLists.txt").read_text())
    sources = {one.relative_to(folder).as_posix() for one in folder.rglob("*.cc")}
    assert set(named) == sources
    notes = json.loads((folder / "budgetnet.json").read_text())
    hold(notes, "budgetnet.export.v1")
    assert (folder / "labels.txt").read_text().split("\n") == list("0123456789") == notes["classes"]


def test_the_readme_names_every_file(folder: Path) -> None:
    said = (folder / "README.md").read_text().partition("## What is in here")[2].replace(", .", " .")
    for path in (one.relative_to(folder) for one in folder.rglob("*") if one.is_file()):
        if path.parts[0] == "examples":
            assert path.parent.as_posix() in said
        elif path.name != "README.md":
            assert path.name in said or f"{path.stem}.h {path.suffix}" in said, path


def test_the_resolver_has_the_ops_of_the_file_and_no_others(folder: Path) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(opened(folder).model.content, 0))
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    there = [RESOLVERS[names[row.builtinCode]] for row in model.operatorCodes]  # type: ignore[index,union-attr]
    source = (folder / "src/budgetnet_classifier.cc").read_text()
    assert re.findall(r"ops->(\w+)\(\)", source) == there
    assert f"MicroMutableOpResolver<{len(there)}>" in source


def decoded(literal: str) -> bytes:
    """The bytes of a C string literal: plain characters, octal escapes, simple escapes."""
    assert literal.isascii() and literal.isprintable() and literal[0] == literal[-1] == '"'
    tokens = re.findall(r'\\[0-7]{1,3}|\\.|[^"\\]', literal[1:-1])
    assert "".join(tokens) == literal[1:-1]
    return bytes(
        SIMPLE[token] if token in SIMPLE else int(token[1:], 8) if token[0] == "\\" else ord(token) for token in tokens
    )


@given(st.text() | st.text(alphabet='?"\\/=(\n0189abcx%\x00é'))
def test_a_label_comes_back_out_of_its_literal(label: str) -> None:
    literal = string_literal(label)
    assert decoded(literal).decode("utf-8", "surrogatepass") == label
    assert "??" not in literal


@given(st.binary(min_size=1, max_size=100))
def test_an_array_comes_back_out_of_its_source(content: bytes) -> None:
    source = f"alignas(16) const unsigned char kModel[] = {{\n{array(content)}\n}};"
    assert array_bytes("model.cc", source, "kModel") == content


LABELS = (
    "plain",
    'a "quote"',
    "back\\slash",
    "two\nlines",
    "what??/",
    "%s%n",
    "Käse",
    "고양이",
    "🐈",
    "é0",
    "*/",
    "\\",
)


def noted(preprocessing: Preprocessing, height: int, width: int, classes: tuple[str, ...] = LABELS) -> Notes:
    channels = len(preprocessing.mean)
    network = dataclasses.replace(GROWABLE, in_channels=channels, resolution_px=(height, width), classes=len(classes))
    return Notes(network, classes, preprocessing, 64, 1.5, 5000, None, "0" * 64)


def sources(folder: Path, notes: Notes) -> Path:
    """The templates' sources for these notes, without a network in them."""
    values = settings(MicroModel(b"\x00", 5000, Scale(0.25, 3), None, None), notes)
    values["labels"] = "\n".join(f"    {string_literal(label)}," for label in notes.classes)
    for path in TEMPLATES.glob("src/*"):
        text = path.read_text()
        for name in re.findall(r"\$(\w+)", text):
            text = text.replace(f"${name}", values.get(name, "0"), 1)
        (folder / path.name.removesuffix(".in")).write_text(text)
    return folder


def compiled(folder: Path, program: str, *files: str) -> Path:
    (folder / "main.cc").write_text(program)
    command = [COMPILER or "", "-std=c++17", *STRICT, "main.cc", *files, "-o", "program"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return folder / "program"


PRINTS_LABELS = """
#include <cstdio>
#include "model_settings.h"
int main() {
  for (const char* label : budgetnet::kLabels) std::printf("%s%c", label, 0);
  std::printf("%.9g %.9g", budgetnet::kOutputScale, budgetnet::kTemperature);
}
"""


@needs_compiler
def test_a_compiler_reads_the_labels_and_scales(tmp_path: Path) -> None:
    program = compiled(sources(tmp_path, noted(Preprocessing(), 8, 8)), PRINTS_LABELS, "model_settings.cc")
    *labels, numbers = subprocess.run([program], capture_output=True, check=True).stdout.decode().split("\0")
    assert tuple(labels) == LABELS and [float(one) for one in numbers.split()] == [0.25, 1.5]


TELLS_STRANGERS = """
#include <cstdint>
#include <cstdio>
#include "model_settings.h"
#include "trust.h"
int main() {
  int8_t logits[budgetnet::kClasses];
  while (std::fread(logits, 1, sizeof(logits), stdin) == sizeof(logits)) {
    std::printf("%.9g %d\\n", budgetnet::Familiarity(logits), budgetnet::NoneOfThese(logits));
  }
}
"""


@needs_compiler
@pytest.mark.parametrize("familiar", [21.5, None])
def test_a_stranger_is_told_as_predict_tells_it(tmp_path: Path, familiar: float | None) -> None:
    trust = Trust(30, (CurvePoint(0.0, 30, 1),), familiar)
    notes = dataclasses.replace(noted(Preprocessing(), 8, 8), trust=trust)
    program = compiled(sources(tmp_path, notes), TELLS_STRANGERS, "trust.cc")
    integers = np.random.default_rng(0).integers(-128, 128, (500, len(LABELS)), np.int8)
    integers[:, 1:] = np.minimum(integers[:, 1:], integers[:, :1])
    said = subprocess.run([program], input=integers.tobytes(), capture_output=True, check=True).stdout.decode()
    found = np.array([line.split() for line in said.splitlines()], float)
    logits = 0.25 * (integers.astype(np.float32) - 3)
    np.testing.assert_allclose(found[:, 0], familiarity(logits), rtol=1e-5, atol=1e-5)
    clear = np.abs(familiarity(logits) - (familiar or 0.0)) > 1e-3
    assert (found[clear, 1] == trust.strangers(logits)[clear]).all()
    assert 0.1 < found[:, 1].mean() < 0.9 if familiar else not found[:, 1].any()


def test_the_page_says_when_not_to_believe_it(folder: Path) -> None:
    page, trust = (folder / "README.md").read_text(), opened(folder).notes.trust
    assert trust is not None and trust.familiar is not None
    assert f"`BUDGETNET_FAMILIAR`, {trust.familiar:.4g}." in page
    (defined,) = re.findall(r"#define BUDGETNET_FAMILIAR (\S+)f\n", (folder / SETTINGS).read_text())
    assert float(defined) == pytest.approx(trust.familiar, rel=1e-6)
    rows = re.findall(r"^\| (\d+) % \| (0\.\d+) \|", page, re.MULTILINE)
    assert rows == [(f"{100 * one.max_error:g}", f"{one.threshold:.4f}") for one in trust.promises()] != []


FITS = """
#include <cstdio>
#include <cstdlib>
#include "fit.h"
#include "model_settings.h"
int main(int, char** sides) {
  const int height = std::atoi(sides[1]), width = std::atoi(sides[2]);
  static unsigned char image[1 << 20], pixels[budgetnet::kImageBytes];
  std::fread(image, 1, sizeof(image), stdin) || std::puts("nothing");
  budgetnet::Fit(image, height, width, pixels);
  std::fwrite(pixels, 1, sizeof(pixels), stdout);
}
"""


@needs_compiler
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_an_image_is_fitted_as_in_training(tmp_path: Path, fit: str, interpolation: str) -> None:
    grey = {"mean": (0.5,), "std": (0.25,)} if fit == "stretch" else {}
    share = 0.875 if fit == "crop" else 1.0
    how = Preprocessing(fit=fit, interpolation=interpolation, crop_share=share, **grey)  # type: ignore[arg-type]
    program = compiled(sources(tmp_path, noted(how, 24, 20)), FITS, "fit.cc")
    drawn = np.random.default_rng(0)
    for height, width in ((60, 80), (24, 20), (24, 40), (10, 15), (101, 7)):
        # Smooth, for the overshoot of a bicubic that is cut off twice is more than a rounding.
        image = np.clip(drawn.normal(128, 20, (height, width, len(how.mean))), 0, 255).astype(np.uint8)
        made = subprocess.run(
            [program, str(height), str(width)], input=image.tobytes(), capture_output=True, check=True
        )
        expected = network_pixels([image], (24, 20), how)[0]
        found = np.frombuffer(made.stdout, np.uint8).reshape(expected.shape)
        assert np.abs(found.astype(int) - expected).max() <= 1


@needs_compiler
def test_what_needs_no_headers_of_others_compiles(folder: Path) -> None:
    for standard in ("c++11", "c++17"):
        for name in ("model.cc", "model_settings.cc", "fit.cc", "trust.cc"):
            command = [COMPILER or "", f"-std={standard}", "-fsyntax-only", *STRICT, name]
            subprocess.run(command, cwd=folder / "src", check=True, timeout=120)


@pytest.mark.skipif(
    COMPILER is None or not shutil.which("cmake") or "TFLITE_MICRO_DIR" not in os.environ,
    reason="TFLITE_MICRO_DIR does not name TensorFlow Lite Micro's folder with its library built",
)
def test_the_compiled_firmware_answers_as_the_array(folder: Path, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    build, where = tmp_path / "build", f"-DTFLITE_MICRO_DIR={os.environ['TFLITE_MICRO_DIR']}"
    subprocess.run(["cmake", "-S", folder, "-B", build, where], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    own = subprocess.run([build / "classify"], capture_output=True, text=True)
    assert own.returncode == 0 and "difference 0\n" in own.stdout
    runner = opened(folder, reference=True)
    for image, logits in zip(pixels[:40], runner.logits(pixels[:40]), strict=True):
        (tmp_path / "image").write_bytes(image.tobytes())
        said = subprocess.run([build / "classify", tmp_path / "image"], capture_output=True, text=True, check=True)
        lines = dict(line.split(" ", 1) for line in said.stdout.splitlines())
        assert [int(one) for one in lines["logits"].split()] == runner.model.integers(image).tolist()
        assert int(lines["label"].split()[0]) == logits.argmax()
        trust = runner.notes.trust
        assert trust is not None and ("none of these\n" in said.stdout) == trust.strangers(logits[None])[0]
        scaled = np.exp((logits - logits.max()) / runner.notes.temperature)
        assert float(lines["probability"]) == pytest.approx(scaled.max() / scaled.sum(), abs=1e-5)


def changed(folder: Path, name: str, change: Callable[[str], str]) -> None:
    path = folder / name
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before


SETTINGS, MODEL, NOTES, SEAL = "src/model_settings.h", "src/model.cc", "budgetnet.json", "budgetnet.sha256"


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (MODEL, lambda text: text.replace("0x54", "0x55", 1), "was changed after its export"),
        (MODEL, lambda text: text.replace("alignas", "alignas ", 1), "was changed after its export"),
        ("src/model_settings.cc", lambda text: text.replace('"9"', '"8"'), "was changed after its export"),
        ("labels.txt", lambda text: text.replace("9", "8"), "was changed after its export"),
        (NOTES, lambda text: text.replace('"9"', '"8"'), "was changed after its export"),
        (SEAL, lambda text: text.replace("budgetnet", "other"), "has no digest of its content"),
        (MODEL, lambda text: text[: len(text) // 2], "has no array kModel"),
        (MODEL, lambda text: text.replace("0x54", "84", 1), "has '84' in the array"),
        (MODEL, lambda text: text.replace("0x54", "0x154", 1), "has '0x154' in the array"),
        (MODEL, lambda text: text.replace("kModel[]", "kOther[]"), "has no array kModel"),
        (SETTINGS, lambda text: re.sub(r"(ARENA_BYTES) \d+", r"\1 64", text), "BUDGETNET_ARENA_BYTES is 64"),
        (SETTINGS, lambda text: re.sub(r"(ARENA_BYTES) \d+", r"\1 99999999999", text), "must be 1,024 to"),
        (SETTINGS, lambda text: re.sub(r"(ARENA_BYTES) \d+", r"\1 (1 << 20)", text), "does not define BUDGETNET_ARENA"),
        (SETTINGS, lambda text: text.replace("kModelSha256", "kDigest"), "was changed after its export"),
        (NOTES, lambda text: text[:-2], "is not JSON"),
    ],
)
def test_an_edited_folder_is_one_line(folder: Path, name: str, change: Callable[[str], str], words: str) -> None:
    changed(folder, name, change)
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        opened(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [MODEL, SETTINGS, NOTES])
def test_a_folder_that_lacks_a_file_is_one_line(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"cannot read .*{re.escape(name)}: "):
        opened(folder)


def test_what_a_user_may_edit_is_under_no_seal(folder: Path) -> None:
    changed(folder, SETTINGS, lambda text: re.sub(r"(ARENA_BYTES) \d+", r"\1 900000", text))
    changed(folder, "README.md", lambda text: "mine\n" + text)
    changed(folder, "examples/one_image/one_image.ino", lambda text: "// mine\n" + text)
    for path in folder.rglob("*.cc"):  # as a version control on Windows writes it
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert opened(folder).model.arena_bytes == 900_000


def resealed(folder: Path) -> None:
    """As somebody leaves it who knows how the digest is made."""
    files = {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    (folder / SEAL).write_bytes(with_seal(files)[SEAL])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("budgetnet.export", "other"), "budgetnet.json is not of the format"),
        (lambda text: text.replace('"9"', '"9", "10"'), "another network than the notes"),
    ],
)
def test_notes_of_the_right_digest_that_do_not_fit_are_one_line(
    folder: Path, change: Callable[[str], str], words: str
) -> None:
    changed(folder, NOTES, change)
    resealed(folder)
    with pytest.raises(ValueError, match=re.escape(words)):
        opened(folder)


def test_an_array_that_is_no_model_is_one_line(folder: Path) -> None:
    content = bytes(range(256)) * 4
    changed(folder, MODEL, lambda text: re.sub(r"\{\n( .*,\n)+", lambda _: f"{{\n{array(content)}\n", text))
    resealed(folder)
    with pytest.raises(ValueError, match=r"model\.cc has a damaged model"):
        opened(folder)


def test_the_network_is_run_in_the_arena_that_the_source_says(folder: Path) -> None:
    changed(folder, SETTINGS, lambda text: re.sub(r"(ARENA_BYTES) \d+", r"\1 9000", text))
    with pytest.raises(ValueError, match="does not run the network in 9,000 bytes of arena"):
        opened(folder, reference=True)


def test_the_command_says_that_nothing_was_compiled(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "firmware/of-mine.txt").write_text("goes with the folder")
    assert main(["export", str(run), "--to", "c", "--out", str(run / "firmware"), "--force"]) == 0
    assert "not compiled here; firmware/README.md says how" in capsys.readouterr().out
    assert not (run / "firmware/of-mine.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dtype", "float32"], "C files are written in int8; dtype is 'float32'"),
        (["--out", "mine"], "mine is a folder of something else"),
        (["--out", "mine/a.txt/b"], "in a folder that is not there"),
    ],
)
def test_bad_input_is_one_line_and_folders_of_yours_stay(
    arguments: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    Path("mine").mkdir()
    Path("mine/a.txt").write_text("of mine")
    assert main(["export", str(run), "--to", "c", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert [one.name for one in Path("mine").iterdir()] == ["a.txt"]


def test_every_value_has_a_place_in_a_template() -> None:
    with pytest.raises(KeyError):
        rendered({"model": "0x00"})
