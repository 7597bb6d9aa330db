"""The true space of coefficients: boxes that hold to the last bit, a draw that spreads, a file that comes back."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.formats import hold

from budgetnet import Network, adapt, network, scale
from budgetnet.budgets.coefficient_sample import corners, draw, shares
from budgetnet.budgets.coefficient_space import MEASURES, Interval, Measure, Region, Space, price, space
from budgetnet.budgets.coefficients_file import read_coefficients
from budgetnet.cli import main, show
from budgetnet.codec import to_plain
from budgetnet.experiments.race import race, survivors
from budgetnet.networks import RELU, Head, Rounding, Squeeze, Stage, Stem
from budgetnet.networks.scaling import PAPER, Coefficients, Scaling, integers

Capture = pytest.CaptureFixture[str]


@st.composite
def bases(draw_value: st.DrawFn) -> Network:
    """Small bases of every rounding: few stages, so that a space has hundreds of networks at most."""
    pick = draw_value
    count = pick(st.integers(1, 3))
    stages = [
        Stage(
            pick(st.integers(8, 40)),
            repeats=pick(st.integers(1, 4)),
            kernel=pick(st.sampled_from([3, 5])),
            stride=pick(st.sampled_from([1, 2])),
            expansion=pick(st.sampled_from([1.0, 4.0])),
            squeeze=pick(st.sampled_from([None, Squeeze(0.25)])),
            activation=RELU,
        )
        for _ in range(count)
    ]
    rounding = Rounding(
        depth=pick(st.sampled_from(["up", "nearest"])),
        keeps_end_repeats=pick(st.booleans()),
        stem=pick(st.sampled_from(["scaled", "kept"])),
        head=pick(st.sampled_from(["scaled", "kept", "grows"])),
    )
    side = pick(st.sampled_from([16, 24, 32, 33]))
    head = Head(pick(st.sampled_from([None, 32, 100])), activation=RELU)
    return Network("drawn", Stem(8, activation=RELU), tuple(stages), head, (side, side), rounding=rounding)


def points_of(region: Region) -> list[tuple[float, float, float]]:
    """The box's corners, to the last number inside, and its middle."""
    ends = [(side.low, side.last) for side in region.sides]
    return [*itertools.product(*ends), tuple(side.middle for side in region.sides)]


