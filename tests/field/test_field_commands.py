"""Bad command lines: every option is read and checked before the work, and nothing of a failed command is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.finished_runs import finished_train, train_record

from budgetnet import network, train
from budgetnet.cli import BROKEN_PIPE, INTERRUPTED, main
from budgetnet.data import open_images

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]


def refused(capsys: Capture, *line: str) -> str:
    """The one line of a command that exits with 2."""
    assert main(list(line)) == 2, line
    out, said = capsys.readouterr()
    assert out == "" and len(said.splitlines()) == 1 and said.startswith("budgetnet: "), said
    return said


NOWHERE = "no-such-folder"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["fit", "efficientnet_b0", "--bogus"], "--bogus"),
        (["fit", "efficientnet_b0", "--macs", "60M", "--out", "network.txt"], "ends in .json"),
        (["fit", "efficientnet_b0", "--macs", "1K", "--out", "network.txt"], "ends in .json"),
        (["fit", "no-such-network", "--out", "x.json"], "at least one limit"),
        (["cost", "mobilenet_v2", "--batch", "0"], "batch is 0"),
        (["cost", "no-such-network", "--batch", "0"], "batch is 0"),
        (["cost", "no-such-network", "--macs", "1", "--target", "nonsense"], "there is no device 'nonsense'"),
        (["zoo", "--devices", "--target", "nonsense"], "there is no device 'nonsense'"),
        (["zoo", "--devices", "--batch", "0"], "batch is 0"),
        (["zoo", "--devices", "--classes", "0"], "classes is 0"),
        (["zoo", "--devices", "--plot", "zoo.bmp"], "not a picture"),
        (["train", NOWHERE, "--network", "mobilenet_v2", "--epochs", "1", "--classes", "0"], "classes is 0"),
        (["train", NOWHERE, "--network", "mobilenet_v2", "--epochs", "1", "--batch", "0"], "batch is 0"),
        (["train", NOWHERE, "--network", "mobilenet_v2", "--epochs", "1", "--seed", "-1"], "seed is -1"),
        (["train", NOWHERE, "--network", "mobilenet_v2", "--epochs", "-1"], "epochs is -1"),
        (["solve", NOWHERE, "--macs", "1M", "--base", "nonsense"], "nonsense"),
        (["solve", NOWHERE, "--macs", "1M", "--strategy", "nonsense"], "nonsense"),
        (["solve", NOWHERE, "--macs", "1M", "--recipe", "nonsense"], "nonsense"),
        (["solve", NOWHERE, "--macs", "1M", "--time", "3s"], "at least 20 s"),
        (["compare", NOWHERE, "--macs", "1M", "--networks", "nonsense", "mobilenet_v2"], "nonsense"),
        (["search", "baseline", NOWHERE, "--macs", "1M", "--write-space", "space.txt"], "ends in .json"),
        (["search", "baseline", NOWHERE, "--macs", "1M", "--storage", "x"], "--storage is of trials on a cluster"),
        (["search", "family", NOWHERE, "--macs", "1M", "--exponent", "2"], "exponent is 2"),
        (["search", "coefficients", NOWHERE, "--growth", "1"], "growth is 1"),
        (["evaluate", NOWHERE, "--split", "nonsense"], "nonsense"),
        (["predict", NOWHERE, "x.png", "--top", "0"], "top is 0"),
        (["predict", NOWHERE, "x.png", "--max-error", "0"], "max_error is 0"),
        (["predict", NOWHERE, "x.png", "--max-error", "2"], "write 2% if per cent are meant"),
        (["evaluate", NOWHERE, "--max-error", "100%"], "max_error is 1"),
    ],
)
def test_options_are_checked_before_the_work(
    line: list[str], words: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["a/b/run", pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "command",
    [
        ["train", "empty", "--network", "mobilenet_v2", "--epochs", "1"],
        ["train", "digits", "--network", "mobilenet_v2", "--epochs", "1", "--classes", "7"],
        ["solve", "empty", "--macs", "2M"],
        ["solve", "digits", "--macs", "1K"],
        ["compare", "empty", "--macs", "2M"],
        ["search", "coefficients", "empty"],
        ["search", "baseline", "digits", "--macs", "1"],
        ["search", "family", "empty", "--macs", "2M"],
        ["landscape", "training", "empty"],
    ],
)
def test_a_failed_command_leaves_no_folder(
    command: list[str], out: str | None, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    refused(capsys, *command, *(["--out", out] if out else []))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"], "not even the folders around it"


def test_folders_that_were_there_stay(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "another").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    refused(capsys, "solve", "empty", "--macs", "2M")
    refused(capsys, "solve", "empty", "--macs", "2M", "--out", "runs/another/new/run")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["empty", "runs", "runs/another"]


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_a_time_that_is_gone_before_training_leaves_no_folder(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["train", "digits", "--network", "mobilenet_v3_small", "--resolution", "32", "--time", "1s"]
    assert main(line) == 2
    assert "1 s are too short for mobilenet_v3_small" in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_classes_must_be_those_of_the_data(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["train", "digits", "--network", "mobilenet_v2", "--epochs", "1", "--classes"]
    assert "classes is 7, but digits has 10" in refused(capsys, *line, "7")
    record = train_record("digits", open_images("digits"), network("mobilenet_v1", resolution_px=32))
    run, asked = tmp_path / "run", record.request
    _, result = finished_train(run, open_images("digits"), record)
    assert train("digits", asked.network, run, epochs=asked.epochs, classes=10).test == result.test
    with pytest.raises(ValueError, match="classes is 1000, but digits has 10"):
        train("digits", asked.network, run, epochs=asked.epochs, classes=1000)


def test_the_exit_codes_of_the_docs_are_the_programs() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("\n## ")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert codes == [0, 1, 2, INTERRUPTED, BROKEN_PIPE]


@pytest.mark.parametrize(
    "command", [["train", "--network", "mobilenet_v3_small", "--epochs", "1"], ["search", "coefficients"]]
)
def test_an_empty_folder_of_the_users_stays(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "data").mkdir()
    refused(capsys, *command, str(tmp_path / "data"), "--out", str(tmp_path / "mine"))
    assert (tmp_path / "mine").is_dir() and not list((tmp_path / "mine").iterdir())
    refused(capsys, *command, str(tmp_path / "data"), "--out", str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()
