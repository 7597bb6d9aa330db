"""The docs as a reader finds them: every link leads somewhere, and a page in two languages says the same commands."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
IN_KOREAN = {"README.md": "README.ko.md", "docs/notes.md": "docs/notes.ko.md"}
HANGUL = re.compile("[가-힣]")

SNIPPETS = runpy.run_path(str(ROOT / "docs" / "check_snippets.py"))
snippets: Callable[[str], Iterator[Any]] = SNIPPETS["snippets"]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What its headings are called in addresses: lower case, a dash for a space, no other signs."""
    heads = re.findall(r"^#+ (.*)$", prose(page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w-]", "", head.lower().replace(" ", "-")) for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    for link in links:
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


@pytest.mark.parametrize(("english", "korean"), IN_KOREAN.items())
def test_both_languages_have_the_same_blocks(english: str, korean: str) -> None:
    first, second = ([(one.language, one.lines) for one in snippets(text_of(name))] for name in (english, korean))
    assert any(language == "console" for language, _ in first)
    assert first == second


@pytest.mark.parametrize(("english", "korean"), IN_KOREAN.items())
def test_both_languages_have_the_same_headings_pictures_and_tables(english: str, korean: str) -> None:
    first, second = prose(text_of(english)), prose(text_of(korean))
    for shape in (r"^(#+) ", r"!\[[^\]]*\]\(([^)]*)\)", r"^(\|)"):
        assert re.findall(shape, first, re.M) == re.findall(shape, second, re.M)
    assert Path(korean).name in first[:200] and Path(english).name in second[:200]
    assert len(HANGUL.findall(second)) > 500 > len(HANGUL.findall(first))


def training_pages() -> list[str]:
    """The pages whose Python trains networks, which `make check` compiles alone."""
    pages = [page for page in PAGES if not page.name.endswith(".ko.md")]
    blocks = {str(page.relative_to(ROOT)): list(snippets(page.read_text(encoding="utf-8"))) for page in pages}
    return [name for name, found in blocks.items() if any(map(SNIPPETS["trains"], python_of(found)))]


def python_of(found: list[Any]) -> list[Any]:
    return [one for one in found if one.language == "python"]


def test_the_readme_trains() -> None:
    assert "README.md" in training_pages()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", training_pages())
def test_python_that_trains_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not list(SNIPPETS["check_python"](python_of(list(snippets(text_of(name)))), name, slow=True))


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").split()) < 600
