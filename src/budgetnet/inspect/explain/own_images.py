"""The images that a run was trained from, as files: those of its split, for looking into the network."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet
from budgetnet.data.digits import pixels
from budgetnet.inspect.explain.subjects import Subject
from budgetnet.inspect.side_by_side import place_of
from budgetnet.parallel.progress import Progress
from budgetnet.training.scored_images import images_of


def split_files(subject: Subject, split: str, progress: Progress) -> list[str]:
    """The files of a split of the run's own images, class by class.

    The digits, which are not files, are written into the run's folder. Raises the one-line `ValueError`s of `evaluate`,
    and one for a split without images.
    """
    scored = images_of(subject.source, subject.loaded, None, split, split, progress)
    images = scored.images
    indices = sorted(scored.indices.tolist(), key=lambda index: (images.labels[index], images.files[index]))
    if images.root:
        return [str(Path(images.root, images.files[index])) for index in indices]
    return [_written(images, index, place_of(subject.source) / f"{images.name}-{split}") for index in indices]


def _written(images: ImageSet, index: int, folder: Path) -> str:
    """An embedded image as a file in a folder of its class; one that is there is taken."""
    file = folder / f"{images.files[index]}.png"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(file) as aside:
            Image.fromarray(pixels()[index, ..., 0]).save(aside, format="png")
    return str(file)
