"""The drawn images, one after another: what each network answers, its Grad-CAM painted, its maps as a picture."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from budgetnet.data import Preprocessing, decode
from budgetnet.data.batches import prepare
from budgetnet.data.decode import decode_noted
from budgetnet.draw.wording import TIMES
from budgetnet.inspect.explain.cam import class_maps
from budgetnet.inspect.explain.figures import MapColumn, finished, maps_figure
from budgetnet.inspect.explain.maps import StageMaps, mean_absolute, stage_maps, stage_rows, strongest, telling
from budgetnet.inspect.explain.overlay import displayed, painted
from budgetnet.inspect.explain.place import scaled_box, seen_box
from budgetnet.inspect.explain.subjects import Subject, shown_name
from budgetnet.inspect.explain.values import Answer, ClassMap, ImageRow, StageRow
from budgetnet.networks import Px
from budgetnet.parallel.progress import Progress, Update

MOST_NAME_SIGNS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An image and its overlays at the size of a page; `overlays[network][k]` is of the answer's k-th map.

    `lines` say which maps belong together, a k for each network: those of the predicted classes, then those of each
    named class.
    """

    pixels: NDArray[np.uint8]
    overlays: tuple[tuple[NDArray[np.uint8], ...], ...]
    lines: tuple[tuple[int, ...], ...]
    maps: str


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """All that was drawn: `shown` runs along `images`, `layers_px` along the networks."""

    images: tuple[ImageRow, ...]
    shown: tuple[Shown, ...]
    stages: tuple[StageRow, ...]
    layers_px: tuple[Px, ...]


def draw_images(
    subjects: Sequence[Subject],
    labelled_files: Sequence[tuple[str, str | None]],
    classes: Sequence[Sequence[int]],
    stages: Sequence[str],
    folder: Path,
    device: str,
    progress: Progress,
) -> Drawing:
    """Draw every image for every network; the pictures go into `folder`.

    `labelled_files` are files with their classes, where known; `classes` run along the networks: where they
    have those named.
    """
    twins = [subject for subject in subjects if subject.role != "other"]
    rows = _stage_rows(twins, [file for file, _ in labelled_files], stages, device, progress)
    for name in ("grad-cam", "maps"):
        (folder / name).mkdir()
    images: list[ImageRow] = []
    shown: list[Shown] = []
    for index, (file, label) in enumerate(labelled_files, start=1):
        progress(Update("drawing", index - 1, len(labelled_files), Path(file).name))
        stem = f"{index:02d}-{_slug(Path(file).stem)}"
        pixels = decode(file, 3, value_range=subjects[0].loaded.preprocessing.value_range)
        inputs = [_inputs(subject, file, device) for subject in subjects]
        found = [
            _looked_at(subject, wanted, pixels, one, folder, f"{stem}-{number}")
            for number, (subject, wanted, one) in enumerate(zip(subjects, classes, inputs, strict=True), start=1)
        ]
        own = [one for subject, one in zip(subjects, inputs, strict=True) if subject in twins]
        picture = _draw_maps(twins, own, file, stages, folder / "maps" / stem, f"maps{index}-")
        answers = tuple(answer for answer, _, _ in found)
        images.append(ImageRow(file, (pixels.shape[0], pixels.shape[1]), label, True, answers))
        lines = tuple(zip(*(positions for _, _, positions in found), strict=True))
        shown.append(Shown(displayed(pixels), tuple(overlays for _, overlays, _ in found), lines, picture))
    progress(Update("drawing", len(labelled_files), len(labelled_files)))
    return Drawing(tuple(images), tuple(shown), tuple(rows), _layers_px(images[0]))


def _stage_rows(
    subjects: Sequence[Subject], files: Sequence[str], stages: Sequence[str], device: str, progress: Progress
) -> list[StageRow]:
    """What the stages' maps are like over all images. They are computed again when they are drawn, and not kept."""
    rows: list[StageRow] = []
    for number, subject in enumerate(subjects):

        def maps(subject: Subject = subject, done: int = number * len(files)) -> Iterator[StageMaps]:
            for index, file in enumerate(files):
                progress(Update("looking into stages", done + index, len(subjects) * len(files), subject.label))
                yield stage_maps(subject.loaded.model, _inputs(subject, file, device), stages)

        rows += stage_rows(subject.label, maps(), stages)
    progress(Update("looking into stages", len(subjects) * len(files), len(subjects) * len(files)))
    return rows


