"""docs/formats.md against real output: every file of a run and everything that --json prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.formats import PAGE, SCHEMAS, faults, hold

from budgetnet.cli import main

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


def hold_run(run: Path) -> None:
    for name in ("plan.json", "metrics.json", "split.json", "certificate.json"):
        hold(json.loads((run / name).read_text(encoding="utf-8")), name)
    hold(json.loads((run / "network.json").read_text(encoding="utf-8")), "Network")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {event["kind"] for event in events} <= {"step", "score"} and events
    for event in events:
        hold(event, f"events.jsonl, {event['kind']}")


@pytest.mark.slow
def test_a_trained_run(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "16", "--epochs", "1"]
    row = printed(capsys, *arguments, "--out", str(run), "--macs", "60M")
    hold(row, "train --json")
    assert row["run"] == str(run)
    hold_run(run)
    hold(printed(capsys, "evaluate", str(run), "--split", "validation"), "Evaluation")
    assert main([*arguments, "--out", str(run), "--macs", "60M"]) == 0
    shown = capsys.readouterr().out
    assert f"budgetnet predict {run} IMAGE..." in shown and f"{100 * row['test']['top1']:.1f} %" in shown


@pytest.mark.slow
def test_a_solved_run(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["solve", "digits", "--macs", "500K", "--time", "60s", "--out", str(run)]
    arguments += ["--base", "mobilenet_v1", "mobilenet_v3_small", "--strategy", "compound"]
    row = printed(capsys, *arguments)
    hold(row, "solve --json")
    hold_run(run)
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
