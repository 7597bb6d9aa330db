"""What a study of activations is asked."""

from __future__ import annotations

from dataclasses import dataclass

from budgetnet.codec import NotEmpty, PositiveInt
from budgetnet.networks import Activation, Network
from budgetnet.training.augmenting import Augment
from budgetnet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """One network with each of the activations, trained `seeds` times for equal steps, its gradient probed on the way.

    `network` is None for a small one that suits the images.
    """

    network: str | Network | None
    activations: NotEmpty[Activation]
    seeds: PositiveInt
    steps: PositiveInt
    recipe: Recipe
    probes: PositiveInt
    probe_images: PositiveInt
    augment: Augment
