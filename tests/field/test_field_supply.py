"""What is built on is declared, bounded above and pinned; downloads take a revision; advisories are never made up."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from budgetnet.model.sources import open_foreign

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "tensorflow": "tensorflow"}
"""Where a module is not called as what is installed."""
NOT_IMPORTED = {"tensorflow", "tensorflow-cpu", "onnxscript"}
"""One of the first two is there under the name of the other; the exporter of torch needs the third."""


def imported() -> set[str]:
    """The roots of all modules that the package imports, wherever in a file."""
    found: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found - {"budgetnet"} - set(sys.stdlib_module_names)


def requirements(*groups: str) -> Iterator[Requirement]:
    for group in groups:
        rows = PROJECT["dependencies"] if group == "" else PROJECT["optional-dependencies"][group]
        yield from map(Requirement, rows)


def test_every_package_that_is_imported_is_declared_and_the_other_way_round() -> None:
    used = {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in imported()}
    groups = ("", "keras", "google", "tflite", "onnx", "openvino", "hub", "serve", "cluster")
    declared = {canonicalize_name(row.name) for row in requirements(*groups)}
    assert used - declared == set(), "declare it in pyproject.toml and pin it in constraints.txt"
    assert declared - used <= NOT_IMPORTED, "nothing needs it any more"


def test_every_range_has_an_upper_bound_and_holds_the_pin() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines) if version
    }
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    rows = [*requirements("", *PROJECT["optional-dependencies"]), *map(Requirement, build)]
    assert [str(row) for row in rows if not any(one.operator in ("<", "<=", "==", "~=") for one in row.specifier)] == []
    outside = [str(row) for row in rows if (pin := pins.get(canonicalize_name(row.name))) and pin not in row.specifier]
    assert outside == []
    unpinned = {canonicalize_name(row.name) for row in requirements("")} - set(pins)
    assert unpinned == set()


@pytest.mark.parametrize("asked", ["timm/resnet50", "timm/resnet50@0123abc", "timm/resnet50@refs/pr/1"])
def test_a_download_takes_a_revision(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def download(name: str, file: str, revision: str | None) -> str:
        seen.append((name, revision))
        raise OSError("stop here")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(ValueError, match=rf"cannot get {re.escape(asked)} from the hub") as caught:
        open_foreign(f"hf-hub:{asked}")
    name, _, revision = asked.partition("@")
    assert seen == [(name, revision or None)] and "\n" not in str(caught.value)


@pytest.mark.parametrize("asked", ["timm/resnet50@", "timm/resnet50@a b", "timm/resnet50@--x"])
def test_what_is_no_revision_is_one_line(asked: str) -> None:
    with pytest.raises(ValueError, match="names no revision; write hf-hub:timm/resnet50@ and a commit"):
        open_foreign(f"hf-hub:{asked}")


@pytest.fixture
def advisories() -> Any:
    spec = importlib.util.spec_from_file_location("check_advisories", ROOT / "docs" / "check_advisories.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_packages_that_no_service_knows_are_not_called_safe(advisories: Any) -> None:
    """pip-audit ends with 0 and "No known vulnerabilities found" where it could look nothing up."""
    skipped = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"}
    clean = {"name": "rich", "version": "15.0.0", "vulns": []}
    assert advisories.verdict([clean, skipped]) == (
        ["advisories: none known for 1 pinned packages, 1 not looked up"],
        0,
    )
    assert advisories.verdict([clean]) == (["advisories: none known for 1 pinned packages"], 0)


def test_an_advisory_fails_where_a_version_mends_it(advisories: Any) -> None:
    def row(fixes: list[str]) -> dict[str, Any]:
        return {"name": "pillow", "version": "1.0", "vulns": [{"id": "X-1", "fix_versions": fixes}]}

    lines, code = advisories.verdict([row(["1.1"])])
    assert code == 1 and lines[0] == "advisories: pillow 1.0: X-1; take 1.1"
    lines, code = advisories.verdict([row([])])
    assert code == 0 and "no version mends it yet" in lines[0]


@pytest.mark.parametrize("found", ["nothing", json.dumps({"dependencies": []}), "{}"])
def test_a_service_that_does_not_answer_fails_nothing(
    found: str, advisories: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(advisories.importlib.util, "find_spec", lambda name: object())
    assert advisories.main([sys.executable, "-c", f"print({found!r})"]) == 0
    assert capsys.readouterr().out == "advisories: not checked, no advisory service can be reached from here\n"


def test_security_says_what_is_trusted() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    trusted, _, not_trusted = text.partition("## What is trusted")[2], "", text.partition("## What is trusted")[0]
    assert all(word in trusted for word in ("Ray cluster", "plan.json"))
    assert all(word in not_trusted for word in ("weights", "images", "network", "hf-hub:OWNER/NAME@REVISION"))
