"""The labelled images that a trained network is looked at with: its run's own in their split, or others."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from budgetnet.data import Folders, ImageSet, Preprocessing, open_images
from budgetnet.data.deep import UNKNOWN_RANGE, Range, check_mixture, is_outside, outside_note
from budgetnet.data.images import SPLITS
from budgetnet.data.telling import classes_line, left_out_lines
from budgetnet.model.class_names import numbered_classes
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.record import FILE as PLAN
from budgetnet.runs.record import Header, read_header
from budgetnet.runs.split_file import learned_files

CHOICES = (*SPLITS, "all")
SHOWN_CLASSES = 20


def class_indices(names: tuple[str, ...], known: tuple[str, ...], where: str) -> list[int]:
    """Where the model has each class of the images. Raises a one-line `ValueError` for one that it does not know."""
    exact = {name: index for index, name in enumerate(known)}
    loose = {loosened(name): index for index, name in reversed(list(enumerate(known)))}
    indices = [exact.get(name, loose.get(loosened(name), -1)) for name in names]
    if -1 in indices:
        some = ", ".join(known[:SHOWN_CLASSES]) + (", ..." if len(known) > SHOWN_CLASSES else "")
        unnamed = known == numbered_classes(len(known))
        hint = "; its classes have no names: give them with --class-names (class_names)" if unnamed else ""
        missing = names[indices.index(-1)]
        raise ValueError(f"{where} has class {missing}, which the model does not know; it has {some}{hint}")
    return indices


def known_class(name: str, classes: Sequence[str]) -> int | None:
    """Where a class stands among those of a model, capitals and underscores aside; None where it does not."""
    if name in classes:
        return classes.index(name)
    wanted = loosened(name)
    return next((index for index, one in enumerate(classes) if loosened(one) == wanted), None)


def loosened(name: str) -> str:
    """A class's name as names are compared: without capitals, with spaces for underscores."""
    return name.replace("_", " ").casefold()


class Labeller(Protocol):
    """What knows classes: a run's model as it was loaded, and an `Answerer`."""

    @property
    def network(self) -> Network:
        """Its network."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes, in the order of the logits."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How it is given pixels."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The images of an answer, with as many channels as the model takes.

    `class_indices`: where the model has each of their classes. `indices`: those of `split`, which are looked at.
    """

    images: ImageSet
    class_indices: list[int]
    split: str
    indices: NDArray[np.int64]


def images_of(
    run: str | Path,
    labeller: Labeller,
    data: str | Path | Folders | None,
    split: str | None,
    usual: str,
    progress: Progress | None,
) -> Scored:
    """The images to look at: without `data` those that the run was trained from, by its own split.

    Where no split is asked for it is the `usual` of the run's own images, and "all" of others. Raises the one-line
    `ValueError`s of `evaluate`, and one for a split without images.
    """
    home = home_of(run)
    plan = None if home is None else read_header(home)
    if data is None and plan is None:
        raise ValueError(
            f"{run} does not say what it was trained from (it has no plan.json); give the images: evaluate RUN DATA, "
            "landscape ... --data DATA, explain RUN IMAGE"
        )
    images, own = _opened(data, plan, split, progress)
    chosen = split or (usual if own else "all")
    if chosen == "all":
        indices = np.sort(np.concatenate([images.indices(name) for name in SPLITS]))
    else:
        indices = images.indices(chosen)
    if not len(indices):
        raise ValueError(f"{images.name} has no {chosen} images; choose another split")
    if progress:
        lines = (classes_line(images), *left_out_lines(images), f"taken: {len(indices):,} images, {_what(chosen, own)}")
        progress(Update("images", len(images), len(images), lines=lines))
    if (
        home is not None and plan is not None and not (own and chosen in ("train", "test"))
    ):  # everyone knows it of the training images
        _warn_of_learned(home, plan, images, indices, own)
    found = class_indices(images.classes, labeller.classes, images.name if data is None else str(data))
    value_range = labeller.preprocessing.value_range
    _check_values(images, value_range)
    images = dataclasses.replace(images, in_channels=labeller.network.in_channels, value_range=value_range)
    return Scored(images, found, chosen, indices)


