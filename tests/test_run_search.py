"""The search above a score: limits kept, nothing scored twice, a study that goes on, and strangers refused."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.spaces import BASE

from budgetnet import Budget
from budgetnet.budgets.feasible_space import options_of
from budgetnet.budgets.search_space import Architecture, Space, StageSpace, default_space
from budgetnet.experiments.baseline.search import SAMPLERS, Objective, Sampler, Score, Scored, Search, Told, run_search
from budgetnet.experiments.baseline.study import check_storage, forget_study, open_study, shown_url

SPACE = default_space(BASE)
WHOLE = options_of(SPACE, Budget(macs=10**9))
BUDGET = Budget(macs=3 * WHOLE.macs(WHOLE.smallest()))
OPTIONS = options_of(SPACE, BUDGET)


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


def search(trials: int = 24, sampler: Sampler = "evolution", **more: object) -> Search:
    return dataclasses.replace(Search(OPTIONS, trials, 2, Objective(BUDGET.macs or 1), sampler), **more)


class Judge:
    """Scores by a rule that has a best answer, and remembers what it was asked."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.dies_after = dies_after

    def __call__(self, architectures: Sequence[Architecture], told: Told) -> None:
        for row in architectures:
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(row.id)
            told(row, Score(self.accuracy(row), 1.0))

    @staticmethod
    def accuracy(architecture: Architecture) -> float:
        return sum((row.kernel == 5) + (row.squeeze > 0) + (row.kind == "mbconv") for row in architecture.stages) / 6


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_trial_keeps_the_budget_and_is_new(sampler: Sampler, tmp_path: Path) -> None:
    judge, told = Judge(), list[int]()
    found = run_search(search(sampler=sampler), judge, url(tmp_path), lambda rows: told.append(len(rows)))
    assert len(found) == len({row.architecture.id for row in found}) == 24
    assert judge.asked == [row.architecture.id for row in found]
    assert all(OPTIONS.fits(row.architecture) and row.macs == OPTIONS.macs(row.architecture) for row in found)
    assert all(
        row.reward == pytest.approx(row.score.accuracy * (row.macs / (BUDGET.macs or 1)) ** -0.07) for row in found
    )
    assert told == list(range(1, 25))


@pytest.mark.slow
def test_evolution_finds_better_ones_than_its_first_generation(tmp_path: Path) -> None:
    found = run_search(search(60), Judge(), url(tmp_path))
    first, last = found[:20], found[-20:]
    assert mean(last) > mean(first) + 0.15


def mean(rows: Sequence[Scored]) -> float:
    return sum(row.score.accuracy for row in rows) / len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("after", [pytest.param(22, marks=pytest.mark.slow), 23])
def test_a_study_goes_on_and_repeats_nothing(after: int, tmp_path: Path) -> None:
    (whole := tmp_path / "whole").mkdir()
    undisturbed = run_search(search(30), Judge(), url(whole))
    first = Judge(dies_after=after)  # between two batches, or in one of two
    with pytest.raises(KeyboardInterrupt):
        run_search(search(30), first, url(tmp_path))
    second = Judge()
    found = run_search(search(30), second, url(tmp_path))
    assert not set(first.asked) & set(second.asked)
    assert len(first.asked) + len(second.asked) == 30
    assert found == undisturbed
    assert run_search(search(30), Judge(dies_after=0), url(tmp_path)) == found


def test_a_small_space_is_searched_whole_and_no_further(tmp_path: Path) -> None:
    stage = StageSpace(kinds=("separable",), kernels=(3, 5), squeezes=(0.0,), widths=(1.0,), layers=(0,))
    options = options_of(Space(BASE, (stage, stage)), Budget(macs=10**9))
    found = run_search(search(40, options=options), Judge(), url(tmp_path))
    assert options.count == 4 == len(found)


