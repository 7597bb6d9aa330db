"""The report: it says what the files say, holds whatever names the user has, and needs nothing but itself."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from budgetnet.experiments.report.evidence import read_evidence
from budgetnet.experiments.report.page import render, write_report
from budgetnet.experiments.report.reproduce import run_command
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.page import Page, pixels_of

import budgetnet
from budgetnet import Budget
from budgetnet.budgets.budget import Fit
from budgetnet.data import ImageSet, default_preprocessing, open_images
from budgetnet.draw import wording
from budgetnet.draw.figures import spread
from budgetnet.draw.style import COLOURS
from budgetnet.draw.thumbnails import thumbnail
from budgetnet.experiments.report import views
from budgetnet.networks import Network
from budgetnet.networks.scaling import Strategy
from budgetnet.runs.run import append_event, write_json
from budgetnet.statistics import wilson
from budgetnet.training.evaluate import Evaluation, score
from budgetnet.training.image_scores import image_scores
from budgetnet.training.outcome import mistakes, write_split
from budgetnet.training.plan import data_row, preprocessing_row
from budgetnet.training.recipe import RECIPES

BUDGET = Budget(macs=2_000_000, weight_bytes=4 * 1024**2)
HOSTILE = ("<b>&\"'$x$", "日本語", 'zz\x01\x7f id="stolen"', "</style><script>")
MINUS = "\N{MINUS SIGN}"


def answers(images: ImageSet, split: str, right_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right about that often, and the indices they are for."""
    indices, classes = images.indices(split), len(images.classes)
    random = np.random.default_rng(len(indices))
    labels = np.asarray(images.labels)[indices]
    wrong = (labels + random.integers(1, classes, len(labels))) % classes
    table = random.dirichlet(np.ones(classes), len(labels)).astype(np.float32)
    target = np.where(random.random(len(labels)) < right_share, labels, wrong)
    table[np.arange(len(labels)), target] += random.uniform(1, 4, len(labels))
    return table / table.sum(1, keepdims=True), indices


def fits(images: ImageSet) -> list[Fit]:
    bases: list[tuple[str, Strategy]] = [
        ("mobilenet_v2", "width"),
        ("mobilenet_v3_small", "compound"),
        ("mobilenet_v2", "compound"),
    ]
    found: list[Fit] = []
    for name, strategy in bases:
        base = dataclasses.replace(
            budgetnet.network(name), classes=len(images.classes), in_channels=images.in_channels, resolution_px=(32, 32)
        )
        found.append(budgetnet.fit(base, BUDGET, strategy))
    return found


def candidate_row(name: str, fit: Fit, raced: bool) -> dict[str, Any]:
    price = dataclasses.asdict(fit.cost)
    sizes = ("macs", "params", "activations", "weight_bytes", "peak_activation_bytes", "peak_bytes")
    binding = max(fit.certificate.limits, key=lambda row: row.used / row.limit)
    return {
        "id": name,
        "base": name,
        "strategy": fit.strategy,
        "phi": fit.phi,
        "dropped_strides": 0,
        "resolution_px": list(fit.network.resolution_px),
        "network": fit.network.name,
        **{size: price[size] for size in sizes},
        "binding": binding.name,
        "share": binding.used / binding.limit,
        "raced": raced,
        "why": "as it is <unlike> the others",
    }


def make_plan(images: ImageSet, data: str, found: list[Fit], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "format": "budgetnet.plan.v2",
        "command": "solve",
        "data": data_row(data, images),
        "budget": BUDGET.to_dict(),
        "time_seconds": 95.0,
        "seed": 7,
        "bases": ["mobilenet_v2", "efficientnet_b0"],
        "strategies": ["width"],
        "recipe": RECIPES["modern"].to_dict(),
        "final": {"seconds": 61.0, "learns": ["train"]},
        "preprocessing": preprocessing_row(default_preprocessing(images.in_channels)),
        "machine": {"cpu": "A processor & more", "cores": 2, "torch": "2.14.1"},
        "candidates": [
            candidate_row(name, fit, index < 2) for index, (name, fit) in enumerate(zip(names, found, strict=True))
        ],
    }


