"""Inside a network: the maps are the right numbers, in the right place of the image, on a page that holds."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from matplotlib.text import Text
from PIL import Image
from support.drawn import images
from support.formats import hold
from support.page import Page, pixels_of
from support.small_runs import CLASSES, CROP, drawn_model, saved, small
from torch.nn import functional

import budgetnet
from budgetnet.cli import main
from budgetnet.data import Preprocessing, decode
from budgetnet.data.batches import prepare
from budgetnet.inspect.explain import Explanation, explain
from budgetnet.inspect.explain.cam import class_maps
from budgetnet.inspect.explain.explaining import evenly
from budgetnet.inspect.explain.gate_figures import classes_figure
from budgetnet.inspect.explain.gates import class_share, gate_rows, joined, recording
from budgetnet.inspect.explain.maps import mean_absolute, stage_rows, strongest, telling
from budgetnet.inspect.explain.overlay import displayed, grey, painted
from budgetnet.inspect.explain.place import seen_box, spread_cells
from budgetnet.inspect.explain.subjects import class_index, default_maps, map_name, open_subjects
from budgetnet.inspect.explain.true_classes import true_class
from budgetnet.inspect.explain.values import ClassGates
from budgetnet.model.build import Model, build
from budgetnet.model.layers import SqueezeExcite
from budgetnet.networks.values import RELU
from budgetnet.runs.run import load_run

Capture = pytest.CaptureFixture[str]
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of drawn weights, its twin with ReLU, one without squeeze-and-excitation, one of other classes."""
    root = tmp_path_factory.mktemp("runs")
    return {
        "swish": saved(root / "small-swish", drawn_model(small()), CROP),
        "relu": saved(root / "small-relu", drawn_model(small(RELU), 1), CROP),
        "plain": saved(root / "plain", drawn_model(small(squeeze=False)), CROP),
        "others": saved(root / "others", drawn_model(small(RELU)), CROP, ("ant", "bee", "wasp")),
    }


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images of each of two classes, of odd sizes."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name in CLASSES[:2]:
        (folder / name).mkdir()
        for index in range(4):
            coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((71 + 10 * index, 55), Image.Resampling.BICUBIC).save(folder / name / f"{index}.png")
    return folder


# Grad-CAM


@pytest.mark.parametrize("layer", ["head", "stages.2", "stages.1.0", "stem"])
def test_class_maps_are_captums_and_those_of_the_formula(layer: str) -> None:
    model, inputs, classes = drawn_model(small(), 6), images(6, 3, 40, 48), [0, 1, 2, 2, 1, 0]
    ours = class_maps(model, inputs, layer, classes)
    reference = LayerGradCam(model, model.get_submodule(layer)).attribute(
        inputs, target=classes, relu_attributions=True
    )
    assert isinstance(reference, torch.Tensor)
    torch.testing.assert_close(ours, reference[:, 0].detach())
    logits, maps = model.maps(inputs, [layer])
    score = sum(logits[row, index] for row, index in enumerate(classes))
    assert isinstance(score, torch.Tensor)
    (slopes,) = torch.autograd.grad(score, maps[layer])
    alpha = slopes.mean((2, 3))
    by_hand = torch.einsum("nk,nkij->nij", alpha, maps[layer]).clamp_min(0)
    torch.testing.assert_close(ours, by_hand.detach())
    assert by_hand.amax((1, 2)).min() > 0, "each map says something"


def test_class_maps_leave_the_model_as_it_was() -> None:
    model = drawn_model(small())
    with torch.inference_mode():
        before = model(images(1, 3, 40, 48))
    class_maps(model, images(1, 3, 40, 48), "head", [1])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not [module for module in model.modules() if module._forward_hooks]
    with torch.inference_mode():
        assert torch.equal(model(images(1, 3, 40, 48)), before)


def test_the_default_layer_is_the_last_map_before_the_average() -> None:
    assert map_name(small(), "head") == "head"
    headless = budgetnet.network("mobilenet_v1")
    assert default_maps(headless)[-1] == "stages.4"
    with pytest.raises(ValueError, match=r"has no map head; choose from stem, 0, 1, 2, 3, 4, or a block"):
        map_name(headless, "head")


# Places


