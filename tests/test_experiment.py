"""The life cycle of an experiment, by a toy: what a run survives, what it refuses, and what it shows."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import toy
from support.executor import InlineExecutor, StoppedError
from support.page import Page
from support.photos import photos
from support.simulated import SimulatedClock
from support.toy import Neighbours, NeighboursPlan, NeighboursRecord, NeighboursRequest, NeighboursResult

from budgetnet.cli.report import print_report
from budgetnet.experiments.activations.request import StudyRequest
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.coefficients.request import CoefficientsRequest
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform
from budgetnet.experiments.family.request import FamilyRequest
from budgetnet.experiments.reproduce import facts_of
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.runs.record import Amendment, name_in_words, read_record

__all__ = ["photos"]  # a fixture
Capture = pytest.CaptureFixture[str]
REQUEST = NeighboursRequest(most=5)
PHASES = ["neighbours/1", "neighbours/3", "neighbours/5"]


def made(run: Path, executor: InlineExecutor | None = None, data: str | Path = "digits", **options: Any) -> Any:
    """The result, by an executor in this process."""
    asked: dict[str, Any] = {"request": REQUEST, "experiment": Neighbours(), **options}
    compute = Compute(cluster=executor or InlineExecutor())
    return perform(data=str(data), out=run, compute=compute, **asked)


def record_of(run: Path) -> NeighboursRecord:
    record = read_record(run, "neighbours", *Neighbours.types)
    assert record is not None
    return record


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, which no test changes."""
    run = tmp_path_factory.mktemp("finished") / "run"
    made(run)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run of the test's own."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def refusal(run: Path, **options: Any) -> str:
    """The one line by which a start is refused; nothing in the folder changes."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ValueError) as caught:
        made(run, **options)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_toy_is_small() -> None:
    tree = ast.parse(Path(toy.__file__).read_text(encoding="utf-8"))
    told = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = Path(toy.__file__).read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) and number not in told for number, line in enumerate(lines, start=1)) < 120


def test_a_run_goes_to_its_end_and_is_shown_again(tmp_path: Path) -> None:
    executor = InlineExecutor()
    found = made(tmp_path / "run", executor)
    assert executor.started == PHASES
    assert [score.neighbours for score in found.scores] and found.scores[0].accuracy.value > 0.9
    assert record_of(tmp_path / "run").plan.counts == (1, 3, 5)
    again = InlineExecutor()
    assert made(tmp_path / "run", again) == found and again.started == [], "what is finished is read"


def test_fresh_begins_again(run: Path) -> None:
    (run / "scores" / "left.json").write_text("{}")
    executor = InlineExecutor()
    made(run, executor, fresh=True)
    assert executor.started == PHASES and not (run / "scores" / "left.json").exists()


def test_bad_input_with_fresh_leaves_the_run_as_it_was(run: Path) -> None:
    assert "at least 1" in refusal(run, request=NeighboursRequest(most=0), fresh=True)


def test_another_request_or_command_is_refused(run: Path) -> None:
    class Other(Neighbours):
        name = "other"

    assert "begun with another most; give another --out, or --fresh" in refusal(run, request=NeighboursRequest(7))
    assert "holds a run of 'neighbours', not of 'other'" in refusal(run, experiment=Other())


@pytest.mark.parametrize(
    "request_kind",
    [SolveRequest, TrainRequest, CompareRequest, CoefficientsRequest, BaselineRequest, FamilyRequest, StudyRequest],
)
def test_every_field_of_a_request_can_stand_behind_another(request_kind: type) -> None:
    words = [name_in_words(field.name) for field in dataclasses.fields(request_kind)]
    assert not [word for word in words if re.match(r"\w*s\b", word)], '"another bases" is not English'


def test_other_images_are_refused(photos: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(photos, tmp_path / "photos"))
    with pytest.raises(StoppedError):
        made(tmp_path / "begun", InlineExecutor(stop_after=1), data)
    made(tmp_path / "finished", data=data)
    (data / "cat" / "00.png").unlink()
    for name in ("begun", "finished"):
        assert "other images than photos holds now" in refusal(tmp_path / name, data=data)
    made(tmp_path / "begun", data=data, fresh=True)


def test_a_folder_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "it is not a run" in refusal(tmp_path)
    (tmp_path / "plan.json").write_text('{"format": "a terraform plan"}')
    assert "a plan.json of something else" in refusal(tmp_path, fresh=True)


HOLDS = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"


@pytest.fixture
def held(run: Path) -> Iterator[Path]:
    """A run that another process works at."""
    pytest.importorskip("fcntl", reason="this system has no locks of files")
    command = [sys.executable, "-c", HOLDS, str(run / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield run
        process.kill()


def test_a_second_process_is_refused(held: Path) -> None:
    assert "is in use by another process" in refusal(held)
    assert "is in use by another process" in refusal(held, fresh=True)


def test_a_failed_job_is_the_only_one_that_is_made_again(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(RuntimeError, match="the worker died"):
        made(tmp_path / "run", InlineExecutor(failing=frozenset({"neighbours/3"})))
    executor = InlineExecutor()
    made(tmp_path / "run", executor)
    assert executor.started == PHASES[1:]
    assert (tmp_path / "run" / Neighbours.file).read_bytes() == (finished / Neighbours.file).read_bytes()


KILLED = """
import sys
from support.executor import InlineExecutor, kill_this_process
from support.toy import Neighbours, NeighboursRequest
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import perform
executor = InlineExecutor(stop_after=2, stop=kill_this_process)
perform(Neighbours(), NeighboursRequest(most=5), "digits", Compute(cluster=executor), sys.argv[1])
"""


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_result(tmp_path: Path, finished: Path) -> None:
    run = tmp_path / "run"
    paths = [str(Path(__file__).parent), *sys.path]
    program = f"import sys; sys.path[:] = {paths!r}\n{KILLED}"
    killed = subprocess.run([sys.executable, "-c", program, str(run)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (run / Neighbours.file).exists() and len(list(run.glob("scores/*.json"))) == 2
    plan = (run / "plan.json").read_bytes()
    executor = InlineExecutor()
    made(run, executor)
    assert executor.started == PHASES[2:], "what is done is not done again"
    assert (run / "plan.json").read_bytes() == plan, "a plan is made once"
    assert (run / Neighbours.file).read_bytes() == (finished / Neighbours.file).read_bytes()


@dataclass(frozen=True)
class MovedClock(SimulatedClock):
    """A clock that the work itself moves on."""

    moved: list[float] = field(default_factory=list[float])

    def now(self) -> float:
        return sum(self.moved)


def test_the_seconds_of_all_starts_are_summed_each_from_the_start_of_its_process(tmp_path: Path) -> None:
    run, known = tmp_path / "run", list[tuple[float, float]]()

    def written() -> float:
        return json.loads((run / "elapsed.json").read_text())["seconds"]

    def start(**options: Any) -> None:
        """A process that took 100 s to start; a plan takes 30 s, and the work 7 s."""
        clock = MovedClock(earlier_seconds=100.0)

        class Watched(Neighbours):
            def propose(self, request: NeighboursRequest, context: Context) -> NeighboursPlan:
                clock.moved.append(30.0)
                return super().propose(request, context)

            def run(self, record: NeighboursRecord, context: Context) -> NeighboursResult:
                known.append((context.time.elapsed_seconds, written()))
                clock.moved.append(7.0)
                return super().run(record, context)

        made(run, experiment=Watched(), clock=clock, **options)

    with pytest.raises(StoppedError):
        start(executor=InlineExecutor(stop_after=1))
    assert known == [(130.0, 130.0)], "what a plan took is written with it, so that a kill does not lose it"
    assert written() == 137.0
    with pytest.raises(StoppedError):
        start(executor=InlineExecutor(stop_after=1))
    assert known[1:] == [(237.0, 237.0)]
    assert written() == 244.0
    start()
    assert known[2:] == [(344.0, 344.0)]
    assert written() == 351.0
    start(fresh=True)
    assert known[3:] == [(130.0, 130.0)], "a fresh one takes no time over"


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"seconds": "1"}', '{"seconds": -1}', '{"seconds": NaN}'])
def test_damaged_seconds_are_one_line_and_not_none(run: Path, content: str) -> None:
    (run / Neighbours.file).unlink()
    (run / "elapsed.json").write_text(content)
    line = refusal(run)
    assert str(run / "elapsed.json") in line and "remove it" in line
    (run / "elapsed.json").unlink()
    made(run)


def edited(path: Path, **changes: Any) -> None:
    """Change a JSON file: keys as a__b, None for one that is removed."""
    row = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split("__")
        place = row
        for key in outer:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    path.write_text(json.dumps(row))


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "finished"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan__counts": None}, "its plan is damaged: counts is missing"),
        ({"plan__counts": [1, "3"]}, "its plan is damaged: counts[1] is '3'; it must be an integer"),
        ({"plan__more": 1}, "its plan is damaged: more is not known"),
        ({"request__most": "five"}, "its request is damaged: most is 'five'; it must be an integer"),
        ({"request": []}, "its request is damaged: it is []; it must be an object"),
        ({"data__fingerprint": 7}, "data.fingerprint is 7; it must be a text"),
        ({"machine": None}, "machine is missing"),
        ({"seed": "none"}, "seed is 'none'; it must be an integer"),
        ({"amendments": [{"job": "a"}]}, "amendments[0].part is missing"),
        ({"amendments": 5}, "amendments is 5; it must be an array"),
        ({"format": "budgetnet.plan.v1"}, "was planned by another version of budgetnet"),
    ],
)
def test_a_damaged_plan_is_one_line(run: Path, begun: bool, changes: Mapping[str, Any], words: str) -> None:
    if begun:
        (run / Neighbours.file).unlink()
    edited(run / "plan.json", **changes)
    line = refusal(run)
    assert words in line and "--out" in line
    assert str(run) in line and ("plan.json" in line or "another version" in line)


def test_a_torn_plan_is_one_line(run: Path) -> None:
    (run / "plan.json").write_bytes((run / "plan.json").read_bytes()[:-40])
    line = refusal(run)
    assert str(run / "plan.json") in line and "is not JSON" in line and "--out" in line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": None}, "scores is missing"),
        ({"scores": 5}, "scores is 5; it must be an array"),
        ({"scores": [{"neighbours": 1, "accuracy": {"value": "0.9", "low": 0.8, "high": 1.0, "n": 9}}]}, "a number"),
        ({"format": "budgetnet.neighbours.v0"}, "has the format 'budgetnet.neighbours.v0'"),
    ],
)
def test_a_damaged_result_is_one_line(run: Path, changes: Mapping[str, Any], words: str) -> None:
    edited(run / Neighbours.file, **changes)
    line = refusal(run)
    assert str(run / Neighbours.file) in line and words in line and "--fresh" in line


def test_a_torn_result_is_one_line(run: Path) -> None:
    (run / Neighbours.file).write_bytes((run / Neighbours.file).read_bytes()[:40])
    line = refusal(run)
    assert str(run / Neighbours.file) in line and "is not JSON" in line and "--fresh" in line


def test_the_page_and_the_terminal_have_the_same_table(finished: Path, capsys: Capture) -> None:
    experiment, record = Neighbours(), record_of(finished)
    result = experiment.read(json.loads((finished / experiment.file).read_text()), record, finished)
    source = (finished / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and "counts" in ids
    assert source.count("<svg") == 2, "for a wide and for a narrow page"
    assert "//" not in source and not {tag for tag, _ in page.tags} & {"script", "iframe"}
    print_report(experiment.report(record, result))
    shown, text = (text.replace("\N{NO-BREAK SPACE}", " ") for text in (capsys.readouterr().out, page.text))
    for score in result.scores:
        cells = (str(score.neighbours), f"{100 * score.accuracy.value:.1f}", f"{100 * score.accuracy.low:.1f} to ")
        assert all(cell in shown and cell in text for cell in cells)
    said = f"neighbours answer most: {100 * result.scores[0].accuracy.value:.1f} %."
    assert said in shown and said in text
    assert str(finished / "report.html") in shown


def test_every_kind_says_that_it_was_planned_again(finished: Path) -> None:
    amended = dataclasses.replace(record_of(finished), amendments=(Amendment("one", "final", 9, 9, 2),) * 2)
    assert facts_of(amended, ())["Planned again"] == "2 times, for the machine became slower"
    assert "Planned again" not in facts_of(record_of(finished), ())


def test_a_page_that_is_lost_is_drawn_again(run: Path) -> None:
    source = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    made(run)
    assert (run / "report.html").read_bytes() == source
