"""Pictures as files of a repository: drawings as SVG that follows light and dark, photos as JPEG, all small."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from budgetnet.atomic_write import written_aside
from budgetnet.draw.svg import inline_svg, svg_file

MOST_BYTES = 300_000
QUALITIES = (88, 82, 76)
CELLS = ((1, 8), (1, 7), (1, 6), (2, 8), (2, 7), (2, 6), (2, 5))
"""What a picture of maps is divided by, and the bits that each of its colours keeps, the best first."""
SMALLER = 0.88
"""Factor on the sides of a picture that is too large in every quality."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
PAGE_PX = (1000, 1560)


def save_drawing(inline: str, file: Path) -> None:
    """Write an inline SVG of a page as a file of its own. Raises `ValueError` for one that is too large."""
    _write(svg_file(inline).encode(), file)


def _write(data: bytes, file: Path, most_bytes: int = MOST_BYTES) -> None:
    if len(data) > most_bytes:
        raise ValueError(f"{file.name} would have {len(data):,} bytes, more than {most_bytes:,}; save it as a photo")
    with written_aside(file) as aside:
        aside.write_bytes(data)


def take_drawing(source: Path, file: Path, description: str) -> None:
    """Write an SVG file of a command's folder in the page's colours."""
    save_drawing(inline_svg(source.read_text(encoding="utf-8"), "", description), file)


def save_photo(image: Image.Image, file: Path) -> None:
    """Write pixels as a JPEG of at most `MOST_BYTES`: first of a lower quality, then smaller."""
    image = image.convert("RGB")
    while True:
        for quality in QUALITIES:
            data = io.BytesIO()
            image.save(data, "jpeg", quality=quality, subsampling=0)
            if data.tell() <= MOST_BYTES:
                return _write(data.getvalue(), file)
        sides = (round(SMALLER * image.width), round(SMALLER * image.height))
        image = image.resize(sides, Image.Resampling.LANCZOS)


def take_photo(source: Path, file: Path) -> None:
    """Write a picture of a command's folder as a small JPEG."""
    with Image.open(source) as image:
        save_photo(image, file)


def take_cells(source: Path, file: Path, most_bytes: int = MOST_BYTES) -> None:
    """Write a picture of maps, whose cells have sharp borders, as a PNG: as it is, or what comes nearest and is small.

    A palette would leave photos few colours.
    """
    with Image.open(source) as image:
        whole = image.convert("RGB")
    data = b""
    for factor, bits in CELLS:
        shown = whole.reduce(factor).point([_rounded(value, bits) for value in range(256)] * 3)
        buffer = io.BytesIO()
        shown.save(buffer, "png", optimize=True)
        data = buffer.getvalue()
        if len(data) <= most_bytes:
            break
    _write(data, file, most_bytes)


def _rounded(value: int, bits: int) -> int:
    """The nearest multiple of 2 ** (8 - bits), and white for the last: even steps make PNG's differences few."""
    step = 2 ** (8 - bits)
    return min(step * round(value / step), 255)


def save_page(page: Path, file: Path) -> bool:
    """Write the top of an HTML page as a PNG; False where no browser is installed that could show it."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        words = [browser, "--headless", "--hide-scrollbars", f"--user-data-dir={folder}/browser"]
        # Browsers refuse to lock themselves in where root starts them.
        words += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        words += ["--force-prefers-color-scheme=light", f"--window-size={PAGE_PX[0]},{PAGE_PX[1]}"]
        words += [f"--screenshot={shot}", page.absolute().as_uri()]
        subprocess.run(words, check=False, capture_output=True, timeout=120)
        if not shot.is_file():
            return False
        with Image.open(shot) as image:
            save_photo(image, file)
    return True
