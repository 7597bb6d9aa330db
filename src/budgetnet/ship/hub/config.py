"""config.json: what timm and transformers read of a network, and under a key of its own what they have no place for."""

from __future__ import annotations

from typing import Any

from budgetnet.data.images import Preprocessing
from budgetnet.model.hub_folder import HUB_NOTES
from budgetnet.model.seal import OPEN, SEAL
from budgetnet.model.timm_names import TimmModel
from budgetnet.ship.notes import Notes


def config_of(notes: Notes, timm_model: TimmModel | None) -> dict[str, Any]:
    """The configuration of a network with its classes and preprocessing.

    Where timm does not have it there is no architecture. Source of the keys: timm, models/_hub.py,
    `save_config_for_hf`.
    """
    network = notes.network
    arguments: dict[str, Any] = {} if network.in_channels == 3 else {"in_chans": network.in_channels}
    if timm_model is not None:
        arguments |= timm_model.arguments
    return {
        **({} if timm_model is None else {"architecture": timm_model.name}),
        "num_classes": network.classes,
        "num_features": network.features,
        "label_names": list(notes.classes),
        **({"model_args": arguments} if timm_model is not None and arguments else {}),
        "pretrained_cfg": {
            "input_size": [network.in_channels, *network.resolution_px],
            "fixed_input_size": False,
            "num_classes": network.classes,
            **_preprocessing(notes.preprocessing),
        },
        HUB_NOTES: notes.to_dict(),
        SEAL: OPEN,
    }


def _preprocessing(ours: Preprocessing) -> dict[str, Any]:
    """timm's words for it: a stretched image is "squash"."""
    crops = ours.fit == "crop"
    return {
        "mean": list(ours.mean),
        "std": list(ours.std),
        "interpolation": ours.interpolation,
        "crop_pct": ours.crop_share if crops else 1.0,
        "crop_mode": "center" if crops else "squash",
    }
