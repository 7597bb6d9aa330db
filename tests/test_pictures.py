"""Pictures that can be read: names that all stand by their points, marks that are told apart without colour."""

from __future__ import annotations

import itertools
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as some
from matplotlib.text import Annotation

from budgetnet.show.figures import Place
from budgetnet.show.labels import FAR, Label, label_points
from budgetnet.show.style import house_style
from budgetnet.show.svg import new_figure
from budgetnet.show.zoo import FIRST

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
    for box, (x, y) in itertools.product(boxes, axes.transData.transform(places).tolist()):
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
