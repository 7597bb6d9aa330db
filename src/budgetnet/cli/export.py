"""The command export: the file that a device runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import BY_DATA, OUTPUT, AsJson, ByFolder
from budgetnet.cli.progress import progress
from budgetnet.cli.runs import RunFolder
from budgetnet.draw.wording import LIMIT_NAMES

if TYPE_CHECKING:
    from budgetnet.ship.exported import Exported, ExportedFile

To = Annotated[
    Literal["tflite", "onnx", "openvino", "c", "hub", "all"],
    Parameter(
        group=OUTPUT,
        metavar="FORMAT",
        help="The format of the file; all: each but hub whose packages are installed.",
    ),
]
NumberTypeOption = Annotated[
    Literal["int8", "float32"] | None,
    Parameter(
        group=OUTPUT,
        help="The number type of the file; else int8 for tflite and c, float32 for others, and with --to all each.",
    ),
]
OutFile = Annotated[
    Path | None,
    Parameter(
        group=OUTPUT,
        metavar="FILE",
        help="The file, ending in .tflite or .onnx, or the folder for openvino, c, hub and all; else model.tflite and "
        "the like in the run's folder. Earlier exports alone are replaced.",
    ),
]


def export(
    run: RunFolder,
    data: Annotated[str | None, Parameter(help="Labelled images; those that it was trained from unless given.")] = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    to: To = "tflite",
    dtype: NumberTypeOption = None,
    out: OutFile = None,
    force: Annotated[
        bool,
        Parameter(
            group=OUTPUT,
            help="Write it although it breaks a limit or loses more, as model-forced.tflite and the like; and replace "
            "the file that solve left.",
        ),
    ] = False,
    softmax: Annotated[
        bool, Parameter(group=OUTPUT, help="Probabilities out of the file, in place of logits; not for c and hub.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write the file that a device runs, or a folder to publish, and hold it to the budget and accuracy of its run.

    tflite: int8 for LiteRT and TensorFlow Lite Micro, float32 for LiteRT; onnx: for ONNX Runtime; openvino: a folder;
    c: a folder of C++ with the int8 file as an array, for Arduino, PlatformIO and CMake. Plain pixels in, logits out.
    hub: a folder for the Hugging Face hub with a model card, which timm loads where it has the network.
    Ranges of int8 are read from training images, validation images choose among them and among the ways to int8; the
    file answers the test images once.

    Example: budgetnet export runs/photos-1a2b3c --to tflite
    """
    from budgetnet import export as export_now

    with progress() as shown:
        made = export_now(run, to, folders.others(data), out, dtype, force, shown, softmax)
    if as_json:
        show.print_json(made)
    elif to == "all":
        _print_table(made)
    else:
        _print(made.files[0])
    return 0 if made.files else 1


def _print(file: ExportedFile) -> None:
    from budgetnet.ship.describe import facts_of_file

    _print_faults(file)
    show.facts({name: show.typed(text) for name, text in facts_of_file(file).items()})
    if file.keeps:
        show.say()
        rows = [(LIMIT_NAMES[row.name], f"{row.used:,}", f"{row.limit:,}", f"{row.left:,}") for row in file.keeps]
        show.table(("limit", "the file uses", "of", "left"), rows)


def _print_table(made: Exported) -> None:
    rows: list[tuple[str, ...]] = []
    for file in made.files:
        _print_faults(file)
        parity = "-" if file.parity is None else f"{file.parity:.1e}"
        arena = "-" if file.arena_bytes is None else f"{file.arena_bytes:,}"
        kept = f"{sum(row.left >= 0 for row in file.keeps)} of {len(file.keeps)}" if file.keeps else "none set"
        accuracy = f"{show.percent(file.top1)} ({100 * file.change.value:+.1f})"
        ms = "-" if file.latency_ms is None else f"{file.latency_ms:.2f}"
        name = Path(file.file).name + (" (not compiled here)" if file.format == "c" else "")
        rows.append((file.format, file.dtype, f"{file.bytes:,}", parity, accuracy, ms, arena, kept, name))
    if rows:
        names = ("format", "numbers", "bytes", "parity", "test accuracy", "ms", "arena", "limits kept", "file")
        show.table(names, rows)
        folder, images = Path(made.files[0].file).parent, made.files[0].images
        show.say(f"In {folder}. Accuracy on {images:,} test images, and points more than the run's model.", "dim")
        show.say("ms: one image on one thread of this machine, which is no device.", "dim")
    for row in made.refused:
        show.notice(f"budgetnet: no {row.format} file in {row.dtype}: {row.reason}")


def _print_faults(file: ExportedFile) -> None:
    from budgetnet.ship.good_enough import faults_of

    for fault in faults_of(file):
        show.notice(f"budgetnet: not good enough: {fault}")
