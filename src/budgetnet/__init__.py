"""A compute budget and labelled images in; the most accurate network that fits out, with the evidence."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from budgetnet.baseline import search_baseline
    from budgetnet.budget import Budget, BudgetError, fit
    from budgetnet.chain import search_all
    from budgetnet.coefficients import search_coefficients
    from budgetnet.compare import compare
    from budgetnet.cost import cost
    from budgetnet.learn.augmenting import Augment
    from budgetnet.learn.data import Folders, open_images
    from budgetnet.learn.evaluate import evaluate
    from budgetnet.learn.predict import predict
    from budgetnet.learn.train import train
    from budgetnet.measure import measure
    from budgetnet.model.build import build
    from budgetnet.model.inherit import inherit
    from budgetnet.model.weights import load_weights
    from budgetnet.scaling import PAPER, Coefficients, adapt, scale
    from budgetnet.show.explain import explain
    from budgetnet.show.landscape import dead_units, loss_landscape, output_landscape
    from budgetnet.solve import solve
    from budgetnet.spec import Network
    from budgetnet.twins import train_twins
    from budgetnet.zoo import names, network

__version__ = "0.1.0"

_PLACES = {
    "Augment": "learn.augmenting",
    "Budget": "budget",
    "BudgetError": "budget",
    "Coefficients": "scaling",
    "Folders": "learn.data",
    "Network": "spec",
    "PAPER": "scaling",
    "adapt": "scaling",
    "build": "model.build",
    "compare": "compare",
    "cost": "cost",
    "dead_units": "show.landscape",
    "evaluate": "learn.evaluate",
    "explain": "show.explain",
    "fit": "budget",
    "inherit": "model.inherit",
    "load_weights": "model.weights",
    "loss_landscape": "show.landscape",
    "measure": "measure",
    "names": "zoo",
    "network": "zoo",
    "open_images": "learn.data",
    "output_landscape": "show.landscape",
    "predict": "learn.predict",
    "scale": "scaling",
    "search_all": "chain",
    "search_baseline": "baseline",
    "search_coefficients": "coefficients",
    "solve": "solve",
    "train": "learn.train",
    "train_twins": "twins",
}

__all__ = [
    "PAPER",
    "Augment",
    "Budget",
    "BudgetError",
    "Coefficients",
    "Folders",
    "Network",
    "adapt",
    "build",
    "compare",
    "cost",
    "dead_units",
    "evaluate",
    "explain",
    "fit",
    "inherit",
    "load_weights",
    "loss_landscape",
    "measure",
    "names",
    "network",
    "open_images",
    "output_landscape",
    "predict",
    "scale",
    "search_all",
    "search_baseline",
    "search_coefficients",
    "solve",
    "train",
    "train_twins",
]


class _Package(ModuleType):
    """The public function `cost` shares its name with the module it lives in; the function wins."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562): `import budgetnet` costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"budgetnet has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"budgetnet.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
