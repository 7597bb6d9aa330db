"""What a training can compute on and in."""

from __future__ import annotations

from budgetnet.networks import choose
from budgetnet.runs.run import device_of

AUTO = "auto"
PRECISIONS = ("float32", "bfloat16", "float16")


def checked_computing(device: str, precision: str, here: bool = True) -> tuple[str, str]:
    """The device and the numbers of a training, with nothing left to "auto".

    `here` is whether it computes on this machine: what others have is not known, so that they compute in float32 unless
    asked otherwise. Raises a one-line `ValueError` for what cannot train here: a device, numbers it lacks.
    """
    device = device_of(device)
    choose("precision", precision, (AUTO, *PRECISIONS))
    if precision == AUTO:
        precision = _quickest(device) if here else "float32"
    if precision == "float16" and device == "cpu":
        raise ValueError("precision float16 needs a GPU; on cpu choose float32 or bfloat16")
    return device, precision


def _quickest(device: str) -> str:
    """What is quickest and safe on a device: bfloat16 has the range of float32, so that no loss needs to be scaled.

    On processors it was measured to be slower than float32 (docs/lab-log.md).
    """
    if device != "cuda":
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
