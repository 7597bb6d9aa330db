"""Folders that hold what no one expects: loops, pipes, devices, closed doors, bombs, files that are not images."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from budgetnet import build, explain, network, open_images, predict
from budgetnet.cli import main
from budgetnet.data import decode
from budgetnet.data.decode import flatten, look
from budgetnet.data.files import MOST_PIXELS, Room, kind_of, open_image
from budgetnet.data.store import cache_folder, in_threads
from budgetnet.data.walk import matching, walk
from budgetnet.model.weights import save_weights
from budgetnet.parallel.progress import Update
from budgetnet.training.predict import Prediction, Unreadable

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of ten small images."""
    root = tmp_path / "photos"
    for number in range(20):
        folder = root / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), number * 12, np.uint8)).save(folder / f"{number:02d}.png")
    return root


def closed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Folders that cannot be read, also for root, whom no mode keeps out."""
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if Path(path).name in names:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def make_hostile(photos: Path) -> None:
    (photos / "self").symlink_to("self")
    (photos / "cat" / "self").symlink_to("self")
    (photos / "cat" / "self.png").symlink_to("self.png")
    (photos / "cat" / "around").symlink_to(photos, target_is_directory=True)
    (photos / "around").symlink_to(photos, target_is_directory=True)
    (photos / "cat" / "deep").mkdir()
    (photos / "cat" / "deep" / "up").symlink_to(photos / "cat", target_is_directory=True)
    (photos / "dog" / "lost").symlink_to(photos / "nowhere")
    os.mkfifo(photos / "dog" / "pipe.png")
    (photos / "dog" / "zero.png").symlink_to("/dev/zero")
    (photos / "dog" / "closed").mkdir()


HOSTILE = {
    "self": "Too many levels of symbolic links",
    "cat/self": "Too many levels of symbolic links",
    "cat/self.png": "Too many levels of symbolic links",
    "cat/around": "a link to a folder that it lies in",
    "around": "a link to a folder that it lies in",
    "cat/deep/up": "a link to a folder that it lies in",
    "dog/lost": "No such file or directory",
    "dog/pipe.png": "a named pipe, not a file",
    "dog/zero.png": "a device, not a file",
    "dog/closed": "Permission denied",
}


def test_all_that_is_none_is_listed_and_the_rest_is_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_hostile(photos)
    closed(monkeypatch, "closed")
    images = open_images(photos)
    assert images.classes == ("cat", "dog") and len(images) == 20
    assert dict(images.unreadable) == HOSTILE


def test_a_class_behind_a_closed_door_is_an_error(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "emu").mkdir()
    closed(monkeypatch, "emu")
    with pytest.raises(ValueError, match=r"class folder emu of .* holds no images \(Permission denied\)"):
        open_images(photos)
    closed(monkeypatch, "photos")
    with pytest.raises(ValueError, match=r"photos cannot be read: Permission denied"):
        open_images(photos)


def test_links_that_double_at_each_step_end(tmp_path: Path) -> None:
    """Forty folders with two links to the next one are 2**40 paths."""
    for number in range(40):
        folder = tmp_path / "links" / f"{number}"
        folder.mkdir(parents=True)
        for link in ("a", "b"):
            (folder / link).symlink_to(tmp_path / "links" / f"{number + 1}", target_is_directory=True)
    end = tmp_path / "links" / "40"
    end.mkdir()
    (end / "x.png").write_bytes(b"")
    found = [entry.path for entry in walk(tmp_path / "links" / "0") if entry.status is not None]
    assert [Path(path).resolve() for path in found] == [end / "x.png"]
    globbed = [entry.path for entry in matching(f"{tmp_path}/links/0/**/*.png") if entry.problem is None]
    assert [Path(path).resolve() for path in globbed] == [end / "x.png"]


def test_folders_deeper_than_the_stack(tmp_path: Path) -> None:
    try:
        here = os.open(tmp_path, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("deep.png", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        assert [Path(entry.path).name for entry in walk(tmp_path)] == ["deep.png"]
    finally:  # what removes temporary folders would go as deep as the stack
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    model = build(network("mobilenet_v3_small", classes=2, resolution_px=32), seed=1)
    preprocessing = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    save_weights(folder / "weights.safetensors", model, ("cat", "dog"), preprocessing)
    return folder


@pytest.mark.parametrize("asked", ["", "**", "**/*"])
def test_predict_names_what_it_cannot_answer(
    photos: Path, run: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    make_hostile(photos)
    closed(monkeypatch, "closed")
    answers = list(predict(run, str(photos / asked) if asked else photos))
    assert sum(isinstance(one, Prediction) for one in answers) == 20
    reasons = {
        Path(one.path).relative_to(photos).as_posix(): one.reason for one in answers if isinstance(one, Unreadable)
    }
    assert reasons == HOSTILE


def test_predict_says_so_in_its_exit_code(
    photos: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main(["predict", str(run), str(photos)]) == 0
    (photos / "cat" / "closed").mkdir()
    closed(monkeypatch, "closed")
    assert main(["predict", str(run), str(photos)]) == 1
    captured = capsys.readouterr()
    assert f"{photos}/cat/closed: Permission denied" in captured.err
    assert main(["predict", str(run), str(photos / "cat" / "closed")]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_folders_behind_links_are_answered_once(photos: Path, run: Path) -> None:
    (photos / "more").symlink_to(photos / "cat", target_is_directory=True)
    (photos.parent / "linked").mkdir()
    (photos.parent / "linked" / "here").symlink_to(photos / "dog", target_is_directory=True)
    assert len(list(predict(run, photos))) == 20
    assert len(list(predict(run, photos.parent / "linked"))) == 10


def specials(folder: Path) -> Iterator[tuple[Path, str]]:
    os.mkfifo(folder / "pipe")
    yield folder / "pipe", "a named pipe, not a file"
    listening = socket.socket(socket.AF_UNIX)
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)  # the path of a socket is short
    try:
        listening.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
    yield folder / "socket", "a socket, not a file"
    yield Path("/dev/zero"), "a device, not a file"
    yield Path("/dev/tty"), "a device, not a file"
    yield folder, "a folder, not a file"
    listening.close()


def test_nothing_that_is_read_can_hang(tmp_path: Path, run: Path) -> None:
    for path, words in specials(tmp_path):
        for read in (look, lambda path: decode(path, 3)):
            with pytest.raises(ValueError, match=words):
                read(path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="there is no image at"):
        predict(run, tmp_path / "empty")
    found = list(predict(run, [tmp_path / "pipe.png", "/dev/zero"]))
    assert [one.reason for one in found if isinstance(one, Unreadable)] == [
        "a named pipe, not a file",
        "a device, not a file",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty; copy it again"),
        (bytes(5000), "zero bytes only, as of a copy that broke off"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS.*`git lfs pull`"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC, which is not read; convert it to JPEG or PNG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a film, which is not read"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\n <!DOCTYPE HTML><html>404", "a web page and not an image; download it again"),
        (b'{"error": "quota"}', "JSON and not an image"),
        (b"\xef\xbb\xbf<svg xmlns=''/>", "SVG, which is not read"),
        (b"%PDF-1.7", "a PDF; convert it"),
        (b"PK\3\4....", "a ZIP archive; unpack it"),
        (b"hello", "not an image of a known format"),
    ],
)
def test_a_file_that_is_no_image_says_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        decode(path, 3)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=words):
        look(path)


@given(st.binary(max_size=64))
def test_any_bytes_have_a_kind_or_none(head: bytes) -> None:
    what = kind_of(head)
    assert what is None or ("\n" not in what and what)


LISTS = {
    "utf-16": ("file,label\nall/0.png,cat\n".encode("utf-16"), r"labels\.csv is in UTF-16; save it as UTF-8"),
    "latin": ("file,label\nall/0.png,käfer\n".encode("cp1252"), r"line 2 of .*labels\.csv is not in UTF-8"),
    "open quote": (b'file,label\nall/0.png,cat\nall/1.png,"dog\nall/2.png,cat\n', "line 3 of .* never closed"),
    "two quotes": (b'file,label\nall/0.png,"cat\nall/1.png,dog"\nall/2.png,cat\n', "line 2 of .* that line 3 closes"),
    "after a quote": (b'file,label\nall/0.png,"cat" x\n', r"line 2 of .*labels\.csv is not CSV"),
    "zeros": (b"file,label\nall/0.png,cat\n\0\0\0", "zero bytes"),
    "empty": (b"", r"labels\.csv is empty"),
    "long": (b"file,label\n" + b"x" * 200_000 + b",cat\n", r"line 2 of .*labels\.csv"),
}


@pytest.mark.parametrize(("content", "words"), LISTS.values(), ids=LISTS.keys())
def test_a_list_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    (tmp_path / "all").mkdir()
    for number in range(3):
        Image.new("L", (2, 2), number).save(tmp_path / "all" / f"{number}.png")
    with pytest.raises(ValueError, match=words) as caught:
        open_images(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_list_of_another_country(tmp_path: Path, delimiter: str) -> None:
    rows = ["file,label", *(f"{number}.png,{'cat' if number % 2 else 'dog'}" for number in range(8))]
    (tmp_path / "labels.csv").write_text("\r\n".join(rows).replace(",", delimiter), encoding="utf-8-sig")
    for number in range(8):
        Image.new("L", (2, 2), number).save(tmp_path / f"{number}.png")
    assert open_images(tmp_path).classes == ("cat", "dog")


def test_one_picture_in_two_classes_is_named(tmp_path: Path) -> None:
    for folder in ("cat", "dog"):
        (tmp_path / folder).mkdir()
        for number in range(4):
            Image.new("L", (2, 2), number).save(tmp_path / folder / f"{number}.png")
    words = (
        r"class cat has 0 distinct images to train on; it needs at least 3: 4 more are left out because the same "
        r"picture lies in dog, too, as cat/0\.png and dog/0\.png; keep each picture in one place"
    )
    with pytest.raises(ValueError, match=words):
        open_images(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    for folder in ("cat", "dog"):
        for number in range(4):
            Image.new("L", (2, 2), number + 4 * (folder == "dog")).save(tmp_path / folder / f"{number}.png")
        os.rename(tmp_path / folder, tmp_path / "train" / folder)
        (tmp_path / "test" / folder).symlink_to(tmp_path / "train" / folder, target_is_directory=True)
    with pytest.raises(ValueError, match="lies in another split, too, as train/cat/0"):
        open_images(tmp_path)


def bomb(path: Path, width: int, height: int, rows: int = 0) -> Path:
    """A PNG of that many black pixels of a bit, of which only so many rows are there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes((width + 7) // 8 + 1) * rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))
    return path


def test_the_limit_of_pixels_is_ours_and_above_real_photos(tmp_path: Path) -> None:
    with open_image(bomb(tmp_path / "phone.png", 16320, 12240)) as (_, image):  # 200 million: the largest of telephones
        assert image.size == (16320, 12240)
    for width, height in ((16385, 16385), (2**31 - 1, 1), (60_000, 60_000)):
        path = bomb(tmp_path / "bomb.png", width, height)
        if width * height > MOST_PIXELS:
            with pytest.raises(
                ValueError, match=r"pixels are more than the limit of 268,435,456|more pixels than the limit"
            ):
                look(path)


def test_large_images_wait_for_one_another(tmp_path: Path) -> None:
    """Whatever the number of threads, images above the room are decoded one at a time, small ones together."""
    room = Room(10_000)
    held, most, lock = 0, 0, threading.Lock()
    paths = [bomb(tmp_path / f"{side}-{number}.png", side, side) for side in (50, 90, 300) for number in range(6)]

    def use(path: Path) -> None:
        nonlocal held, most
        with open_image(path, room=room) as (_, image):
            pixels = image.size[0] * image.size[1]
            with lock:
                held += pixels
                assert held <= max(10_000, pixels)
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= pixels

    threads = [threading.Thread(target=use, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == 0 and most == 300 * 300
    assert (cache_folder() / "large-image.lock").exists(), "other processes wait, too"


def test_alpha_in_strips_is_alpha_at_once() -> None:
    random = np.random.default_rng(0)
    pixels = Image.fromarray(random.integers(0, 256, (37, 11, 4), dtype=np.uint8), "RGBA")
    grey = pixels.convert("LA")
    palette = pixels.convert("RGB").quantize(7)
    palette.info["transparency"] = 3
    for image in (pixels, grey, palette):
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        for channels, mode in ((3, "RGB"), (1, "L")):
            np.testing.assert_array_equal(flatten(image, channels, strip_pixels=50), white.convert("RGB").convert(mode))


def test_progress_begins_before_the_first_item_and_ends_with_the_last() -> None:
    told: list[Update] = []
    assert in_threads(lambda item: item + 1, range(100), "counting", told.append) == list(range(1, 101))
    assert told[0] == Update("counting", 0, 100) and told[-1] == Update("counting", 100, 100)
    assert [update.done for update in told] == sorted(update.done for update in told)
    told.clear()
    assert in_threads(lambda item: item, [], "counting", told.append) == [] and not told


@pytest.mark.slow
def test_explain_passes_over_what_a_folder_holds_besides(photos: Path, run: Path, tmp_path: Path) -> None:
    (photos / "cat" / "around").symlink_to(photos, target_is_directory=True)
    os.mkfifo(photos / "dog" / "pipe.png")
    with pytest.warns(UserWarning, match="it is passed over") as told:
        found = explain(run, photos, drawn=1, out=tmp_path / "explain")
    assert len(found.images) == 20
    assert sorted(str(one.message).split(": ")[1] for one in told) == [
        "a link to a folder that it lies in; it is passed over",
        "a named pipe, not a file; it is passed over",
    ]
