"""What networks cost, and how they keep a budget, as text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.cli import show
from budgetnet.cli.options import Limits
from budgetnet.draw import wording
from budgetnet.networks import Network
from budgetnet.networks.scaling import Strategy, source

if TYPE_CHECKING:
    from budgetnet.answers.latencies import Latencies, NetworkLatency
    from budgetnet.budgets.budget import Certificate, DialStep, Fit, NextStep
    from budgetnet.budgets.path import Step
    from budgetnet.costs.latency import Prediction
    from budgetnet.costs.network_cost import Cost

OPTIMISERS = ("sgd", "adamw", "rmsprop")


def price(network: Network, limits: Limits) -> Cost:
    """The cost in the dtype, for the batch and with the runtime that the limits are counted in."""
    from budgetnet import cost

    counted = limits.budget() if limits.target else limits
    batch = 1 if counted.batch is None else counted.batch
    return cost(network, batch, counted.dtype or "float32", counted.runtime or "deployed")


@dataclass(frozen=True, slots=True)
class Listed:
    """A network of the zoo, its cost, its published top-1 in percent, and whether none listed beats it.

    `fastest` is the runtime that serves it best here, where that was measured.
    """

    network: Network
    cost: Cost
    top1: float | None
    pareto: bool
    fastest: NetworkLatency | None = None


SAME_PADDING = "tf_"
"""The zoo's names begin so that are another row with TensorFlow's padding: their costs are the same."""


def listed(priced: Sequence[tuple[Network, Cost]], times: Latencies | None = None) -> tuple[Listed, ...]:
    """The rows of a list, with what was published of a network at its own resolution.

    What costs less is told by multiply-adds, or by times.
    """
    from budgetnet.networks.zoo import network
    from budgetnet.networks.zoo.published import TOP1, pareto

    published = {
        each.name: TOP1[each.name].top1
        for each, _ in priced
        if each.name in TOP1 and each.resolution_px == network(each.name).resolution_px
    }
    fastest: dict[str, NetworkLatency] = {}
    spent = {each.name: float(cost.macs) for each, cost in priced}
    if times is not None:
        fastest = {each.name: row for each, price in priced for row in rows_of(times, each, price)[:1]}
        spent = {name: row.latency_ms for name, row in fastest.items() if row.latency_ms is not None}
    front = pareto((name, spent[name], top1) for name, top1 in published.items() if name in spent)
    return tuple(
        Listed(each, cost, published.get(each.name), each.name in front, fastest.get(each.name))
        for each, cost in priced
    )


def rows_of(times: Latencies, network: Network, price: Cost) -> Sequence[NetworkLatency]:
    """The times of a network in the numbers that its bytes are counted in."""
    return () if price.dtype == "float16" else times.of(network, price.dtype)


def plot_networks(rows: Sequence[Listed], path: Path, times: Latencies | None = None) -> None:
    """The rows with a published accuracy as a picture, over multiply-adds or over times."""
    from budgetnet.inspect.zoo_picture import MACS, Point, draw_zoo, milliseconds

    axis = MACS if times is None else milliseconds(times.device)
    spent = ((row, row.cost.macs if times is None else row.fastest and row.fastest.latency_ms) for row in rows)
    points = [Point(row.network.name, cost, row.top1) for row, cost in spent if row.top1 is not None and cost]
    draw_zoo(path, points, {row.network.name for row in rows if row.pareto}, axis)


def print_networks(rows: Sequence[Listed], as_json: bool, times: Latencies | None = None) -> None:
    """A row a network: its size, its params, what it costs, and how long it takes where that was measured."""
    if as_json:
        plain = [
            {
                "name": row.network.name,
                **show.plain(row.cost),
                "published_top1": row.top1,
                "pareto": row.pareto,
                "network": row.network,
                **({} if times is None else {"latencies": rows_of(times, row.network, row.cost)}),
            }
            for row in rows
        ]
        return show.print_json({"networks": plain})
    if not rows:
        return show.say("No network of the zoo keeps these limits; `budgetnet fit BASE` finds a smaller one.")
    cells = [
        (
            row.network.name,
            show.sides(row.network),
            show.short(row.cost.params),
            show.short(row.cost.macs),
            show.short(row.cost.activations),
            show.size(row.cost.weight_bytes),
            show.size(row.cost.peak_activation_bytes),
            *(() if times is None else _time(row.fastest)),
            "" if row.top1 is None else f"{row.top1:.1f}{'*' if row.pareto else ' '}",
        )
        for row in rows
        if not row.network.name.startswith(SAME_PADDING)
    ]
    timed = () if times is None else ("ms", "in")
    show.table(("network", "px", "params", "MACs", "activ.", "weights", "peak", *timed, "top-1"), cells)
    first = rows[0].cost
    peak = "the most activations live at once" if first.runtime == "deployed" else f"the arena of {first.runtime}"
    show.say(f"Bytes in {first.dtype}, batch {first.batch}; peak: {peak}.", "dim")
    beats = "with fewer MACs" if times is None else "in less time"
    show.say(f"top-1: ImageNet, %, as published, each by its own recipe; * none listed beats it {beats}.", "dim")
    if times is not None:
        _print_times(times, first.dtype)
    return None


def _time(fastest: NetworkLatency | None) -> tuple[str, str]:
    if fastest is None or fastest.latency_ms is None:
        return ("-", "")
    from budgetnet.ship.untrained import words

    return (f"{fastest.latency_ms:.2f}", words(fastest.runtime))


def _print_times(times: Latencies, dtype: str) -> None:
    """On what it was measured, how the machine's speed changed meanwhile, and what has no time."""
    show.say(f"ms: one image in {dtype}, one core of {times.device}, in the runtime that serves it best.", "dim")
    if times.drift is not None:
        low, high = times.drift
        show.say(
            f"A network timed beside each of them took {low:.2f} to {high:.2f} ms: so much the speed changed.", "dim"
        )
    for row in times.measured:
        if row.latency_ms is None:
            why = row.failure or (row.measurement and row.measurement.refusal)
            show.notice(f"budgetnet: {row.name} has no time in {row.runtime}: {why}")


