"""Augmentation that changes the class: found on the training images, left out, said, kept in plan.json, or as asked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from budgetnet import Augment, adapt, network, open_images, train
from budgetnet.cli import main
from budgetnet.codec import from_plain, to_plain
from budgetnet.data import ImageSet, Pixels, open_cache
from budgetnet.data.augment import KINDS, Augmentation, Kind
from budgetnet.data.label_changes import MOST_IMAGES, label_changes
from budgetnet.data.randaugment import OPERATIONS, operations_without
from budgetnet.training.augmenting import (
    AUTO,
    GREY,
    Chosen,
    augment_of,
    choices_by_seed,
    choose_augmentation,
    fitted,
    settled,
    words_of,
)
from budgetnet.training.recipe import FINETUNE, MODERN, PAPER, RECIPES, Recipe

DATA = Path(__file__).parents[3] / "shared/data"
Painter = Callable[[np.random.Generator, str, ImageDraw.ImageDraw], None]
ARROW = ((-14, 0), (-1, -12), (-1, -5), (14, -5), (14, 5), (-1, 5), (-1, 12))


def painted(classes: Sequence[str], each: int, paint: Painter, seed: int = 0, side_px: int = 48) -> list[Image.Image]:
    """Pictures on noisy backgrounds of one colour, one class after another."""
    pictures: list[Image.Image] = []
    for place, name in enumerate(classes):
        for number in range(each):
            random = np.random.default_rng([seed, place, number])
            back = np.clip(random.integers(60, 160, 3) + random.integers(-20, 20, (side_px, side_px, 1)), 0, 255)
            picture = Image.fromarray(back.astype(np.uint8))
            paint(random, name, ImageDraw.Draw(picture))
            pictures.append(picture)
    return pictures


def image_set(classes: Sequence[str], pictures: Sequence[Image.Image]) -> tuple[ImageSet, Pixels]:
    """An open set of these pictures, all for training, as many of each class."""
    arrays = [np.asarray(picture).reshape(picture.height, picture.width, -1) for picture in pictures]
    names = tuple(f"{number:05d}" for number in range(len(arrays)))
    labels = tuple(number * len(classes) // len(arrays) for number in range(len(arrays)))
    sizes = tuple((array.shape[0], array.shape[1]) for array in arrays)
    channels = arrays[0].shape[2]
    images = ImageSet("painted", "", tuple(classes), names, labels, names, sizes, channels, (0,) * len(arrays))
    return images, Pixels(0, sizes, "memory", arrays.__getitem__)


def colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


def arrow(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """Of any colour, somewhere, a little turned: left, up, right or down."""
    turn = np.deg2rad({"left": 0, "up": 90, "right": 180, "down": 270}[name] + random.uniform(-10, 10))
    scale, (x, y) = random.uniform(0.7, 1.1), random.uniform(19, 29, 2)
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    draw.polygon([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ARROW], fill=colour(random))


def sign(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """White, somewhere: left or right."""
    x, y = random.integers(16, 32, 2).tolist()
    draw.polygon([(x + (a if name == "left" else -a), y + b) for a, b in ARROW], fill=(250, 250, 250))


def shape(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """A circle, a square or a triangle: its own mirror image."""
    size, (x, y) = random.uniform(8, 14), random.uniform(18, 30, 2)
    box = (x - size, y - size, x + size, y + size)
    if name == "circle":
        draw.ellipse(box, fill=colour(random))
    elif name == "square":
        draw.rectangle(box, fill=colour(random))
    else:
        draw.polygon([(x - size, y + size), (x + size, y + size), (x, y - size)], fill=colour(random))


def part(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """Round or square, red or green."""
    size, (x, y) = random.uniform(8, 16), random.uniform(18, 30, 2)
    red, green, blue = np.array({"red": (200, 45, 45), "green": (45, 180, 45)}[name]) + random.integers(-25, 25, 3)
    kind = draw.ellipse if random.random() < 0.5 else draw.rectangle
    kind((x - size, y - size, x + size, y + size), fill=(int(red), int(green), int(blue)))


def shade(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """A dark, middle or light wall, and some window in it."""
    grey = {"dark": 110, "middle": 135, "light": 160}[name] + int(random.integers(-8, 8))
    draw.rectangle((0, 0, 48, 48), fill=(grey, grey, grey))
    left, top = random.uniform(4, 30, 2)
    draw.rectangle((left, top, left + 12, top + 12), fill=colour(random))


def nothing(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """Noise alone: the class says nothing of the picture."""


def one_pair_among_many(random: np.random.Generator, name: str, draw: ImageDraw.ImageDraw) -> None:
    """part3 and part4 are each other's mirror images; all others are symmetrical."""
    number = int(name.removeprefix("part"))
    if number in (3, 4):
        arrow(random, "left" if number == 3 else "right", draw)
        return
    waves = np.random.default_rng([977, number]).normal(size=4)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 10 + sum(3 * wave / (order + 1) * np.cos((order + 1) * angles) for order, wave in enumerate(waves))
    (x, y), scale = random.uniform(21, 27, 2), random.uniform(0.8, 1.1)
    points = zip(x + scale * radius * np.sin(angles), y - scale * radius * np.cos(angles), strict=True)
    draw.polygon(list(points), fill=(255, 255, 255))


