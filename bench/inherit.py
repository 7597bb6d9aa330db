"""What each change costs a pretrained network before any training: accuracy on images that it was not fitted on.

    python -m bench.inherit lite0 ../shared/data/imagenet-samples

DATA is labelled as the source's classes are (class folders or a labels.csv). Every second image is given to
`inherit` to fit on, the others are scored. "features" is the share of the variance of the parent's features
that the child's do not tell; 1 is what a constant would get. The table stands in docs/inheritance.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from budgetnet import build, cost, inherit, open_images
from budgetnet.data import Preprocessing, needed_side_px, open_cache
from budgetnet.data.batches import prepare
from budgetnet.model.build import Model
from budgetnet.model.inherit import losses
from budgetnet.model.weights import load_model
from budgetnet.networks import RELU6, SWISH, Network, Squeeze, Stage
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.training.scored_images import class_indices


def changes(parent: Network) -> Iterator[tuple[str, Network]]:
    """(what is changed, the child's network)."""
    yield "nothing", parent
    yield "kernels 3 to 5", each(parent, lambda row: dataclasses.replace(row, kernel=max(row.kernel, 5)))
    yield "kernels 5 to 3", each(parent, lambda row: dataclasses.replace(row, kernel=3))
    for name, row in (("Swish", SWISH), ("ReLU6", RELU6)):
        if parent.stem.activation != row:
            yield f"activation to {name}", activated(parent, row)
    if any(stage.squeeze for stage in parent.stages):
        yield "squeeze-and-excitation removed", each(parent, lambda row: dataclasses.replace(row, squeeze=None))
    else:
        added = Squeeze(0.25)
        yield "squeeze-and-excitation added", each(parent, lambda row: dataclasses.replace(row, squeeze=added))
    for depth, width in ((1.5, 1.0), (1.0, 1.4), (1.5, 1.2), (0.7, 1.0), (1.0, 0.75), (0.7, 0.75)):
        yield f"depth x {depth:g}, width x {width:g}", resize(parent, Scaling(depth, width, 1.0))


def each(network: Network, change: Callable[[Stage], Stage]) -> Network:
    """The network with every stage changed."""
    return dataclasses.replace(network, stages=tuple(map(change, network.stages)))


def activated(network: Network, row: object) -> Network:
    """The network with another activation everywhere."""
    changed = each(network, lambda stage: dataclasses.replace(stage, activation=row))
    stem, head = (dataclasses.replace(part, activation=row) for part in (network.stem, network.head))
    return dataclasses.replace(changed, stem=stem, head=head)


@torch.no_grad()
def answers(model: Model, images: Tensor) -> tuple[Tensor, Tensor]:
    """(features, classes) of the images."""
    features = torch.cat([model.features(chunk) for chunk in images.split(32)])
    return features, model.classifier(features).argmax(1)


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("data")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_model(asked.source)
    parent, preprocessing = weights.model, Preprocessing(**weights.preprocessing)
    images = open_images(asked.data, whole=True)
    pixels = open_cache(images, needed_side_px(parent.network.resolution_px, preprocessing))
    inputs = prepare([pixels[k] for k in range(len(images))], parent.network.resolution_px, preprocessing)
    labels = torch.tensor(class_indices(images.classes, weights.classes, asked.data))[list(images.labels)]
    fitted_on, scored, labels = inputs[::2], inputs[1::2], labels[1::2]
    theirs, _ = answers(parent, scored)
    print("| change | M MACs | M params | seconds | features | top-1 |\n| --- | --- | --- | --- | --- | --- |")
    for name, network in changes(parent.network):
        before = time.process_time()
        needs = any(losses(network, parent.network))
        child = inherit(build(network, seed=0), parent, fitted_on if needs else None)
        seconds = time.process_time() - before
        mine, classes = answers(child, scored)
        told = "-" if mine.shape != theirs.shape else f"{share(mine, theirs):.3f}"
        top1, price = 100 * float((classes == labels).float().mean()), cost(network)
        sizes = f"{price.macs / 1e6:.0f} | {price.params / 1e6:.2f}"
        print(f"| {name} | {sizes} | {seconds:.1f} | {told} | {top1:.1f} % |", flush=True)


def share(mine: Tensor, theirs: Tensor) -> float:
    """Of the variance of `theirs` (n, features), what `mine` does not tell."""
    return float(((mine - theirs) ** 2).sum() / ((theirs - theirs.mean(0)) ** 2).sum())


if __name__ == "__main__":
    main()
