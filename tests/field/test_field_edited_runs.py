"""Every key of a finished run's plan and result, changed one at a time: one line with file and key, or no harm."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.every_kind import KINDS, WRITTEN, FinishedRun
from support.mutations import Mutation, differing, mutations

from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.experiments.experiment import read_finished

Capture = pytest.CaptureFixture[str]
WHOLE = frozenset({"network", "networks", "base", "next", "recipe", "preprocessing", "budget", "space", "stages"})
"""Changed as a whole: what is in them has readers and tests of its own."""
FREE_TEXTS = (
    r"name|classes\[0\]|path|cpu|torch|python|budgetnet|why|base|file|reason|source|design|blocks|device|origin|"
    "disturbance"
)
MEASURED = (
    r".*cooldown_steps|finish_seconds|final_seconds|top1_low|low|value|.*error.*|runs|others_cores|difference|p_value"
)
HARMLESS: Mapping[str, str] = {
    "a text": rf"{FREE_TEXTS}|statement\[0\]",
    "zero": rf"{MEASURED}|log_loss|seeds\[0\]",
    "below zero": r"final_seconds|low|seeds\[0\]",
    "null": r"log_loss|error_seeds|others_cores|training_seconds|disturbance",
    "removed": r"log_loss",
    "its last item left out": r"augmentation(\[0\])?|candidates|mistakes|statement",
    "an empty list": r"augmentation(\[0\])?|statement",
}
"""Last keys whose changes cannot be seen, for the value might have been that, and which lead to no other network: free
texts, a measured number, what is told and followed by nothing."""


@pytest.fixture(scope="module", params=list(WRITTEN))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return KINDS[request.param](tmp_path_factory.mktemp("edited") / "run", Path())


def files(found: FinishedRun) -> dict[str, Any]:
    """The plan and the result of a run, by their files."""
    names = ("plan.json", found.experiment.file)
    return {name: json.loads((found.run / name).read_text(encoding="utf-8")) for name in names}


def values(found: FinishedRun) -> dict[str, Any]:
    """What is read of a run."""
    record, result = read_finished(found.experiment, found.run)
    return {"plan.json": to_plain(record), found.experiment.file: to_plain(result)}


def check(found: FinishedRun, name: str, row: Any, mutation: Mutation, expected: dict[str, Any]) -> bool:
    """Change the file, and take the run up; whether it was shown. The file is put back."""
    file = found.run / name
    content = file.read_bytes()
    file.write_text(mutation.text(row), encoding="utf-8")
    try:
        found.again()
        read = values(found)
    except ValueError as error:
        line = str(error)
        assert name in line and "\n" not in line, f"{mutation}: {line}"
        assert any(advice in line for advice in ("--fresh", "--out")), f"{mutation}: {line}"
        assert line.count("put the file back") < 2 and line.count("is damaged") < 2, f"{mutation}: {line}"
        assert not re.search(r"Error\(|arg is an empty", line), f"{mutation}: {line}"
        return False
    finally:
        file.write_bytes(content)
    changed = [(at, keys) for at in expected for keys in differing(expected[at], read[at])]
    last = str(mutation.path.rpartition(".")[2])
    known = re.fullmatch(HARMLESS.get(mutation.how, "(?!)"), last)
    assert not changed or known, f"{name}, {mutation} is accepted"
    elsewhere = [(at, keys) for at, keys in changed if (at, keys[: len(mutation.keys)]) != (name, mutation.keys)]
    assert not elsewhere, f"{mutation}: {elsewhere}"
    return True


def all_mutations(found: FinishedRun) -> list[tuple[str, Mutation]]:
    return [(name, one) for name, row in files(found).items() for one in mutations(row, WHOLE)]


def test_some_edits_of_finished_runs(written: FinishedRun) -> None:
    """A sample; those whose run is shown again, which draws its page, are in the sweep."""
    rows, expected = files(written), values(written)
    picked = random.Random(19).sample(all_mutations(written), 30)
    shown = [(name, str(one)) for name, one in picked if check(written, name, rows[name], one, expected)]
    assert len(shown) < len(picked) / 5, shown


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_edit_of_every_kind(kind: str, few_digits: Path, tmp_path: Path) -> None:
    found = KINDS[kind](tmp_path / "run", few_digits)
    rows, expected = files(found), values(found)
    shown = [str(one) for name, one in all_mutations(found) if check(found, name, rows[name], one, expected)]
    assert shown, "texts are free"


def solve_words(run: Path) -> list[str]:
    words = ["solve", "digits", "--macs", "2000000", "--weight-bytes", "4MiB", "--time", "95s", "--seed", "7"]
    words += ["--base", "mobilenet_v2", "efficientnet_b0", "--strategy", "width", "--pretrained", "none"]
    return [*words, "--recipe", "modern", "--out", str(run)]


@pytest.mark.parametrize(
    ("name", "keys", "value", "line"),
    [
        ("plan.json", ("plan", "entrants"), [], "entrants is empty"),
        ("plan.json", ("plan", "candidates"), [], "candidates is empty"),
        ("plan.json", ("data", "classes"), [], "data.classes is empty"),
        ("plan.json", ("data", "counts"), {}, "data: counts.train is missing"),
        ("plan.json", ("data", "counts", "validation"), 0, "data.counts.validation is 0; every split has images"),
        ("plan.json", ("data", "median_short_side_px"), -5, "data.median_short_side_px is -5"),
        ("plan.json", ("plan", "side_px"), -5, "side_px is -5; it must be at least 1"),
        ("metrics.json", ("choice", "id"), "other", "choice.id is 'other', which the plan does not have"),
        ("metrics.json", ("race",), [], "race is empty"),
        ("metrics.json", ("test", "per_class"), [], "test.per_class is empty"),
        ("metrics.json", ("calibration", "temperature"), 0.0, "calibration.temperature is 0.0; it must be above 0"),
        ("metrics.json", ("test", "confusion"), [[1]], "test: confusion must have 10 rows and columns"),
        ("network.json", (), [], "network.json is damaged"),
    ],
)
def test_what_the_command_line_says_of_edits(
    tmp_path: Path, capsys: Capture, name: str, keys: tuple[str, ...], value: Any, line: str
) -> None:
    run = KINDS["solve"](tmp_path / "run", Path()).run
    row = json.loads((run / name).read_text(encoding="utf-8"))
    inner = row
    for key in keys[:-1]:
        inner = inner[key]
    if keys:
        inner[keys[-1]] = value
    (run / name).write_text(json.dumps(row if keys else value), encoding="utf-8")
    assert main(solve_words(run)) == 2
    said = capsys.readouterr().err.strip()
    assert line in said and said.count("\n") == 0 and said.count(name) == 1, said
    assert said.count("put the file back") == 1 and said.count("damaged") == 1, said
