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


def repository_files() -> list[str]:
    """The files and folders that readers are sent to, each with a slash before it; a folder has one behind it, too."""
    tops = [ROOT / name for name in ("src", "tests", "bench", "docs")]
    below = [path for top in tops for path in top.rglob("*") if "__pycache__" not in path.parts]
    paths = [*ROOT.glob("*.*"), ROOT / "Makefile", *tops, *below]
    return [f"/{path.relative_to(ROOT).as_posix()}{'/' if path.is_dir() else ''}" for path in paths]


FILES = repository_files()
# Names that stand for any: experiments/NAME/plan.py.
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b(?!\.md)")
# Our kinds of files, and folders that are ours by their first name; a user's are photos/ and plan.json.
OURS = re.compile(r"[\w./-]+\.(?:py|md|toml|j2|css)|(?:src|tests|bench|docs|experiments|inspect|costs|model)/[\w./-]*/")


def paths_named(text: str) -> list[str]:
    """What looks like a file or a folder of this repository, in backticks or after "docs/", "src/" and the like."""
    named = re.findall(r"`([^`\n]+)`", text)
    bare = re.findall(r"(?<![\w./`+-])(?:docs|src|tests|bench)/[\w./-]*(?:\w\.(?:py|md)\b|\w/(?!\w))", text)
    return [path for path in (*named, *bare) if OURS.fullmatch(path) and not PLACEHOLDER.search(path)]


def is_there(path: str) -> bool:
    """Whether a path of the repository ends with this one: pages leave out the folders that they are about."""
    return any(known.endswith(f"/{path.removeprefix('./')}") for known in FILES)


# The lab log tells of files as they were then.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "lab-log.md"], ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    missing = [path for path in paths_named(prose(page.read_text(encoding="utf-8"))) if not is_there(path)]
    assert not missing, f"{page.name} names {missing}"


def test_a_file_that_is_gone_is_found() -> None:
    text = "See `src/budgetnet/scaling.py`, docs/search-all.md; `experiments/NAME/plan.py`, `networks/zoo/`, `photos/`."
    assert [path for path in paths_named(text) if not is_there(path)] == [
        "src/budgetnet/scaling.py",
        "docs/search-all.md",
    ]


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
