"""Where it is computed, and in which numbers, where nobody says."""

from __future__ import annotations

import pytest
import torch

from budgetnet.experiments.compute import Compute
from budgetnet.runs.run import device_of
from budgetnet.training.computing import checked_computing


def with_gpu(monkeypatch: pytest.MonkeyPatch, there: bool, bfloat16: bool = True) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return bfloat16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


def test_a_gpu_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, there=True)
    assert device_of("auto") == "cuda"
    assert device_of("cpu") == "cpu"
    assert checked_computing("auto", "auto") == ("cuda", "bfloat16")
    assert checked_computing("cpu", "auto") == ("cpu", "float32")
    assert checked_computing("auto", "float16") == ("cuda", "float16")
    with_gpu(monkeypatch, there=True, bfloat16=False)
    assert checked_computing("auto", "auto") == ("cuda", "float32"), "emulated numbers are slow"
    with_gpu(monkeypatch, there=False)
    assert checked_computing("auto", "auto") == ("cpu", "float32")


def test_what_is_not_here_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, there=False)
    with pytest.raises(ValueError, match="auto, cpu, cuda, mps"):
        device_of("tpu")
    with pytest.raises(ValueError, match="choose cpu"):
        device_of("cuda")
    with pytest.raises(ValueError, match="float16 needs a GPU"):
        checked_computing("auto", "float16")
    with pytest.raises(ValueError, match="auto, float32"):
        checked_computing("auto", "int8")


def test_an_experiment_knows_what_was_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpu(monkeypatch, there=False)
    decided = Compute("auto", "auto").checked()
    assert (decided.device, decided.precision) == ("cpu", "float32")
    with_gpu(monkeypatch, there=True)
    decided = Compute("auto", "auto").checked()
    assert (decided.device, decided.precision) == ("cuda", "bfloat16")
    assert checked_computing("cpu", "auto", here=False)[1] == "float32"