def race_rows(images: ImageSet, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    total = len(images.indices("validation"))
    for name, rung, share in ((names[0], 0, 0.5), (names[1], 0, 0.4), (names[0], 1, 0.75)):
        low, high = wilson(round(share * total), total)
        yield {
            "id": name,
            "rung": rung,
            "steps": 40,
            "accuracy": round(share * total) / total,
            "low": low,
            "high": high,
            "log_loss": 1 - share,
        }


def make_run(run: Path, images: ImageSet, data: str, names: tuple[str, ...] = ("first", "second", "third")) -> Path:
    """A finished run's files, from values computed as a run computes them; only the answers are drawn."""
    run.mkdir(parents=True, exist_ok=True)
    found = fits(images)
    write_json(run / "plan.json", make_plan(images, data, found, names))
    (run / "network.json").write_text(found[0].network.to_json())
    write_json(run / "certificate.json", {"network": found[0].network.name, **found[0].certificate.to_dict()})
    scores: dict[str, Evaluation] = {}
    labels = np.asarray(images.labels)
    for split, share in (("validation", 0.85), ("test", 0.8)):
        table, indices = answers(images, split, share)
        scores[split] = score(table, labels[indices], images.classes)
    table, indices = answers(images, "test", 0.8)
    difference = {"difference": 0.0042, "low": -0.011, "high": 0.0194, "standard_error": 0.0077}
    write_json(
        run / "metrics.json",
        {
            "format": "budgetnet.metrics.v1",
            **{split: evaluation.to_dict() for split, evaluation in scores.items()},
            "mistakes": mistakes(image_scores(table, labels[indices]), images, indices),
            "choice": {
                "id": names[0],
                "best_id": names[1],
                "reason": f"{names[0]} is as good",
                "difference": difference,
            },
            "race": list(race_rows(images, names)),
            "seconds": {"race": 30.2, "final": 61.0},
        },
    )
    write_split(run, images)
    write_events(run / "events.jsonl", scores["validation"])
    return run


def write_events(path: Path, validation: Evaluation) -> None:
    """A final training of 55 steps, and its score."""
    for step in range(5, 60, 5):
        event = {"kind": "step", "phase": "final", "step": step, "epoch": step / 20, "loss": 3 / step}
        append_event(path, {**event, "accuracy": step / 80, "learning_rate": 0.01, "seconds": 1.0})
    event = {"kind": "score", "phase": "final", "step": 55, "accuracy": validation.top1}
    append_event(path, {**event, "low": validation.top1_low, "high": validation.top1_high})


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("digits") / "run", open_images("digits"), "digits")


@pytest.fixture(scope="module")
def digits_page(digits_run: Path) -> Page:
    return Page(write_report(digits_run).read_text(encoding="utf-8"))


def test_it_says_what_the_files_say(digits_run: Path, digits_page: Page) -> None:
    evidence, text = read_evidence(digits_run), digits_page.text.replace("\N{NO-BREAK SPACE}", " ")
    test = evidence.test
    assert f"{100 * test.top1:.1f} %" in text
    assert f"{100 * test.top1_low:.1f} to {100 * test.top1_high:.1f}" in text
    assert evidence.network.name in text
    assert evidence.certificate is not None
    for row in evidence.certificate.limits:
        assert wording.amount(row.name, row.used).replace("\N{NO-BREAK SPACE}", " ") in text
        assert f"{100 * row.used / row.limit:.1f} %" in text
    for row in test.per_class:
        assert f"{row.name} {row.count} {100 * row.precision:.1f} {100 * row.recall:.1f} {row.f1:.3f}" in text
    for line in str(evidence.network).splitlines():
        assert re.sub(r"\s+", " ", line) in text
    assert "as it is <unlike> the others" in text
    assert f"0.42 points, 95 % interval {MINUS}1.10 to 1.94" in text


def test_the_confusion_matrix_counts_every_image(digits_run: Path, digits_page: Page) -> None:
    evidence = read_evidence(digits_run)
    titles = [value for value in digits_page.values("title") if re.fullmatch(r"\d as \d: .*", value)]
    assert len(titles) == 100
    table = (digits_run / "report.html").read_text().partition('<table class="confusion')[2].partition("</table>")[0]
    counted = [int(value or 0) for value in re.findall(r"<td [^>]*title=[^>]*>(\d*)</td>", table)]
    assert counted == list(itertools.chain(*evidence.test.confusion))