def found(
    classes: Sequence[str], each: int, paint: Painter, recipe: Recipe = MODERN, seed: int = 0
) -> dict[Kind, Chosen]:
    images, pixels = image_set(classes, painted(classes, each, paint, seed))
    return {one.kind: one for one in choose_augmentation(AUTO, recipe, images, pixels, seed)}


def off(chosen: Mapping[Kind, Chosen]) -> dict[Kind, set[str]]:
    """Which kinds a test on the images switched off, with the two classes that were the reason."""
    return {kind: set(one.classes) for kind, one in chosen.items() if one.classes}


def test_classes_that_are_mirror_images_are_found_and_named() -> None:
    four = found(("down", "left", "right", "up"), 20, arrow, PAPER)
    assert off(four) == {"flip": {"left", "right"}}  # and turns by 9 degrees make no other arrow
    assert four["flip"].why in ("mirrored 'left' looks like 'right'", "mirrored 'right' looks like 'left'")
    assert fitted(PAPER, tuple(four.values())).augmentation == dataclasses.replace(PAPER.augmentation, flip=0.0)


def test_one_pair_among_many_classes_is_found() -> None:
    classes = [f"part{number}" for number in range(12)]
    assert off(found(classes, 16, one_pair_among_many)) == {"flip": {"part3", "part4"}}


@pytest.mark.parametrize(
    "recipe", [PAPER, pytest.param(FINETUNE, marks=pytest.mark.slow)], ids=lambda recipe: recipe.name
)
def test_what_keeps_the_class_is_kept(recipe: Recipe) -> None:
    chosen = found(("circle", "square", "triangle"), 16, shape, recipe)
    assert fitted(recipe, tuple(chosen.values())) == recipe
    assert all(one.on == recipe.augmentation.draws(one.kind) for one in chosen.values())


def test_where_colour_is_the_class_no_colour_is_changed() -> None:
    chosen = found(("green", "red"), 20, part, PAPER)
    assert off(chosen) == {"colour": {"green", "red"}}
    for recipe in (MODERN, PAPER):
        trained = fitted(recipe, tuple(chosen.values())).augmentation
        assert not trained.colours and trained.flip == 0.5
        left = {operation.__name__ for operation in operations_without(trained.randaugment_leaves_out)}
        assert recipe is MODERN or left == {
            "_identity",
            "_shear_x",
            "_shear_y",
            "_translate_x",
            "_translate_y",
            "_rotate",
        }


def test_where_brightness_is_the_class_it_is_not_changed() -> None:
    chosen = found(("dark", "light", "middle"), 24, shade)
    assert list(off(chosen)) == ["colour"] and "in other colours looks like" in chosen["colour"].why


def test_where_a_turn_makes_another_class_nothing_is_turned() -> None:
    """A recipe of one's own that turns: mirror images are other classes as well as turned ones."""
    turning = dataclasses.replace(MODERN, augmentation=Augmentation(rotate_degrees=180.0), full_epochs=0)
    chosen = found(("down", "left", "right", "up"), 24, arrow, turning)
    assert off(chosen).keys() == {"turn"}
    assert fitted(turning, tuple(chosen.values())).augmentation == Augmentation()