def print_cost(
    cost: Cost, certificate: Certificate | None, ops: bool, as_json: bool, prediction: Prediction | None = None
) -> None:
    """The stages, the sums, the ops if asked for, the verdict if there are limits."""
    if as_json:
        row = {**show.plain(cost), "train_bytes": _train_bytes(cost), "memory_plan": cost.memory_plan}
        row |= {"network": cost.network}
        row |= {"ops": cost.ops} if ops else {}
        row |= {"certificate": certificate} if certificate else {}
        row |= {"latency": prediction} if prediction else {}
        return show.print_json(row)
    show.stages(cost.network)
    show.say()
    _print_sums(cost)
    if cost.runtime != "deployed":
        _print_plan(cost)
    if prediction:
        show.say()
        show.say(f"latency: {prediction}.")
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
    counted = f"{cost.dtype}, batch {cost.batch}"
    counted += "" if cost.runtime == "deployed" else f", {cost.runtime}"
    show.table((counted, "exact", "about"), rows)
    show.say("params, MACs and activations are for one image; train bytes are float32.", "dim")


def _print_plan(cost: Cost) -> None:
    """What the runtime's two sums of bytes are made of, and where the network is fullest."""
    plan = cost.memory_plan
    tensors = ", ".join(f"{tensor.name} {tensor.size_bytes:,}" for tensor in plan.tensors)
    show.say(
        f"On {cost.runtime} weight bytes are its file's, and peak activation bytes its arena: {plan.head_bytes:,} for "
        f"tensors, {plan.tail_bytes:,} kept beside them. Fullest at {plan.op}: {tensors}."
    )


def _print_ops(cost: Cost) -> None:
    rows = [
        (op.name, _shape(op.out_shape), show.short(op.macs), show.short(op.params), show.size(op.bytes_moved))
        for op in cost.ops
    ]
    show.table(("op", "out", "MACs", "params", "moved"), rows)
    show.say("moved: bytes read and written in float32, for one image.", "dim")


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
            _list([row.name], certificate.runtime),
            *map(show.number, (row.limit, row.used, row.left)),
            show.percent(row.share),
        )
        for row in certificate.limits
    ]
    show.table(("limit", "at most", "used", "left", "used %"), rows)
    for row in certificate.limits:
        if row.prediction is not None:
            show.say(f"latency: {row.prediction}.", "dim")
    if certificate.dials:
        show.say()
        _print_dials(certificate.dials)
    if certificate.breaks:
        show.say(f"It does not fit: it breaks {_list(certificate.breaks, certificate.runtime)}.", "bold")
    elif certificate.next is not None:
        following = certificate.next
        show.say(
            f"The next network on its path, phi = {following.phi:.6g}, {show.resolution(following.network)} px and "
            f"{following.network.depth} blocks, {_hindered(following, certificate.runtime)}."
        )
    elif certificate.end is not None:
        show.say(f"Nothing larger on its path: {certificate.end}.")
    elif not certificate.dials:
        show.say("It fits.", "bold")


