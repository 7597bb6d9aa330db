"""The loss around trained weights: curves, surfaces, how sharp it is."""

from budgetnet.show.landscape.loss.command import loss_landscape
from budgetnet.show.landscape.loss.values import Eigenvalue, LossLandscape, RunLoss

__all__ = ["Eigenvalue", "LossLandscape", "RunLoss", "loss_landscape"]
