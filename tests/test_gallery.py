"""The gallery: pictures that fit into a repository and stand for themselves, and a page that has all of them."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.compared import compared, scored
from support.finished_runs import SEED, finished_solve, finished_train, train_record
from support.networks import PLAIN

from budgetnet import Budget, network, open_images
from budgetnet.codec import to_plain
from budgetnet.data import default_preprocessing
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure, svg_file
from budgetnet.experiments.activations.networks import SMALL
from budgetnet.experiments.activations.plan import StudyPlan
from budgetnet.experiments.activations.request import StudyRequest
from budgetnet.experiments.compare import COMPARE
from budgetnet.experiments.compare.entrants import Entrant
from budgetnet.experiments.compare.plan import ComparePlan, PlannedEntrant
from budgetnet.experiments.compare.request import CompareRequest
from budgetnet.experiments.compare.result import Comparison
from budgetnet.networks import RELU, Activation
from budgetnet.networks.scaling import PAPER
from budgetnet.parallel.progress import silent
from budgetnet.runs.files import write_json
from budgetnet.runs.record import DataRecord, MachineRecord, Record, machine_record, save_record
from budgetnet.statistics import PairedDifference
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import recipe_of

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery"
COUNTS = {"train": 7, "validation": 1, "test": 2, "left_out": 0}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("bench.gallery.files")


@pytest.fixture
def drawing() -> str:
    with house_style():
        figure = new_figure(200, 100)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=COLOURS["accent"])
        axes.set_xlabel("x")
        return inline_svg(figure, "", "a line")


def test_a_drawing_as_a_file_brings_its_colours_paper_and_margin(drawing: str) -> None:
    root = ElementTree.fromstring(svg_file(drawing))
    assert root.tag == f"{SVG}svg" and root.attrib["aria-label"] == "a line"
    left, top, wide, high = map(float, root.attrib["viewBox"].split())
    assert (left, top, wide, high) == (-16, -16, 232, 132)
    style, paper = root[0], root[1]
    assert style.text is not None and "prefers-color-scheme: dark" in style.text and "font-family" in style.text
    assert (paper.tag, float(paper.attrib["width"])) == (f"{SVG}rect", 232)
    used = set(re.findall(r"var\(--(\w+)\)", svg_file(drawing)))
    light, _, dark = style.text.partition("@media")
    assert {"paper", "accent"} <= used
    for name in used:
        assert f"--{name}:" in light and f"--{name}:" in dark
    assert svg_file(drawing) == svg_file(drawing)


def test_a_photo_shrinks_until_it_is_small_enough(files: ModuleType, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    files.save_photo(Image.fromarray(noise), tmp_path / "noise.jpg")
    with Image.open(tmp_path / "noise.jpg") as image:
        assert image.width < 900 and abs(image.width / image.height - 9 / 7) < 0.01
    assert (tmp_path / "noise.jpg").stat().st_size <= files.MOST_BYTES
    files.save_photo(Image.new("RGB", (900, 700), "white"), tmp_path / "white.jpg")
    with Image.open(tmp_path / "white.jpg") as image:
        assert image.size == (900, 700)


def test_a_picture_of_maps_keeps_the_colours_of_its_photo(files: ModuleType, tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    smooth = np.stack([np.tile(ramp, (512, 1)), np.tile(ramp[:, None], (1, 512)), np.full((512, 512), 128)], axis=2)
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "smooth.png")
    files.take_cells(tmp_path / "smooth.png", tmp_path / "kept.png")
    with Image.open(tmp_path / "kept.png") as image:
        assert np.array_equal(np.asarray(image), smooth)
    noise = smooth[::2, ::2].clip(16, 239) + np.random.default_rng(0).integers(-16, 17, (256, 256, 3))
    noise = noise.astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", optimize=True)
    most_bytes = round(0.9 * (tmp_path / "noise.png").stat().st_size)
    files.take_cells(tmp_path / "noise.png", tmp_path / "near.png", most_bytes)
    assert (tmp_path / "near.png").stat().st_size <= most_bytes
    with Image.open(tmp_path / "near.png") as image:
        assert image.size == (256, 256) and np.abs(np.asarray(image).astype(int) - noise).max() <= 3


def test_too_large_a_drawing_is_refused(files: ModuleType, tmp_path: Path) -> None:
    many = "".join(f'<path d="M {place} 0 L 0 {place}" />' for place in range(20_000))
    with pytest.raises(ValueError, match="more than 300,000"):
        files.save_drawing(f'<svg viewBox="0 0 10 10">{many}</svg>', tmp_path / "large.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--beside", "run"], ["--images", "a.jpg"], ["--with", "a", "b"], ["--run", "run"]])
def test_what_does_not_go_together_is_one_line_and_code_2(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    assert importlib.import_module("bench.gallery.__main__").main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("bench.gallery: ") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def in_one_line(command: str) -> str:
    """A command that is written over several lines."""
    return " ".join(command.replace("\\\n", " ").split())


def compared_at(macs: int, folder: Path) -> Comparison:
    """A comparison of ways to scale, of one network."""
    request = CompareRequest(
        question="scaling",
        budget=Budget(macs=macs),
        time_seconds=1150.0,
        seeds=3,
        networks=("efficientnet_b0",),
        strategy="compound",
        coefficients=PAPER,
        pretrained="none",
        recipe=None,
        precision="float32",
        augment=Augment(),
        start_share=0.5,
    )
    data = DataRecord("cifar10", "/some/where/cifar10", "f", ("a", "b"), 3, 32, COUNTS)
    plain = dataclasses.replace(PLAIN, classes=2)
    training = recipe_of("modern"), default_preprocessing(3), 64, 100, 3, 50, 100.0, ((),) * 3
    entrants = tuple(
        PlannedEntrant(Entrant(name, name, name, "compound", 0.0, 0, plain), None, *training)
        for name in ("compound", "depth")
    )
    plan = ComparePlan(32, 60.0, 2.0, 2, 4.0, entrants, ())
    record = Record("compare", data, 0, machine_record(), request, plan)
    networks = tuple(
        compared(name, share, [scored(seed, share) for seed in range(3)], macs=macs, network=plain)
        for name, share in (("compound", 0.8), ("depth", 0.7))
    )
    pairs = (PairedDifference("compound", "depth", 0.1, 0.05, 0.15, 0.01, True, True, 0.02, 0.01, (0.1, 0.1, 0.1)),)
    said = ("2 networks, 3 seeds each.", "compound has the highest mean.")
    return Comparison(folder, networks, None, pairs, said, (), 400, 60.0, None, folder / "report.html", record)


def test_a_solution_becomes_pictures_with_its_command(
    files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without a browser that would take a picture of the page
    runs, exhibits = (importlib.import_module(f"bench.gallery.{name}") for name in ("runs", "exhibits"))
    finished_solve(tmp_path / "solved", open_images("digits", SEED), "digits")
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(runs.Asked))
    asked = runs.Asked(**{**nothing, "solved": tmp_path / "solved", "work": tmp_path / "work", "out": tmp_path})
    exhibit = exhibits.solution(asked, silent)
    assert [picture.file for picture in exhibit.pictures] == ["report-race.svg", "report-training.svg"]
    for picture in exhibit.pictures:
        ElementTree.parse(tmp_path / picture.file)
    assert (tmp_path / "work" / "report.html").is_file()
    assert in_one_line(exhibit.commands[0]).startswith("budgetnet solve digits --macs 2000000")


def test_a_training_is_a_command(files: ModuleType, tmp_path: Path) -> None:
    trained = importlib.import_module("bench.gallery.trained")
    images, small = open_images("digits"), network("mobilenet_v1", resolution_px=32)
    record = train_record("digits", images, small)
    moved = dataclasses.replace(record, data=dataclasses.replace(record.data, path="/some/where/cifar10"))
    finished_train(tmp_path / "small", images, moved)
    assert trained.trained_network(tmp_path / "small") == record.plan.config.network
    made = in_one_line(trained.trained_as(tmp_path / "small"))
    assert made == (
        "budgetnet train cifar10/ --network network.json --epochs 20 --recipe modern --seed 0 --out runs/small"
    )


def test_a_comparison_at_several_costs_is_one_command(files: ModuleType, tmp_path: Path) -> None:
    comparisons = importlib.import_module("bench.gallery.comparisons")
    half, whole = (compared_at(macs, tmp_path) for macs in (4_000_000, 8_000_000))
    alone, both = (in_one_line(comparisons.comparison_command(found)) for found in ([whole], [half, whole]))
    assert alone.startswith("budgetnet compare cifar10/ --macs 8000000") and "--time 1150s" in alone
    assert "--shares" not in alone and both == alone.replace("1150s", "2300s") + " --shares 0.5,1"


def test_a_comparison_becomes_pictures(files: ModuleType, tmp_path: Path) -> None:
    """From the folders of runs, as `--scaling` gives them."""
    runs = importlib.import_module("bench.gallery.runs")
    comparisons = importlib.import_module("bench.gallery.comparisons")
    for share, macs in (("0.5", 4_000_000), ("1", 8_000_000)):
        run = tmp_path / "given" / f"share-{share}"
        run.mkdir(parents=True)
        found = compared_at(macs, run)
        save_record(run, found.record)
        write_json(run / COMPARE.file, {"format": COMPARE.format, **to_plain(found)})
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(runs.Asked))
    asked = runs.Asked(**{**nothing, "scaling": tmp_path / "given", "out": tmp_path})
    exhibit = comparisons.comparison(asked, "scaling", silent)
    names = ["scaling-curves.svg", "scaling-accuracy.svg", "scaling-differences.svg", "scaling-costs.svg"]
    assert [picture.file for picture in exhibit.pictures] == names
    assert all((tmp_path / name).is_file() for name in names)
    assert "compound has the highest mean." in exhibit.pictures[2].caption
    with pytest.raises(ValueError, match="is a comparison of scaling, not of families"):
        asked = runs.Asked(**{**nothing, "compared": tmp_path / "given", "out": tmp_path})
        comparisons.comparison(asked, "families", silent)


def test_a_study_of_activations_is_a_command(files: ModuleType) -> None:
    exhibit = importlib.import_module("bench.gallery.exhibit")
    rows = (RELU, Activation("swish", trainable=True))
    request = StudyRequest(None, rows, 5, 400, recipe_of("modern"), 16, 128, Augment(flip="off"))
    plan = StudyPlan(
        dataclasses.replace(SMALL, in_channels=1),
        32,
        default_preprocessing(1),
        64,
        400,
        12,
        200,
        (200, 400),
        (0.01,),
        (),
    )
    data = DataRecord("photos", "/somewhere/photos", "0", ("a", "b"), 1, 32, COUNTS)
    record = Record("landscape training", data, 0, MachineRecord("cpu", 2, "2", "3.11", "0"), request, plan)
    text = in_one_line(exhibit.study_made_by(record))
    assert text.startswith("budgetnet landscape training photos/ --activations relu swish:trainable --recipe modern")
    assert text.endswith("--seeds 5 --steps 400 --probes 16 --probe-images 128 --flip off")


def test_the_page_has_every_picture_and_the_pictures_are_small() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[([^\]]+)\]\(gallery/([^)]+)\)", page)
    pictures = {file.name: file.stat().st_size for file in GALLERY.iterdir()}
    assert sorted(name for _, name in shown) == sorted(pictures)
    assert max(pictures.values()) <= 300_000 and sum(pictures.values()) <= 3_200_000
    for name in pictures:
        if name.endswith(".svg"):
            ElementTree.parse(GALLERY / name)


def test_no_machine_stands_in_the_gallery() -> None:
    for file in [ROOT / "docs" / "gallery.md", *GALLERY.glob("*.svg")]:
        assert not re.search(r"(?<![\w.])/(tmp|home|root|work|Users)/", file.read_text(encoding="utf-8")), file.name
