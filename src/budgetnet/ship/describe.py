"""What people read of an exported file: the same words in the terminal and on a page."""

from __future__ import annotations

from pathlib import Path

from budgetnet.draw.wording import percent, points, signed
from budgetnet.ship.exported import ExportedFile

UPLOAD = "hf upload OWNER/NAME FOLDER"
"""A folder for the hub is published by this command."""


def accuracy_words(file: ExportedFile) -> str:
    """The share of the test images that it gets right, and that of the model that it was made of."""
    return (
        f"{percent(file.top1)} in {file.dtype} (95 % interval {points(file.top1_low)} to {points(file.top1_high)}, "
        f"{file.images:,} images); {percent(file.float_top1)} of the run's model"
    )


def facts_of_file(file: ExportedFile) -> dict[str, str]:
    """What it takes and how well it answers, by names."""
    change, low, high = (signed(100 * value, 1) for value in (file.change.value, file.change.low, file.change.high))
    stored = "weights" if file.format == "hub" else "flash"
    rows = {
        "file": file.file,
        stored: f"{file.flash_bytes:,} bytes (with all else {file.bytes:,})",
    }
    if file.format == "hub":
        rows["card"] = f"{Path(file.file).name}/README.md: fill in the licence if it says so, then {UPLOAD}"
    if file.format == "c":
        rows["compiled"] = f"not compiled here; {Path(file.file).name}/README.md says how"
    if file.arena_bytes is not None:
        runs = {
            True: "it runs in so many",
            False: "it does not run in so many",
            None: "not tried: no tflite-micro here",
        }
        rows["arena"] = f"{file.arena_bytes:,} bytes of RAM in TensorFlow Lite Micro; {runs[file.allocated]}"
    few = "" if file.shown else f"; {file.images:,} images show no small loss"
    rows["test accuracy"] = accuracy_words(file)
    rows["change"] = f"{change} points ({low} to {high}){few}"
    if file.parity is not None:
        rows["parity"] = f"logits differ by at most {file.parity:.1e} of their standard deviation"
    if file.latency_ms is not None:
        rows["time"] = f"{file.latency_ms:.2f} ms an image on one thread of this machine"
    if file.quantile is not None:
        ways = "; ".join(f"{row.way} {row.divergence:.4f}, {percent(row.top1)}" for row in file.tried)
        rows["eight bits"] = f"{ways} (nats from the model's probabilities and accuracy, validation images)"
        ends = "the least and the largest value" if file.quantile == 1.0 else f"the {100 * file.quantile:g} % quantile"
        rows["ranges"] = f"{ends} that maps have for {file.calibration_images:,} training images"
    return rows
