"""Records as JSON and back: equal values, and one line for whatever is damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet import Network, network
from budgetnet.codec import NOT_STORED, ONLY_IF_SET, from_plain, from_record, to_plain


@dataclass(frozen=True)
class Inner:
    """A record within a record."""

    kind: Literal["one", "two"]
    share: float


@dataclass(frozen=True)
class Outer:
    """One field of each kind."""

    name: str
    count: int
    on: bool
    share: float | None
    pair: tuple[int, str]
    rows: tuple[Inner, ...]
    named: Mapping[str, tuple[float, ...]]
    folder: Path
    loose: list[dict[str, Any]]
    either: str | Inner
    network: Network
    run: str = field(metadata=NOT_STORED)
    later: int = 7
    seldom: tuple[str, ...] = field(default=(), metadata=ONLY_IF_SET)


NETWORK = network("mobilenet_v1", 10, 32)
inners = st.builds(Inner, st.sampled_from(["one", "two"]), st.floats(allow_nan=False))
outers = st.builds(
    Outer,
    name=st.text(),
    count=st.integers(),
    on=st.booleans(),
    share=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    pair=st.tuples(st.integers(), st.text()),
    rows=st.lists(inners, max_size=3).map(tuple),
    named=st.dictionaries(st.text(), st.lists(st.floats(allow_nan=False), max_size=2).map(tuple), max_size=2),
    folder=st.just(Path("a/b")),
    loose=st.just([{"any": [1, None]}]),
    either=st.text() | inners,
    network=st.just(NETWORK),
    run=st.just("run"),
    seldom=st.lists(st.text(), max_size=2).map(tuple),
)


@given(outers)
def test_a_record_comes_back_equal(value: Outer) -> None:
    row = json.loads(json.dumps(to_plain(value)))
    assert from_plain(Outer, row, "the file", run="run") == value
    assert "run" not in row and ("seldom" in row) == (value.seldom != ())
    del row["later"]
    assert from_plain(Outer, row, "the file", run="run") == value, "a field with a default may be missing"


def row(**changed: Any) -> dict[str, Any]:
    """A file's record with some of its keys changed; None removes one."""
    value = Outer(
        "a", 1, True, 0.5, (1, "b"), (Inner("one", 1.0),), {"x": (1.0,)}, Path("p"), [], "c", NETWORK, run="run"
    )
    found = {**to_plain(value), **changed}
    return {name: each for name, each in found.items() if each is not None}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"name": None}, "name is missing"),
        ({"more": 1}, "more is not known"),
        ({"mo\nre": 1}, r"mo\\nre is not known"),
        ({"name": 5}, "name is 5; it must be a text"),
        ({"count": 1.5}, "count is 1.5; it must be an integer"),
        ({"count": True}, "count is True; it must be an integer"),
        ({"on": 1}, "on is 1; it must be true or false"),
        ({"share": "x"}, "share is 'x'; it must be a number"),
        ({"pair": [1]}, "pair has 1 items; it must have 2"),
        ({"pair": {"a": 1}}, r"pair is \{'a': 1\}; it must be an array"),
        ({"rows": [{"kind": "one", "share": 1}, {"kind": "one"}]}, r"rows\[1\].share is missing"),
        ({"rows": [{"kind": "three", "share": 1}]}, r"rows\[0\].kind is 'three'; it must be one of one, two"),
        ({"rows": ["x"]}, r"rows\[0\] is 'x'; it must be an object"),
        ({"named": {"x": [1, "y"]}}, r"named.x\[1\] is 'y'; it must be a number"),
        ({"named": []}, r"named is \[\]; it must be an object"),
        ({"network": {"format": "something"}}, "network: "),
    ],
)
def test_what_is_damaged_is_named_in_one_line(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=f"^the file is damaged: {line}") as caught:
        from_plain(Outer, row(**changed), "the file", run="run")
    assert "\n" not in str(caught.value)


def test_another_format_is_refused() -> None:
    assert from_record(Inner, {"format": "a.v2", "kind": "one", "share": 1}, "a.v2", "the file") == Inner("one", 1.0)
    with pytest.raises(ValueError, match=r"the file has the format 'a.v1'; this version reads a.v2"):
        from_record(Inner, {"format": "a.v1", "kind": "one", "share": 1}, "a.v2", "the file")
    with pytest.raises(ValueError, match=r"the file is damaged: it is \[\]; it must be an object"):
        from_record(Inner, [], "a.v2", "the file")
