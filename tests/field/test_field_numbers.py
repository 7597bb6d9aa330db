"""Numbers as people write them: taken where they say one thing, refused with both where they could say two."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from cyclopts import App, Parameter
from hypothesis import given, settings
from hypothesis import strategies as st

from budgetnet import amounts, cli
from budgetnet.cli import options


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (amounts.count, "0.06G", 60_000_000),
        (amounts.count, "60 M", 60_000_000),
        (amounts.count, "60\N{NO-BREAK SPACE}M", 60_000_000),
        (amounts.count, "60m", 60_000_000),  # a thousandth of a multiply-add is none: there is one reading
        (amounts.count, "+6e+07", 60_000_000),
        (amounts.count, "1,234,567", 1_234_567),
        (amounts.count, "1.234.567", 1_234_567),
        (amounts.count, "1.234,5K", 1_234_500),
        (amounts.count, "60 000 000", 60_000_000),
        (amounts.count, "60'000", 60_000),
        (amounts.count, "1k", 1000),
        (amounts.count, "1K", 1000),
        (amounts.count, "3 million", 3_000_000),
        (amounts.count, "2.0", 2),
        (amounts.size_bytes, "4MB", 4_000_000),
        (amounts.size_bytes, "4MiB", 4 * 1024**2),
        (amounts.size_bytes, "4mb", 4_000_000),
        (amounts.whole, "3.0", 3),
        (amounts.whole, "-1", -1),
        (amounts.seconds, "15m", 900),
        (amounts.seconds, "1:30:00", 5400),
        (amounts.seconds, "1.5 hours", 5400),
        (amounts.share, "5 %", 0.05),
        (amounts.number, "-2e-3", -0.002),
    ],
)
def test_one_reading_is_taken(read: Callable[[str], float], text: str, value: float) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "readings"),
    [
        (amounts.count, "1,5M", ["1.5M", "15M"]),
        (amounts.count, "1,500", ["1.5", "1500"]),
        (amounts.count, "60,000K", ["60K", "60000K"]),
        (amounts.count, "1.500", ["1500", "1.5"]),
        (amounts.count, "60.000", ["60000", "60"]),
        (amounts.count, "1.500M", ["1500M", "1.5M"]),
        (amounts.size_bytes, "1.500KB", ["1500KB", "1.5KB"]),
        (amounts.count, "60MFLOPs", ["60M", "30M"]),
        (amounts.count, "3 GFLOP", ["3G", "1.5G"]),
        (amounts.size_bytes, "4M", ["4MiB", "4MB"]),
        (amounts.size_bytes, "4Mi", ["4MiB", "4MB"]),
        (amounts.size_bytes, "4Mb", ["4MB", "0.5MB"]),
        (amounts.size_bytes, "8Gib", ["8GiB", "1GiB"]),
        (amounts.size_bytes, "1,5MB", ["1.5MB", "15MB"]),
        (amounts.seconds, "90", ["90s", "90m"]),
        (amounts.seconds, "1:30", ["1m30s", "1h30m"]),
        (amounts.seconds, "1,5h", ["1.5h", "15h"]),
        (amounts.seconds, "15M", ["15m", "days"]),
        (amounts.whole, "1,5", ["1.5", "15"]),
        (amounts.number, "1,5", ["1.5", "15"]),
        (amounts.share, "5", ["5%", "0.05"]),
    ],
)
def test_two_readings_are_refused_with_both(read: Callable[[str], float], text: str, readings: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    said = str(caught.value)
    assert "\n" not in said and all(reading in said.partition("write")[2] for reading in readings), said


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((amounts.count, text) for text in ("1.5", "12,34,567", "nan", "inf", "0x10", "-5M", "60Mi", "M", "")),
        *((amounts.whole, text) for text in ("1.5", "1e-3", "x", "", "0x10")),
        *((amounts.number, text) for text in ("nan", "inf", "1e400", "x", "")),
        *((amounts.seconds, text) for text in ("-5s", "15Ms", "15MS", "1:99:00", "1h30", "1e3s", "0:0:0", "")),
        *((amounts.share, text) for text in ("nan", "-1%", "inf%", "0,05", "")),
    ],
)
def test_what_is_no_such_number_is_one_line(read: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert "\n" not in str(caught.value) and repr(text)[1:-1] in str(caught.value)


@settings(max_examples=150)
@given(st.text("0123456789.,_' eE+-kKmMgGiIbBsSxX%:\u00a0\u0663", max_size=9))
def test_any_text_is_a_number_or_one_line(text: str) -> None:
    for read in (amounts.count, amounts.size_bytes, amounts.whole, amounts.number, amounts.seconds, amounts.share):
        try:
            found = read(text)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 300
        else:
            assert found == found and abs(found) < 1e120


@settings(max_examples=100)
@given(st.integers(1, 999_999), st.integers(1, 999), st.sampled_from(["", "K", "M", "G"]))
def test_a_comma_alone_is_never_guessed(before: int, after: int, unit: str) -> None:
    for read in (amounts.count, amounts.size_bytes):
        with pytest.raises(ValueError, match=r"could be two (numbers|sizes)"):
            read(f"{before},{after}{unit}{'B' if read is amounts.size_bytes and unit else ''}")


def arguments_of(app: App) -> list[tuple[str, Any]]:
    """Name and annotation of every option of every command, those inside dataclasses too."""
    rows: list[tuple[str, Any]] = []

    def add(hints: dict[str, Any], where: str) -> None:
        for name, hint in hints.items():
            if name == "return":
                continue
            if (
                isinstance(hint, type)
                and hasattr(hint, "__dataclass_fields__")
                and hint.__module__.startswith("budgetnet.cli")
            ):
                add(get_type_hints(hint, include_extras=True), f"{where}.{name}")
            else:
                rows.append((f"{where}.{name}", hint))

    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        if command.default_command is not None:
            add(get_type_hints(command.default_command, include_extras=True), name)
        rows += arguments_of(command)
    return rows


def test_every_number_on_the_command_line_is_read_by_the_grammar() -> None:
    """Cyclopts's own reading of an integer rounds 1.5, and of a float takes nan."""
    seen = 0
    for where, hint in arguments_of(cli.app):
        if get_origin(hint) is not Annotated:
            assert hint not in (int, float), where
            continue
        kind, *notes = get_args(hint)
        if {int, float} & ({kind} | set(get_args(kind))):
            converters = [note.converter for note in notes if isinstance(note, Parameter) and note.converter]
            assert converters, f"{where} has no converter: add WHOLE or REAL of cli.options"
            seen += 1
    assert seen > 60 and options.WHOLE.converter is not None


@pytest.mark.parametrize("option", ["--batch", "--classes", "--dropped-strides"])
def test_an_integer_refuses_a_fraction(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cost", "mobilenet_v2", option, "1.5"]) == 2
    assert re.search(rf"{option}: '1.5' is no", capsys.readouterr().err)
    assert cli.main(["cost", "mobilenet_v2", option, "2.0"]) == 0
