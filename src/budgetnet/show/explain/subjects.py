"""The networks that are explained: opened, named, and checked before anything is computed."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from budgetnet.cost import cost
from budgetnet.learn.evaluate import loosened
from budgetnet.learn.run import Loaded, load_run
from budgetnet.model.weights import FILE
from budgetnet.show.explain.values import NetworkRow, Role
from budgetnet.spec import Activation, Network, Norm, Px, Rounding

SHOWN_CHOICES = 12
NEAR = 3
PLAIN = Activation("identity")


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
    `beside` that is no twin.
    """
    first, twin, other = get_args(Role)
    roles: list[Role] = [first, *(twin for _ in beside), *(other for _ in others)]
    asked = list(zip(map(str, (run, *beside, *others)), roles, strict=True))
    opened = [load_run(source) for source, _ in asked]
    for (source, role), loaded in zip(asked, opened, strict=True):
        if role == "twin":
            _check_twin(asked[0][0], opened[0], source, loaded)
    labels = _labels([source for source, _ in asked])
    return tuple(
        Subject(source, label, role, loaded, map_name(loaded.network, layer) if layer else last_map(loaded.network))
        for (source, role), label, loaded in zip(asked, labels, opened, strict=True)
    )


def source_name(source: str) -> str:
    """The last part of a source: of a run's folder, also where its weights file is given."""
    return _place(source).name or source


def _place(source: str) -> Path:
    """A source as a path, for a run's weights file its folder."""
    return Path(source).parent if Path(source).name == FILE else Path(source)


def _labels(sources: Sequence[str]) -> list[str]:
    """The last part of each source; of several without the words that all begin or end with; numbered where equal."""
    names = [source_name(one) for one in sources]
    if len(names) > 1:
        backwards = [row[::-1] for row in _without_common([name.split("-") for name in names])]
        names = ["-".join(row[::-1]) for row in _without_common(backwards)]
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, start=1)]


def _without_common(rows: list[list[str]]) -> list[list[str]]:
    """The rows without the words that all begin with; each keeps one word at least."""
    while min(map(len, rows)) > 1 and len({row[0] for row in rows}) == 1:
        rows = [row[1:] for row in rows]
    return rows


def _test_accuracy(source: str) -> float | None:
    """The accuracy on the test images that a run's folder tells."""
    file = _place(source) / "metrics.json"
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["test"]["top1"])
    except (OSError, ValueError, KeyError, TypeError):
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


def activation_kinds(network: Network) -> tuple[str, ...]:
    """The kinds of a network's activation functions, squeeze-and-excitation's own aside, in the order of the layers."""
    rows = [network.stem.activation, *(stage.activation for stage in network.stages)]
    rows += [network.head.activation] if network.head_conv or network.hidden_linear else []
    return tuple(dict.fromkeys(row.kind for row in rows))


def _check_twin(run: str, one: Loaded, source: str, other: Loaded) -> None:
    """Raise a one-line `ValueError` unless the two differ in activation functions alone."""
    differing = list(_differences(one, other))
    if differing:
        raise ValueError(
            f"{source} is no twin of {run}: {', '.join(differing)} differ; a twin differs in its activation "
            "functions alone (--with takes any network)"
        )


def _differences(one: Loaded, other: Loaded) -> Iterator[str]:
    first, second = _without_activations(one.network), _without_activations(other.network)
    yield from (f.name for f in dataclasses.fields(Network) if getattr(first, f.name) != getattr(second, f.name))
    if one.classes != other.classes:
        yield "the classes' names"
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


def class_index(subject: Subject, name: str) -> int:
    """Where a network has a class, capitals and underscores aside. Raises a `ValueError` that names near ones."""
    classes = subject.loaded.classes
    if name in classes:
        return classes.index(name)
    wanted, known = loosened(name), [loosened(one) for one in classes]
    if wanted in known:
        return known.index(wanted)
    near = [classes[place] for place, one in enumerate(known) if wanted in one.replace(",", " ").split()]
    near += [classes[known.index(one)] for one in difflib.get_close_matches(wanted, known, n=NEAR)]
    if near:
        hint = "did you mean " + " or ".join(list(dict.fromkeys(near))[:NEAR]) + "?"
    else:
        hint = "it has " + ", ".join(classes[:SHOWN_CHOICES]) + (", ..." if len(classes) > SHOWN_CHOICES else "")
    raise ValueError(f"{subject.label} has no class {name!r}; {hint}")


def folder_class(path: str, classes: Sequence[str]) -> str | None:
    """The class that an image's folder is named after, if it is one."""
    folder = Path(path).absolute().parent.name
    if folder in classes:
        return folder
    return next((one for one in classes if loosened(one) == loosened(folder)), None)
