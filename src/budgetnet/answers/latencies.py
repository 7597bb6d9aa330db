"""How long each of many networks takes here in each runtime: a file that grows network by network."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from budgetnet.arguments import listener, several
from budgetnet.arguments import path as path_of
from budgetnet.codec import PositiveFloat, PositiveInt, from_record, to_plain
from budgetnet.costs.latency import TimedBy, TimedDType
from budgetnet.costs.network_cost import cost
from budgetnet.experiments.bases import given_bases
from budgetnet.inspect.turns import Measurement, Timed, checked, image_measurements
from budgetnet.networks import Network, Px, choose, zoo
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.reading import read_json_file
from budgetnet.runs.files import write_json
from budgetnet.ship.untrained import RUNTIMES, check_runtime, installed_runtimes, machine, timed_network, versions_of

FORMAT = "budgetnet.latencies.v1"
FILE = "latencies.json"
REFERENCE = "mobilenet_v2"
"""This network is timed beside every other: its times say how the machine's speed changed meanwhile."""

Key = tuple[str, Px, int, int]
"""A network is known by its name, its pixels, its parameters and its multiply-adds."""
LARGE_BYTES = 1 << 30
"""A network of more bytes of weights is in one runtime at a time: EfficientNet-L2 in four of them took 21 GB."""


