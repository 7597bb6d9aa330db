"""The same drawn numbers on both sides: our outputs against each library's, through files of its own.

    python -m bench.outputs > table.md
    python -m bench.outputs --library Keras

For every network a library and the zoo share: the library's model gets drawn numbers, its weights are
written (a state dict, TensorFlow's checkpoint, each of Keras's formats), read by `load_model`, and both
answer images of three sizes, odd ones included, in float32. The largest relative error of the logits is
printed. Keras runs on torch here and is given pixels; its MobileNet has sizes without an odd map. The table
stands in docs/weights.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from efficientnet_pytorch import EfficientNet
from torch import Tensor, nn
from torchvision import models

from budgetnet.model.timm_names import timm_name
from budgetnet.model.weights import Weights, load_model
from budgetnet.networks.zoo import names
from tests.support import keras_models as keras
from tests.support.drawn import filled, images

SIZES = ((64, 64), (65, 97), (33, 40))
EVEN = {"MobileNet": ((64, 64), (63, 96))}
TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mnasnet1_0": "mnasnet_b1",
    **{f"resnet{layers}": f"resnet{layers}" for layers in (18, 34, 50, 101, 152)},
    **{f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(8)},
    **{f"efficientnet_v2_{size}": f"efficientnetv2_{size}" for size in "sml"},
}
EFFICIENTNET_PYTORCH = {
    f"efficientnet-{size}": f"tf_efficientnet_{size}" for size in (*(f"b{number}" for number in range(9)), "l2")
}


def timm_networks() -> dict[str, str]:
    """timm's name of each network that it has too, and ours."""
    theirs = set(timm.list_models())
    return {timm_name(ours): ours for ours in names() if timm_name(ours) in theirs}


def google_networks() -> dict[str, str]:
    """Google's names and ours, where TensorFlow is installed."""
    if find_spec("tensorflow") is None:
        print("without TensorFlow no rows of it: pip install -e '.[google]'", file=sys.stderr)
        return {}
    from tests.support import google_networks as google

    return google.OURS


def taken(file: Path, ours: str) -> Weights:
    """What a file is read as, which has to be our network of that name."""
    loaded = load_model(file)
    assert loaded.network.name == ours, f"{file} is taken for {loaded.network.name}"
    return loaded


@torch.no_grad()
def largest_error(ours: nn.Module, theirs: Callable[[Tensor], Tensor]) -> float:
    """Over the sizes: max |ours - theirs| / max |theirs|."""
    worst = 0.0
    for height, width in SIZES:
        x = images(2, 3, height, width, seed=1)
        expected = theirs(x)
        worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


def state_dict_error(create: Callable[[str], nn.Module], theirs: str, ours: str, folder: Path) -> float:
    """Of a library whose files torch writes."""
    model = filled(create(theirs))
    file = folder / f"{theirs}.pth"  # timm's names alone do not tell tf_efficientnet_b0 from efficientnet_b0
    torch.save(model.state_dict(), file)
    return largest_error(taken(file, ours).model, model)


def checkpoint_error(theirs: str, ours: str, folder: Path) -> float:
    """Of one of Google's networks, which TensorFlow runs."""
    from tests.support import google_networks as google

    network = google.Google(theirs, dtype=google.tf.float32)
    loaded = taken(google.write_checkpoint(folder / theirs, network.variables), ours)
    return largest_error(loaded.model, lambda x: torch.from_numpy(network(x.numpy())))


def keras_error(theirs: str, ours: str, folder: Path) -> float:
    """Of one of Keras's applications: models are built for a size, so one for each, all of the same weights."""
    first = keras.filled(keras.built(theirs, SIZES[0]))
    loaded = [taken(file, ours) for file in keras.written(first, folder)]
    worst = 0.0
    for px in EVEN.get(theirs, SIZES):
        model = keras.copied(keras.built(theirs, px), first.get_weights())
        pixels = keras.pixels(*px)
        expected = keras.their_logits(model, theirs, pixels)
        worst = max(worst, *(keras.relative_error(keras.our_logits(one, pixels), expected) for one in loaded))
    return worst


@dataclass(frozen=True, slots=True)
class Library:
    """Its names with ours, and the largest error of a network: its name, ours, and a folder for its files."""

    networks: Callable[[], Mapping[str, str]]
    error: Callable[[str, str, Path], float]


LIBRARIES: Mapping[str, Library] = {
    "torchvision": Library(lambda: TORCHVISION, partial(state_dict_error, models.get_model)),
    "timm": Library(timm_networks, partial(state_dict_error, timm.create_model)),
    "EfficientNet-PyTorch": Library(
        lambda: EFFICIENTNET_PYTORCH, partial(state_dict_error, partial(EfficientNet.from_name, image_size=None))
    ),
    "TensorFlow": Library(google_networks, checkpoint_error),
    "Keras": Library(lambda: keras.APPLICATIONS, keras_error),
}


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES, help="its rows alone")
    only = parser.parse_args().library
    torch.set_num_threads(1)
    print("| library | its name | network | largest relative error |\n| --- | --- | --- | --- |")
    for name in (only,) if only else LIBRARIES:
        library = LIBRARIES[name]
        for theirs, ours in library.networks().items():
            with tempfile.TemporaryDirectory() as folder:
                error = library.error(theirs, ours, Path(folder))
            print(f"| {name} | {theirs} | {ours} | {error:.1e} |", flush=True)


if __name__ == "__main__":
    main()
