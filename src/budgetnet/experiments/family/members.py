"""Who is in a family: S0, the winner of a baseline's search, and S1 to S3, scaled from it; beside them the paper's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from budgetnet.codec import PositiveFloat, PositiveInt
from budgetnet.costs.network_cost import cost
from budgetnet.networks import Network, Px, zoo
from budgetnet.networks.scaling import Coefficients, scale
from budgetnet.networks.zoo.published import TOP1

PHIS = (0, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class ScaledMember:
    """A network of a family, and the phi that scales the base to it. It is called by its id."""

    id: str
    phi: int
    network: Network


def members_of(base: Network, coefficients: Coefficients) -> tuple[ScaledMember, ...]:
    """S0 to S3: the base, and the base scaled by phi = 1, 2, 3 with these coefficients.

    However large their images become: a family is what its coefficients promise.
    """
    return tuple(ScaledMember(f"S{phi}", phi, _member(base, phi, coefficients)) for phi in PHIS)


def _member(base: Network, phi: int, coefficients: Coefficients) -> Network:
    chosen = ", ".join(f"{value:.6g}" for value in dataclasses.astuple(coefficients))
    how = f", scaled by phi = {phi} with alpha, beta, gamma = {chosen}" if phi else ""
    scaled = scale(base, float(phi), coefficients=coefficients)
    return dataclasses.replace(scaled, name=f"S{phi}", source=f"{base.name}{how}")


@dataclass(frozen=True, slots=True)
class PublishedMember:
    """A network of the paper's family: costs as they are counted here, for 1000 classes; top-1 in percent on ImageNet.

    The accuracy is its authors', by their recipe, and compares with none that was trained here.
    """

    name: str
    resolution_px: Px
    blocks: PositiveInt
    macs: PositiveInt
    params: PositiveInt
    published_top1: PositiveFloat
    source: str


def published_members() -> tuple[PublishedMember, ...]:
    """B0 to B3."""
    return tuple(_published(f"efficientnet_b{phi}") for phi in PHIS)


def _published(name: str) -> PublishedMember:
    network, said = zoo.network(name), TOP1[name]
    price = cost(network)
    return PublishedMember(name, network.resolution_px, network.depth, price.macs, price.params, said.top1, said.source)
