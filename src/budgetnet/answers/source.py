"""What answers, by its path: an exported file in its own runtime, else a model of torch, which is loaded only then."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from budgetnet.arguments import RUN, path
from budgetnet.networks import Network, choose
from budgetnet.runs.run import DEVICES, Loaded, device_of, load_run
from budgetnet.ship.answering import answerer_of_file
from budgetnet.ship.formats import format_of
from budgetnet.training.answerer import Answerer


def answerer_at(
    run: str | Path | Loaded,
    network: Network | None,
    class_names: str | Path | Sequence[str] | None,
    device: str,
) -> Answerer:
    """An exported file, a run's folder, weights or what was loaded of them, ready to answer.

    Raises a one-line `ValueError` for what cannot be read, and for an exported file with another device than the
    processor, or with a network or classes: it says both itself.
    """
    choose("device", device, DEVICES)
    to = format_of(Path(run)) if isinstance(run, str | os.PathLike) else None
    if to is None or not isinstance(run, str | os.PathLike):
        return _of_torch(run, network, class_names, device)
    check_processor(f"the exported file {run}", device)
    for name, value in (("network", network), ("class_names", class_names)):
        if value is not None:
            raise ValueError(f"{run} is an exported file and says its network and classes itself; leave {name} away")
    return answerer_of_file(Path(run), to)


def _of_torch(
    run: str | Path | Loaded,
    network: Network | None,
    class_names: str | Path | Sequence[str] | None,
    device: str,
) -> Answerer:
    from budgetnet.training.evaluate import answerer_of

    device = device_of(device)
    return answerer_of(
        run if isinstance(run, Loaded) else load_run(path("run", run, RUN), network, class_names), device
    )


def check_processor(what: str, device: str) -> None:
    """Raise a one-line `ValueError` for another device than the processor, the only one that `what` runs on."""
    if device not in ("auto", "cpu"):
        raise ValueError(f"device is {device!r}, and {what} runs on the processor; choose cpu")
