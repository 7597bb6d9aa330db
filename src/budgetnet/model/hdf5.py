"""Numbers out of the files that Keras writes, without Keras: HDF5, alone or in a .keras archive.

Only plain arrays that lie in the file itself are read. No link is followed out of it, nothing packed is
unpacked, and Keras's configuration, which could name code, is not looked at.
"""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from budgetnet.model.files import check_start

KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")
ARCHIVED = "model.weights.h5"
LISTS = ("layers", "_layer_checkpoint_dependencies")
"""Where `.weights.h5` keeps the layers; the second is TensorFlow 2.13's."""
MOST_LAYERS, MOST_VARIABLES, MOST_AXES, MOST_TEXT = 4096, 8, 4, 1 << 31
TEXTS = b"GCOL\x01\0\0\0"
"""Where HDF5 keeps texts of any length; eight bytes of the size follow. Source: HDF5 file format, III.E."""
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "normalization": ("mean", "variance", "count"),
}
"""A layer's variables have these names, in the order in which `.weights.h5` numbers them. Source: each layer's
`build`."""


@dataclass(frozen=True, slots=True, eq=False)
class KerasLayer:
    """A layer that has variables: its class in snake case, its name or place, and the variables by name."""

    kind: str
    name: str
    variables: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class KerasFile:
    """The layers in the model's order; in `.weights.h5` that order is told within a class only.

    `rescalings` counts the layers Rescaling, which have no variables; None: the file does not say, or it holds
    weights alone in the old layout, which Keras gives to a model whether or not it has such layers.
    """

    layers: tuple[KerasLayer, ...]
    rescalings: int | None


class _RefusedError(Exception):
    """What is wrong with a file, to stand behind its name."""


def load_keras(path: Path) -> KerasFile:
    """The layers of a `.h5`, `.weights.h5` or `.keras` file, in Keras's own shapes.

    Raises a one-line `ValueError` for a file that is absent, cut short, of another kind, or that holds
    anything but plain arrays of its own; and where h5py, which reads HDF5, is not installed.
    """
    check_start(path)
    h5py = _reader(path)
    try:
        with _opened(path, h5py) as (file, content):
            return _Reading(h5py, content).file(file)
    except _RefusedError as error:
        raise ValueError(" ".join(f"{path} {error}".split())) from error
    # What h5py raises for a damaged file depends on where the damage is.
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ValueError(f"{path} is not a whole file of Keras ({reason}); download it again") from error


def _reader(path: Path) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"{path} is read with h5py, which is not installed; pip install budgetnet[keras]") from error
    return h5py


@contextlib.contextmanager
def _opened(path: Path, h5py: ModuleType) -> Iterator[tuple[Any, bytes | mmap.mmap]]:
    """The HDF5 file, and its bytes."""
    with path.open("rb") as raw:
        if raw.read(2) == b"PK":
            content = _unarchived(path)
            with h5py.File(io.BytesIO(content), "r") as file:
                yield file, content
        else:
            with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content, h5py.File(path, "r") as file:
                yield file, content


