"""What a run learned: its model, read from its folder or from weights alone. torch is loaded when one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budgetnet.data import Preprocessing, needed_side_px
from budgetnet.model.class_names import read_class_names
from budgetnet.model.probabilities import class_probabilities
from budgetnet.model.trust import Trust
from budgetnet.networks import Network, choose

if TYPE_CHECKING:
    from torch import Tensor

    from budgetnet.model.build import Model


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A trained model, in evaluation mode, and all that answering with it needs.

    Attributes:
        model: The model.
        network: Its description.
        classes: Names of the classes, in the order of the logits.
        preprocessing: How pixels become inputs.
        side_px: Images are decoded with their short side scaled down to this, before the preprocessing.
        notes: What else the file says.
        temperature: What the logits are divided by before they become probabilities.
        trust: When not to believe its answers; None where that is not known.
    """

    model: Model
    network: Network
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    side_px: int
    notes: Mapping[str, str]
    temperature: float = 1.0
    trust: Trust | None = None

    def answer(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities. Classes are ranked by the logits: a temperature may round two to one number.

        Args:
            inputs: Preprocessed images, (n, channels, height, width).

        Returns:
            Logits and probabilities, each float32 (n, classes).
        """
        logits = self.model(inputs).float()
        return logits, class_probabilities(logits, self.temperature)


def load_run(
    path: str | Path, network: Network | None = None, class_names: str | Path | Sequence[str] | None = None
) -> Loaded:
    """The trained model of a run's folder, or of weights alone, ours or another library's (`load_model`).

    `network` and `class_names` (`read_class_names`) are given for weights that do not say them. Raises a one-line
    `ValueError` for an unfinished run, for weights that do not fit or have no classifier, and for such as take images
    of other than 1 or 3 channels.
    """
    from budgetnet.model.weights import SIDE_NOTE, load_model

    names = None if class_names is None else read_class_names(class_names)
    weights = load_model(path, network, names)
    if weights.headless:
        raise ValueError(
            f"{path} has no classifier and answers nothing; train from it: --weights or --pretrained {path}"
        )
    if weights.network.in_channels not in (1, 3):
        channels = weights.network.in_channels
        raise ValueError(
            f"{path} takes images of {channels} channels, and images are read in 1 or 3; it can be trained from, "
            f"--weights or --pretrained {path}"
        )
    preprocessing = _preprocessing(weights.preprocessing, path)
    if len(preprocessing.mean) != weights.network.in_channels:
        raise ValueError(f"the metadata of {path} is damaged: its preprocessing has {len(preprocessing.mean)} channels")
    note = weights.notes.get(SIDE_NOTE, "")
    side_px = int(note) if note.isdigit() else needed_side_px(weights.network.resolution_px, preprocessing)
    return Loaded(
        weights.model,
        weights.network,
        weights.classes,
        preprocessing,
        side_px,
        weights.notes,
        weights.temperature,
        weights.trust,
    )


def _preprocessing(row: Mapping[str, Any], path: str | Path) -> Preprocessing:
    if unknown := sorted(set(row) - {field.name for field in fields(Preprocessing)}):
        raise ValueError(f"the preprocessing in {path} has unknown keys: {', '.join(unknown)}")
    try:
        return Preprocessing(**row)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the preprocessing in {path} is damaged: {error}") from error


DEVICES = ("auto", "cpu", "cuda", "mps")


def device_of(device: str) -> str:
    """A device of this machine. "auto" is a CUDA GPU where torch finds one, else the processor; "mps" only by its name.

    Raises a one-line `ValueError` for a device that is unknown or not in this machine.
    """
    choose("device", device, DEVICES)
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[device]:
        raise ValueError(f"device is {device!r}, but torch finds none on this machine; choose cpu")
    return device
