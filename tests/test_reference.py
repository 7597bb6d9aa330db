"""The reference: every public name is on a page, documents all of its arguments, and has an example that runs.

So is every class of ours that a public function takes or returns.
"""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import budgetnet
from budgetnet.model.build import Model

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(REFERENCE.glob("*.md"))
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Example")
# Examples of these take more than two seconds.
SLOW = {
    "compare",
    "explain",
    "export",
    "loss_landscape",
    "search_baseline",
    "search_coefficients",
    "search_family",
    "solve",
    "train",
    "activation_study",
}


def documented() -> dict[str, Any]:
    """Every object of the reference's pages, by the name that stands there."""
    names = [name for page in PAGES for name in re.findall(r"^\.\. auto\w+:: (\S+)$", page.read_text("utf-8"), re.M)]
    return {name: resolved(name) for name in names}


def resolved(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def sections(text: str) -> dict[str, str]:
    """The text of each section of a docstring."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.cleandoc(text), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> list[str]:
    """The names that a section explains, in order."""
    return [name.lstrip("*") for name in re.findall(r"^    (\*{0,2}\w+): \S", section, re.M)]


OBJECTS = documented()
FUNCTIONS = {name: value for name, value in OBJECTS.items() if inspect.isfunction(inspect.unwrap(value))}
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
VALUES = {name: value for name, value in CLASSES.items() if dataclasses.is_dataclass(value)}


def methods() -> Iterator[tuple[str, Any]]:
    """The public methods that the pages show."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    for name in re.findall(r"^\.\. autoclass:: (\S+)\n   :members:", text, re.M):
        for method, value in vars(CLASSES[name]).items():
            function = value.__func__ if isinstance(value, staticmethod) else value
            if not method.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{method}", function


METHODS = dict(methods())


def public_on(page: str) -> list[str]:
    """The public names on a page of the reference."""
    names = re.findall(r"^\.\. auto\w+:: budgetnet\.(\w+)$", (REFERENCE / page).read_text("utf-8"), re.M)
    return sorted(names)


def classes_within(hint: Any) -> Iterator[type]:
    """The classes of ours in a type: `Iterator[Prediction | Unreadable]` has two."""
    if inspect.isclass(hint) and hint.__module__.startswith("budgetnet."):
        yield hint
    for part in hint if isinstance(hint, list) else get_args(hint):
        yield from classes_within(part)


def test_every_public_name_is_on_one_page() -> None:
    shown = [name.removeprefix("budgetnet.") for name in OBJECTS if name.count(".") == 1]
    assert sorted(shown) == sorted(budgetnet.__all__)


def test_the_index_has_the_public_names_of_each_page() -> None:
    rows = re.findall(r"^\| \[.+\]\((\w+\.md)\) \| (.+) \|$", (REFERENCE / "index.md").read_text("utf-8"), re.M)
    told = {page: sorted(re.findall(r"`(\w+)`", names)) for page, names in rows}
    assert told == {page.name: public_on(page.name) for page in PAGES if page.name != "index.md"}


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.count(".") == 1])
def test_a_class_that_a_public_function_takes_or_returns_is_on_a_page(name: str) -> None:
    # A module that needs no torch names the model's class for type checkers alone.
    hints = get_type_hints(inspect.unwrap(FUNCTIONS[name]), localns={"Model": Model})
    wanted = {one for hint in hints.values() for one in classes_within(hint)}
    assert not wanted - set(CLASSES.values())


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_a_function_documents_each_argument_and_the_result(name: str) -> None:
    function = {**FUNCTIONS, **METHODS}[name]
    found = sections(function.__doc__ or "")
    wanted = [one for one in inspect.signature(function).parameters if one != "self"]
    assert entries(found.get("Args", "")) == wanted
    assert "Returns" in found or (name in METHODS and not wanted)
    assert name in METHODS or not wanted or entries(found["Raises"])


@pytest.mark.parametrize("name", VALUES)
def test_a_value_documents_each_field(name: str) -> None:
    found = sections(VALUES[name].__doc__ or "")
    assert entries(found["Attributes"]) == [field.name for field in dataclasses.fields(VALUES[name])]


def examples() -> Iterator[Any]:
    """Every docstring of the pages with an example; the public names must have one."""
    for name in {**OBJECTS, **METHODS}:
        short = name.removeprefix("budgetnet.")
        yield pytest.param(name, marks=pytest.mark.slow if short in SLOW else (), id=short)


def docstring(name: str) -> str:
    if name == "budgetnet.PAPER":  # a value's own docstring is its class's: the text stands under the assignment
        source = inspect.getsource(importlib.import_module("budgetnet.networks.scaling"))
        return source.split("\nPAPER = ")[1].split('"""')[1]
    return {**OBJECTS, **METHODS}[name].__doc__ or ""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(examples()))
def test_an_example_prints_what_it_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = doctest.DocTestParser().get_doctest(docstring(name), {}, name, None, None)
    assert example.examples or name.removeprefix("budgetnet.") not in budgetnet.__all__, f"{name} has no example"
    said: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert not results.failed, "".join(said)
