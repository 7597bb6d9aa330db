"""MnasNet A1 (with squeeze-and-excitation) and B1 (without). Source: Tan et al., arXiv:1807.11626, figure 7."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import RELU, Head, Network, Rounding, Squeeze, Stage, Stem

ORIGIN = "architecture search for accuracy and a phone's latency (arXiv:1807.11626, sections 3 and 4)"

# Squeezed from the block's input channels: tensorflow/tpu, mnasnet_model.py.
SQUEEZE = Squeeze(0.25, source="input", inner=RELU)

A1 = (
    Stage(16, 1, kernel=3, stride=1, expansion=1, activation=RELU, residual=False),
    Stage(24, 2, kernel=3, stride=2, expansion=6, activation=RELU),
    Stage(40, 3, kernel=5, stride=2, expansion=3, squeeze=SQUEEZE, activation=RELU),
    Stage(80, 4, kernel=3, stride=2, expansion=6, activation=RELU),
    Stage(112, 2, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE, activation=RELU),
    Stage(160, 3, kernel=5, stride=2, expansion=6, squeeze=SQUEEZE, activation=RELU),
    Stage(320, 1, kernel=3, stride=1, expansion=6, activation=RELU),
)
B1 = (
    Stage(16, 1, kernel=3, stride=1, expansion=1, activation=RELU, residual=False),
    Stage(24, 3, kernel=3, stride=2, expansion=3, activation=RELU),
    Stage(40, 3, kernel=5, stride=2, expansion=3, activation=RELU),
    Stage(80, 3, kernel=5, stride=2, expansion=6, activation=RELU),
    Stage(96, 2, kernel=3, stride=1, expansion=6, activation=RELU),
    Stage(192, 4, kernel=5, stride=2, expansion=6, activation=RELU),
    Stage(320, 1, kernel=3, stride=1, expansion=6, activation=RELU, residual=False),
)


def _network(name: str, stages: tuple[Stage, ...]) -> Network:
    return Network(
        name=name,
        stem=Stem(32, activation=RELU),
        stages=stages,
        head=Head(channels=1280, activation=RELU, dropout=0.2),
        resolution_px=(224, 224),
        rounding=Rounding(head="kept"),
        source="arXiv:1807.11626, figure 7; tensorflow/tpu, mnasnet_models.py",
    )


ROWS: Mapping[str, Callable[[], Network]] = {
    "mnasnet_a1": lambda: _network("mnasnet_a1", A1),
    "mnasnet_b1": lambda: _network("mnasnet_b1", B1),
}
