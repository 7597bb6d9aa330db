"""Decoding: every kind of image file gives the pixels that a viewer shows."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from budgetnet.data import decode
from budgetnet.data.decode import TURNS, look, quiet, scaled_px

RED, WHITE, GREEN = (255, 0, 0), (255, 255, 255), (0, 128, 0)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def halves(mode: str, left: object, right: object, size: tuple[int, int] = (8, 4)) -> Image.Image:
    """An image whose left and right halves have one colour each."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def colours(pixels: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Colours well inside the left and the right half."""
    return tuple(pixels[1, 1].tolist()), tuple(pixels[1, -2].tolist())


@pytest.mark.parametrize(
    ("mode", "left", "right", "expected"),
    [
        ("RGB", RED, GREEN, (RED, GREEN)),
        ("L", 40, 200, ((40,) * 3, (200,) * 3)),
        ("1", 0, 1, ((0,) * 3, (255,) * 3)),
        ("RGBA", (*RED, 255), (*RED, 0), (RED, WHITE)),
        ("LA", (40, 255), (40, 0), ((40,) * 3, WHITE)),
        ("I;16", 257 * 40, 65535, ((40,) * 3, WHITE)),
        ("P", 0, 1, (RED, GREEN)),
    ],
)
def test_png_modes(tmp_path: Path, mode: str, left: object, right: object, expected: object) -> None:
    image = halves(mode, left, right)
    if mode == "P":
        image.putpalette([*RED, *GREEN])
    pixels = decode(save(tmp_path / "image.png", image), 3)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (4, 8, 3)
    assert colours(pixels) == expected


def test_half_transparent_lies_on_white(tmp_path: Path) -> None:
    pixels = decode(save(tmp_path / "image.png", Image.new("RGBA", (4, 4), (0, 0, 0, 51))), 3)
    assert pixels[0, 0].tolist() == [204, 204, 204]


def test_palette_and_rgb_transparency(tmp_path: Path) -> None:
    image = halves("P", 0, 1)
    image.putpalette([*RED, *GREEN])
    assert colours(decode(save(tmp_path / "p.png", image, transparency=1), 3)) == (RED, WHITE)
    keyed = save(tmp_path / "rgb.png", halves("RGB", RED, GREEN), transparency=GREEN)
    assert colours(decode(keyed, 3)) == (RED, WHITE)


def test_tiff_modes(tmp_path: Path) -> None:
    cmyk = save(tmp_path / "cmyk.tif", halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)))
    assert colours(decode(cmyk, 3)) == (RED, WHITE)
    floats = Image.fromarray(np.repeat(np.array([[0.0, 0.4, 0.4, 1.0]], np.float32), 3, axis=0))
    assert decode(save(tmp_path / "float.tif", floats), 1)[1, :, 0].tolist() == [0, 102, 102, 255]
    deep = Image.fromarray(np.array([[0, 500, 1000]], np.int32) * 1000)
    assert decode(save(tmp_path / "int.tif", deep), 1)[0, :, 0].tolist() == [0, 128, 255]
    big_endian = Image.fromarray(np.array([[257 * 7, 65535]], np.uint16))
    assert decode(save(tmp_path / "short.tif", big_endian), 1)[0, :, 0].tolist() == [7, 255]


def test_lab(tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.new("RGB", (8, 4), (200, 100, 50)), to_lab)
    assert np.abs(decode(save(tmp_path / "lab.tif", lab), 3).astype(int) - (200, 100, 50)).max() <= 2


