"""Landscapes: functions against what is known of them, surfaces against ones whose roughness is known, the dead."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from support.formats import hold
from support.legible import unreadable
from support.page import Page
from support.photos import photos, run
from torch import nn

from budgetnet.cli import main
from budgetnet.codec import from_record
from budgetnet.draw.wording import MINUS
from budgetnet.inspect.landscape import (
    dead_units,
    functions_landscape,
    gain,
    output_landscape,
    plane,
    words,
    write_output,
    write_page,
)
from budgetnet.inspect.landscape import functions as known
from budgetnet.inspect.landscape.chart import measures_chart
from budgetnet.inspect.landscape.curves import function_cards, functions_sheet
from budgetnet.inspect.landscape.drawing import output_figures
from budgetnet.inspect.landscape.page import OUTPUT_FORMAT
from budgetnet.inspect.landscape.plane import MEASURES, OutputLandscape, OutputNumbers, Plane, Roughness
from budgetnet.model.layers import activation, activation_row
from budgetnet.networks import Activation, ActivationKind

__all__ = ["photos", "run"]  # fixtures

Capture = pytest.CaptureFixture[str]

KINDS = get_args(ActivationKind)
LAMBERT = 0.2784645427610738
"""W(1 / e), by the equation w e**w = 1 / e."""
NO_CHANGES = (np.zeros((41, 40), np.int64), np.zeros((40, 41), np.int64))


def small(*names: str, seeds: int = 2, size: int = 40, units: int = 32, layers: int = 4) -> OutputLandscape:
    return output_landscape(names, seeds=seeds, size=size, layers=layers, units=units)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_read_back(kind: ActivationKind) -> None:
    row = Activation(kind)
    assert known.parse(known.name_of(row)) == row == known.parse(kind.replace("_", "-").upper())


def test_a_name_may_have_its_beta() -> None:
    assert known.parse("swish:0.5") == Activation("swish", 0.5)
    assert known.name_of(Activation("swish", 0.5)) == "swish:0.5"
    assert known.title_of(Activation("swish", 0.5)) == "Swish β = 0.5"
    assert [known.name_of(row) for row in known.distinct(["relu", "swish", "swish:1", "relu"])] == ["relu", "swish"]


@pytest.mark.parametrize("name", ["mish", "relu:2", "swish:", "swish:wide", "swish:inf", ""])
def test_no_activation_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="choose from relu") as error:
        known.parse(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_is_known_by_its_row(kind: ActivationKind) -> None:
    assert activation_row(activation(kind)) == Activation(kind)
    assert activation_row(nn.Linear(1, 1)) is None


def test_a_trained_beta_is_what_it_is_now() -> None:
    module = activation(Activation("swish", 2.0, trainable=True))
    assert activation_row(module) == Activation("swish", 2.0, trainable=True)
    next(module.parameters()).data.fill_(0.5)
    assert activation_row(module) == Activation("swish", 0.5, trainable=True)


def test_the_gain_of_simple_functions_is_known() -> None:
    assert gain(Activation("relu")) == pytest.approx(math.sqrt(2), abs=1e-12)
    assert gain(Activation("identity")) == pytest.approx(1.0, abs=1e-12)
    assert gain(Activation("swish", 0.0)) == pytest.approx(2.0, abs=1e-12)
    assert gain(Activation("swish", 1e4)) == pytest.approx(math.sqrt(2), abs=1e-6)


@pytest.mark.parametrize("name", ["swish", "swish:0.3", "gelu", "tanh", "sigmoid"])
def test_the_gain_of_smooth_functions_by_another_quadrature(name: str) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    values, slopes = known.value_and_slope(known.parse(name), nodes)
    moment, slope = (float(weights @ array**2 / weights.sum()) for array in (values, slopes))
    assert gain(known.parse(name)) == pytest.approx(1 / math.sqrt(moment), rel=1e-7)
    assert known.slope_growth(known.parse(name)) == pytest.approx(slope / moment, rel=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gain_keeps_the_variance(kind: ActivationKind) -> None:
    torch.manual_seed(0)
    z = torch.randn(1_000_000, dtype=torch.float64)
    assert float((gain(Activation(kind)) * activation(kind)(z)).square().mean()) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_the_minimum_of_swish(beta: float) -> None:
    point = known.minimum(Activation("swish", beta))
    assert point is not None
    assert point.x == pytest.approx(-(1 + LAMBERT) / beta, rel=1e-9)
    assert point.value == pytest.approx(-LAMBERT / beta, rel=1e-12)


def test_the_minimum_of_others() -> None:
    assert known.minimum(Activation("hard_swish")) == known.Point(pytest.approx(-1.5), pytest.approx(-0.375))
    for kind in ("relu", "relu6", "tanh", "sigmoid", "identity"):
        assert known.minimum(Activation(kind)) is None
    assert known.minimum(Activation("swish", 0.0)) is None, "x / 2 has none"


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_jump_at_the_kinks_and_nowhere_else(kind: ActivationKind) -> None:
    x = np.arange(-8.0005, 8.0, 0.001)
    jumps = np.abs(np.diff(known.value_and_slope(Activation(kind), x)[1]))
    found = (x[:-1] + x[1:])[jumps > 0.05] / 2
    assert found == pytest.approx(np.array(known.KINKS.get(kind, ())), abs=1e-6)
    assert jumps[jumps <= 0.05].max() < 0.002


def test_facts() -> None:
    facts = {known.name_of(row.activation): row for row in functions_landscape()}
    assert facts["relu"].blocked_share == pytest.approx(0.5, abs=1e-9)
    assert facts["relu"].dead_intervals == ((-6.0, 0.0),)
    assert facts["hard_swish"].largest_slope == pytest.approx(1.5, abs=1e-6)
    assert facts["swish:0.1"].dead_intervals == (), "its minimum is further out"
    for name in ("swish", "swish:2", "swish:10"):
        row = facts[name]
        assert row.from_relu == pytest.approx(LAMBERT / row.activation.beta, abs=1e-5)
        assert row.largest_slope == pytest.approx(1.0998393, abs=1e-6)
    assert facts["swish:0.1"].from_half is not None and facts["swish:10"].from_half is not None
    assert facts["swish:0.1"].from_half < 1 < facts["swish:10"].from_half


@pytest.mark.parametrize("name", ["swish", "swish:10", "gelu", "hard_swish", "tanh"])
def test_the_blocked_share_is_that_of_normal_inputs(name: str) -> None:
    row = known.parse(name)
    z = np.random.default_rng(0).standard_normal(400_000)
    share = known.blocked(row, known.value_and_slope(row, z)[1]).mean()
    assert known.blocked_share(row) == pytest.approx(share, abs=0.002)


def measured(heights: np.ndarray, spacing: float) -> Roughness:
    return plane.measure(heights, *NO_CHANGES, spacing)


def test_the_roughness_of_known_surfaces() -> None:
    side = np.linspace(-1, 1, 41)
    x, y = np.meshgrid(side, side)
    slope = measured(3 * x + y, 0.05)
    assert slope.total_variation == pytest.approx((3 + 1) / 2)
    assert slope.bend == pytest.approx(0, abs=1e-9)
    bowl = measured(x**2 + 2 * y**2, 0.05)
    assert bowl.bend == pytest.approx((2 + 4) / 2) and bowl.largest_bend == pytest.approx(4)
    assert bowl.edge_growth == pytest.approx(1)
    assert slope.edge_growth == 1, "rounding grows, too, on a finer grid, and is not an edge"
    fold = measured(np.abs(x), 0.05)
    assert fold.bend == pytest.approx(0.5 * 2 / (39 * 0.05)), "the slope turns by 2, along rows only"
    assert fold.largest_bend == pytest.approx(2 / 0.05)
    assert fold.edge_growth == pytest.approx(math.sqrt(2), rel=0.02)
    assert fold.kink_share == fold.kinks_per_length == 0


def test_changes_are_counted_a_cell_and_a_length() -> None:
    across, down = (array.copy() for array in NO_CHANGES)
    across[7, 3] = 2
    found = plane.measure(np.random.default_rng(0).random((41, 41)), across, down, 0.5)
    assert found.kink_share == 2 / 1600, "the cells on both sides of the edge"
    assert found.kinks_per_length == pytest.approx(2 / (41 * 40) / 2 / 0.5)


def test_relu_has_edges_and_swish_has_none() -> None:
    found = small("relu", "swish", "hard_swish", "tanh", seeds=3, size=120)
    relu, swish, hard, tanh = (
        [getattr(row, name) for row in found.rows[i].roughness] for i in range(4) for name in ("edge_growth",)
    )
    assert min(relu) > 1.3 and max(swish + tanh) < 1.1 and min(hard) > 1.2
    bends = [[row.bend for row in one.roughness] for one in found.rows[:2]]
    assert all(a > 1.5 * b for a, b in zip(*bends, strict=True))
    shares = [one.spread("kink_share").mean for one in found.rows]
    assert shares[0] > 0.3 and shares[1] == shares[3] == 0 and 0 < shares[2] < 1


def test_the_same_arguments_give_the_same_numbers_and_another_seed_others() -> None:
    first, second = small("relu", "swish"), small("relu", "swish")
    assert first.numbers() == second.numbers()
    values = first.rows[1].spread("bend").values
    assert len(values) == 2 and values[0] != values[1]
    more = small("swish", seeds=3)
    assert more.rows[0].spread("bend").values[:2] == values, "a seed's numbers do not depend on what else is asked"


def test_heights_are_scaled() -> None:
    for row in small("relu", "tanh").rows:
        assert row.heights.shape == (41, 41)
        assert row.heights.mean() == pytest.approx(0, abs=1e-12) and row.heights.std() == pytest.approx(1)


def test_a_network_is_what_its_formula_says() -> None:
    """One point by hand, from the same normal numbers; x is the first input and runs along rows."""
    row, net = Activation("swish"), Plane(size=8, layers=2, units=3, extent=2.0)
    output, _, _ = plane.draw_network(row, 5, net)(torch.tensor([[[0.5, -1.0]]], dtype=torch.float64))
    generator = torch.Generator().manual_seed(5)
    normal = [
        torch.randn(shape, generator=generator, dtype=torch.float64).numpy()
        for shape in ((3, 2), (3,), (3, 3), (3,), (3,))
    ]
    z = normal[0] @ [0.5, -1.0] * math.sqrt(0.8 / 2) + normal[1] * math.sqrt(0.2)
    z = normal[2] @ (z / (1 + np.exp(-z))) * gain(row) * math.sqrt(0.8 / 3) + normal[3] * math.sqrt(0.2)
    assert float(output) == pytest.approx(float(normal[4] @ (z / (1 + np.exp(-z))) * gain(row) / math.sqrt(3)))
    heights, _, _ = plane.surface(row, 5, net)
    side = torch.linspace(-2, 2, 9, dtype=torch.float64)
    points = torch.stack([side, torch.full_like(side, side[2])], -1)
    line = plane.draw_network(row, 5, net)(points[None])[0][0].numpy()
    assert np.corrcoef(line, heights[2])[0, 1] == pytest.approx(1), "y stays along a row"


def test_parts_of_the_grid_make_the_whole() -> None:
    whole = plane.surface(Activation("relu"), 1, Plane(size=40, layers=3, units=16))
    parts = plane.surface(Activation("relu"), 1, Plane(size=40, layers=3, units=16), rows_at_once=7)
    assert np.allclose(whole[0], parts[0]) and (whole[1] == parts[1]).all() and (whole[2] == parts[2]).all()
    assert parts[0].shape == (41, 41) and parts[1].shape == (41, 40) and parts[2].shape == (40, 41)


def test_one_unit_has_one_line_of_kinks_and_hard_swish_two() -> None:
    for kind, most in (("relu", 1), ("hard_swish", 2)):
        _, across, down = plane.surface(Activation(kind), 3, Plane(size=40, layers=1, units=1, extent=20.0))
        assert across.sum(1).max() <= most and down.sum(0).max() <= most
        assert max(across.sum(1).max(), down.sum(0).max()) == most


def test_a_large_beta_is_relu() -> None:
    relu, swish = (row.heights for row in small("relu", "swish:1000", seeds=1).rows)
    assert np.abs(relu - swish).max() < 0.05


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"activations": ["mish"]}, "mish"),
        ({"activations": []}, "at least one activation"),
        ({"size": 31}, "even"),
        ({"size": 6}, "at least 8"),
        ({"seeds": 0}, "seeds"),
        ({"layers": 0}, "layers"),
        ({"units": 0}, "units"),
        ({"extent": 0.0}, "above 0"),
        ({"activations": ["relu"], "units": 1, "size": 20}, "same everywhere"),
    ],
)
def test_what_cannot_be_asked(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        output_landscape(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def one_layer(kind: str) -> nn.Sequential:
    """Units that are off, in use, and always on: weights 1, 1, 0 and biases -100, 0, 2."""
    linear = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([1.0, 1.0, 0.0]).reshape(3, 1, 1, 1))
        linear.bias.copy_(torch.tensor([-100.0, 0.0, 2.0]))  # type: ignore[union-attr]
    return nn.Sequential(linear, activation(known.parse(kind)))


@pytest.mark.parametrize("kind", ["relu", "swish", "hard_swish", "gelu"])
def test_dead_and_silent_units_are_counted_by_one_rule(kind: str) -> None:
    torch.manual_seed(0)
    (layer,) = dead_units(one_layer(kind), [torch.randn(4, 1, 5, 5)]).layers
    assert (layer.activation, layer.units, layer.dead, layer.silent) == (kind, 3, 1, 2)
    share = 0.5 if kind == "relu" else known.blocked_share(known.parse(kind))
    assert layer.blocked_share == pytest.approx((1 + share) / 3, abs=0.06)


def test_a_unit_that_wakes_once_is_not_dead() -> None:
    quiet, loud = torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    loud[1, 0, 2, 2] = 101.0
    model = one_layer("relu")
    assert dead_units(model, [quiet]).layers[0].dead == 2, "torch's slope at 0 is 0"
    assert dead_units(model, [quiet, loud]).layers[0].dead == 0
    assert dead_units(model, [quiet, loud]).images == 4


def test_batches_do_not_matter() -> None:
    torch.manual_seed(0)
    images = torch.randn(12, 1, 4, 4)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), activation("swish"), nn.Conv2d(8, 8, 1), activation("relu"))
    whole, parts = dead_units(model, [images]), dead_units(model, images.split(5))
    assert [row.name for row in whole.layers] == ["1", "3"]
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert (a.dead, a.silent) == (b.dead, b.silent) and a.blocked_share == pytest.approx(b.blocked_share)


def test_a_model_is_left_as_it_was() -> None:
    model = one_layer("relu").train()
    with torch.inference_mode():
        dead_units(model, [torch.randn(2, 1, 3, 3)])
    assert model.training and not model[1]._forward_hooks
    with pytest.raises(ValueError, match="at least one batch"):
        dead_units(model, [])
    with pytest.raises(ValueError, match="no activation"):
        dead_units(nn.Linear(1, 1), [torch.randn(2, 1)])
    assert model.training and not model[1]._forward_hooks


def test_kinds_are_sums_with_gates_last() -> None:
    model = nn.Sequential(activation("sigmoid"), activation("relu"), nn.Conv2d(3, 1, 1), activation("relu"))
    kinds = dead_units(model, [torch.randn(2, 3, 4, 4)]).kinds()
    assert [(row.activation, row.layers, row.units) for row in kinds] == [("relu", 2, 4), ("sigmoid", 1, 3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both parts, made by the commands."""
    place = tmp_path_factory.mktemp("landscape")
    shape = ["--seeds", "2", "--size", "16", "--units", "16", "--layers", "2"]
    assert main(["landscape", "output", "--activations", "relu", "swish,swish:0.5", *shape, "--out", str(place)]) == 0
    assert main(["landscape", "functions", "--activations", "relu", "swish", "--out", str(place)]) == 0
    return place


