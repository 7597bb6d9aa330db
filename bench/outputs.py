"""The same drawn numbers on both sides: our outputs against each library's, through a file of its own.

    python -m bench.outputs > table.md
    python -m bench.outputs --library EfficientNet-PyTorch

For every network a library and the zoo share: the library's model gets drawn numbers, its state dict (of
TensorFlow, where it is installed, a checkpoint) is written, read by `load_model`, and both answer images of
three sizes, odd ones included, in float32. The largest relative error of the logits is printed. The table
stands in docs/weights.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from efficientnet_pytorch import EfficientNet
from torch import Tensor, nn
from torchvision import models

from budgetnet.model.weights import load_model
from budgetnet.zoo import names
from tests.drawn import filled, images

SIZES = ((64, 64), (65, 97), (33, 40))
TORCHVISION = {
    "mobilenet_v2": "mobilenet_v2",
    "mobilenet_v3_small": "mobilenet_v3_small",
    "mobilenet_v3_large": "mobilenet_v3_large",
    "mnasnet_b1": "mnasnet1_0",
    "resnet50": "resnet50",
    **{f"efficientnet_b{size}": f"efficientnet_b{size}" for size in range(8)},
    **{f"efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"},
}
EFFICIENTNET_PYTORCH = {
    f"tf_efficientnet_{size}": f"efficientnet-{size}" for size in (*(f"b{number}" for number in range(9)), "l2")
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


class Executed(nn.Module):
    """A network of Google's that TensorFlow runs, as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from tests import google_networks

        self.google = google_networks
        self.network = google_networks.Google(name, dtype=google_networks.tf.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return torch.from_numpy(self.network(x.numpy()))


def pairs() -> Iterator[tuple[str, str, str, Callable[[], nn.Module]]]:
    """(library, its name, ours, what makes its model)."""
    for ours, theirs in TORCHVISION.items():
        yield "torchvision", theirs, ours, getattr(models, theirs)
    for ours in names():
        if timm_name(ours) in timm.list_models():
            yield "timm", timm_name(ours), ours, partial(timm.create_model, timm_name(ours))
    for ours, theirs in EFFICIENTNET_PYTORCH.items():
        yield "EfficientNet-PyTorch", theirs, ours, partial(EfficientNet.from_name, theirs, image_size=None)
    if find_spec("tensorflow"):
        from tests.google_networks import OURS

        for theirs, ours in OURS.items():
            yield "TensorFlow", theirs, ours, partial(Executed, theirs)


def written(model: nn.Module, file: Path) -> Path:
    """A library's own file of a model with drawn numbers."""
    if isinstance(model, Executed):
        return model.google.write_checkpoint(file, model.network.variables)
    torch.save(filled(model).state_dict(), file.with_suffix(".pth"))
    return file.with_suffix(".pth")


@torch.no_grad()
def largest_error(ours: nn.Module, theirs: nn.Module) -> float:
    """Over the sizes: max |ours - theirs| / max |theirs|."""
    worst = 0.0
    for height, width in SIZES:
        x = images(2, 3, height, width, seed=1)
        expected = theirs(x)
        worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", metavar="NAME", help="the rows of this one alone")
    wanted = parser.parse_args().library
    torch.set_num_threads(1)
    print("| library | its name | network | largest relative error |\n| --- | --- | --- | --- |")
    for library, theirs, ours, make in pairs():
        if wanted not in (None, library):
            continue
        model = make()
        with tempfile.TemporaryDirectory() as folder:
            loaded = load_model(written(model, Path(folder) / "model"))
        assert loaded.network.name == ours, f"{theirs} is taken for {loaded.network.name}"
        print(f"| {library} | {theirs} | {ours} | {largest_error(loaded.model, model):.1e} |", flush=True)


if __name__ == "__main__":
    main()
