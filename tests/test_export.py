"""The file that a device runs, held to the run that it came from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from support.executor import InlineExecutor
from support.formats import hold
from support.networks import GROWABLE, SQUEEZED
from support.settled import USUAL, settled

import budgetnet
from budgetnet.budgets.budget import Budget, LimitRow
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import network_pixels, open_cache, open_images
from budgetnet.model.trust import trust_of
from budgetnet.runs.run import load_run
from budgetnet.ship.exported import ExportedFile, FileCertificate
from budgetnet.ship.good_enough import MOST_DIFFERENCE, faults_of
from budgetnet.ship.notes import Notes
from budgetnet.ship.tflite.interpreters import logits_by_litert
from budgetnet.ship.tflite.read import opened
from budgetnet.ship.tflite.steps import ModelWeights
from budgetnet.statistics import Estimate
from budgetnet.training.calibration import fit_temperature

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
pytest.importorskip("tflite_micro", reason="TensorFlow Lite Micro's interpreter is not installed")

from budgetnet.ship.tflite.parity import first_difference
from budgetnet.ship.tflite.writer import written

NETWORK = dataclasses.replace(GROWABLE, in_channels=1, classes=10)
ROOMY = Budget(macs="2M", weight_bytes="64KiB", peak_activation_bytes="64KiB", dtype="int8", runtime="tflite_micro")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("export") / "run"
    budgetnet.train("digits", NETWORK, epochs=8, out=run, budget=ROOMY, cluster=InlineExecutor())
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_the_file_answers_as_its_record_says(run: Path) -> None:
    (file,) = budgetnet.export(run).files
    content = Path(file.file).read_bytes()
    assert Path(file.file) == run / "model.tflite" and len(content) == file.bytes > file.flash_bytes
    loaded, images = load_run(run), open_images("digits", 0)
    indices = images.indices("test")
    cached = open_cache(images, loaded.side_px)
    pixels = network_pixels([cached[i] for i in indices.tolist()], loaded.network.resolution_px, loaded.preprocessing)
    labels = np.array([images.labels[i] for i in indices.tolist()])
    found = logits_by_litert(content, pixels, reference=True).argmax(1)
    assert (found == labels).mean() == file.top1 > 0.3
    assert file.images == len(labels) and file.float_top1 == budgetnet.evaluate(run).top1
    assert file.change.value == pytest.approx(file.top1 - file.float_top1)


def test_a_file_that_is_forced_takes_the_place_of_none_that_was_good(run: Path) -> None:
    (good,) = budgetnet.export(run).files
    before = Path(good.file).read_bytes()
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["peak_activation_bytes"] = 9_000
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match=r"model.tflite is there and was good enough, which the new file is not"):
        budgetnet.export(run, out=good.file, force=True)
    (forced,) = budgetnet.export(run, force=True).files
    budgetnet.export(run, out=forced.file, force=True)  # which was not good, either
    assert Path(good.file).read_bytes() == before


def test_the_file_that_the_records_of_a_run_are_about_is_not_replaced_silently(run: Path, tmp_path: Path) -> None:
    (file,) = budgetnet.export(run).files
    before = Path(file.file).read_bytes()
    assert file.sha256 == hashlib.sha256(before).hexdigest()
    metrics = json.loads((run / "metrics.json").read_text())
    shipped = {"file": to_plain(dataclasses.replace(file, file="model.tflite")), "faults": [], "hint": ""}
    (run / "metrics.json").write_text(json.dumps({**metrics, "shipped": shipped}))
    budgetnet.export(run)
    assert Path(file.file).read_bytes() == before, "an equal one may take its place"
    (soft,) = budgetnet.export(run, softmax=True).files
    assert Path(soft.file) == run / "model-softmax.tflite" and soft.sha256 != file.sha256
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps(plan))  # another digest of the run, so other bytes
    with pytest.raises(ValueError, match=r"model.tflite is the file that solve tested, with other bytes"):
        budgetnet.export(run)
    assert Path(file.file).read_bytes() == before
    budgetnet.export(run, out=tmp_path / "beside.tflite")
    assert budgetnet.export(run, force=True).files[0].sha256 != file.sha256


def test_the_file_keeps_the_budget_that_the_run_had(run: Path) -> None:
    (file,) = budgetnet.export(run).files
    used = {row.name: row.used for row in file.keeps}
    assert used["weight_bytes"] == file.flash_bytes and used["peak_activation_bytes"] == file.arena_bytes
    assert all(row.left >= 0 for row in file.keeps) and file.allocated in (True, None)
    promised = budgetnet.cost(NETWORK, dtype="int8", runtime="tflite_micro")
    assert file.arena_bytes == promised.peak_activation_bytes
    assert 0.97 * promised.weight_bytes < file.flash_bytes <= promised.weight_bytes


def test_labels_and_all_that_reading_it_takes_lie_behind_the_model(run: Path) -> None:
    (file,) = budgetnet.export(run).files
    with zipfile.ZipFile(file.file) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split("\n") == list("0123456789")
        notes = json.loads(archive.read("budgetnet.json"))
    hold(notes, "budgetnet.export.v1")
    assert Notes.from_dict(notes).to_dict() == notes
    loaded = load_run(run)
    assert notes["temperature"] > 0 and notes["classes"] == list(loaded.classes)
    assert notes["preprocessing"]["mean"] == list(loaded.preprocessing.mean)
    assert Budget.from_dict(notes["budget"]) == ROOMY and notes["arena_bytes"] == file.arena_bytes
    assert budgetnet.Network.from_json(json.dumps(notes["network"])) == loaded.network


def test_the_file_says_what_it_was_found_to_be(run: Path) -> None:
    (file,) = budgetnet.export(run).files
    notes = opened(Path(file.file)).notes
    assert notes.certificate == FileCertificate.of(file, ())
    assert notes.certificate is not None and notes.certificate.keeps == file.keeps
    assert len(notes.run_sha256 or "") == 64 and file.bytes == Path(file.file).stat().st_size
    hold(notes.to_dict(), "budgetnet.export.v1")
    (again,) = budgetnet.export(file.file, dtype="float32", out=run / "of-file.tflite").files
    assert opened(Path(again.file)).notes.run_sha256 == notes.run_sha256, "it is of the same run"
    (run / "plan.json").write_text((run / "plan.json").read_text() + "\n")
    assert opened(Path(budgetnet.export(run).files[0].file)).notes.run_sha256 != notes.run_sha256


def test_a_file_that_was_forced_says_its_faults(run: Path) -> None:
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["peak_activation_bytes"] = 9_000
    (run / "plan.json").write_text(json.dumps(plan))
    (file,) = budgetnet.export(run, force=True).files
    certificate = opened(Path(file.file)).notes.certificate
    assert certificate is not None and certificate.faults == faults_of(file) != ()


def test_when_not_to_believe_it_is_said_by_the_files_own_answers_to_images_held_out(run: Path) -> None:
    (file,) = budgetnet.export(run).files
    runner, loaded, images = opened(Path(file.file), reference=True), load_run(run), open_images("digits", 0)
    held_out = images.indices("validation")  # which a training without a race does not learn
    cached = open_cache(images, loaded.side_px)
    pixels = [cached[index] for index in held_out.tolist()]
    logits = runner.logits(network_pixels(pixels, loaded.network.resolution_px, loaded.preprocessing))
    labels, notes = np.asarray(images.labels)[held_out], runner.notes
    assert notes.temperature == fit_temperature(logits, labels)
    assert notes.trust == trust_of(logits, labels, notes.temperature)
    assert notes.trust is not None
    assert [one.promise for one in file.promises] == list(notes.trust.promises())
    assert loaded.trust is not None and notes.trust != loaded.trust, "the model's answers are others"


def test_equal_exports_are_equal_bytes(run: Path, tmp_path: Path) -> None:
    budgetnet.export(run)
    budgetnet.export(run, out=tmp_path / "again.tflite")
    assert (run / "model.tflite").read_bytes() == (tmp_path / "again.tflite").read_bytes()


def test_a_file_that_breaks_the_budget_is_not_left(run: Path) -> None:
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["peak_activation_bytes"] = 9_000
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(
        ValueError, match=r"model.tflite was not written: it takes [\d,]+ of peak_activation_bytes, [\d,]+ more"
    ):
        budgetnet.export(run)
    assert not (run / "model.tflite").exists()
    del plan["request"]["budget"]["runtime"]
    (run / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="--runtime tflite_micro counts what this one takes"):
        budgetnet.export(run)
    (file,) = budgetnet.export(run, force=True).files
    assert Path(file.file) == run / "model-forced.tflite" and any(row.left < 0 for row in file.keeps)
    assert not (run / "model.tflite").exists()


def made(**changes: object) -> ExportedFile:
    usual = ExportedFile(
        "tflite", "int8", "model.tflite", 10, 9, 100, True, None, 500, 0.9, 0.87, 0.92, 0.9,
        Estimate(0.0, -0.01, 0.01, 500), False, 0.99999, 200, (), 1.5, (LimitRow("macs", 10, 9, 1),),
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)  # type: ignore[arg-type]


def test_what_makes_a_file_not_good_enough() -> None:
    assert faults_of(made()) == () and faults_of(made(allocated=None)) == ()
    assert faults_of(made(change=Estimate(-0.005, -0.03, 0.02, 500))) == ()
    (few,) = faults_of(made(change=Estimate(-0.006, -0.03, 0.02, 500)))
    assert few == "eight bits cost 0.6 points of 500 test images"
    many = made(shown=True, images=1000, change=Estimate(-0.004, -0.011, 0.003, 1000))
    assert faults_of(many) == ("eight bits cost 0.4 points of 1,000 test images, and up to 1.1 are not ruled out",)
    assert faults_of(dataclasses.replace(many, change=Estimate(-0.004, -0.0099, 0.002, 1000))) == ()
    (small,) = faults_of(made(allocated=False))
    assert small == "TensorFlow Lite Micro does not run it in the 100 bytes that were promised"


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--json"]) == 0
    hold(json.loads(capsys.readouterr().out), "export --json")
    assert main(["export", str(run)]) == 0
    said = capsys.readouterr().out
    assert "in int8" in said and "the file uses" in said and str(run / "model.tflite") in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "--to", "coreml"], "tflite"),
        (["RUN", "--out", "nowhere/model.tflite"], "in a folder that is not there"),
        (["RUN", "--out", "."], "is a folder"),
        (["RUN/weights.safetensors"], "give --out FILE"),
        (["nothing-here"], "there is no nothing-here; give a finished run's folder"),
        (["nothing-here", "--out", "model.tflite"], "there is no nothing-here; give a finished run's folder"),
        (["RUN", "--out", "RUN/weights.safetensors"], "does not end in .tflite, as TensorFlow Lite files do"),
        (["RUN", "--out", "RUN/plan"], "give --out RUN/plan.tflite"),
        (["RUN", "--out", "mine.tflite"], "is there, and is no TensorFlow Lite file that export wrote"),
        (["RUN", "--out", "mine.tflite", "--force"], "is there, and is no TensorFlow Lite file that export wrote"),
        (["RUN", "--to", "c", "--softmax"], "a folder of C gives probabilities as it is"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    Path("mine.tflite").write_bytes(b"of another tool")
    before = {path: path.read_bytes() for path in (*run.iterdir(), Path("mine.tflite")) if path.is_file()}
    assert main(["export", *(one.replace("RUN", str(run)) for one in arguments)]) == 2
    error = capsys.readouterr().err
    assert words.replace("RUN", str(run)) in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in before} == before


def test_a_network_that_the_format_has_no_ops_for_is_refused(tmp_path: Path) -> None:
    from budgetnet.model.weights import save_weights
    from budgetnet.networks import Activation

    gelu = dataclasses.replace(NETWORK, stem=dataclasses.replace(NETWORK.stem, activation=Activation("gelu")))
    pixels = {"mean": [0.5], "std": [0.25]}
    save_weights(tmp_path / "gelu.safetensors", budgetnet.build(gelu, seed=0), list("0123456789"), pixels)
    with pytest.raises(ValueError, match="no op for the activation gelu"):
        budgetnet.export(tmp_path / "gelu.safetensors", data="digits", out=tmp_path / "gelu.tflite")
    assert not (tmp_path / "gelu.tflite").exists()


def test_the_float32_file_answers_as_the_model_does(run: Path) -> None:
    (file,) = budgetnet.export(run, dtype="float32").files
    assert file.parity is not None and file.parity < MOST_DIFFERENCE
    assert file.top1 == file.float_top1 and file.change.value == 0.0
    assert Path(file.file) == run / "model-float32.tflite" and file.flash_bytes > 4 * budgetnet.cost(NETWORK).params
    assert file.arena_bytes is None and {row.name for row in file.keeps} == {"macs", "weight_bytes"}


def test_the_first_op_that_differs_is_named() -> None:
    model, images = settled(dataclasses.replace(SQUEEZED, classes=10))
    image = images[0].permute(1, 2, 0).numpy().astype(np.uint8)
    weights = ModelWeights(model, USUAL)
    file = written(model.network, weights, None)
    assert first_difference(model.network, weights, file, image) is None
    with torch.no_grad():
        model.get_submodule("stages.1.0.expand.conv").weight[0] *= 1.5  # type: ignore[operator]
    other = ModelWeights(model, USUAL)
    assert first_difference(model.network, other, file, image) == "stages.1.0.expand.conv"


@pytest.mark.slow
def test_all_formats_are_one_table_with_what_was_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["weight_bytes"] = 30_000
    (run / "plan.json").write_text(json.dumps(plan))
    assert main(["export", str(run), "--to", "all"]) == 0
    said = capsys.readouterr()
    assert "model.tflite" in said.out and "no tflite file in float32: " in said.err and "weight_bytes" in said.err
    assert (run / "model.tflite").is_file() and not (run / "model-float32.tflite").exists()


@pytest.mark.slow
def test_without_the_packages_one_line_says_so(run: Path) -> None:
    """In a process of its own, where nothing has imported them yet."""
    code = "import sys; sys.modules['flatbuffers'] = None; from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", code, "export", str(run)], capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "TensorFlow Lite files need flatbuffers; pip install 'budgetnet[tflite]'" in ended.stderr


# What begins from an exported file


def test_what_is_made_of_an_exported_file_keeps_its_budget_and_its_trust(run: Path, tmp_path: Path) -> None:
    plan = json.loads((run / "plan.json").read_text())
    plan["request"]["budget"]["weight_bytes"] = 30_000
    (run / "plan.json").write_text(json.dumps(plan))
    (made,) = budgetnet.export(run).files
    elsewhere = Path(shutil.copy(made.file, tmp_path / "elsewhere.tflite"))
    notes = opened(elsewhere).notes
    assert notes.trust is not None and load_run(elsewhere).trust == notes.trust
    with pytest.raises(ValueError, match=r"again.tflite was not written: it takes [\d,]+ of weight_bytes"):
        budgetnet.export(elsewhere, dtype="float32", data="digits", out=tmp_path / "again.tflite")
    again = budgetnet.export(elsewhere, dtype="float32", data="digits", out=tmp_path / "again.tflite", force=True)
    (file,), said = again.files, opened(tmp_path / "again.tflite").notes
    assert {row.name for row in file.keeps} == {"macs", "weight_bytes"}
    assert (
        said.budget == notes.budget == dataclasses.replace(ROOMY, weight_bytes=30_000)
        and said.trust == notes.trust
        and said.temperature == notes.temperature
    )


def test_weights_in_a_runs_folder_keep_its_budget(run: Path, tmp_path: Path) -> None:
    (file,) = budgetnet.export(run / "weights.safetensors", out=tmp_path / "of-weights.tflite").files
    assert {row.name for row in file.keeps} >= {"weight_bytes", "peak_activation_bytes"}