def test_both_parts_are_on_one_page_that_needs_nothing_else(folder: Path) -> None:
    text = (folder / "landscape.html").read_text(encoding="utf-8")
    page = Page(text)
    headings = [attributes["id"] for tag, attributes in page.tags if tag == "h2"]
    assert headings == ["output", "measures", "functions", "read"]
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", text) and "script" not in {tag for tag, _ in page.tags}
    assert all(value.startswith(("#", "data:")) for value in page.values("href") + page.values("xlink:href"))
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    row = json.loads((folder / "output.json").read_text())
    relu = row["activations"][0]["measures"]["bend"]
    assert f"{relu['mean']:.2f} ± {relu['deviation']:.2f}" in page.text
    verdict = words.verdict(from_record(OutputNumbers, row, OUTPUT_FORMAT, "output.json"))
    assert f"{MINUS}0.2785" in page.text and verdict and verdict in page.text


def test_files_hold_what_is_documented(folder: Path) -> None:
    hold(json.loads((folder / "output.json").read_text()), "OutputLandscape")
    hold(json.loads((folder / "functions.json").read_text()), "FunctionsLandscape")
    names = {path.name for path in folder.iterdir()}
    parts = {f"{part}{suffix}" for part in ("output", "functions") for suffix in ("", ".json", ".png", ".svg")}
    assert names == {"landscape.html", *parts}
    assert {path.stem for path in (folder / "output").iterdir()} >= {"relu", "swish", "swish-0.5"}


