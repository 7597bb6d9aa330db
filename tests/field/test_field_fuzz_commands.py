"""Command lines and budgets at random: an answer or one line, code 0, 1 or 2, and no file of a failed command.

The quick half asks what needs no torch; data commands get data that cannot be trained, so that nothing ever is.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.terminal import is_shown

import budgetnet
from budgetnet import Budget, BudgetError
from budgetnet.cli import main
from budgetnet.networks.scaling import STRATEGIES

BASES = (
    "mobilenet_v3_small",
    "efficientnet_b0",
    "efficientnet_lite0",
    "mobilenet_v2_35",
    "resnet50",
    "tf_efficientnet_b0",
)
TEXT = st.text(max_size=8).filter(lambda text: "\0" not in text)
FILES = st.sampled_from(
    [
        "network.json",
        "broken.json",
        "binary.json",
        "list.json",
        "space.json",
        "folder",
        "empty",
        "nowhere",
        "",
        ".",
        "-",
        "link",
    ]
)
NUMBER = st.one_of(
    st.integers(-3, 2000).map(str),
    st.sampled_from(
        ["1.5", "2.0", "nan", "inf", "-inf", "1e400", "1,5", "1_0", "0x10", "\u0663", "1e3", "-0", "", " 7 ", "9" * 30]
    ),
    TEXT,
)
COUNT = st.one_of(
    st.sampled_from(
        ["60M", "2M", "8M", "300M", "0.06G", "60 M", "1,5M", "1.500", "60MFLOPs", "1K", "1", "10T", "4MiB"]
    ),
    NUMBER,
)
BYTES = st.one_of(st.sampled_from(["4MiB", "4MB", "4M", "4Mb", "512KiB", "2GiB", "1B", "1TiB"]), NUMBER)
TIME = st.one_of(st.sampled_from(["15m", "90", "1:30", "15M", "1h30m", "8ms", "1:30:00", "0s", "1,5h"]), NUMBER)
NAME = st.one_of(st.sampled_from(BASES), FILES, TEXT)
CHOICE = st.sampled_from(
    [
        *STRATEGIES,
        "float32",
        "float16",
        "int8",
        "cpu",
        "macs",
        "activations",
        "peak_bytes",
        "modern",
        "test",
        "magic",
        "CPU",
        "",
    ]
)
COEFFICIENTS = st.one_of(st.sampled_from(["1.2,1.1,1.15", "1,1,1", "1.2,1.1", "1.2,1.1,nan", "2,2,2"]), FILES, TEXT)
RESOLUTION = st.sampled_from(["32", "64", "96x64", "224px", "0", "-1", "big", "1.5", "9999999", "x", ""])

LIMITS = {
    "--macs": COUNT,
    "--params": COUNT,
    "--weight-bytes": BYTES,
    "--peak-activation-bytes": BYTES,
    "--peak-bytes": BYTES,
    "--train-bytes": BYTES,
    "--dtype": CHOICE,
    "--batch": NUMBER,
    "--target": st.one_of(st.sampled_from(["phone", "browser", "stm32f746"]), TEXT),
}
SHAPE = {"--classes": NUMBER, "--resolution": RESOLUTION, "--dropped-strides": NUMBER}
SCALED = {"--strategy": CHOICE, "--coefficients": COEFFICIENTS}
OUT = {"--out": FILES}
FLAGS = {"--json": None, "--bogus": None, "--help": None}
SWITCH = st.one_of(st.sampled_from(["auto", "on", "off", "ON", "all", "none"]), TEXT)
DRAWN = {name: SWITCH for name in ("--flip", "--turn", "--colour", "--crop", "--augment")}
FOLDERS = {"--train": FILES, "--val": FILES, "--test": FILES}
MADE = {
    **DRAWN,
    **FOLDERS,
    "--seed": NUMBER,
    "--device": CHOICE,
    "--precision": CHOICE,
    "--recipe": CHOICE,
    "--time": TIME,
    **OUT,
    "--fresh": None,
}
SHARE = st.one_of(st.sampled_from(["5%", "0.05", "5", "0,05"]), NUMBER)
SEARCH = {"--growth": NUMBER, "--tolerance": SHARE, "--measure": CHOICE, "--candidates": NUMBER}
STORAGE = st.sampled_from(["postgresql://a:hush@h@h/x", "hush", "mysql://a:hush@h/x", "postgresql://h:hush/x"])

QUICK: dict[str, dict[str, Any]] = {
    "zoo": {**LIMITS, **SHAPE, "--devices": None, **FLAGS},
    "cost": {**LIMITS, **SHAPE, "--ops": None, **FLAGS},
    "fit": {**LIMITS, **SHAPE, **SCALED, **OUT, **FLAGS},
    "scale": {"--phi": NUMBER, **SHAPE, **SCALED, **OUT, **FLAGS},
}
LISTED = {
    "search space": {"--resolution": st.sampled_from(["32", "big"]), **SEARCH, **FLAGS},
}
"""It lists a whole space, for seconds: no part of the quick half."""
WITH_DATA: dict[str, dict[str, Any]] = {
    "solve": {**LIMITS, **MADE, "--base": NAME, "--strategy": CHOICE, "--pretrained": NAME, **FLAGS},
    "train": {**LIMITS, **SHAPE, **MADE, "--network": NAME, "--weights": FILES, "--epochs": NUMBER, **FLAGS},
    "compare": {
        **LIMITS,
        **MADE,
        "--seeds": NUMBER,
        "--networks": NAME,
        "--scaling": None,
        "--shares": NUMBER,
        **FLAGS,
    },
    "search coefficients": {
        **SEARCH,
        **MADE,
        "--base": NAME,
        "--finalists": NUMBER,
        "--seeds": NUMBER,
        "--train-bytes": BYTES,
        **FLAGS,
    },
    "search baseline": {**LIMITS, **MADE, "--space": FILES, "--exponent": NUMBER, "--storage": STORAGE, **FLAGS},
    "search family": {**LIMITS, **MADE, "--space": FILES, "--exponent": NUMBER, "--storage": STORAGE, **FLAGS},
    "landscape training": {
        "--network": NAME,
        "--activations": TEXT,
        "--seeds": NUMBER,
        "--steps": NUMBER,
        **DRAWN,
        **FOLDERS,
        **OUT,
        **FLAGS,
    },
    "evaluate": {"--split": CHOICE, "--device": CHOICE, "--network": NAME, "--class-names": FILES, **FLAGS},
    "predict": {
        "--top": NUMBER,
        "--batch": NUMBER,
        "--device": CHOICE,
        "--network": NAME,
        "--class-names": FILES,
        **FLAGS,
    },
    "explain": {"--split": CHOICE, "--drawn": NUMBER, "--layer": TEXT, **OUT, **FLAGS},
    "landscape dead": {"--images": NUMBER, "--data": FILES, **FLAGS},
    "landscape loss": {"--size": NUMBER, "--extent": NUMBER, "--seed": NUMBER, **OUT, **FLAGS},
}


@st.composite
def lines(draw: st.DrawFn, commands: dict[str, dict[str, Any]], places: st.SearchStrategy[str]) -> list[str]:
    """A command, what it is about, and up to five of its options, in any order."""
    command = draw(st.sampled_from(sorted(commands)))
    about = draw(
        st.lists(places, min_size=0 if draw(st.integers(0, 9)) == 0 else 1, max_size=2 if draw(st.booleans()) else 1)
    )
    if command == "zoo":
        about = about if draw(st.integers(0, 9)) == 0 else []
    options: list[str] = []
    for name in draw(st.lists(st.sampled_from(sorted(commands[command])), max_size=5, unique=True)):
        if name in ("--help", "--bogus") and draw(st.integers(0, 5)):
            continue
        values = commands[command][name]
        options += [name] if values is None else [name, draw(values)]
    return [*command.split(), *about, *options]


@contextlib.contextmanager
def somewhere() -> Iterator[Path]:
    """A folder of its own, with what the names of `FILES` promise, as the working directory."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = budgetnet.network("mobilenet_v3_small", 10, 32)
        (folder / "network.json").write_text(network.to_json())
        (folder / "broken.json").write_text(network.to_json()[:100])
        (folder / "binary.json").write_bytes(b"\xff\xfe\x00{")
        (folder / "list.json").write_text("[1, 2]")
        (folder / "space.json").write_text('{"format": "budgetnet.space.v1"}')
        (folder / "folder" / "only").mkdir(parents=True)
        (folder / "folder" / "only" / "x.png").write_bytes(b"no picture")
        (folder / "empty").mkdir()
        (folder / "link").symlink_to("nowhere")
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(here)


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def ask(line: Sequence[str]) -> None:
    """Run a command as a terminal would: hold its code, its lines, and what it leaves."""
    with somewhere() as folder:
        before = content(folder)
        out, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            code = main(line)
        told = said.getvalue()
        assert code in (0, 1, 2), (line, code)
        assert "Traceback" not in told and "hush" not in told + out.getvalue(), line
        if code == 2:
            assert out.getvalue() == "" and len(told.splitlines()) == 1 and told.startswith("budgetnet: "), (line, told)
            assert len(told) < 4000 and is_shown(told), (line, told)
        if code:
            assert content(folder) == before, (line, "a failed command leaves nothing and changes nothing")