def test_nothing_is_switched_off_where_nothing_can_be_told() -> None:
    noise = found(("a", "b"), 16, nothing)
    assert not off(noise) and noise["flip"].on
    assert noise["flip"].why == "not tested: a quick classifier cannot tell the classes apart"
    few = found(("left", "right"), 3, arrow)
    assert few["flip"].on and few["flip"].why.startswith("not tested: fewer than")
    assert "mirroring on (not tested: " in words_of(tuple(few.values()))


def test_greyscale_images_are_not_mirrored_and_digits_are_trained_as_ever() -> None:
    digits = open_images("digits")
    chosen = choose_augmentation(AUTO, MODERN, digits, open_cache(digits, 8), 0)
    trained = fitted(MODERN, chosen)
    assert trained == dataclasses.replace(MODERN, augmentation=dataclasses.replace(MODERN.augmentation, flip=0.0))
    assert next(one for one in chosen if one.kind == "flip") == Chosen("flip", False, GREY)
    assert (
        fitted(MODERN, choose_augmentation(Augment("on", "auto", "on"), MODERN, digits, open_cache(digits, 8), 0))
        == MODERN
    )


def test_the_choice_is_a_function_of_the_images_and_the_seed_and_sees_training_images_alone() -> None:
    images, pixels = image_set(("left", "right"), painted(("left", "right"), 25, arrow))
    tested = dataclasses.replace(images, split=tuple(0 if place % 5 else 2 for place in range(len(images))))

    def look(index: int) -> NDArray[np.uint8]:
        assert tested.split[index] == 0, "a test image was looked at"
        return pixels[index]

    watched = dataclasses.replace(pixels, read=look)
    mirrored = Augment(colour="on")
    first, again = (choose_augmentation(mirrored, MODERN, tested, watched, 3) for _ in range(2))
    assert first == again and not first[0].on and first[0].images == 40
    by_seed = choices_by_seed(mirrored, MODERN, (tested, images), pixels)
    assert [chosen[0].images for chosen in by_seed] == [40, 50]


@pytest.mark.slow
def test_however_many_images_and_classes_there_are_few_are_looked_at() -> None:
    classes = tuple(f"{number:03d}" for number in range(400))
    flat = [Image.fromarray(np.full((4, 4, 3), number % 256, np.uint8)) for number in range(400) for _ in range(8)]
    images, pixels = image_set(classes, flat)
    seen: set[int] = set()

    def look(index: int) -> NDArray[np.uint8]:
        seen.add(index)
        return pixels[index]

    label_changes(images, dataclasses.replace(pixels, read=look), MODERN.augmentation, (), 0)
    assert 600 < len(seen) <= MOST_IMAGES


def test_what_is_asked_for_is_not_tested() -> None:
    images, pixels = image_set(("left", "right"), painted(("left", "right"), 25, arrow))
    on = choose_augmentation(Augment(flip="on", colour="off"), MODERN, images, pixels, 0)
    assert [(one.kind, one.on, one.why) for one in on[:3:2]] == [
        ("flip", True, "as asked"),
        ("colour", False, "as asked"),
    ]
    assert words_of(on) == "mirroring on, colours off (as asked), crops on"
    nothing_drawn = fitted(dataclasses.replace(MODERN, augmentation=Augmentation(flip=0.5, mixup_alpha=1.0)), off_all())
    assert nothing_drawn.augmentation == Augmentation()
    with pytest.raises(ValueError, match="turn is 'on', but the recipe modern draws no turns"):
        choose_augmentation(Augment(turn="on"), MODERN, images, pixels, 0)
    with pytest.raises(ValueError, match="flip is 'maybe'; choose one of auto, on, off"):
        Augment(flip="maybe")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="augment is 3; give an Augment, 'auto' or 'none'"):
        augment_of(3)  # pyright: ignore[reportArgumentType]


def off_all() -> tuple[Chosen, ...]:
    """What --augment none comes to."""
    assert augment_of("none") == Augment("off", "off", "off", "off")
    return tuple(Chosen(kind, False, "as asked") for kind in KINDS)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(RECIPES)), st.sets(st.sampled_from(KINDS)), st.sampled_from(KINDS))
