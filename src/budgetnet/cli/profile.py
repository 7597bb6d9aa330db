"""The command profile: how long networks take on a device, for a limit on latency."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import COMPUTING, NETWORK, OUTPUT, WHOLE, AsJson, check_file, read_list
from budgetnet.cli.progress import progress

Runtime = Literal["onnxruntime", "openvino", "tflite", "torch"]

DOUBTFUL = 0.4
"""Where one in ten networks left out is further off than this share, a line says so."""


def profile(
    *,
    runtime: Annotated[
        Runtime | None, Parameter(group=COMPUTING, help="What runs the networks; onnxruntime unless given.")
    ] = None,
    dtype: Annotated[
        Literal["float32", "int8"], Parameter(group=COMPUTING, help="The numbers that they compute with.")
    ] = "float32",
    base: Annotated[
        tuple[str, ...],
        Parameter(
            group=NETWORK,
            converter=read_list,
            metavar="NAME...",
            consume_multiple=True,
            help="Families to draw networks from; the more like yours, the smaller the error.",
        ),
    ] = (),
    times: Annotated[
        Path | None,
        Parameter(
            name="--from",
            group=COMPUTING,
            metavar="FILE",
            help="Times of another device, a line each: NETWORK,12.4ms; nothing is measured here.",
        ),
    ] = None,
    device_name: Annotated[
        str | None, Parameter(group=COMPUTING, metavar="TEXT", help="What --from was measured on, in words.")
    ] = None,
    threads: Annotated[
        int | None, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Computing threads of --from.")
    ] = None,
    out: Annotated[Path, Parameter(group=OUTPUT, metavar="FILE", help="The device file.")] = Path("device.json"),
    as_json: AsJson = False,
) -> int:
    """Time some 30 networks on this machine: how long will any network take?

    Writes a device file, with its error on networks left out. `fit` and `solve` keep a time by it: --latency 8ms
    --device-file device.json. Takes about two minutes.

    Example: budgetnet profile --runtime onnxruntime --out device.json
    """
    check_file("--out", out, "a device file")
    if times is None and (device_name is not None or threads is not None):
        raise ValueError("--device-name and --threads are of times from elsewhere; give --from, or leave them away")
    if times is not None and runtime is not None:
        raise ValueError("--runtime says what runs networks here; leave it away beside --from")
    if times is not None and base:
        raise ValueError("--base says which networks are timed here; leave it away beside --from")
    if times is not None:
        from budgetnet.answers.profile import profile_from

        found = profile_from(times, out, device_name, dtype, 1 if threads is None else threads)
    else:
        from budgetnet.answers.profile import profile as profiled

        with progress() as shown:
            found = profiled(runtime or "onnxruntime", dtype, out, base or None, shown)
    if found.ninety_error > DOUBTFUL:
        show.notice(
            f"budgetnet: {out} tells little: one in ten networks left out was predicted more than "
            f"{100 * found.ninety_error:.0f} % wrong; measure more networks, more like those that you will ask for"
        )
    if as_json:
        show.print_json({"file": out, "timing": found})
        return 0
    rows = [(row.term.replace("_", " "), f"{row.ns:.4g}") for row in found.coefficients]
    show.table(("term", "ns each"), rows)
    show.say()
    where = f"{found.device}, {found.runtime}, {found.dtype}"
    show.say(f"{out}: {where}; {found.networks} networks.")
    show.say(
        f"Error on networks left out: {100 * found.median_error:.1f} % median, {100 * found.ninety_error:.1f} % for "
        f"nine in ten, to either side. A limit counts {100 * found.margin:.0f} % on top, which nine in ten keep."
    )
    return 0