@pytest.mark.parametrize(
    "other",
    [
        search(identity="other images"),
        search(seed=1),
        search(options=options_of(SPACE, Budget(macs=2 * (BUDGET.macs or 1)))),
        search(options=options_of(Space(BASE, (StageSpace(), StageSpace())), BUDGET)),
    ],
)
def test_the_study_of_another_search_is_refused(other: Search, tmp_path: Path) -> None:
    run_search(search(2), Judge(), url(tmp_path))
    with pytest.raises(ValueError, match="was begun on another space, budget or data") as error:
        run_search(other, Judge(), url(tmp_path))
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_study_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database, but a text that is long enough to look like one " * 20)
    with pytest.raises(ValueError, match=r"cannot use the study sqlite.*study\.db") as error:
        open_study(url(tmp_path), "baseline", "one")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("storage", "words"),
    [
        ("study.db", "give postgresql://"),
        ("mysql://me:secret@here/there", "give postgresql://"),
        ("postgresql://me:secret@127.0.0.1:1/there", "cannot use the study postgresql://127.0.0.1:1/there"),
        ("postgresql://me:secret@127.0.0.1:x/there", "give postgresql://"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_its_password(storage: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        check_storage(storage)
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_a_study_that_is_forgotten_begins_anew(tmp_path: Path) -> None:
    first, second = Judge(), Judge()
    found = run_search(search(4), first, url(tmp_path))
    forget_study(url(tmp_path), "baseline")
    assert run_search(search(4), second, url(tmp_path)) == found and second.asked == first.asked
    forget_study(url(tmp_path), "another")
    assert shown_url("postgresql://me:secret@host/there") == "postgresql://host/there"


def test_unknown_samplers_are_named() -> None:
    with pytest.raises(ValueError, match="choose one of evolution, tpe, random"):
        search(sampler="grid")  # pyright: ignore[reportArgumentType]


def test_the_objective() -> None:
    assert Objective(100).of(0.8, 100) == 0.8
    assert Objective(100).of(0.8, 50) == pytest.approx(0.8 * 2**0.07)
    assert Objective(100, 0.0).of(0.8, 50) == 0.8
    for exponent in (0.07, -1.5, math.nan):
        with pytest.raises(ValueError, match="give one from -1 to 0"):
            Objective(100, exponent)


PASSWORD = "hidden-word"


def in_postgres(test: Callable[..., None]) -> Callable[..., None]:
    """A test that starts a server."""
    return pytest.mark.slow(pytest.mark.timeout(600)(test))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that this test starts; skips, with the reason, where there is none to start."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'budgetnet[cluster]'")
    found = [shutil.which("initdb"), *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    tools = [Path(one).parent for one in found if one]
    if not tools:
        pytest.skip("PostgreSQL's server is not installed")
    # The server refuses to be root.
    prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = tmp_path_factory.mktemp("postgres")
    word = folder / "word"
    word.write_text(PASSWORD)
    ours = itertools.takewhile(lambda path: path.name.startswith(("pytest", "popen")), folder.parents)
    for path in (folder, *ours):
        path.chmod(0o755)
    if prefix:
        shutil.chown(folder, "postgres")
    port = 54_000 + os.getpid() % 1000

    def call(tool: str, *arguments: str) -> None:
        command = [*prefix, str(tools[-1] / tool), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    call("initdb", "-U", "searcher", "-A", "scram-sha-256", "--pwfile", str(word))
    call("pg_ctl", "-w", "-o", f"-p {port} -h 127.0.0.1 -k {folder}", "start")
    try:
        yield f"postgresql://searcher:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")


@in_postgres
def test_a_study_goes_on_in_postgres_and_is_that_of_a_file(database: str, tmp_path: Path) -> None:
    expected = run_search(search(24), Judge(), url(tmp_path))
    asked = search(24, study="photos-1a2b3c4d")
    first, second = Judge(dies_after=21), Judge()
    with pytest.raises(KeyboardInterrupt):
        run_search(asked, first, database)
    assert run_search(asked, second, database) == expected
    assert len(first.asked) == 21 and len(second.asked) == 3, "no finished trial is repeated"
    assert run_search(search(2, study="another", seed=1), Judge(), database), "a database holds several"
    with pytest.raises(ValueError, match="was begun on another space, budget or data") as error:
        run_search(search(24, study="photos-1a2b3c4d", identity="other images"), Judge(), database)
    assert PASSWORD not in str(error.value)
    forget_study(database, "photos-1a2b3c4d")
    third = Judge()
    run_search(search(2, study="photos-1a2b3c4d"), third, database)
    assert len(third.asked) == 2


@in_postgres
def test_what_postgres_refuses_is_one_line(database: str) -> None:
    check_storage(database)
    for wrong in (database.replace(PASSWORD, "guessed-word"), database.removesuffix("postgres") + "absent"):
        with pytest.raises(ValueError, match="cannot use the study") as error:
            check_storage(wrong)
        assert "\n" not in str(error.value) and "-word" not in str(error.value)
