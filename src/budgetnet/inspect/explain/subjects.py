"""The networks that are explained: opened, named, and checked before anything is computed."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from budgetnet.costs.network_cost import cost
from budgetnet.draw.wording import listed
from budgetnet.inspect.explain.values import NetworkRow, Role
from budgetnet.inspect.side_by_side import activation_kinds, differences_except_activations, labels_of, place_of
from budgetnet.networks import Network, Px
from budgetnet.runs.files import read_json
from budgetnet.runs.run import Loaded, load_run
from budgetnet.training.scored_images import known_class, loosened

SHOWN_CHOICES = 12
NEAR = 3


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A trained network and its place in an explanation; `layer` is the map that its Grad-CAM is of."""

    source: str
    label: str
    role: Role
    loaded: Loaded
    layer: str

    @property
    def network(self) -> Network:
        """The description of its model."""
        return self.loaded.network

    def row(self, layer_px: Px) -> NetworkRow:
        """The network as explain.json has it."""
        network, price = self.network, cost(self.network)
        return NetworkRow(
            label=self.label,
            source=self.source,
            role=self.role,
            network=network.name,
            activations=activation_kinds(network),
            resolution_px=network.resolution_px,
            classes=network.classes,
            macs=price.macs,
            params=price.params,
            top1=_test_accuracy(self.source),
            layer=self.layer,
            layer_px=layer_px,
        )


def open_subjects(
    run: str | Path, beside: Sequence[str | Path], others: Sequence[str | Path], layer: str | None
) -> tuple[Subject, ...]:
    """The networks in the order in which they are shown: the one explained, its twins, the others.

    Raises a one-line `ValueError` for no weights, for a map that a network does not have, and for one of
    `beside` that is not a twin.
    """
    first, twin, other = get_args(Role)
    roles: list[Role] = [first, *(twin for _ in beside), *(other for _ in others)]
    sources = list(zip(map(str, (run, *beside, *others)), roles, strict=True))
    opened = [load_run(source) for source, _ in sources]
    for (source, role), loaded in zip(sources, opened, strict=True):
        if role == "twin":
            _check_twin(sources[0][0], opened[0], source, loaded)
    labels = labels_of([source for source, _ in sources])
    return tuple(
        Subject(source, label, role, loaded, map_name(loaded.network, layer) if layer else last_map(loaded.network))
        for (source, role), label, loaded in zip(sources, labels, opened, strict=True)
    )


def _test_accuracy(source: str) -> float | None:
    """The accuracy on the test images that a run's folder tells."""
    file = place_of(source) / "metrics.json"
    try:
        return float(read_json(file)["test"]["top1"])
    except (ValueError, KeyError, TypeError):
        return None


def last_map(network: Network) -> str:
    """The last map before the global average: what Grad-CAM's authors take."""
    return "head" if network.head_conv else f"stages.{len(network.stages) - 1}"


def map_name(network: Network, text: str) -> str:
    """The model's name of a map: stem, head, a stage as the network's table has it (3), a block of one (3.1).

    Raises a one-line `ValueError` that lists the maps for any other text.
    """
    name = text if text in ("stem", "head") else f"stages.{text.removeprefix('stages.')}"
    blocks = {f"stages.{i}.{j}" for i, row in enumerate(network.stages) for j in range(row.repeats)}
    known = ["stem", *(f"stages.{i}" for i in range(len(network.stages))), *(["head"] if network.head_conv else [])]
    if name not in known and name not in blocks:
        choices = ", ".join(one.removeprefix("stages.") for one in known)
        raise ValueError(f"{network.name} has no map {text}; choose from {choices}, or a block as 2.0")
    return name


def shown_name(name: str) -> str:
    """A map's name as people read it: stem, stage 3, block 3.1, head."""
    place = name.removeprefix("stages.")
    return place if place == name else f"block {place}" if "." in place else f"stage {place}"


def default_maps(network: Network) -> tuple[str, ...]:
    """The stem, the last stage of each resolution, the head: what each halving leaves to the next."""
    sizes: list[Px] = []
    px = network.stem_px
    for blocks in network.stage_blocks():
        for block in blocks:
            px = block.out_px(px)
        sizes.append(px)
    last = [f"stages.{i}" for i, size in enumerate(sizes) if i + 1 == len(sizes) or sizes[i + 1] != size]
    return ("stem", *last, *(("head",) if network.head_conv else ()))


def _check_twin(run: str, one: Loaded, source: str, other: Loaded) -> None:
    """Raise a one-line `ValueError` unless the two differ in activation functions alone."""
    if place_of(run).absolute() == place_of(source).absolute():
        raise ValueError(f"{source} is the network itself; give --beside another training, as of a twin with ReLU")
    differing = list(differences_except_activations(one, other))
    if differing:
        raise ValueError(
            f"{source} is not a twin of {run}: they differ in {listed(differing)}; twins differ in their activation "
            "functions alone (--with takes any network)"
        )


def class_index(subject: Subject, name: str) -> int:
    """Where a network has a class, capitals and underscores aside. Raises a `ValueError` that names near ones."""
    classes = subject.loaded.classes
    index = known_class(name, classes)
    if index is not None:
        return index
    wanted, known = loosened(name), [loosened(one) for one in classes]
    near = [classes[index] for index, one in enumerate(known) if wanted in one.replace(",", " ").split()]
    near += [classes[known.index(one)] for one in difflib.get_close_matches(wanted, known, n=NEAR)]
    if near:
        hint = "did you mean " + " or ".join(list(dict.fromkeys(near))[:NEAR]) + "?"
    else:
        hint = "it has " + ", ".join(classes[:SHOWN_CHOICES]) + (", ..." if len(classes) > SHOWN_CHOICES else "")
    raise ValueError(f"{subject.label} has no class {name!r}; {hint}")
