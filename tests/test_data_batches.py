"""Batches: what evaluation sees, what is drawn, and that each image's pixels depend on itself alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from budgetnet.data import (
    ImageSet,
    Pixels,
    Preprocessing,
    default_preprocessing,
    draw,
    needed_side_px,
    open_cache,
    open_images,
    train_order,
)
from budgetnet.data.augment import Augmentation
from budgetnet.data.batches import TrainBatches, batches, prepare, train_batch
from budgetnet.data.randaugment import OPERATIONS, randaugment

PLAIN = Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3)
EVERYTHING = Augmentation(
    crop_scale=(0.3, 1.0),
    flip=0.5,
    rotate_degrees=20.0,
    translate=0.1,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.1,
    erase=0.5,
    randaugment=(2, 9.0),
)


def colour_set(count: int = 30, size: tuple[int, int] = (24, 30)) -> tuple[ImageSet, Pixels]:
    """Noise images in memory, with smooth parts so that colour changes show."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (count, 6, 6, 3), dtype=np.uint8)
    arrays = [np.asarray(Image.fromarray(one).resize(size[::-1], Image.Resampling.BICUBIC)) for one in coarse]
    images = ImageSet(
        name="noise",
        root="",
        classes=("a", "b", "c"),
        files=tuple(f"{index:03d}" for index in range(count)),
        labels=tuple(index % 3 for index in range(count)),
        digests=tuple(f"{index:03d}" for index in range(count)),
        sizes_px=(size,) * count,
        in_channels=3,
        split=tuple([0] * (count - 10) + [1] * 4 + [2] * 6),
    )
    return images, Pixels(min(size), images.sizes_px, "memory", arrays.__getitem__)


def bright(batch: torch.Tensor) -> np.ndarray:
    return batch.permute(0, 2, 3, 1).numpy()


def test_evaluation_is_resize_and_normalise() -> None:
    images, pixels = colour_set()
    preprocessing = Preprocessing()
    [batch] = batches(images, pixels, "test", 64, (16, 20), preprocessing)
    assert batch.inputs.shape == (6, 3, 16, 20)
    assert batch.inputs.dtype == torch.float32
    assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
    assert batch.index.tolist() == [24, 25, 26, 27, 28, 29]
    assert batch.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert batch.targets is None
    expected = np.asarray(Image.fromarray(pixels[25]).resize((20, 16), Image.Resampling.BILINEAR)) / 255
    expected = (expected - preprocessing.mean) / preprocessing.std
    assert np.abs(bright(batch.inputs)[1] - expected).max() < 1e-5


def test_same_size_is_the_same_pixels() -> None:
    images, pixels = colour_set()
    [batch] = batches(images, pixels, "validation", 64, (24, 30), PLAIN)
    assert np.array_equal(np.rint(bright(batch.inputs)[2] * 255).astype(np.uint8), pixels[22])


