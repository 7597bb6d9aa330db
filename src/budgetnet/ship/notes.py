"""What every exported file says of itself: classes, preprocessing, budget, and whose weights it has."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.budgets.budget import Budget
from budgetnet.codec import ONLY_IF_SET, NotEmpty, PositiveFloat, PositiveInt, from_plain, require_unique, to_plain
from budgetnet.data.images import Preprocessing
from budgetnet.model.exported_names import LABELS, NOTES, NOTES_FORMAT
from budgetnet.model.probabilities import logits_of_probabilities
from budgetnet.model.trust import Trust
from budgetnet.networks import Network
from budgetnet.ship.exported import FileCertificate


@dataclass(frozen=True, slots=True)
class Notes:
    """All that answering with a file takes, beside the file's own ops.

    Attributes:
        network: The network.
        classes: Names of the classes, in the order of the logits.
        preprocessing: How pixels became inputs in training. The file takes plain pixels of the network's size: it is
            told for the crop, the filter and the range of deep images.
        side_px: Images are decoded with their short side scaled down to this, before the preprocessing.
        temperature: What the logits are divided by before they become probabilities.
        arena_bytes: The RAM that TensorFlow Lite Micro takes for it; None for other runtimes.
        budget: The limits that the run was to keep; None where it had none.
        weights_sha256: A digest of the weights that the file was made of.
        softmax: Whether it gives probabilities, softmax(logits / temperature), in place of logits.
        trust: When not to believe its answers: of a file in eight bits by its own answers to the images that stayed out
            of the training, where these are known, else by those of the run's model. None where that is not known.
        run_sha256: A digest of the run that it is of: of its plan and its weights. None of weights without a run.
        certificate: What it uses of each limit and how accurate it is, as it was judged. None until then, and where
            nothing was judged.
    """

    network: Network
    classes: NotEmpty[str]
    preprocessing: Preprocessing
    side_px: PositiveInt
    temperature: PositiveFloat
    arena_bytes: PositiveInt | None
    budget: Budget | None
    weights_sha256: str
    softmax: bool = field(default=False, metadata=ONLY_IF_SET)
    trust: Trust | None = field(default=None, metadata=ONLY_IF_SET)
    run_sha256: str | None = field(default=None, metadata=ONLY_IF_SET)
    certificate: FileCertificate | None = field(default=None, metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        require_unique("classes has a name", self.classes)

    def logits(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of what the file gives, (n, classes); of probabilities but for a number that all of an image
        lack."""
        return logits_of_probabilities(given, self.temperature) if self.softmax else given

    def to_dict(self) -> dict[str, Any]:
        """The fields in JSON's types, with the format's name."""
        return {"format": NOTES_FORMAT, **to_plain(self)}

    def texts(self) -> dict[str, str]:
        """What a file carries: the labels, a class a line, and the notes as JSON, by their names."""
        return {LABELS: "\n".join(self.classes), NOTES: json.dumps(self.to_dict(), allow_nan=False)}

    @classmethod
    def from_dict(cls, row: Any) -> Notes:
        """Back again. Raises a one-line `ValueError` for what `to_dict` cannot have made."""
        if not isinstance(row, dict) or row.get("format") != NOTES_FORMAT:
            raise ValueError(f"{NOTES} is not of the format {NOTES_FORMAT}")
        return from_plain(cls, {name: value for name, value in row.items() if name != "format"}, NOTES)
