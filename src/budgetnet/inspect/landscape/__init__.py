"""Landscapes: activation functions, outputs of networks as initialised, dead units, the loss around weights."""

from budgetnet.inspect.landscape.functions import FunctionFacts, functions_landscape, gain
from budgetnet.inspect.landscape.loss import LossLandscape, RunLoss, loss_landscape
from budgetnet.inspect.landscape.loss.values import Around
from budgetnet.inspect.landscape.page import (
    write_functions,
    write_loss,
    write_output,
    write_page,
)
from budgetnet.inspect.landscape.plane import OutputLandscape, Roughness, output_landscape
from budgetnet.inspect.landscape.units import RunUse, UnitUse, dead_units, dead_units_of

__all__ = [
    "Around",
    "FunctionFacts",
    "LossLandscape",
    "OutputLandscape",
    "Roughness",
    "RunLoss",
    "RunUse",
    "UnitUse",
    "dead_units",
    "dead_units_of",
    "functions_landscape",
    "gain",
    "loss_landscape",
    "output_landscape",
    "write_functions",
    "write_loss",
    "write_output",
    "write_page",
]
