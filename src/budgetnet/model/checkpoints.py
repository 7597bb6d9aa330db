"""Google's TensorFlow checkpoints: which variables are a network's, under which names, and how its images are made.

A checkpoint is several files under one prefix: PREFIX.index and PREFIX.data-00000-of-00001. TensorFlow itself
reads them (the extra `google`, in a process of its own). Only variables are read: a checkpoint holds no code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from budgetnet.model.layouts import Layout
from budgetnet.model.tensorflow_reader import LEAVES, read_apart, shards
from budgetnet.networks import Block, Network

FILES = re.compile(r"\.(?:index|data-\d{5}-of-\d{5})$")
# Keras numbers its layers through the whole network (mnas_blocks_5/conv2d_16), tf.layers within a block.
VARIABLE = re.compile(
    r"(?:.*/)?(?:mnas_)?(?P<scope>stem|head|blocks_\d+(?:/se)?)/(?:tpu_|sync_)?"
    r"(?P<kind>conv2d|depthwise_conv2d|batch_normalization|dense)(?:_(?P<number>\d+))?"
)
MOBILENET = re.compile(r"(?:.*/)?MobilenetV[123]/(?P<layer>.+)")

HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
SHIFTED = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}
WHOLE = {"mean": (128 / 255,) * 3, "std": (128 / 255,) * 3, "fit": "stretch", "crop_share": 1.0}
# What a network's name begins with, and where its images are made otherwise than ImageNet's usual, bicubic.
# Sources: efficientnet_lite_builder.py and efficientnet_edgetpu_builder.py (MEAN_RGB); google/automl,
# efficientnetv2/preprocessing.py (from 320 px on nothing is cropped); tensorflow/models, inception_preprocessing.py.
PREPROCESSING: Mapping[str, Mapping[str, Any]] = {
    **{f"efficientnet_{kind}": SHIFTED for kind in ("lite", "edgetpu")},
    **{f"efficientnetv2_{size}": WHOLE | {"interpolation": "bilinear"} for size in ("s", "m", "l", "xl")},
    "mobilenet": HALF | {"crop_share": 0.875},
}


def checkpoint_prefix(source: str | Path) -> Path | None:
    """What the names of a checkpoint's files begin with; None where the source is not a checkpoint.

    A source is that prefix, one of the files, or a folder with one checkpoint or a file `checkpoint` that
    names one of several. Raises a one-line `ValueError` for several without it, and for a lost index.
    """
    path = Path(source)
    if path.is_dir():
        return _in_folder(path)
    prefix = path.with_name(FILES.sub("", path.name))
    if prefix.with_name(f"{prefix.name}.index").is_file():
        return prefix
    if prefix != path or (shards(prefix) and not path.is_file()):
        raise ValueError(f"{prefix} lacks {prefix.name}.index; copy all files of the checkpoint")
    return None


def _in_folder(folder: Path) -> Path | None:
    found = sorted(file.with_suffix("") for file in folder.glob("*.index"))
    note = folder / "checkpoint"
    text = note.read_text(encoding="utf-8", errors="replace") if note.is_file() else ""
    if line := re.search(r'^model_checkpoint_path: "(.*)"', text, re.M):
        # Its folder is that of the machine that wrote it: the name alone counts.
        if (prefix := folder / Path(line.group(1)).name) in found:
            return prefix
        if len(found) != 1:
            raise ValueError(f"{note} names {prefix.name}, but {prefix.name}.index is not beside it; give a prefix")
    if len(found) > 1:
        names = ", ".join(prefix.name for prefix in found[:3])
        raise ValueError(f"{folder} holds several checkpoints ({names}, ...); give the prefix of one")
    return found[0] if found else None


def read_checkpoint(prefix: Path) -> tuple[Layout, dict[str, Tensor]]:
    """The layout of a checkpoint's names, and a network's variables in torch's shapes under names of that layout.

    Moving averages count first. Raises a one-line `ValueError` without TensorFlow, for a checkpoint that is
    not whole, and for names that no network here has.
    """
    _check_shards(prefix)
    variables = read_apart(prefix)
    names = _names(variables)
    keys = {f"{names[name]}.{LEAVES[leaf]}": name for name in variables for leaf in [name.rpartition("/")[2]]}
    layout = next((row for row in LAYOUTS if row.signature in keys), None)
    if layout is None:
        some = ", ".join(sorted(variables)[:3]) or "none"
        raise ValueError(f"{prefix} holds no variables of a network that is known here ({some}); see docs/weights.md")
    if len(keys) < len(variables):
        raise ValueError(f"{prefix} holds more than one network; only checkpoints of one are read")
    return layout, {key: _tensor(name, variables[name]) for key, name in keys.items()}


def checkpoint_preprocessing(network: Network, prefix: Path) -> dict[str, Any]:
    """What is said of a network's images: mean, std, crop, interpolation, where not ImageNet's usual.

    The authors crop size / (size + 32). AdvProp's weights have other inputs than the rest of EfficientNet's and
    the same names: the path has to say so. Source: tensorflow/tpu, efficientnet/preprocessing.py, eval_ckpt_main.py.
    """
    name, side_px = network.name.removeprefix("tf_"), max(network.resolution_px)
    rows = [row for start, row in PREPROCESSING.items() if name.startswith(start)]
    crop = {"crop_share": side_px / (side_px + 32)}
    rows = rows or ([HALF] if "advprop" in str(prefix).lower() else [])
    return crop | dict(rows[0]) if rows else crop


def _check_shards(prefix: Path) -> None:
    """Raise the one-line `ValueError` unless each file of numbers is there."""
    there = shards(prefix)
    count = int(there[0].rpartition("-")[2]) if there and FILES.search(there[0]) else 1
    wanted = [f"{prefix.name}.data-{index:05d}-of-{count:05d}" for index in range(count)]
    if lost := [name for name in wanted if name not in there]:
        raise ValueError(f"{prefix} lacks {lost[0]}; copy all files of the checkpoint")


def _names(variables: Collection[str]) -> dict[str, str]:
    """Each variable's layer by a name of the layouts: in a block the first convolution is conv2d, the next conv2d_1."""
    layers = sorted({name.rpartition("/")[0] for name in variables})
    found = {layer: match for layer in layers if (match := VARIABLE.fullmatch(layer))}
    numbered: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer, match in sorted(found.items(), key=lambda row: int(row[1]["number"] or 0)):
        kind = f"{match['scope']}/{match['kind']}"
        numbered[layer] = _numbered(kind, counts.get(kind, 0))
        counts[kind] = counts.get(kind, 0) + 1
    mobile = {layer: match["layer"] for layer in layers if (match := MOBILENET.fullmatch(layer))}
    names = {layer: layer for layer in layers} | numbered | mobile
    return {name: names[name.rpartition("/")[0]] for name in variables}


