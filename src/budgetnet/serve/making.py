"""What a process of its own does before a run is served: it loads torch, writes the file, and ends."""

from __future__ import annotations


def write_file(paths: tuple[str, str]) -> str:
    """Write the .onnx file of the run or weights at the first path to the second one; returns that."""
    from budgetnet.ship.onnx.of_weights import write_float32

    return write_float32(paths)
