"""What networks cost, and how they keep a budget, as text or as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from budgetnet.cli import show
from budgetnet.cli.options import Limits
from budgetnet.spec import Network

if TYPE_CHECKING:
    from budgetnet.budget import Certificate, Fit
    from budgetnet.cost import Cost

OPTIMISERS = ("sgd", "adamw", "rmsprop")


def price(network: Network, limits: Limits) -> Cost:
    """The cost in the dtype and for the batch that the limits are counted in."""
    from budgetnet import cost

    counted = limits.budget() if limits.any_limit() else limits
    return cost(network, counted.batch or 1, counted.dtype or "float32")


def cost_row(cost: Cost) -> dict[str, Any]:
    """A cost's fields for JSON, without the network, which stands beside it."""
    fields = [field.name for field in dataclasses.fields(cost) if field.name != "network"]
    return {name: getattr(cost, name) for name in fields}


def print_networks(priced: Sequence[tuple[Network, Cost]], as_json: bool) -> None:
    """A row a network: its size, its params, what it costs."""
    if as_json:
        rows = [{"name": each.name, **cost_row(cost), "network": each} for each, cost in priced]
        return show.print_json({"networks": rows})
    if not priced:
        return show.say("No network of the zoo keeps these limits; `budgetnet fit BASE` finds a smaller one.")
    rows = [
        (
            network.name,
            show.resolution(network),
            show.short(cost.params),
            show.short(cost.macs),
            show.short(cost.activations),
            show.size(cost.weight_bytes),
            show.size(cost.peak_activation_bytes),
        )
        for network, cost in priced
        if not network.name.startswith("tf_")
    ]
    show.table(("network", "px", "params", "MACs", "activ.", "weights", "peak act."), rows)
    first = priced[0][1]
    return show.say(
        f"Bytes in {first.dtype}, batch {first.batch}; peak act.: the most activations live at once.", "dim"
    )


def print_cost(cost: Cost, certificate: Certificate | None, ops: bool, as_json: bool) -> None:
    """The stages, the sums, the ops if asked for, the verdict if there are limits."""
    if as_json:
        row = {**cost_row(cost), "train_bytes": _train_bytes(cost), "network": cost.network}
        row |= {"ops": cost.ops} if ops else {}
        row |= {"certificate": certificate} if certificate else {}
        return show.print_json(row)
    show.stages(cost.network)
    show.say()
    _print_sums(cost)
    if ops:
        show.say()
        _print_ops(cost)
    if certificate:
        show.say()
        print_certificate(certificate)
    return None


def _train_bytes(cost: Cost) -> dict[str, int]:
    return {optimiser: cost.train_bytes(cost.batch, optimiser) for optimiser in OPTIMISERS}


def _print_sums(cost: Cost) -> None:
    counts = [("params", cost.params), ("MACs", cost.macs), ("activations", cost.activations)]
    sizes = [
        ("weight bytes", cost.weight_bytes),
        ("peak activation bytes", cost.peak_activation_bytes),
        ("peak bytes", cost.peak_bytes),
        *((f"train bytes, {name}", value) for name, value in _train_bytes(cost).items()),
    ]
    rows = [(name, show.number(value), show.short(value)) for name, value in counts]
    rows += [(name, show.number(value), show.size(value)) for name, value in sizes]
    show.table((f"{cost.dtype}, batch {cost.batch}", "exact", "about"), rows)
    show.say("params, MACs and activations are for one image; train bytes are float32.", "dim")


def _print_ops(cost: Cost) -> None:
    rows = [
        (op.name, op.kind, _shape(op.out_shape), show.short(op.macs), show.short(op.params), show.size(op.bytes_moved))
        for op in cost.ops
    ]
    show.table(("op", "kind", "out", "MACs", "params", "moved"), rows, text_columns=2)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def print_fit(fit: Fit) -> None:
    """The network and why it is this one."""
    show.stages(fit.network)
    show.say()
    print_certificate(fit.certificate)


def print_certificate(certificate: Certificate) -> None:
    """Every limit, what is used of it, what is left; the next network of the path and what it breaks."""
    rows = [
        (
            row.name.replace("_", " ").replace("macs", "MACs"),
            show.number(row.limit),
            show.number(row.used),
            show.number(row.left),
            show.percent(row.used / row.limit),
        )
        for row in certificate.limits
    ]
    show.table(("limit", "at most", "used", "left", "used %"), rows)
