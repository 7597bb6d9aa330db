"""This machine's speed: times that are those of the deployed model, and none where others disturb it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from support.formats import hold

import budgetnet
from budgetnet import build, network
from budgetnet.cli import main
from budgetnet.model.deployed import deployed

module = sys.modules[budgetnet.measure.__module__]
"""The package's attribute of this name is the function."""
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", ("mobilenet_v3_small", "mobilenet_v4_conv_small", "tf_efficientnetv2_b0"))
def test_the_deployed_model_answers_as_the_model_does(name: str) -> None:
    model = build(network(name, classes=7, resolution_px=48), seed=3).train()
    images = torch.randn((4, 3, 48, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(images)  # statistics of BatchNorm that are not 0 and 1
        folded = deployed(model)
        model.eval()
        torch.testing.assert_close(folded(images), model(images), atol=1e-4, rtol=1e-3)
    assert not [part for part in folded.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)], "the model is left as it was"


def quiet(monkeypatch: pytest.MonkeyPatch, others: float | None) -> None:
    """What the system would say of other processes."""
    monkeypatch.setattr(module._Watch, "others_cores", lambda self: others)


def test_median_and_quartiles_of_real_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet(monkeypatch, 0.01)
    small, large = (network("mobilenet_v2", classes=5, resolution_px=side) for side in (32, 256))
    before = torch.get_num_threads()
    found = module.measure_each([small, large, build(small)], seconds=0.5)
    assert torch.get_num_threads() == before
    for row in found:
        assert row.alone and row.disturbance is None
        assert row.latency_ms is not None and row.low_ms is not None and row.high_ms is not None
        assert 0 < row.low_ms <= row.latency_ms <= row.high_ms
        assert row.runs >= 10 and row.image_ms == row.latency_ms
    assert found[1].latency_ms > 1.5 * found[0].latency_ms, "sixty-four times the multiply-adds"


@pytest.mark.parametrize(
    ("others", "words"), [(0.3, "30 % of a core"), pytest.param(None, "does not say", marks=pytest.mark.slow)]
)
def test_beside_other_work_there_is_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, others: float | None, words: str
) -> None:
    quiet(monkeypatch, others)
    arguments = ["measure", "mobilenet_v3_small", "--resolution", "32", "--seconds", "500ms"]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    row = json.loads(captured.out)
    hold(row, "measure --json")
    assert row["measurements"][0]["measurement"]["latency_ms"] is None
    assert not row["measurements"][0]["measurement"]["alone"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert words in captured.err and "no times" in captured.err and captured.err.count("\n") == 1
    assert "mobilenet_v3_small" in captured.out


def test_the_command_prints_a_row_a_network(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    quiet(monkeypatch, 0.0)
    arguments = ["measure", "mobilenet_v3_small", "mobilenet_v1", "--resolution", "32", "--seconds", "500ms"]
    assert main([*arguments, "--batch", "2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("measure: ") for line in captured.err.splitlines()), "progress alone, if it takes long"
    price = budgetnet.cost(network("mobilenet_v1", resolution_px=32))
    row = next(line.split() for line in lines if line.startswith("mobilenet_v1"))
    assert row[1] == "32" and f"{price.macs / 1e6:.1f}" in row


def test_a_busy_neighbour_is_seen() -> None:
    """A real one, for as long as the system needs to count it."""
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        row = budgetnet.measure(network("mobilenet_v3_small", resolution_px=32), seconds=1.0)
    finally:
        neighbour.kill()
        neighbour.wait()
    assert not row.alone and row.latency_ms is None
    assert row.others_cores is None or row.others_cores > 0.2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"threads": 10_000}, "cores here"),
        ({"seconds": 0.01}, "at least 0.5"),
        ({"device": "abacus"}, "cpu, cuda, mps"),
    ],
)
def test_bad_arguments_are_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        budgetnet.measure(network("mobilenet_v1"), **options)
    assert "\n" not in str(caught.value)
