"""One base, and the same base with one part taken away or changed, each fitted to the same budget anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from budgetnet.budgets.budget import Budget
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import AdaptedBase, adapted_bases
from budgetnet.experiments.compare.entrants import BASE, Entered, entered, families, fitted
from budgetnet.networks import RELU, SWISH, Activation, Network, Squeeze, Stage, zoo
from budgetnet.networks.scaling import PAPER, Coefficients, FitStrategy


@dataclass(frozen=True, slots=True)
class Change:
    """A part that is taken away: `id` names files, `label` is what people read."""

    id: str
    label: str
    of: Callable[[Network], Network]


def _staged(change: Callable[[Stage], Stage]) -> Callable[[Network], Network]:
    return lambda network: dataclasses.replace(network, stages=tuple(map(change, network.stages)))


def _relu(network: Network) -> Network:
    """ReLU for Swish in stem, blocks and head; inside squeeze-and-excitation all stays."""

    def of(row: Activation) -> Activation:
        return RELU if row.kind == "swish" else row

    used = network.head.channels or network.head.hidden
    return dataclasses.replace(
        network,
        stem=dataclasses.replace(network.stem, activation=of(network.stem.activation)),
        stages=tuple(dataclasses.replace(stage, activation=of(stage.activation)) for stage in network.stages),
        head=dataclasses.replace(network.head, activation=of(network.head.activation)) if used else network.head,
    )


def _squeezed(change: Callable[[Squeeze], Squeeze | None]) -> Callable[[Network], Network]:
    return _staged(lambda stage: dataclasses.replace(stage, squeeze=stage.squeeze and change(stage.squeeze)))


def _small_kernel(stage: Stage) -> Stage:
    return dataclasses.replace(stage, kernel=min(stage.kernel, 3))


WHOLE = "whole"
"""The id of the base as it is: what every change is compared with."""

CHANGES = (
    Change("relu", "ReLU for Swish", _relu),
    Change("no-squeeze", "no squeeze-excite", _squeezed(lambda row: None)),
    # Hu et al., arXiv:1709.01507, section 3: r divides the channels that are squeezed, here the expanded ones.
    Change(
        "squeeze-r4",
        "squeeze to 1/4",
        _squeezed(lambda row: dataclasses.replace(row, ratio=1 / 4, source="expanded")),
    ),
    Change(
        "squeeze-r16",
        "squeeze to 1/16",
        _squeezed(lambda row: dataclasses.replace(row, ratio=1 / 16, source="expanded")),
    ),
    *(
        Change(
            f"squeeze-{name.lower()}",
            f"{name} in the squeeze",
            _squeezed(lambda row, inner=inner: dataclasses.replace(row, inner=inner)),
        )
        for name, inner in (("ReLU", RELU), ("Swish", SWISH))
    ),
    Change("kernel-3", "kernels 3x3 only", _staged(_small_kernel)),
    Change("no-skip", "no residual", _staged(lambda stage: dataclasses.replace(stage, residual=False))),
    Change("no-drop-path", "no stochastic depth", lambda network: dataclasses.replace(network, drop_path=0.0)),
)


def ablations(
    images: ImageSet,
    budget: Budget,
    base: str | Network = BASE,
    strategy: FitStrategy = "compound",
    inherited: bool = False,
    coefficients: Coefficients = PAPER,
) -> Entered:
    """The base as it is, and with each part of `CHANGES` that it has changed; all fitted to the budget.

    What a part costs is so given back to depth, width and resolution. Strides are those of the whole. Raises as
    `families` does, and `ValueError` for a base that has none of the parts.
    """
    whole = zoo.network(base) if isinstance(base, str) else base
    parts = [(change, network) for change in CHANGES if (network := change.of(whole)) != whole]
    if not parts:
        raise ValueError(f"{whole.name} has none of the parts that can be taken away; choose another base")
    dropped = families(images, budget, [whole], strategy, inherited, coefficients)[0][0].dropped_strides
    named = [(WHOLE, whole.name, whole), *((change.id, change.label, network) for change, network in parts)]
    return entered(
        [
            (
                name,
                label,
                whole.name,
                strategy,
                fitted(_adapted(images, network, dropped, inherited), images, budget, strategy, coefficients),
            )
            for name, label, network in named
        ],
        budget,
    )


def _adapted(images: ImageSet, network: Network, dropped: int, inherited: bool) -> Iterator[AdaptedBase]:
    return (row for row in adapted_bases(images, [network], inherited) if row[1] == dropped)
