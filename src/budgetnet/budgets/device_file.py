"""A device that was timed, as a file that `fit`, `solve` and `cost` take: device.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import path as path_of
from budgetnet.codec import PositiveFloat, PositiveInt, from_record, to_plain
from budgetnet.costs.latency import DeviceTiming
from budgetnet.networks import Px
from budgetnet.reading import read_json_file

FORMAT = "budgetnet.device.v1"
FILE = "device.json"


@dataclass(frozen=True, slots=True)
class TimedNetwork:
    """A network that was measured on the device.

    Attributes:
        name: Its name.
        resolution_px: The pixels of its image.
        macs: Its multiply-adds.
        measured_ms: Milliseconds of an inference of one image.
        left_out_ms: What is predicted by a timing that was fitted to all others.
    """

    name: str
    resolution_px: Px
    macs: PositiveInt
    measured_ms: PositiveFloat
    left_out_ms: PositiveFloat


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """What a device file holds.

    Attributes:
        timing: How long networks take.
        versions: The versions of the runtime and of what it stands on, by name.
        measured: The networks that it was fitted to.
    """

    timing: DeviceTiming
    versions: Mapping[str, str]
    measured: tuple[TimedNetwork, ...]

    def record(self) -> dict[str, Any]:
        """The file's object, in JSON's types."""
        return {"format": FORMAT, **to_plain(self)}


def read_device(file: str | Path) -> DeviceTiming:
    """How long networks take on a device, from a file that `budgetnet profile` wrote.

    Args:
        file: The path of a device.json.

    Returns:
        The timing, for `Budget(latency_us=..., timing=...)`.

    Raises:
        ValueError: The file is absent, none of ours or damaged.
        TypeError: It is no path.

    Example:
        >>> import budgetnet
        >>> try:
        ...     budgetnet.read_device("no-such-device.json")
        ... except ValueError as error:
        ...     print("no-such-device.json" in str(error))
        True
    """
    where = path_of("file", file)
    return from_record(DeviceFile, read_json_file(Path(where)), FORMAT, where).timing
