"""The pixel cache: right pixels, and never a wrong file, whatever is killed, full or changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from budgetnet.data import ImageSet, cache, decode, open_cache, open_images

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
BUILD = """
import sys
from pathlib import Path
from budgetnet.data.cache import open_cache
from budgetnet.data.scan import open_images
report = (lambda update: print(update.done, flush=True))
pixels = open_cache(open_images(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), progress=report)
print(pixels.source, int(sum(int(pixels[index].sum()) for index in range(len(pixels)))))
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def photos(root: Path, count: int = 12, side: int = 40) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        (root / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (side, side + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number % 2}" / f"{number}.png")
    return root


def sum_of(images: ImageSet, side_px: int) -> int:
    return sum(int(decode(Path(images.root) / file, 3, side_px).sum()) for file in images.files)


def start(data: Path, side_px: int, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(data), str(side_px), str(folder)]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": SOURCE}, text=True, stdout=subprocess.PIPE)


def files(folder: Path, pattern: str = "*.bin") -> list[Path]:
    return sorted((folder / "pixels").glob(pattern))


def test_the_cache_holds_what_decode_gives(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    pixels = open_cache(images, 16)
    assert pixels.source == "mapped"
    assert len(pixels) == 12
    for index, file in enumerate(images.files):
        expected = decode(Path(images.root) / file, 3, 16)
        assert pixels[index].shape[:2] == pixels.sizes_px[index] == expected.shape[:2]
        assert min(pixels[index].shape[:2]) == 16
        assert np.array_equal(pixels[index], expected)
    [file] = files(tmp_path / "home" / "budgetnet")
    before = file.read_bytes()
    pixels[0][:] = 0
    assert file.read_bytes() == before


def test_a_second_start_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = open_images(photos(tmp_path / "data"))
    first = open_cache(images, 16, tmp_path)
    monkeypatch.delattr(cache, "decode")
    again = open_cache(images, 16, tmp_path)
    assert all(np.array_equal(first[index], again[index]) for index in range(12))


def test_another_side_or_a_changed_file_is_another_cache(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    assert open_cache(images, 16, tmp_path)[0].shape[0] == 16
    assert open_cache(images, 20, tmp_path)[0].shape[0] == 20
    assert len(files(tmp_path)) == 2
    path = Path(images.root) / images.files[0]
    size_px = images.sizes_px[0]
    status = path.stat()
    Image.new("RGB", (size_px[1], size_px[0]), (9, 9, 9)).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert open_cache(open_images(tmp_path / "data"), 16, tmp_path)[0].max() == 9


def test_a_file_that_changed_since_the_scan(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    path = Path(images.root) / images.files[3]
    Image.new("RGB", (8, 80)).save(path)
    with pytest.raises(ValueError, match="has changed since the images were opened; start again"):
        open_cache(images, 16, tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="No such file or directory, but it was there when the images were opened"):
        open_cache(images, 16, tmp_path)
    assert not files(tmp_path, "*.bin*[!k]")


def test_above_the_limit_images_are_decoded_at_each_access(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    with pytest.warns(UserWarning, match="decoded again at each access, which is slower: .* exceed the limit"):
        slow = open_cache(images, 16, tmp_path, limit_bytes=1000)
    assert slow.source == "decoded"
    assert not (tmp_path / "pixels").exists()
    fast = open_cache(images, 16, tmp_path)
    assert slow.sizes_px == fast.sizes_px
    assert all(np.array_equal(slow[index], fast[index]) for index in range(12))


def test_a_damaged_length_is_made_anew(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    expected = open_cache(images, 16, tmp_path)[5].copy()
    os.truncate(files(tmp_path)[0], 100)
    assert np.array_equal(open_cache(images, 16, tmp_path)[5], expected)


@pytest.mark.slow
def test_kill_while_writing(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", count=160, side=200)
    process = start(data, 150, tmp_path)
    assert process.stdout is not None
    while not files(tmp_path, "*.part") and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not files(tmp_path)
    assert len(files(tmp_path, "*.part")) == 1
    images = open_images(data)
    pixels = open_cache(images, 150, tmp_path)
    assert sum(int(pixels[index].sum()) for index in range(len(pixels))) == sum_of(images, 150)
    assert len(files(tmp_path)) == 1
    assert not files(tmp_path, "*.part")


@pytest.mark.slow
def test_two_processes_at_once(tmp_path: Path) -> None:
    data = photos(tmp_path / "data", count=100, side=100)
    processes = [start(data, 80, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].split("\n") for process in processes]
    expected = f"mapped {sum_of(open_images(data), 80)}"
    assert [process.returncode for process in processes] == [0, 0]
    assert [output[-2] for output in outputs] == [expected, expected]
    assert len(files(tmp_path)) == 1


@pytest.mark.slow
def test_no_room_on_the_disk(tmp_path: Path) -> None:
    """A real write that fails half way, by a limit on file size: no damaged file, the same pixels."""
    data = photos(tmp_path / "data", count=40, side=100)
    images = open_images(data)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n" + BUILD
    command = [sys.executable, "-c", limited, str(data), "100", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": SOURCE}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=True, timeout=60)
    assert done.stdout.split("\n")[-2] == f"decoded {sum_of(images, 100)}"
    assert "images are decoded again at each access, which is slower" in done.stderr
    assert "File too large" in done.stderr
    assert not files(tmp_path, "*.bin*[!k]")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    images = open_images(photos(tmp_path / "data"))
    (tmp_path / "file").write_text("no folder")
    with pytest.warns(UserWarning, match="decoded again at each access, .*: Not a directory"):
        assert open_cache(images, 16, tmp_path / "file").source == "decoded"


def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="the scan is not kept for the next start"):
        assert len(open_images(photos(tmp_path / "data"))) == 12


def test_digits_need_no_file(tmp_path: Path) -> None:
    images = open_images("digits")
    pixels = open_cache(images, 32, tmp_path)
    assert pixels.source == "memory"
    assert pixels[0].shape == (8, 8, 1)
    assert max(int(pixels[index].max()) for index in range(100)) == 255
    assert not (tmp_path / "pixels").exists()
