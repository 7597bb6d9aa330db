"""`open_images`: layouts, splits, duplicates, unreadable files, what is remembered."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from budgetnet.data import ImageSet, open_images
from budgetnet.data.split import assign
from budgetnet.parallel.progress import Update


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def write(path: Path, number: int, size: tuple[int, int] = (6, 4)) -> Path:
    """A distinct image for every number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), number % 251, np.uint8)
    pixels[0, 0] = (number // 251, number % 7, 1)
    Image.fromarray(pixels).save(path)
    return path


def fill(folder: Path, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        write(folder / f"{number:04d}.png", number)


def of(images: ImageSet, split: str) -> set[str]:
    return {images.files[index] for index in images.indices(split)}


def content(images: ImageSet, split: str) -> set[str]:
    return {images.digests[index] for index in images.indices(split)}


def test_our_own_split(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 50)
    fill(tmp_path / "data" / "ape", 20, 1000)
    images = open_images(tmp_path / "data")
    assert images.classes == ("ape", "cat")
    assert images.files == tuple(sorted(images.files))
    assert len(images) == 70
    assert images.sizes_px[0] == (4, 6)
    assert (images.name, images.in_channels, images.median_short_side_px) == ("data", 3, 4)
    for label, counts in ((0, (14, 2, 4)), (1, (35, 5, 10))):
        assert (
            tuple(
                Counter(s for s, one in zip(images.split, images.labels, strict=True) if one == label)[place]
                for place in range(3)
            )
            == counts
        )
    assert open_images(str(tmp_path / "data")) == images
    assert open_images(tmp_path / "data", seed=1).split != images.split
    with pytest.raises(ValueError, match="split is 'all'; choose one of train, validation, test"):
        images.indices("all")


def test_the_split_follows_content_and_not_names(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / "a" / "x" / f"{number}.png", number)
        write(tmp_path / "a" / "y" / f"{number}.png", 500 + number)
        write(tmp_path / "b" / "x" / "deeper" / f"other{97 - number}.png", number)
        write(tmp_path / "b" / "y" / f"other{97 - number}.png", 500 + number)
    one, two = open_images(tmp_path / "a"), open_images(tmp_path / "b")
    assert all(content(one, split) == content(two, split) for split in ("train", "validation", "test"))
    assert one.fingerprint != two.fingerprint, "another order of the files draws other augmentation"
    assert one.fingerprint != open_images(tmp_path / "a", seed=3).fingerprint


@given(st.lists(st.integers(3, 60), min_size=2, max_size=4), st.integers(0, 5), st.integers(0, 10_000))
def test_split_shares_and_copies(counts: list[int], copies: int, seed: int) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    digests = [f"{label} {index}" for index, label in enumerate(labels)]
    labels, digests = labels + labels[:copies], digests + digests[:copies]
    split, pairs = assign(labels, digests, [None] * len(labels), [str(label) for label in range(len(counts))], seed)
    assert not pairs
    place = dict(zip(digests, split, strict=True))
    assert [place[digest] for digest in digests] == split  # equal content, equal place
    for label, count in enumerate(counts):
        held = Counter(where for digest, where in place.items() if digest.startswith(f"{label} "))
        assert (held[2], held[1]) == (max(1, round(0.2 * count)), max(1, round(0.1 * count)))
        assert held[0] == count - held[1] - held[2] > 0


def given_split(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        fill(root / name / "cat", 40, 100 * number)
        fill(root / name / "dog", 16, 5000 + 100 * number)
    return root


@pytest.mark.parametrize(
    ("names", "counts"),
    [
        (("train", "val", "test"), (56, 56, 56)),
        (("Train", "validation", "TEST"), (56, 56, 56)),
        (("train", "test"), (49, 7, 56)),
        (("train", "valid"), (45, 56, 11)),
        (("train",), (39, 6, 11)),
    ],
)
def test_given_splits(tmp_path: Path, names: tuple[str, ...], counts: tuple[int, int, int]) -> None:
    images = open_images(given_split(tmp_path / "data", *names))
    assert images.classes == ("cat", "dog")
    assert tuple(len(images.indices(split)) for split in ("train", "validation", "test")) == counts
    for name, split in (("test", "test"), ("TEST", "test"), ("val", "validation")):
        if name in names:
            assert {file.split("/")[0] for file in of(images, split)} == {name}


def test_leaks_between_given_splits_are_left_out(tmp_path: Path) -> None:
    root = given_split(tmp_path / "data", "train", "val", "test")
    write(root / "train" / "cat" / "leak.png", 203)  # equals test/cat/0203.png
    write(root / "val" / "cat" / "leak.png", 204)
    write(root / "train" / "dog" / "leak.png", 105)  # equals val/cat/0105.png, another class
    images = open_images(root)
    assert dict(images.duplicates) == {
        "train/cat/leak.png": "test/cat/0203.png",
        "train/dog/leak.png": "val/cat/0105.png",
        "val/cat/leak.png": "test/cat/0204.png",
    }
    assert [images.split[images.files.index(file)] for file in dict(images.duplicates)] == [3, 3, 3]
    assert content(images, "train").isdisjoint(content(images, "test") | content(images, "validation"))


def test_copies_stay_together_and_contradictions_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 30)
    fill(tmp_path / "data" / "dog", 30, 100)
    for number in range(30):
        write(tmp_path / "data" / "cat" / f"copy{number}.png", number)
    write(tmp_path / "data" / "dog" / "cat.png", 7)
    images = open_images(tmp_path / "data")
    assert dict(images.duplicates) == {
        "cat/0007.png": "dog/cat.png",
        "cat/copy7.png": "dog/cat.png",
        "dog/cat.png": "cat/0007.png",
    }
    sets = [content(images, split) for split in ("train", "validation", "test")]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 59


def test_unreadable_files_are_listed_and_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 30)
    fill(tmp_path / "data" / "dog", 10, 100)
    (tmp_path / "data" / "dog" / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "data" / "dog" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    images = open_images(tmp_path / "data")
    assert dict(images.unreadable) == {
        "dog/bad.jpg": "not an image of a known format",
        "dog/lost.png": "No such file or directory",
    }
    assert len(images) == 40
    (tmp_path / "data" / "cat" / "bad.webp").write_bytes(b"no image")
    with pytest.raises(
        ValueError, match=r"3 of 43 images of .*data cannot be read, the first is cat/bad\.webp \(not an image"
    ):
        open_images(tmp_path / "data")


def test_other_files_are_counted_and_ignored(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 5)
    fill(tmp_path / "data" / "dog", 5, 100)
    for file in (
        "cat/notes.txt",
        "cat/Thumbs.db",
        "dog/.DS_Store",
        "dog/._0101.png",
        "__MACOSX/cat/x.png",
        ".git/dog/x.png",
    ):
        path = tmp_path / "data" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    (tmp_path / "data" / "cat" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    os.mkfifo(tmp_path / "data" / "dog" / "pipe.png")
    images = open_images(tmp_path / "data")
    assert images.classes == ("cat", "dog")
    assert dict(images.unreadable) == {
        "cat/loop": "a link to a folder that it lies in",
        "dog/pipe.png": "a named pipe, not a file",
    }
    assert images.ignored == 4


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "car", "bus")):
        fill(tmp_path / "data" / name, 5, 100 * number)
    assert open_images(tmp_path / "data").classes == ("bus", "car", "train")


def listed(folder: Path, header: str, rows: list[str]) -> Path:
    fill(folder / "all", 30)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return folder


def test_a_list_stands_for_class_folders(tmp_path: Path) -> None:
    names = ["house_finch", "tench", "hen"]
    rows = [f"all/{number:04d}.png,{number % 3},{names[number % 3]}" for number in range(30)]
    images = open_images(listed(tmp_path / "data", "file,class_index,name", rows))
    assert images.classes == ("hen", "house_finch", "tench") and len(images) == 30
    assert images.classes[images.labels[images.files.index("all/0004.png")]] == "tench"
    assert {len(images.indices(split)) for split in ("train", "validation", "test")} == {21, 3, 6}


def test_a_list_may_give_the_split(tmp_path: Path) -> None:
    rows = [f"{'ab'[number % 2]},all/{number:04d}.png,{'test' if number < 6 else 'train'}" for number in range(30)]
    images = open_images(listed(tmp_path / "data", "Label,Path,Split", rows))
    assert of(images, "test") == {f"all/{number:04d}.png" for number in range(6)}
    whole = open_images(tmp_path / "data", whole=True)
    assert len(whole.indices("train")) == 24 and len(whole.indices("test")) == 6


def test_all_that_is_in_no_split_is_tested_where_nothing_is_trained(tmp_path: Path) -> None:
    write(tmp_path / "data" / "cat" / "one.png", 1)
    write(tmp_path / "data" / "dog" / "two.png", 2)
    assert len(open_images(tmp_path / "data", whole=True).indices("test")) == 2


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("file,label", "all/0099.png,cat", "line 2 of .* names no file and class of that folder: 'all/0099.png'"),
        ("file,label", "../data/all/0001.png,", "names no file and class"),
        ("file,label", "../outside.png,cat", "names no file and class"),
        ("file,label", "all/0001.png,cat", "names 1 class; a classifier needs at least two"),
        ("file,label,split", "all/0001.png,cat,exam", "has split 'exam'; it is train, val or test"),
        ("picture,label", "all/0001.png,cat", "has no column file; its first line must name"),
        ("file,kind", "all/0001.png,cat", "has no column label"),
        ("file,label", "all/0001.png,cat\nall/0001.png,dog", "names a file twice"),
    ],
)
def test_a_bad_list_is_one_line(tmp_path: Path, header: str, row: str, message: str) -> None:
    write(tmp_path / "outside.png", 3)
    with pytest.raises(ValueError, match=message) as caught:
        open_images(listed(tmp_path / "data", header, [row]))
    assert "\n" not in str(caught.value)