def test_centre_crop_is_resize_then_crop() -> None:
    array = np.asarray(colour_set()[1][0].repeat(5, axis=0).repeat(7, axis=1))  # 120 x 210
    resized = Image.fromarray(array).resize((70, 40), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((25, 10, 45, 30))) / 255
    inputs = prepare([array], 20, replace(PLAIN, fit="crop", crop_share=0.5))
    assert np.abs(bright(inputs)[0] - expected).max() < 1.5 / 255
    array = array[:, :200][:100]
    wide = prepare([array], (10, 20), replace(PLAIN, fit="crop"))
    stretched = prepare([array], (10, 20), PLAIN)
    assert torch.equal(wide, stretched)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_downscaling_is_antialiased(interpolation: str) -> None:
    board = np.repeat((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    inputs = prepare([board], 16, Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, interpolation=interpolation))
    assert inputs.abs().max() < 0.05


def test_every_image_once_and_the_last_batch_smaller() -> None:
    images, pixels = colour_set()
    train = list(batches(images, pixels, "train", 8, 16, PLAIN, epoch=3))
    assert [len(batch.index) for batch in train] == [8, 8, 4]
    assert np.concatenate([batch.index for batch in train]).tolist() == train_order(images, 0, 3).tolist()
    with pytest.raises(ValueError, match="batch is 0; it must be an integer of at least 1"):
        next(batches(images, pixels, "train", 0, 16, PLAIN))
    with pytest.raises(ValueError, match="split is 'eval'; choose one of train, validation, test"):
        next(batches(images, pixels, "eval", 4, 16, PLAIN))
    with pytest.raises(ValueError, match="the images have 3 channels, but the preprocessing's mean has 1"):
        next(batches(images, pixels, "test", 4, 16, default_preprocessing(1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean": (0.5,)}, "mean has 1 channels and std 3"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
        ({"crop_share": 0.0}, "crop_share is 0.0; it must be above 0 and at most 1"),
        ({"fit": "pad"}, "fit is 'pad'; choose one of stretch, crop"),
        ({"interpolation": "nearest"}, "interpolation is 'nearest'; choose one of bilinear, bicubic"),
    ],
)
def test_preprocessing_that_is_none(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**wrong)


def test_preprocessing_survives_json_lists() -> None:
    assert Preprocessing(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]) == Preprocessing()
    assert needed_side_px((224, 224), Preprocessing(fit="crop", crop_share=0.875)) == 256
    assert needed_side_px((48, 96), Preprocessing()) == 96


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flip": 1.5}, "flip is 1.5; it must be within 0 and 1"),
        ({"hue": 0.6}, "hue is 0.6; it must be within 0 and 0.5"),
        ({"crop_scale": (0.0, 1.0)}, "crop_scale is"),
        ({"crop_ratio": (2.0, 1.0)}, "crop_ratio is"),
        ({"randaugment": (0, 9)}, "randaugment operations is 0"),
        ({"randaugment": (2, 31)}, "randaugment magnitude is 31; it must be within 0 and 30"),
        ({"mixup_alpha": -1.0}, "mixup_alpha is -1.0; it must be 0 or more"),
        ({"border": "wrap"}, "border is 'wrap'; choose one of reflection, border, zeros"),
    ],
)
def test_augmentation_that_is_none(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)


def test_draws_are_uniform_and_unrelated() -> None:
    drawn = draw(0, 0, np.arange(20_000), 6)
    assert drawn.shape == (20_000, 6)
    assert drawn.min() >= 0.0
    assert drawn.max() < 1.0
    assert np.abs(drawn.mean(0) - 0.5).max() < 0.01
    assert np.abs(np.histogram(drawn, 20)[0] / drawn.size - 0.05).max() < 0.002
    # Columns, neighbouring images, epochs, seeds and streams must not know of each other.
    others = [draw(*key, np.arange(20_000), 6, stream) for *key, stream in ((0, 1, 0), (1, 0, 0), (0, 0, 1))]
    pairs = [(drawn[:, 0], drawn[:, 1]), (drawn[1:, 0], drawn[:-1, 0])] + [
        (drawn[:, 0], other[:, 0]) for other in others
    ]
    assert max(abs(np.corrcoef(one, two)[0, 1]) for one, two in pairs) < 0.03


def test_draws_stay_what_they_are() -> None:
    """Runs are resumed by newer versions: the numbers of a seed must never change."""
    assert draw(1, 2, 3, 2)[0].tolist() == [0.14961415973661585, 0.533884499689521]


@given(
    st.integers(0, 2**63), st.integers(0, 1000), st.lists(st.integers(0, 10**6), min_size=1, max_size=9, unique=True)
)
def test_a_draw_depends_on_its_own_image_only(seed: int, epoch: int, index: list[int]) -> None:
    data_parallel = draw(seed, epoch, np.array(index), 4)
    alone = [draw(seed, epoch, one, 4)[0] for one in index]
    assert np.array_equal(data_parallel, np.array(alone))


@pytest.mark.parametrize("augmentation", [EVERYTHING, replace(EVERYTHING, randaugment=None), Augmentation(flip=0.5)])
def test_pixels_do_not_depend_on_the_batch(augmentation: Augmentation) -> None:
    images, pixels = colour_set()
    arguments = (16, Preprocessing(), augmentation, 5)
    many = train_batch(images, pixels, np.arange(12), 2, *arguments)
    few = train_batch(images, pixels, np.array([7, 3]), 2, *arguments)
    assert torch.allclose(many.inputs[7], few.inputs[0], atol=1e-5)
    assert torch.allclose(many.inputs[3], few.inputs[1], atol=1e-5)
    assert torch.equal(many.inputs, train_batch(images, pixels, np.arange(12), 2, *arguments).inputs)
    assert many.inputs.is_contiguous(memory_format=torch.channels_last)


