"""What reaches a terminal can only be shown; and no state of the standard streams ends in a traceback."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.quick import quick_for
from support.terminal import is_shown

import budgetnet
from budgetnet.cli import main, show

SOURCE = Path(budgetnet.__file__).parents[1]
EVIL = "\x1b[31mred\x1b[0m [red]x[/] [/] \u202eturned\nsecond line\x9b31m\r\x07 \u2028 caf\u00e9 \udcff"
LEFT = "[red]x[/] [/]"
CASES = {
    "closed output": (">&-", 1, "budgetnet: standard output: it is closed\n"),
    "full output": (">/dev/full", 1, "budgetnet: standard output: no space left on device\n"),
    "reader gone": ("| head -c 1 >/dev/null; exit ${PIPESTATUS[0]}", 141, ""),
    "closed errors": ("2>&-", 0, ""),
    "closed input": ("<&-", 0, ""),
    "all closed": ("<&- >&- 2>&-", 1, ""),
}


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A shell's line, where `budgetnet` is this program."""
    program = f'budgetnet() {{ "{sys.executable}" -m budgetnet "$@"; }}\n'
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(["bash", "-c", program + line], capture_output=True, timeout=120, env=env, check=False)


MARKUP = "[red]x[/] [/] caf\u00e9"
"""A name that may be a network's: it can be printed, and a terminal library would take parts of it for its own."""


@pytest.fixture
def evil_file(tmp_path: Path) -> Path:
    """A network's file whose name cannot be printed; no network has it."""
    row = json.loads(budgetnet.network("mobilenet_v3_small").to_json())
    (tmp_path / "evil.json").write_text(json.dumps({**row, "name": EVIL}), encoding="ascii")
    return tmp_path / "evil.json"


@pytest.fixture
def markup_file(tmp_path: Path) -> Path:
    network = dataclasses.replace(budgetnet.network("mobilenet_v3_small"), name=MARKUP)
    (tmp_path / "markup.json").write_text(network.to_json(), encoding="ascii")
    return tmp_path / "markup.json"


@pytest.mark.parametrize("case", quick_for(CASES, ("closed output", "full output", "reader gone", "all closed")))
def test_a_stream_that_takes_nothing_is_one_line_and_a_code(case: str) -> None:
    tail, code, said = CASES[case]
    # Long enough to fill every buffer, and the text goes through rich, which has its own idea of a broken pipe.
    done = shell(f"budgetnet cost efficientnet_b7 --ops {tail}")
    assert (done.returncode, done.stderr.decode()) == (code, said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["zoo --json", "--help", "--version", "solve --help", "fit efficientnet_b0 --macs 60M"]
)
@pytest.mark.parametrize("case", [case for case in CASES if case != "reader gone"])
def test_every_answer_meets_such_a_stream_alike(case: str, line: str) -> None:
    tail, code, said = CASES[case]
    done = shell(f"budgetnet {line} {tail}")
    assert (done.returncode, done.stderr.decode()) == (code, said)


@pytest.mark.parametrize("tail", ["2>&-", "2>/dev/full"])
def test_a_message_that_cannot_be_told_leaves_its_code_and_does_not_go_to_the_answer(tail: str) -> None:
    done = shell(f"budgetnet cost mobilenet_v2 --bogus {tail}")
    assert (done.returncode, done.stdout) == (2, b"")


