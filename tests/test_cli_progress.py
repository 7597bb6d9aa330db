"""Progress on standard error: bars in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from budgetnet.cli import progress as module
from budgetnet.parallel.progress import Update


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_quick_phase_is_not_talked_about(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = module.plain_lines(clock)
    for done in range(11):
        clock.seconds += 0.09
        show(Update("reading images", done, 10))
    assert capsys.readouterr().err == ""


def test_a_long_phase_has_a_line_now_and_then_and_one_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = module.plain_lines(clock)
    for done in range(101):
        show(Update("final", done, 100, "loss 0.5"))
        clock.seconds += 0.5
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "final: 2/100 loss 0.5"
    assert lines[-1] == "final: 100/100 loss 0.5"
    assert 5 <= len(lines) <= 7, "50 seconds, a line every ten"


def test_phases_have_their_own_lines_and_may_come_again(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = module.plain_lines(clock)
    for _ in range(2):
        for done in (0, 1, 2):
            for phase in ("race/a", "race/b"):
                show(Update(phase, done, 2))
            clock.seconds += 2.0
    assert capsys.readouterr().err.splitlines() == ["race/a: 1/2", "race/b: 1/2", "race/a: 2/2", "race/b: 2/2"] * 2


def bars(*updates: Update) -> str:
    """What a terminal of 80 columns shows at the end."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None, legacy_windows=False)
    with module._bars(console) as show:
        for update in updates:
            show(update)
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())
    return text.split("\r")[-1]


def test_a_bar_shows_its_figures_whole() -> None:
    figures = "loss 2.325, accuracy 31.1 %, epoch 12.4"
    shown = bars(Update("race", 1, 4, "rung 1"), Update("race/efficientnet_lite0-resolution-2", 3, 400, figures))
    assert figures in shown and "efficientnet_lite0-resolution-2" in shown and "3/400" in shown
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    "last", [Update("race/a", 9, 9), Update("race", 2, 2), Update("race", 1, 2, "a")], ids=["itself", "outer", "named"]
)
def test_an_inner_phase_leaves_when_it_is_over(last: Update) -> None:
    before = (Update("race", 0, 2, "rung 1"), Update("race/a", 3, 9, "loss 1"))
    assert "3/9" in bars(*before)
    shown = bars(*before, last)
    assert "3/9" not in shown and "9/9" not in shown and "race" in shown


def test_a_name_is_no_markup() -> None:
    assert "[red]photos" in bars(Update("evaluate", 1, 2, "[red]photos"))