@pytest.mark.slow
@settings(max_examples=12)
@given(bases(), st.sampled_from([1.5, 2.0, 3.0]), st.sampled_from(MEASURES))
def test_all_of_a_box_gives_its_network_and_what_lies_next_to_it_another(
    base: Network, growth: float, measure: Measure
) -> None:
    found = spaces(base, growth, 0.2, measure)
    if found is None:
        return
    networks = [row.network for row in found.candidates]
    assert len(set(networks)) == len(networks), "each once"
    for row in found.candidates[:: max(1, len(networks) // 12)]:
        assert scale(base, 1.0, coefficients=row.coefficients) == row.network
        assert row.coefficients in row.region
        assert row.cost == price(row.network, measure)
        assert abs(row.cost / found.base_cost / growth - 1) <= 0.2 + 1e-12
        here = integers(row.network, Scaling())
        for deep, wide, large in points_of(row.region):
            assert integers(base, Scaling(deep, wide, large)) == here
        beyond(base, row.region)


def spaces(base: Network, growth: float, tolerance: float, measure: Measure) -> Space | None:
    """The space, or None with the line that says how far the nearest is."""
    try:
        return space(base, growth, tolerance, measure)
    except ValueError as error:
        assert "give a" in str(error) and "\n" not in str(error)
        return None


def beyond(base: Network, region: Region) -> None:
    """One number further on either side of any interval the integers are others."""
    start = [side.low for side in region.sides]
    here = integers(base, Scaling(*start))
    for place, side in enumerate(region.sides):
        for value in (math.nextafter(side.low, 0.0), side.high):
            if 1.0 <= value < 2.0**10:
                other = [value if index == place else factor for index, factor in enumerate(start)]
                assert integers(base, Scaling(*other)) != here


@pytest.mark.slow
@settings(max_examples=15)
@given(bases(), st.data())
def test_no_network_is_missing(base: Network, data: st.DataObject) -> None:
    found = spaces(base, 2.0, 0.25, "macs")
    if found is None:
        return
    known = {integers(row.network, Scaling()) for row in found.candidates}
    factor = st.floats(1.0, 2.5)
    for _ in range(60):
        point = Scaling(*(data.draw(factor) if data.draw(st.booleans()) else 1.0 for _ in range(3)))
        if point == Scaling():
            continue
        cost = price(scale(base, 1.0, coefficients=Coefficients(point.depth, point.width, point.resolution)), "macs")
        within = 1.5 <= cost / found.base_cost <= 2.5
        here = integers(base, point)
        assert (here in known) == within or here == integers(base, Scaling())


@given(st.lists(st.tuples(st.floats(1.0, 3.0), st.floats(1.001, 1.5)), min_size=3, max_size=3), st.floats(1.05, 16.0))
def test_a_box_speaks_by_its_point_nearest_to_the_growth(sides: list[tuple[float, float]], growth: float) -> None:
    region = Region(*(Interval(low, low * wide) for low, wide in sides))
    found = region.nearest_to(growth)
    assert found in region
    least, most = (
        math.prod(end**power for end, power in zip(ends, (1, 2, 2), strict=True))
        for ends in ([side.low for side in region.sides], [side.last for side in region.sides])
    )
    assert found.growth == pytest.approx(min(max(growth, least), most), rel=1e-9)


@pytest.mark.slow
def test_the_doubling_of_b0_at_112_px() -> None:
    base = adapt(network("efficientnet_b0"), 112)
    found = space(base, 2.0, 0.05)
    assert len(found.candidates) == 681
    exact = [row for row in found.candidates if row.coefficients.alpha == 1.0]
    assert exact, "a depth of exactly 1 is a point of its own: just above, every stage has a block more"
    assert all(row.network.depth == base.depth for row in exact)
    assert min(row.network.depth for row in found.candidates if row.coefficients.alpha > 1.0) == base.depth + 7
    drawn = draw(found)
    assert len(drawn.candidates) == 24 and len({row.network for row in drawn.candidates}) == 24
    first = drawn.candidates[0]
    assert 1.0 < first.coefficients.alpha < 1.25, "the paper's: all three grow"
    assert "24 of the 681 networks" in drawn.how and drawn == draw(found)
    places = [shares(row.coefficients) for row in drawn.candidates]
    far = max(min(math.dist(shares(row.coefficients), place) for place in places) for row in found.candidates)
    assert drawn.farthest == pytest.approx(far)
    assert all(math.dist(one, other) >= far for one, other in itertools.combinations(places, 2)), "as far as the rest"


def test_the_papers_ray_is_met_where_a_box_lies_on_it() -> None:
    base = adapt(network("mobilenet_v2"), 64)
    found = space(base, 2.0, 0.1)
    first = draw(found, 2).candidates[0]
    powers = [place / 1000 for place in range(2000)]
    ray = [Scaling(PAPER.alpha**at, PAPER.beta**at, PAPER.gamma**at) for at in powers]
    met = {integers(base, point) for point in ray}
    rows = [row for row in found.candidates if integers(row.network, Scaling()) in met]
    assert not rows or integers(first.network, Scaling()) in met


@given(bases())
@settings(max_examples=10)
def test_the_triangle_holds_every_network_and_its_box(base: Network) -> None:
    found = spaces(base, 2.0, 0.3, "macs")
    for row in found.candidates[:20] if found else ():
        for place in (shares(row.coefficients), *corners(row.region)):
            assert sum(place) == pytest.approx(1.0) and min(place) >= 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"growth": 1.0}, "growth is 1.0; it must be above 1"),
        ({"growth": 17.0}, "at most 16"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"measure": "params"}, "choose one of macs, activations, peak_bytes"),
        ({"tolerance": 1e-6}, r"the nearest has \d[\d,]*, [12]\.\d+ times; give a tolerance of [\d.]+%"),
    ],
)
def test_bad_spaces_are_one_line(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        space(adapt(network("mobilenet_v1"), 64), **options)
    assert "\n" not in str(caught.value)


def test_the_tolerance_that_is_named_is_enough() -> None:
    base = adapt(network("mobilenet_v1"), 64)
    with pytest.raises(ValueError, match="give a tolerance") as caught:
        space(base, 2.0, 1e-6)
    needed = float(str(caught.value).split()[-1].removesuffix("%")) / 100
    assert space(base, 2.0, needed).candidates


def test_largest_px_ends_the_space() -> None:
    base = adapt(network("efficientnet_b0"), 64)
    assert all(row.network.resolution_px[0] <= 70 for row in space(base, 2.0, 0.05, largest_px=70).candidates)
    assert any(row.network.resolution_px[0] > 70 for row in space(base, 2.0, 0.05).candidates)


def test_a_race_may_end_with_up_to_four() -> None:
    assert survivors(24, 4) == (24, 12, 6, 3) and survivors(8, 4) == (8, 4) and survivors(3, 4) == (3,)
    assert survivors(24) == (24, 12, 6, 3, 2)
    names = [f"n{place}" for place in range(9)]
    last = race(names, lambda rung, going: {name: float(name[1:]) for name in going}, survivors(9, 4), "n0")[-1]
    assert set(last) == {"n0", "n8", "n7", "n6"}
    with pytest.raises(ValueError, match="at least two"):
        survivors(4, 1)


GOOD = {"format": "budgetnet.coefficients.v1", "alpha": 1.3, "beta": 1.05, "gamma": 1.1}


def test_scale_and_fit_take_the_file_without_torch(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "coefficients.json"
    file.write_text(json.dumps(GOOD), encoding="utf-8")
    for given_as in (file, tmp_path):
        for command in (["scale", "mobilenet_v2"], ["fit", "mobilenet_v2", "--macs", "100M"]):
            assert main([*command, "--coefficients", str(given_as), "--json"]) == 0
            by_file = capsys.readouterr().out
            assert main([*command, "--coefficients", "1.3,1.05,1.1", "--json"]) == 0
            assert capsys.readouterr().out == by_file
    program = (
        "import sys; from budgetnet.cli import main; "
        f"code = main(['scale', 'mobilenet_v2', '--coefficients', {str(file)!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "is not JSON"),
        ("[1, 2]", "holds no coefficients: its format is None"),
        (
            json.dumps({**GOOD, "format": "budgetnet.plan.v2"}),
            "holds no coefficients: its format is 'budgetnet.plan.v2'",
        ),
        (json.dumps({**GOOD, "alpha": 0.5}), "is damaged: alpha, beta, gamma are"),
        (json.dumps({name: GOOD[name] for name in GOOD if name != "gamma"}), "is damaged: it has no 'gamma'"),
        (json.dumps({**GOOD, "beta": None}), "is damaged"),
    ],
)
def test_a_damaged_file_is_one_line(text: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "coefficients.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_coefficients(file)
    assert main(["scale", "mobilenet_v2", "--coefficients", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_absent_file_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    for given_as in (tmp_path / "none.json", "none"):
        assert main(["scale", "mobilenet_v2", "--coefficients", str(given_as)]) == 2
        assert "is neither alpha,beta,gamma nor a file" in capsys.readouterr().err
    assert main(["scale", "mobilenet_v2", "--coefficients", "1,2"]) == 2
    assert main(["scale", "mobilenet_v2", "--coefficients", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.slow
def test_the_space_is_listed_without_torch(capsys: Capture) -> None:
    command = ["search", "space", "mobilenet_v2", "--resolution", "64", "--tolerance", "2%"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    hold(found, "search space --json")
    assert len(found["candidates"]) == 24 < found["networks"]
    assert main([*command, "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["candidates"]) == found["networks"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert f"24 of the {found['networks']} networks within 2 %" in " ".join(shown.split())
    program = f"import sys; from budgetnet.cli import main; sys.exit(main({command!r}) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("given_as", ["5", "x", "%"])
def test_a_tolerance_that_is_none_is_one_line(given_as: str, capsys: Capture) -> None:
    assert main(["search", "space", "mobilenet_v2", "--tolerance", given_as]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_base_keeps_what_scaling_does_not_change() -> None:
    base = dataclasses.replace(adapt(network("efficientnet_b0"), 32, 2), classes=10)
    for row in space(base, 2.0, 0.02).candidates:
        assert row.network.classes == 10
        assert [stage.stride for stage in row.network.stages] == [stage.stride for stage in base.stages]


def test_intervals_are_printed_as_files_have_them() -> None:
    region = Region(Interval(1.0, 1.5), Interval(1.0, 1.25), Interval(1.1, 1.2))
    assert show.plain(region) == to_plain(region) == {"alpha": [1.0, 1.5], "beta": [1.0, 1.25], "gamma": [1.1, 1.2]}
