"""The loss around trained weights: curves, surfaces, how sharp it is."""

from budgetnet.inspect.landscape.loss.command import loss_landscape
from budgetnet.inspect.landscape.loss.values import Eigenvalue, LossLandscape, RunLoss

__all__ = ["Eigenvalue", "LossLandscape", "RunLoss", "loss_landscape"]