def _layers_px(image: ImageRow) -> tuple[Px, ...]:
    return tuple((len(cells), len(cells[0])) for answer in image.answers for cells in [answer.maps[0].cells])


def _slug(text: str) -> str:
    """A name that every file system takes: letters and digits, of any script."""
    return re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", text)).strip("-")[:MOST_NAME_SIGNS] or "image"


def _inputs(subject: Subject, file: str, device: str) -> Tensor:
    """The network's input for a file, as in prediction: (1, c, height, width)."""
    loaded = subject.loaded
    pixels, note = decode_noted(file, loaded.network.in_channels, loaded.side_px, loaded.preprocessing.value_range)
    if note is not None:
        warnings.warn(f"{file}: {note}", stacklevel=2)
    return prepare([pixels], loaded.network.resolution_px, loaded.preprocessing, device)


def _looked_at(
    subject: Subject, wanted: Sequence[int], pixels: NDArray[np.uint8], inputs: Tensor, folder: Path, stem: str
) -> tuple[Answer, tuple[NDArray[np.uint8], ...], tuple[int, ...]]:
    """A network's answer with its class maps, saved over the image in its own size, and given at the page's.

    Last, where the maps of the predicted and of each wanted class are among the answer's.
    """
    loaded = subject.loaded
    with torch.inference_mode():
        logits, shares = (rows[0].cpu() for rows in loaded.answer(inputs))
    best = int(logits.argmax())
    classes = list(dict.fromkeys([best, *wanted]))
    cells = class_maps(loaded.model, inputs.repeat(len(classes), 1, 1, 1), subject.layer, classes).cpu().numpy()
    size_px = (pixels.shape[0], pixels.shape[1])
    box, small = seen_box(size_px, loaded), displayed(pixels)
    small_box = scaled_box(box, size_px, (small.shape[0], small.shape[1]))
    maps: list[ClassMap] = []
    for number, (index, one) in enumerate(zip(classes, cells, strict=True), start=1):
        file = f"grad-cam/{stem}-{number}-{_slug(loaded.classes[index])}.png"
        Image.fromarray(painted(pixels, one, box)).save(folder / file)
        rows = tuple(tuple(row) for row in one.tolist())
        maps.append(ClassMap(loaded.classes[index], float(shares[index]), float(one.max()), rows, box, file))
    answer = Answer(subject.label, loaded.classes[best], float(shares[best]), tuple(maps))
    positions = (0, *(classes.index(index) for index in wanted))
    return answer, tuple(painted(small, one, small_box) for one in cells), positions


def _draw_maps(
    subjects: Sequence[Subject],
    inputs: Sequence[Tensor],
    file: str,
    stages: Sequence[str],
    stem: Path,
    prefix: str,
) -> str:
    """The picture of an image's activation maps in the networks that are twins, from each one's input."""
    found = [stage_maps(subject.loaded.model, one, stages) for subject, one in zip(subjects, inputs, strict=True)]
    columns = [_map_column(name, [one[name][0] for one in found]) for name in stages]
    labels = [subject.label for subject in subjects]
    figure = maps_figure(_as_image(inputs[0], subjects[0].loaded.preprocessing), columns, labels)
    what = f"Activation maps of {Path(file).name} in {', '.join(shown_name(name) for name in stages)}"
    return finished(figure, stem, prefix, what)


def _map_column(name: str, maps: Sequence[NDArray[np.float32]]) -> MapColumn:
    """A stage's column, from its map (channels, rows, columns) in each network."""
    channels, high, wide = maps[0].shape
    return MapColumn(
        title=shown_name(name),
        subtitle=f"{high}{TIMES}{wide}, {channels} ch.",
        means=tuple(mean_absolute(one) for one in maps),
        channels=tuple(tuple((k, one[k]) for k in strongest(telling(one))) for one in maps),
    )


def _as_image(inputs: Tensor, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """A network's input as pixels again: (1, c, h, w) -> (h, w, c)."""
    pixels = inputs[0].cpu().numpy().transpose(1, 2, 0) * np.array(preprocessing.std) + np.array(preprocessing.mean)
    return np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)
