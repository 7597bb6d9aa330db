"""The loss around trained weights: directions and curvature against what is known, twins, a kill, bad input."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.formats import hold
from support.killed import kill_when
from support.legible import texts_of, unreadable
from support.page import Page
from support.photos import CLASSES, photos
from support.quick import quick_for
from torch import nn
from torch.nn import functional

import budgetnet
from budgetnet.answers.evaluate import evaluate
from budgetnet.cli import main
from budgetnet.codec import from_record
from budgetnet.data import default_preprocessing
from budgetnet.draw.wording import MINUS
from budgetnet.inspect.landscape import LossLandscape, loss_landscape, write_loss
from budgetnet.inspect.landscape.loss import command
from budgetnet.inspect.landscape.loss import words as loss_words
from budgetnet.inspect.landscape.loss.charts import chart_figures
from budgetnet.inspect.landscape.loss.curvature import hessian_product, largest_eigenvalue, parameter_count
from budgetnet.inspect.landscape.loss.drawing import Levels, heights, loss_figures
from budgetnet.inspect.landscape.loss.part import LOSS_FORMAT
from budgetnet.inspect.landscape.loss.subjects import open_subjects
from budgetnet.inspect.landscape.loss.values import Around, Eigenvalue, RunLoss, landscape_of, rise_of
from budgetnet.inspect.landscape.loss.weights import Probe, direction, fingerprint, kept, moving
from budgetnet.model.build import build
from budgetnet.model.layers import activation
from budgetnet.model.weights import save_weights
from budgetnet.networks import Activation, Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.files import read_events

__all__ = ["photos"]  # a fixture

Capture = pytest.CaptureFixture[str]

SMALL = Around(size=5, images=7, draws=3)
FLAGS = ["--size", "5", "--images", "7", "--draws", "3"]


def network(kind: str, trainable: bool = False) -> Network:
    """A small network with one activation throughout."""
    row = Activation(kind, 1.0, trainable)  # type: ignore[arg-type]
    base = budgetnet.network("mobilenet_v3_small", classes=len(CLASSES), resolution_px=32)
    stages = tuple(
        dataclasses.replace(
            stage,
            repeats=1,
            activation=row,
            squeeze=stage.squeeze and dataclasses.replace(stage.squeeze, inner=row),
        )
        for stage in base.stages[:2]
    )
    stem, head = (dataclasses.replace(part, activation=row) for part in (base.stem, base.head))
    head = dataclasses.replace(head, channels=32, hidden=None)
    return dataclasses.replace(base, name=f"small {kind}", stem=stem, stages=stages, head=head)


def save(folder: Path, row: Network, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    model = build(row, seed=seed)
    for module in model.modules():  # as trained: statistics that are not those of the start
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    save_weights(folder / "weights.safetensors", model, CLASSES, dataclasses.asdict(default_preprocessing(3)))
    (folder / "network.json").write_text(row.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Twins, one with betas to be trained, and a network of another width."""
    place = tmp_path_factory.mktemp("runs")
    rows = {"relu": network("relu"), "swish": network("swish"), "beta": network("swish", trainable=True)}
    wide = network("relu")
    rows["wide"] = dataclasses.replace(wide, stem=dataclasses.replace(wide.stem, channels=24))
    return {name: str(save(place / name, row)) for name, row in rows.items()}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def landscape(
    folder: Path, names: list[str], photos: Path, around: Around = SMALL, progress: Progress | None = None
) -> LossLandscape:
    return loss_landscape(names, folder, photos, around=around, progress=progress)


