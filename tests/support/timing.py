"""A device whose networks take so long, made by hand."""

from __future__ import annotations

from budgetnet.costs.latency import TERMS, Coefficient, DeviceTiming

NS = (0.008, 0.05, 0.04, 0.13, 0.02, 0.08, 600.0, 0.35)
TIMING = DeviceTiming(
    device="a made device",
    runtime="other",
    dtype="float32",
    threads=1,
    coefficients=tuple(Coefficient(name, ns) for name, ns in zip(TERMS, NS, strict=True)),
    near_weights=1_000_000,
    margin=0.1,
    median_error=0.05,
    ninety_error=0.1,
    networks=30,
)
