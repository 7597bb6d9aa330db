"""How long a training takes, estimated from a network's description before anything is timed.

    work of a step    = batch * (MACs + 50 * activations) + 3e6 * operations            multiply-add equivalents
    images in a time  = seconds * speed / (work of a step / batch)

MACs alone say too little: a step also moves every activation through memory, and starts every operation. The two
weights were fitted to timed steps of five families between 0.5 and 60 M MACs (`python -m bench.step_work`,
docs/lab-log.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from budgetnet.budgets.budget import MEMORY, TIME
from budgetnet.codec import PositiveFloat, PositiveInt
from budgetnet.costs.autograd_memory import FLOAT_BYTES
from budgetnet.costs.network_cost import Computing, computing
from budgetnet.costs.training_memory import Optimiser, train_bytes
from budgetnet.networks import Network

ACTIVATION_WORK = 50.0
"""Moving one activation forwards and backwards takes as long as this many multiply-adds."""
OPERATION_WORK = 3e6
"""Starting one operation, once a step, takes as long as this many multiply-adds."""
MOST_KEPT, MOST_COPIES = 10, 10
"""A training keeps fewer maps than this for each map of a convolution, and fewer copies of its parameters."""
USUAL_SPEED = {"cpu": 8e9, "cuda": 5e12, "mps": 5e11}
"""One usual core or GPU does this much work a second. It only says where to look first: then the machine is timed."""
MOST_SPEED = {"cpu": 1e11, "cuda": 5e15, "mps": 5e13}
"""No core, GPU or laptop does this much work a second: what is too long at this speed need not be timed."""
LEAST_EPOCHS, LEAST_EPOCHS_INHERITED = 4.0, 2.0
"""A training sees its images at least this many times, or it is not called one; fewer are enough where weights are
inherited."""
ENOUGH_EPOCHS, ENOUGH_EPOCHS_INHERITED = 20.0, 8.0
"""Once a training saw its images this many times, a larger network was worth more than another pass."""


LEAST_FINAL_SECONDS = 0.1
"""A final training is reckoned with this time where none is left for it."""
RACE_SHARE = 0.3
"""The race takes this share of a solve's time. The winner goes on from its own part of it."""


def least_epochs(inherited: bool) -> tuple[float, float]:
    """How often a network must see each image for a training, and how often is enough; less with inherited weights."""
    if inherited:
        return LEAST_EPOCHS_INHERITED, ENOUGH_EPOCHS_INHERITED
    return LEAST_EPOCHS, ENOUGH_EPOCHS


def least_steps(train_images: int, batch: int, inherited: bool = False) -> int:
    """Steps of `batch` images in which a network sees the training images as often as makes it a training."""
    return math.ceil(least_epochs(inherited)[0] * train_images / batch)


def image_work(network: Network, batch: int) -> float:
    """The work of one image in a training step of `batch` images, in multiply-add equivalents."""
    return _work(computing(network), batch)


def _work(counts: Computing, batch: int) -> float:
    return counts.macs + ACTIVATION_WORK * counts.activations + OPERATION_WORK * counts.operations / batch


@dataclass(frozen=True, slots=True)
class TrainingLimits:
    """How much training there is time and memory for, where a run may take `seconds` in all.

    `final_seconds` of them are the final training's, below 0 where none are left. It can do `work`, in multiply-add
    equivalents, on `images`
    training images, `batch` at once. A network is trained where it sees each image `least_epochs` times; with
    `enough_epochs` the time does not limit it. `bytes` are what one training of `least_batch` images may take, with
    this optimiser, and a moving average (`ema`).
    """

    seconds: PositiveFloat
    final_seconds: float
    work: PositiveFloat
    images: PositiveInt
    batch: PositiveInt
    least_epochs: PositiveFloat
    enough_epochs: PositiveFloat
    bytes: PositiveInt
    least_batch: PositiveInt
    optimiser: Optimiser
    ema: bool

    def epochs(self, network: Network) -> float:
        """How often the network would see each training image."""
        return self.work / (image_work(network, self.batch) * self.images)

    def obstacles(self, network: Network, well: bool = False) -> tuple[str, ...]:
        """What keeps the network from being trained: TIME, MEMORY, both or nothing; `well`: for enough epochs.

        More time and more memory never add an obstacle.
        """
        counts = computing(network)
        epochs = self.work / (_work(counts, self.batch) * self.images)
        late = epochs < (self.enough_epochs if well else self.least_epochs)
        return (TIME,) * late + (MEMORY,) * self._is_large(network, counts)

    def _is_large(self, network: Network, counts: Computing) -> bool:
        """Whether training takes more memory than there is. Counted exactly only where it could."""
        height, width = network.resolution_px
        image = network.in_channels * height * width + MOST_KEPT * counts.activations
        if FLOAT_BYTES * (self.least_batch * image + MOST_COPIES * counts.params) < self.bytes:
            return False
        return train_bytes(network, self.least_batch, self.optimiser, self.ema) > self.bytes

    def is_short_for(self, network: Network) -> bool:
        """Whether the network can be trained, but for so few epochs that a smaller one may be better."""
        return self.epochs(network) < self.enough_epochs

    def least_seconds(self, epochs: float) -> float:
        """Seconds in all that give the least epochs, where these give so many: all but the training takes as long."""
        needed = max(LEAST_FINAL_SECONDS, self.final_seconds) * self.least_epochs / epochs
        return self.seconds + (needed - self.final_seconds) / (1 - RACE_SHARE)

    def times(self, factor: float, final_seconds: float) -> Self:
        """The same with `factor` times the work: the machine is that much faster, or leaves other `final_seconds`."""
        return replace(self, work=self.work * factor, final_seconds=final_seconds)
