"""What holds for the package as a whole: quick to import, one public namespace, pinned requirements."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import budgetnet

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "numpy", "pydantic", "sklearn", "matplotlib", "torchmetrics")

TORCH_FREE = {
    "import": "import budgetnet",
    "list": "import budgetnet; budgetnet.names(); dir(budgetnet)",
    "fit": "import budgetnet as b; b.fit(b.network('efficientnet_b0'), b.Budget(macs=60_000_000))",
    "cost": "import budgetnet as b; b.fit; b.cost(b.network('efficientnet_b0')).peak_bytes",
    "scale": "import budgetnet as b; str(b.scale(b.network('mobilenet_v2'), -1.5, 'dWr'))",
    "adapt": "import budgetnet as b; b.adapt(b.network('efficientnet_b0'), 32, 1)",
}


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT / "src")


@pytest.mark.parametrize("code", TORCH_FREE.values(), ids=TORCH_FREE.keys())
def test_the_half_above_the_line_imports_nothing_heavy(code: str) -> None:
    done = run_python(f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"imported: {done.stdout}"


def test_the_guard_sees_an_import() -> None:
    done = run_python(f"import numpy, sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert done.stdout.split() == ["numpy"]


def test_public_names_all_resolve() -> None:  # ruff keeps them sorted (RUF022)
    assert len(budgetnet.__all__) == len(set(budgetnet.__all__))
    for name in budgetnet.__all__:
        assert getattr(budgetnet, name) is not None
    assert set(budgetnet.__all__) <= set(dir(budgetnet))


@pytest.mark.slow
def test_a_submodule_of_the_same_name_does_not_hide_a_function() -> None:
    """Importing budgetnet.cost binds the module to the package's attribute `cost`, where the function must be."""
    code = """
import importlib, types, budgetnet
for name in budgetnet.__all__:
    try:
        importlib.import_module(f"budgetnet.{name}")
    except ModuleNotFoundError:
        continue
print(*[name for name in budgetnet.__all__ if isinstance(getattr(budgetnet, name), types.ModuleType)])
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_public_functions_and_classes_are_documented() -> None:
    bare = [name for name in budgetnet.__all__ if callable(value := getattr(budgetnet, name)) and not value.__doc__]
    assert bare == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = budgetnet.no_such_name


def test_every_requirement_is_pinned() -> None:
    """A new dependency without a pin would make tomorrow's environment another than today's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {plain_name(line) for line in pins if "==" in line}
    assert {plain_name(line) for line in wanted} - pinned == set()


def plain_name(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_snippets", ROOT / "docs" / "check_snippets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_snippets"] = module
    spec.loader.exec_module(module)
    return module


def test_a_broken_snippet_is_found_at_its_line(checker: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("setup:\n")
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\ntext\n```python\n\nassert x == 2, x\n```\n```console\n$ make setup\n$ make cake\n```\n"
    )
    assert list(checker.check_file(page, root=tmp_path)) == [
        "page.md:7: AssertionError: 1",
        "page.md:11: `make cake`: the Makefile has no cake",
    ]


def test_shown_output_is_held_to_what_is_printed(checker: ModuleType) -> None:
    assert checker.matches(["a", "...", "d"], ["a", "b", "c", "d"])
    assert not checker.matches(["a", "d"], ["a", "b", "d"])
    assert not checker.matches(["a"], ["a", "b"])