def _unarchived(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if ARCHIVED not in entries:
            raise _RefusedError(f"is an archive without {ARCHIVED}; save the model as .keras or .weights.h5")
        # Keras packs nothing: a file that would grow when it is read is not of its making.
        if entries[ARCHIVED].compress_type != zipfile.ZIP_STORED:
            raise _RefusedError("is a packed archive and no file of Keras; it is refused")
        if entries[ARCHIVED].file_size > path.stat().st_size:
            raise _RefusedError("claims to hold more than its size; it is refused")
        return archive.read(ARCHIVED)


class _Reading:
    """One reading of one file: what it may still take from it."""

    def __init__(self, h5py: ModuleType, content: bytes | mmap.mmap) -> None:
        self.h5py = h5py
        self.content = content
        self.left = len(content)

    def file(self, file: Any) -> KerasFile:
        """Tell the layout by what the file holds."""
        for group, whole in ((file, False), (self.group(file, "model_weights"), True)):
            if group is not None and ("layer_names" in group.attrs or "layer_names0" in group.attrs):
                return self.named(group, whole)
        for name in LISTS:
            if (group := self.group(file, name)) is not None:
                return self.numbered(group)
        raise _RefusedError("holds no layers as Keras writes them; give a .h5, .weights.h5 or .keras file of a model")

    def named(self, group: Any, whole: bool) -> KerasFile:
        """The old layout: names of the layers in order, and of each layer's variables."""
        names = self.texts(group, "layer_names", MOST_LAYERS)
        layers: list[KerasLayer] = []
        for name in names:
            inside = self.needed(group, name)
            found = {
                text.rpartition("/")[2].partition(":")[0]: self.array(self.needed(inside, text), text)
                for text in self.texts(inside, "weight_names", MOST_VARIABLES)
            }
            if found:
                kind = _kind(found)
                if kind is None:
                    raise _RefusedError(f"has a layer {name} with {', '.join(found)}, which no application has")
                layers.append(KerasLayer(kind, name, found))
        return KerasFile(tuple(layers), sum(name.startswith("rescaling") for name in names) if whole else None)

    def numbered(self, group: Any) -> KerasFile:
        """The new layout: CLASS, CLASS_1, ..., each with vars/0, vars/1, ..."""
        if len(group) > MOST_LAYERS:
            raise _RefusedError(f"has {len(group)} layers, more than any model that is read; it is refused")
        places = sorted((_place(name) for name in group), key=lambda place: place[:2])
        layers: list[KerasLayer] = []
        for kind, _, name in places:
            inside = self.group(group, name)
            if inside is not None and any(part in inside for part in LISTS):
                raise _RefusedError(f"holds a model inside of a model ({name}); save the inner one alone")
            variables = self.group(inside, "vars")
            count = 0 if variables is None else len(variables)
            if count and (kind not in VARIABLES or count > len(VARIABLES[kind])):
                raise _RefusedError(f"has a layer {name} with {count} variables, which no application has")
            numbers = ((variable, str(index)) for index, variable in enumerate(VARIABLES.get(kind, ())[:count]))
            if count:
                arrays = {key: self.array(self.needed(variables, number), name) for key, number in numbers}
                layers.append(KerasLayer(kind, name, arrays))
        everything = len(layers) < len(places)  # layers without variables are told, too
        return KerasFile(tuple(layers), sum(kind == "rescaling" for kind, *_ in places) if everything else None)

    @cached_property
    def longest_text(self) -> int:
        """No text of the file is longer: the size of its largest heap of texts."""
        longest, place = 0, self.content.find(TEXTS)
        while place >= 0:
            size = self.content[place + len(TEXTS) : place + len(TEXTS) + 8]
            longest, place = max(longest, int.from_bytes(size, "little")), self.content.find(TEXTS, place + 1)
        return longest

    def child(self, group: Any, path: str) -> Any:
        """What lies below a group by hard links alone; None where there is nothing."""
        for name in path.split("/"):
            if not isinstance(group, self.h5py.Group) or name not in group:
                return None
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise _RefusedError(f"links {name} to another place, which Keras does not; it is refused")
            group = group[name]
        return group

    def group(self, group: Any, path: str) -> Any:
        """The same, where it is a group or nothing."""
        found = self.child(group, path)
        if found is not None and not isinstance(found, self.h5py.Group):
            raise _RefusedError(f"has no layers in {path}; it is refused")
        return found

    def needed(self, group: Any, path: str) -> Any:
        """The same, where there must be something."""
        if (found := self.child(group, path)) is None:
            raise _RefusedError(f"names {path}, but does not hold it; download it again")
        return found

    def texts(self, group: Any, name: str, most: int) -> list[str]:
        """An attribute of texts; a long one stands in several, NAME0, NAME1, ..."""
        keys = [name] if name in group.attrs else []
        while name not in group.attrs and f"{name}{len(keys)}" in group.attrs:
            keys.append(f"{name}{len(keys)}")
        count = sum(math.prod(group.attrs.get_id(key).shape) for key in keys)
        # Every entry could name the same long text, and each would become one of its own.
        if count > most or count * self.longest_text > MOST_TEXT:
            raise _RefusedError(f"has more {name} than any model that is read; it is refused")
        texts = [text for key in keys for text in np.ravel(group.attrs[key]).tolist()]
        return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]

    def array(self, dataset: Any, name: str) -> Tensor:
        """The numbers of a dataset, as float32, if they lie in this file as they are."""
        if not isinstance(dataset, self.h5py.Dataset):
            raise _RefusedError(f"has a group where the numbers of {name} should be; it is refused")
        if dataset.external or dataset.is_virtual:
            raise _RefusedError(f"keeps the numbers of {name} in another file; it is refused")
        if dataset.dtype.kind not in "fiu" or dataset.ndim > MOST_AXES:
            raise _RefusedError(f"has no plain numbers in {name}, but {dataset.dtype}; it is refused")
        if dataset.id.get_create_plist().get_nfilters():
            raise _RefusedError(f"has packed numbers in {name}, which Keras does not write; it is refused")
        self.left -= dataset.nbytes
        # Space is claimed, but not there; or the same numbers are linked many times.
        if dataset.id.get_storage_size() < dataset.nbytes or self.left < 0:
            raise _RefusedError("claims to hold more than its size; it is refused")
        return torch.from_numpy(np.asarray(dataset[()], dtype=np.float32))


def _place(name: str) -> tuple[str, int, str]:
    """(class, number, name) of CLASS_NUMBER; the first has no number, and a class may end in a digit."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name, re.DOTALL)
    assert match is not None
    return match[1], int(match[2] or 0), name


def _kind(variables: Mapping[str, Tensor]) -> str | None:
    """The class of a layer of the old layout, which tells variables only; None: it has none of `VARIABLES`."""
    names, kernel = set(variables), variables.get("kernel")
    if "depthwise_kernel" in names or (kernel is not None and kernel.ndim == 4 and _one_each(kernel)):
        return "depthwise_conv2d"
    kinds = ["dense" if kernel.ndim == 2 else "conv2d"] if kernel is not None else ["batch_normalization"]
    return next((kind for kind in (*kinds, "normalization") if names <= set(VARIABLES[kind])), None)


def _one_each(kernel: Tensor) -> bool:
    """Keras 3 calls a depthwise kernel by the same name: wider than a pixel, to one channel for each."""
    return kernel.shape[0] > 1 and kernel.shape[3] == 1
