"""The trained networks whose loss is asked for, and the images that it is of: the same for all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from budgetnet.data import Folders, ImageSet, data_of, open_cache
from budgetnet.data.batches import input_batches
from budgetnet.data.draw import order_of
from budgetnet.draw.wording import listed
from budgetnet.inspect.landscape.loss.weights import Probe, fingerprint
from budgetnet.inspect.side_by_side import activation_kinds, differences_except_activations, labels_of, place_of
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import DataRecord, data_record, read_header
from budgetnet.runs.run import Loaded, load_run
from budgetnet.training.scored_images import Scored, images_of

BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A trained network with the images of its loss."""

    run: str
    label: str
    network: str
    activations: tuple[str, ...]
    weights: str
    probe: Probe


@dataclass(frozen=True, slots=True, eq=False)
class Subjects:
    """The networks, all twins of the first; the images of the loss: what they were opened from, the seed and the name
    of their split, and a fingerprint of those that were chosen."""

    subjects: tuple[Subject, ...]
    data: DataRecord
    seed: int
    split: str
    digest: str


def open_subjects(
    runs: Sequence[str | Path],
    data: str | Path | Folders | None,
    split: str | None,
    images: int,
    seed: int,
    device: str,
    progress: Progress | None,
) -> Subjects:
    """The runs, and the images of their loss.

    Those are at most `images` of the split, drawn by the seed; of several runs, of those that all have in it.
    Raises a one-line `ValueError` for no weights, no twins, no images.
    """
    names = [str(run) for run in runs]
    if not names:
        raise ValueError("give at least one run")
    opened = [load_run(name) for name in names]
    _check_twins(names, opened)
    sets = [images_of(name, loaded, data, split, "train", progress) for name, loaded in zip(names, opened, strict=True)]
    chosen = _chosen(sets, names, images, seed)
    subjects: list[Subject] = []
    for name, label, loaded, scored, indices in zip(names, labels_of(names), opened, sets, chosen, strict=True):
        probe = _probe(loaded, scored.images, scored.class_indices, indices, device, progress)
        network = loaded.network
        weights = fingerprint(loaded.model, network.to_json())
        subjects.append(Subject(name, label, network.name, activation_kinds(network), weights, probe))
    digests = "".join(sets[0].images.digests[index] for index in chosen[0].tolist())
    digest = hashlib.sha256(digests.encode()).hexdigest()[:16]
    if data is not None:
        return Subjects(tuple(subjects), data_record(data_of(data), sets[0].images), 0, sets[0].split, digest)
    header = read_header(place_of(names[0]))
    return Subjects(tuple(subjects), header.data, header.seed, sets[0].split, digest)


def _check_twins(names: Sequence[str], opened: Sequence[Loaded]) -> None:
    for name, loaded in zip(names[1:], opened[1:], strict=True):
        if differing := list(differences_except_activations(opened[0], loaded)):
            raise ValueError(
                f"{name} is not a twin of {names[0]}: they differ in {listed(differing)}; give networks that "
                "differ in their activation functions alone, or each by itself"
            )


def _chosen(sets: Sequence[Scored], names: Sequence[str], images: int, seed: int) -> list[NDArray[np.int64]]:
    """Where each set has the images: the same files' contents in the same order."""
    positions = [{one.images.digests[index]: index for index in one.indices.tolist()} for one in sets]
    common = [index for digest, index in positions[0].items() if all(digest in other for other in positions[1:])]
    if not common:
        raise ValueError(f"{' and '.join(names)} have no {sets[0].split} images in common; give others with --data")
    sample = np.sort(order_of(np.array(common, np.int64), seed, 0)[:images])
    digests = [sets[0].images.digests[index] for index in sample.tolist()]
    return [np.array([position[digest] for digest in digests], np.int64) for position in positions]


def _probe(
    loaded: Loaded,
    shown: ImageSet,
    class_indices: Sequence[int],
    indices: NDArray[np.int64],
    device: str,
    progress: Progress | None,
) -> Probe:
    pixels = open_cache(shown, loaded.side_px, progress=progress)
    size_px = loaded.network.resolution_px
    inputs = input_batches(pixels, indices, BATCH, size_px, loaded.preprocessing, device)
    labels = torch.tensor([class_indices[shown.labels[i]] for i in indices.tolist()], device=device)
    return Probe(loaded.model.to(device).eval(), tuple(zip(inputs, labels.split(BATCH), strict=True)))
