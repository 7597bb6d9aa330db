"""What the arms are given: images to learn from, and those that judge in the place of test images.

The arms get a folder that holds no other image, so that nothing can be chosen by the test images by mistake: with
`validation` as the judge they are not in it, and the judges are the validation images of the whole set's split.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from budgetnet import Folders, open_images
from budgetnet.atomic_write import written_aside
from budgetnet.data import ImageSet

JUDGES = ("validation", "test")
LEARNED = {"validation": ("train",), "test": ("train", "validation")}


def folders_of(data: str, seed: int, judge: str, out: Path) -> Folders:
    """Copies of the images of a split by `seed`: to learn from, and to judge by. They are made once."""
    place = out / "images" / f"{Path(data).name}-{seed}-{judge}"
    train, test = place / "train", place / "judges"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        images = open_images(data, seed)
        for split in LEARNED[judge]:
            _copy(images, split, train)
        _copy(images, judge, test)
        with written_aside(place / "done") as aside:
            aside.touch()
    return Folders(train=train, test=test)


def _copy(images: ImageSet, split: str, to: Path) -> None:
    for index in images.indices(split).tolist():
        file = Path(images.root) / images.files[index]
        place = to / images.classes[images.labels[index]] / f"{index:06}{file.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
