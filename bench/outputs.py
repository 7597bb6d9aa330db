"""The same drawn numbers on both sides: our outputs against each library's, through a file of its own.

    python -m bench.outputs > table.md
    python -m bench.outputs --library Keras

For every network a library and the zoo share: the library's model gets drawn numbers, its weights are
written, read by `load_model`, and both answer images of three sizes, odd ones included, in float32. The
largest relative error of the logits is printed: for Keras, which runs on torch here, over each of its
formats, with what its models do to pixels; its MobileNet has sizes without an odd map. The table stands in
docs/weights.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import timm
import torch
from torch import nn
from torchvision import models

from budgetnet.model.weights import load_model
from budgetnet.zoo import names
from tests import keras_models as keras
from tests.drawn import filled, images

SIZES = ((64, 64), (65, 97), (33, 40))
EVEN = {"MobileNet": ((64, 64), (63, 96))}
TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mnasnet_b1": "mnasnet1_0",
    "resnet50": "resnet50",
    **{f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(8)},
    **{f"efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
}
RENAMED = (
    ("mobilenet_v1", "mobilenetv1_100"),
    ("mobilenet_v2", "mobilenetv2_100"),
    ("mobilenet_v3_small", "mobilenetv3_small_100"),
    ("mobilenet_v3_large", "mobilenetv3_large_100"),
    ("mobilenet_v4", "mobilenetv4"),
    ("mnasnet_a1", "semnasnet_100"),
    ("mnasnet_b1", "mnasnet_100"),
    ("efficientnet_edgetpu_", "efficientnet_e"),
)


def timm_name(name: str) -> str:
    """timm's name of a network of the zoo."""
    for ours, theirs in RENAMED:
        name = name.replace(ours, theirs)
    return name


def torchvision_pairs() -> Iterator[tuple[str, str, nn.Module]]:
    """(its name, ours, its model)."""
    return ((theirs, ours, getattr(models, theirs)()) for ours, theirs in TORCHVISION.items())


def timm_pairs() -> Iterator[tuple[str, str, nn.Module]]:
    """(its name, ours, its model)."""
    shared = ((timm_name(ours), ours) for ours in names() if timm_name(ours) in timm.list_models())
    return ((theirs, ours, timm.create_model(theirs)) for theirs, ours in shared)


@torch.no_grad()
def largest_error(ours: nn.Module, theirs: nn.Module) -> float:
    """Over the sizes: max |ours - theirs| / max |theirs|."""
    worst = 0.0
    for height, width in SIZES:
        x = images(2, 3, height, width, seed=1)
        expected = theirs(x)
        worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


def torch_rows(pairs: Iterator[tuple[str, str, nn.Module]], folder: Path) -> Iterator[tuple[str, str, float]]:
    """(its name, ours, largest error) of a library whose files torch writes."""
    for theirs, ours, model in pairs:
        file = folder / f"{theirs}.pth"
        torch.save(filled(model).state_dict(), file)
        loaded = load_model(file)
        assert loaded.network.name == ours, f"{theirs} is taken for {loaded.network.name}"
        yield theirs, ours, largest_error(loaded.model, model)
        file.unlink()


def keras_rows(folder: Path) -> Iterator[tuple[str, str, float]]:
    """The same of Keras: models are built for a size, so there is one for each, all with the same weights."""
    for theirs, ours in keras.APPLICATIONS.items():
        first = keras.filled(keras.built(theirs, SIZES[0]))
        loaded = [load_model(file) for file in keras.written(first, folder)]
        assert {one.network.name for one in loaded} == {ours}, f"{theirs} is taken for {loaded[0].network.name}"
        worst = 0.0
        for px in EVEN.get(theirs, SIZES):
            model = keras.copied(keras.built(theirs, px), first.get_weights())
            pixels = keras.pixels(*px)
            expected = keras.their_logits(model, theirs, pixels)
            worst = max(worst, *(keras.relative_error(keras.our_logits(one, pixels), expected) for one in loaded))
        yield theirs, ours, worst


LIBRARIES: Mapping[str, Callable[[Path], Iterator[tuple[str, str, float]]]] = {
    "torchvision": lambda folder: torch_rows(torchvision_pairs(), folder),
    "timm": lambda folder: torch_rows(timm_pairs(), folder),
    "Keras": keras_rows,
}


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=LIBRARIES, help="its rows alone")
    only = parser.parse_args().library
    torch.set_num_threads(1)
    print("| library | its name | network | largest relative error |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for library in (only,) if only else LIBRARIES:
            for theirs, ours, error in LIBRARIES[library](Path(folder)):
                print(f"| {library} | {theirs} | {ours} | {error:.1e} |", flush=True)


if __name__ == "__main__":
    main()