def test_the_next_network_and_the_limit_it_breaks(digits_run: Path) -> None:
    evidence = read_evidence(digits_run)
    assert evidence.certificate is not None and evidence.certificate.next is not None
    lines = views.limit_lines(evidence)
    broken = [line.title for line in lines if line.broken]
    assert broken == [wording.LIMIT_TITLES[name] for name in evidence.certificate.next.breaks] != []
    following = budgetnet.cost(evidence.certificate.next.network)
    assert lines[0].next == wording.count(following.macs)


def test_it_needs_no_network(digits_run: Path, digits_page: Page) -> None:
    text = (digits_run / "report.html").read_text()
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    addresses = digits_page.values("src") + digits_page.values("href")
    assert addresses and all(value.startswith(("#", "data:")) for value in addresses)
    assert "@import" not in text and "script" not in {tag for tag, _ in digits_page.tags}


def test_ids_are_unique_and_references_lead_somewhere(digits_run: Path, digits_page: Page) -> None:
    ids = digits_page.values("id")
    assert len(ids) == len(set(ids)) > 10
    text = (digits_run / "report.html").read_text()
    targets = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
    assert targets and set(targets) <= set(ids)


def test_pictures_follow_the_page(digits_run: Path) -> None:
    text = (digits_run / "report.html").read_text()
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "var(--accent)" in picture and "font-family" not in picture
        assert not [value for value in COLOURS.values() if value in picture]
        assert not re.search(r"#[0-9a-f]{6}", picture), "a colour of its own, which dark paper would not change"


def test_thumbnails_show_the_digits_themselves(digits_run: Path, digits_page: Page) -> None:
    sources = [attributes["src"] for tag, attributes in digits_page.tags if tag == "img"]
    wanted = read_evidence(digits_run).metrics["mistakes"]
    assert len(sources) == len(wanted) == 24
    from budgetnet.data import digits

    files = digits.image_set().files
    for source, row in zip(sources[:3], wanted, strict=False):
        assert source is not None
        assert np.array_equal(pixels_of(source), digits.pixels()[files.index(row["file"]), ..., 0])


def test_the_same_run_makes_the_same_page(digits_run: Path) -> None:
    first = write_report(digits_run).read_bytes()
    assert write_report(digits_run).read_bytes() == first
    assert [path.name for path in digits_run.iterdir() if "report" in path.name] == ["report.html"]


