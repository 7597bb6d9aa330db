"""What a study of activations is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.networks import Activation, Network
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One network with each of the activations, trained `seeds` times for equal steps, its gradient probed on the way.

    `network` is None for a small one that suits the images.
    """

    network: str | Network | None
    activations: tuple[Activation, ...]
    seeds: int
    steps: int
    recipe: Recipe
    probes: int
    probe_images: int
    augment: Augment
