"""Where logits become probabilities: here, for every answer of every model, and of every exported file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def class_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """softmax(logits / temperature) over the classes: (n, classes) -> float32 (n, classes).

    A temperature above 1 makes answers less sure, one below 1 surer; the order of the classes stays.
    Source: Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599, section 4.2.

    >>> import torch
    >>> logits = torch.log(torch.tensor([[0.8, 0.2]]))
    >>> [round(share, 2) for share in class_probabilities(logits, 2.0)[0].tolist()]
    [0.67, 0.33]
    """
    return (logits.float() / temperature).softmax(1)


LEAST = 1e-30
"""No probability is taken for less: below, float32 has few digits, and of nothing there is no logarithm."""


def logits_of_probabilities(probabilities: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """The logits (n, classes) of which `class_probabilities_of_file` makes these probabilities.

    A number that was added to all logits of an image is lost.

    >>> logits = np.log(np.array([[0.8, 0.2]], np.float32))
    >>> shares = class_probabilities_of_file(logits, 2.0)
    >>> np.allclose(logits_of_probabilities(shares, 2.0) @ [1, -1], logits @ [1, -1])
    True
    """
    return np.float32(temperature) * np.log(np.maximum(probabilities.astype(np.float32), np.float32(LEAST)))


def class_probabilities_of_file(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """As `class_probabilities`, without torch: what runs an exported file gives arrays.

    >>> [round(float(share), 2) for share in class_probabilities_of_file(np.log([[0.8, 0.2]]), 2.0)[0]]
    [0.67, 0.33]
    """
    scaled = logits.astype(np.float32) / np.float32(temperature)
    with np.errstate(invalid="ignore"):  # logits that are no numbers give probabilities that are none
        odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)
