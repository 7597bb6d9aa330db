"""docs/formats.md against real output: every file of a run and everything that --json prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.finished_runs import SEED, finished_solve, finished_train, train_record
from support.formats import PAGE, SCHEMAS, faults, hold

from budgetnet import network, open_images
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import Preprocessing
from budgetnet.model.files import load_tensors
from budgetnet.runs.elapsed import Elapsed
from budgetnet.runs.record import Amendment, append_amendment

ROOT = Path(__file__).resolve().parents[1]

Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, *arguments: str, code: int = 0) -> Any:
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_every_schema_is_used_or_printed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(SCHEMAS) == len(re.findall(r"^Schema ", text, re.M)) >= 20
    words = {word for schema in SCHEMAS.values() for word in re.findall(r"\b[A-Z]\w+", json.dumps(schema))}
    assert words <= SCHEMAS.keys()


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"kind": "relu", "beta": 1.0}, "trainable is missing"),
        ({"kind": "relu", "beta": 1.0, "trainable": False, "more": 1}, "more is not on the page"),
        ({"kind": "relu", "beta": "1", "trainable": False}, "beta is '1', no number"),
        ({"kind": "relu", "beta": True, "trainable": False}, "beta is True, no number"),
    ],
)
def test_a_difference_would_be_found(value: Any, fault: str) -> None:
    assert [f"Activation.{fault}"] == list(faults(value, SCHEMAS["Activation"], "Activation"))


def test_what_networks_cost(capsys: Capture) -> None:
    hold(printed(capsys, "zoo"), "zoo --json")
    hold(printed(capsys, "zoo", "--devices"), "zoo --devices --json")
    hold(printed(capsys, "cost", "mobilenet_v3_small", "--ops"), "cost --json")
    hold(printed(capsys, "cost", "mobilenet_v2", "--macs", "1M", code=1), "cost --json")


def test_how_networks_are_scaled_and_fitted(capsys: Capture) -> None:
    hold(printed(capsys, "scale", "efficientnet_b0", "--phi", "-1"), "scale --json")
    for strategy in ("compound", "tiny"):
        row = printed(capsys, "fit", "mobilenet_v1", "--macs", "60M", "--params", "2M", "--strategy", strategy)
        hold(row, "fit --json")


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def hold_run(run: Path, command: str) -> None:
    for name in ("plan.json", "metrics.json"):
        hold(read(run / name), f"{name}, {command}")
    hold(read(run / "split.json"), "split.json")
    hold(read(run / "network.json"), "Network")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {event["kind"] for event in events} <= {"step", "score"} and events
    for event in events:
        hold(event, f"events.jsonl, {event['kind']}")


def test_files_of_finished_runs(tmp_path: Path) -> None:
    finished_solve(tmp_path / "solve", open_images("digits", SEED), "digits")
    images = open_images("digits")
    record = train_record("digits", images, network("mobilenet_v1", resolution_px=32))
    finished_train(tmp_path / "train", images, record)
    for command in ("solve", "train"):
        hold_run(tmp_path / command, command)
    hold(read(tmp_path / "solve" / "certificate.json"), "certificate.json")
    append_amendment(tmp_path / "train", Amendment("final", "final", 12, 20, 9))
    hold(read(tmp_path / "train" / "plan.json"), "plan.json, train")
    with Elapsed(tmp_path / "train", lambda: 12.5):
        pass
    hold(read(tmp_path / "train" / "elapsed.json"), "elapsed.json")
    weights = load_tensors(tmp_path / "train" / "weights.safetensors")[1]
    hold(json.loads(weights["preprocessing"]), "Preprocessing")
    deep = Preprocessing((0.5,), (0.25,), value_range=(51300.0, 51520.0))
    hold(to_plain(deep), "Preprocessing")
    assert "value_range" in to_plain(deep) and "value_range" not in json.loads(weights["preprocessing"])


@pytest.mark.slow
def test_a_trained_run(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "16", "--epochs", "1"]
    row = printed(capsys, *arguments, "--out", str(run), "--macs", "60M")
    hold(row, "train --json")
    assert row["run"] == str(run)
    hold_run(run, "train")
    hold(read(run / "certificate.json"), "certificate.json")
    hold(read(run / "elapsed.json"), "elapsed.json")
    hold(printed(capsys, "evaluate", str(run), "--split", "validation"), "Evaluation")
    assert main([*arguments, "--out", str(run), "--macs", "60M"]) == 0
    shown = capsys.readouterr().out
    assert f"budgetnet predict {run} IMAGE..." in shown and f"{100 * row['test']['top1']:.1f} %" in shown


@pytest.mark.slow
def test_a_solved_run(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["solve", "digits", "--macs", "500K", "--time", "100s", "--out", str(run)]
    arguments += ["--base", "mobilenet_v1", "mobilenet_v3_small", "--strategy", "compound"]
    row = printed(capsys, *arguments)
    hold(row, "solve --json")
    hold_run(run, "solve")
    hold(read(run / "certificate.json"), "certificate.json")
    hold(read(run / "elapsed.json"), "elapsed.json")
    assert (run / "report.html").is_file() and row["report"] == str(run / "report.html")
    assert main(arguments) == 0, "a finished run is shown again"
    shown = capsys.readouterr().out
    assert str(run / "report.html") in shown and row["choice"] in " ".join(shown.split())
    assert "500,000" in shown and f"{100 * row['test']['top1']:.1f} % (95 % interval" in shown
    raced = [candidate["id"] for candidate in row["candidates"] if candidate["raced"]]
    assert len(raced) >= 2 and all(name in shown for name in raced)


def test_files_have_the_format_names_of_the_docs() -> None:
    """A format's name stands in people's files: it does not follow where its code lies."""
    written = {
        name
        for file in (ROOT / "src" / "budgetnet").rglob("*.py")
        for name in re.findall(r'"(budgetnet\.[a-z_.]+\.v\d+)"', file.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(budgetnet\.[a-z_.]+\.v\d+)`", PAGE.read_text(encoding="utf-8")))
    assert len(named) >= 8 and named <= written, named - written
