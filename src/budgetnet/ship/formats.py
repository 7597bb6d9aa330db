"""The formats, one row each: how they are called, what they need, and where they are made and read."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from budgetnet.model.exported_names import NOTES
from budgetnet.model.hub_folder import HUB_CONFIG, HUB_WEIGHTS
from budgetnet.ship.exported import Format, NumberType
from budgetnet.ship.made import Maker, Opener


@dataclass(frozen=True, slots=True)
class FormatRow:
    """A format.

    Attributes:
        title: What people call it.
        runtime: What runs it here.
        names: Its files' names in a run's folder, by number type; the first is the one that it has unless asked.
        packages: The modules that it is made, judged and read with, and the packages that have them.
        extra: The extra of this package that brings them.
        softmax: Whether its files can give probabilities in place of logits.
        shared: Whether threads may ask one opened file at the same time.
        making: The modules that making it in a number type takes beside them; the extra brings these, too.
        inside: The files by which a folder of it is known; none where it is a single file, which is known by its suffix
            and its notes: other tools write such files, too.
        alone: Whether a file of this suffix is of this format or of no use here: then its reader says what is wrong. A
            .tflite file of others is weights.
        on_a_device: Whether a device stores and runs it. Others are for people to publish: they are held to the budget
            as the run counts it, are not timed, and are read as the weights of a run are, by torch.
    """

    title: str
    runtime: str
    names: Mapping[NumberType, str]
    packages: Mapping[str, str]
    extra: str
    inside: tuple[str, ...] = ()
    softmax: bool = False
    shared: bool = False
    making: Mapping[NumberType, Mapping[str, str]] = field(default_factory=dict)
    alone: bool = False
    on_a_device: bool = True

    def is_of(self, path: Path) -> bool:
        """Whether `export` wrote this file or folder, whole or cut short, for all that its name and content say."""
        if self.inside:
            return path.is_dir() and all((path / name).is_file() for name in self.inside)
        return path.suffix.lower() == self.suffix and path.is_file() and NOTES.encode() in path.read_bytes()

    @property
    def suffix(self) -> str:
        """How the names of its files end; a folder's in no way of their own."""
        return "" if self.inside else Path(next(iter(self.names.values()))).suffix

    def is_asked_for(self, path: Path) -> bool:
        """Whether its reader is to read this file or folder, or to say why not.

        Raises a one-line `ValueError` for a file out of such a folder.
        """
        if self.inside:
            for name in self.inside:
                above = next(iter(path.parents[len(Path(name).parts) - 1 :]), path)
                if path.is_file() and path.match(name) and self.is_of(above):
                    raise ValueError(f"{path} is a file of a {self.title} folder; give the folder, {above}")
            return any((path / name).is_file() for name in self.inside)
        return self.is_of(path) or (self.alone and path.suffix.lower() == self.suffix and path.is_file())

    def named(self, dtype: NumberType, softmax: bool = False, forced: bool = False) -> str:
        """What a file is called in a run's folder.

        >>> ROWS["onnx"].named("int8", softmax=True)
        'model-int8-softmax.onnx'
        """
        name = self.names[dtype]
        ends = ("-softmax" if softmax else "") + ("-forced" if forced else "")
        return name.removesuffix(self.suffix) + ends + self.suffix

    def missing(self, made: NumberType | None = None) -> tuple[str, ...]:
        """The packages that are not installed: those that it is read with, and those by which it is `made`."""
        rows = {**self.packages, **(self.making.get(made, {}) if made is not None else {})}
        return tuple(package for module, package in rows.items() if importlib.util.find_spec(module) is None)

    def check_installed(self, made: NumberType | None = None) -> None:
        """Raise a one-line `ValueError` where a package is missing."""
        if missing := self.missing(made):
            what = f"{self.title} files in {made}" if made in self.making else f"{self.title} files"
            raise ValueError(f"{what} need {' and '.join(missing)}; pip install 'budgetnet[{self.extra}]'")


ONNX_PACKAGES = {"onnx": "onnx", "onnxruntime": "onnxruntime"}
ONNX_MAKING = {**ONNX_PACKAGES, "onnxscript": "onnxscript"}
ROWS: Mapping[Format, FormatRow] = {
    "tflite": FormatRow(
        title="TensorFlow Lite",
        runtime="LiteRT",
        names={"int8": "model.tflite", "float32": "model-float32.tflite"},
        packages={"flatbuffers": "flatbuffers", "ai_edge_litert": "ai-edge-litert"},
        extra="tflite",
        softmax=True,
    ),
    "onnx": FormatRow(
        title="ONNX",
        runtime="ONNX Runtime",
        names={"float32": "model.onnx", "int8": "model-int8.onnx"},
        packages=ONNX_PACKAGES,
        extra="onnx",
        softmax=True,
        shared=True,
        making={"float32": ONNX_MAKING, "int8": ONNX_MAKING},
        alone=True,
    ),
    "openvino": FormatRow(
        title="OpenVINO",
        runtime="OpenVINO",
        names={"float32": "model-openvino", "int8": "model-openvino-int8"},
        packages={"openvino": "openvino"},
        extra="openvino",
        inside=("model.xml", "model.bin"),
        making={"int8": ONNX_MAKING},
        softmax=True,
    ),
    "c": FormatRow(
        title="C",
        runtime="LiteRT",
        names={"int8": "firmware"},
        packages={"flatbuffers": "flatbuffers", "ai_edge_litert": "ai-edge-litert"},
        extra="tflite",
        inside=(NOTES, "src/model.cc"),
    ),
    "hub": FormatRow(
        title="Hugging Face hub",
        runtime="torch",
        names={"float32": "hub"},
        packages={},  # timm, where it has the network: `make` says so
        extra="hub",
        inside=(HUB_CONFIG, HUB_WEIGHTS),
        on_a_device=False,
    ),
}
DEVICE_FORMATS: tuple[Format, ...] = tuple(name for name, row in ROWS.items() if row.on_a_device)
"""Files of these formats are run by a device."""


def format_of(path: Path) -> Format | None:
    """The format whose reader reads a file or folder for devices, or says what is wrong with it; None for all else,
    such as runs and weights. Raises a one-line `ValueError` for a file out of a folder of a format."""
    return next((name for name in DEVICE_FORMATS if ROWS[name].is_asked_for(path)), None)


def maker(name: Format) -> Maker:
    """What makes files of a format. It is imported only now: it needs the packages of the extra."""
    match name:
        case "tflite":
            from budgetnet.ship.tflite.make import make
        case "onnx":
            from budgetnet.ship.onnx.make import make
        case "openvino":
            from budgetnet.ship.openvino.make import make
        case "c":
            from budgetnet.ship.c.make import make
        case "hub":
            from budgetnet.ship.hub.make import make
    return make


def opener(name: Format) -> Opener:
    """What reads files of a format, those for devices without torch.

    Raises a one-line `ValueError` where a package is missing.
    """
    ROWS[name].check_installed()
    match name:
        case "tflite":
            from budgetnet.ship.tflite.read import opened
        case "onnx":
            from budgetnet.ship.onnx.read import opened
        case "openvino":
            from budgetnet.ship.openvino.read import opened
        case "c":
            from budgetnet.ship.c.read import opened
        case "hub":
            from budgetnet.ship.hub.read import opened
    return opened
