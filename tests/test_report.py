"""The report: it says what the files say, holds whatever names the user has, and needs nothing but itself."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.finished_runs import BUDGET, SEED, finished_solve, finished_train, train_record
from support.page import Page, pixels_of

import budgetnet
from budgetnet.cli import main
from budgetnet.cli.results import print_solution
from budgetnet.data import digits, open_images
from budgetnet.draw import wording
from budgetnet.draw.figures import spread
from budgetnet.draw.style import COLOURS
from budgetnet.draw.thumbnails import thumbnail
from budgetnet.experiments import trained
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.report import Figure, Table, Text, write_report
from budgetnet.experiments.solve import SOLVE, Solution
from budgetnet.experiments.solve.report import solve_command
from budgetnet.experiments.solve.result import SolveRecord, SolveResult
from budgetnet.experiments.train import TRAIN
from budgetnet.experiments.train.report import train_command
from budgetnet.training.evaluation import score
from budgetnet.training.events import Events, events_of

HOSTILE = ("<b>&\"'$x$", "日本語", 'zz\x01\x7f id="stolen"', "</style><script>")
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Solved:
    """A finished solve."""

    run: Path
    record: SolveRecord
    result: SolveResult

    def page(self, record: SolveRecord | None = None, result: SolveResult | None = None) -> str:
        """The page, with another record or result where given."""
        report = SOLVE.report(record or self.record, result or self.result)
        return write_report(report, self.run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    run = tmp_path_factory.mktemp("digits") / "run"
    return Solved(run, *finished_solve(run, open_images("digits", SEED), "digits"))


@pytest.fixture(scope="module")
def digits_page(solved: Solved) -> Page:
    return Page(solved.page())


def test_it_says_what_the_files_say(solved: Solved, digits_page: Page) -> None:
    text = digits_page.text.replace("\N{NO-BREAK SPACE}", " ")
    test, fit = solved.result.test, solved.result.fit
    assert f"{100 * test.top1:.1f} %" in text
    assert f"{100 * test.top1_low:.1f} to {100 * test.top1_high:.1f}" in text
    assert fit.network.name in text
    for row in fit.certificate.limits:
        assert wording.amount(row.name, row.used).replace("\N{NO-BREAK SPACE}", " ") in text
        assert f"{100 * row.used / row.limit:.1f} %" in text
    for row in test.per_class:
        assert f"{row.name} {row.count} {100 * row.precision:.1f} {100 * row.recall:.1f} {row.f1:.3f}" in text
    for line in str(fit.network).splitlines():
        assert re.sub(r"\s+", " ", line) in text
    assert "as it is <unlike> the others" in text
    assert f"0.42 points, 95 % interval {MINUS}1.10 to 1.94" in text
    assert "When not to believe it" in text and "Each row holds with 95 % confidence" in text
    assert "temperature 0.62, fitted on" in text and "calibration error 8.0 % without it, 4.0 % with it" in text


def test_it_lists_who_did_not_race_and_says_augmentation_and_classes(solved: Solved, digits_page: Page) -> None:
    assert "1 more network within the budget, not raced" in digits_page.text
    for row in solved.record.plan.candidates:
        assert row.base in digits_page.text and row.why in digits_page.text
    assert "digits, 10 classes: at most" in digits_page.text
    assert digits_page.text.count("Augmentation") == 2, "below the curves, and where it says how to make it again"
    assert "greyscale images are scans more often" in digits_page.text


def test_the_confusion_matrix_counts_every_image(solved: Solved, digits_page: Page) -> None:
    titles = [value for value in digits_page.values("title") if re.fullmatch(r"\d as \d: .*", value)]
    assert len(titles) == 100
    table = (solved.run / "report.html").read_text().partition('<table class="confusion')[2].partition("</table>")[0]
    counted = [int(value or 0) for value in re.findall(r"<td [^>]*title=[^>]*>(\d*)</td>", table)]
    assert counted == list(itertools.chain(*solved.result.test.confusion or ()))


def test_the_next_network_and_the_limit_it_breaks(solved: Solved) -> None:
    certificate = solved.result.fit.certificate
    assert certificate.next is not None
    table = trained.certificate_section(certificate, BUDGET).blocks[1]
    assert isinstance(table, Table)
    broken = [row.cells[0].text for row in table.rows if row.cells[-1].broken]
    assert broken == [wording.LIMIT_TITLES[name] for name in certificate.next.breaks] != []
    following = budgetnet.cost(certificate.next.network)
    assert table.rows[0].cells[-1].text == wording.count(following.macs)


def test_a_next_network_that_there_is_only_no_time_to_train_is_told(solved: Solved) -> None:
    certificate = solved.result.fit.certificate
    assert certificate.next is not None
    following = dataclasses.replace(certificate.next, breaks=("time",))
    text, _ = trained.certificate_section(dataclasses.replace(certificate, next=following), BUDGET).blocks
    assert isinstance(text, Text) and "leaves too little time for its training, so this one is" in text.text
    assert "breaks" not in text.text


def test_it_needs_no_network(solved: Solved, digits_page: Page) -> None:
    text = (solved.run / "report.html").read_text()
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    addresses = digits_page.values("src") + digits_page.values("href")
    assert addresses and all(value.startswith(("#", "data:")) for value in addresses)
    assert "@import" not in text and "script" not in {tag for tag, _ in digits_page.tags}


def test_ids_are_unique_and_references_lead_somewhere(solved: Solved, digits_page: Page) -> None:
    ids = digits_page.values("id")
    assert len(ids) == len(set(ids)) > 10
    text = (solved.run / "report.html").read_text()
    targets = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
    assert targets and set(targets) <= set(ids)


def test_pictures_follow_the_page(solved: Solved) -> None:
    pictures = re.findall(r"<svg.*?</svg>", solved.page(), re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "var(--accent)" in picture and "font-family" not in picture
        assert not [value for value in COLOURS.values() if value in picture]
        assert not re.search(r"#[0-9a-f]{6}", picture), "a colour of its own, which dark paper would not change"


def test_thumbnails_show_the_digits_themselves(solved: Solved, digits_page: Page) -> None:
    sources = [attributes["src"] for tag, attributes in digits_page.tags if tag == "img"]
    wanted = solved.result.mistakes
    assert len(sources) == len(wanted) == 24
    files = digits.image_set().files
    for source, row in zip(sources[:3], wanted, strict=False):
        assert source is not None
        assert np.array_equal(pixels_of(source), digits.pixels()[files.index(row.file), ..., 0])


def test_the_same_run_makes_the_same_page(solved: Solved) -> None:
    first = solved.page()
    assert Solved(solved.run, *read_finished(SOLVE, solved.run)).page() == first
    assert [path.name for path in solved.run.iterdir() if "report" in path.name] == ["report.html"]


def test_a_training_leaves_out_what_it_has_not(tmp_path: Path) -> None:
    run, images = tmp_path / "run with 'quotes'", open_images("digits")
    record = train_record(
        "digits", images, dataclasses.replace(budgetnet.network("mobilenet_v1"), resolution_px=(32, 32))
    )
    record = dataclasses.replace(record, request=dataclasses.replace(record.request, precision="bfloat16"))
    record, result = finished_train(run, images, record)
    (run / "events.jsonl").unlink()
    page = Page(write_report(TRAIN.report(record, result), run).read_text(encoding="utf-8"))
    ids = {value for tag, attributes in page.tags if tag == "h2" and (value := attributes["id"])}
    assert ids == {"classes", "trust", "confusion", "mistakes", "network", "data", "use", "again"}
    assert set(page.values("href")) - {"data:,"} == {f"#{name}" for name in ids}
    assert "--epochs 20" in page.text and "--precision bfloat16" in page.text and "--time" not in page.text
    assert f"budgetnet predict {shlex.quote(str(run))} IMAGE..." in page.text


def words_of(command: str) -> list[str]:
    """The words of a command of several lines, joined as a shell does."""
    return shlex.split(command.replace("\\\n", ""))


def test_the_command_makes_the_run_again(solved: Solved) -> None:
    record, limits = solved.record, "--macs 2000000 --weight-bytes 4194304"
    chosen = "--base mobilenet_v2 efficientnet_b0 --strategy width --recipe modern --seed 7"
    assert " ".join(words_of(solve_command(record))) == f"budgetnet solve digits {limits} --time 95s {chosen}"
    halves = dataclasses.replace(record, request=dataclasses.replace(record.request, precision="bfloat16"))
    assert words_of(solve_command(halves))[-2:] == ["--precision", "bfloat16"]
    one = train_record("digits", open_images("digits"), budgetnet.network("mobilenet_v1"), epochs=3, seed=7)
    one = dataclasses.replace(one, request=dataclasses.replace(one.request, budget=BUDGET))
    chosen = f"{limits} --epochs 3 --recipe modern --seed 7"
    assert " ".join(words_of(train_command(one))) == f"budgetnet train digits --network network.json {chosen}"


def test_the_command_of_the_page_finds_the_run_itself(solved: Solved, capsys: pytest.CaptureFixture[str]) -> None:
    """It has every argument written out, and is the same request all the same."""
    assert main([*words_of(solve_command(solved.record))[1:], "--out", str(solved.run)]) == 0
    assert solved.result.choice.reason in " ".join(capsys.readouterr().out.split())
    usual = {"out": solved.run, "seed": 7, "bases": ("mobilenet_v2", "efficientnet_b0"), "strategies": ("width",)}
    assert budgetnet.solve("digits", BUDGET, 95.0, **usual).test == solved.result.test
    with pytest.raises(ValueError, match="was begun with another recipe; give another --out, or --fresh"):
        budgetnet.solve("digits", BUDGET, 95.0, recipe="paper", **usual)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Solved:
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
    images = open_images(root, SEED)
    names = ("<script>&", "b\x02$a$ " * 12, "c")
    run = root.parent / "<run> 'x'"
    return Solved(run, *finished_solve(run, images, str(root), names))


def test_names_are_text_wherever_they_stand(hostile: Solved) -> None:
    source = hostile.page()
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


def test_thumbnails_come_from_the_files_and_may_be_gone(hostile: Solved) -> None:
    page = Page(hostile.page())
    count = len(hostile.result.mistakes)
    assert len([tag for tag, _ in page.tags if tag == "img"]) == count > 0
    data = dataclasses.replace(hostile.record.data, path="/nowhere at all")
    moved = Page(hostile.page(dataclasses.replace(hostile.record, data=data)))
    assert not [tag for tag, _ in moved.tags if tag == "img"]
    assert moved.text.count("(not there any more)") == count


def test_many_classes_show_the_pairs_and_not_the_matrix(solved: Solved) -> None:
    classes = tuple(f"kind {number:02d}" for number in range(40))
    labels = np.repeat(np.arange(40), 5)
    table = np.full((200, 40), 0.01)
    table[np.arange(200), np.where(labels < 3, 39, labels)] = 0.61
    evaluation = score(table, labels, classes)
    data = dataclasses.replace(solved.record.data, classes=classes, counts={**solved.record.data.counts, "test": 200})
    record = dataclasses.replace(solved.record, data=data)
    mistakes = tuple(
        dataclasses.replace(one, label=classes[0], predicted=classes[39]) for one in solved.result.mistakes
    )
    scores = {"test": evaluation, "validation": evaluation, "mistakes": mistakes, "promises": ()}
    changes = {**scores, "record": record}
    page = Page(solved.page(record, dataclasses.replace(solved.result, **changes)))
    assert "confusion" not in " ".join(page.values("class"))
    assert "kind 00 kind 39 5" in page.text and "kind 02 kind 39 5" in page.text
    assert "The other 25 classes" in page.text


def test_no_event_no_curves_and_diverged_losses_leave_gaps(solved: Solved) -> None:
    events = events_of(solved.run)
    assert trained.training_section(Events((), ()), "final", "") == ()
    steps = tuple(dataclasses.replace(row, loss=None) if row.step > 20 else row for row in events.steps)
    (section,) = trained.training_section(dataclasses.replace(events, steps=steps), "final", "")
    figure = section.blocks[0]
    assert isinstance(figure, Figure)
    drawn, whole = (
        ElementTree.fromstring(one.draw(880, "x-"))
        for one in (figure, trained.training_section(events, "final", "")[0].blocks[0])
        if isinstance(one, Figure)
    )
    assert ElementTree.tostring(drawn) != ElementTree.tostring(whole)


def test_a_curve_is_of_the_steps_that_led_to_the_end(solved: Solved) -> None:
    """Not of those that a kill threw away, nor of a cool-down that promotion went back from."""
    events = events_of(solved.run)
    curve = events.curve("final")
    again = tuple(dataclasses.replace(row, step=row.step + 2, loss=9.0) for row in curve if row.step >= 10)
    twice = Events((*events.steps, *again), events.scores).curve("final")
    assert [row.step for row in twice] == [5, 10, *range(12, 60, 5)]
    assert [row.loss for row in twice][2:] == [9.0] * 10
    assert Events((*events.steps, *curve[1:]), events.scores).curve("final") == curve


def test_an_unfinished_run_is_refused_in_one_line(solved: Solved, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no metrics\.json, so it is not a finished run") as error:
        read_finished(SOLVE, tmp_path)
    assert "\n" not in str(error.value)
    run = shutil.copytree(solved.run, tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run of 'solve', not of 'train'"):
        read_finished(TRAIN, run)
    (run / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match=r"weights\.safetensors; put the file back, or") as error:
        read_finished(SOLVE, run)
    assert "\n" not in str(error.value)


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


def test_every_network_of_a_run_has_its_line_of_sizes(solved: Solved) -> None:
    network = solved.result.fit.network
    assert wording.count(budgetnet.cost(network).params) in trained.sizes(network, BUDGET)
    height, width = network.resolution_px
    assert trained.sizes(network, None).startswith(f"{height}\N{MULTIPLICATION SIGN}{width} px")
    assert SOLVE.report(solved.record, solved.result).intro == trained.sizes(network, BUDGET)


def tables_of(solved: Solved, name: str) -> list[Table]:
    """The tables of a section of the report."""
    sections = SOLVE.report(solved.record, solved.result).sections
    return [block for one in sections if one.name == name for block in one.blocks if isinstance(block, Table)]


def test_a_staged_network_is_not_said_to_be_the_best_of_all(tmp_path: Path) -> None:
    budget = budgetnet.Budget(macs=2_000_000, weight_bytes=350_000, peak_activation_bytes=40_000, dtype="int8")
    images = open_images("digits", SEED)
    run = tmp_path / "run"
    staged = Solved(run, *finished_solve(run, images, "digits", budget=budget, strategy="staged"))
    assert staged.result.fit.certificate.staged
    text = Page(staged.page()).text
    assert "Of the networks found from the joint one on" in text and "Of all networks of its four dials" not in text
    assert "stage 0 width" in text


def test_the_certificate_of_a_joint_network_has_a_bar_a_limit_and_a_row_a_dial(
    solved: Solved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = budgetnet.Budget(macs=2_000_000, weight_bytes=350_000, peak_activation_bytes=40_000, dtype="int8")
    images = open_images("digits", SEED)
    joint = Solved(
        tmp_path / "run", *finished_solve(tmp_path / "run", images, "digits", budget=budget, strategy="joint")
    )
    certificate = joint.result.fit.certificate
    limits, dials = tables_of(joint, "certificate")
    assert [row.cells[-1].bar for row in limits.rows] == [one.share for one in certificate.limits]
    assert [row.cells[-1].below for row in limits.rows] == [(wording.percent(one.share),) for one in certificate.limits]
    told = [[cell.text for cell in row.cells] for row in dials.rows]
    assert [row[:3] for row in told] == [[one.dial, one.at, one.next] for one in certificate.dials]
    assert [row[0] for row in told] == ["depth", "width", "resolution", "head"]
    for why, one in zip((row[3] for row in told), certificate.dials, strict=True):
        assert why.startswith("breaks ") and ("multiply-adds" in why) == ("macs" in one.breaks)
        assert ("weights" in why) == ("weight_bytes" in one.breaks)
    source = joint.page()
    page = Page(source)
    bars = [f'<div class="bar"><i style="width:{100 * one.share:.1f}%">' for one in certificate.limits]
    assert len(bars) == 3 and all(bar in source for bar in bars)
    assert "dial setting now next setting why it is not taken" in page.text
    for row in told:
        assert " ".join(row) in page.text
    print_solution(Solution.of(joint.result))
    shown = " ".join(capsys.readouterr().out.split())
    for one in certificate.dials:
        assert f"{one.dial} {one.at} next {one.next} breaks " in shown
    (alone,) = tables_of(solved, "certificate")
    assert alone.columns[-1].title == "next larger", "a network of one dial has no row a dial"


def test_the_page_says_what_the_final_training_learned_from(solved: Solved) -> None:
    assert "final training learned from the validation images as well" not in solved.page()
    result = dataclasses.replace(solved.result, learned=("train", "validation"), held_out=50)
    learned = solved.page(result=result)
    assert "the final training learned from the validation images as well, but for 50 images that stayed out" in learned
    assert "After its part of the race it scored" in learned and "may lie below that on the validation" not in learned
    assert "50 of them, of every class its share, stayed out of the final training" in learned


def test_a_race_to_the_end_has_its_only_rung_for_a_training(solved: Solved, tmp_path: Path) -> None:
    run = shutil.copytree(solved.run, tmp_path / "run")
    text = (run / "events.jsonl").read_text(encoding="utf-8")
    (run / "events.jsonl").write_text(text.replace('"final"', f'"race/{solved.result.choice.id}"'), encoding="utf-8")
    plan = solved.record.plan
    entrants = tuple(dataclasses.replace(row, rungs=(row.final,), final=None) for row in plan.entrants if row.final)
    plan = dataclasses.replace(plan, final_seconds=None, kept=(2,), entrants=entrants)
    race = tuple(row for row in solved.result.race if row.rung == 0)
    record = dataclasses.replace(solved.record, plan=plan)
    ended = Solved(run, record, dataclasses.replace(solved.result, run=run, race=race, record=record))
    page = ended.page()
    assert "trained to the end, on a core of its own" in page and "own part of the race" not in page
    assert page.count("<svg") == solved.page().count("<svg"), "the curves are drawn"
