"""How well a run, weights or an exported file answer labelled images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from budgetnet.answers.source import answerer_at
from budgetnet.arguments import RUN, listener, path
from budgetnet.data import Folders, data_of, open_cache
from budgetnet.model.trust import error_share
from budgetnet.networks import Network, choose, network_of
from budgetnet.parallel.progress import Progress
from budgetnet.training.answerer import scores_of
from budgetnet.training.evaluation import Evaluation, evaluation_of
from budgetnet.training.scored_images import CHOICES, images_of


def evaluate(
    run: str | Path,
    data: str | Path | Folders | None = None,
    split: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    network: Network | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    max_error: float | None = None,
) -> Evaluation:
    """Score a run's model, an exported file, or the weights of another library, on labelled images.

    Classes are matched by their names, capitals and underscores aside. Where the run learned from some of the images, a
    warning counts them. An exported file answers in its own runtime, without torch, by the kernels that its export was
    judged by.

    Args:
        run: A run's folder, a file that `export` wrote, or a source of weights as `load_weights` takes it.
        data: Labelled images, as `open_images` takes them; unless given, those that the run was trained from, in its
            own split; of weights and exported files, the run in whose folder they lie.
        split: "train", "validation", "test" or "all". Unless given "test" of the run's own images, and "all" of others.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps"; an exported file
            runs on the processor.
        progress: Called with an `Update` as the work goes on.
        network: The network of weights that do not say it.
        class_names: The classes of weights that do not say them, in the order of the answers: names, or a file.
        max_error: The share of wrong answers that is accepted, such as 0.02: what can be promised for it, from images
            that stayed out of the training (docs/trust.md), is held against these images.

    Returns:
        The scores.

    Raises:
        ValueError: The held-out images are too few to promise such a share of errors, no images are known, they changed
            since the run, one of their classes is unknown to the model, the split is empty, or the run cannot be read.
        TypeError: An argument has another type.

    Example:
        >>> import dataclasses
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=32)
        >>> grey = dataclasses.replace(net, in_channels=1)
        >>> pixels = {"mean": [0.5], "std": [0.25]}
        >>> save_weights("digits.safetensors", budgetnet.build(grey, seed=0), list("0123456789"), pixels)
        >>> budgetnet.evaluate("digits.safetensors", "digits").count
        1797
    """
    run, data = path("run", run, RUN), None if data is None else data_of(data)
    if split is not None:
        choose("split", split, CHOICES)
    network = None if network is None else network_of("network", network)
    listener("progress", progress)
    if max_error is not None:
        max_error = error_share(max_error)
    answerer = answerer_at(run, network, class_names, device)
    promise = None if max_error is None else answerer.promise(max_error)
    scored = images_of(run, answerer, data, split, "test", progress)
    images, indices = scored.images, scored.indices
    pixels = open_cache(images, answerer.side_px, progress=progress)
    labels = np.array([scored.class_indices[images.labels[index]] for index in indices])
    answers = scores_of(answerer, images, pixels, indices, labels, progress)
    found = evaluation_of(answers, labels, answerer.classes)
    if promise is None:
        return found
    return dataclasses.replace(found, promise=promise.check(answers.confidence, answers.right))
