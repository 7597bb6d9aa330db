"""A compute budget and labelled images in; the most accurate network that fits out, with the evidence."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from budgetnet.answers.evaluate import evaluate
    from budgetnet.answers.latencies import latencies
    from budgetnet.answers.measure import measure
    from budgetnet.answers.predict import predict
    from budgetnet.answers.profile import profile, profile_from
    from budgetnet.budgets.budget import Budget, BudgetError
    from budgetnet.budgets.device_file import read_device
    from budgetnet.budgets.fit import fit
    from budgetnet.budgets.joint import frontier
    from budgetnet.costs.network_cost import cost
    from budgetnet.data import Folders, open_images
    from budgetnet.experiments.activations import activation_study
    from budgetnet.experiments.baseline import search_baseline
    from budgetnet.experiments.coefficients import search_coefficients
    from budgetnet.experiments.compare import compare
    from budgetnet.experiments.family import search_family
    from budgetnet.experiments.solve import preview, solve
    from budgetnet.experiments.train import train
    from budgetnet.inspect.explain import explain
    from budgetnet.inspect.landscape import dead_units, loss_landscape, output_landscape
    from budgetnet.model.build import build
    from budgetnet.model.inherit import inherit
    from budgetnet.model.weights import load_weights
    from budgetnet.networks import Network
    from budgetnet.networks.scaling import PAPER, Coefficients, adapt, scale
    from budgetnet.networks.zoo import names, network
    from budgetnet.ship.export import export
    from budgetnet.training.augmenting import Augment

__version__ = "0.1.0"

_PLACES = {
    "Augment": "training.augmenting",
    "Budget": "budgets.budget",
    "BudgetError": "budgets.budget",
    "Coefficients": "networks.scaling",
    "Folders": "data",
    "Network": "networks",
    "PAPER": "networks.scaling",
    "activation_study": "experiments.activations",
    "adapt": "networks.scaling",
    "build": "model.build",
    "compare": "experiments.compare",
    "cost": "costs.network_cost",
    "dead_units": "inspect.landscape",
    "evaluate": "answers.evaluate",
    "explain": "inspect.explain",
    "export": "ship.export",
    "fit": "budgets.fit",
    "frontier": "budgets.joint",
    "inherit": "model.inherit",
    "latencies": "answers.latencies",
    "load_weights": "model.weights",
    "loss_landscape": "inspect.landscape",
    "measure": "answers.measure",
    "names": "networks.zoo",
    "network": "networks.zoo",
    "open_images": "data",
    "output_landscape": "inspect.landscape",
    "preview": "experiments.solve",
    "predict": "answers.predict",
    "profile": "answers.profile",
    "profile_from": "answers.profile",
    "read_device": "budgets.device_file",
    "scale": "networks.scaling",
    "search_family": "experiments.family",
    "search_baseline": "experiments.baseline",
    "search_coefficients": "experiments.coefficients",
    "solve": "experiments.solve",
    "train": "experiments.train",
}

_RENAMED = {"search_all": "search_family", "train_twins": "activation_study"}

__all__ = [
    "PAPER",
    "Augment",
    "Budget",
    "BudgetError",
    "Coefficients",
    "Folders",
    "Network",
    "activation_study",
    "adapt",
    "build",
    "compare",
    "cost",
    "dead_units",
    "evaluate",
    "explain",
    "export",
    "fit",
    "frontier",
    "inherit",
    "latencies",
    "load_weights",
    "loss_landscape",
    "measure",
    "names",
    "network",
    "open_images",
    "output_landscape",
    "predict",
    "preview",
    "profile",
    "profile_from",
    "read_device",
    "scale",
    "search_baseline",
    "search_coefficients",
    "search_family",
    "solve",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562): `import budgetnet` costs nothing."""
    if name in _RENAMED:
        raise AttributeError(f"budgetnet.{name} is now called budgetnet.{_RENAMED[name]}")
    if name not in _PLACES:
        raise AttributeError(f"budgetnet has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"budgetnet.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