def tiny(kind: str, seed: int = 0) -> Probe:
    """Convolution, BatchNorm, activation, depthwise convolution, pooling, linear, in two batches."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        activation(Activation(kind)),  # type: ignore[arg-type]
        nn.Conv2d(3, 3, 3, groups=3),
        activation(Activation(kind)),  # type: ignore[arg-type]
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 4),
    ).eval()
    inputs, labels = 2 * torch.randn(10, 1, 6, 6), torch.randint(0, 4, (10,))
    return Probe(model, ((inputs[:4], labels[:4]), (inputs[4:], labels[4:])))


def exact_hessian(probe: Probe) -> torch.Tensor:
    """By torch, from one function of all parameters; the hard sigmoid written out, as torch has no second one."""
    names = [name for name, _ in probe.model.named_parameters()]
    shapes = [one.shape for one in probe.model.parameters()]
    inputs, labels = (torch.cat(parts) for parts in zip(*probe.batches, strict=True))
    start = torch.cat([one.detach().reshape(-1) for one in probe.model.parameters()])

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        values = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return functional.cross_entropy(torch.func.functional_call(probe.model, values, (inputs,)), labels)

    hessian = torch.autograd.functional.hessian(loss, start)
    assert isinstance(hessian, torch.Tensor)
    return hessian


@pytest.mark.parametrize(
    "kind",
    quick_for(("relu", "relu6", "swish", "gelu", "tanh", "sigmoid", "hard_swish"), ("relu", "swish", "hard_swish")),
)
def test_the_eigenvalue_is_that_of_the_exact_hessian(kind: str) -> None:
    probe = tiny(kind)
    exact = exact_hessian(probe)
    count = parameter_count(probe.model)
    vector = torch.randn(count)
    assert hessian_product(probe, vector).numpy() == pytest.approx((exact @ vector).numpy(), abs=1e-4)
    found = largest_eigenvalue(lambda v: hessian_product(probe, v), count)
    values = np.linalg.eigvalsh(exact.double().numpy())
    assert found.converged and found.value == pytest.approx(values[-1], rel=2e-3)
    assert np.abs(values - found.value).min() <= found.residual + 1e-4 * abs(found.value)


def test_hard_sigmoids_have_a_second_derivative_and_are_left_as_they_were() -> None:
    probe = tiny("hard_sigmoid")
    count = parameter_count(probe.model)
    vector = torch.randn(count)
    before = probe.loss()
    product = hessian_product(probe, vector)
    assert probe.loss() == before
    assert not any("forward" in vars(module) for module in probe.model.modules())
    for name, module in list(probe.model.named_children()):
        if isinstance(module, nn.Hardsigmoid):
            probe.model.register_module(name, nn.Sequential(Plus3(), nn.ReLU6(), Sixth()))
    assert product.numpy() == pytest.approx((exact_hessian(probe) @ vector).numpy(), abs=1e-4)


class Plus3(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 3


class Sixth(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 6


def spectrum(values: list[float]) -> torch.Tensor:
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=torch.Generator().manual_seed(3)))
    return basis @ torch.diag(torch.tensor(values, dtype=torch.float32)) @ basis.T


def test_a_large_negative_eigenvalue_is_no_trap() -> None:
    matrix = spectrum([-100.0, *np.linspace(-5, 5, 60), 20.0])
    found = largest_eigenvalue(lambda v: matrix @ v, len(matrix))
    assert found.converged and found.value == pytest.approx(20.0, abs=0.2)


def test_a_small_largest_eigenvalue_is_found_beside_a_large_negative_one() -> None:
    spread = torch.cat([torch.tensor([-100.0, 1.0]), torch.linspace(-0.5, 0.5, 298)])
    turned = torch.linalg.qr(torch.randn(300, 300, generator=torch.Generator().manual_seed(0)))[0]
    matrix = turned @ torch.diag(spread) @ turned.T
    found = largest_eigenvalue(lambda v: matrix @ v, 300)
    assert found.converged and abs(found.value - 1.0) < 0.01, "an early stop would say 0 and call it near enough"


def test_what_did_not_converge_says_so_and_is_a_lower_bound() -> None:
    matrix = spectrum(list(np.linspace(0.0, 1.0, 200)))
    found = largest_eigenvalue(lambda v: matrix @ v, 200, tolerance=1e-6, most=5)
    assert not found.converged and found.products == 5 and 0 < found.value < 1.0
    assert found.residual > 1e-6
    exact = largest_eigenvalue(lambda v: matrix @ v, 200, tolerance=1e-3, most=200)
    assert exact.converged and exact.value == pytest.approx(1.0, abs=1e-3)


def test_a_matrix_of_few_eigenvalues_ends_early() -> None:
    matrix = spectrum([3.0] * 5 + [0.0] * 20)
    found = largest_eigenvalue(lambda v: matrix @ v, 25)
    assert found.converged and found.products <= 3 and found.value == pytest.approx(3.0, rel=1e-5)
    zero = largest_eigenvalue(lambda v: 0 * v, 25)
    assert (zero.value, zero.converged, zero.products) == (0.0, True, 1)


def test_curvature_that_is_no_number_is_one_line() -> None:
    with pytest.raises(ValueError, match="diverged"):
        largest_eigenvalue(lambda v: v * float("nan"), 5)


@pytest.mark.parametrize("index", [0, 5])
def test_each_filter_of_a_direction_is_as_long_as_the_models(index: int) -> None:
    model = build(network("swish", trainable=True), seed=1)
    along = direction(moving(model), 0, index)
    still = {name for name, one in model.named_parameters() if one.dim() <= 1}
    assert along.keys() == dict(model.named_parameters()).keys() - still
    assert any(name.endswith("norm.weight") for name in still) and any(name.endswith("beta") for name in still)
    assert any(name.endswith(".bias") for name in still)
    for name, weight in moving(model).items():
        ours, theirs = along[name].flatten(1), weight.detach().flatten(1)
        assert ours.norm(dim=1).numpy() == pytest.approx(theirs.norm(dim=1).numpy(), rel=1e-5)
        if weight.numel() > 1000:  # no copy of the weights, and no other sign of them
            assert abs(functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)) < 0.15


def test_a_filter_of_zeros_does_not_move() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight[0] = 0
    along = direction(moving(model), 0, 0)["0.weight"]
    assert along[0].tolist() == [0, 0, 0] and float(along[1].norm()) > 0


def test_twins_share_their_random_numbers_and_no_two_directions_do(runs: dict[str, str]) -> None:
    models = [build(network("relu"), seed=0), build(network("swish", trainable=True), seed=7)]
    first, second = (direction(moving(model), 3, 1) for model in models)
    assert first.keys() == second.keys()
    for name in first:
        one, other = (row[name].flatten(1) for row in (first, second))
        units = [part / part.norm(dim=1, keepdim=True) for part in (one, other)]
        assert torch.allclose(units[0], units[1], atol=1e-5)
        lengths = moving(models[1])[name].detach().flatten(1).norm(dim=1)
        assert torch.allclose(other.norm(dim=1), lengths, rtol=1e-4)
    same, another = (direction(moving(models[0]), 3, index) for index in (1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.allclose(first[name], another[name]) for name in first)


def test_a_model_is_put_back_bit_for_bit() -> None:
    probe = tiny("relu")
    before, loss = fingerprint(probe.model, ""), probe.loss()
    with kept(probe) as moved:
        along = moved.direction(0, 0)
        assert moved.loss_at([(0.0, along)]) == loss
        far = moved.loss_at([(1.0, along)])
        assert far != loss and fingerprint(probe.model, "") != before
        assert moved.loss_at([(1.0, along)]) == far, "steps are from the trained weights, not from the last place"
        again = moved.direction(0, 0)
        assert all(torch.equal(along[name], again[name]) for name in along), "directions have the trained norms"
    assert fingerprint(probe.model, "") == before


def test_the_loss_is_mean_cross_entropy_whatever_the_batches() -> None:
    probe = tiny("swish")
    inputs, labels = (torch.cat(parts) for parts in zip(*probe.batches, strict=True))
    with torch.no_grad():
        logits = probe.model(inputs)
    loss, accuracy = probe.loss_and_accuracy()
    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)), rel=1e-5)
    assert accuracy == int((logits.argmax(1) == labels).sum()) / 10


@pytest.fixture(scope="module")
def found(runs: dict[str, str], photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LossLandscape]:
    folder = tmp_path_factory.mktemp("found")
    return folder, landscape(folder / "loss", [runs["relu"], runs["swish"]], photos)


def test_the_middle_is_the_trained_weights(found: tuple[Path, LossLandscape]) -> None:
    steps = found[1].around.line_steps
    assert len(steps) == 9 and steps[4] == 0 and steps[::2] == found[1].around.grid_steps
    for run in found[1].runs:
        assert run.grid[2][2] == run.line[4] == run.loss
        assert run.grid[2] == run.line[::2], "the grid's middle row lies on the line"
        assert len({loss for row in run.grid for loss in row}) == 25
        assert run.rise is not None and len(run.rise.values) == 3
    assert found[1].runs[0].activations == ("relu",) and found[1].runs[1].activations == ("swish",)


def test_the_loss_of_all_images_is_that_of_evaluate(runs: dict[str, str], photos: Path) -> None:
    subjects = open_subjects([runs["relu"]], photos, "train", 1000, 0, "cpu", None).subjects
    _, accuracy = subjects[0].probe.loss_and_accuracy()
    assert accuracy == pytest.approx(evaluate(runs["relu"], photos, "train").top1)
    assert subjects[0].probe.images == evaluate(runs["relu"], photos, "train").count


def test_images_are_drawn_by_the_seed_and_the_same_for_twins(runs: dict[str, str], photos: Path) -> None:
    def inputs(names: list[str], seed: int) -> list[torch.Tensor]:
        opened = open_subjects([runs[name] for name in names], photos, "train", 7, seed, "cpu", None)
        return [torch.cat([part for part, _ in one.probe.batches]) for one in opened.subjects]

    first, second = inputs(["relu", "swish"], 0)
    assert torch.equal(first, second) and len(first) == 7
    assert torch.equal(first, inputs(["relu"], 0)[0]) and not torch.equal(first, inputs(["relu"], 1)[0])


def test_the_same_weights_give_the_same_numbers(
    found: tuple[Path, LossLandscape], runs: dict[str, str], photos: Path, tmp_path: Path
) -> None:
    again = landscape(tmp_path / "loss", [runs["relu"], runs["swish"]], photos)
    for one, other in zip(found[1].runs, again.runs, strict=True):
        for a, b in ((one.line, other.line), (one.rises, other.rises), *zip(one.grid, other.grid, strict=True)):
            assert a == pytest.approx(b, rel=1e-6, abs=1e-6)
        assert one.eigenvalue.value == pytest.approx(other.eigenvalue.value, rel=1e-6)
    alone = landscape(tmp_path / "alone", [runs["swish"]], photos)
    assert alone.runs[0].grid == again.runs[1].grid, "a twin's numbers do not depend on who stands beside it"


def test_a_broken_off_landscape_goes_on_to_the_same_numbers(
    found: tuple[Path, LossLandscape],
    runs: dict[str, str],
    photos: Path,
    tmp_path: Path,
) -> None:
    folder, names = tmp_path / "loss", [runs["relu"], runs["swish"]]
    points = folder / command.POINTS

    def until_20(update: Update) -> None:
        if update.phase == "loss" and len(points.read_bytes().splitlines()) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape(folder, names, photos, progress=until_20)
    written = points.read_bytes().splitlines()
    assert len(written) == 20
    points.write_bytes(points.read_bytes() + b'{"kind": "row", "run": 1, "ind')  # as a kill leaves it
    went_on = landscape(folder, names, photos)
    assert went_on == found[1]
    lines = points.read_bytes().splitlines()
    assert len(lines) == 2 * (9 + 3 + 1 + 5), "each point once"
    assert lines[:20] == written
    landscape(folder, names, photos)
    assert points.read_bytes().splitlines() == lines, "a finished one computes nothing"


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_numbers(runs: dict[str, str], photos: Path, tmp_path: Path) -> None:
    arguments = ["landscape", "loss", runs["relu"], runs["swish"], "--data", str(photos), *FLAGS, "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*arguments, str(whole)]) == 0
    points = killed / "loss" / command.POINTS
    shell = [sys.executable, "-m", "budgetnet", *arguments, str(killed)]
    kill_when(shell, lambda: len(read_events(points)) >= 10)
    assert len(read_events(points)) < len(read_events(whole / "loss" / command.POINTS))
    assert main([*arguments, str(killed)]) == 0
    first, second = (json.loads((folder / "loss.json").read_text()) for folder in (whole, killed))
    for one, other in zip(first["runs"], second["runs"], strict=True):
        assert np.array(one["grid"]) == pytest.approx(np.array(other["grid"]), rel=1e-6)
        assert one["line"] == pytest.approx(other["line"], rel=1e-6)
        assert one["eigenvalue"]["value"] == pytest.approx(other["eigenvalue"]["value"], rel=1e-6)


def test_other_arguments_and_other_weights_are_another_landscape(
    runs: dict[str, str], photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "loss"
    first = landscape(folder, [runs["relu"]], photos)
    for around in (dataclasses.replace(SMALL, size=7), dataclasses.replace(SMALL, radius=0.5)):
        with pytest.raises(ValueError, match=r"begun with another (size|radius); give another --out, or --fresh"):
            landscape(folder, [runs["relu"]], photos, around)
    with pytest.raises(ValueError, match="another choice of runs"):  # its weights are the same, its activations are not
        landscape(folder, [runs["swish"]], photos)
    anew = loss_landscape([runs["relu"]], folder, photos, around=dataclasses.replace(SMALL, draws=2), fresh=True)
    assert anew.runs[0].rises == first.runs[0].rises[:2] and anew.runs[0].grid == first.runs[0].grid


def test_one_page_pictures_and_numbers(found: tuple[Path, LossLandscape], tmp_path: Path) -> None:
    files = write_loss(tmp_path, found[1])
    assert [path.name for path in files] == ["landscape.html", "loss.png", "loss.svg", "loss.json"]
    row = json.loads((tmp_path / "loss.json").read_text())
    hold(row, "LossLandscape")
    assert from_record(LossLandscape, row, LOSS_FORMAT, "loss.json") == found[1]
    page = Page((tmp_path / "landscape.html").read_text(encoding="utf-8"))
    headings = [attributes["id"] for tag, attributes in page.tags if tag == "h2"]
    assert headings == ["loss", "read"]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    rise = found[1].runs[0].rise
    assert rise is not None and rise.deviation is not None
    shown = loss_words.rise_text(found[1].runs[0])
    assert shown in page.text and [float(part) for part in shown.replace(MINUS, "-").split(" ± ")] == pytest.approx(
        [rise.mean, rise.deviation], rel=0.02, abs=0.001
    )


@pytest.mark.slow
def test_the_pictures_can_be_read(found: tuple[Path, LossLandscape]) -> None:
    runs = found[1].runs
    far = dataclasses.replace(runs[0], label="a-run-with-quite-a-long-name", line=tuple(1e6 for _ in runs[0].line))
    steep = dataclasses.replace(runs[1], eigenvalue=dataclasses.replace(runs[1].eigenvalue, value=7550.0))
    for shown in (found[1], dataclasses.replace(found[1], runs=(far, steep, runs[1]))):
        sheet, figures = loss_figures(shown)
        for name, figure in {"sheet": sheet, **figures}.items():
            assert not unreadable(figure), name


def test_relu_and_swish_are_told_apart_without_colour(found: tuple[Path, LossLandscape]) -> None:
    lines = chart_figures(found[1])["line"].axes[0].get_lines()[::2]
    assert [line.get_linestyle() for line in lines] == ["--", "-"]


def test_hollow_is_explained_where_there_is_something_hollow(found: tuple[Path, LossLandscape]) -> None:
    def said(shown: LossLandscape) -> bool:
        return any("hollow" in text.get_text() for text in texts_of(chart_figures(shown)["sharpness"]))

    run = found[1].runs[0]
    open_end = dataclasses.replace(run, eigenvalue=dataclasses.replace(run.eigenvalue, converged=False))
    done = dataclasses.replace(run, eigenvalue=dataclasses.replace(run.eigenvalue, converged=True))
    assert said(dataclasses.replace(found[1], runs=(open_end,)))
    assert not said(dataclasses.replace(found[1], runs=(done,)))


def made(losses: list[list[float | None]]) -> LossLandscape:
    """A landscape of given numbers."""
    grid = tuple(map(tuple, losses))
    run = RunLoss(
        "a",
        "a",
        "a",
        ("relu",),
        0.1,
        1.0,
        grid[2] + grid[2][:4],
        grid,
        (0.2, None, 0.4),
        Eigenvalue(-2.0, 0.1, 9, False),
        rise_of((0.2, None, 0.4)),
    )
    return landscape_of("train", 7, SMALL, 0.01, (run,))


def test_losses_that_are_no_numbers_can_be_drawn(tmp_path: Path) -> None:
    losses: list[list[float | None]] = [[0.1 + x * x + y * y for x in range(-2, 3)] for y in range(-2, 3)]
    losses[0][0] = None
    shown = made(losses)
    assert all(path.stat().st_size for path in write_loss(tmp_path, shown))
    assert shown.runs[0].rise is None and heights(shown.runs[0], Levels.of(shown))[0, 0] == 1
    text = Page((tmp_path / "landscape.html").read_text(encoding="utf-8")).text
    assert "no number" in text and "at least" in text and "not converged" in text
    row = json.loads((tmp_path / "loss.json").read_text())
    hold(row, "LossLandscape")


@pytest.mark.parametrize(("low", "high"), [(0.087, 4.3), (1e-7, 2e5), (0.5, 0.5), (40.0, 90.0), (3e-9, 1e-8)])
def test_levels_span_the_losses_in_even_steps(low: float, high: float) -> None:
    levels = Levels.of(made([[low, high, low, high, low]] * 5))
    assert 2 <= len(levels.values) <= 13 and list(levels.values) == sorted(set(levels.values))
    assert levels.low <= low and levels.high >= min(high, max(10.0, 10 * low))
    factors = np.diff(np.log(levels.values))
    assert factors.max() < 1.4 * factors.min()
    assert levels.share(0.0) == 0 and levels.share(levels.high) == pytest.approx(1)


def test_the_verdict_has_the_numbers(found: tuple[Path, LossLandscape]) -> None:
    relu, swish = found[1].runs
    more = sum(a > b for a, b in zip(relu.rises, swish.rises, strict=True))  # type: ignore[operator]
    assert f"in {more} of 3 directions" in loss_words.verdict(found[1]) and relu.label in loss_words.verdict(found[1])
    assert loss_words.verdict(made([[1.0] * 5] * 5)) == ""


@pytest.mark.slow
def test_the_command_prints_its_numbers(runs: dict[str, str], photos: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["landscape", "loss", runs["relu"], runs["beta"], "--data", str(photos), *FLAGS, "--out", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "landscape loss --json")
    assert all(Path(file).is_file() for file in row["files"])
    hold(json.loads((tmp_path / "loss" / "plan.json").read_text()), "plan.json, landscape")
    for event in read_events(tmp_path / "loss" / command.POINTS):
        hold(event, "points.jsonl")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert main(arguments) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before, "a finished one gives equal files"
    out = capsys.readouterr().out
    assert "largest eigenvalue" in out and "relu" in out and str(tmp_path / "loss.png") in out
    assert max(map(len, out.partition("\n\n")[0].splitlines())) <= 80


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["nowhere"], "nowhere"),
        ([], "landscape loss needs RUN"),
        (["relu", "wide"], "is not a twin of"),
        (["relu", "--size", "6"], "odd"),
        (["relu", "--size", "3"], "at least 5"),
        (["relu", "--images", "0"], "images is 0"),
        (["relu", "--draws", "0"], "draws is 0"),
        (["relu", "--radius", "0"], "above 0"),
        (["relu", "--extent", "nan"], "not a finite number"),
        (["relu", "--seed", "-1"], "seed"),
        (["relu", "--out", "file"], "give a folder"),
        (["relu"], "give the images"),
        (["relu", "--split", "every"], "all"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    runs: dict[str, str],
    photos: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    data = [] if words == "give the images" else ["--data", str(photos)]
    assert main(["landscape", "loss", *(runs.get(flag, flag) for flag in flags), *data]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_that_diverged_are_named(runs: dict[str, str], photos: Path, tmp_path: Path) -> None:
    from budgetnet.model.weights import load_model

    model = load_model(runs["relu"]).model
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    broken = tmp_path / "broken"
    broken.mkdir()
    save_weights(broken / "weights.safetensors", model, CLASSES, dataclasses.asdict(default_preprocessing(3)))
    with pytest.raises(ValueError, match="diverged"):
        landscape(tmp_path / "loss", [str(broken)], photos)
    assert not (tmp_path / "loss").exists()