def _print_dials(dials: Sequence[DialStep]) -> None:
    """Each dial, its next setting, and why it is not taken."""
    rows: list[tuple[str, str, str]] = []
    for row in dials:
        why = row.reason(show.words)
        rows.append((row.dial, row.at, why if row.next is None else ""))
        if row.next is not None:
            rows.append(("", f"next {row.next}", why))
    show.table(("dial", "setting", "why it is not turned further"), rows, text_columns=3)


def _hindered(following: NextStep, runtime: str) -> str:
    """What keeps the next network from being the answer: limits that it breaks, too little for its training."""
    parts = [f"breaks {_list(following.broken_limits, runtime)}"] if following.broken_limits else []
    parts += [f"leaves too little {_list(following.lacks, runtime)} for its training"] if following.lacks else []
    return " and ".join(parts)


def _list(names: Sequence[str], runtime: str) -> str:
    return " and ".join(f"{show.words(name)}{wording.on_runtime(name, runtime)}" for name in names)


def print_step(base: Network, step: Step, strategy: Strategy) -> None:
    """What phi does: the formula's factors, the integers, the real cost against the nominal one."""
    show.say(f"{base.name}, {strategy} strategy, phi = {step.phi:g}", "bold")
    _print_factors(base, step, strategy)
    show.say()
    _print_integers(base, step)
    show.say()
    _print_ratios(base, step)


def _print_factors(base: Network, step: Step, strategy: Strategy) -> None:
    factors = step.scaling
    show.say(f"depth x {factors.depth:.4g}, width x {factors.width:.4g}, resolution x {factors.resolution:.4g}")
    show.say(f"({source(strategy)})", "dim")


def _print_integers(base: Network, step: Step) -> None:
    wide, deep, network = step.scaling.width, step.scaling.depth, step.network
    rows = [("stem", *_scaled(base.stem.channels, wide, network.stem.channels), "", "", "")]
    rows += [
        (str(index), *_scaled(old.channels, wide, new.channels), *_scaled(old.repeats, deep, new.repeats))
        for index, (old, new) in enumerate(zip(base.stages, network.stages, strict=True))
    ]
    if base.head.channels is not None and network.head.channels is not None:
        rows.append(("head", *_scaled(base.head.channels, wide, network.head.channels), "", "", ""))
    show.table(("stage", "channels", "formula", "rounded", "repeats", "formula", "rounded"), rows)
    height, width = (f"{side * step.scaling.resolution:.1f}" for side in base.resolution_px)
    formula = height if height == width else f"{height} x {width}"
    show.say(f"resolution {show.resolution(base)} px, formula {formula}, rounded {show.resolution(network)}")


def _scaled(base: int, factor: float, rounded: int) -> tuple[str, str, str]:
    return str(base), f"{base * factor:.2f}", str(rounded)


def _print_ratios(base: Network, step: Step) -> None:
    from budgetnet import cost

    before, after = cost(base), step.cost
    rows = [
        (show.words(name), show.number(old), show.number(new), f"{new / old:.3f}")
        for name in ("macs", "params", "activations", "weight_bytes", "peak_activation_bytes")
        for old, new in ((getattr(before, name), getattr(after, name)),)
    ]
    show.table(("float32, batch 1", "base", "scaled", "ratio"), rows)
    direction = "over" if step.excess >= 0 else "under"
    show.say(
        f"MACs are {step.ratio_to_base:.3f} of the base's where the dial says 2**phi = {step.nominal_ratio:.3f}: "
        f"{show.percent(abs(step.excess))} {direction}."
    )


def print_devices(as_json: bool) -> None:
    """The presets of --target: a row a device, and where each limit comes from."""
    from budgetnet.budgets.devices import DEVICES

    if as_json:
        return show.print_json({"devices": list(DEVICES)})
    names = ("weight_bytes", "peak_activation_bytes", "peak_bytes", "macs")
    rows: list[tuple[str, ...]] = []
    for device in DEVICES:
        limits = device.limits.limits()
        amounts = (show.amount(name, limits[name]) if name in limits else "" for name in names)
        counted = device.limits.dtype
        counted += "" if device.limits.runtime == "deployed" else f" {device.limits.runtime}"
        rows.append((device.name, *amounts, counted))
    show.table(("device", "weights", "peak act.", "both", "MACs", "counted for"), rows)
    return show.say("What each is, and the source of its limits: budgetnet zoo --devices --json", "dim")