UNUSUAL = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=60, suppress_health_check=UNUSUAL)
@given(lines(QUICK, NAME))
def test_torch_free_commands(line: list[str]) -> None:
    before = "torch" in sys.modules
    ask(line)
    assert before or "torch" not in sys.modules


@settings(max_examples=60, suppress_health_check=UNUSUAL)
@given(lines(WITH_DATA, FILES))
def test_commands_on_data_that_cannot_be_used(line: list[str]) -> None:
    ask(line)


@settings(max_examples=20)
@given(
    st.lists(
        st.one_of(
            TEXT, st.sampled_from(["fit", "cost", "search", "--json", "--help", "-h", "--", "--macs", "--version"])
        ),
        max_size=4,
    )
)
def test_any_words(line: list[str]) -> None:
    ask(line)


LIMIT = st.one_of(
    st.integers(-2, 10**12),
    st.integers(10**15, 10**40),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["60M", "4MiB", "4M", "1,5M", "", "x", b"60M", [60], {}, 6e7, 1e18, 2.5e6]),
    TEXT,
)
BUDGETS = st.fixed_dictionaries(
    {},
    optional={
        **{name: LIMIT for name in ("macs", "params", "weight_bytes", "peak_activation_bytes", "peak_bytes")},
        "dtype": st.sampled_from(["float32", "float16", "int8", "float64", None, 8]),
        "batch": st.one_of(st.integers(-1, 64), LIMIT),
    },
)


