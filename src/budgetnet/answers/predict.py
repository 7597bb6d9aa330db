"""Answers for image files: of a run, of weights, of an exported file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from budgetnet.answers.source import answerer_at
from budgetnet.arguments import integer, path, wrong
from budgetnet.model.trust import error_share
from budgetnet.networks import Network, network_of
from budgetnet.runs.run import Loaded
from budgetnet.training.predict import Prediction, Unreadable, image_files, predictions


def predict(
    run: str | Path | Loaded,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    batch: int = 32,
    top: int = 1,
    device: str = "auto",
    network: Network | None = None,
    class_names: str | Path | Sequence[str] | None = None,
    max_error: float | None = None,
) -> Iterator[Prediction | Unreadable]:
    """Answer image files with a trained network, in the order in which they are given.

    Images are decoded and preprocessed as the weights need it, `batch` at a time, so that any number of them takes the
    same memory. The answers come one by one. A file that `export` wrote is answered in its own runtime, without torch:
    in int8 for TensorFlow Lite by the kernels that TensorFlow Lite Micro follows, as a microcontroller answers.

    Args:
        run: A run's folder, a file that `export` wrote, or a source of weights as `load_weights` takes it, or a model
            that was loaded before.
        paths: Files, folders (all images below them, links followed, each folder once) and globs (** goes into
            folders); one or several.
        batch: How many images are read and computed together.
        top: How many classes each answer has.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps"; an exported file
            runs on the processor.
        network: The network of weights that do not say it.
        class_names: The classes of weights that do not say them, in the order of the answers: names, or a file.
        max_error: The share of wrong answers that is accepted, such as 0.02. Answers that are not sure enough for it
            are marked (`answered`); of the others at most this share is wrong, with 95 % confidence (docs/trust.md).

    Returns:
        An iterator over answers. A file or folder that cannot be read gives an `Unreadable`, and the rest goes on.

    Raises:
        ValueError: The run cannot be read, its held-out images are too few to promise such a share of errors, or no
            path leads to a file; all are raised at once. Also, while answers are taken, where the model's outputs are
            not numbers.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> from PIL import Image
        >>> net = budgetnet.network("mobilenet_v3_small", classes=2, resolution_px=32)
        >>> pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
        >>> save_weights("cats.safetensors", budgetnet.build(net, seed=0), ["cat", "dog"], pixels)
        >>> Image.new("RGB", (40, 40)).save("black.png")
        >>> [answer.path for answer in budgetnet.predict("cats.safetensors", "black.png")]
        ['black.png']
    """
    batch, top = integer("batch", batch), integer("top", top)
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(given, bytes | dict) or not isinstance(given, Iterable):
        raise wrong("paths", paths, "paths of images, folders or globs", of_type=True)
    if isinstance(given, list | tuple):  # else they come one by one
        given = [path("one of the paths", one) for one in given]
    network = None if network is None else network_of("network", network)
    if max_error is not None:
        max_error = error_share(max_error)
    answerer = answerer_at(run, network, class_names, device)
    promise = None if max_error is None else answerer.promise(max_error)
    return predictions(answerer, image_files(given), batch, top, promise)
