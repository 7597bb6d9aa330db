"""Pictures that can be read: names that all stand by their points, marks that are told apart without colour."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from matplotlib.text import Annotation
from support.compared import ALONE, compared
from support.legible import unreadable

from budgetnet.draw.figures import Place
from budgetnet.draw.intervals import accuracy_svg
from budgetnet.draw.labels import FAR, Label, label_points
from budgetnet.draw.style import house_style
from budgetnet.draw.svg import new_figure
from budgetnet.experiments.compare.curves import curves_svg
from budgetnet.experiments.compare.pictures import pareto_svg
from budgetnet.experiments.compare.result import Compared
from budgetnet.inspect.explain.figures import SHEET_PX, MapColumn, SheetHead, SheetTile, maps_figure, sheet_figure
from budgetnet.inspect.zoo_picture import FIRST

ROOT = Path(__file__).resolve().parents[1]
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    """What a picture says, text by text."""
    return [
        "".join(one.itertext()) for one in ElementTree.fromstring(svg).iter() if one.tag.rpartition("}")[2] == "text"
    ]


@settings(max_examples=20, deadline=None)
@given(places=some.lists(some.tuples(some.floats(0, 1), some.floats(0, 1)), min_size=1, max_size=14, unique=True))
def test_labels_stand_inside_and_never_on_one_another(places: list[tuple[float, float]]) -> None:
    with house_style():
        figure = new_figure(500, 400)
        axes = Place(20, 20, 460, 360).on(figure)
        axes.set_xlim(-0.1, 1.1)
        axes.set_ylim(-0.1, 1.1)
        missing = label_points(axes, [Label(x, y, f"name {k}") for k, (x, y) in enumerate(places)])
    written = [one for one in axes.texts if isinstance(one, Annotation)]
    assert len(written) + len(missing) == len(places)
    boxes = [one.get_window_extent() for one in written]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    points = axes.transData.transform(places).tolist()
    for box, (x, y) in ((box, point) for box in boxes for point in points):
        assert not (box.x0 < x < box.x1 and box.y0 < y < box.y1), "a point is covered"
    inside = axes.bbox
    assert all(inside.x0 <= box.x0 + 1 and box.x1 <= inside.x1 + 1 for box in boxes)


def test_a_lone_label_stands_beside_its_point_without_a_leader() -> None:
    with house_style():
        axes = Place(20, 20, 460, 360).on(new_figure(500, 400))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        assert label_points(axes, [Label(0.5, 0.5, "alone")]) == ()
        assert not axes.lines
        # Points all around: it goes further off, and a line says whose it is.
        crowd = [(0.5 + x / 20, 0.5 + y / 20) for x in range(-1, 2) for y in range(-1, 2) if x or y]
        assert label_points(axes, [Label(0.5, 0.5, "in a crowd")], points=crowd) == ()
        assert len(axes.lines) == 1
        assert label_points(axes, [Label(0.5, 0.5, "in a crowd", reach=min(FAR) - 1)], points=crowd) == ("in a crowd",)


def test_the_zoo_names_what_people_look_for(tmp_path: Path) -> None:
    from budgetnet import cost, names, network
    from budgetnet.cli.pricing import listed, plot_networks

    rows = listed([(one, cost(one)) for one in map(network, names())])
    plot_networks(rows, tmp_path / "zoo.svg")
    said = texts((tmp_path / "zoo.svg").read_text(encoding="utf-8"))
    assert set(FIRST) <= set(said)
    assert {row.network.name for row in rows if row.pareto} <= set(said), "all of the front"
    assert any("logarithmic" in text for text in said)


def row(name: str, accuracy: float, macs: int) -> Compared:
    """A network of a comparison, without milliseconds."""
    disturbed = dataclasses.replace(ALONE, latency_ms=None, alone=False)
    return compared(name, accuracy, macs=macs, params=macs // 30, peak_bytes=macs // 8, measurement=disturbed)


@pytest.mark.parametrize("width_px", [360, 880])
def test_points_of_the_costs_have_numbers_and_the_names_stand_once(width_px: int) -> None:
    networks = [row(f"network_{k}", 0.5 + 0.002 * k, 1_000_000 + 3_000 * k) for k in range(14)]
    said = texts(pareto_svg(networks, width_px, ""))
    for number, one in enumerate(reversed(networks), start=1):
        assert said.count(one.label) == 1
        assert said.count(f"{number}") == 4, "in each of three panels, and in the key"


def test_compound_is_the_curve_in_colour() -> None:
    costs = [[row("depth", 0.72, macs), row("compound", 0.7, macs)] for macs in (1_000_000, 2_000_000)]
    assert name_colours(curves_svg(costs, 880, "")) == {"compound": "accent", "depth": "ink"}
    others = [[row("b0", 0.72, macs), row("v2", 0.7, macs)] for macs in (1_000_000, 2_000_000)]
    assert name_colours(curves_svg(others, 880, "")) == {"b0": "accent", "v2": "ink"}, "the best at the largest cost"


def name_colours(svg: str) -> dict[str, str]:
    """The colour of each network's name."""
    found = {"".join(one.itertext()): one.attrib["style"] for one in ElementTree.fromstring(svg).iter("text")}
    names = {text: style for text, style in found.items() if text in ("compound", "depth", "b0", "v2")}
    return {text: style.partition("var(--")[2].partition(")")[0] or "ink" for text, style in names.items()}


