"""Trained networks side by side: their labels, and whether they are twins, the same but for their activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from budgetnet.model.weights import FILE
from budgetnet.networks import Activation, Network, Norm, Rounding
from budgetnet.runs.run import Loaded

PLAIN = Activation("identity")
FIELD_WORDS = {
    "resolution_px": "resolution",
    "in_channels": "input channels",
    "norm": "BatchNorm's epsilon",
    "classes": "number of classes",
}
"""The parts of a network as people call them, where that is not the name of the field."""


def source_name(source: str) -> str:
    """The last part of a source: of a run's folder, also where its weights file is given."""
    return place_of(source).name or source


def place_of(source: str) -> Path:
    """A source as a path, for a run's weights file its folder."""
    return Path(source).parent if Path(source).name == FILE else Path(source)


def labels_of(sources: Sequence[str]) -> list[str]:
    """The last part of each source; of several without the words that all begin or end with; numbered where equal."""
    names = [source_name(one) for one in sources]
    if len(names) > 1:
        backwards = [row[::-1] for row in _without_common([name.split("-") for name in names])]
        names = ["-".join(row[::-1]) for row in _without_common(backwards)]
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, start=1)]


def _without_common(rows: list[list[str]]) -> list[list[str]]:
    """The rows without the words that all begin with; each keeps one word at least."""
    while min(map(len, rows)) > 1 and len({row[0] for row in rows}) == 1:
        rows = [row[1:] for row in rows]
    return rows


def activation_kinds(network: Network) -> tuple[str, ...]:
    """The kinds of a network's activation functions, squeeze-and-excitation's own aside, in the order of the layers."""
    rows = [network.stem.activation, *(stage.activation for stage in network.stages)]
    rows += [network.head.activation] if network.head_conv or network.hidden_linear else []
    return tuple(dict.fromkeys(row.kind for row in rows))


def differences_except_activations(one: Loaded, other: Loaded) -> Iterator[str]:
    """What keeps two trained networks from being twins: they may differ in activations alone; nothing for twins."""
    first, second = _without_activations(one.network), _without_activations(other.network)
    for field in dataclasses.fields(Network):
        if getattr(first, field.name) != getattr(second, field.name):
            yield FIELD_WORDS.get(field.name, field.name)
    if one.classes != other.classes:
        yield "names of classes"
    if one.preprocessing != other.preprocessing:
        yield "preprocessing"


def _without_activations(network: Network) -> Network:
    """The network with all made equal that twins may differ in: activations, names, and what only training reads."""
    stages = tuple(
        dataclasses.replace(
            stage,
            activation=PLAIN,
            squeeze=stage.squeeze and dataclasses.replace(stage.squeeze, inner=PLAIN, gate=PLAIN),
        )
        for stage in network.stages
    )
    return dataclasses.replace(
        network,
        name="any",
        source="",
        stem=dataclasses.replace(network.stem, activation=PLAIN),
        stages=stages,
        head=dataclasses.replace(network.head, activation=PLAIN, dropout=0.0),
        rounding=Rounding(),
        norm=Norm(eps=network.norm.eps),
        drop_path=0.0,
    )
