"""What images are, as far as their place says it: a folder named after a class, or a labels.csv."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from budgetnet.data.folder import LIST, listed
from budgetnet.training.scored_images import known_class


def true_class(path: str, classes: Sequence[str]) -> str | None:
    """The class that the image's folder is named after, or that the nearest labels.csv beside or above it says.

    None where neither names one of `classes`, capitals and underscores aside.
    """
    place = Path(os.path.abspath(path))
    named = _known(place.parent.name, classes)
    if named is not None:
        return named
    root = next((folder for folder in place.parents if (folder / LIST).is_file()), None)
    label = None if root is None else _labels(root).get(place.relative_to(root).as_posix())
    return None if label is None else _known(label, classes)


def _known(name: str, classes: Sequence[str]) -> str | None:
    found = known_class(name, classes)
    return None if found is None else classes[found]


@cache
def _labels(root: Path) -> Mapping[str, str]:
    """The labels of a folder's list by file; none, with a notice, where it is not a list of labelled images."""
    try:
        return {found.file: found.label for found in listed(root).found}
    except ValueError as error:
        warnings.warn(f"{error}; its labels are not used", stacklevel=2)
        return {}