def test_the_same_command_makes_the_same_files(folder: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(folder.rglob("*.*"))}

    before = contents()
    assert main(["landscape", "functions", "--activations", "relu", "swish", "--out", str(folder)]) == 0
    assert contents() == before


def test_a_page_of_one_part(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["landscape", "functions", "--activations", "gelu", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "landscape functions --json")
    assert all(Path(file).is_file() for file in row["files"])
    headings = [
        attributes["id"] for tag, attributes in Page((tmp_path / "landscape.html").read_text()).tags if tag == "h2"
    ]
    assert headings == ["functions", "read"]


def test_a_part_of_another_version_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "output.json").write_text('{"format": "something.else"}')
    with pytest.raises(ValueError, match="landscape output again"):
        write_page(tmp_path)
    (tmp_path / "output.json").write_bytes((folder / "output.json").read_bytes())
    with pytest.raises(ValueError, match=r"relu\.svg.*output pictures again"):
        write_page(tmp_path)


@pytest.mark.slow
def test_the_pictures_can_be_read() -> None:
    facts = functions_landscape()
    landscape = small("relu", "swish", "hard_swish", "tanh", seeds=2, size=16)
    sheet, cards = output_figures(landscape)
    charts = {"wide": measures_chart(landscape, 900), "narrow": measures_chart(landscape, 350)}
    functions = {"functions": functions_sheet(facts, 6.0), **function_cards(facts, 6.0)}
    for name, figure in {"output": sheet, **cards, **charts, **functions}.items():
        assert not unreadable(figure), name


