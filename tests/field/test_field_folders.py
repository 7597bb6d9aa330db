"""Folders as people have them: splits of any name, classes that are called like splits, folders given one by one."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from budgetnet import Folders, open_images
from budgetnet.cli import main
from budgetnet.cli.options import ByFolder
from budgetnet.cli.progress import plain_lines
from budgetnet.codec import from_plain, to_plain
from budgetnet.data import Data
from budgetnet.data.structure import spoken_splits
from budgetnet.data.telling import lines_of, tell_images
from budgetnet.experiments.reproduce import data_words
from budgetnet.runs.folder import run_folder
from budgetnet.runs.record import DataRecord, data_record
from budgetnet.training.augmenting import AUTO, Augment
from budgetnet.training.job import JobContext, opened

Capture = pytest.CaptureFixture[str]
numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def fill(folder: Path, count: int = 4) -> None:
    """So many images, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        number = next(numbers)
        pixels = np.array([[[number % 256, number // 256 % 256, 7]] * 3] * 3, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05d}.bmp")


def data(root: Path, folders: Iterable[str], count: int = 4) -> Path:
    for folder in folders:
        fill(root / folder, count)
    return root


def nested(*tops: str, classes: tuple[str, ...] = ("cat", "dog")) -> list[str]:
    return [f"{top}/{name}" for top in tops for name in classes]


SPLITS = {
    "keras": nested("training_set", "test_set"),
    "intel": [*nested("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred"],
    "coco": nested("train2017", "val2017"),
    "blank": nested("Train ", "Test"),
    "prefixed": nested("data-train", "data-val", "data-test"),
    "capitals": nested("TrainData", "TestData"),
    "grown together": nested("mytrain", "mytest"),
    "holdout": nested("dev", "holdout"),
    "no train": nested("val", "test"),
    "korean": nested("학습", "검증"),
    "folds": nested(*(f"fold{number}" for number in range(1, 6))),
    "sources": nested("site_a", "site_b"),
    "wrapped": nested("data"),
    "wrapped splits": nested("data/train", "data/test"),
    "train too deep": nested("train/train", "test/test"),
    "train and more": nested("train", "extra"),
    "train and a class in it": nested("train", "vehicles"),
}


@pytest.mark.parametrize("folders", SPLITS.values(), ids=SPLITS.keys())
def test_what_is_refused_says_what_to_give_and_that_works(tmp_path: Path, folders: list[str]) -> None:
    root = data(tmp_path / "my photos", folders)
    with pytest.raises(ValueError, match="give ") as caught:
        open_images(root)
    message = str(caught.value)
    assert "\n" not in message and str(root) in message
    advice = shlex.split(re.split(r"[;,]? give ", message)[1].partition(";")[0].replace("...", "").replace("DIR", "?"))
    if not advice[0].startswith("--"):
        assert open_images(advice[0]).classes == ("cat", "dog")
        return
    flags: dict[str, list[str]] = {"--train": [], "--val": [], "--test": []}
    for flag, folder in zip(advice[::2], advice[1::2], strict=True):
        flags[flag].append(folder if folder != "?" else str(data(tmp_path / "more", ["cat", "dog"])))
    train, val, test = map(tuple, flags.values())
    images = open_images(ByFolder(train, val, test).data(None))
    assert images.classes == ("cat", "dog")
    given_splits = [name for name, folders in (("train", train), ("validation", val), ("test", test)) if folders]
    assert images.given == (() if given_splits == ["train"] else tuple(given_splits))


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["train_images", "val_images"], "train_images, val_images .* look like splits .* into class folders"),
        (["train", "test1"], "test1, train .* look like splits"),
        ([*nested("train"), "test"], "the images in test .* lie in no class folders.* give --train"),
        ([*nested("train"), "test1"], "give --train .*, or put the images of test1 into class folders"),
        (nested("real", "fake", classes=("train", "test")), "fake, real .* hold splits inside"),
        (nested("train", "Train"), "Train, train, which are all train; keep one"),
    ],
)
def test_splits_that_no_option_mends_say_why(tmp_path: Path, folders: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        open_images(data(tmp_path / "data", folders))
    assert "\n" not in str(caught.value)


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    root = data(tmp_path / "data", nested("train", "test"))
    (root / "val").mkdir()
    with pytest.raises(ValueError, match=r"val of .* holds no images; fill it or take it out"):
        open_images(root)


@pytest.mark.parametrize(
    "folders",
    [
        ["train", "bus", "car"],
        ["bullet_train", "test_tube", "valley"],
        ["test", "control"],
        ["good/camera", "bad/camera"],
        ["cat/2019", "cat/2020", "dog/2021", "emu"],
        [f"{digit}" for digit in range(10)],
    ],
)
def test_classes_are_classes_whatever_they_are_called(tmp_path: Path, folders: list[str]) -> None:
    tops = tuple(sorted({folder.partition("/")[0] for folder in folders}))
    assert open_images(data(tmp_path / "data", folders)).classes == tops


def test_the_way_out_takes_the_folders_for_classes(tmp_path: Path) -> None:
    root = data(tmp_path / "data", nested("good", "bad", classes=("camera1", "camera2")))
    with pytest.raises(ValueError, match="if they are classes, give --train"):
        open_images(root)
    assert open_images(Folders(train=root)).classes == ("bad", "good")


ROLES = (("train", "training"), ("val", "valid", "validation", "dev"), ("test", "testing", "holdout"))


@given(
    st.sampled_from(list(itertools.combinations(range(3), 2))).flatmap(
        lambda pair: st.tuples(*(st.sampled_from(ROLES[role]) for role in pair))
    ),
    st.sampled_from(["", "seg", "xyz", "horse2zebra", "a"]),
    st.sampled_from(["_", "-", " ", "."]),
    st.sampled_from(["", "set", "images", "2017", "1", "data"]),
    st.booleans(),
)
def test_two_splits_named_alike_are_seen(
    words: tuple[str, str], before: str, between: str, after: str, capitals: bool
) -> None:
    names = [between.join(part for part in (before, word, after) if part) for word in words]
    names = [name.upper() if capitals else name for name in names]
    assert set(spoken_splits([*names, "bus", "car"])) == set(names)
    assert spoken_splits([names[0], "bus", "car"]) == {}


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return data(tmp_path / "parts", nested("a", "b", "c"), 16)


@pytest.mark.parametrize(
    ("given_parts", "counts", "words"),
    [
        (("a",), (22, 4, 6), "70/10/20 of every class"),
        (("a", None, "c"), (28, 4, 32), "validation is carved from train: 12.5 %"),
        (("a", "b"), (26, 32, 6), "test is carved from train: 20 %"),
        (("a", "b", "c"), (32, 32, 32), "as the folders are"),
    ],
)
def test_what_is_not_given_is_carved_and_said(
    parts: Path, given_parts: tuple[str | None, ...], counts: tuple[int, ...], words: str
) -> None:
    places = [() if part is None else parts / part for part in (*given_parts, None, None)[:3]]
    images = open_images(Folders(*places))
    assert images.classes == ("cat", "dog")
    assert tuple(len(images.indices(split)) for split in ("train", "validation", "test")) == counts
    assert re.search(words, lines_of(images)[1])
    tests = {images.files[index].split("/")[0] for index in images.indices("test")}
    assert tests == ({"c"} if len(given_parts) == 3 else {"cat", "dog"} if len(given_parts) == 1 else {"a"})


def test_several_folders_make_one_split(parts: Path) -> None:
    images = open_images(Folders(train=(parts / "a", parts / "b"), test=str(parts / "c")))
    assert tuple(len(images.indices(split)) for split in ("train", "validation", "test")) == (56, 8, 32)


def test_a_list_in_a_given_folder(tmp_path: Path) -> None:
    for part in ("a", "b"):
        fill(tmp_path / part / "all", 8)
        rows = [
            f"all/{file.name},{'cat' if at % 2 else 'dog'}"
            for at, file in enumerate((tmp_path / part / "all").iterdir())
        ]
        (tmp_path / part / "labels.csv").write_text("\n".join(["file,label", *rows]))
    images = open_images(Folders(train=tmp_path / "a", test=tmp_path / "b"))
    assert images.classes == ("cat", "dog") and len(images.indices("test")) == 8
    (tmp_path / "b" / "labels.csv").write_text(f"file,label,split\n{rows[0]},train\n")
    with pytest.raises(ValueError, match=r"line 2 of .*labels\.csv says train, but the folder is given as test"):
        open_images(Folders(train=tmp_path / "a", test=tmp_path / "b"))


def test_classes_must_agree(parts: Path) -> None:
    fill(parts / "c" / "emu")
    with pytest.raises(ValueError, match=r"class emu of --train .* has no image in train, but one in test \(c/emu\)"):
        open_images(Folders(train=parts / "a", test=parts / "c"))
    fill(parts / "a" / "fox", 8)
    lines = lines_of(open_images(Folders(train=parts / "a", test=parts / "b")))
    assert "no image in test of fox: its score says nothing about them" in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give at least one folder"),
        (("",), "--train is an empty name"),
        (("a", "a"), "--val a and --train a are one folder"),
        (("a", (), "./a"), "are one folder"),
        (("a", "a/cat"), "lie inside one another"),
        ((3,), "train holds 3; give folders by their paths"),
        (((3,),), "train holds 3"),
    ],
)
def test_folders_that_cannot_be_meant(
    parts: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], words: str
) -> None:
    monkeypatch.chdir(parts)
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        Folders(*arguments)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_name_is_no_folder(empty: str) -> None:
    with pytest.raises(ValueError, match="an empty name"):
        open_images(empty)
    with pytest.raises(TypeError, match=r"data is 3; it must be a folder .*, digits, or Folders"):
        open_images(3)  # pyright: ignore[reportArgumentType]


