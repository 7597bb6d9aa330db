"""Checkpoints as training scripts write them: read whatever they are wrapped in, and nothing in them is ever run."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import json
import pathlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support.foreign_files import TIMM, headless, named_as, smallest
from torch import Tensor

from budgetnet import build, evaluate, inherit, load_weights, predict
from budgetnet.cli import main
from budgetnet.model.class_names import read_class_names
from budgetnet.model.files import read_torch
from budgetnet.model.weights import load_model, source_preprocessing
from budgetnet.runs.run import load_run

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A small network of the zoo under timm's names."""
    return named_as(TIMM, smallest())


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def inside(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As FSDP and activation checkpointing name what they wrap inside of a network."""
    return {name.replace("blocks.1.", "blocks.1._fsdp_wrapped_module._checkpoint_wrapped_module."): one for name, one in
            state.items()}  # fmt: skip


SCRIPTS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "timm": lambda state: {
        "epoch": 3,
        "arch": "tinynet_e",
        "state_dict": state,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(9, 9)}}, "param_groups": [{"lr": 0.1}]},
        "version": 2,
        "args": argparse.Namespace(lr=0.1, model="tinynet_e", betas=(0.9, 0.99), nested={"a": [1, None]}),
        "metric": np.float64(71.5),
    },
    "torchvision": lambda state: {
        "model": state,
        "optimizer": {},
        "lr_scheduler": {"milestones": collections.Counter({30: 1}), "_last_lr": [0.1]},
        "epoch": 4,
        "args": argparse.Namespace(data_path="/data", output_dir=pathlib.PurePosixPath("out")),
    },
    "Lightning": lambda state: {
        "epoch": 1,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": prefixed("model.", state) | {"loss.weight": torch.ones(4)},
        "hyper_parameters": {"lr": 1e-3, "root": pathlib.PureWindowsPath("C:/data")},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
    },
    "the tutorial": lambda state: {"epoch": 5, "model_state_dict": state, "optimizer_state_dict": {}, "loss": 0.4},
    "data parallel": lambda state: prefixed("module.", state),
    "compiled": lambda state: prefixed("_orig_mod.", state),
    "several in a row": lambda state: {"state_dict": prefixed("module._orig_mod.model.backbone.", state)},
    "FSDP": lambda state: prefixed("_fsdp_wrapped_module.", inside(state)),
    "averaged": lambda state: {"n_averaged": torch.tensor(7), **prefixed("module.", state)},
    "a date and an ordered dictionary": lambda state: {
        "saved": datetime.datetime(2026, 1, 2),
        "torch": torch.__version__,
        "counts": collections.defaultdict(list, {"a": [1]}),
        "array": np.arange(3),
        "model": collections.OrderedDict(state),
    },
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_checkpoints_of_training_scripts_are_read(script: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(SCRIPTS[script](state), tmp_path / "checkpoint.pth.tar")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = read_torch(tmp_path / "checkpoint.pth.tar").tensors
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    unread = [str(one.message) for one in said]
    assert len(unread) == (script == "Lightning"), "what is left out is said"
    assert all("loss.weight beside the network are not read" in text for text in unread)


def test_what_is_unwrapped_is_recognised(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(SCRIPTS["several in a row"](state), tmp_path / "checkpoint.ckpt")
    loaded = load_model(tmp_path / "checkpoint.ckpt")
    assert loaded.network == smallest() and not loaded.headless
    assert torch.equal(loaded.model.state_dict()["stem.conv.weight"], state["conv_stem.weight"])


@pytest.mark.parametrize("prefix", ["model.", "module._orig_mod."])
def test_prefixes_come_off_in_safetensors_too(prefix: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(prefixed(prefix, state), tmp_path / "model.safetensors", {"format": "pt"})
    model = load_model(tmp_path / "model.safetensors").model
    assert torch.equal(model.state_dict()["stem.conv.weight"], state["conv_stem.weight"])


@pytest.mark.parametrize(
    ("plain", "average"),
    [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("params", "params_ema"), ("model", "ema")],
)
def test_of_both_the_average_counts_and_a_line_says_so(
    plain: str, average: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    other = named_as(TIMM, smallest(), seed=1)
    content = {average: {"n_averaged": torch.tensor(3), **prefixed("module.", other)}, plain: state}
    torch.save(content, tmp_path / "x.pth")
    with pytest.warns(UserWarning, match=rf"moving average; the average counts \({average}.module\)$"):
        found = read_torch(tmp_path / "x.pth").tensors
    assert torch.equal(found["conv_stem.weight"], other["conv_stem.weight"])


def test_several_networks_are_refused_by_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("student.", state) | prefixed("teacher.", state)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"several networks \(state_dict.student, state_dict.teacher\); give a file"):
        load_model(tmp_path / "x.pth")


RAN: list[str] = []


class Own:
    def __init__(self) -> None:
        self.value = 3

    def __setstate__(self, state: Any) -> None:
        RAN.append("a class of the file ran")


def test_the_type_that_is_refused_is_named_and_does_not_run(state: dict[str, Tensor], tmp_path: Path) -> None:
    for content, name in (
        ({"state_dict": state, "config": Own()}, r"test_field_checkpoints\.Own"),
        (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
        ({"state_dict": state, "f": print}, r"builtins\.print"),
        ({"weight": torch.zeros(2, 2).to_sparse()}, r"torch\._utils\._rebuild_sparse_tensor"),
    ):
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(
            ValueError, match=rf"holds a \S*{name}, which is more than tensors.*could run code"
        ) as caught:
            load_model(tmp_path / "x.pth")
        assert "\n" not in str(caught.value) and "state_dict()" in str(caught.value)
    assert not RAN


def test_stand_ins_are_data_and_leave_torch_as_it_was(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, tmp_path / "x.pth")
    before = set(map(str, torch.serialization.get_safe_globals()))
    load_model(tmp_path / "x.pth")
    assert set(map(str, torch.serialization.get_safe_globals())) == before
    with pytest.raises(Exception, match="Namespace"):
        torch.load(tmp_path / "x.pth", weights_only=True)


# Channels and heads


@pytest.mark.parametrize("channels", [1, 4])
def test_the_network_takes_the_files_channels(channels: int, tmp_path: Path) -> None:
    torch.save(named_as(TIMM, smallest(in_channels=channels)), tmp_path / "x.pth")
    with pytest.warns(UserWarning, match=f"takes {channels} channels?: each is normalised by the average"):
        loaded = load_model(tmp_path / "x.pth")
    assert loaded.network == smallest(in_channels=channels)
    assert loaded.preprocessing["mean"] == pytest.approx([0.449] * channels, abs=1e-3)
    with pytest.warns(UserWarning, match="normalised"):
        again = load_model(tmp_path / "x.pth", dataclasses.replace(smallest(), name="mine"))
    assert again.network.in_channels == channels and again.network.name == "mine"


def test_one_channel_answers_grey_images_and_four_say_that_no_image_has_them(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40), 99, np.uint8)).save(tmp_path / "grey.png")
    for channels in (1, 4):
        torch.save(named_as(TIMM, smallest(in_channels=channels)), tmp_path / f"{channels}.pth")
    with pytest.warns(UserWarning, match="normalised"):
        (answer,) = predict(tmp_path / "1.pth", tmp_path / "grey.png", class_names=CLASSES)
    assert getattr(answer, "label", None) in CLASSES
    with (
        pytest.warns(UserWarning, match="normalised"),
        pytest.raises(ValueError, match="takes images of 4 channels, and images are read in 1 or 3"),
    ):
        load_run(tmp_path / "4.pth")


def test_headless_files_are_parents_and_answer_nothing(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(headless(state), tmp_path / "x.pth")
    loaded = load_model(tmp_path / "x.pth")
    assert loaded.headless and loaded.network.name == "tinynet_e"
    row = smallest(classes=7)
    with pytest.warns(UserWarning, match="has no classifier: that of the model is left as it is"):
        model = load_weights(build(row, seed=1), tmp_path / "x.pth")
    assert torch.equal(model.stem.conv.weight, state["conv_stem.weight"])
    assert torch.equal(model.classifier.weight, build(row, seed=1).classifier.weight)
    for ask in (evaluate, lambda path: predict(path, "x.png"), load_run):
        with pytest.raises(
            ValueError, match="has no classifier and answers nothing; train from it: --weights or --pre"
        ):
            ask(tmp_path / "x.pth")


@pytest.mark.slow
def test_networks_of_any_size_inherit_from_headless_files(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(headless(state), tmp_path / "x.pth")
    child = inherit(build(smallest(classes=7), seed=1), tmp_path / "x.pth")
    torch.testing.assert_close(child.stem.conv.weight, state["conv_stem.weight"])


def test_training_takes_the_preprocessing_of_weights_that_no_zoo_network_has(tmp_path: Path) -> None:
    row = dataclasses.replace(smallest(), stages=smallest().stages[:-1])
    torch.save(named_as(TIMM, row), tmp_path / "x.pth")
    with pytest.raises(ValueError, match="is not a network of the zoo; give the network that it is of"):
        load_model(tmp_path / "x.pth")
    assert load_model(tmp_path / "x.pth", row).network == row
    assert source_preprocessing(tmp_path / "x.pth")["mean"] == (0.485, 0.456, 0.406), "what train --weights takes"


# Class names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of four classes."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir()
        for place in range(3):
            Image.fromarray(generator.integers(0, 255, (32, 32, 3), np.uint8)).save(root / name / f"{place}.png")
    return root


def test_class_names_are_given_in_every_form(folder: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "x.pth")
    forms = {
        "lines.txt": "ant\nbee\ncat\ndog\n",
        "list.json": json.dumps(CLASSES),
        "numbers.json": json.dumps({name: place for place, name in enumerate(CLASSES)}),
        "names.json": json.dumps({str(place): name for place, name in enumerate(CLASSES)}),
        "keras.json": json.dumps({str(place): [f"n{place}", name] for place, name in enumerate(CLASSES)}),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = [read_class_names(tmp_path / name) for name in forms] + [read_class_names("ant, bee,cat,dog")]
    assert found == [CLASSES] * 6
    with pytest.raises(
        ValueError, match=r"has class ant, which the model does not know; it has 0, 1, 2, 3; its classes"
    ):
        evaluate(tmp_path / "x.pth", folder)
    named = evaluate(tmp_path / "x.pth", folder, split="all", class_names=str(tmp_path / "lines.txt"))
    assert named.count == 12 and [row.name for row in named.per_class] == list(CLASSES)
    other = evaluate(tmp_path / "x.pth", folder, split="all", class_names=CLASSES[::-1])
    assert [row.name for row in other.per_class] == list(CLASSES[::-1])
    assert other.confusion[::-1] == named.confusion, "the same answers, by other names"
    assert other.top1 != named.top1 or named.confusion == named.confusion[::-1]


@pytest.mark.parametrize("key", ["class_to_idx", "classes"])
def test_a_checkpoints_own_class_names_count(key: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    names = {"class_to_idx": {name: place for place, name in enumerate(CLASSES)}, "classes": list(CLASSES)}[key]
    torch.save({"state_dict": state, key: names}, tmp_path / "x.pth")
    assert load_model(tmp_path / "x.pth").classes == CLASSES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ant\nbee\n", "2 classes are named, but .* has 4"),
        ("", "has no class names; give a file"),
        ("ant\nbee\nant\ndog\n", "has the class 'ant' twice"),
        ("ant\nbee\nc\x1b[31m\ndog\n", "not a name that can be printed"),
    ],
)
def test_wrong_class_names_are_one_line(text: str, says: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "x.pth")
    (tmp_path / "names.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=says) as caught:
        load_run(tmp_path / "x.pth", class_names=tmp_path / "names.txt")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_the_command_line_takes_network_and_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = dataclasses.replace(smallest(), name="mine", stages=smallest().stages[:-1], resolution_px=(32, 32))
    torch.save({"state_dict": named_as(TIMM, row), "args": argparse.Namespace(a=1)}, tmp_path / "x.pth")
    (tmp_path / "mine.json").write_text(row.to_json())
    options = ["--network", str(tmp_path / "mine.json"), "--class-names", "ant,bee,cat,dog"]
    assert main(["predict", str(tmp_path / "x.pth"), str(folder / "ant" / "0.png"), *options]) == 0
    said = capsys.readouterr().out
    assert any(f": {name} " in said for name in CLASSES)
    assert main(["evaluate", str(tmp_path / "x.pth"), str(folder), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["count"] > 0
    assert main(["predict", str(tmp_path / "x.pth"), str(folder / "ant" / "0.png")]) == 2
    assert "--network" in capsys.readouterr().err


@pytest.mark.slow
def test_the_libraries_own_files_are_read(tmp_path: Path) -> None:
    """As timm's and torchvision's scripts and torch's own wrappers make them."""
    timm, torchvision = pytest.importorskip("timm"), pytest.importorskip("torchvision")
    from torch.optim.swa_utils import AveragedModel

    model = timm.create_model("mobilenetv3_small_100", num_classes=4, in_chans=1)
    average = AveragedModel(model)
    args = argparse.Namespace(**vars(argparse.Namespace(model="mobilenetv3_small_100", lr=0.1)))
    content = {"model": model.state_dict(), "model_ema": average.state_dict(), "args": args}
    torch.save(content, tmp_path / "x.pth")
    with pytest.warns(UserWarning, match="the average counts|normalised"):
        assert load_model(tmp_path / "x.pth").network.name == "mobilenet_v3_small"
    compiled = torch.compile(torchvision.models.mobilenet_v3_small(num_classes=4))
    torch.save(compiled.state_dict(), tmp_path / "y.pth")
    assert load_model(tmp_path / "y.pth").network.norm.eps == 1e-3
    bare = torchvision.models.mobilenet_v3_small()
    bare.classifier = torch.nn.Identity()
    torch.save(bare.state_dict(), tmp_path / "z.pth")
    found = load_model(tmp_path / "z.pth")
    assert found.headless and found.network.name == "mobilenet_v3_small"