def test_cells_are_spread_as_torch_interpolates() -> None:
    cells = np.random.default_rng(0).random((3, 4))
    ours = spread_cells(cells, (0.0, 0.0, 37.0, 23.0))
    reference = functional.interpolate(torch.tensor(cells)[None, None], (23, 37), mode="bilinear", align_corners=False)
    assert (ours.top, ours.left) == (0, 0)
    np.testing.assert_allclose(ours.values, reference[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("box", [(10.25, 4.5, 80.75, 60.1), (0.0, 17.3, 33.0, 50.2)])
def test_a_hot_cell_lands_in_its_part_of_the_box(box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    rows, columns = 5, 6
    for row, column in ((0, 0), (2, 3), (4, 5), (4, 0)):
        cells = np.zeros((rows, columns))
        cells[row, column] = 1.0
        canvas = np.zeros((90, 90))
        patch = spread_cells(cells, box)
        canvas[patch.pixels] = patch.values
        down, across = (np.arange(90) + 0.5 - top) / (bottom - top), (np.arange(90) + 0.5 - left) / (right - left)
        inside = ((down >= 0) & (down < 1))[:, None] & ((across >= 0) & (across < 1))
        own = (np.floor(down * rows) == row)[:, None] & (np.floor(across * columns) == column)
        assert canvas[~inside].max() == 0
        assert canvas[own].mean() > 0.5 and canvas.max() <= 1.0
        assert own[np.unravel_index(canvas.argmax(), canvas.shape)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("crop_share", [0.8, 1.0])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_the_box_is_what_the_network_sees(tmp_path: Path, orientation: int, crop_share: float, fit: str) -> None:
    """The image says in its colours where each pixel is; what the network gets must be from within the box."""
    across, down = np.meshgrid(np.linspace(0, 255, 241), np.linspace(0, 255, 163))
    upright = Image.fromarray(np.stack([across, down, 0 * down], -1).round().astype(np.uint8))
    back = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    turn = back[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(tmp_path / "photo.png", exif=exif)
    plain = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, crop_share=crop_share, fit=fit)  # pyright: ignore[reportArgumentType]
    loaded = load_run(saved(tmp_path / "run", drawn_model(small()), plain))
    seen = prepare([decode(tmp_path / "photo.png", 3, loaded.side_px)], loaded.network.resolution_px, plain)[0].numpy()
    assert decode(tmp_path / "photo.png", 3).shape == (163, 241, 3)
    left, top, right, bottom = seen_box((163, 241), loaded)
    columns = 241 * seen[0].mean(0)[3:-3]  # resizing bends the edges
    rows = 163 * seen[1].mean(1)[3:-3]
    wanted_columns = left + (right - left) * (np.arange(48) + 0.5)[3:-3] / 48
    wanted_rows = top + (bottom - top) * (np.arange(40) + 0.5)[3:-3] / 40
    np.testing.assert_allclose(columns, wanted_columns, atol=1.2)
    np.testing.assert_allclose(rows, wanted_rows, atol=1.2)


def bright_model() -> Model:
    """A network whose last map is the brightness around each place, and whose class "dog" is bright."""
    network = dataclasses.replace(small(RELU, squeeze=False), resolution_px=(40, 40))
    model = build(network)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim == 4:
                tensor.fill_(1 / tensor[0].numel())
            elif name.endswith("bias"):
                tensor.zero_()
        model.classifier.weight.copy_(torch.tensor([[-1.0], [1.0], [0.0]]).expand(3, model.network.features))
    return model.eval()


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_overlay_is_on_the_right_pixels_of_a_turned_photo(tmp_path: Path, orientation: int) -> None:
    run = saved(tmp_path / "run", bright_model(), Preprocessing((0.0,) * 3, (1.0,) * 3, 0.9, "crop"))
    upright = np.full((181, 257, 3), 20, np.uint8)
    upright[120:150, 150:180] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(upright if orientation == 1 else np.rot90(upright))
    stored.save(tmp_path / "photo.png", exif=exif)
    found = explain(run, tmp_path / "photo.png", out=tmp_path / "out", stages=["stem"])
    image = found.images[0]
    (answer,) = image.answers
    assert image.size_px == (181, 257) and answer.label == "dog"
    overlay = np.asarray(Image.open(found.folder / answer.maps[0].file)).astype(int)
    assert overlay.shape == (181, 257, 3)
    left, top, right, bottom = answer.maps[0].seen_px
    assert (bottom - top, right - left) == pytest.approx((0.9 * 181, 0.9 * 181), abs=1.5)
    base = np.repeat(grey(upright)[..., None], 3, 2).astype(int)
    outside = np.ones((181, 257), dtype=bool)
    outside[round(top) : round(bottom), round(left) : round(right)] = False
    assert np.array_equal(overlay[outside], base[outside]), "outside the crop nothing is drawn"
    assert (overlay[round(top), round(left) : round(right)] == 255).all(), "the crop's frame"
    warmth = np.where(outside, 0, overlay[..., 0] - overlay[..., 2]).astype(float)
    warmth[:, [*range(round(left) + 4), *range(round(right) - 4, 257)]] = 0
    rows, columns = np.indices(warmth.shape)
    weight = (warmth > 0.8 * warmth.max()) * warmth
    centre = (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()
    assert centre == pytest.approx((135, 165), abs=18), "a cell is 33 pixels wide"


def test_a_map_of_nothing_leaves_the_grey_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    same = painted(pixels, np.zeros((2, 3)), (0.0, 0.0, 30.0, 20.0))
    assert np.array_equal(same, np.repeat(grey(pixels)[..., None], 3, 2))


def test_a_line_goes_round_what_is_above_half_of_the_largest() -> None:
    pixels = np.full((120, 160, 3), 90, np.uint8)
    cells = np.zeros((3, 4))
    cells[1, 1] = 5.0
    shown = painted(pixels, cells, (0.0, 0.0, 160.0, 120.0)).astype(int)
    row = shown[60]
    white, dark = ((row == shade).all(axis=1).nonzero()[0] for shade in (255, 24))
    # The cell's middle is at 60 px and its neighbours' 40 px away, where it is 0: half of it is 20 px from the middle.
    assert [white[0], dark[0], dark[-1], white[-1]] == pytest.approx([39, 40, 79, 80], abs=1)
    assert not (painted(pixels[:40, :40], cells, (0.0, 0.0, 40.0, 40.0)) == 255).all(axis=2).any(), "small images"


def test_images_of_a_page_are_scaled_whole() -> None:
    tiny = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    shown = displayed(tiny)
    assert shown.shape == (480, 360, 3) and np.array_equal(shown[::60, ::60], tiny)
    assert displayed(np.zeros((1000, 500, 3), np.uint8)).shape == (480, 240, 3)


# Maps


def test_stage_rows_count_every_value() -> None:
    random = np.random.default_rng(0)
    maps = [np.maximum(random.normal(size=(1, 5, 3, 4)), -0.5).round(1).astype(np.float32) for _ in range(3)]
    (row,) = stage_rows("own", [{"stem": one} for one in maps], ["stem"])
    values = np.concatenate(maps)
    assert row.zero_share == pytest.approx((values == 0).mean())
    assert row.negative_share == pytest.approx((values < 0).mean())
    assert row.mean_absolute == pytest.approx(np.abs(values).mean(), rel=1e-6)
    order = np.argsort(-np.abs(values).mean((0, 2, 3)))
    assert row.strongest == tuple(order[:3]) == strongest(np.abs(values).mean((0, 2, 3)))
    assert (row.channels, row.map_px) == (5, (3, 4))
    np.testing.assert_allclose(mean_absolute(maps[0][0]), sum(np.abs(maps[0][0])) / 5, rtol=1e-6)


def test_a_channel_that_is_the_same_everywhere_is_drawn_last() -> None:
    maps = np.stack([np.full((2, 2), 6.0), np.eye(2), np.eye(2) * -3.0, np.zeros((2, 2))])
    assert strongest(telling(maps))[:2] == (2, 1)
    assert telling(maps).tolist() == [0.0, 0.5, 1.5, 0.0]


def test_default_maps_are_the_last_of_each_resolution() -> None:
    assert default_maps(small()) == ("stem", "stages.0", "stages.1", "stages.2", "head")
    b0 = budgetnet.network("efficientnet_b0")
    assert default_maps(b0) == ("stem", "stages.0", "stages.1", "stages.2", "stages.4", "stages.6", "head")


# Gates


def test_recorded_gates_are_those_that_the_blocks_multiply_by() -> None:
    model, batches = drawn_model(small()), [images(2, 3, 40, 48), images(3, 3, 40, 48, seed=1)]
    seen: dict[str, list[torch.Tensor]] = {}

    def note(name: str):
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            assert isinstance(module, SqueezeExcite)
            seen.setdefault(name, []).append((output / inputs[0]).nanmedian(-1)[0].nanmedian(-1)[0])

        return hook

    hooks = [
        module.register_forward_hook(note(name.removeprefix("stages.").removesuffix(".squeeze")))
        for name, module in model.named_modules()
        if isinstance(module, SqueezeExcite)
    ]
    with torch.inference_mode(), recording(model) as found:
        for batch in batches:
            model(batch)
    for hook in hooks:
        hook.remove()
    recorded = joined(found)
    assert list(recorded) == ["0.0", "1.0", "1.1", "2.0"] == list(seen)
    for block, values in recorded.items():
        np.testing.assert_allclose(values, torch.cat(seen[block]).numpy(), rtol=1e-3, atol=1e-5)
        assert values.shape[0] == 5 and 0 < values.min() < values.max() < 1
    assert not [module for module in model.modules() if module._forward_hooks], "the hooks are gone"


def test_what_classes_explain_is_nothing_by_chance_and_all_where_they_decide() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [10, 15, 5])
    noise = random.normal(size=(30, 40))
    share, chance = class_share(noise, labels)
    assert abs(share) < 0.05 and 0 < chance < 0.1
    decided = random.normal(size=(3, 40))[labels]
    assert class_share(decided, labels)[0] == pytest.approx(1.0)
    mixed = noise + decided
    groups = [mixed[labels == place] for place in range(3)]
    within = sum(((group - group.mean(0)) ** 2).sum() for group in groups)
    total = ((mixed - mixed.mean(0)) ** 2).sum()
    assert class_share(mixed, labels)[0] == pytest.approx(1 - (within / 27) / (total / 29)), "Kelley's form"
    assert class_share(np.ones((30, 4)), labels)[0] == 0.0


def test_gate_rows_name_channels_and_compare_classes() -> None:
    random = np.random.default_rng(0)
    names = ["dog"] * 6 + ["cat"] * 5 + ["bee"]
    early, late = random.uniform(0.4, 0.6, (12, 20)), random.uniform(0.4, 0.6, (12, 20))
    late[:6, 7] += 0.4
    early[:, 3], early[:, 11] = 0.99, 0.01
    rows = gate_rows({"0.0": early.astype(np.float32), "2.1": late.astype(np.float32)}, names, "folder")
    first, second = rows.blocks
    assert rows.groups == (("dog", 6), ("cat", 5), ("bee", 1)) and rows.images == 12
    assert first.boosted[0].channel == 3 and first.suppressed[0].channel == 11
    assert first.boosted[0].mean == pytest.approx(0.99) == first.boosted[0].low
    assert first.quantiles[2] == pytest.approx(np.median(early), abs=1e-6)
    assert second.class_share is not None and second.chance_share is not None
    assert second.class_share > second.chance_share and (first.class_share or 0) < second.class_share
    assert rows.by_class is not None and rows.by_class.block == "2.1" and rows.by_class.classes == ("cat", "dog")
    place = rows.by_class.channels.index(7)
    assert rows.by_class.means[1][place] == pytest.approx(late[:6, 7].mean(), abs=1e-6)
    alone = gate_rows({"0.0": early.astype(np.float32)}, ["dog"] * 11 + ["cat"], "prediction")
    assert alone.by_class is None and alone.blocks[0].class_share is None


@pytest.mark.parametrize(("apart", "unit", "shown"), [(0.07, "hundredths", "7"), (0.0042, "thousandths", "4")])
def test_small_differences_of_gates_are_no_zeros(apart: float, unit: str, shown: str) -> None:
    means = ((0.5 + apart, 0.5), (0.5 - apart, 0.5))
    (axes,) = classes_figure(ClassGates("1.0", (3, 4), (0.5, 0.5), ("cat", "dog"), means)).axes
    figure = axes.figure
    assert any(text.get_text().endswith(f", {unit}") for text in figure.findobj(Text))
    assert [text.get_text() for text in axes.texts] == [f"+{shown}", "0", f"\N{MINUS SIGN}{shown}", "0"]


# The whole


@pytest.fixture(scope="module")
def found(runs: dict[str, Path], photos: Path) -> Explanation:
    """Twins, and a third network, on two of eight images."""
    return explain(
        runs["swish"],
        [photos],
        beside=[runs["relu"]],
        others=[runs["plain"]],
        classes=["tiger_cat"],
        stages=["stem", "1"],
        drawn=2,
    )


@pytest.fixture(scope="module")
def page(found: Explanation) -> Page:
    return Page(found.page.read_text(encoding="utf-8"))


def test_the_numbers_are_the_page_of_formats_and_those_of_predict(
    found: Explanation, runs: dict[str, Path], photos: Path
) -> None:
    row = json.loads((found.folder / "explain.json").read_text(encoding="utf-8"))
    hold(row, "explain.json")
    assert found.folder == runs["swish"] / "explain" and row["files"] == list(found.files)
    assert {file.relative_to(found.folder).as_posix() for file in found.folder.rglob("*.*")} == set(found.files)
    predicted = {one.path: one for one in budgetnet.predict(runs["swish"], [photos])}
    assert [image.path for image in found.images] == list(predicted)
    for image in found.images:
        assert image.answers[0].label == predicted[image.path].label
        assert image.answers[0].probability == pytest.approx(predicted[image.path].probability, abs=1e-5)
        assert image.label == Path(image.path).parent.name
    assert [Path(image.path).parent.name for image in found.images if image.drawn] == ["cat", "dog"]


def test_each_network_has_its_maps_for_its_class_and_the_named_one(found: Explanation) -> None:
    assert [row.label for row in found.networks] == ["small-swish", "small-relu", "plain"]
    assert [row.role for row in found.networks] == ["explained", "twin", "other"]
    assert [row.activations for row in found.networks] == [("swish",), ("relu",), ("swish",)]
    for image in (one for one in found.images if one.drawn):
        for answer in image.answers:
            labels = [one.label for one in answer.maps]
            assert labels == list(dict.fromkeys([answer.label, "tiger cat"]))
            for one in answer.maps:
                assert np.shape(one.cells) == (5, 6) and one.largest == np.max(one.cells)
                with Image.open(found.folder / one.file) as overlay:
                    assert overlay.size[::-1] == image.size_px
    kinds = {(row.network, row.stage): row for row in found.stages}
    assert set(kinds) == {(name, stage) for name in ("small-swish", "small-relu") for stage in ("stem", "stages.1")}
    assert kinds["small-relu", "stem"].negative_share == 0 < kinds["small-swish", "stem"].negative_share
    assert kinds["small-swish", "stem"].zero_share < 0.01 < kinds["small-relu", "stem"].zero_share


def test_the_gates_are_grouped_by_folder(found: Explanation) -> None:
    assert found.gates is not None
    assert found.gates.grouped_by == "folder" and found.gates.groups == (("cat", 4), ("dog", 4))
    assert [row.block for row in found.gates.blocks] == ["0.0", "1.0", "1.1", "2.0"]


def test_the_page_stands_alone(found: Explanation, page: Page) -> None:
    text = found.page.read_text(encoding="utf-8")
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    addresses = page.values("src") + page.values("href")
    assert addresses and all(value.startswith(("#", "data:")) for value in addresses)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
    assert targets and set(targets) <= set(ids)
    assert "script" not in {tag for tag, _ in page.tags}
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 4, "maps of two images, gates, gates by class"
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_the_page_shows_the_overlays_and_says_what_is_in_them(found: Explanation, page: Page) -> None:
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    drawn = [image for image in found.images if image.drawn]
    lines = sum(1 + any(answer.label != "tiger cat" for answer in image.answers) for image in drawn)
    assert len(sources) == len(drawn) + 3 * lines
    assert sources[0] is not None and max(pixels_of(sources[0]).shape) in range(241, 481)
    for image in drawn:
        for answer in image.answers:
            share = f"{100 * answer.probability:.1f}\N{NO-BREAK SPACE}%".replace("\N{NO-BREAK SPACE}", " ")
            assert f"{'right' if answer.label == image.label else 'wrong'}, {share}" in page.text
    assert "--beside" in page.text and "--class tiger_cat" in page.text and "--stages stem,1" in page.text


def test_a_network_without_squeeze_and_excitation_says_so(runs: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    found = explain(runs["plain"], sorted((photos / "cat").iterdir())[:1], stages=["stem"], out=tmp_path / "out")
    assert found.gates is None
    assert "has no squeeze-and-excitation" in found.page.read_text(encoding="utf-8")
    assert not [file for file in found.files if file.startswith("gates")]


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    hostile = ("<b>&\"'$x$", "</style><script>")
    run = saved(tmp_path / "<i>run & 'x'", drawn_model(small(classes=2)), CROP, hostile)
    folder = tmp_path / hostile[0].replace("/", "")
    folder.mkdir()
    for index in range(2):
        Image.fromarray(np.full((50, 60, 3), 90 * index, np.uint8)).save(folder / f'"{index}"&<i>.png')
    found = explain(run, folder, stages=["stem"], classes=hostile, drawn=1)
    page = Page(found.page.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags} and "<i>run & 'x'" in page.text
    assert all(re.fullmatch(r"[\w./-]+", file) for file in found.files)


def test_an_explanation_is_replaced_and_nothing_else(runs: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    out, one = tmp_path / "out", photos / "cat" / "0.png"
    explain(runs["plain"], [photos / "dog" / "1.png"], stages=["stem"], out=out)
    found = explain(runs["plain"], one, stages=["stem"], out=out)
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.*")} == set(found.files)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt, which is part of no explanation"):
        explain(runs["plain"], one, out=out)
    assert (out / "notes.txt").read_text() == "mine" and found.page.is_file()


def test_a_class_that_is_named_twice_has_one_map(runs: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    asked = {"stages": ["stem"], "drawn": 1, "out": tmp_path / "out"}
    found = explain(runs["plain"], photos / "cat" / "0.png", classes=["dog", "Dog", "cat", "tiger_cat"], **asked)
    assert sorted(one.label for one in found.images[0].answers[0].maps) == sorted(CLASSES)
    page = Page(found.page.read_text(encoding="utf-8"))
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 1 + 3


def test_images_are_taken_evenly() -> None:
    assert evenly(8, 2) == [2, 6] and evenly(3, 8) == [0, 1, 2] and evenly(100, 4) == [12, 37, 62, 87]
    assert evenly(1, 1) == [0]


def test_labels_are_short_and_differ(runs: dict[str, Path], tmp_path: Path) -> None:
    names = [subject.label for subject in open_subjects(runs["swish"], [runs["relu"]], [], None)]
    assert names == ["swish", "relu"]
    twice = [subject.label for subject in open_subjects(runs["swish"], [], [runs["swish"]], None)]
    assert twice == ["small-swish (1)", "small-swish (2)"] or twice == ["swish (1)", "swish (2)"]


def test_a_class_is_found_by_its_name_and_near_ones_are_named(runs: dict[str, Path]) -> None:
    (subject,) = open_subjects(runs["swish"], [], [], None)
    assert [class_index(subject, name) for name in ("dog", "Tiger_Cat", "tiger cat")] == [1, 2, 2]
    for name, hint in (("dgo", "did you mean dog?"), ("zebra", "it has cat, dog, tiger cat"), ("tiger", "tiger cat?")):
        with pytest.raises(ValueError, match=f"has no class '{name}'.*{re.escape(hint)}"):
            class_index(subject, name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swish", "notes.png"], "notes.png: not an image of a known format"),
        (["swish", "missing.png"], "missing.png: there is no such file"),
        (["swish", "photo.png", "notes.png"], "notes.png: not an image"),
        (["swish", "photo.png", "--class", "dgo"], "did you mean dog?"),
        (["swish", "photo.png", "--class", "dog", "--with", "others"], "others has no class 'dog'"),
        (["swish", "photo.png", "--stages", "9"], "small has no map 9; choose from stem, 0, 1, 2, head"),
        (["swish", "photo.png", "--layer", "1.7"], "has no map 1.7"),
        (["swish", "photo.png", "--beside", "plain"], "is not a twin of"),
        (["swish", "photo.png", "--beside", "others"], "they differ in names of classes"),
        (["swish", "photo.png", "--with", "empty"], "holds no weights.safetensors"),
        (["empty", "photo.png"], "holds no weights.safetensors"),
        (["nowhere", "photo.png"], "nowhere"),
        (["swish", "photo.png", "--drawn", "0"], "drawn is 0"),
        (["swish", "photo.png", "--out", "notes.png"], "is a file"),
        (["swish", "photo.png", "--beside", "swish"], "is the network itself"),
        (["swish"], "there is neither"),
        (["swish", "photo.png", "--split", "test"], "these are both"),
        (["swish", "--split", "test"], "no plan.json"),
        (["network.json", "photo.png"], "is a network without weights"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    runs: dict[str, Path],
    photos: Path,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, run in runs.items():
        (tmp_path / name).mkdir()
        shutil.copy(run / "weights.safetensors", tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.png").write_text("no image")
    (tmp_path / "network.json").write_text(small().to_json())
    (tmp_path / "photo.png").write_bytes((photos / "cat" / "0.png").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert main(["explain", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and words in captured.err
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_the_runs_own_images_are_those_of_its_split(tmp_path: Path) -> None:
    folder, numbers = tmp_path / "photos", np.random.default_rng(0)
    for place, colour in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (folder / place).mkdir(parents=True)
        for number in range(40):
            noise = numbers.integers(-25, 25, (24, 24, 3))
            Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(folder / place / f"{number}.png")
    network = dataclasses.replace(small(), classes=2)
    for data, channels in ((folder, 3), ("digits", 1)):
        base = dataclasses.replace(network, in_channels=channels, classes=2 if channels == 3 else 10)
        run = budgetnet.train(data, base, out=tmp_path / f"run-{channels}", epochs=16).run
        test = json.loads((run / "split.json").read_text())["test"]
        found = explain(run, split="test", drawn=1)
        names = ["/".join(Path(image.path).with_suffix("").parts[-2:]) for image in found.images]
        assert sorted(names) == sorted(Path(file).with_suffix("").as_posix() for file in test)
        assert all(image.label == Path(image.path).parent.name for image in found.images)
        assert "--split test" in found.page.read_text(encoding="utf-8")


def test_the_command_prints_answers_or_json(
    capsys: Capture, runs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    arguments = ["explain", str(runs["swish"]), str(photos / "dog"), "--out", str(tmp_path / "out"), "--stages", "stem"]
    assert main([*arguments, "--drawn", "1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    hold(row, "explain --json")
    assert row["page"] == str(tmp_path / "out" / "explain.html") and row["gates"]["grouped_by"] == "folder"
    assert main([*arguments, "--drawn", "1"]) == 0
    out = capsys.readouterr().out
    answer = next(image for image in row["images"] if image["drawn"])["answers"][0]
    assert f"{answer['label']} {100 * answer['probability']:.1f} %" in out and row["page"] in out


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1200])
def test_a_browser_shows_every_picture_and_no_more_than_its_width(
    found: Explanation, tmp_path: Path, width: int
) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium is installed")
    told = (
        "<script>onload = () => { document.title = JSON.stringify({"
        "images: document.images.length, broken: [...document.images].filter(one => !one.naturalWidth).length, "
        "inside: [...document.querySelectorAll('svg image')].map(one => one.getBoundingClientRect().width), "
        "over: document.documentElement.scrollWidth - innerWidth}) }</script></body>"
    )
    file = tmp_path / "page.html"
    file.write_text(found.page.read_text(encoding="utf-8").replace("</body>", told), encoding="utf-8")
    arguments = ["--headless", "--no-sandbox", "--dump-dom", f"--window-size={width},900", file.as_uri()]
    done = subprocess.run([browser, *arguments], capture_output=True, text=True, timeout=120)
    row = json.loads(re.findall(r"<title>(.*?)</title>", done.stdout)[0])
    assert row["images"] > 0 == row["broken"]
    assert len(row["inside"]) == 2 * (1 + 2 * 2 * 3), (
        "of two images the input, and of two stages of twins three maps each"
    )
    assert min(row["inside"]) > 20
    assert row["over"] <= 0


def test_an_images_class_is_its_folders_name_or_what_a_list_says(tmp_path: Path) -> None:
    for name in ("Red_fox/a.png", "mixed/b.png", "mixed/c.png", "lost/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    classes = ("red fox", "owl")
    (tmp_path / "labels.csv").write_text("file,label\nmixed/b.png,Owl\nmixed/c.png,heron\n", encoding="utf-8")
    found = [true_class(str(path), classes) for path in sorted(tmp_path.glob("*/*.png"))]
    assert found == ["red fox", None, "owl", None], "a.png, d.png, b.png, c.png"
    (tmp_path / "lost" / "labels.csv").write_text("nothing\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="its labels are not used"):
        assert true_class(str(tmp_path / "lost" / "d.png"), classes) is None
