"""Folders of weights as the Hugging Face hub has them: model.safetensors, and a config.json that says what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from budgetnet.codec import NotEmpty, PositiveFloat, PositiveInt, as_object, from_plain, require
from budgetnet.data.images import Preprocessing
from budgetnet.model.seal import check_seal
from budgetnet.model.trust import Trust
from budgetnet.networks import Network
from budgetnet.reading import file_content, read_json_file

HUB = "hf-hub:"
HUB_CONFIG, HUB_WEIGHTS = "config.json", "model.safetensors"
HUB_NOTES = "budgetnet"
"""The key of config.json that says what timm's keys have no place for, where `export` wrote the folder."""
MOST_BYTES = 16 << 30
OWN_WEIGHTS = "weights.safetensors"
"""A folder with a file of this name is a run's."""


@dataclass(frozen=True, slots=True)
class HubNotes:
    """What config.json says of weights that `export` wrote, beside timm's keys: what answering with them takes."""

    network: Network
    classes: NotEmpty[str]
    preprocessing: Preprocessing
    side_px: PositiveInt
    temperature: PositiveFloat
    trust: Trust | None = None

    def __post_init__(self) -> None:
        require(len(self.classes) == self.network.classes, "its classes do not match its network")

    @classmethod
    def of(cls, where: str, config: Mapping[str, Any]) -> HubNotes | None:
        """What a config.json says; None for one that `export` did not write. Raises a one-line `ValueError` for a
        damaged one."""
        if HUB_NOTES not in config:
            return None
        what = f"{HUB_NOTES} in {where}/{HUB_CONFIG}"
        row = as_object(config[HUB_NOTES], what)
        known = {field.name for field in fields(cls)}
        return from_plain(cls, {name: value for name, value in row.items() if name in known}, what)


def hub_folder(source: str | Path) -> Path | None:
    """The folder of a model of the hub (hf-hub:OWNER/NAME), which is got where it is not there, or of one that was
    downloaded or exported; None for all else.

    Raises a one-line `ValueError` for a model that the hub does not give.
    """
    if str(source).startswith(HUB):
        return _of_the_hub(str(source).removeprefix(HUB))
    path = Path(source)
    names = {name for name in (HUB_CONFIG, HUB_WEIGHTS, OWN_WEIGHTS) if (path / name).is_file()}
    return path if names == {HUB_CONFIG, HUB_WEIGHTS} else None


def read_config(folder: Path) -> Mapping[str, Any]:
    """A folder's config.json. Raises a one-line `ValueError` for what is no JSON object, and where `export` wrote the
    folder and configuration or weights were changed behind it; the card is to be edited."""
    config = as_object(read_json_file(folder / HUB_CONFIG), str(folder / HUB_CONFIG))
    if HUB_NOTES in config:
        names = (HUB_CONFIG, HUB_WEIGHTS)
        check_seal(str(folder), {name: file_content(folder / name, MOST_BYTES) for name in names})
    return config


def _of_the_hub(repository: str) -> Path:
    """The folder in the cache of OWNER/NAME, or of OWNER/NAME@REVISION as it was at a commit, a tag or a branch."""
    name, revision = _revised(repository)
    from huggingface_hub import hf_hub_download, logging
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its retries would stand before our one line
    try:
        files = [Path(hf_hub_download(name, file, revision=revision)) for file in (HUB_CONFIG, HUB_WEIGHTS)]
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ValueError(
            f"cannot get {repository} from the hub ({type(error).__name__}); check the name and the network connection"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    return files[0].parent


def _revised(repository: str) -> tuple[str, str | None]:
    """The name, and the revision where one is asked for."""
    name, at, revision = repository.partition("@")
    if at and not re.fullmatch(r"[\w.][\w./-]*", revision):
        raise ValueError(f"{HUB}{repository} names no revision; write {HUB}{name}@ and a commit, a tag or a branch")
    return name, revision if at else None
