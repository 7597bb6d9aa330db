"""Landscapes: activation functions, the outputs of networks as they are initialised, units that died in training."""

from budgetnet.show.landscape.functions import FunctionFacts, functions_landscape, gain
from budgetnet.show.landscape.page import functions_row, output_row, write_functions, write_output, write_page
from budgetnet.show.landscape.plane import OutputLandscape, Roughness, output_landscape
from budgetnet.show.landscape.units import RunUse, UnitUse, dead_units, dead_units_of

__all__ = [
    "FunctionFacts",
    "OutputLandscape",
    "Roughness",
    "RunUse",
    "UnitUse",
    "dead_units",
    "dead_units_of",
    "functions_landscape",
    "functions_row",
    "gain",
    "output_landscape",
    "output_row",
    "write_functions",
    "write_output",
    "write_page",
]
