"""How long networks take on this machine, or on one whose times are given: a device file."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from budgetnet.amounts import microseconds
from budgetnet.answers.timing_fit import Fitted, fitted_timing
from budgetnet.arguments import integer, listener, text
from budgetnet.arguments import path as path_of
from budgetnet.budgets.budget import Budget
from budgetnet.budgets.device_file import FILE, DeviceFile, TimedNetwork
from budgetnet.budgets.fit import fit
from budgetnet.costs.latency import DeviceTiming, TimedBy, TimedDType, terms_of
from budgetnet.costs.network_cost import cost
from budgetnet.experiments.bases import given_bases
from budgetnet.inspect.turns import Timed, image_measurements
from budgetnet.networks import Network, choose, zoo
from budgetnet.networks.scaling import FitStrategy, adapt, scale
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.reading import file_content
from budgetnet.runs.files import write_json
from budgetnet.ship.untrained import RUNTIMES, check_runtime, machine, timed_network, versions_of

BASES = (
    *("efficientnet_b0", "efficientnet_lite0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large"),
    *("mobilenet_v3_small", "ghostnet", "efficientnetv2_b0", "tinynet_e", "mobilenet_v4_conv_small"),
)
"""Networks of these families are timed, unless others are asked for: all kinds of blocks are in them."""
NETWORKS = 20
"""So many networks are drawn; then `CHOSEN` more are what a search finds by them."""
CHOSEN = 10
LEAST_MACS, MOST_MACS = 1_500_000, 400_000_000
SIZES_PX = (32, 48, 64, 96, 112, 128, 160, 192, 224)
CLASSES = 10
SECONDS = 0.4
"""Each network is timed for so long, in turns with all others."""
MOST_TURNS = 4
"""A search is asked of each family at most so often."""
NetworkTime = tuple[Network, float]
"""A network is held beside its milliseconds."""
MOST_LIST_BYTES = 1 << 20
"""No list of times is longer."""


def profile(
    runtime: TimedBy = "onnxruntime",
    dtype: TimedDType = "float32",
    out: str | Path = FILE,
    bases: Sequence[str | Network] | None = None,
    progress: Progress | None = None,
) -> DeviceTiming:
    """Time some 30 networks on this machine, and write what tells how long any other takes: a device file.

    The networks are drawn from several families and sizes, always the same, and have drawn weights. Each is timed as a
    file is: one image, one thread, from pixels to logits. Coefficients that are never negative are fitted to the times;
    the error is that of networks left out in turn.

    Args:
        runtime: "onnxruntime", "openvino", "tflite" (LiteRT) or "torch".
        dtype: "float32", or "int8" by all but torch.
        out: The file to write, device.json.
        bases: The families to draw from, zoo names or networks; the more alike they are to what will be asked, the
            smaller is the error.
        progress: Called with what is done; None for nothing.

    Returns:
        The timing, as `read_device` reads it.

    Raises:
        ValueError: The runtime is unknown, not installed, or does not have the number type; a base is unknown.
        TypeError: A value has another type.
        OSError: The file cannot be written.

    Example:
        >>> import budgetnet
        >>> try:
        ...     budgetnet.profile("onnxrt")
        ... except ValueError as error:
        ...     print("onnxruntime" in str(error))
        True
    """
    choose("runtime", runtime, RUNTIMES)
    choose("dtype", dtype, ("float32", "int8"))
    target = Path(path_of("out", out))
    told: Progress = listener("progress", progress) or silent
    families = given_bases("bases", BASES if bases is None else bases)
    asked = [zoo.network(base) if isinstance(base, str) else base for base in families]
    check_runtime(runtime, dtype)
    first = _timed(list(itertools.islice(drawn(asked), NETWORKS)), runtime, dtype, told)
    begun = _fitted(first, machine(), runtime, dtype, 1).timing
    second = _timed(list(itertools.islice(found_by(begun, asked, first), CHOSEN)), runtime, dtype, told)
    return _written(target, first + second, machine(), runtime, dtype, 1, versions_of(runtime), len(second))


def profile_from(
    times: str | Path,
    out: str | Path = FILE,
    device: str | None = None,
    dtype: TimedDType = "float32",
    threads: int = 1,
) -> DeviceTiming:
    """Write a device file from times that were measured elsewhere: on a phone, a board, another runtime.

    Args:
        times: A .csv file: each line a network (a zoo name, or the path of a network's .json file, from the folder of
            the list) and its time with a unit, as `mobilenet_v2,12.4ms`. A first line `network,time` may stand above.
        out: The file to write, device.json.
        device: What was measured, in words; the list's name unless given.
        dtype: The numbers that the networks computed with.
        threads: Computing threads.

    Returns:
        The timing, as `read_device` reads it.

    Raises:
        ValueError: The list is damaged, has fewer than eight networks, or names an unknown one.
        TypeError: A value has another type.
        OSError: The file cannot be written.

    Example:
        >>> import budgetnet
        >>> try:
        ...     budgetnet.profile_from("no-such-list.csv")
        ... except (OSError, ValueError) as error:
        ...     print("no-such-list.csv" in str(error))
        True
    """
    listed = Path(path_of("times", times))
    choose("dtype", dtype, ("float32", "int8"))
    target = Path(path_of("out", out))
    name = listed.stem if device is None else text("device", device)
    threads = integer("threads", threads)
    return _written(target, list(_listed(listed)), name, "other", dtype, threads, {})


def drawn(bases: Sequence[Network]) -> Iterator[Network]:
    """Networks of these bases in turn, of many sizes; always the same."""
    generator = random.Random(0)
    for base in itertools.cycle(bases):
        for _ in range(20):
            px, phi = generator.choice(SIZES_PX), generator.uniform(-7.0, 1.0)
            how = generator.choice(("compound", "compound", "width", "resolution", "depth"))
            try:
                network = scale(adapt(dataclasses.replace(base, classes=CLASSES), px), phi, how)
            except ValueError:  # no such size has a network there
                continue
            if LEAST_MACS <= cost(network).macs <= MOST_MACS and min(network.resolution_px) >= SIZES_PX[0] // 2:
                yield network
                break


def _listed(file: Path) -> Iterator[NetworkTime]:
    """The networks of a list, with milliseconds. Raises a one-line `ValueError` that names the line."""
    content = file_content(file, MOST_LIST_BYTES).decode("utf-8-sig", errors="replace")
    seen: dict[Network, int] = {}
    for number, line in enumerate(csv.reader(content.splitlines()), 1):
        if not line or (number == 1 and [cell.strip().lower() for cell in line] == ["network", "time"]):
            continue
        if len(line) != 2:
            raise ValueError(
                f"line {number} of {file} has {len(line)} values; write a network and its time: NAME,12.4ms"
            )
        name, time = (cell.strip() for cell in line)
        try:
            network, ms = _network(name, file.parent), microseconds(time) / 1000
        except ValueError as error:
            heading = "; a heading is `network,time`" if number == 1 else ""
            raise ValueError(f"line {number} of {file}: {error}{heading}") from error
        if network in seen:
            raise ValueError(f"lines {seen[network]} and {number} of {file} are of one network; leave one of them")
        seen[network] = number
        yield network, ms


def _network(name: str, folder: Path) -> Network:
    if name.endswith(".json"):
        return Network.from_json(file_content(folder / name))
    return zoo.network(name)


def _written(
    target: Path,
    rows: Sequence[NetworkTime],
    device: str,
    runtime: TimedBy,
    dtype: TimedDType,
    threads: int,
    versions: Mapping[str, str],
    chosen: int = 0,
) -> DeviceTiming:
    """Fit, and write the device file aside, then renamed."""
    fitted = _fitted(rows, device, runtime, dtype, threads, chosen)
    measured = tuple(
        TimedNetwork(network.name, network.resolution_px, cost(network).macs, ms, float(left_out) / 1000)
        for (network, ms), left_out in zip(rows, fitted.left_out_us, strict=True)
    )
    write_json(target, DeviceFile(fitted.timing, versions, measured).record())
    return fitted.timing


def _fitted(
    rows: Sequence[NetworkTime], device: str, runtime: TimedBy, dtype: TimedDType, threads: int, chosen: int = 0
) -> Fitted:
    times_us = [1000 * ms for _, ms in rows]
    return fitted_timing([terms_of(row) for row, _ in rows], times_us, device, runtime, dtype, threads, chosen)


def _timed(networks: Sequence[Network], runtime: TimedBy, dtype: TimedDType, told: Progress) -> list[NetworkTime]:
    """The networks with milliseconds, but those whose runs differ too much to have a time."""
    subjects: list[Timed] = []
    with contextlib.ExitStack() as stack:
        for done, network in enumerate(networks):
            subjects.append(timed_network(network, runtime, dtype, stack))
            told(Update("build", done + 1, len(networks), network.name))
        found = image_measurements(subjects, SECONDS, told)
    pairs = zip(networks, found, strict=True)
    return [(network, one.latency_ms) for network, one in pairs if one.latency_ms is not None]


def found_by(timing: DeviceTiming, bases: Sequence[Network], rows: Sequence[NetworkTime]) -> Iterator[Network]:
    """What `fit` finds by a timing under limits on latency, for bases in turn; `rows` say which limits are usual there.

    A search has many networks to choose from, and chooses those that seem quicker than they are. They are timed, too,
    so that the next search has less to be wrong about, and the margin knows how wrong it is.
    """
    times = sorted(1000 * ms for _, ms in rows)
    limits = [round(times[len(times) * part // 8]) for part in (3, 5, 2, 6, 4)]
    strategies: tuple[FitStrategy, ...] = ("joint", "staged", "joint", "staged", "compound")
    bare = dataclasses.replace(timing, margin=0.0)
    for turn in itertools.count():
        base = bases[turn % len(bases)]
        strategy, limit = strategies[turn % len(strategies)], limits[(turn // 2) % len(limits)]
        if turn >= MOST_TURNS * len(bases):
            return
        try:
            start = adapt(dataclasses.replace(base, classes=CLASSES), SIZES_PX[turn % len(SIZES_PX)])
            budget = Budget(latency_us=limit, timing=bare, params=cost(base).params)
            yield fit(start, budget, strategy, largest_px=2 * SIZES_PX[-1]).network
        except ValueError:  # nothing of this family is so quick, or nothing of it is slower
            continue