def test_each_image_epoch_and_seed_draws_its_own() -> None:
    _, pixels = colour_set()
    images = colour_set()[0]
    same = Pixels(24, images.sizes_px, "memory", lambda index: pixels[0])
    augmentation = replace(EVERYTHING, erase=0.0, randaugment=None)
    batch = train_batch(images, same, np.arange(8), 0, 16, PLAIN, augmentation)
    flat = batch.inputs.flatten(1)
    assert all((flat[one] - flat[two]).abs().max() > 0.02 for one in range(8) for two in range(one))
    for epoch, seed in ((1, 0), (0, 1)):
        other = train_batch(images, same, np.arange(8), epoch, 16, PLAIN, augmentation, seed)
        assert ((other.inputs - batch.inputs).flatten(1).abs().amax(1) > 0.02).all()


def test_flip_is_the_mirror_image_at_the_asked_share() -> None:
    images, pixels = colour_set(400)
    plain = train_batch(images, pixels, np.arange(400), 0, (24, 30), PLAIN).inputs
    flipped = train_batch(images, pixels, np.arange(400), 0, (24, 30), PLAIN, Augmentation(flip=0.3)).inputs
    mirrored = [bool(torch.equal(one, two.flip(2))) for one, two in zip(flipped, plain, strict=True)]
    kept = [bool(torch.equal(one, two)) for one, two in zip(flipped, plain, strict=True)]
    assert all(one != two for one, two in zip(mirrored, kept, strict=True))
    assert 0.22 < sum(mirrored) / 400 < 0.38


def ramp() -> np.ndarray:
    """Red is the column, green the row, so that a crop tells where it is from."""
    rows, columns = np.indices((100, 200))
    return np.stack([columns, rows, 0 * rows], axis=2).astype(np.uint8)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_crops_have_the_asked_area_and_shape(fit: str) -> None:
    images = colour_set(300)[0]
    pixels = Pixels(100, ((100, 200),) * 300, "memory", lambda index: ramp())
    augmentation = Augmentation(crop_scale=(0.1, 0.4), crop_ratio=(0.8, 1.25))
    batch = train_batch(images, pixels, np.arange(300), 0, 20, replace(PLAIN, fit=fit), augmentation)
    inputs = batch.inputs.double() * 255
    width = (inputs[:, 0, 10, -1] - inputs[:, 0, 10, 0]) * 20 / 19
    height = (inputs[:, 1, -1, 10] - inputs[:, 1, 0, 10]) * 20 / 19
    area, ratio = width * height / 20_000, width / height / (2.0 if fit == "stretch" else 1.0)
    assert 0.08 < area.min() < 0.13
    assert 0.37 < area.max() < 0.42
    assert 0.75 < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 1.33
    left, top = inputs[:, 0, 10, 0], inputs[:, 1, 0, 10]
    assert left.min() < 6 < 100 < left.max()  # boxes lie everywhere
    assert top.min() < 6 < 40 < top.max()


def test_translation_and_rotation_move_as_said() -> None:
    dot = np.zeros((40, 40, 3), np.uint8)
    dot[18:22, 28:32] = 255  # 10 px right of the centre
    images = colour_set(200)[0]
    pixels = Pixels(40, ((40, 40),) * 200, "memory", lambda index: dot)
    moves = Augmentation(translate=0.1, border="zeros")
    turns = Augmentation(rotate_degrees=90.0, border="zeros")
    rows, columns = np.indices((40, 40)) - 19.5
    for augmentation in (moves, turns):
        light = train_batch(images, pixels, np.arange(200), 0, 40, PLAIN, augmentation).inputs[:, 0].double().numpy()
        down = (light * rows).sum((1, 2)) / light.sum((1, 2))
        right = (light * columns).sum((1, 2)) / light.sum((1, 2))
        if augmentation is moves:
            assert np.abs(down).max() < 4.01
            assert np.abs(right - 10).max() < 4.01
            assert min(down.max(), -down.min(), (right - 10).max(), (10 - right).max()) > 3.5
        else:
            assert np.abs(np.hypot(down, right) - 10).max() < 0.3  # a turn keeps the distance
            assert np.arctan2(down, right).max() > 1.4
            assert np.arctan2(down, right).min() < -1.4