def test_a_training_leaves_out_what_it_has_not(digits_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run with 'quotes'"
    run.mkdir()
    for name in ("network.json", "split.json"):
        (run / name).write_bytes((digits_run / name).read_bytes())
    plan, metrics = (json.loads((digits_run / name).read_text()) for name in ("plan.json", "metrics.json"))
    for name in ("candidates", "bases", "strategies"):
        del plan[name]
    plan |= {"command": "train", "budget": None, "time_seconds": None, "epochs": 20, "precision": "bfloat16"}
    write_json(run / "plan.json", plan)
    write_json(run / "metrics.json", {key: metrics[key] for key in ("validation", "test", "mistakes")})
    page = Page(write_report(run).read_text())
    ids = {value for tag, attributes in page.tags if tag == "h2" and (value := attributes["id"])}
    assert ids == {"classes", "confusion", "mistakes", "network", "data", "use", "again"}
    assert set(page.values("href")) - {"data:,"} == {f"#{name}" for name in ids}
    assert "--epochs 20" in page.text and "--precision bfloat16" in page.text and "--time" not in page.text


def test_the_command_makes_the_run_again(digits_run: Path) -> None:
    import shlex

    # A shell joins lines that end in a backslash; shlex does not know of it.
    words = shlex.split(run_command(read_evidence(digits_run)).replace("\\\n", ""))
    limits = "--macs 2000000 --weight-bytes 4194304 --time 95s"
    chosen = "--base mobilenet_v2 efficientnet_b0 --strategy width --recipe modern --seed 7"
    assert " ".join(words) == f"budgetnet solve digits {limits} {chosen}"
    evidence = read_evidence(digits_run)
    halves = dataclasses.replace(evidence, plan={**evidence.plan, "precision": "bfloat16"})
    assert shlex.split(run_command(halves).replace("\\\n", ""))[-2:] == ["--precision", "bfloat16"]


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes, files, bases and the run's folder with names that break careless pages."""
    root = tmp_path_factory.mktemp("data") / "<i>data & 'more'"
    random = np.random.default_rng(0)
    for number, name in enumerate(name.replace("/", "\N{DIVISION SLASH}") for name in HOSTILE):
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = random.integers(0, 256, (70 + 10 * number, 90, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f'"{index}"&<i>.png')
    (root / HOSTILE[0] / "bad<.jpg").write_bytes(b"no image")
    images = open_images(root)
    names = ("<script>&", "b\x02$a$ " * 12, "c")
    return make_run(root.parent / "<run> 'x'", images, str(root), names)


def test_names_are_text_wherever_they_stand(hostile_run: Path) -> None:
    source = write_report(hostile_run).read_text(encoding="utf-8")
    page = Page(source)
    assert "script" not in {tag for tag, _ in page.tags} and ("i", {}) not in page.tags
    ids = page.values("id")
    assert len(ids) == len(set(ids)) and "stolen" not in ids
    odd = "\N{REPLACEMENT CHARACTER}"
    for name in (HOSTILE[0], HOSTILE[1], f'zz{odd}{odd} id="stolen"', "bad<.jpg"):
        assert name in page.text, name
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", source)
    for picture in re.findall(r"<svg.*?</svg>", source, re.DOTALL):
        ElementTree.fromstring(picture)


def test_thumbnails_come_from_the_files_and_may_be_gone(hostile_run: Path) -> None:
    page = Page(write_report(hostile_run).read_text(encoding="utf-8"))
    count = len(read_evidence(hostile_run).metrics["mistakes"])
    assert len([tag for tag, _ in page.tags if tag == "img"]) == count > 0
    plan = json.loads((hostile_run / "plan.json").read_text())
    write_json(hostile_run / "plan.json", {**plan, "data": {**plan["data"], "path": "/nowhere at all"}})
    moved = Page(write_report(hostile_run).read_text(encoding="utf-8"))
    write_json(hostile_run / "plan.json", plan)
    assert not [tag for tag, _ in moved.tags if tag == "img"]
    assert moved.text.count("(not there any more)") == count


def test_many_classes_show_the_pairs_and_not_the_matrix(digits_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for path in digits_run.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    classes = tuple(f"kind {number:02d}" for number in range(40))
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(40), 5)
    table = np.full((200, 40), 0.01)
    table[np.arange(200), np.where(labels < 3, 39, labels)] = 0.61
    evaluation = score(table, random.permutation(labels) * 0 + labels, classes).to_dict()
    metrics, plan = (json.loads((run / name).read_text()) for name in ("metrics.json", "plan.json"))
    write_json(run / "metrics.json", {**metrics, "test": evaluation, "validation": evaluation})
    write_json(run / "plan.json", {**plan, "data": {**plan["data"], "classes": list(classes)}})
    page = Page(write_report(run).read_text())
    assert "confusion" not in " ".join(page.values("class"))
    assert "kind 00 kind 39 5" in page.text and "kind 02 kind 39 5" in page.text
    assert "The other 25 classes" in page.text


def test_no_event_no_curves_and_diverged_losses_leave_gaps(digits_run: Path) -> None:
    evidence = read_evidence(digits_run)
    assert views.curves(dataclasses.replace(evidence, events=())) is None
    events = tuple(
        {**row, "loss": None} if row["kind"] == "step" and row["step"] > 20 else row for row in evidence.events
    )
    found = views.curves(dataclasses.replace(evidence, events=events))
    assert found is not None and found.losses[0] is not None and found.losses[-1] is None
    from budgetnet.draw.figures import curves_svg

    ElementTree.fromstring(curves_svg(found, 880, "x-"))


def test_a_curve_is_of_the_steps_that_led_to_the_end(digits_run: Path) -> None:
    """Not of those that a kill threw away, nor of a cool-down that promotion went back from."""
    evidence = read_evidence(digits_run)
    again = [{**row, "step": row["step"] + 2, "loss": 9.0} for row in evidence.steps("final") if row["step"] >= 10]
    twice = dataclasses.replace(evidence, events=(*evidence.events, *again))
    assert [row["step"] for row in twice.steps("final")] == [5, 10, *range(12, 60, 5)]
    assert [row["loss"] for row in twice.steps("final")][2:] == [9.0] * 10
    same = dataclasses.replace(evidence, events=(*evidence.events, *evidence.steps("final")[1:]))
    assert same.steps("final") == evidence.steps("final")


def test_an_unfinished_run_is_refused_in_one_line(digits_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no metrics\.json") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)
    for path in digits_run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "network.json").unlink()
    with pytest.raises(ValueError, match=r"cannot read .*network\.json"):
        write_report(tmp_path)


def test_a_thumbnail_is_small_and_its_file_may_be_broken(tmp_path: Path) -> None:
    Image.new("RGB", (3000, 2000), (200, 30, 40)).save(tmp_path / "large.jpg")
    found = thumbnail(tmp_path / "large.jpg", 3)
    assert found is not None and found[1] <= 176 and len(found[0]) < 20_000
    assert abs(pixels_of(found[0])[50, 50].astype(int) - (200, 30, 40)).max() < 6
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    assert thumbnail(tmp_path / "broken.jpg", 3) is None


@given(
    st.lists(st.floats(0, 300), min_size=1, max_size=12),
    st.floats(1, 40),
)
def test_labels_keep_their_order_and_distance(wanted: list[float], gap: float) -> None:
    places = spread(wanted, gap, 0.0, 300.0)
    kept = min(gap, 300 / max(len(wanted) - 1, 1))
    assert all(-1e-6 <= place <= 300 + 1e-6 for place in places)
    ordered = sorted(places)
    assert all(b - a >= kept - 1e-6 for a, b in itertools.pairwise(ordered))
    for (a, x), (b, y) in itertools.combinations(zip(wanted, places, strict=True), 2):
        assert (a - b) * (x - y) >= 0
    if all(b - a > kept for a, b in itertools.pairwise(sorted(wanted))):
        assert places == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("macs", 58_912_345, "58.9 M"),
        ("macs", 999_600, "1.00 M"),
        ("params", 999, "999"),
        ("weight_bytes", 1024, "1.00 KiB"),
        ("peak_bytes", 8 * 1024**2, "8.00 MiB"),
        ("macs", -2_500, f"{MINUS}2.50 K"),
    ],
)
def test_amounts_have_three_digits_and_a_unit(name: str, value: int, text: str) -> None:
    assert wording.amount(name, value).replace("\N{NO-BREAK SPACE}", " ") == text


