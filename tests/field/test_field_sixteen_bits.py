"""Images of more than 8 bits a value: thermal cameras, scanners, microscopes, floats."""

from __future__ import annotations

import dataclasses
import json
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.finished_runs import train_record

from budgetnet import network, train
from budgetnet.answers.evaluate import evaluate
from budgetnet.answers.predict import predict
from budgetnet.cli import main
from budgetnet.codec import to_plain
from budgetnet.data import Preprocessing, decode, open_cache, open_images
from budgetnet.data.decode import decode_noted, look
from budgetnet.data.deep import FULL, eight_bits, training_range
from budgetnet.model.build import build
from budgetnet.model.weights import save_weights
from budgetnet.runs.record import check_values
from budgetnet.runs.run import Loaded, load_run
from budgetnet.training.plan import preprocessing_for
from budgetnet.training.predict import Prediction

SIDE = 24
Words = NDArray[np.uint16]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(path: Path, values: Words, colour_type: int) -> Path:
    """A 16-bit PNG (height, width, channels), which Pillow cannot write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(height, -1))
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def tiff(path: Path, values: Words, order: str, packed: bool, planes: bool = False) -> Path:
    """A 16-bit RGB or RGBA TIFF, little ("<") or big (">") endian, packed by deflate or not."""
    height, width, channels = values.shape
    parts = [values[..., channel] for channel in range(channels)] if planes else [values]
    strips = [np.ascontiguousarray(part).astype(f"{order}u2").tobytes() for part in parts]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    offsets = [8 + sum(map(len, strips[:index])) for index in range(len(strips))]
    sizes = [len(strip) for strip in strips]
    short, long = ("H", 3), ("I", 4)
    tags = [
        (256, short, [width]), (257, short, [height]), (258, short, [16] * channels),
        (259, short, [8 if packed else 1]),
        (262, short, [2]), (273, long, offsets), (277, short, [channels]), (278, short, [height]), (279, long, sizes),
        (284, short, [2 if planes else 1]), *([(338, short, [2])] if channels == 4 else []),
    ]  # fmt: skip
    start = 8 + sum(sizes)
    table, more, behind = struct.pack(f"{order}H", len(tags)), b"", start + 2 + 12 * len(tags) + 4
    for tag, (letter, code), row in tags:
        data = b"".join(struct.pack(f"{order}{letter}", value) for value in row)
        if len(data) > 4:
            data, more = struct.pack(f"{order}I", behind + len(more)), more + data
        table += struct.pack(f"{order}HHI", tag, code, len(row)) + data.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    path.write_bytes(head + b"".join(strips) + table + bytes(4) + more)
    return path


def grey(path: Path, values: NDArray[np.generic]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def thermal(folder: Path, count: int = 8, level: int = 51410, apart: int = 0) -> Path:
    """Two classes in a narrow band: light up and light down, or by `apart` another level alone."""
    for kind, name in enumerate(("down", "up")):
        for index in range(count):
            slope = np.linspace(-60, 60, SIDE)[:, None] * np.ones((1, SIDE)) * (1 - 2 * kind) * (apart == 0)
            noise = np.random.default_rng(index + 1000 * kind).normal(0, 15, (SIDE, SIDE))
            values = level + kind * apart + slope + noise
            grey(folder / name / f"{index:02d}.png", values.round().astype(np.uint16))
    return folder


def scene(low: int, high: int, channels: int) -> Words:
    return np.random.default_rng(0).integers(low, high + 1, (9, 7, channels)).astype(np.uint16)


def expected(values: Words, low: float, high: float) -> NDArray[np.uint8]:
    return np.rint(255.0 * np.clip((values.astype(float) - low) / (high - low), 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
def test_sixteen_bit_pngs_keep_their_lower_bytes(tmp_path: Path, channels: int, colour_type: int) -> None:
    values = scene(51000, 51900, channels)
    path = png(tmp_path / "a.png", values, colour_type)
    assert np.array_equal(decode(path, channels, value_range=(51000, 51900)), expected(values, 51000, 51900))
    seen = look(path)
    assert seen.spread is not None and (seen.spread[0], seen.spread[3]) == (values.min(), values.max())
    assert seen.grey == (channels == 1)


@pytest.mark.parametrize("colour_type", [4, 6])
def test_sixteen_bit_alpha_lies_on_white(tmp_path: Path, colour_type: int) -> None:
    channels = {4: 1, 6: 3}[colour_type]
    values = scene(51000, 51900, channels)
    alpha = np.where(np.arange(7) < 3, 65535, 0).astype(np.uint16)
    path = png(tmp_path / "a.png", np.dstack([values, np.tile(alpha, (9, 1))]), colour_type)
    found = decode(path, 3, value_range=(51000, 51900))
    assert np.array_equal(found[:, :3], np.broadcast_to(expected(values, 51000, 51900), (9, 7, 3))[:, :3])
    assert (found[:, 3:] == 255).all()
    assert look(path).spread[3] == values.max(), "alpha is not a value"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_tiffs_keep_their_lower_bytes(
    tmp_path: Path, order: str, packed: bool, channels: int
) -> None:
    values = scene(51000, 51900, channels)
    values[..., 3:] = 65535
    path = tiff(tmp_path / "a.tif", values, order, packed)
    assert np.array_equal(decode(path, 3, value_range=(51000, 51900)), expected(values[..., :3], 51000, 51900))


def test_a_layout_that_would_give_other_pixels_is_refused(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", scene(51000, 51900, 3), "<", packed=False, planes=True)
    with pytest.raises(ValueError, match="16-bit colour in a layout that is not read"):
        look(path)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_grey_tiffs_of_both_byte_orders(tmp_path: Path, order: str) -> None:
    values = scene(1000, 1400, 1)[..., 0]
    path = grey(tmp_path / "a.tif", values.astype(order))
    assert np.array_equal(decode(path, 1, value_range=(1000, 1400))[..., 0], expected(values, 1000, 1400))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_integers_and_floats_have_one_range_for_all_images(tmp_path: Path, kind: type) -> None:
    """Each image by its own range would make a class that differs by its level alone vanish."""
    for place, level in enumerate((200_000, 200_300)):
        for index in range(4):
            noise = np.random.default_rng(index).normal(0, 10, (SIDE, SIDE))
            grey(tmp_path / "set" / str(place) / f"{index}.tif", (level + noise).astype(kind))
    images = open_images(tmp_path / "set")
    pixels = open_cache(images, SIDE)
    means = [pixels[index].mean() for index in range(8)]
    assert max(means[:4]) + 80 < min(means[4:]), means


def test_the_range_of_a_narrow_band_is_used_and_told(tmp_path: Path) -> None:
    images = open_images(thermal(tmp_path / "band"))
    assert images.in_channels == 1 and images.value_range is not None
    low, high = images.value_range
    assert 51200 < low < 51360 and 51460 < high < 51620
    assert len(np.unique(open_cache(images, SIDE)[0])) > 80, "divided by 257 there are two"
    with pytest.warns(UserWarning, match=r"more than 8 bits a value: 51,\d+ to 51,\d+, by the training images") as told:
        preprocessing = preprocessing_for(images)
    assert preprocessing.value_range == images.value_range and "values each" in str(told[0].message)
    assert to_plain(preprocessing)["value_range"] == list(images.value_range)


def test_only_training_images_make_the_range(tmp_path: Path) -> None:
    images = open_images(thermal(tmp_path / "band", 10))
    test = images.files[images.indices("test")[0]]
    Image.fromarray(np.full((SIDE, SIDE), 100, np.uint16)).save(tmp_path / "copy.png")
    other = tmp_path / "given"
    for file, place in zip(images.files, images.split, strict=True):
        target = other / ("train", "val", "test")[place] / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((tmp_path / ("copy.png" if file == test else f"band/{file}")).read_bytes())
    assert open_images(other).value_range == images.value_range


@pytest.mark.parametrize(("high", "full"), [(65535, 65535), (40000, 65535), (4095, 4095), (2500, 4095), (200, 255)])
def test_images_that_use_half_of_their_bits_are_scaled_by_all_of_them(tmp_path: Path, high: int, full: int) -> None:
    for name in ("a", "b"):
        for index in range(4):
            values = np.random.default_rng(index + 7 * (name == "b")).integers(0, high + 1, (SIDE, SIDE))
            grey(tmp_path / "set" / name / f"{index}.png", values.astype(np.uint16))
    images = open_images(tmp_path / "set")
    assert images.value_range == (0, full)
    if full == 65535:
        path = tmp_path / "set" / images.files[0]
        now = decode(path, 1, value_range=images.value_range)
        assert np.array_equal(now, decode(path, 1)), "as it always was: divided by 257"


def test_hot_pixels_and_a_black_frame_do_not_make_the_range(tmp_path: Path) -> None:
    folder = thermal(tmp_path / "band", 40)
    plain = open_images(folder).value_range
    for index, name in enumerate(("down", "up")):
        for file in sorted((folder / name).iterdir()):
            values = np.array(Image.open(file))
            values[index, 3] = 65535
            Image.fromarray(values).save(file)
    for black in range(20):  # its content says in which split it comes
        Image.fromarray(np.full((SIDE, SIDE), black, np.uint16)).save(folder / "down" / "00.png")
        images = open_images(folder)
        if images.split[images.files.index("down/00.png")] == 0:
            break
    assert plain is not None and images.value_range is not None
    assert images.value_range[1] - images.value_range[0] < 2.5 * (plain[1] - plain[0])
    with pytest.warns(UserWarning, match="lie outside and are clipped"):
        preprocessing_for(images)


@given(st.data())
@settings(max_examples=40)
def test_no_class_is_cut_off_however_few_its_images(data: st.DataObject) -> None:
    levels = data.draw(st.lists(st.integers(1, 60000), min_size=2, max_size=6, unique=True))
    counts = data.draw(st.lists(st.integers(1, 40), min_size=len(levels), max_size=len(levels)))
    spreads = [(level - 1.0, float(level), level + 1.0, level + 2.0) for level in levels]
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    found = training_range([spreads[label] for label in labels], labels, [True] * len(labels))
    assert found is not None
    assert found[0] <= min(levels) and found[1] >= max(levels) + 1
    assert found in FULL or (found[0] >= min(levels) - 1 and found[1] <= max(levels) + 2)


@given(st.integers(0, 65000), st.integers(1, 65535))
def test_the_ends_of_a_range_become_0_and_255_and_order_is_kept(low: int, width: int) -> None:
    values = np.linspace(low - 10, low + width + 10, 60, dtype=np.float32).reshape(6, 10, 1)
    pixels = eight_bits(values, (low, low + width), 1).reshape(-1)
    assert pixels[0] == 0 and pixels[-1] == 255 and (np.diff(pixels.astype(int)) >= 0).all()


def test_an_image_with_what_is_no_number_is_unreadable(tmp_path: Path) -> None:
    holes = np.linspace(0, 40, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    holes[0, 1] = np.nan
    path = grey(tmp_path / "a.tif", holes)
    for read in (look, lambda path: decode(path, 1, value_range=(0.0, 40.0))):
        with pytest.raises(ValueError, match="its pixel in row 0, column 1 is nan, not a number; fill such pixels"):
            read(path)


def test_eight_bit_files_among_a_narrow_band_are_refused_and_counted(tmp_path: Path) -> None:
    folder = thermal(tmp_path / "band", 10)
    for index in range(5):
        grey(folder / "up" / f"copy{index}.png", np.full((SIDE, SIDE), 100 + index, np.uint8))
    images = open_images(folder)
    with pytest.raises(ValueError, match=r"5 of 25 images of band have 8 bits a value \(up/copy0.png is the first\)"):
        preprocessing_for(images)
    assert main(["train", str(folder), "--network", "mobilenet_v1", "--epochs", "1", "--out", str(tmp_path / "r")]) == 2
    assert not (tmp_path / "r").exists()


def test_eight_bit_files_among_full_sixteen_bits_mean_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(4):
            values = np.random.default_rng(index + 7 * (name == "b")).integers(0, 256, (SIDE, SIDE))
            deep = (values * 257).astype(np.uint16)
            grey(tmp_path / "set" / name / f"{index}.png", deep if index % 2 else values.astype(np.uint8))
            assert np.array_equal(decode(tmp_path / "set" / name / f"{index}.png", 1)[..., 0], values)
    images = open_images(tmp_path / "set")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert preprocessing_for(images).value_range == (0, 65535)
    assert open_cache(images, SIDE)[0].max() >= 250


def saved(path: Path, value_range: tuple[float, float] | None) -> Loaded:
    """A model of the classes down and up that says "up" for bright images."""
    small = network("mobilenet_v1", classes=2, resolution_px=32)
    small = small.__class__.from_json(json.dumps({**json.loads(small.to_json()), "in_channels": 1}))
    preprocessing = Preprocessing((0.5,), (0.25,), value_range=value_range)
    path.mkdir()
    model = build(small)
    torch.manual_seed(0)
    save_weights(path / "weights.safetensors", model, ("down", "up"), to_plain(preprocessing), {"side_px": "32"})
    return load_run(path)


def answers(loaded: Loaded, path: Path) -> Iterator[Prediction]:
    for answer in predict(loaded, path):
        assert isinstance(answer, Prediction)
        yield answer


def test_predict_uses_the_stored_range_and_says_what_lies_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = saved(tmp_path / "run", (51300.0, 51520.0))
    assert loaded.preprocessing.value_range == (51300.0, 51520.0)
    inside = grey(tmp_path / "in.png", np.full((32, 32), 51400, np.uint16))
    outside = grey(tmp_path / "out.png", np.full((32, 32), 60000, np.uint16))
    top = grey(tmp_path / "top.png", np.full((32, 32), 51520, np.uint16))
    found = [next(answers(loaded, file)) for file in (inside, outside, top)]
    assert [one.note is None for one in found] == [True, False, True]
    assert found[1].probability == found[2].probability, "clipped"
    assert main(["predict", str(tmp_path / "run"), str(outside)]) == 0
    assert "lie outside 51,300 to 51,520, the training images' range, and are clipped" in capsys.readouterr().err
    grey(tmp_path / "plain.png", np.full((32, 32), 200, np.uint8))
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "plain.png")]) == 1
    assert "it has 8 bits a value, but the training images had more" in capsys.readouterr().err


def test_evaluate_refuses_other_bits_and_says_what_lies_outside(tmp_path: Path) -> None:
    thermal(tmp_path / "far", 4, level=9000)
    saved(tmp_path / "run", (51300.0, 51520.0))
    with pytest.warns(UserWarning, match="of 8 of 8 images of far some values lie outside 51,300 to 51,520"):
        evaluate(tmp_path / "run", tmp_path / "far")
    for name in ("down", "up"):
        grey(tmp_path / "plain" / name / "a.png", np.full((32, 32), len(name), np.uint8))
    with pytest.raises(ValueError, match="2 of 2 images of plain have 8 bits a value"):
        evaluate(tmp_path / "run", tmp_path / "plain")


def test_weights_without_a_range_read_as_ever_and_say_so(tmp_path: Path) -> None:
    loaded = saved(tmp_path / "run", None)
    assert "value_range" not in json.loads(json.dumps(to_plain(loaded.preprocessing)))
    pixels, note = decode_noted(grey(tmp_path / "a.png", np.full((4, 4), 257 * 7, np.uint16)), 1)
    assert (pixels == 7).all() and note is not None and "divided by 257" in note
    thermal(tmp_path / "band", 4)
    with pytest.warns(UserWarning, match="8 of 8 images of band have more than 8 bits a value, but the model's"):
        evaluate(tmp_path / "run", tmp_path / "band")


def test_an_unfinished_run_of_before_is_not_gone_on_with(tmp_path: Path) -> None:
    images = open_images(thermal(tmp_path / "band"))
    record = train_record(str(tmp_path / "band"), images, network("mobilenet_v1"))
    assert record.data.value_range == images.value_range is not None
    check_values(record, images, tmp_path)
    before = dataclasses.replace(record, data=dataclasses.replace(record.data, value_range=None))
    with pytest.raises(ValueError, match="was begun by another version of budgetnet"):
        check_values(before, images, tmp_path)


@pytest.mark.parametrize("wrong", [(1.0, 1.0), (5.0, 1.0), (0.0, float("nan"))])
def test_a_range_that_is_none_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="value_range"):
        Preprocessing((0.5,), (0.25,), value_range=wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the images of band have more than 8 bits")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("apart", [0, 60])
def test_a_narrow_band_and_a_level_alone_are_learned(tmp_path: Path, apart: int) -> None:
    folder = thermal(tmp_path / "band", 40, apart=apart)
    small = network("mobilenet_v1", resolution_px=32)
    found = train(folder, small, tmp_path / "run", epochs=15)
    assert found.test.top1 >= 0.9
    kept = load_run(tmp_path / "run").preprocessing.value_range
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert kept == tuple(plan["data"]["value_range"])
    assert kept == tuple(plan["plan"]["config"]["preprocessing"]["value_range"])
    assert evaluate(tmp_path / "run").top1 == found.test.top1
    assert "became 256 levels" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
