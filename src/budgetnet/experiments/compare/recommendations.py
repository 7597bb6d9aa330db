"""What each network of a comparison is suited for: read from what it costs and gains beside the others, and from the
device table, never from its family's name."""

from __future__ import annotations

from collections.abc import Sequence

from budgetnet.budgets.devices import DEVICES, Device
from budgetnet.draw.wording import listed
from budgetnet.experiments.compare.result import Compared
from budgetnet.networks import Network
from budgetnet.networks.zoo.published import pareto

COSTS = {
    "macs": "multiply-adds",
    "params": "parameters",
    "activations": "activations",
    "peak_bytes": "memory",
    "image_ms": "time an image",
}
"""These may be scarce, in words."""


def recommendations(networks: Sequence[Compared]) -> dict[str, str]:
    """For the id of every network: under which limits it is the choice among them, and which presets it fits.

    It is the choice for a cost if no other that costs less of it has as high a mean accuracy; what is not known of all,
    such as milliseconds that could not be measured, is left out. A preset has the limits of `devices`.
    """
    best = max(networks, key=lambda row: row.accuracy).id
    scarce: dict[str, list[str]] = {row.id: [] for row in networks}
    for cost, words in COSTS.items():
        points = [(row.id, getattr(row, cost), row.accuracy) for row in networks]
        known = [(name, used, gain) for name, used, gain in points if used is not None]
        if len(known) < len(points):
            continue
        least, unbeaten = min(used for _, used, _ in known), pareto(known)
        for name, used, _ in known:
            if name in unbeaten and (name != best or used == least):
                scarce[name].append(words)
    return {row.id: f"{_case(scarce[row.id], row.id == best)}; {_devices(row.network)}" for row in networks}


def _case(words: Sequence[str], best: bool) -> str:
    if best:
        return f"where accuracy counts most{f', with the least {listed(words)}' if words else ''}"
    if not words:
        return "under no limit better than another here"
    return f"under a tight limit on {listed(words)}"


def _devices(network: Network) -> str:
    """Which presets hold the network, the one with the least memory by name."""
    fitting = [device for device in DEVICES if _holds(device, network)]
    if not fitting:
        return "fits no device preset"
    least = min(fitting, key=_bytes)
    return f"fits {len(fitting)} of {len(DEVICES)} device presets, the smallest {least.name}"


def _holds(device: Device, network: Network) -> bool:
    try:
        return device.limits.check(network).fits
    except ValueError:  # its runtime has no op for an activation
        return False


def _bytes(device: Device) -> float:
    """The bytes that a preset has for weights and activations; infinite where it limits none."""
    limits = device.limits.limits()
    return sum(limits[name] for name in limits if name.endswith("bytes")) or float("inf")