def test_ascii_outputs_get_text_and_json_that_is_json(markup_file: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = shell(f"budgetnet cost '{markup_file}'; budgetnet cost '{markup_file}' --json", **ascii_only)
    assert done.returncode == 0 and done.stderr == b""
    text, _, document = done.stdout.decode("ascii").partition("{")
    assert LEFT in text and "caf\\xe9" in text
    assert json.loads("{" + document)["network"]["name"] == MARKUP


@pytest.mark.parametrize("columns", ["20", "1"])
def test_a_narrow_terminal_gets_all_of_it(columns: str) -> None:
    pty = pytest.importorskip("pty", reason="no terminals to make on this system")
    got: list[bytes] = []

    def read(descriptor: int) -> bytes:
        got.append(os.read(descriptor, 1 << 16))
        return got[-1]

    code = "import sys; from budgetnet.cli import main; sys.exit(main(['fit', 'efficientnet_b0', '--macs', '60M']))"
    before = dict(os.environ)
    os.environ |= {"COLUMNS": columns, "PYTHONPATH": str(SOURCE), "TERM": "xterm"}
    try:
        status = pty.spawn([sys.executable, "-c", code], read, lambda _: b"")
    finally:
        os.environ.clear()
        os.environ |= before
    assert os.waitstatus_to_exitcode(status) == 0 and b"Traceback" not in b"".join(got)


@pytest.mark.parametrize(
    "arguments", [["cost", "FILE"], ["scale", "FILE", "--phi", "1"], ["fit", "FILE", "--macs", "20M"]]
)
def test_a_networks_name_reaches_the_terminal_as_text(
    arguments: list[str], markup_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [str(markup_file) if word == "FILE" else word for word in arguments]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert LEFT in out and is_shown(out)
    assert main([*line, "--json"]) == 0
    document = capsys.readouterr().out
    assert is_shown(document) and json.loads(document)["network"]["name"].startswith(MARKUP)


def test_messages_are_text_too(evil_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (
        ["fit", str(evil_file), "--macs", "1K"],
        ["cost", EVIL],
        ["cost", "mobilenet_v2", EVIL],
        ["cost", "mobilenet_v2", "--dtype", EVIL],
        ["cost", "mobilenet_v2", "--batch", EVIL],
        ["zoo", "--target", EVIL],
        [EVIL],
    ):
        assert main(line) == 2
        out, said = capsys.readouterr()
        assert out == "" and is_shown(said) and len(said.splitlines()) == 1, line


@settings(max_examples=60)
@given(st.text(max_size=20))
def test_any_name_is_shown_in_one_line(name: str) -> None:
    shown = show.line(name)
    assert is_shown(shown) and "\n" not in shown and len(shown) == len(name)


def test_tables_and_lines_keep_names_with_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("class", EVIL), [(EVIL, "1"), ("[bold]b[/bold]", "[/]")], title=EVIL)
    show.facts({"class": EVIL, "[red]": "[/red]"})
    show.tell(f"{EVIL}: {EVIL}")
    show.say(EVIL, "bold")
    show.notice(EVIL)
    out, said = capsys.readouterr()
    assert is_shown(out) and is_shown(said) and "[bold]b[/bold]" in out and "[red]" in out and LEFT in said


def test_the_name_of_a_class_reaches_the_terminal_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of images whose classes are named like that, up to the first message that names one."""
    from PIL import Image

    for name in ("\x1b[31mred\x1b[0m", "line\nend", "[red]", "\u202eturned"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "data" / name / f"{name}.png")
    assert main(["train", str(tmp_path / "data"), "--network", "mobilenet_v2", "--epochs", "1"]) == 2
    out, said = capsys.readouterr()
    assert out == "" and is_shown(said) and "red" in said


def test_a_worker_tells_our_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    from budgetnet.parallel import workers

    for category, file in ((DeprecationWarning, workers.__file__), (UserWarning, "torch/nn/functional.py")):
        workers._warned("for developers", category, file, 1)
    workers._warned("what the user\n should know", UserWarning, workers.__file__, 1)
    assert capsys.readouterr() == ("", "budgetnet: what the user should know\n")


WORKER = """
import warnings
from budgetnet.parallel.workers import Workers

def work(job):
    warnings.warn("a library tells its developers", DeprecationWarning, stacklevel=1)
    warnings.warn("another as well", UserWarning, stacklevel=1)
    from budgetnet.training import plan
    warnings.warn_explicit("what the user\\n should know", UserWarning, plan.__file__, 1)
    return job

if __name__ == "__main__":
    with Workers(work, 1) as workers:
        print(workers.run(["runs/a"]))
"""


@pytest.mark.slow
def test_what_libraries_warn_of_in_a_worker_is_not_told_and_our_own_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORKER)
    done = subprocess.run(
        [sys.executable, "-W", "always", "work.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=False,
    )
    assert (done.stdout, done.stderr) == ("['runs/a']\n", "budgetnet: what the user should know\n")
