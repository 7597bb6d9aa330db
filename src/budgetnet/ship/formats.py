"""The formats, one row each: how they are called, what they need, and where they are made and read."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from budgetnet.ship.exported import Format, NumberType
from budgetnet.ship.made import Maker, Opener


@dataclass(frozen=True, slots=True)
class FormatRow:
    """A format.

    Attributes:
        title: What people call it.
        names: Its files' names in a run's folder, by number type; the first is the one that it has unless asked.
        packages: The modules that it is made, judged and read with, and the packages that have them.
        extra: The extra of this package that brings them.
    """

    title: str
    names: Mapping[NumberType, str]
    packages: Mapping[str, str]
    extra: str

    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(package for module, package in self.packages.items() if importlib.util.find_spec(module) is None)

    def check_installed(self) -> None:
        """Raise a one-line `ValueError` where a package is missing."""
        if missing := self.missing():
            raise ValueError(
                f"a {self.title} file needs {' and '.join(missing)}; pip install 'budgetnet[{self.extra}]'"
            )


ROWS: Mapping[Format, FormatRow] = {
    "tflite": FormatRow(
        title="TensorFlow Lite",
        names={"int8": "model.tflite", "float32": "model-float32.tflite"},
        packages={"flatbuffers": "flatbuffers", "ai_edge_litert": "ai-edge-litert"},
        extra="tflite",
    ),
}


def maker(name: Format) -> Maker:
    """What makes files of a format. It is imported only now: it needs the packages of the extra."""
    match name:
        case "tflite":
            from budgetnet.ship.tflite.make import make
    return make


def opener(name: Format) -> Opener:
    """What reads files of a format, without torch."""
    match name:
        case "tflite":
            from budgetnet.ship.tflite.read import opened
    return opened
