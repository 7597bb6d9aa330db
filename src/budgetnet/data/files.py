"""Image files opened so that nothing can hang and no file can take all memory; what is wrong with those that fail.

A file may be of any size in pixels while it is 20 KB long. So there is a limit to the pixels of one, and one to those
that are decoded at a time, whatever the number of threads; the largest are decoded one after another on the machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

from budgetnet.data.store import alone, cache_folder
from budgetnet.data.walk import special

ImageSource = str | os.PathLike[str] | bytes
"""An image is a file at a path, or the bytes of one, as a server is sent them."""
Content = io.BufferedReader | io.BytesIO
MOST_PIXELS = 2**28
"""An image may have at most this many pixels, 268 million: more than the largest sensors of telephones (200) and of
medium format (151)."""
MOST_AT_ONCE = 2**26
"""The most pixels that a process decodes at a time, 67 million; a larger image is decoded alone."""

Image.init()
FORMATS = [
    name
    for name in ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "TGA", "ICO", "AVIF", "JPEG2000")
    if name in Image.OPEN  # AVIF and JPEG2000 depend on how Pillow was built
]
"""The image formats that are opened. There are no others, because some of Pillow's start other programs (EPS)."""

if Image.MAX_IMAGE_PIXELS is not None:  # Pillow's own limit, 179 million, is below real photos
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MOST_PIXELS)

CONVERT = "convert it to JPEG or PNG"
LFS = "a pointer of Git LFS and not the image; fetch the images with `git lfs pull`"
STARTS = (
    (b"version https://git-lfs.github.com/spec/", LFS),
    (b"%PDF-", f"a PDF; {CONVERT}"),
    (b"8BPS", f"a Photoshop file; {CONVERT}"),
    (b"PK\3\4", "a ZIP archive; unpack it"),
    (b"\xff\x0a", f"JPEG XL, which is not read; {CONVERT}"),
    (b"\0\0\0\x0cJXL ", f"JPEG XL, which is not read; {CONVERT}"),
)
"""What files that are not images begin with most often, and what to do about it."""
TEXTS = (
    (b"<!doctype html", "a web page and not an image; download it again"),
    (b"<html", "a web page and not an image; download it again"),
    (b"<svg", f"SVG, which is not read; {CONVERT}"),
    (b"<?xml", f"XML or SVG and not an image; {CONVERT}"),
    (b"{", "JSON and not an image; download it again"),
)
"""The same is known of text files, in which capitals and leading blanks do not matter."""
BRANDS = (
    ((b"avif", b"avis"), "AVIF"),
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    ((b"crx ",), "a raw file of a camera"),
)
"""The brands of files that begin with a box "ftyp", as films and the photos of telephones do."""
HEAD_BYTES = 64


def kind_of(head: bytes) -> str | None:
    """What a file that is not a readable image is, by its first bytes, and what to do; None where they do not tell."""
    if not head:
        return "the file is empty; copy it again"
    if not head.strip(b"\0"):
        return "it begins with zero bytes only, as of a copy that broke off; copy it again"
    if head[4:8] == b"ftyp":
        name = next((name for brands, name in BRANDS if head[8:12] in brands), "a film")
        if name == "AVIF" and "AVIF" in FORMATS:
            return "a damaged AVIF; copy it again"
        return f"{name}, which is not read; {CONVERT}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = [what for start, what in STARTS if head.startswith(start)]
    known += [what for start, what in TEXTS if text.startswith(start)]
    return known[0] if known else None


@contextlib.contextmanager
def open_file(path: ImageSource) -> Iterator[Content]:
    """A regular file for reading. Raises a `ValueError` at once for a pipe, a device or a folder, where open waits."""
    if isinstance(path, bytes):
        yield io.BytesIO(path)
        return
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    if kind := special(os.stat(path).st_mode):  # before it is opened: some devices act when they are
        raise ValueError(f"{kind}, not a file")
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("no regular file")
        yield file


class Room:
    """At most `pixels` pixels at a time, in the order of asking; an image of more is let in alone."""

    def __init__(self, pixels: int) -> None:
        self.pixels = self.free = pixels
        self.changed = threading.Condition()
        self.waiting: list[object] = []

    @contextlib.contextmanager
    def held(self, pixels: int) -> Iterator[None]:
        """Wait for room, and keep it."""
        room, ticket = min(pixels, self.pixels), object()
        with self.changed:
            self.waiting.append(ticket)
            self.changed.wait_for(lambda: self.waiting[0] is ticket and self.free >= room)
            self.waiting.pop(0)
            self.free -= room
            self.changed.notify_all()
        try:
            yield
        finally:
            with self.changed:
                self.free += room
                self.changed.notify_all()


ROOM = Room(MOST_AT_ONCE)
"""Where the images of this process are decoded."""


@contextlib.contextmanager
def open_image(
    path: ImageSource, side_px: int | None = None, room: Room = ROOM, most_pixels: int = MOST_PIXELS
) -> Iterator[tuple[Content, Image.Image]]:
    """A file and the image in it, whose pixels are still to be loaded, and room for them (`_room_for`).

    Raises `ValueError`, without the path, for more pixels than `most_pixels` and for a file of no known format, with
    what it is where its first bytes tell; and whatever Pillow raises for damaged ones.
    """
    with open_file(path) as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError as error:
            file.seek(0)
            raise ValueError(kind_of(file.read(HEAD_BYTES)) or "not an image of a known format") from error
        with image:
            width, height = image.size
            if width * height > most_pixels:
                raise ValueError(
                    f"{width:,} x {height:,} pixels are more than the limit of {most_pixels:,}; make it smaller"
                )
            with _room_for(image, side_px, room):
                yield file, image


@contextlib.contextmanager
def _room_for(image: Image.Image, side_px: int | None, room: Room) -> Iterator[None]:
    """Room to decode an image: with others of this process while they are small, one at a time on the machine if not.

    A JPEG that is drafted towards `side_px` counts in the size that it gets; a progressive one is held whole meanwhile.
    """
    pixels = image.size[0] * image.size[1]
    if image.format == "JPEG" and side_px is not None and not image.info.get("progressive"):
        pixels //= max(scale for scale in (8, 4, 2, 1) if scale == 1 or scale * side_px <= min(image.size)) ** 2
    with room.held(pixels), contextlib.ExitStack() as machine:
        if pixels > room.pixels:
            lock = cache_folder() / "large-image"
            with contextlib.suppress(OSError):  # without a folder to write to, this process alone is bounded
                lock.parent.mkdir(parents=True, exist_ok=True)
                machine.enter_context(alone(lock))
        yield
