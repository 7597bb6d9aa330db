"""Commands about networks: zoo, cost, scale, fit. They answer at once and never import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from budgetnet.cli import pricing, show
from budgetnet.cli.options import (
    AS_PUBLISHED,
    NETWORK,
    NO_LIMITS,
    OUTPUT,
    REAL,
    AsJson,
    CoefficientsOption,
    FitStrategyOption,
    Limits,
    Out,
    Shape,
    StrategyOption,
    check_file,
    check_out,
    open_network,
    save_network,
)
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER

if TYPE_CHECKING:
    from budgetnet.answers.latencies import Latencies
    from budgetnet.costs.network_cost import Cost

NameOrFile = Annotated[str, Parameter(help="A name of the zoo, a network .json file or a run's folder.")]


def zoo(
    *,
    devices: Annotated[bool, Parameter(help="List the devices that --target knows instead.")] = False,
    plot: Annotated[
        Path | None,
        Parameter(
            group=OUTPUT, metavar="FILE", help="Draw accuracy over MACs, or over --latencies: .svg, .png or .pdf."
        ),
    ] = None,
    latencies: Annotated[
        Path | None,
        Parameter(
            group=OUTPUT,
            metavar="FILE",
            help="Measure all in each installed runtime into this .json file; what it has is not measured again.",
        ),
    ] = None,
    limits: Limits = NO_LIMITS,
    shape: Shape = AS_PUBLISHED,
    as_json: AsJson = False,
) -> int:
    """List the published networks with their real costs.

    With limits, only those that keep them. Published accuracies are each by its own recipe; a star
    marks those that none of the list beats with fewer MACs, or with --latencies in less time here.

    Example: budgetnet zoo --macs 300M --params 4M
    """
    limits.check()
    shape.check()
    if plot is not None:
        from budgetnet.inspect.zoo_picture import check_picture

        check_picture(plot)
    check_file("--latencies", latencies, "a file of times")
    if devices and latencies is not None:
        raise ValueError("--devices lists devices, and --latencies measures networks; leave one away")
    if devices:
        pricing.print_devices(as_json)
        return 0
    from budgetnet.networks import zoo as networks_of

    budget = limits.budget() if limits.any_limit() else None
    rows = [shape.apply(networks_of.network(name)) for name in networks_of.names()]
    kept = [network for network in rows if budget is None or budget.check(network).fits]
    priced = [(network, pricing.price(network, limits)) for network in kept]
    times = None if latencies is None or not kept else _times(priced, latencies)
    listed = pricing.listed(priced, times)
    if plot is not None:
        pricing.plot_networks(listed, plot, times)
    pricing.print_networks(listed, as_json, times)
    return 0


def _times(priced: Sequence[tuple[Network, Cost]], file: Path) -> Latencies:
    """What was measured of the networks, smallest first: of those that are one network, with another padding, one.

    Raises a one-line `ValueError` for numbers that no runtime here computes with.
    """
    from budgetnet.answers.latencies import latencies
    from budgetnet.cli.progress import progress

    dtype = priced[0][1].dtype
    if dtype == "float16":
        raise ValueError("--latencies measures in float32 or int8; give --dtype float32 or int8")
    ordered = sorted(priced, key=lambda row: row[1].macs)
    one_each = [network for network, _ in ordered if not network.name.startswith(pricing.SAME_PADDING)]
    with progress() as shown:
        return latencies(one_each, file, dtype=dtype, progress=shown)


def cost(
    network: NameOrFile,
    /,
    *,
    ops: Annotated[bool, Parameter(group=OUTPUT, help="A row for every op as well.")] = False,
    limits: Limits = NO_LIMITS,
    shape: Shape = AS_PUBLISHED,
    as_json: AsJson = False,
) -> int:
    """Price a network: params, MACs, activations, bytes.

    With limits also whether it keeps them: the exit code is 1 if not. With --device-file alone also how long it takes
    there.

    Example: budgetnet cost mobilenet_v2 --dtype int8 --peak-activation-bytes 512KiB
    """
    timing = limits.timing_alone()
    limits = limits if timing is None else dataclasses.replace(limits, device_file=None)
    limits.check()
    budget = limits.budget() if limits.any_limit() else None
    value = shape.apply(open_network(network))
    certificate = budget.check(value) if budget else None
    prediction = None if timing is None else timing.prediction(value)
    pricing.print_cost(pricing.price(value, limits), certificate, ops, as_json, prediction)
    return 0 if certificate is None or certificate.fits else 1


def scale(
    base: NameOrFile,
    /,
    *,
    phi: Annotated[
        float, REAL, Parameter(group=NETWORK, help="The dial: every strategy nominally costs 2**phi.")
    ] = 1.0,
    strategy: StrategyOption = "compound",
    coefficients: CoefficientsOption = PAPER,
    shape: Shape = AS_PUBLISHED,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Scale a network by phi and show how.

    The formula's values, the integers they are rounded to, the real cost against the nominal one.

    Example: budgetnet scale efficientnet_b0 --phi -2 --strategy compound
    """
    check_out(out)
    from budgetnet.budgets import path

    start = shape.apply(open_network(base))
    step = path.step(start, phi, strategy, coefficients)
    save_network(step.network, out)
    show.print_json(step) if as_json else pricing.print_step(start, step, strategy)
    return 0


def fit(
    base: NameOrFile,
    /,
    *,
    limits: Limits = NO_LIMITS,
    strategy: FitStrategyOption = "compound",
    coefficients: CoefficientsOption = PAPER,
    shape: Shape = AS_PUBLISHED,
    out: Out = None,
    as_json: AsJson = False,
) -> int:
    """Find the largest network that keeps every limit.

    With its certificate: what is used of every limit, and what the next network on the path breaks.

    Example: budgetnet fit efficientnet_b0 --macs 60M --params 3M --out network.json
    """
    check_out(out)
    limit = limits.budget()
    from budgetnet.budgets.fit import fit as largest

    answer = largest(shape.apply(open_network(base)), limit, strategy, coefficients)
    save_network(answer.network, out)
    show.print_json(answer) if as_json else pricing.print_fit(answer)
    return 0
