"""Makes the folder of a trained model for the Hugging Face hub: weights in float32, configuration and model card."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from budgetnet.data.batches import inputs_of
from budgetnet.model.files import safetensors_of
from budgetnet.model.hub_folder import HUB_CONFIG, HUB_WEIGHTS
from budgetnet.model.seal import sealed
from budgetnet.model.timm_names import TimmModel, as_timm_has_it, timm_model
from budgetnet.model.weights import SIDE_NOTE, weights_content
from budgetnet.parallel.progress import Progress, Update
from budgetnet.ship.difference import difference
from budgetnet.ship.exported import NumberType
from budgetnet.ship.good_enough import MOST_DIFFERENCE
from budgetnet.ship.hub.card import CARD, card_of
from budgetnet.ship.hub.config import config_of
from budgetnet.ship.made import Made
from budgetnet.ship.notes import Notes
from budgetnet.ship.subject import Subject

PHASE = "answers by timm"


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The folder of a model, in timm's form where timm has its network.

    Raises a one-line `ValueError` where timm has it and is not installed, and where its model answers otherwise.
    """
    asked = timm_model(subject.loaded.network)
    weights = _own_weights(subject) if asked is None else _timm_weights(subject, asked)
    card, notes = card_of(subject, asked, len(weights)).encode(), subject.notes()

    def packed(notes: Notes) -> dict[str, bytes]:
        config = json.dumps(config_of(notes, asked), indent=2, allow_nan=False)
        return {CARD: card, **sealed({HUB_CONFIG: config.encode(), HUB_WEIGHTS: weights})}

    if asked is not None:
        _check_alike(subject, asked, packed(notes), progress)
    return Made(notes=notes, packed=packed, flash_bytes=len(weights))


def _own_weights(subject: Subject) -> bytes:
    """The weights under our own names, which say all that answering takes."""
    loaded = subject.loaded
    return weights_content(
        loaded.model,
        loaded.classes,
        dataclasses.asdict(loaded.preprocessing),
        {SIDE_NOTE: str(loaded.side_px)},
        loaded.temperature,
        loaded.trust,
    )


def _timm_weights(subject: Subject, asked: TimmModel) -> bytes:
    if importlib.util.find_spec("timm") is None:
        what = f"timm has this network ({asked.name}), and its form is written with it"
        raise ValueError(f"{what}; pip install 'budgetnet[hub]'")
    import timm

    model = subject.loaded.model
    shape = {"num_classes": model.network.classes, "in_chans": model.network.in_channels}
    with torch.device("meta"):
        theirs = timm.create_model(asked.name, **shape, **asked.arguments).state_dict()
    # "pt": by torch's names and shapes, which transformers asks for.
    return safetensors_of(as_timm_has_it(model, theirs), {"format": "pt"})


@torch.inference_mode()
def _check_alike(subject: Subject, asked: TimmModel, content: Mapping[str, bytes], progress: Progress | None) -> None:
    """Raise a one-line `ValueError` where timm, given the folder, makes other logits of the test images."""
    import timm

    loaded, images = subject.loaded, subject.images
    with tempfile.TemporaryDirectory() as folder:
        for name, some in content.items():
            (Path(folder) / name).write_bytes(some)
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    rows: list[torch.Tensor] = []
    for done, image in enumerate(images.pixels(images.test)):
        rows.append(model(inputs_of(image[None], loaded.preprocessing)).float())
        if progress:
            progress(Update(PHASE, done + 1, len(images.test)))
    apart = difference(torch.cat(rows).numpy(), images.test_logits)
    if apart > MOST_DIFFERENCE:
        how_far = f"by {apart:.1e} of their standard deviation"
        raise ValueError(f"timm's {asked.name} makes other logits than the run's model, {how_far}; take another timm")