def home_of(run: str | Path) -> Path | None:
    """The run's folder: `run` itself, or where weights or an exported file lie in one; None for those elsewhere."""
    run = Path(run)
    places = (run, run.parent) if run.exists() else ()
    return next((place for place in places if (place / PLAN).is_file()), None)


def _opened(
    data: str | Path | Folders | None, plan: Header | None, split: str | None, progress: Progress | None
) -> tuple[ImageSet, bool]:
    """The images, and whether they are the run's own in its own split; a moved folder is still its own."""
    if plan is None:
        assert data is not None
        return open_images(data, 0, progress, whole=split in (None, "all", "test")), False
    own, seed = plan.data, plan.seed
    if data is None:
        images = open_images(own.data, seed, progress)
        if images.fingerprint != own.fingerprint:
            raise ValueError(
                f"the images in {own.data} have changed since this run, and its split with them; "
                "name the images to score anyway"
            )
        return images, True
    images = open_images(data, seed, progress, whole=True)
    if split not in (None, "all", *images.given) and (not images.given or "train" in images.given):
        images = open_images(data, seed)  # a part that the data does not give is carved
    if len(images) == sum(own.counts.values()):
        with contextlib.suppress(ValueError):  # other images that cannot be split
            split_again = open_images(data, seed)
            images = split_again if split_again.fingerprint == own.fingerprint else images
    return images, images.fingerprint == own.fingerprint


def _what(split: str, own: bool) -> str:
    if own:
        return f"{'all' if split == 'all' else f'the {split} split'} of the run's own"
    return "all of them; --split takes a part" if split == "all" else f"the {split} split of these others"


def _warn_of_learned(run: Path, plan: Header, images: ImageSet, indices: NDArray[np.int64], own: bool) -> None:
    """Warn where the run learned from images that are scored: the score is too high, and nothing else shows it.

    Of other data those count that equal an image of the run's folder that it learned from; where that folder has gone
    there is no telling.
    """
    learned = _learned(run, plan, images if own else None)
    if count := sum(images.digests[index] in learned for index in indices.tolist()):
        instead = "--split test is not" if own else "evaluate RUN without DATA scores its own test images alone"
        warnings.warn(
            f"the run learned from {count:,} of these {len(indices):,} images, so this score is too high; {instead}",
            stacklevel=4,
        )


def _learned(run: Path, plan: Header, images: ImageSet | None) -> frozenset[str]:
    """Digests of the images that the run learned from, by its split.json, as far as they are still where they were."""
    if not (run / "split.json").is_file():
        return frozenset()
    files = learned_files(run)
    if images is None:
        try:
            images = open_images(plan.data.data, plan.seed, whole=True)
        except ValueError:  # the folder has gone, or holds something else now
            return frozenset()
    return frozenset(digest for file, digest in zip(images.files, images.digests, strict=True) if file in files)


def _check_values(images: ImageSet, value_range: Range | None) -> None:
    """Refuse images of other bits than those of the model's training; warn where their values lie elsewhere."""
    spreads = images.spreads or (None,) * len(images)
    deep = [spread for spread in spreads if spread is not None]
    if value_range is None:
        if deep:
            what = f"{len(deep)} of {len(spreads)} images of {images.name} have more than 8 bits a value"
            warnings.warn(f"{what}, {UNKNOWN_RANGE.partition(' a value, ')[2]}", stacklevel=4)
        return
    check_mixture(images.name, images.files, spreads, value_range)
    if outside := sum(is_outside(spread, value_range) for spread in deep):
        what = f"{outside} of {len(spreads)} images of {images.name}"
        warnings.warn(f"of {what} {outside_note(value_range).replace(' of its', '')}", stacklevel=4)
