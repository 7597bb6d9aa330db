"""The house style of docs/conventions.md, as far as a simple rule can hold it."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "budgetnet"
# What a fragment begins with that only the constant's name would make whole: "Of a search on images".
FRAGMENT_STARTS = re.compile("(above|as|behind|below|beside|between|beyond|by|for|from|in|less|more|of|on|than|with) ")
# Verbs that these docstrings have, but for words that may be nouns as well.
VERB = re.compile(
    r"\b(add|are|be|begins?|belongs?|binds|called|choose|comes?|compares|count|differ|do|does|draws|given|gives|go|goes|"
    r"grows?|had|has|have|holds?|is|keeps|kept|leads|leave|lies?|looks?|made|makes?|may|measured|multiplies|must|needs?|put|"
    r"reads|says?|sees|shares?|shown|shows|spans?|stands?|starts?|stays?|takes?|tells?|told|turn|used|was|were|write)\b"
)


def constant_docstrings() -> Iterator[tuple[str, str]]:
    """Each string below an assignment of a module, with the place of the assignment."""
    for path in sorted(SOURCE.rglob("*.py")):
        statements = ast.parse(path.read_text(encoding="utf-8")).body
        for first, second in itertools.pairwise(statements):
            if isinstance(first, ast.Assign | ast.AnnAssign) and isinstance(second, ast.Expr):
                text = ast.literal_eval(second.value) if isinstance(second.value, ast.Constant) else None
                if isinstance(text, str):
                    yield f"{path.relative_to(SOURCE)}:{first.lineno}", text


def fault(docstring: str) -> str | None:
    """Why the first paragraph cannot be read without the constant's name; None where it can."""
    text = " ".join(docstring.partition("\n\n")[0].split())
    if start := FRAGMENT_STARTS.match(text.lower()):
        return f"begins with {start[1]!r}"
    if not text.endswith("."):
        return "does not end with a full stop"
    return None if VERB.search(text.lower()) else "has no verb"


def test_docstrings_of_constants_are_sentences() -> None:
    found = dict(constant_docstrings())
    assert len(found) > 300
    faults = {place: f"{fault(text)}: {text}" for place, text in found.items() if fault(text)}
    assert not faults, "\n".join(f"{place} {what}" for place, what in faults.items())


@pytest.mark.parametrize(
    ("docstring", "what"),
    [
        ("Of a search on these images.", "begins with 'of'"),
        ("Less than this is not late.", "begins with 'less'"),
        ("A race has at most this many candidates", "does not end with a full stop"),
        ("Candidates in a race at most.", "has no verb"),
        ("A race has at most this many candidates.", None),
    ],
)
def test_a_fragment_is_told_from_a_sentence(docstring: str, what: str | None) -> None:
    assert fault(docstring) == what
