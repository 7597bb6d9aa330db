"""The same drawn numbers on both sides: our outputs against each library's, through a file of its own.

    python -m bench.outputs > table.md

For every network a library and the zoo share: the library's model gets drawn numbers, its state dict is
written, read by `load_model`, and both answer images of three sizes, odd ones included, in float32. The
largest relative error of the logits is printed. The table stands in docs/weights.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
from torch import nn
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


def pairs() -> Iterator[tuple[str, str, str, nn.Module]]:
    """(library, its name, ours, its model)."""
    for ours, theirs in TORCHVISION.items():
        yield "torchvision", theirs, ours, getattr(models, theirs)()
    for ours in names():
        if timm_name(ours) in timm.list_models():
            yield "timm", timm_name(ours), ours, timm.create_model(timm_name(ours))


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
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    print("| library | its name | network | largest relative error |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for library, theirs, ours, model in pairs():
            file = Path(folder) / f"{theirs}.pth"
            torch.save(filled(model).state_dict(), file)
            loaded = load_model(file)
            assert loaded.network.name == ours, f"{theirs} is taken for {loaded.network.name}"
            print(f"| {library} | {theirs} | {ours} | {largest_error(loaded.model, model):.1e} |", flush=True)
            file.unlink()


if __name__ == "__main__":
    main()