def test_values_that_people_chose_are_as_they_wrote_them() -> None:
    shown = [wording.rounded(*pair) for pair in (("macs", 60_000_000), ("params", 2_500_000), ("macs", 900))]
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in shown] == ["60 M", "2.5 M", "900"]
    times = [wording.duration(value) for value in (0.4, 59.4, 60, 892, 11_100)]
    assert times == ["0.4 s", "59 s", "1 min", "14 min 52 s", "3 h 5 min"]


def test_every_network_of_a_run_has_its_line_of_sizes(digits_run: Path) -> None:
    evidence = read_evidence(digits_run)
    price = budgetnet.cost(Network.from_json((digits_run / "network.json").read_text()))
    assert wording.count(price.params) in views.sizes(evidence)
    height, width = evidence.network.resolution_px
    without = views.sizes(dataclasses.replace(evidence, budget=None))
    assert without.startswith(f"{height}\N{MULTIPLICATION SIGN}{width} px")


def test_the_page_says_what_the_final_training_learned_from(digits_run: Path) -> None:
    evidence = read_evidence(digits_run)
    assert "final training learned from the validation images as well" not in render(evidence)
    final = {"seconds": 61.0, "learns": ["train", "validation"]}
    learned = render(dataclasses.replace(evidence, plan={**evidence.plan, "final": final}))
    assert "the final training learned from the validation images as well" in learned
    assert "After its part of the race it scored" in learned and "may lie below that on the validation" not in learned


def test_a_race_to_the_end_has_its_only_rung_for_a_training(digits_run: Path) -> None:
    evidence = read_evidence(digits_run)
    assert evidence.choice is not None
    phase = f"race/{evidence.choice['id']}"
    events = tuple({**row, "phase": phase} for row in evidence.events)
    ended = dataclasses.replace(evidence, plan={**evidence.plan, "final": None}, events=events)
    page = render(ended)
    assert "trained to the end, on a core of its own" in page and "own part of the race" not in page
    assert page.count("<svg") == render(evidence).count("<svg"), "the curves are drawn"