def solved(fields: dict[str, Any], strategy: Any) -> None:
    """A budget is refused in one line, or a fit keeps it, or it says in one line why nothing does."""
    base = budgetnet.network("mobilenet_v3_small", 10, 64)
    try:
        budget = Budget(**fields)
    except (TypeError, ValueError) as error:
        assert "\n" not in str(error) and len(str(error)) < 400, (fields, error)
        return
    assert Budget.from_dict(budget.to_dict()) == budget
    assert all(type(limit) is int and limit > 0 for limit in budget.limits().values())
    try:
        found = budgetnet.fit(base, budget, strategy)
    except BudgetError as error:
        assert "\n" not in str(error) and error.excess > 0
    except ValueError as error:
        assert "\n" not in str(error) and ("would bind" in str(error) or "strategy" in str(error))
    else:
        assert budget.check(found.network).fits and found.certificate.fits
        assert found.certificate.next is None or found.certificate.next.breaks


@settings(max_examples=60, suppress_health_check=UNUSUAL)
@given(BUDGETS, st.sampled_from([*STRATEGIES, "magic", None]))
def test_budgets(fields: dict[str, Any], strategy: Any) -> None:
    solved(fields, strategy)


@pytest.mark.slow
@settings(max_examples=1500, suppress_health_check=UNUSUAL)
@given(lines({**QUICK, **LISTED, **WITH_DATA}, st.one_of(NAME, FILES)))
def test_more_commands(line: list[str]) -> None:
    ask(line)


@pytest.mark.slow
@settings(max_examples=500, suppress_health_check=UNUSUAL)
@given(BUDGETS, st.sampled_from(STRATEGIES))
def test_more_budgets(fields: dict[str, Any], strategy: Any) -> None:
    solved(fields, strategy)
