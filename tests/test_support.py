"""The tests themselves: what two test files need lies in tests/support."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent


def imported(source: str) -> set[str]:
    """The first names of all modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain} | {
        (node.module or "").partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)
    }


def test_no_test_file_imports_another() -> None:
    files = {path.stem: imported(path.read_text(encoding="utf-8")) for path in TESTS.rglob("*.py")}
    tests = {name for name in files if name.startswith("test_")}
    assert len(tests) > 60
    assert {name: found for name, names in files.items() if (found := names & tests)} == {}


def test_such_an_import_would_be_found() -> None:
    assert imported("def one():\n    from test_train import run\n    import test_solve as other") == {
        "test_train",
        "test_solve",
    }
