"""Weights in a file: safetensors with the network, the classes and the preprocessing in its metadata.

Nothing is ever unpickled: a file that somebody else made can hold wrong numbers, but cannot run code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from budgetnet.model.build import Model, build
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


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, beside `path`: at the end synced and renamed, so that a kill leaves old or new."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, aside and renamed; equal tensors and metadata give equal bytes."""
    # Row by row, for safetensors keeps no strides; copies, for it refuses tensors that share memory.
    rows = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    with written_aside(Path(path)) as aside:
        aside.write_bytes(_sorted_header(save(rows, dict(metadata or {}))))


def _sorted_header(content: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library writes that in another order each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, on the CPU.

    Raises a one-line `ValueError` for a file that is absent, cut short or of another format.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = file.keys()
            # Cloned, for the file may be truncated while its map is in use.
            return {name: file.get_tensor(name).clone() for name in names}, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise ValueError(f"there is no weights file {path}") from error
    except OSError as error:
        raise ValueError(f"cannot read weights from {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); only safetensors are read") from error


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
    """The model of a weights file, or of a run's folder, with its classes and preprocessing.

    Raises a one-line `ValueError` for a file that `save_weights` did not write.
    """
    path = weights_path(source)
    tensors, metadata = load_tensors(path)
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


def load_weights(model: Model, source: str | Path) -> Model:
    """Fill a model with the weights of a file or of a run's folder, bit for bit; gives the model back.

    The file's network must compute what the model does; name, resolution, dropout and stochastic
    depth may differ. Raises a one-line `ValueError` otherwise, with the first keys that differ, and
    then leaves the model as it was.
    """
    path = weights_path(source)
    tensors, metadata = load_tensors(path)
    network = _network_of(metadata, path)
    _check_keys(model, tensors, path)
    theirs, own = _computation(network), _computation(model.network)
    if theirs != own:
        fields = (field.name for field in dataclasses.fields(Network))
        differing = ", ".join(name for name in fields if getattr(theirs, name) != getattr(own, name))
        raise ValueError(f"{path} holds weights of {network.name}, which computes otherwise: {differing} differ")
    _fill(model, tensors, path)
    return model


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
        head=dataclasses.replace(network.head, dropout=0.0),
        drop_path=0.0,
        rounding=Rounding(),
        norm=Norm(eps=network.norm.eps),
    )


def _check_keys(model: Model, tensors: Mapping[str, Tensor], path: Path) -> None:
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


def _fill(model: Model, tensors: Mapping[str, Tensor], path: Path) -> None:
    _check_keys(model, tensors, path)
    model.load_state_dict(dict(tensors))