def test_cmyk_and_grey_jpeg(tmp_path: Path) -> None:
    cmyk = decode(save(tmp_path / "cmyk.jpg", halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 0), (64, 32)), quality=100), 3)
    assert np.abs(cmyk[4, 4].astype(int) - RED).max() <= 4
    assert np.abs(cmyk[4, -4].astype(int) - WHITE).max() <= 4
    grey = save(tmp_path / "grey.jpg", Image.new("L", (16, 16), 99), quality=100)
    assert look(grey).grey
    assert decode(grey, 3)[8, 8].tolist() == [99, 99, 99]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_first_frame_of_an_animation(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), GREEN)
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"film.{suffix}", first, save_all=True, append_images=[second], **options)
    assert Image.open(path).n_frames == 2
    assert decode(path, 3)[4, 4].tolist() == list(RED)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = RED  # one marked corner tells all eight apart
    upright[8:, 24:] = (0, 0, 255)
    upright[:8, 24:] = GREEN
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    stored = Image.fromarray(upright)
    stored = stored.transpose(TURNS[inverse]) if inverse > 1 else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"image.{suffix}", stored, exif=exif, **options)
    assert look(path).size_px == (16, 32)
    pixels = decode(path, 3)
    assert pixels.shape == (16, 32, 3)
    for row, column in ((3, 3), (12, 28), (3, 28), (12, 3)):
        assert np.abs(pixels[row, column].astype(int) - upright[row, column]).max() <= 12
    assert decode(path, 3, side_px=8).shape == (8, 16, 3)


def test_damaged_exif_costs_no_image(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.new("RGB", (16, 16), RED).save(path, exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff", quality=100)
    with quiet():
        assert decode(path, 3).shape == (16, 16, 3)
        assert look(path).size_px == (16, 16)


def test_colour_to_grey(tmp_path: Path) -> None:
    path = save(tmp_path / "image.png", Image.new("RGB", (4, 4), (10, 200, 30)))
    assert decode(path, 1).shape == (4, 4, 1)
    assert decode(path, 1)[0, 0, 0] == round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)
    with pytest.raises(ValueError, match="input channels is 2; choose one of 1, 3"):
        decode(path, 2)


def test_scaled_down_never_up(tmp_path: Path) -> None:
    # A checkerboard of single pixels: without antialiasing it would not come out grey.
    board = (np.indices((256, 512)).sum(0) % 2 * 255).astype(np.uint8)
    for name in ("image.png", "image.jpg"):
        path = save(tmp_path / name, Image.fromarray(board), **({"quality": 100} if name.endswith("jpg") else {}))
        small = decode(path, 3, side_px=32)
        assert small.shape == (32, 64, 3)
        assert np.abs(small.astype(int) - 127).max() <= 6
        assert decode(path, 3, side_px=1000).shape == (256, 512, 3)


def test_scaled_px() -> None:
    assert scaled_px((300, 400), 150) == (150, 200)
    assert scaled_px((100, 400), None) == (100, 400)
    assert scaled_px((10, 10), 32) == (10, 10)
    assert scaled_px((100, 10_000), 100) == (4, 400)
    assert scaled_px((1, 5000), 1) == (1, 4)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_truncated_jpeg_is_found(tmp_path: Path, options: dict[str, bool]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / "image.jpg", Image.fromarray(noise), **options)
    whole = path.read_bytes()
    look(path)
    for share in (0.02, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        for read in (look, lambda path: decode(path, 3), lambda path: decode(path, 3, side_px=8)):
            with pytest.raises(ValueError):
                read(path)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    with pytest.raises(ValueError, match=r"image\.png: No such file or directory$"):
        decode(path, 3)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"image\.png: the file is empty; copy it again$"):
        decode(path, 3)


def test_decompression_bomb(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(ValueError, match="more pixels than the limit of"):
        decode(path, 3)


def test_damage_anywhere_gives_pixels_or_one_line(tmp_path: Path) -> None:
    """Bytes changed at random: never another error than ValueError, for each Pillow reader has its own."""
    random = np.random.default_rng(1)
    noise = Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "TGA", "PPM", "ICO", "AVIF", "JPEG2000"):
        buffer = io.BytesIO()
        noise.save(buffer, kind)
        for trial in range(60):
            damaged = np.frombuffer(buffer.getvalue(), np.uint8).copy()
            reach = len(damaged) if trial % 2 else min(len(damaged), 64)
            damaged[random.integers(0, reach, 4)] = random.integers(0, 255, 4)
            cut = len(damaged) if trial % 3 else int(random.integers(1, len(damaged)))
            path = tmp_path / "damaged"
            path.write_bytes(damaged[:cut].tobytes())
            try:
                with quiet():
                    assert decode(path, 3).shape[2] == 3
            except ValueError as error:
                assert "\n" not in str(error)
