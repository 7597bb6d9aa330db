"""One pair of classes among hundreds that a change of images makes one: found and named; harmless changes are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from unittest.mock import ANY

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from budgetnet.data import ImageSet, Pixels
from budgetnet.data.label_changes import (
    FIRST_IMAGES,
    MOST_CLASSES,
    MOST_IMAGES,
    TOO_FEW,
    TOO_MANY,
    Looked,
    label_changes,
)
from budgetnet.training.recipe import MODERN

SIDE_PX = 32
COLOURS = ((200, 30, 30), (30, 60, 190), (240, 240, 240), (230, 200, 30), (30, 140, 60))
PAIR = (6, 7)
Outline = list[tuple[float, float]]
Painter = Callable[[int, int, np.random.Generator], Outline]
"""The outline of the figure on an image: of which seed's classes, which class; around (0, 0) and within 1."""


def outline(seed: int, number: int) -> Outline:
    """The figure of a class: seven corners, not its own mirror image."""
    random = np.random.default_rng([seed, 31, number])
    angles, radii = np.sort(random.uniform(0, 2 * np.pi, 7)), random.uniform(0.25, 0.8, 7)
    return list(zip((radii * np.sin(angles)).tolist(), (radii * np.cos(angles)).tolist(), strict=True))


def mirrored(figure: Outline) -> Outline:
    return [(-x, y) for x, y in figure]


def either_way(seed: int, number: int, random: np.random.Generator) -> Outline:
    """Each class has mirror images among its own."""
    return mirrored(outline(seed, number)) if random.random() < 0.5 else outline(seed, number)


def one_way(seed: int, number: int, random: np.random.Generator) -> Outline:
    """No class has: its mirror images are none of the classes, though some class is the nearest."""
    return outline(seed, number)


def with_a_pair(seed: int, number: int, random: np.random.Generator) -> Outline:
    """Of two classes one is the mirror image of the other; each other class has mirror images among its own."""
    if number in PAIR:
        return outline(seed, PAIR[0]) if number == PAIR[0] else mirrored(outline(seed, PAIR[0]))
    return either_way(seed, number, random)


