"""What a notebook shows: progress in one place of the page, and a result in a few rows."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from support.finished_runs import finished_solve, finished_train, train_record
from support.page import Page

import budgetnet
from budgetnet.data import open_images
from budgetnet.experiments.solve import Solution
from budgetnet.experiments.train import Trained
from budgetnet.parallel.notebook import REDRAW_SECONDS, NotebookProgress, notebook_progress
from budgetnet.parallel.progress import Update


class Screen:
    """A notebook's page with one output: what is shown there, and how often it was drawn."""

    def __init__(self) -> None:
        self.outputs = self.drawn = 0
        self.shown = ""
        self.seconds = 0.0

    def display(self, shown: object) -> Screen:
        self.outputs += 1
        self.update(shown)
        return self

    def update(self, shown: object) -> None:
        self.drawn += 1
        assert isinstance(shown, NotebookProgress)
        self.shown = shown._repr_html_()

    @property
    def text(self) -> str:
        return Page(self.shown).text


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def progress(screen: Screen) -> NotebookProgress:
    return NotebookProgress(screen.display, lambda: screen.seconds)


def test_a_long_phase_is_one_output_that_is_drawn_now_and_then(screen: Screen, progress: NotebookProgress) -> None:
    for done in range(1001):
        screen.seconds += 0.01
        progress(Update("final", done, 1000, f"loss 0.{done}"))
    assert screen.outputs == 1 and screen.drawn <= 2 + 10 / REDRAW_SECONDS
    assert "1000/1000" in screen.text and "loss 0.1000" in screen.text, "its end is always drawn"


def test_lines_stay_above_the_bars_and_an_inner_phase_leaves(screen: Screen, progress: NotebookProgress) -> None:
    progress(Update("images", 0, 1, lines=("1,797 images <digits>",)))
    for update in (Update("race", 0, 2, "rung 1"), Update("race/a", 3, 9), Update("race/b", 9, 9)):
        screen.seconds += 1.0
        progress(update)
    assert "1,797 images <digits>" in screen.text and "&lt;digits&gt;" in screen.shown, "names are text"
    assert "3/9" in screen.text and "9/9" not in screen.text
    assert repr(progress).splitlines() == ["1,797 images <digits>", "race: 0/2 rung 1", "race/a: 3/9"]
    progress(Update("race", 2, 2))
    assert "race/a" not in screen.text and "2/2" in screen.text


def test_outside_a_notebook_nothing_is_shown() -> None:
    assert notebook_progress() is None


def checked(shown: Solution | Trained, *words: str) -> None:
    """The text and the table of a result have these words and are short."""
    text, page = repr(shown), Page(shown._repr_html_())
    assert len(text.splitlines()) <= 6 and len(text) < 1000
    for word in (*words, str(shown.run / "report.html"), f"{100 * shown.test.top1:.1f}"):
        assert word in text and word in html.unescape(page.text)
    assert page.values("href") == [(shown.run / "report.html").as_posix()]


def test_a_solution_is_shown_in_a_few_rows(tmp_path: Path) -> None:
    _, result = finished_solve(tmp_path / "<run>", open_images("digits"), "digits")
    checked(Solution.of(result), "multiply-adds", "95 % interval", "held out for the test", "It uses", "is as good")


def test_a_training_is_shown_in_a_few_rows(tmp_path: Path) -> None:
    images = open_images("digits")
    record = train_record("digits", images, budgetnet.network("mobilenet_v2"), seed=0)
    _, result = finished_train(tmp_path / "run", images, record)
    checked(Trained.of(result), "mobilenet_v2", "95 % interval")