def _numbered(kind: str, index: int) -> str:
    return f"{kind}_{index}" if index else kind


def _tensor(name: str, tensor: Tensor) -> Tensor:
    """Torch's axes: (k, k, in, out) -> (out, in, k, k); depthwise (k, k, c, 1) -> (c, 1, k, k); (in, out) turned."""
    order = {2: (1, 0), 4: (2, 3, 0, 1) if "depthwise" in name.rpartition("/")[2] else (3, 2, 0, 1)}
    return tensor.permute(order[tensor.ndim]).contiguous() if tensor.ndim in order else tensor


def _efficientnet_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    convs = 0
    for index, part in enumerate([*(name for name, _ in block.inner), "project"]):
        conv = "depthwise_conv2d" if part == "depthwise" else _numbered("conv2d", convs)
        convs += part != "depthwise"
        yield part, conv, _numbered("batch_normalization", index)


def _efficientnet_ends(network: Network, initial: list[str]) -> Iterator[tuple[str, str]]:
    for ours in ("stem", "head"):
        yield from ((f"{ours}.conv", f"{ours}/conv2d"), (f"{ours}.norm", f"{ours}/batch_normalization"))
    yield "classifier", "head/dense"


def _mobilenet_parts(block: Block) -> Iterator[tuple[str, str, str]]:
    pointwise = "pointwise" if block.kind == "separable" else "project"
    for part in (*(name for name, _ in block.inner), "project"):
        scope = pointwise if part == "project" else part
        yield part, scope, f"{scope}/BatchNorm"


def _mobilenet_ends(network: Network, initial: list[str]) -> Iterator[tuple[str, str]]:
    stem = "Conv" if network.head_conv else "Conv2d_0"
    for ours, scope in (("stem", stem), ("head", "Conv_1")):
        yield from ((f"{ours}.conv", scope), (f"{ours}.norm", f"{scope}/BatchNorm"))
    yield from (("hidden", "Conv_2"), ("classifier", "Logits/Conv2d_1c_1x1"))


LAYOUTS = (
    Layout(
        "Google's EfficientNet",
        "stem/conv2d.weight",
        r"blocks_\d+/",
        _efficientnet_parts,
        lambda block: ("se/conv2d", "se/conv2d_1"),
        _efficientnet_ends,
        "tensorflow",
        "bicubic",
        "tensorflow/tpu, efficientnet_model.py and mnasnet_model.py; google/automl, effnetv2_model.py",
    ),
    *(
        Layout(
            "Google's MobileNet",
            signature,
            blocks,
            _mobilenet_parts,
            lambda block: ("squeeze_excite/Conv", "squeeze_excite/Conv_1"),
            _mobilenet_ends,
            "tensorflow",
            "bilinear",
            "tensorflow/models, research/slim/nets/mobilenet and mobilenet_v1.py",
        )
        for signature, blocks in (
            ("Conv.weight", r"expanded_conv(?:_\d+)?/"),
            ("Conv2d_0.weight", r"Conv2d_\d+_(?=depthwise)"),
        )
    ),
)
