"""train, solve, evaluate and predict on the command line; tests/test_formats.py is where something is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.failing_clock import FailingClock
from support.formats import hold
from support.photos import CLASSES, photos, run

import budgetnet
from budgetnet.cli import main
from budgetnet.training.augmenting import Augment

__all__ = ["photos", "run"]  # fixtures
Capture = pytest.CaptureFixture[str]


def test_predict_answers_each_file_in_a_line(capsys: Capture, run: Path, photos: Path) -> None:
    assert main(["predict", str(run), str(photos / "cat"), "--top", "2"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == "" and len(lines) == 12
    assert lines[0].startswith(f"{photos / 'cat' / '00.png'}: ") and lines[0].count(" %") == 2


def test_a_bad_file_is_one_line_and_the_rest_is_answered(
    capsys: Capture, run: Path, photos: Path, tmp_path: Path
) -> None:
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(b"no image")
    arguments = ["predict", str(run), str(broken), str(photos / "dog" / "03.png"), str(missing)]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1 and "03.png: " in captured.out
    complaints = captured.err.splitlines()
    assert [line.split(": ")[1] for line in complaints] == [str(broken), str(missing)]
    assert all(line.startswith("budgetnet: ") for line in complaints)
    assert main([*arguments, "--json"]) == 1
    row = json.loads(capsys.readouterr().out)
    hold(row, "predict --json")
    assert len(row["predictions"]) == 1 and len(row["unreadable"]) == 2
    assert row["predictions"][0]["label"] in CLASSES


def test_images_may_stand_on_both_sides_of_options(capsys: Capture, run: Path, photos: Path) -> None:
    first, *others = (str(photos / name / "00.png") for name in CLASSES)
    for arguments in ([str(run), "--top", "2", first, *others], [str(run), first, "--top", "2", *others]):
        assert main(["predict", *arguments]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 3


def test_predict_takes_globs(capsys: Capture, run: Path, photos: Path) -> None:
    assert main(["predict", str(run / "weights.safetensors"), str(photos / "*" / "0[01].png")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 * len(CLASSES)


def test_evaluate_on_other_images(
    capsys: Capture, run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["evaluate", str(run), str(photos), "--split", "train", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "Evaluation")
    assert [each["name"] for each in row["per_class"]] == list(CLASSES)
    assert main(["evaluate", str(run), str(photos), "--split", "train"]) == 0
    out = capsys.readouterr().out
    assert f"{100 * row['top1']:.1f} % (95 % interval" in out
    assert all(name in out for name in CLASSES) and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "digits", "--network", "mobilenet_v2"], "either --epochs N or --time 15m"),
        (["train", "digits", "--network", "mobilenet_v2", "--epochs", "1", "--time", "1m"], "either --epochs"),
        (["train", "digits", "--epochs", "1"], "--network"),
        (["train", "digits", "--network", "mobilnet_v2", "--epochs", "1"], "did you mean mobilenet_v2?"),
        (["train", "digits", "--network", "mobilenet_v2", "--time", "15"], "with its unit"),
        (["train", "digits", "--network", "mobilenet_v2", "--epochs", "1", "--recipe", "secret"], "modern"),
        (["train", "digits", "--network", "mobilenet_v2", "--epochs", "1", "--device", "tpu"], '"cuda"'),
        (["train", "nowhere", "--network", "mobilenet_v2", "--epochs", "1"], "there is no folder nowhere"),
        (["solve", "digits"], "at least one limit"),
        (["solve", "digits", "--macs", "2M", "--time", "1s"], "at least"),
        (["solve", "digits", "--macs", "2M", "--base", "nothing"], "nothing"),
        (["solve", "digits", "--macs", "2M", "--strategy", "wide"], '"width"'),
        (["solve", "digits", "--macs", "10"], "the smallest"),
        (["solve"], "give DATA, a folder with a folder of images for each class"),
        (["evaluate", "nowhere"], "nowhere"),
        (["predict", "nowhere", "image.png"], "nowhere"),
        (["predict", "nowhere"], "predict needs IMAGE"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1


def test_bad_images_to_predict(capsys: Capture, run: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.png", tmp_path / "*.jpg"):
        assert main(["predict", str(run), str(path)]) == 2
        assert str(path) in capsys.readouterr().err
    assert main(["predict", str(run), str(tmp_path), "--top", "0"]) == 2


def test_an_interruption_says_that_it_can_go_on(capsys: Capture) -> None:
    assert main(["solve", "digits", "--macs", "2M"], FailingClock(error=KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "budgetnet: interrupted; the same command goes on where this one was\n"


def test_what_the_machine_refuses_is_one_line_and_code_1(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = FailingClock(error=RuntimeError("a training process died,\nperhaps for want of memory"))
    monkeypatch.delenv("BUDGETNET_TRACEBACK", raising=False)
    assert main(["solve", "digits", "--macs", "2M"], refusal) == 1
    assert "died, perhaps for want of memory" in capsys.readouterr().err
    monkeypatch.setenv("BUDGETNET_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        main(["solve", "digits", "--macs", "2M"], refusal)


def test_arguments_reach_solve(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    """A flag that went to another argument would train another network than was asked for."""
    seen: dict[str, object] = {}

    def noted(data: str, budget: object, **more: object) -> None:
        seen.update(more, data=data, budget=budget)
        raise ValueError("noted")

    file = tmp_path / "own.json"
    own = budgetnet.network("mobilenet_v2", resolution_px=64)
    file.write_text(own.to_json(), encoding="utf-8")
    monkeypatch.setattr(budgetnet, "solve", noted)
    main(
        ["solve", "photos", "--macs", "60M", "--weight-bytes", "4MiB", "--dtype", "int8", "--time", "1h", "--seed", "7",
         "--base", "mobilenet_v1", str(file), "--strategy", "width", "tiny", "--recipe", "paper", "--fresh",
         "--out", "here", "--precision", "bfloat16", "--coefficients", "1.3,1.1,1.05", "--flip", "on", "--color", "off"]
    )  # fmt: skip
    capsys.readouterr()
    assert seen.pop("progress") is not None
    assert seen == {
        "data": "photos",
        "coefficients": budgetnet.Coefficients(1.3, 1.1, 1.05),
        "budget": budgetnet.Budget(macs=60_000_000, weight_bytes=4 * 1024**2, dtype="int8"),
        "time_seconds": 3600.0,
        "out": Path("here"),
        "seed": 7,
        "augment": Augment(flip="on", colour="off"),
        "recipe": "paper",
        "bases": ["mobilenet_v1", own],
        "strategies": ("width", "tiny"),
        "pretrained": "none",
        "device": "auto",
        "cluster": None,
        "precision": "bfloat16",
        "fresh": True,
    }
