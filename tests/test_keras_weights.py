"""Weights of Keras's applications: the same outputs from the same numbers, and files that are refused."""

from __future__ import annotations

import dataclasses
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import keras_models as theirs
from support.quick import quick_for

from budgetnet import build, load_weights, network, predict
from budgetnet.model.layouts import IMAGENET_MEAN, IMAGENET_STD
from budgetnet.model.weights import load_model
from budgetnet.training.predict import Prediction

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

SIZES = ((64, 64), (65, 97), (33, 40))
ENDS = (".weights.h5", ".h5", ".keras", "old .h5")
# MobileNet pads by its own rule: where a map is odd its model is another than ours (docs/weights.md).
EVEN = {"MobileNet": ((64, 64), (63, 96))}
ENOUGH = 1e-5


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras on torch, imported when the first test wants it."""
    return pytest.importorskip("keras", reason="keras is not installed")


def errors(name: str, folder: Path, **options: Any) -> tuple[list[float], list[Any]]:
    """For each format the largest error over the sizes, and what was loaded from it."""
    first = theirs.filled(theirs.built(name, SIZES[0], classes=10, **options))
    loaded = [load_model(file) for file in theirs.written(first, folder)]
    worst = [0.0] * len(loaded)
    for px in EVEN.get(name, SIZES):
        model = theirs.copied(theirs.built(name, px, classes=10, **options), first.get_weights())
        images = theirs.pixels(*px)
        expected = theirs.their_logits(model, name, images)
        assert expected.std() > 0.01 * abs(expected).max(), "images are told apart"
        found = (theirs.relative_error(theirs.our_logits(one, images), expected) for one in loaded)
        worst = [max(pair) for pair in zip(worst, found, strict=True)]
    return worst, loaded


NAMES = (
    "MobileNetV3Small",
    "MobileNet",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetV2B0",
    "EfficientNetV2B3",
    "MobileNetV2",
    "MobileNetV3Large",
)


@pytest.mark.parametrize("name", quick_for(NAMES, ("MobileNetV3Small",)))
def test_every_format_gives_keras_outputs(name: str, keras: Any, tmp_path: Path) -> None:
    worst, loaded = errors(name, tmp_path)
    assert max(worst) < ENOUGH, dict(zip(ENDS, worst, strict=True))
    for one in loaded:
        assert one.network.name == theirs.APPLICATIONS[name], "recognised by its shapes"
        assert one.network.norm.eps == 1e-3 and one.network.padding == "same"
        assert one.classes == tuple(map(str, range(10))) and not one.model.training


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alpha", "ours"),
    [
        ("MobileNet", 0.25, "mobilenet_v1_25"),
        ("MobileNetV2", 0.35, "mobilenet_v2_35"),
        ("MobileNetV2", 1.4, "mobilenet_v2_140"),
        ("MobileNetV3Large", 0.75, "tf_mobilenet_v3_large_75"),
    ],
)
def test_widths_are_recognised(name: str, alpha: float, ours: str, keras: Any, tmp_path: Path) -> None:
    worst, loaded = errors(name, tmp_path, alpha=alpha)
    assert max(worst) < ENOUGH and {one.network.name for one in loaded} == {ours}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetV2B0", "EfficientNetV2S"])
def test_a_model_without_its_preprocessing_takes_inputs_from_minus_one_to_one(
    name: str, keras: Any, tmp_path: Path
) -> None:
    model = theirs.filled(theirs.built(name, (64, 64), classes=10, include_preprocessing=False))
    images = theirs.pixels(64, 64)
    expected = theirs.their_logits(model, name, images / 127.5 - 1.0)
    for file in theirs.written(model, tmp_path)[:3]:
        assert theirs.relative_error(theirs.our_logits(load_model(file), images), expected) < ENOUGH


@pytest.mark.slow
def test_imagenets_efficientnet_divides_by_the_deviation_as_keras_model_for_it_does(
    keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = theirs.filled(theirs.built("EfficientNetB0", (224, 224)))
    layer = next(layer for layer in first.layers if type(layer).__name__ == "Normalization")
    layer.set_weights([np.array(IMAGENET_MEAN), np.array(IMAGENET_STD), np.array(0)])  # as Keras's own file has them
    theirs.refreshed(first)
    file = theirs.write_old_weights(first, tmp_path / "efficientnetb0.h5")
    monkeypatch.setattr(keras.src.applications.efficientnet.file_utils, "get_file", lambda *_, **__: str(file))
    model = theirs.built("EfficientNetB0", (224, 224), weights="imagenet")
    images = theirs.pixels(224, 224)
    expected = theirs.their_logits(model, "EfficientNetB0", images)
    (tmp_path / "again").mkdir()
    for one in (file, *theirs.written(model, tmp_path / "again")):
        loaded = load_model(one)
        assert np.allclose(loaded.preprocessing["std"], IMAGENET_STD, atol=1e-7)
        assert np.allclose(loaded.preprocessing["mean"], IMAGENET_MEAN, atol=1e-7)
        assert theirs.relative_error(theirs.our_logits(loaded, images), expected) < ENOUGH
        assert loaded.classes[0] == "tench" and loaded.preprocessing["crop_share"] == 0.875
    # The same numbers in a model with one Rescaling, which its own file tells.
    plain = theirs.written(first, tmp_path)[2]
    expected = theirs.their_logits(first, "EfficientNetB0", images)
    assert theirs.relative_error(theirs.our_logits(load_model(plain), images), expected) < ENOUGH


@pytest.mark.slow
def test_a_mobilenet_v3_for_any_size_is_ours_where_no_map_is_odd(keras: Any, tmp_path: Path) -> None:
    model = theirs.filled(theirs.built("MobileNetV3Small", (None, None)))
    model.save_weights(tmp_path / "any.weights.h5")
    loaded = load_model(tmp_path / "any.weights.h5")
    for px, same in (((64, 96), True), ((63, 95), True), ((65, 97), False), ((48, 48), False)):
        images = theirs.pixels(*px)
        expected = theirs.their_logits(model, "MobileNetV3Small", images)
        error = theirs.relative_error(theirs.our_logits(loaded, images), expected)
        assert (error < ENOUGH) == same, (px, error)


@pytest.mark.slow
def test_a_file_serves_where_a_run_would_stand(keras: Any, tmp_path: Path) -> None:
    model = theirs.filled(theirs.built("MobileNetV3Small", (224, 224), classes=10, classifier_activation="softmax"))
    model.save(tmp_path / "model.keras")
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    # 224 pixels are 0.875 of 256: the middle as it is, nothing resized.
    expected = theirs.their_logits(model, "", image[None, 16:240, 16:240].astype(np.float32))[0]
    (answer,) = predict(tmp_path / "model.keras", tmp_path / "image.png", top=10)
    assert isinstance(answer, Prediction) and answer.label == str(expected.argmax())
    assert dict(answer.top) == pytest.approx({str(i): float(share) for i, share in enumerate(expected)}, rel=1e-4)
    other = dataclasses.replace(load_model(tmp_path / "model.keras").network, classes=3)
    with pytest.warns(UserWarning, match="its classifier is left as it is"):
        load_weights(build(other), tmp_path / "model.keras")
    with pytest.raises(ValueError, match="computes otherwise: padding, norm differ"):
        load_weights(build(network("mobilenet_v3_small", 10)), tmp_path / "model.keras")


# Files that are refused. Each is made with h5py alone.


def one_layer(file: Any) -> Any:
    """A model of the new layout that has one convolution."""
    group = file.create_group("layers/conv2d/vars")
    group["0"] = np.ones((3, 3, 3, 8), np.float32)
    return group


def empty(file: Any) -> None:
    file.create_group("metadata")


def linked(link: Any) -> Callable[[Any], None]:
    def write(file: Any) -> None:
        file.create_group("layers/conv2d/vars")["0"] = link

    return write


def elsewhere(file: Any) -> None:
    group = file.create_group("layers/conv2d/vars")
    group.create_dataset("0", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
    file.create_group("layers/conv2d/vars").create_virtual_dataset("0", layout)


def packed(file: Any) -> None:
    file.create_group("layers/conv2d/vars").create_dataset("0", data=np.zeros((512, 512)), compression="gzip")


def claimed(file: Any) -> None:
    file.create_group("layers/conv2d/vars").create_dataset("0", (1 << 20, 1 << 20), "f4", chunks=(64, 64))


def repeated(file: Any) -> None:
    array = file.create_group("layers/conv2d/vars").create_dataset("0", data=np.ones((64, 64, 3, 8), np.float32))
    for place in range(1, 20):
        file.create_group(f"layers/conv2d_{place}/vars")["0"] = array


def texts(file: Any) -> None:
    file.create_group("layers/conv2d/vars")["0"] = [b"text"]


def unknown(file: Any) -> None:
    file.create_group("layers/lstm/vars")["0"] = np.zeros(4, np.float32)


def nested(file: Any) -> None:
    one_layer(file.create_group("layers/functional"))


def a_group(file: Any) -> None:
    file.create_group("layers/conv2d/vars/0")


def many(file: Any) -> None:
    file.attrs["layer_names"] = np.full(5000, b"a")


def long(file: Any) -> None:
    names = ["a" * 3_000_000] + ["b"] * 999  # each could be another link to the long one
    file.attrs["layer_names"] = np.array(names, h5py.string_dtype())


def no_group(file: Any) -> None:
    file["layers"] = np.zeros(4)


def absent(file: Any) -> None:
    file.attrs["layer_names"] = np.array([b"stem_conv"])


def old(file: Any) -> None:
    file.attrs["layer_names"] = np.array([b"cell"])
    file.create_group("cell").attrs["weight_names"] = np.array([b"cell/recurrent_kernel:0"])
    file["cell/cell/recurrent_kernel:0"] = np.zeros((4, 4), np.float32)


def headless(file: Any) -> None:
    one_layer(file)
    file.create_group("layers/depthwise_conv2d/vars")["0"] = np.ones((3, 3, 8, 1), np.float32)


def pointless(file: Any) -> None:
    headless(file)
    dense = file.create_group("layers/dense/vars")
    dense["0"], dense["1"] = np.float32(1), np.zeros(4, np.float32)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no layers": (empty, "holds no layers as Keras writes them"),
    "external link": (linked(h5py.ExternalLink("other.h5", "/data")), "links 0 to another place"),
    "soft link": (linked(h5py.SoftLink("/elsewhere")), "links 0 to another place"),
    "external storage": (elsewhere, "keeps the numbers of conv2d in another file"),
    "virtual": (virtual, "keeps the numbers of conv2d in another file"),
    "packed": (packed, "has packed numbers in conv2d"),
    "claimed": (claimed, "claims to hold more than its size"),
    "repeated": (repeated, "claims to hold more than its size"),
    "texts": (texts, "has no plain numbers in conv2d"),
    "unknown": (unknown, "has a layer lstm with 1 variables, which no application has"),
    "nested": (nested, r"holds a model inside of a model \(functional\)"),
    "a group": (a_group, "has a group where the numbers of conv2d should be"),
    "many": (many, "has more layer_names than any model"),
    "long": (long, "has more layer_names than any model"),
    "no group": (no_group, "has no layers in layers"),
    "absent": (absent, "names stem_conv, but does not hold it"),
    "old and unknown": (old, "has a layer cell with recurrent_kernel, which no application has"),
    "ResNet": (one_layer, "Keras's ResNet50 is not read: its strides"),
    "pointless": (pointless, "has no classifier"),
    "headless": (headless, r"has no classifier \(Keras's include_top=False\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_keras_does_not_write_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    write, says = REFUSED[case]
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        write(file)
    model = build(network("tf_mobilenet_v3_small", 10), seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for load in (load_model, lambda path: load_weights(model, path)):
        with pytest.raises(ValueError, match=says) as caught:
            load(tmp_path / "model.weights.h5")
        assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def archive(names: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", how) as file:
            for name, content in names.items():
                file.writestr(name, content)

    return write


def content(text: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(text) and None


def cut(path: Path) -> None:
    with h5py.File(path, "w") as file:
        one_layer(file)["1"] = np.ones(100_000, np.float32)
    path.write_bytes(path.read_bytes()[:100_000])


def cut_archive(path: Path) -> None:
    archive({"model.weights.h5": bytes(100_000)})(path)
    path.write_bytes(path.read_bytes()[:50_000])


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("model.h5", content(b""), "is empty"),
        ("model.h5", content(b"<!DOCTYPE html><html></html>"), "is a web page and no weights"),
        ("model.h5", content(b"version https://git-lfs.github.com/spec/v1\n"), "is not a whole file of Keras"),
        ("model.h5", cut, "is not a whole file of Keras"),
        ("model.keras", cut_archive, "is not a whole file of Keras"),
        ("model.keras", archive({"config.json": b"{}"}), r"is an archive without model.weights.h5"),
        ("model.keras", archive({"model.weights.h5": bytes(10_000_000)}, zipfile.ZIP_DEFLATED), "is a packed archive"),
        ("model.keras", archive({"model.weights.h5": b"no numbers"}), "is not a whole file of Keras"),
    ],
    ids=["empty", "page", "pointer", "cut", "cut archive", "no weights", "packed", "no HDF5"],
)
def test_files_that_are_not_whole_are_refused_in_one_line(
    name: str, write: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(ValueError, match=says) as caught:
        load_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_absent_file_and_an_absent_h5py_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"cannot read weights from .*: No such file"):
        load_model(tmp_path / "absent.keras")
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"h5py, which is not installed; pip install budgetnet\[keras\]"):
        load_model(tmp_path / "model.h5")
