"""The command line. A command parses, calls one public function and prints; this file turns what goes wrong
into one line on standard error: exit code 2 for bad input, 1 for what the machine refuses, 130 for Ctrl-C, 141
where the reader of standard output has left (docs/formats.md).
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError

from budgetnet.cli import (
    compare,
    explain,
    export,
    landscape,
    loss,
    measure,
    networks,
    process,
    profile,
    runs,
    search,
    search_baseline,
    search_family,
    serve,
    show,
    streams,
    training,
)
from budgetnet.parallel.launcher import leads, speaks

if TYPE_CHECKING:
    from budgetnet.training.stopwatch import Clock

BROKEN_PIPE = 141
"""128 + SIGPIPE: what a program returns whose reader has gone."""
INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a used up quota, a file that may not grow."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("budgetnet")
    except PackageNotFoundError:
        return "not installed: running from the source"


app = App(
    name="budgetnet",
    help="A compute budget and labelled images in; the most accurate network that fits out, with the evidence.",
    version=_version,
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=lambda value: None if value is False else value),
    suppress_keyboard_interrupt=False,
)
COMMANDS = (
    networks.zoo,
    networks.cost,
    networks.scale,
    networks.fit,
    runs.solve,
    runs.train,
    runs.evaluate,
    runs.predict,
    compare.compare,
    export.export,
    serve.serve,
    measure.measure,
    profile.profile,
    explain.explain,
)
for index, command in enumerate(COMMANDS):
    app.command(command, sort_key=index)
landscape.app.command(loss.loss, sort_key=3)
landscape.app.command(training.training, sort_key=4)
search.app.command(search_baseline.baseline)
search.app.command(search_family.family)
app.command(search.app)
app.command(landscape.app)


def main(arguments: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    """Run one command; returns its exit code. Time limits are kept by `clock`, this machine's unless given."""
    if arguments is None:
        process.note_command()
    shown_before, warnings.showwarning = warnings.showwarning, _warned
    with streams.guarded(quiet=not leads()) as output, process.using(clock):
        try:
            code = _run(list(sys.argv[1:] if arguments is None else arguments))
            output.flush()
        except streams.ReaderLeft:
            streams.give_up(output)
            return BROKEN_PIPE
        except OSError as error:  # of the output itself: `_run` has dealt with all others
            streams.give_up(output)
            return _say(_system_error(error), 1)
        finally:
            warnings.showwarning = shown_before
    return code


RENAMED: Mapping[tuple[str, ...], str] = {("search", "all"): "search family"}
"""Each former name of a command leads to its name now."""


def _run(arguments: list[str]) -> int:
    for former, name in RENAMED.items():
        if tuple(arguments[: len(former)]) == former:
            return _say(f"{' '.join(former)} is now called {name}; see budgetnet {name} --help", 2)
    try:
        result = app(arguments, exit_on_error=False, print_error=False, verbose=False, result_action="return_value")
        return result if isinstance(result, int) else 0
    except CycloptsError as error:
        return _say(_parse_error(error), 2)
    except ValueError as error:
        return _say(str(error), 2)
    except KeyboardInterrupt as interruption:
        return _say(str(interruption) or "interrupted", INTERRUPTED)
    except OSError as error:
        if error.filename == streams.OUTPUT:
            raise
        # The user's to mend, or the machine's.
        wrong_path = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, FileExistsError)
        return _say(_system_error(error), 2 if isinstance(error, wrong_path) else 1)
    except (RuntimeError, MemoryError) as error:
        # Torch reports what the machine cannot do (memory, a device) in these; for developers they are also bugs.
        if os.environ.get("BUDGETNET_TRACEBACK"):
            raise
        return _say(f"{str(error) or type(error).__name__} (BUDGETNET_TRACEBACK=1 shows where)", 1)


def _warned(message: Warning | str, category: type[Warning], filename: str, *more: object) -> None:
    """What the user should know, in one line; the libraries' own warnings are for developers."""
    if category is UserWarning and Path(filename).is_relative_to(Path(__file__).parents[1]):
        _say(str(message), 0)


def _say(text: str, code: int) -> int:
    if code == 0 or speaks():
        show.notice(f"budgetnet: {' '.join(text.split())}")
    return code


def _parse_error(error: CycloptsError) -> str:
    chain = " ".join(error.command_chain or ())
    where = f"budgetnet {chain} --help" if chain else "budgetnet --help"
    if isinstance(error, UnusedCliTokensError):
        return f"{' '.join(map(repr, error.unused_tokens or ()))} is one argument too many; see {where}"
    if isinstance(error, MissingArgumentError) and error.keyword is None and error.argument is not None:
        return f"{chain or 'budgetnet'} needs {error.argument.name}; see {where}"
    return str(error)


def _system_error(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.errno in FULL and error.filename != streams.OUTPUT:
        reason += "; make space there, then give the same command again: a run goes on where it was"
    return f"{error.filename}: {reason}" if error.filename else reason
