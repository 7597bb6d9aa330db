"""Where logits become probabilities: here, for every answer of every model."""

from __future__ import annotations

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
