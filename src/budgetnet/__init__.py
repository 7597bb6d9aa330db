"""A compute budget and labelled images in; the most accurate network that fits out, with the evidence."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "BudgetError": "budget",
    "Budget": "budget",
    "Coefficients": "scaling",
    "Network": "spec",
    "PAPER": "scaling",
    "adapt": "scaling",
    "build": "model.build",
    "cost": "cost",
    "evaluate": "learn.evaluate",
    "fit": "budget",
    "load_weights": "model.weights",
    "names": "zoo",
    "network": "zoo",
    "open_images": "learn.data",
    "predict": "learn.predict",
    "scale": "scaling",
    "solve": "solve",
    "train": "learn.train",
}

__all__ = sorted(_PLACES)  # pyright: ignore[reportUnsupportedDunderAll]  # the table above is the one list


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562): `import budgetnet` costs nothing."""
    if name not in _PLACES:
        raise AttributeError(f"budgetnet has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"budgetnet.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