def test_seeds_leave_the_mean_free_and_a_key_says_what_is_what() -> None:
    said = texts(accuracy_svg([row("one", 0.7, 1_000_000).mean, row("two", 0.6, 1_000_000).mean], 880, ""))
    assert {"mean of its seeds", "95 % interval", "a seed"} <= set(said)


def test_a_sheet_names_its_networks_with_what_they_cost_and_reach_and_has_one_ramp() -> None:
    tile = SheetTile(np.zeros((40, 60, 3), np.uint8), "cat", "right, 90.0 %", wrong=False)
    heads = [SheetHead("image"), *(SheetHead(f"net {k}", (f"{k} M MACs", f"test {k} %")) for k in range(5))]
    figure = sheet_figure([[[tile] * 6], [[tile] * 6]], heads)
    said = [text.get_text() for text in figure.texts]
    assert {f"net {k}" for k in range(5)} | {f"{k} M MACs" for k in range(5)} <= set(said)
    assert said.count("0") == 1 and sum("half" in text for text in said) == 1
    assert figure.get_figwidth() * figure.dpi <= SHEET_PX, "shown as wide as it is, its text stays large"
    assert min(float(text.get_fontsize()) for text in figure.texts) >= 12


def test_heads_of_maps_stand_beside_one_another_also_of_large_maps() -> None:
    cells = np.zeros((8, 8), np.float32)
    columns = [
        MapColumn(f"stage {k}", "112\N{MULTIPLICATION SIGN}112, 1280 ch.", (cells,), (((0, cells),),)) for k in range(7)
    ]
    figure = maps_figure(np.zeros((8, 8, 3), np.uint8), columns, ["one"])
    boxes = [text.get_window_extent() for text in figure.texts]
    assert not [(one, other) for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)]


@pytest.fixture(scope="module")
def walls() -> Iterator[ModuleType]:
    """bench/walls.py, as its command finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("bench.walls")


@pytest.fixture(scope="module")
def shown(walls: ModuleType) -> Any:
    return walls.walls()


@pytest.mark.slow
def test_the_picture_of_the_walls_is_what_its_command_draws(walls: ModuleType, shown: Any) -> None:
    kept = (ROOT / "docs" / "walls.svg").read_text(encoding="utf-8")
    assert texts(walls.drawing(shown)) == texts(kept), "run python -m bench.walls docs/walls.svg again"
    assert "prefers-color-scheme: dark" in kept


@pytest.mark.slow
def test_dials_stop_at_walls_and_lead_from_the_best_of_them_to_the_joint_network(walls: ModuleType, shown: Any) -> None:
    assert shown.tracks and shown.outside
    for track in shown.tracks:
        assert all(max(used) <= 1 for used in track.kept) and max(track.beyond) > 1
        assert track.macs < shown.joint_macs
    best = max(shown.tracks, key=lambda track: track.macs)
    assert best.kept[-1] == shown.turns[0].start and shown.turns[-1].end == shown.joint
    assert all(first.end == second.start for first, second in itertools.pairwise(shown.turns))
    assert min(shown.joint) > 0.95, "the corner"
    assert unreadable(walls.picture(shown)) == []
