"""The weights inside a checkpoint: which of its dictionaries they are, and under which names.

Training scripts keep them beside their arguments, an optimiser and a moving average, and put what a module is wrapped
in before its names: `module.` (data parallel), `_orig_mod.` (torch.compile), `model.` (Lightning), several in a row.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from budgetnet.model.class_names import named_classes
from budgetnet.model.layouts import LAYOUTS

SIGNATURES = (*(row.signature for row in LAYOUTS), "stem.conv.weight")
"""A name that the files of each library have; the last one is our own."""
WRAPPED = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\.")
"""What torch.compile, FSDP and activation checkpointing put into names, at any depth."""
AVERAGE = re.compile(r"(?:^|[._])(?:ema|averaged?|avg|swa)(?:[._]|$|model)|model_?ema", re.IGNORECASE)
"""The names under which moving averages are kept."""
USUAL = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params", "")
"""The places where weights are kept, the most likely first; "" is the file itself."""
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|amp|callbacks|loops|hyper_?parameters|args|config", re.IGNORECASE)
COUNTERS = ("n_averaged",)
"""The counters of torch's AveragedModel, which are not part of the weights."""
CLASS_NAMES = ("class_names", "classes", "class_to_idx", "idx_to_class", "labels", "label_names", "names")
MOST_DEPTH = 4


@dataclass(frozen=True, slots=True, eq=False)
class StateDict:
    """A network's tensors by the names of its library; the classes that the checkpoint says it has, if it does."""

    tensors: Mapping[str, Tensor]
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """One network in a checkpoint: where, behind which prefix, and what stands beside it."""

    place: str
    prefix: str
    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...]

    @property
    def where(self) -> str:
        """As a message names it."""
        return ".".join(filter(None, (self.place, self.prefix.removesuffix(".")))) or "the file itself"

    @property
    def average(self) -> bool:
        return bool(AVERAGE.search(f"{self.place}.{self.prefix}"))


# Warnings are of this file (stacklevel 1): Python then says each once, however often a command reads a source.
def state_dict_of(where: str, content: object) -> StateDict:
    """The weights in what a file holds: a state dict, or one inside a checkpoint.

    Of a network and its moving average the average counts, and a warning says so, as it does of tensors beside the
    network's. Raises a one-line `ValueError` for none, and for several of which none is an average.
    """
    dictionaries = list(_dictionaries(content, "", 0))
    if not dictionaries:
        raise ValueError(f"{where} holds no named tensors; give a state dict")
    found = [one for place, tensors in dictionaries for one in _networks(where, place, tensors)]
    classes = _classes(content)
    if not found:  # of no known library: whoever asks says so, with the names
        return StateDict(max((tensors for _, tensors in dictionaries), key=len), classes)
    chosen = _chosen(where, found)
    beside = [name for name in chosen.beside if name.rpartition(".")[2] not in COUNTERS]
    if beside:
        more = f" and {len(beside) - 3} more" if len(beside) > 3 else ""
        warnings.warn(f"{where}: {', '.join(beside[:3])}{more} beside the network are not read", stacklevel=1)
    return StateDict(chosen.tensors, classes)


def _dictionaries(content: object, place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """(place, named tensors) of a dictionary and those inside of it; an optimiser's state is none of a network."""
    if not isinstance(content, Mapping) or depth > MOST_DEPTH:
        return
    rows: Mapping[Any, Any] = content
    if tensors := {name: value for name, value in rows.items() if isinstance(name, str) and isinstance(value, Tensor)}:
        yield place, tensors
    for name, value in rows.items():
        if isinstance(value, Mapping) and isinstance(name, str) and not NOT_WEIGHTS.search(name):
            yield from _dictionaries(value, f"{place}.{name}".removeprefix("."), depth + 1)


def _networks(where: str, place: str, tensors: Mapping[str, Tensor]) -> Iterator[_Found]:
    """Each prefix behind which a library's signature stands, with the tensors that have it."""
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = WRAPPED.sub("", name)
        if short in plain:
            raise ValueError(f"{where} has {short} twice, as it is and wrapped ({name}); give a file of one network")
        plain[short] = tensor
    initial = {
        name.removesuffix(signature)
        for name in plain
        for signature in SIGNATURES
        if name == signature or name.endswith(f".{signature}")
    }
    for prefix in sorted(initial):
        inside = {name.removeprefix(prefix): one for name, one in plain.items() if name.startswith(prefix)}
        beside = (name for name in plain if not any(start and name.startswith(start) for start in initial))
        yield _Found(place, prefix, inside, tuple(beside) if prefix else ())


def _chosen(where: str, found: list[_Found]) -> _Found:
    """The one that counts: of averages and plain ones the average, then what stands in the usual place."""
    averages, plain = [one for one in found if one.average], [one for one in found if not one.average]
    if averages and plain:
        warnings.warn(
            f"{where} holds weights and their moving average; the average counts ({averages[0].where})", stacklevel=1
        )
    rows = averages or plain
    rows.sort(key=lambda one: USUAL.index(one.place) if one.place in USUAL else len(USUAL))
    first = rows[0]
    names = ", ".join(one.where for one in rows[:4])
    if len(rows) > 1 and (rows[1].place == first.place or first.place not in USUAL):
        raise ValueError(f"{where} holds several networks ({names}); give a file of one")
    if len(rows) > 1:
        warnings.warn(f"{where} holds several networks ({names}); the first is read", stacklevel=1)
    return first


def _classes(content: object) -> tuple[str, ...] | None:
    """The classes in the order of the logits, where a checkpoint says them as a list or by number."""
    rows: Mapping[Any, Any] = content if isinstance(content, Mapping) else {}
    return next((names for key in CLASS_NAMES if (names := named_classes(rows.get(key)))), None)
