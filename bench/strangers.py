"""How many strangers a score tells where it keeps 95 % of a model's own images: images of none of its classes.

    python -m bench.strangers RUN OTHER [DATA ...]

RUN and OTHER are finished runs of `train`; the images of each are strangers to the other, and those of further folders
to both. The threshold of a score is that of `trust_of`, on the run's validation images, which it has not learned; its
test images say what is kept, and all images of the others what is rejected. The last columns are the area under the
ROC curve, which has no threshold. Scores of logits can be had of an exported file; those of features (the classifier's
inputs) cannot. The table stands in docs/lab-log.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from budgetnet.data import ImageSet, evenly, open_cache, open_images
from budgetnet.data.batches import input_batches
from budgetnet.model.trust import LOST, familiarity
from budgetnet.runs.record import read_header
from budgetnet.runs.run import Loaded, load_run

Floats = NDArray[np.floating]
NEIGHBOURS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model computes of n images: logits (n, classes), features (n, channels); labels (n,)."""

    logits: Floats
    features: Floats
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A run's own images by split, and strangers by their names."""

    name: str
    temperature: float
    own: dict[str, Answers]
    strangers: dict[str, Answers]


@torch.inference_mode()
def answers(loaded: Loaded, images: ImageSet, indices: NDArray[np.int64], most: int) -> Answers:
    """The model's answers to the images at `indices`, evenly chosen where they are more than `most`."""
    pixels, chosen = open_cache(images, loaded.side_px), evenly(indices, most)
    rows: list[tuple[Floats, Floats]] = []
    for inputs in input_batches(pixels, chosen, 32, loaded.network.resolution_px, loaded.preprocessing, "cpu"):
        features = loaded.model.features(inputs)
        rows.append((loaded.model.classifier(features).numpy(), features.numpy()))
    logits, features = (np.concatenate(part).astype(np.float64) for part in zip(*rows, strict=True))
    return Answers(logits, features, np.asarray(images.labels)[chosen])


def ask(run: Path, others: dict[str, ImageSet], most: int) -> Asked:
    """What the run's model answers to its own images and to the others."""
    loaded, plan = load_run(run), read_header(run)
    own = open_images(plan.data.data, plan.seed)
    return Asked(
        own.name,
        loaded.temperature,
        {split: answers(loaded, own, own.indices(split), most) for split in ("train", "validation", "test")},
        {
            name: answers(loaded, images, np.arange(len(images)), most)
            for name, images in others.items()
            if name != own.name
        },
    )


def probability(asked: Asked, of: Answers) -> Floats:
    """The probability of the answer, at temperature 1."""
    return of.logits.max(1) - familiarity(of.logits)


def calibrated_probability(asked: Asked, of: Answers) -> Floats:
    """The probability of the answer, at the model's temperature."""
    scaled = of.logits / asked.temperature
    return scaled.max(1) - familiarity(scaled)


def largest_logit(asked: Asked, of: Answers) -> Floats:
    """Hendrycks et al., arXiv:1911.11132, section 3."""
    return of.logits.max(1)


def energy(asked: Asked, of: Answers) -> Floats:
    """Liu et al., arXiv:2010.02759, section 3.1, at T = 1."""
    return familiarity(of.logits)


def calibrated_energy(asked: Asked, of: Answers) -> Floats:
    """The same at the model's temperature."""
    return familiarity(of.logits / asked.temperature)


def mahalanobis(asked: Asked, of: Answers) -> Floats:
    """Distance to the nearest class mean under one covariance: Lee et al., arXiv:1807.03888, section 2.1.

    A tenth of the mean variance is added to each, for there are fewer images than channels.
    """
    own = asked.own["train"]
    means, place = class_means(own)
    rest = own.features - means[place]
    covariance = rest.T @ rest / len(rest)
    covariance += 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    return -squared_distances(of.features @ root, means @ root).min(1)


def cosine(asked: Asked, of: Answers) -> Floats:
    """The cosine between the features and the nearest class mean."""
    return (unit(of.features) @ unit(class_means(asked.own["train"])[0]).T).max(1)


def neighbour(asked: Asked, of: Answers) -> Floats:
    """Distance to the 10th nearest training image, of features of length 1: Sun et al., arXiv:2204.06507, section 3."""
    distances = squared_distances(unit(of.features), unit(asked.own["train"].features))
    return -np.partition(distances, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]


SCORES: dict[str, Callable[[Asked, Answers], Floats]] = {
    "probability, T = 1": probability,
    "probability, calibrated": calibrated_probability,
    "largest logit": largest_logit,
    "energy, T = 1": energy,
    "energy, calibrated T": calibrated_energy,
    "features: Mahalanobis": mahalanobis,
    "features: cosine to the mean": cosine,
    "features: 10th neighbour": neighbour,
}
"""Of each, own images are to have more than strangers."""


def class_means(of: Answers) -> tuple[Floats, NDArray[np.int64]]:
    """The mean features of each class, and which one each image has."""
    classes, place = np.unique(of.labels, return_inverse=True)
    return np.stack([of.features[of.labels == label].mean(0) for label in classes]), place


def unit(rows: Floats) -> Floats:
    """The rows at length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Of each row of `a` to each of `b`."""
    return (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)


def area(own: Floats, strangers: Floats) -> float:
    """How often an own image has more than a stranger: the area under the ROC curve."""
    ranks = rankdata(np.concatenate([own, strangers]))[: len(own)]
    return float((ranks.sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(strangers)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN")
    parser.add_argument("data", nargs="*", metavar="DATA")
    parser.add_argument("--most", type=int, default=1_000, metavar="N", help="images of each split and set")
    given = parser.parse_args()
    sources = [read_header(run).data.data for run in given.runs] + given.data
    others = {images.name: images for images in (open_images(source, 0, whole=True) for source in sources)}
    print("| model of | strangers | score | own kept | strangers rejected | area |")
    print("| --- " * 6 + "|")
    for asked in (ask(run, others, given.most) for run in given.runs):
        for name, strangers in asked.strangers.items():
            for score, of in SCORES.items():
                held_out, test, other = (
                    of(asked, rows) for rows in (asked.own["validation"], asked.own["test"], strangers)
                )
                threshold = np.sort(held_out)[int(LOST * (len(held_out) + 1)) - 1]
                kept, rejected = (test >= threshold).mean(), (other < threshold).mean()
                shares = f"{100 * kept:.1f} % | {100 * rejected:.1f} % | {area(test, other):.3f}"
                print(f"| {asked.name} | {name} | {score} | {shares} |")


if __name__ == "__main__":
    main()
