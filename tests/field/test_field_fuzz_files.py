"""Network files and headers of safetensors with anything in them: a value or one line, and nothing else happens.

No traceback, no file left, no memory taken for what a file only claims. `make test-slow` tries more.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.foreign_files import TIMM, TINY, named_as, smallest

from budgetnet import Network, build, cost, network
from budgetnet.model.weights import Weights, load_model, save_weights

MOST_BYTES = 600 << 20
"""That a whole test may add to the most that the process has had."""
QUICK, MANY = 120, 2_000
B0 = json.loads(network("efficientnet_b0").to_json())

numbers = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 7, 8, 255, 256, 10**4, 10**6, 10**7, 10**9, 2**63, 10**39, 10**45, 10**400]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e-300, 1e300, float("nan"), float("inf"), -0.0]),
)
texts = st.one_of(
    st.sampled_from(["", "same", "swish", "nearest", "\x1b[31m", "a\nb", "\x00", "\ud800", "é", "x" * 5000]),
    st.text(max_size=8),
)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of everything inside of a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*at, name)
        yield from places(one, (*at, name))


def changed(draw: Any, row: Any) -> Any:
    """A value with one to three of its parts exchanged, left out, doubled or added."""
    row = json.loads(json.dumps(row))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(list(places(row))))
        holder = row
        for name in way:
            holder = holder[name]
        what = draw(st.sampled_from(["exchange", "exchange", "leave out", "add", "many"]))
        if what == "exchange":
            holder[last] = draw(values)
        elif what == "leave out":
            del holder[last]
        elif what == "many" and isinstance(holder, list) and len(holder) < 50:  # once is enough
            holder *= draw(st.sampled_from([2, 50, 500]))
        elif isinstance(holder, dict):
            holder[draw(texts)] = draw(values)
        if not list(places(row)):
            break
    return row


@st.composite
def network_texts(draw: Any) -> str:
    """A network's JSON with changes in its values, and now and then in its text."""
    text = json.dumps(changed(draw, B0))
    how = draw(st.sampled_from(["value", "value", "value", "cut", "insert", "nest"]))
    place = draw(st.integers(0, len(text)))
    if how == "cut":
        return text[:place]
    if how == "insert":
        return text[:place] + draw(st.sampled_from(["NaN", "{", "]", ",", '"a":1,', "9" * 5000, "\x00"])) + text[place:]
    depth = draw(st.sampled_from([30, 70, 2000, 100_000])) if how == "nest" else 0
    return text if not depth else text.replace("{", '{"name":' + "[" * depth + "]" * depth + ",", 1)


@st.composite
def safetensors_files(draw: Any, good: bytes) -> bytes:
    """A file of ours with changes in its header, its length or its bytes."""
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    metadata = header.pop("__metadata__")
    what = draw(st.sampled_from(["header", "metadata", "network", "bytes", "length"]))
    if what == "bytes":
        content = bytearray(good)
        for _ in range(draw(st.integers(1, 8))):
            content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)
    if what == "header":
        header = changed(draw, header)
    elif what == "metadata":
        metadata = {**metadata, draw(st.sampled_from(sorted(metadata))): draw(texts)}
    elif what == "network":
        metadata = {**metadata, "network": json.dumps(changed(draw, json.loads(metadata["network"])))}
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    claimed = draw(st.sampled_from([0, 8, 2**20, 2**40, 2**63])) if what == "length" else len(text)
    return claimed.to_bytes(8, "little") + text + good[8 + length :]


@st.composite
def torch_files(draw: Any, good: bytes) -> bytes:
    """A checkpoint with changed bytes."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 6))):
        content[draw(st.integers(0, min(len(content), 4000) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


def outcome(ask: Callable[[], Any]) -> Any:
    """What is answered, or None where it is refused in one line that can be printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ask()
        except ValueError as error:
            said = str(error)
            assert said and said.isprintable() and len(said) < 2_000, said
            return None


def peak_bytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def of_network(text: str) -> None:
    found = outcome(lambda: Network.from_json(text))
    if found is not None:
        assert isinstance(found, Network) and Network.from_json(found.to_json()) == found
        assert cost(found).macs > 0 and str(found)


def of_weights(folder: Path, name: str, content: bytes) -> None:
    file = folder / name
    file.write_bytes(content)
    found = outcome(lambda: load_model(file))
    assert found is None or isinstance(found, Weights)
    assert [one.name for one in folder.iterdir()] == [name] and file.read_bytes() == content


@pytest.fixture(scope="module")
def own_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("own") / "weights.safetensors"
    save_weights(file, build(TINY, seed=1), ["a", "b", "c"], {"mean": [0.5] * 3, "std": [0.25] * 3})
    return file.read_bytes()


@pytest.fixture(scope="module")
def torch_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("torch") / "x.pth"
    few = dict(list(named_as(TIMM, smallest()).items())[:12])
    torch.save({"state_dict": few, "epoch": 1}, file)
    return file.read_bytes()


def tried(examples: int, strategy: st.SearchStrategy[Any], ask: Callable[[Any], None]) -> None:
    """Ask of so many drawn values, and bound what all of them together took."""
    before = peak_bytes()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def run(drawn: Any) -> None:
        ask(drawn)

    run()
    assert peak_bytes() - before < MOST_BYTES


def test_networks() -> None:
    tried(QUICK, network_texts(), of_network)


def test_headers_of_safetensors(own_file: bytes, tmp_path: Path) -> None:
    tried(QUICK, safetensors_files(own_file), lambda content: of_weights(tmp_path, "x.safetensors", content))


def test_bytes_of_checkpoints(torch_file: bytes, tmp_path: Path) -> None:
    tried(40, torch_files(torch_file), lambda content: of_weights(tmp_path, "x.pth", content))


@pytest.mark.slow
def test_many_networks() -> None:
    tried(MANY, network_texts(), of_network)


@pytest.mark.slow
def test_many_headers_of_safetensors(own_file: bytes, tmp_path: Path) -> None:
    tried(MANY, safetensors_files(own_file), lambda content: of_weights(tmp_path, "x.safetensors", content))


@pytest.mark.slow
def test_many_bytes_of_checkpoints(torch_file: bytes, tmp_path: Path) -> None:
    tried(MANY // 3, torch_files(torch_file), lambda content: of_weights(tmp_path, "x.pth", content))
