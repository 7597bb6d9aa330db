"""Inside a network: Grad-CAM, activation maps, squeeze-and-excitation's gates, and the page that shows them."""

from budgetnet.inspect.explain.explaining import DRAWN, explain
from budgetnet.inspect.explain.values import Explanation

__all__ = ["DRAWN", "Explanation", "explain"]