def test_kinds_are_left_out_whole_and_alone(name: str, gone: set[Kind], kind: Kind) -> None:
    whole = RECIPES[name]
    chosen = tuple(Chosen(one, one not in gone and whole.augmentation.draws(one), "as asked") for one in KINDS)
    trained = fitted(whole, chosen)
    assert trained.augmentation.draws(kind) == (kind not in gone and whole.augmentation.draws(kind))
    assert from_plain(Recipe, json.loads(json.dumps(to_plain(trained))), "a recipe") == trained
    assert fitted(trained, chosen) == trained
    rows = json.loads(json.dumps(to_plain(chosen)))
    assert tuple(from_plain(Chosen, row, "a row") for row in rows) == chosen
    assert fitted(whole, tuple(one for one in chosen if one.kind in gone)).augmentation == whole.augmentation.without(
        *gone
    )
    alone = whole.augmentation.only(kind)
    assert not any(alone.draws(other) for other in KINDS if other != kind)
    assert len(operations_without(())) == len(OPERATIONS) == 14


def test_parts_of_a_whole_do_what_the_whole_has_settled() -> None:
    chosen = (
        Chosen("flip", False, "mirrored 'a' looks like 'b'", ("a", "b"), 40),
        Chosen("turn", False, "the recipe draws none"),
        Chosen("colour", True, "changes no class that a quick classifier sees", None, 40),
        Chosen("crop", True, "as the recipe has it, not tested"),
    )
    images, pixels = image_set(("circle", "square"), painted(("circle", "square"), 8, shape))
    parts = choose_augmentation(settled(chosen), MODERN, images, pixels, 0)
    assert fitted(MODERN, parts) == fitted(MODERN, chosen)


def signs(folder: Path, each: int = 20) -> Path:
    """Signs that point to the left and to the right, in colour files."""
    pictures = painted(("left", "right"), each, arrow, side_px=48)
    for number, picture in enumerate(pictures):
        place = folder / ("left", "right")[number // each]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number:03d}.png")
    return folder


@pytest.mark.slow
def test_a_run_says_its_choice_and_keeps_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data, run = signs(tmp_path / "signs", each=60), tmp_path / "run"
    command = ["train", str(data), "--network", "mobilenet_v3_small", "--resolution", "48", "--epochs", "60"]
    assert main([*command, "--out", str(run)]) == 0
    told = "augmentation: mirroring off (mirrored 'left' looks like 'right'), colours on, crops on"
    assert told in capfd.readouterr().err.replace("'right' looks like 'left'", "'left' looks like 'right'")
    record = json.loads((run / "plan.json").read_text())
    assert record["request"]["augment"] == to_plain(AUTO)
    assert record["plan"]["config"]["recipe"]["augmentation"]["flip"] == 0.0
    assert [row["on"] for row in record["plan"]["augmentation"]] == [False, False, True, True]
    assert "mirroring off (mirrored" in (run / "report.html").read_text()
    assert main([*command, "--flip", "on", "--out", str(run)]) == 2
    assert "was begun with another augment" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--turn", "on"], "turn is 'on', but the recipe modern draws no turns; give another recipe"),
        (["--augment", "none", "--flip", "on"], "--augment none leaves nothing for --flip on; give one of them"),
        (["--flip", "maybe"], "maybe"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], error: str
) -> None:
    data, run = signs(tmp_path / "signs", 5), tmp_path / "run"
    command = ["train", str(data), "--network", "mobilenet_v3_small", "--epochs", "1", "--out", str(run)]
    assert main([*command, *options]) == 2
    assert error in capfd.readouterr().err and not run.exists()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_signs_in_colour_files_are_learned_as_well_as_grey_ones(tmp_path: Path, mode: str) -> None:
    for number, picture in enumerate(painted(("left", "right"), 40, sign)):
        place = tmp_path / "signs" / ("left", "right")[number // 40]
        place.mkdir(parents=True, exist_ok=True)
        picture.convert(mode).save(place / f"{number:03d}.png")
    small = adapt(network("mobilenet_v3_small"), 48, 2)
    assert train(tmp_path / "signs", small, out=tmp_path / "run", epochs=12).test.top1 >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cats-dogs", "trashnet112", "cifar10"])
@pytest.mark.parametrize("recipe", [MODERN, PAPER], ids=lambda recipe: recipe.name)
def test_photos_keep_everything(name: str, recipe: Recipe) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    images = open_images(DATA / name)
    assert fitted(recipe, choose_augmentation(AUTO, recipe, images, open_cache(images, 64), 0)) == recipe
