"""Sizes as people write them, and what is said about those that are none."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.cli import show, sizes
from budgetnet.networks.scaling import Coefficients


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("60M", 60_000_000),
        ("60m", 60_000_000),
        ("1.5M", 1_500_000),
        ("2.5 G", 2_500_000_000),
        ("1B", 1_000_000_000),
        ("60e6", 60_000_000),
        ("1,234,567", 1_234_567),
        ("1_000", 1000),
        ("0.29K", 290),
        ("7", 7),
    ],
)
def test_counts(text: str, value: int) -> None:
    assert sizes.count(text) == value


@given(st.integers(1, 10**15), st.sampled_from([("", 1), ("K", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12)]))
def test_a_count_is_exact(number: int, unit: tuple[str, int]) -> None:
    """Through floating point 4.35M would be 4,349,999."""
    name, factor = unit
    assert sizes.count(f"{number}{name}") == number * factor
    assert sizes.count(f"{number // 100}.{number % 100:02d}M") == number * 10**4 if number >= 100 else True


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4MiB", 4 * 1024**2),
        ("4 MB", 4_000_000),
        ("256KB", 256_000),
        ("256kib", 262_144),
        ("1.5GiB", 3 * 2**29),
        ("512", 512),
        ("512B", 512),
        ("0.1MiB", 104_857),
    ],
)
def test_bytes(text: str, value: int) -> None:
    assert sizes.size_bytes(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("15m", 900), ("100s", 100), ("1h30m", 5400), ("8ms", 0.008), ("2 min", 120)]
)
def test_times(text: str, value: float) -> None:
    assert sizes.seconds(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("text", "value"), [("224", (224, 224)), ("192x256", (192, 256)), ("192 x 256", (192, 256))])
def test_resolutions(text: str, value: tuple[int, int]) -> None:
    assert sizes.resolution_px(text) == value


def test_coefficients() -> None:
    assert sizes.coefficients("1.2,1.1,1.15") == Coefficients(1.2, 1.1, 1.15)


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (sizes.count, "sixty", "60M"),
        (sizes.count, "60X", "unknown unit 'X'"),
        (sizes.count, "60MB", "unknown unit 'MB'"),
        (sizes.count, "-5M", "60M"),
        (sizes.count, "0", "below 1"),
        (sizes.count, "0.2", "below 1"),
        (sizes.count, "", "60M"),
        (sizes.count, "1e999", "60M"),
        (sizes.size_bytes, "4M", "4MiB (powers of 1024) or 4MB"),
        (sizes.size_bytes, "4Mi", "4MiB (powers of 1024) or 4MB"),
        (sizes.size_bytes, "4 apples", "unknown unit 'apples'"),
        (sizes.seconds, "100", "with its unit"),
        (sizes.seconds, "15 parsecs", "unknown unit 'parsecs'"),
        (sizes.seconds, "0s", "a time of 0"),
        (sizes.seconds, "s", "is not a time"),
        (sizes.seconds, "5m oops 3s", "is not a time"),
        (sizes.resolution_px, "big", "192x256"),
        (sizes.resolution_px, "0", "at least 1"),
        (sizes.coefficients, "1.2,1.1", "three numbers"),
        (sizes.coefficients, "1,1,1", "one above 1"),
        (sizes.coefficients, "nan,1.1,1.1", "at least 1"),
    ],
)
def test_what_is_no_size_is_told_in_one_line(parse: Callable[[str], object], text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 K"),
        (389_000_000, "389 M"),
        (9_996, "10.0 K"),
        (999_600, "1.00 M"),
        (58_912_344, "58.9 M"),
    ],
)
def test_counts_are_written_to_three_digits(value: int, text: str) -> None:
    assert show.short(value) == text


def test_bytes_are_written_in_powers_of_1024() -> None:
    assert [show.size(value) for value in (512, 4 * 1024**2, 20_200_000)] == ["512 B", "4.00 MiB", "19.3 MiB"]
