"""Fonts for the names of classes and files: letters that matplotlib's own font does not have, as 고양이."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN = "DejaVu Sans"
"""The font that comes with matplotlib: Latin, Greek, Cyrillic, Arabic and Hebrew letters."""
WIDER = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans KR",
    "Noto Sans JP",
    "Noto Sans SC",
    "NanumGothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Hiragino Sans",
    "Malgun Gothic",
    "Meiryo",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)
"""Fonts of Debian, macOS and Windows with Chinese, Japanese or Korean letters; those that are installed are used."""
_FILES = re.compile(r"cjk|noto ?sans(kr|jp|sc)|nanum|gothic|hiragino|malgun|meiryo|msyh|wqy|arial ?unicode", re.I)
_MISSING = re.compile(r"Glyph (\d+) .* missing from font")


@functools.cache
def families() -> tuple[str, ...]:
    """The fonts that text is drawn with: each sign in the first one that has it."""
    from matplotlib import font_manager

    if not (found := _installed()):
        # matplotlib keeps its list of fonts in a cache, which does not know of those that were installed since.
        for file in font_manager.findSystemFonts():
            if _FILES.search(Path(file).name):
                font_manager.fontManager.addfont(file)
        found = _installed()
    return (OWN, *found)


def _installed() -> tuple[str, ...]:
    from matplotlib import font_manager

    names = set(font_manager.get_font_names())
    return tuple(name for name in WIDER if name in names)


@contextmanager
def missing_letters(where: str) -> Iterator[None]:
    """While pixels are drawn: one warning for all letters that no installed font has, in place of one for each."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    letters: dict[str, None] = {}
    for one in said:
        if found := _MISSING.match(str(one.message)):
            letters[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno, source=one.source)
    if letters:
        signs = "".join(letters)
        warnings.warn(
            f"{where}: no font here has {signs[:20]}{' and others' if len(signs) > 20 else ''}, so they are drawn as "
            f"boxes; install one that has them, as Noto Sans CJK",
            stacklevel=3,
        )
