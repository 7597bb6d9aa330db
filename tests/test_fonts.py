"""Names in any script: as letters in the pictures and in the files' names, or one line that says what is missing."""

from __future__ import annotations

import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.small_runs import CROP, drawn_model, saved, small

from budgetnet.draw import fonts
from budgetnet.draw.style import house_style
from budgetnet.draw.svg import new_figure
from budgetnet.experiments.bases import safe_name
from budgetnet.inspect.explain import explain
from budgetnet.inspect.explain.figures import save

needs_font = pytest.mark.skipif(len(fonts.families()) == 1, reason="no font with Korean letters is installed")


def written(text: str, file: Path) -> np.ndarray:
    with house_style():
        figure = new_figure(300, 60)
        figure.text(0.1, 0.4, text)
    save(figure, file.with_suffix(""), (".png",))
    return np.asarray(Image.open(file).convert("L"))


@needs_font
def test_korean_letters_are_drawn_each_as_itself(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = written("고고고", tmp_path / "one.png"), written("양양양", tmp_path / "other.png")
    assert one.shape != other.shape or (one != other).any(), "boxes would all be alike"


def test_letters_that_no_font_has_are_told_once(tmp_path: Path) -> None:
    letters = "\N{LINEAR B SYLLABLE B008 A}\N{LINEAR B SYLLABLE B038 E}"
    with pytest.warns(UserWarning) as said:
        written(letters, tmp_path / "old.png")
    (line,) = [str(one.message) for one in said]
    assert letters in line and "Noto Sans CJK" in line and "\n" not in line


def test_other_warnings_are_passed_on() -> None:
    with pytest.warns(DeprecationWarning, match="of old"), fonts.missing_letters("here"):
        warnings.warn("of old", DeprecationWarning, stacklevel=1)


@pytest.mark.filterwarnings("ignore:.*no font here has")
def test_files_keep_the_names_letters(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", drawn_model(small(classes=2)), CROP, ("고양이", "강아지"))
    photo = tmp_path / "고양이" / "나비 사진 1.png"
    photo.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 56, 3), dtype=np.uint8)).save(photo)
    found = explain(run, photo, classes=["강아지"])
    names = [unicodedata.normalize("NFC", file) for file in found.files]
    assert any("나비-사진-1" in name for name in names), names


@given(st.text(max_size=200))
def test_a_safe_name_is_one_part_of_a_path(name: str) -> None:
    found = safe_name(name)
    assert len(found.encode()) <= 100 and "/" not in found and "\\" not in found and not found.startswith(".")


def test_a_safe_name_keeps_letters() -> None:
    assert safe_name("작은 망/v1.2") == "작은_망_v1.2"