def test_the_same_folders_are_the_same_run_and_are_found_again(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(parts)
    near, far = Folders(train="a", test="./c"), Folders(train=parts / "a", test=[parts / "c"])

    def folder_of(data: Data) -> Path:
        return run_folder(None, data, "train", AUTO)

    assert folder_of(near) == folder_of(far) and folder_of(near).name.startswith("parts-")
    assert folder_of(near) != folder_of(Folders(train="a", val="c"))
    assert folder_of(Folders(train="a")) != folder_of("a")
    assert folder_of("a") != run_folder(None, "a", "solve", AUTO) != run_folder(None, "a", "solve", Augment(flip="on"))
    images = open_images(near)
    record = from_plain(DataRecord, json.loads(json.dumps(to_plain(data_record(near, images)))), "the file")
    assert record == data_record(near, images)
    assert open_images(record.data).fingerprint == images.fingerprint
    assert data_words(record.data) == ["--train", str(parts / "a"), "--test", str(parts / "c")]
    assert all(Path(record.path, file).is_file() for file in images.files)
    assert data_record("a", open_images("a")).data == str(parts / "a")
    context = JobContext(near, 0, 8, "training")
    assert opened(context.data, context.split_seed, context.side_px)[0] == images, "as a worker opens them"


def test_what_is_trained_is_said_first(parts: Path, capsys: Capture) -> None:
    fill(parts, 1)
    for file in ("cat/notes.txt", "dog/more.TXT", "dog/x.xml"):
        (parts / "a" / file).write_text("x")
    cat = next((parts / "a" / "cat").iterdir()).read_bytes()
    (parts / "a" / "dog" / "copy.bmp").write_bytes(cat)
    fill(parts / "a", 2)
    tell_images(open_images(Folders(train=parts / "a", test=parts / "c")), plain_lines())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "parts: 65 images of 2 classes: cat 32, dog 33"
    assert lines[1].startswith("splits: ") and lines[1].endswith("32 test (validation is carved from train: 12.5 %)")
    assert any(line.startswith("left out: 2 images whose pictures lie in two classes: ") for line in lines)
    assert any(line.startswith("left out: 2 images outside of class folders: a/") for line in lines)
    assert "left out: 3 files that are not images: .txt 2, .xml 1" in lines


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    tell_images(open_images(data(tmp_path / "data", ["cat\x1b[31m", "dog"])), plain_lines())
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["solve", "train", "compare", "search coefficients", "search baseline", "search family"]
)
def test_commands_take_folders_or_data_and_leave_nothing_behind(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    limits = [] if command == "search coefficients" else ["--macs", "5M"]
    more = ["--network", "mobilenet_v2", "--epochs", "1"] if command == "train" else []
    for arguments, words in (
        ([], "give DATA, a folder"),
        (["digits", "--train", "a"], "give either DATA or --train"),
        (["--test", "a"], "nothing to train on; give --train DIR as well"),
        (["--train", "nowhere"], "there is no folder nowhere"),
        ([""], "an empty name"),
    ):
        assert main([*command.split(), *arguments, *limits, *more]) == 2
        assert words in capsys.readouterr().err
    assert list(tmp_path.glob("runs/*")) == []