def signs(classes: int, each: int, figure: Painter, seed: int) -> tuple[ImageSet, Pixels]:
    """Signs in two colours on noise, somewhere, of some size and brightness; painted where they are looked at."""

    def paint(index: int) -> NDArray[np.uint8]:
        number, random = index // each, np.random.default_rng([seed, 33, index])
        look = np.random.default_rng([seed, 32, PAIR[0] if number in PAIR else number])
        back = np.clip(random.integers(60, 160, 3) + random.integers(-20, 20, (SIDE_PX, SIDE_PX, 1)), 0, 255)
        picture = Image.fromarray(back.astype(np.uint8))
        draw, (x, y), size = ImageDraw.Draw(picture), random.uniform(14, 18, 2), random.uniform(10, 13)
        plate, ink = (COLOURS[place] for place in look.permutation(len(COLOURS))[:2])
        bright, box = random.uniform(0.7, 1.0), (x - size, y - size, x + size, y + size)
        (draw.ellipse if look.random() < 0.5 else draw.rectangle)(box, fill=tuple(int(bright * one) for one in plate))
        corners = [(x + size * a, y + size * b) for a, b in figure(seed, number, random)]
        draw.polygon(corners, fill=tuple(int(bright * one) for one in ink))
        return np.asarray(picture)

    count = classes * each
    names, sizes = tuple(f"{index:06d}" for index in range(count)), ((SIDE_PX, SIDE_PX),) * count
    labels = tuple(index // each for index in range(count))
    classes_named = tuple(f"sign{number}" for number in range(classes))
    images = ImageSet("signs", "", classes_named, names, labels, names, sizes, 3, (0,) * count)
    return images, Pixels(0, sizes, "memory", paint)


def mirroring(classes: int, each: int, figure: Painter, seed: int) -> Looked:
    return label_changes(*signs(classes, each, figure, seed), MODERN.augmentation, ("flip",), seed)["flip"]


def seeds(quick: int, all_: int) -> list[ParameterSet]:
    """The first of them quick, the others slow."""
    return [pytest.param(seed, marks=[pytest.mark.slow] if seed >= quick else []) for seed in range(all_)]


@pytest.mark.parametrize("seed", seeds(0, 10))
def test_a_mirrored_pair_among_120_classes_is_found(seed: int) -> None:
    found = mirroring(120, 40, with_a_pair, seed)
    assert found.pair is not None and set(found.pair) == {f"sign{number}" for number in PAIR}


@pytest.mark.parametrize("seed", seeds(0, 10))
def test_120_classes_with_mirror_images_among_their_own_are_tested_and_stay_mirrored(seed: int) -> None:
    found = mirroring(120, 40, either_way, seed)
    assert found.pair is None and not found.unable
    assert 1200 < found.images <= FIRST_IMAGES + MOST_IMAGES  # there was a second look


@pytest.mark.parametrize("seed", seeds(0, 10))
def test_a_mirrored_pair_among_400_classes_is_found(seed: int) -> None:
    found = mirroring(400, 30, with_a_pair, seed)
    assert found.pair is not None and set(found.pair) == {f"sign{number}" for number in PAIR}


@pytest.mark.parametrize("seed", seeds(0, 5))
@pytest.mark.parametrize(
    ("classes", "each", "figure"), [(120, 40, one_way), (400, 30, either_way), (120, 60, either_way)]
)
def test_where_no_two_classes_are_mirror_images_none_are_named(
    classes: int, each: int, figure: Painter, seed: int
) -> None:
    assert mirroring(classes, each, figure, seed).pair is None


@pytest.mark.slow
def test_only_where_classes_have_too_few_images_is_it_said_that_nothing_could_be_told() -> None:
    assert mirroring(120, 5, either_way, 0).unable == TOO_FEW
    assert mirroring(90, 20, either_way, 0).unable == TOO_FEW
    assert mirroring(60, 14, with_a_pair, 0).unable == TOO_FEW, "a pair of them would not surely show"


@pytest.mark.slow
def test_classes_of_too_few_images_among_others_are_counted() -> None:
    """A mirrored pair is found where its two classes have images enough; else it is said that they have not."""
    images, pixels = signs(60, 40, with_a_pair, 0)
    kept = [place for place in range(len(images)) if place // 40 not in PAIR or place % 40 < 12]
    few = dataclasses.replace(images, split=tuple(0 if place in set(kept) else 2 for place in range(len(images))))
    found = label_changes(few, pixels, MODERN.augmentation, ("flip",), 0)["flip"]
    assert found.pair is None and found.unable == "2 of 60 classes have too few images for it"


@pytest.mark.parametrize("each", [pytest.param(each, marks=pytest.mark.slow) for each in (32, 200)])
def test_a_bounded_number_of_training_images_is_looked_at_and_the_same_is_found_again(each: int) -> None:
    images, pixels = signs(60, each, with_a_pair, 0)
    tested = dataclasses.replace(images, split=tuple(0 if place % 4 else 2 for place in range(len(images))))
    seen: set[int] = set()

    def look(index: int) -> NDArray[np.uint8]:
        seen.add(index)
        return pixels[index]

    watched = dataclasses.replace(pixels, read=look)
    first, again = (label_changes(tested, watched, MODERN.augmentation, ("flip",), 3) for _ in range(2))
    assert first == again and first["flip"].pair and {tested.split[index] for index in seen} == {0}
    assert len(seen) == first["flip"].images <= FIRST_IMAGES + MOST_IMAGES


@pytest.mark.slow
def test_of_more_classes_than_can_be_looked_at_it_is_said() -> None:
    assert mirroring(MOST_CLASSES + 1, 20, either_way, 0) == Looked(None, TOO_MANY, ANY)