@dataclass(frozen=True, slots=True)
class NetworkLatency:
    """A network in a runtime.

    Attributes:
        name: Its name.
        resolution_px: The pixels of its image.
        params: Its parameters.
        macs: Its multiply-adds.
        runtime: What ran it.
        dtype: The numbers that it computed with.
        measurement: How long it took; None where it did not run there.
        failure: Why it did not run there; None where it did.
        reference_ms: What MobileNetV2 at 224 px took in the same turns, in the first of the runtimes.
    """

    name: str
    resolution_px: Px
    params: PositiveInt
    macs: PositiveInt
    runtime: TimedBy
    dtype: TimedDType
    measurement: Measurement | None
    failure: str | None
    reference_ms: PositiveFloat | None

    @property
    def key(self) -> Key:
        """Which network it is."""
        return self.name, self.resolution_px, self.params, self.macs

    @property
    def latency_ms(self) -> float | None:
        """Milliseconds of one image; None where there is no time."""
        return None if self.measurement is None else self.measurement.latency_ms


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured on one machine.

    Attributes:
        device: The machine, in words.
        versions: The versions of the runtimes, by package.
        measured: A row for each network and runtime, in the order of their measurement.
    """

    device: str
    versions: Mapping[str, str]
    measured: tuple[NetworkLatency, ...] = ()

    def record(self) -> dict[str, Any]:
        """The file's object, in JSON's types."""
        return {"format": FORMAT, **to_plain(self)}

    def of(self, network: Network, dtype: TimedDType = "float32") -> tuple[NetworkLatency, ...]:
        """The rows of a network that have a time.

        Args:
            network: The network, of the same size and classes.
            dtype: The numbers that it computed with.

        Returns:
            The fastest first.
        """
        key = _key(network)
        rows = [row for row in self.measured if row.dtype == dtype and row.key == key and row.latency_ms is not None]
        return tuple(sorted(rows, key=lambda row: row.latency_ms or 0.0))

    @property
    def drift(self) -> tuple[float, float] | None:
        """The least and the most milliseconds of the reference while the rows were measured; None where it has none."""
        times = [row.reference_ms for row in self.measured if row.reference_ms is not None]
        return (min(times), max(times)) if times else None


def latencies(
    networks: Sequence[str | Network],
    out: str | Path = FILE,
    runtimes: Sequence[TimedBy] | None = None,
    dtype: TimedDType = "float32",
    seconds: float = 1.0,
    progress: Progress | None = None,
) -> Latencies:
    """Time each network in each runtime on this machine, and keep what was measured in a file.

    Each is timed as a file is: one image, one thread, from pixels to logits, with drawn weights. The runtimes take
    turns with each other and with a network that is always the same, so that a change of the machine's speed is seen.
    The file is written after each network; the same call measures only what it lacks.

    Args:
        networks: Networks, or names of the zoo.
        out: The file, latencies.json. One that is there is gone on with.
        runtimes: Some of "onnxruntime", "openvino", "tflite" (LiteRT) and "torch"; all that are installed unless given.
        dtype: "float32", or "int8" but in torch.
        seconds: How long each is timed: a number of seconds from 0.5 on, or text such as "2s".
        progress: Called with what is done; None for nothing.

    Returns:
        All rows of the file.

    Raises:
        ValueError: A name or runtime is unknown, a runtime is not installed, or the file is damaged, of another machine
            or of other versions.
        TypeError: A value has another type.
        OSError: The file cannot be written.

    Example:
        >>> import budgetnet
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> found = budgetnet.latencies([net], "latencies.json", ["torch"], seconds=0.5)
        >>> [row.runtime for row in found.of(net)]
        ['torch']
    """
    target = Path(path_of("out", out))
    told: Progress = listener("progress", progress) or silent
    choose("dtype", dtype, ("float32", "int8"))
    _, _, seconds = checked(batch=1, threads=1, seconds=seconds)
    asked = [zoo.network(one) if isinstance(one, str) else one for one in given_bases("networks", networks)]
    inside = _inside(runtimes, dtype)
    found = _begun(target, inside)
    write_json(target, found.record())  # what cannot be written is told before anything is measured
    with contextlib.ExitStack() as stack:
        reference: Timed | None = None
        for index, network in enumerate(asked):
            told(Update("latencies", index, len(asked), network.name))
            lacking = _lacking(found, network, inside, dtype)
            if not lacking:
                continue
            if reference is None:
                reference = timed_network(zoo.network(REFERENCE), inside[0], dtype, stack)
            for together in _in_memory(network, lacking):
                rows = _measured(network, together, dtype, seconds, reference)
                found = Latencies(found.device, found.versions, (*found.measured, *rows))
                write_json(target, found.record())
    told(Update("latencies", len(asked), len(asked), ""))
    return found


def _inside(given: Sequence[TimedBy] | None, dtype: TimedDType) -> tuple[TimedBy, ...]:
    if given is None:
        return installed_runtimes(dtype)

    def runtime(what: str, value: object) -> TimedBy:
        choose(what, value, RUNTIMES)
        known: TimedBy = cast("TimedBy", value)
        check_runtime(known, dtype)
        return known

    return several("runtimes", given, runtime, (str,), f"some of {', '.join(RUNTIMES)}")


def _begun(file: Path, runtimes: Sequence[TimedBy]) -> Latencies:
    """What the file has, or nothing; refused where another machine or other versions were measured."""
    here, versions = machine(), {name: version for each in runtimes for name, version in versions_of(each).items()}
    if not file.exists():
        return Latencies(here, versions)
    found = from_record(Latencies, read_json_file(file), FORMAT, str(file))
    if found.device != here:
        raise ValueError(f"{file} was measured on {found.device}, and this is {here}; give another file")
    for name, version in versions.items():
        if found.versions.get(name, version) != version:
            was = f"{name} {found.versions[name]}"
            raise ValueError(f"{file} was measured with {was}, and here is {version}; give another file")
    return Latencies(here, {**found.versions, **versions}, found.measured)


def _lacking(found: Latencies, network: Network, runtimes: Sequence[TimedBy], dtype: TimedDType) -> list[TimedBy]:
    """The runtimes in which a network is still to be measured."""
    key = _key(network)
    known = {row.runtime for row in found.measured if row.dtype == dtype and row.key == key}
    return [each for each in runtimes if each not in known]


def _key(network: Network) -> Key:
    """By which the rows of a network are known."""
    price = cost(network)
    return network.name, network.resolution_px, price.params, price.macs


def _in_memory(network: Network, runtimes: Sequence[TimedBy]) -> list[Sequence[TimedBy]]:
    """The runtimes that take turns with each other; those of a very large network only with the reference."""
    return [[each] for each in runtimes] if cost(network).weight_bytes > LARGE_BYTES else [runtimes]


def _measured(
    network: Network, runtimes: Sequence[TimedBy], dtype: TimedDType, seconds: float, reference: Timed
) -> list[NetworkLatency]:
    """A row for each runtime; one that cannot run the network says why."""
    ready: dict[TimedBy, Timed] = {}
    failures: dict[TimedBy, str] = {}
    with contextlib.ExitStack() as stack:
        for runtime in runtimes:
            try:
                ready[runtime] = timed_network(network, runtime, dtype, stack)
                ready[runtime].infer()
            except Exception as error:  # runtimes and their exporters have no kind of error in common
                ready.pop(runtime, None)
                failures[runtime] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        timed = image_measurements([*ready.values(), reference], seconds)
    gc.collect()  # a large network's weights are there once for each runtime
    times = dict(zip(ready, timed, strict=False))
    price = cost(network)
    return [
        NetworkLatency(
            name=network.name,
            resolution_px=network.resolution_px,
            params=price.params,
            macs=price.macs,
            runtime=runtime,
            dtype=dtype,
            measurement=times.get(runtime),
            failure=failures.get(runtime),
            reference_ms=timed[-1].latency_ms,
        )
        for runtime in runtimes
    ]
