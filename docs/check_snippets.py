"""Holds the READMEs and docs/ to the program: `python docs/check_snippets.py`.

The ```python blocks of a file run as one script; those that train are only compiled, unless --slow is given, and a page
in two languages has them once. In every ```console block each `$ budgetnet ...`
line must be a command whose help lists every flag of the line; a command that needs no torch is run,
and the output under it, if there is any, must be what it prints (a line `...` stands for any lines).
Every `$ make VERB` must be a target of the Makefile. Exit code 1 with FILE:LINE for each that is not so.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRAINS = re.compile(r"budgetnet\.(?:solve|train|compare|search_\w+|activation_study)\(")
TORCH_FREE = {"zoo", "cost", "scale", "fit"}
MEASURES = "--latencies"
"""With this option a command measures for half an hour."""
PROGRAM = [
    sys.executable,
    "-c",
    "import sys; from budgetnet.cli import main; sys.argv[0] = 'budgetnet'; sys.exit(main())",
]
COLUMNS = "100"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}


@dataclass(frozen=True, slots=True)
class Snippet:
    """A fenced block: its language, its lines, and the line of the file where it starts."""

    language: str
    lines: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A `$` line of a console block with the output that is printed under it."""

    command: str
    output: tuple[str, ...]
    line: int


def snippets(text: str) -> Iterator[Snippet]:
    """The fenced blocks of a Markdown text, in order."""
    language, lines, start = "", [], 0
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
        elif inside:
            yield Snippet(language, tuple(lines), start)
            inside = False
        else:
            language, lines, start, inside = line.strip().strip("`"), [], number + 1, True


def prompts(snippet: Snippet) -> Iterator[Prompt]:
    """The `$` lines of a console block; a trailing backslash goes on in the next line."""
    numbered = list(enumerate(snippet.lines, snippet.line))
    while numbered:
        start, line = numbered.pop(0)
        if not line.startswith("$ "):
            continue
        command = line[2:]
        while command.endswith("\\") and numbered:
            command = command[:-1] + numbered.pop(0)[1]
        output: list[str] = []
        while numbered and not numbered[0][1].startswith("$ "):
            output.append(numbered.pop(0)[1].rstrip())
        yield Prompt(command, tuple(output), start)


def trains(block: Snippet) -> bool:
    """Whether a Python block trains a network, which takes up to minutes."""
    return TRAINS.search("\n".join(block.lines)) is not None


def check_python(blocks: list[Snippet], name: str, slow: bool = False) -> Iterator[str]:
    """What stops the Python blocks of a file; blank lines keep their line numbers those of the file."""
    lines: list[str] = []
    if not slow:
        for block in filter(trains, blocks):
            try:
                compile("\n".join(block.lines), name, "exec")
            except SyntaxError as error:
                yield f"{name}:{block.line + (error.lineno or 1) - 1}: {error.msg}"
        blocks = [block for block in blocks if not trains(block)]
    for block in blocks:
        lines += [""] * (block.line - 1 - len(lines)) + list(block.lines)
    runner = "import sys; exec(compile(sys.stdin.read(), sys.argv[1], 'exec'), {'__name__': '__main__'})"
    done = subprocess.run(
        [sys.executable, "-c", runner, name],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=600,
    )
    if done.returncode != 0:
        places = re.findall(rf'File "{re.escape(name)}", line (\d+)', done.stderr)
        error = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        yield f"{name}:{places[-1] if places else 1}: {error}"


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of the budgetnet command, as wide as the docs are."""
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


def check_prompt(prompt: Prompt, root: Path) -> str | None:
    """What is wrong with a `$` line of the repository at `root`, if anything."""
    words = shlex.split(prompt.command, comments=True)
    words = words[: words.index("|")] if "|" in words else words
    if words[:1] == ["make"]:
        return check_make(words[1:], root)
    if words[:1] != ["budgetnet"]:
        return None
    if words[1:2] and words[1] in TORCH_FREE and "|" not in prompt.command and MEASURES not in words:
        return check_output(words[1:], prompt.output)
    return check_flags(words[1:])


def check_make(words: list[str], root: Path) -> str | None:
    """Whether the Makefile has the targets."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    missing = [word for word in words if "=" not in word and not re.search(rf"^{re.escape(word)}:", makefile, re.M)]
    return f"the Makefile has no {', '.join(missing)}" if missing else None


def check_output(words: list[str], output: tuple[str, ...]) -> str | None:
    """Whether a command works, and prints what the docs show."""
    done = program(*words)
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stderr.strip()}"
    shown = [line for line in output if line]
    printed = [line.rstrip() for line in done.stdout.splitlines() if line.strip()]
    if shown and not matches(shown, printed):
        return "it prints otherwise:\n" + done.stdout
    return None


def matches(shown: list[str], printed: list[str]) -> bool:
    """Whether the shown lines are the printed ones, where `...` stands for any lines."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(matches(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and matches(shown[1:], printed[1:])


def check_flags(words: list[str]) -> str | None:
    """Whether the command's help lists every flag of the line."""
    command = words[: 2 if words[:1] in (["search"], ["landscape"]) else 1]
    command = [] if command and command[0].startswith("-") else command
    done = program(*command, "--help")
    if done.returncode != 0:
        return f"`budgetnet {' '.join(command)} --help` exits with {done.returncode}: {done.stderr.strip()}"
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    listed = set(re.findall(r"--[a-z][a-z0-9-]*", done.stdout))
    unknown = sorted(flags - listed - {"--help", "--version"})
    return f"its help lists no {', '.join(unknown)}" if unknown else None


def check_file(path: Path, slow: bool = False, root: Path = ROOT) -> Iterator[str]:
    """FILE:LINE and what is wrong, for each snippet that does not hold, of a file of the repository at `root`."""
    name = str(path.relative_to(root))
    found = list(snippets(path.read_text(encoding="utf-8")))
    if not name.endswith(".ko.md"):
        yield from check_python([snippet for snippet in found if snippet.language == "python"], name, slow)
    for snippet in found:
        for prompt in prompts(snippet) if snippet.language == "console" else ():
            if wrong := check_prompt(prompt, root):
                yield f"{name}:{prompt.line}: `{prompt.command}`: {wrong}"


def main() -> int:
    """Check README.md and docs/*.md; whatever snippets write goes to a folder that is thrown away."""
    files = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        wrong = [line for path in files for line in check_file(path, "--slow" in sys.argv[1:])]
        os.chdir(ROOT)
    print("\n".join(wrong) if wrong else f"snippets of {len(files)} files hold")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