def test_relu6_is_drawn_to_its_end_and_slopes_are_dashed() -> None:
    tiles = function_cards(functions_landscape(("relu", "relu6")), 6.0)
    relu, relu6 = (tiles[name].axes[0] for name in ("relu", "relu6"))
    assert relu6.get_xlim()[1] >= 8 and relu6.get_ylim()[1] >= 7 and relu.get_ylim()[1] < 3
    *slopes, value = relu6.get_lines()
    assert all(line.is_dashed() for line in slopes) and not value.is_dashed()


def test_a_landscape_without_any_bend_can_be_drawn(tmp_path: Path) -> None:
    found = small("identity", seeds=1, size=16)
    assert found.rows[0].spread("bend").mean < 1e-9 and found.rows[0].spread("edge_growth").mean == 1
    assert all(path.stat().st_size for path in write_output(tmp_path, found))


def test_output_prints_its_numbers(tmp_path: Path, capsys: Capture) -> None:
    arguments = ["landscape", "output", "--activations", "relu", "tanh", "--seeds", "1", "--size", "8", "--units", "8"]
    assert main([*arguments, "--out", str(tmp_path / "new" / "one"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "landscape output --json")
    assert set(row["landscape"]["activations"][0]["measures"]) == set(MEASURES)
    assert row["landscape"]["activations"][0]["measures"]["bend"]["deviation"] is None
    arguments.remove("tanh")
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "one seed" in out and max(map(len, out.partition("\n\n")[0].splitlines())) <= 80
    assert f"{row['landscape']['activations'][0]['measures']['bend']['mean']:.2f}" in out


def test_dead_units_of_a_run(
    run: Path, photos: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ["landscape", "dead", str(run), str(run), "--data", str(photos), "--split", "train", "--images", "7"]
    assert main([*arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "landscape dead --json")
    assert row["runs"][0] == row["runs"][1] and row["runs"][0]["images"] == 7
    kinds = {kind["activation"]: kind for kind in row["runs"][0]["kinds"]}
    layers = row["runs"][0]["layers"]
    assert list(kinds) == ["hard_swish", "relu", "hard_sigmoid"]
    assert sum(layer["dead"] for layer in layers if layer["activation"] == "relu") == kinds["relu"]["dead"]
    assert main([*arguments, "--layers"]) == 0
    out = capsys.readouterr().out
    assert "stages.0.0.squeeze.inner" in out and out.count("mobilenet_v3_small") == 2
    assert max(map(len, out.splitlines())) <= 90


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["output", "--activations", "mish"], "mish"),
        (["output", "--size", "31"], "even"),
        (["output", "--out", "file"], "give a folder"),
        (["functions", "--extent", "-1"], "above 0"),
        (["functions", "--extent", "nan"], "not a finite number"),
        (["dead"], "landscape dead needs RUN"),
        (["dead", "nowhere"], "nowhere"),
        (["dead", "nowhere", "--images", "0"], "images is 0"),
        (["other"], "output, functions, dead, loss"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["landscape", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
