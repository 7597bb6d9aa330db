"""Descriptions have bounds, named where they are broken, and the largest that keeps them is priced in seconds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path as File
from typing import Any

import pytest

from budgetnet import Budget, cost, fit, network, scale
from budgetnet.budgets.path import MOST_PHI, Path
from budgetnet.budgets.search_space import Space, default_space
from budgetnet.cli import main
from budgetnet.costs.training_memory import train_bytes
from budgetnet.networks import MOST_BLOCKS, MOST_CHANNELS, MOST_CLASSES, MOST_PX, MOST_STAGES, Network, Squeeze, Stage
from budgetnet.networks.scaling import Coefficients

B0 = network("efficientnet_b0")
ROW = json.loads(B0.to_json())
WIDEST = Stage(MOST_CHANNELS, MOST_BLOCKS // MOST_STAGES, kernel=255, expansion=1000.0, squeeze=Squeeze(1))
LARGEST = dataclasses.replace(
    B0,
    name="largest",
    resolution_px=MOST_PX,
    classes=MOST_CLASSES,
    stages=tuple(dataclasses.replace(WIDEST, channels=MOST_CHANNELS - place) for place in range(MOST_STAGES)),
)


def with_stage(**change: Any) -> dict[str, Any]:
    return {**ROW, "stages": [{**ROW["stages"][0], **change}]}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (with_stage(repeats=10**9), "stage repeats is 1000000000; it must be at most 10,000"),
        (with_stage(channels=10**30), "it must be at most 1,000,000"),
        (with_stage(channels=1e30), "it must be at most 1,000,000"),
        (with_stage(channels=10**300), "has an integer of 301 digits; 40 are the most"),
        (with_stage(kernel=257), "kernel is 257; it must be at most 255"),
        (with_stage(expansion=1e9), "expansion is 1000000000.0; it must be at least 1 and at most 1,000"),
        (with_stage(stride=True), "stride is True"),
        (with_stage(squeeze={"ratio": 0.5, "channel_multiple": 10**12}), "squeeze channel multiple is 1000000000000;"),
        ({**ROW, "stages": ROW["stages"][:1] * 300}, "network.stages has 300 rows; at most 256 are read"),
        (with_stage() | {"stages": [{**ROW["stages"][0], "repeats": 4000}] * 3}, "has 12,000 blocks; a network has at"),
        ({**ROW, "classes": 10**8}, "classes is 100000000; it must be at most 10,000,000"),
        ({**ROW, "in_channels": 10**5}, "input channels is 100000; it must be at most 10,000"),
        ({**ROW, "resolution_px": [224, 10**6]}, "width in pixels is 1000000; it must be at most 100,000"),
        ({**ROW, "norm": {"eps": 10**39}}, "both must be above 0 and at most 1"),
        ({**ROW, "name": "a\x1b[31mred"}, r"name is 'a\x1b[31mred', with characters that cannot be printed"),
        ({**ROW, "source": "two\nlines"}, r"source is 'two\nlines', with characters that cannot be printed"),
        ({**ROW, "name": "a" * 2000}, "a network's name has 2,000 characters; it must have at most 1,000"),
        ({**ROW, "\x1b[2J": 1}, r"network has no '\x1b[2J'"),
        ({**ROW, "head": [[[[[[[1]]]]]]] * 500}, "network.head must be an object, not a list of 500"),
        ({**ROW, "stem": {"channels": 8, "activation": {"kind": "swish", "beta": 1e9}}}, "beta is 1000000000.0"),
        ({**ROW, "classes": 10.5}, "classes is 10.5; it must be an integer"),
    ],
)
def test_a_file_beyond_the_bounds_is_one_line(row: Any, says: str) -> None:
    with pytest.raises(ValueError) as raised:
        Network.from_json(json.dumps(row))
    said = str(raised.value)
    assert says in said and said.isprintable() and len(said) < 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (B0.to_json().replace('"classes": 1000', '"classes": 1000, "classes": 10'), "has the key 'classes' twice"),
        ("[" * 100_000 + "]" * 100_000, "is nested deeper than 64 levels"),
        (B0.to_json().replace('"drop_path": 0.2', '"drop_path": NaN'), "has nan in drop_path, not a number"),
        ('"' + "a" * (5 << 20) + '"', "characters; a network file has at most 4,194,304"),
    ],
)
def test_a_text_that_is_no_plain_json_is_one_line(text: str, says: str, tmp_path: File, capsys: Any) -> None:
    with pytest.raises(ValueError, match=says):
        Network.from_json(text)
    (tmp_path / "net.json").write_text(text)
    assert main(["cost", str(tmp_path / "net.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"budgetnet: {tmp_path / 'net.json'}: ") and said.count("\n") == 1


def test_whole_numbers_may_be_written_as_floats() -> None:
    row = json.loads(B0.to_json(), parse_int=float)
    assert Network.from_json(json.dumps(row)) == B0
    assert all(type(stage.stride) is int for stage in Network.from_json(json.dumps(row)).stages)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_network_file_of_any_editor_is_read(encoding: str, tmp_path: File, capsys: Any) -> None:
    (tmp_path / "net.json").write_text(B0.to_json(), encoding=encoding)
    assert main(["cost", str(tmp_path / "net.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == cost(B0).params


def test_the_largest_description_is_priced_scaled_and_fitted() -> None:
    """Without a clock: what is counted is the distinct blocks, so the largest takes no longer than its stages."""
    assert Network.from_json(LARGEST.to_json()) == LARGEST
    assert cost(LARGEST, 256, "int8").peak_bytes > 10**15 and train_bytes(LARGEST, 256, "adamw", True) > 10**20
    assert f"{LARGEST.depth} blocks" in str(LARGEST)
    assert scale(LARGEST, -10).depth < LARGEST.depth
    with pytest.raises(ValueError, match=r"stage channels is .*; it must be at most 1,000,000"):
        scale(LARGEST, 5, "width")
    with pytest.raises(ValueError, match="no network on the compound path of largest keeps"):
        fit(LARGEST, Budget(macs=10**9, peak_activation_bytes=10**9, train_bytes=10**12))


def test_a_path_ends_at_the_bounds_and_says_so() -> None:
    deep = Path(B0, "depth")
    assert deep.last_phi < MOST_PHI and deep.at(deep.last_phi).depth <= MOST_BLOCKS
    assert "the next network has more than 10,000 blocks" in deep.end
    assert deep.after(deep.last_phi) is None
    wide = Path(B0, coefficients=Coefficients(1.0, 9_000.0, 1.0))
    assert "more than 1,000,000 channels" in wide.end and max(s.channels for s in wide.at(wide.last_phi).stages) > 10**4
    with pytest.raises(ValueError, match="a limit that would bind is macs"):
        fit(B0, Budget(macs=10**18), "depth")
    with pytest.raises(ValueError, match="none above 10,000"):
        Coefficients(1e300, 1.0, 1.0)


def test_a_million_classes_are_priced() -> None:
    assert cost(network("mobilenet_v3_small", classes=1_000_000)).params > 1_000_000_000
    with pytest.raises(ValueError, match="classes is 20000000; it must be at most 10,000,000"):
        network("mobilenet_v3_small", classes=20_000_000)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--classes", "99999999999"], "classes is 99999999999; it must be at most"),
        (["--resolution", "1000000"], "height in pixels is 1000000; it must be at most"),
    ],
)
def test_options_keep_the_bounds(options: list[str], says: str, capsys: Any) -> None:
    assert main(["cost", "mobilenet_v2", *options]) == 2
    assert says in capsys.readouterr().err


def test_repeats_count_as_one_by_one() -> None:
    """What is summed over distinct blocks is what it is block by block."""
    for name in ("mobilenet_v3_large", "efficientnet_b0", "resnet50", "mobilenet_v4_conv_small"):
        row = network(name)
        assert sum(conv.params for conv in row.convs()) == sum(conv.params * n for conv, n in row.distinct_convs())
        assert len(list(row.convs())) == sum(times for _, times in row.distinct_convs())


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([{"kernels": [3] * 40}], "kernels has 40 values; a factor has at most 32"),
        ([{"kernels": [[3]]}], r"kernels has \[3\]; each must be a single value"),
        ([{"layers": [10**9]}], "layers has 1000000000; each must be from -10000 to 10000"),
        (
            [{name: [1.0 + n / 9 for n in range(30)] for name in ("widths", "expansions")} | {"kernels": [1, 3, 5, 7]}],
            "a stage has .* choices; it has at most 20,000",
        ),
    ],
)
def test_spaces_have_bounds(stages: list[Any], says: str) -> None:
    row = json.loads(default_space(B0).to_json())
    with pytest.raises(ValueError, match=says):
        Space.from_json(json.dumps({**row, "stages": stages * 7}))
