"""Weights files: bits kept, written whole or not at all, and nothing loaded that is not what it says."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from support.quick import quick_for

from budgetnet import build, load_weights, network
from budgetnet.data import Preprocessing
from budgetnet.model.build import Model
from budgetnet.model.files import load_tensors, save_tensors
from budgetnet.model.weights import load_model, save_weights
from budgetnet.networks import Activation, Network
from budgetnet.runs.run import load_run

CLASSES = ("cat", "dog", "poisson d'avril é")
ROW = network("mobilenet_v3_small", classes=3, resolution_px=64)
PREPROCESSING = {"mean": [0.1, 0.2, 0.3], "std": [0.3, 0.2, 0.1], "crop_share": 0.875, "fit": "crop"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def spoilt(row: Network = ROW, seed: int = 3) -> Model:
    """A model whose every number is drawn, running statistics too."""
    model = build(row, seed)
    torch.manual_seed(seed)
    for tensor in model.state_dict().values():
        tensor.uniform_(0.5, 1.5) if tensor.is_floating_point() else tensor.fill_(7)
    return model


def same(left: Model, right: Model) -> bool:
    ours, theirs = left.state_dict(), right.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(path, spoilt(), CLASSES, PREPROCESSING, {"made by": "a test"})
    return path


KINDS = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "tf_mobilenet_v3_large")


@pytest.mark.parametrize("name", quick_for(KINDS, ("mobilenet_v1", "tf_mobilenet_v3_large")))
def test_round_trip_keeps_every_bit(name, tmp_path):
    row = network(name, classes=3)
    row = dataclasses.replace(
        row, in_channels=1, stem=dataclasses.replace(row.stem, activation=Activation("swish", 0.7, True))
    )
    model = spoilt(row)
    save_weights(tmp_path / "weights.safetensors", model, CLASSES, PREPROCESSING)
    for source in (tmp_path, tmp_path / "weights.safetensors", str(tmp_path)):
        found = load_model(source)
        assert same(found.model, model) and found.network == row
    images = torch.rand(2, 1, 65, 47)
    assert torch.equal(found.model(images), model.eval()(images))
    assert found.model.stem.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not found.model.training


def test_classes_preprocessing_and_notes_travel(file):
    found = load_model(file)
    assert found.classes == CLASSES
    assert found.preprocessing == PREPROCESSING
    assert found.notes == {"made by": "a test"}
    loaded = load_run(file)
    assert loaded.preprocessing == Preprocessing((0.1, 0.2, 0.3), (0.3, 0.2, 0.1), crop_share=0.875, fit="crop")
    assert loaded.side_px == 74 and loaded.classes == CLASSES and loaded.network == ROW


def test_anyone_can_read_the_metadata(file):
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
        assert set(opened.keys()) == set(build(ROW).state_dict())
    assert metadata["format"] == "budgetnet.weights.v1"
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert Network.from_json(metadata["network"]) == ROW


def test_equal_weights_give_equal_bytes(file, tmp_path):
    first = file.read_bytes()
    for _ in range(5):  # the library's own order of metadata changes from call to call
        save_weights(file, spoilt(), CLASSES, PREPROCESSING, {"made by": "a test"})
        assert file.read_bytes() == first


def test_dtypes_strides_and_shared_memory(tmp_path):
    whole = torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last)
    tensors = {"a": whole, "b": whole, "half": whole.half(), "t": whole.flatten(1).T, "count": torch.tensor(3)}
    save_tensors(tmp_path / "x.safetensors", tensors)
    found, metadata = load_tensors(tmp_path / "x.safetensors")
    assert metadata == {}
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_load_weights_fills_the_model_given(file):
    model = build(dataclasses.replace(ROW, name="mine", resolution_px=(96, 96), drop_path=0.2), seed=9)
    assert load_weights(model, file) is model
    assert same(model, spoilt())
    assert model.training, "the mode is the caller's"


def test_other_classes_leave_the_classifier_and_say_so(file):
    row = dataclasses.replace(ROW, classes=4)
    model, before = build(row, seed=9), build(row, seed=9)
    with pytest.warns(UserWarning, match="has 3 classes and the model 4: its classifier is left as it is"):
        load_weights(model, file)
    assert torch.equal(model.classifier.weight, before.classifier.weight)
    assert torch.equal(model.stem.conv.weight, spoilt().stem.conv.weight)


@pytest.mark.parametrize(("channels", "how"), [(1, "averaged"), (4, "repeated"), (12, "repeated")])
def test_other_channels_adapt_the_stem_and_say_so(file, channels, how):
    model = build(dataclasses.replace(ROW, in_channels=channels), seed=9)
    with pytest.warns(UserWarning, match=f"takes 3 channels and the model {channels}: its stem's kernel is {how}"):
        load_weights(model, file)
    grey = torch.rand(2, 1, 40, 40)
    with torch.no_grad():
        given, ours = (one.eval()(grey.expand(-1, count, -1, -1)) for one, count in ((spoilt(), 3), (model, channels)))
    if channels != 4:  # which is not a multiple of 3
        torch.testing.assert_close(ours, given, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (network("efficientnet_b0", classes=3), "stages.1.0.squeeze.reduce.weight is missing, .*, and [0-9]+ more"),
        (network("tf_mobilenet_v3_small", classes=3), "computes otherwise: padding, norm differ"),
        (dataclasses.replace(ROW, stem=dataclasses.replace(ROW.stem, activation=Activation("relu"))), "stem differ"),
    ],
)
def test_weights_of_another_network_are_refused(file, row, what):
    model = build(row, seed=9)
    with pytest.raises(ValueError, match=what) as caught:
        load_weights(model, file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    assert same(model, build(row, seed=9)), "the model is as it was"


def trap() -> None:
    raise AssertionError("a weights file ran code")


class Trap:
    def __reduce__(self):
        return trap, ()


def damaged(kind: str, good: bytes) -> bytes:
    if kind == "cut in the data":
        return good[: len(good) // 2]
    if kind == "cut in the header":
        return good[:100]
    if kind == "longer":
        return good + b"more"
    return {
        "empty": b"",
        "page": b"<!DOCTYPE html><html><body>404</body></html>" * 50,
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "pickle": pickle.dumps(Trap()),
        "header of noise": (50).to_bytes(8, "little") + b"\xff" * 50,
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["cut in the data", "cut in the header", "longer", "empty", "page", "pointer", "pickle", "header of noise"],
)
def test_damaged_files_are_refused_in_one_line(file, kind):
    file.write_bytes(damaged(kind, file.read_bytes()))
    for load in (load_model, load_run, lambda path: load_weights(build(ROW), path)):
        with pytest.raises(ValueError, match="is not a whole safetensors file") as caught:
            load(file)
        assert "\n" not in str(caught.value)


def test_a_pth_file_is_refused_and_not_unpickled(tmp_path):
    torch.save(Trap(), tmp_path / "model.pth")
    with pytest.raises(ValueError, match="could run code"):
        load_model(tmp_path / "model.pth")


def test_places_without_weights(tmp_path):
    with pytest.raises(ValueError, match="there is no weights file"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(ValueError, match=r"holds no weights\.safetensors"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": "other"}, "is not a budgetnet weights file"),
        ({"format": None}, "no known library names so"),
        ({"network": "{}"}, "network in .* is damaged"),
        ({"network": None}, "network in .* is damaged"),
        ({"classes": "["}, "metadata of .* is damaged"),
        ({"classes": '["a"]'}, "its classes do not match"),
        ({"preprocessing": None}, "metadata of .* is damaged"),
        ({"preprocessing": '{"mean": [0.5], "std": [0.5]}'}, "its preprocessing has 1 channels"),
        ({"preprocessing": '{"middle": [0.5]}'}, "unknown keys: middle"),
        ({"preprocessing": '{"std": [0.0, 1.0, 1.0]}'}, "preprocessing in .* is damaged"),
    ],
)
def test_metadata_that_lies_is_refused(file, change, what):
    tensors, metadata = load_tensors(file)
    save_file(tensors, file, {name: text for name, text in (metadata | change).items() if text is not None})
    with pytest.raises(ValueError, match=what) as caught:
        load_run(file)
    assert "\n" not in str(caught.value)


def test_save_refuses_what_would_not_load(tmp_path):
    with pytest.raises(ValueError, match="2 classes are named, but the network has 3"):
        save_weights(tmp_path / "x", build(ROW), ("a", "b"), {})
    with pytest.raises(ValueError, match="a note is named network"):
        save_weights(tmp_path / "x", build(ROW), CLASSES, {}, {"network": "x"})
    assert list(tmp_path.iterdir()) == []


def test_a_kill_before_the_last_byte_is_safe_leaves_the_old_file(file):
    program = (
        "import os, sys, time; from budgetnet.model.files import load_tensors, save_tensors\n"
        "tensors, metadata = load_tensors(sys.argv[1])\n"
        "os.fsync = lambda file: print('written', flush=True) or time.sleep(60)\n"
        "save_tensors(sys.argv[1], {name: tensor * 0 for name, tensor in tensors.items()}, metadata)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert same(load_model(file).model, spoilt())
    save_weights(file, spoilt(seed=4), CLASSES, PREPROCESSING)
    assert same(load_model(file).model, spoilt(seed=4)), "what the kill left behind is in nobody's way"


def test_a_full_disk_leaves_the_old_file_and_no_other(file, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(file, spoilt(seed=4), CLASSES, PREPROCESSING)
    assert same(load_model(file).model, spoilt())
    assert [path.name for path in file.parent.iterdir()] == [file.name]