def test_greyscale_data_has_one_channel(tmp_path: Path) -> None:
    for number in range(10):
        path = write(tmp_path / "data" / f"{number % 2}" / f"{number}.png", number)
        Image.open(path).convert("L").save(path)
    assert open_images(tmp_path / "data").in_channels == 1
    write(tmp_path / "data" / "0" / "colour.png", 77)
    assert open_images(tmp_path / "data").in_channels == 3


def only_text(root: Path) -> None:
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "notes.txt").write_text("x")


def flat(root: Path) -> None:
    fill(root, 4)


def one_class(root: Path) -> None:
    fill(root / "cat", 4)


def empty_class(root: Path) -> None:
    fill(root / "cat", 4)
    fill(root / "dog", 4, 100)
    (root / "emu").mkdir()


def small_class(root: Path) -> None:
    fill(root / "cat", 4)
    fill(root / "dog", 2, 100)


def copied_class(root: Path) -> None:
    small_class(root)
    write(root / "dog" / "copy.png", 100)


def train_and_more(root: Path) -> None:
    given_split(root, "train", "extra")


def unknown_class(root: Path) -> None:
    given_split(root, "train", "test")
    fill(root / "test" / "emu", 2, 9000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, r"there is no folder .*data; give a folder that holds a folder for each class, or digits"),
        (only_text, "holds no images"),
        (flat, "holds 4 images but no class folders"),
        (one_class, r"holds one class only \(cat\)"),
        (empty_class, "class folder emu of .* holds no images"),
        (small_class, "class dog has 2 distinct images to train on; it needs at least 3"),
        (copied_class, "class dog has 2 distinct images to train on; it needs at least 3"),
        (train_and_more, "holds train and also extra"),
        (unknown_class, "class emu of .* has no image in train"),
    ],
)
def test_one_clear_line(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "data")
    with pytest.raises(ValueError, match=message) as caught:
        open_images(tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_the_second_start_opens_only_what_changed(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 10)
    fill(tmp_path / "data" / "dog", 10, 100)
    updates: list[Update] = []
    first = open_images(tmp_path / "data", progress=updates.append)
    assert updates[-1] == Update("reading images", 20, 20)
    updates.clear()
    assert open_images(tmp_path / "data", progress=updates.append) == first
    assert not updates
    write(tmp_path / "data" / "cat" / "0003.png", 222, size=(9, 9))
    changed = open_images(tmp_path / "data", progress=updates.append)
    assert updates[-1] == Update("reading images", 1, 1)
    assert changed.sizes_px[changed.files.index("cat/0003.png")] == (9, 9)
    for memory in (tmp_path / "cache" / "budgetnet" / "scans").iterdir():
        memory.write_text('{"format": "budgetnet.scan.v1", "seen": [')
    assert open_images(tmp_path / "data") == changed


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "cat", 40)
    fill(tmp_path / "data" / "dog", 40, 100)
    updates: list[Update] = []
    open_images(tmp_path / "data", progress=updates.append)
    assert updates[-1] == Update("reading images", 80, 80)
    assert [update.done for update in updates] == sorted(update.done for update in updates)


def test_digits() -> None:
    images = open_images("digits")
    assert (len(images), images.classes, images.in_channels) == (1797, tuple("0123456789"), 1)
    assert [len(images.indices(split)) for split in ("train", "validation", "test")] == [1259, 179, 359]
    assert images == open_images("digits")
    assert images.split != open_images("digits", seed=1).split


def test_trashnet(shared_data: Callable[[str], Path]) -> None:
    images = open_images(shared_data("trashnet112"))
    assert (len(images), len(images.classes)) == (2527, 6)
    assert images.classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    # The data holds three photos twice, under two classes.
    assert len(images.duplicates) == 6
    assert dict(images.duplicates)["glass/glass115.jpg"] == "metal/metal91.jpg"


@pytest.mark.slow
def test_cifar10(shared_data: Callable[[str], Path]) -> None:
    images = open_images(shared_data("cifar10"))
    assert [len(images.indices(split)) for split in ("train", "validation", "test")] == [8750, 1250, 2000]
    assert Counter(images.labels[index] for index in images.indices("validation")) == dict.fromkeys(range(10), 125)