def test_rotation_does_not_shear_a_wide_image() -> None:
    dot = np.zeros((40, 80, 3), np.uint8)
    dot[18:22, 48:52] = 255
    images = colour_set(50)[0]
    pixels = Pixels(40, ((40, 80),) * 50, "memory", lambda index: dot)
    augmentation = Augmentation(rotate_degrees=90.0, border="zeros")
    light = train_batch(images, pixels, np.arange(50), 0, (40, 80), PLAIN, augmentation).inputs[:, 0].numpy()
    rows, columns = np.indices((40, 80))
    down = (light * (rows - 19.5)).sum((1, 2)) / light.sum((1, 2))
    right = (light * (columns - 39.5)).sum((1, 2)) / light.sum((1, 2))
    assert np.abs(np.hypot(down, right) - 10).max() < 0.3


@pytest.mark.parametrize(
    ("name", "enhance"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
def test_colour_is_what_pillow_does(name: str, enhance: Callable[[Image.Image], ImageEnhance._Enhance]) -> None:
    images, pixels = colour_set()
    batch = train_batch(images, pixels, np.arange(8), 0, (24, 30), PLAIN, Augmentation(**{name: 0.5}))
    column = {"brightness": 8, "contrast": 9, "saturation": 10}[name]
    factors = 0.5 + draw(0, 0, np.arange(8), 20)[:, column]
    for index in range(8):
        expected = np.asarray(enhance(Image.fromarray(pixels[index])).enhance(float(factors[index]))) / 255
        assert np.abs(bright(batch.inputs)[index] - expected).max() < 2.5 / 255


def test_hue_keeps_grey_and_luma() -> None:
    images, pixels = colour_set()
    grey = Pixels(24, images.sizes_px, "memory", lambda index: np.full((24, 30, 3), 90, np.uint8))
    batch = train_batch(images, grey, np.arange(4), 0, 16, PLAIN, Augmentation(hue=0.5, saturation=1.0))
    assert (batch.inputs - 90 / 255).abs().max() < 1e-5
    muted = Pixels(24, images.sizes_px, "memory", lambda index: pixels[index] // 4 + 96)
    plain = bright(train_batch(images, muted, np.arange(4), 0, 16, PLAIN).inputs)
    turned = bright(train_batch(images, muted, np.arange(4), 0, 16, PLAIN, Augmentation(hue=0.5)).inputs)
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(plain @ luma - turned @ luma).max() < 1e-3
    assert np.abs(plain - turned).max() > 0.02


def test_grey_images_take_colour_augmentation() -> None:
    images = open_images("digits")
    pixels = open_cache(images, 8)
    batch = train_batch(images, pixels, np.arange(6), 0, 16, default_preprocessing(1), EVERYTHING)
    assert batch.inputs.shape == (6, 1, 16, 16)
    assert torch.isfinite(batch.inputs).all()


def test_values_stay_those_of_pixels() -> None:
    images, pixels = colour_set()
    inputs = train_batch(
        images, pixels, np.arange(20), 0, 16, PLAIN, replace(EVERYTHING, brightness=1.0, contrast=1.0)
    ).inputs
    assert inputs.min() >= -1e-6
    assert inputs.max() <= 1.0 + 1e-6


def test_erasing_sets_a_rectangle_to_the_mean() -> None:
    images, pixels = colour_set(300)
    inputs = train_batch(images, pixels, np.arange(300), 0, 20, Preprocessing(), Augmentation(erase=0.4)).inputs
    erased = (inputs == 0.0).all(1)
    share = erased.float().mean((1, 2))
    assert 0.3 < (share > 0).float().mean() < 0.5
    assert share.max() < 0.4
    for one in erased[share > 0]:
        assert int(one.sum()) == int(one.any(1).sum()) * int(one.any(0).sum())  # a full rectangle


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing(mixup: float, cutmix: float) -> None:
    images, pixels = colour_set(60)
    augmentation = Augmentation(mixup_alpha=mixup, cutmix_alpha=cutmix)
    index = np.arange(40)
    plain = train_batch(images, pixels, index, 0, 20, PLAIN).inputs
    batch = train_batch(images, pixels, index, 0, 20, PLAIN, augmentation)
    assert batch.targets is not None
    assert torch.allclose(batch.targets.sum(1), torch.ones(40))
    assert batch.inputs.is_contiguous(memory_format=torch.channels_last)
    other = torch.tensor([images.labels[at - 1] for at in range(40)])
    other[0] = images.labels[39]
    cuts = 0
    for at in range(1, 40):
        share = float(batch.targets[at, batch.labels[at]])
        assert float(batch.targets[at, other[at]]) == pytest.approx(1 - share, abs=1e-6)
        blended = torch.allclose(batch.inputs[at], share * plain[at] + (1 - share) * plain[at - 1], atol=1e-5)
        own = (batch.inputs[at] == plain[at]).all(0)
        pasted = bool((own | (batch.inputs[at] == plain[at - 1]).all(0)).all())
        assert blended or (pasted and abs(float(own.float().mean()) - share) < 1e-3)
        cuts += pasted and not blended
    assert (cuts > 0) == (cutmix > 0.0)
    assert (cuts < 30) == (mixup > 0.0)
    assert torch.equal(batch.inputs, train_batch(images, pixels, index, 0, 20, PLAIN, augmentation).inputs)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_randaugment_operations(operation: Callable[[Image.Image, float], Image.Image]) -> None:
    _, pixels = colour_set()
    for image in (Image.fromarray(pixels[0]), Image.fromarray(pixels[0]).convert("L")):
        for strength in (-1.0, -0.3, 0.3, 1.0):
            changed = operation(image, strength)
            assert (changed.size, changed.mode) == (image.size, image.mode)
    name = operation.__name__
    image = Image.fromarray(pixels[0] // 2 + 30)
    if name not in ("_identity",):
        assert np.abs(np.asarray(operation(image, 0.9)).astype(int) - np.asarray(image)).mean() > 0.5
    if name not in ("_autocontrast", "_equalize"):
        assert np.abs(np.asarray(operation(image, 0.0)).astype(int) - np.asarray(image)).max() <= 1


def test_randaugment_draws_every_operation() -> None:
    image = Image.fromarray(colour_set()[1][0])
    results = {randaugment(image, 1, 15.0, (choice / 14 + 0.01, 0.2)).tobytes() for choice in range(14)}
    assert len(results) == 14


def test_the_order_is_a_permutation_of_its_own() -> None:
    images = colour_set(500)[0]
    orders = [train_order(images, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert sorted(order.tolist()) == images.indices("train").tolist()
    assert (orders[0] == orders[1]).mean() < 0.02
    assert (orders[0] == orders[2]).mean() < 0.02
    assert np.array_equal(orders[0], train_order(images, 0, 0))


@pytest.mark.parametrize("batch", [8, 20, 33])
def test_any_step_can_be_asked_for(batch: int) -> None:
    images, pixels = colour_set()
    stream = TrainBatches(images, pixels, batch, 16, Preprocessing(), replace(EVERYTHING, cutmix_alpha=1.0), seed=4)
    steps = 9
    once = list(stream.stream(0, steps))
    threaded = list(stream.stream(0, steps, ahead=2))
    later = TrainBatches(images, pixels, batch, 16, Preprocessing(), replace(EVERYTHING, cutmix_alpha=1.0), seed=4)
    for step in reversed(range(steps)):
        again = later.batch_at(step)
        for other in (once[step], threaded[step]):
            assert torch.equal(again.inputs, other.inputs)
            assert again.targets is not None
            assert other.targets is not None
            assert torch.equal(again.targets, other.targets)
            assert np.array_equal(again.index, other.index)
    seen = np.concatenate([one.index for one in once])
    assert all(len(one.index) == batch for one in once)
    for epoch in range(len(seen) // 20):
        assert np.array_equal(seen[20 * epoch : 20 * epoch + 20], train_order(images, 4, epoch))


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    images, pixels = colour_set()
    broken = Pixels(24, images.sizes_px, "memory", lambda index: pixels[10**6])
    with pytest.raises(IndexError):
        list(TrainBatches(images, broken, 4, 16, PLAIN).stream(0, 5, ahead=2))
