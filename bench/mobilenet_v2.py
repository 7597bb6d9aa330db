"""The network to beat: torchvision's MobileNetV2 with torchvision's usual recipe, on the same split.

    python -m bench.mobilenet_v2 DATA --macs 60000000 --seconds 900 --out FILE.npz [--steps N] [--dropped-strides 2]

Width 1 at the largest multiple of 32 px (from 64 px on), else the width of a multiple of 0.05 at the
images' own size, that keeps the MACs. SGD with momentum, rate 0.045 a step of 64 images, weight decay 4e-5,
falling each epoch, RandomResizedCrop and flip, as in torchvision's references/classification for
mobilenet_v2; the recipe's 300 epochs of 0.98 become a fall just as deep over the epochs that the
time allows. It computes on one thread, and gets the steps that all cores would make in the time if
they scaled perfectly, from the fastest of a few timed steps: both favour this side, and what runs
beside it changes nothing. At 32 px torchvision's strides leave a last map of 1 px and its crops 8 %
of the image: it hardly learns. `--dropped-strides` makes the rival that people train on CIFAR-10
instead: so many of the first strides are 1, and images are shifted by up to an eighth of the side and
mirrored. Writes probabilities on the test split, for a paired comparison.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from budgetnet import adapt, cost, network, open_images
from budgetnet.data import Preprocessing, needed_side_px, open_cache
from budgetnet.data.augment import Augmentation
from budgetnet.data.batches import TrainBatches, batches
from budgetnet.networks import Network
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.statistics import wilson

BATCH, RATE, DECAY_PER_EPOCH, EPOCHS = 64, 0.045, 0.98, 300
USUAL = (
    Preprocessing(fit="crop", crop_share=224 / 256),
    Augmentation(crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3), flip=0.5),
)
SMALL = (Preprocessing(fit="crop"), Augmentation(translate=4 / 32, border="zeros", flip=0.5))
"""He et al., arXiv:1512.03385, section 4.2: 4 pixels of padding, a crop of 32, a flip."""


def sized(macs: int, classes: int, own_px: int, dropped_strides: int) -> tuple[Network, float]:
    """MobileNetV2 of at most `macs` and its width: by resolution for photos, by width for small images."""
    base = network("mobilenet_v2", classes)
    if own_px >= 64:
        choices = [(adapt(base, px, dropped_strides), 1.0) for px in range(64, 257, 32)]
    else:
        base = adapt(base, own_px, dropped_strides)
        widths = [percent / 100 for percent in range(10, 300, 5)]
        choices = [(resize(base, Scaling(width=width)), width) for width in widths]
    return max((row for row in choices if cost(row[0]).macs <= macs), key=lambda row: cost(row[0]).macs)


def built(row: Network, width: float) -> torch.nn.Module:
    """torchvision's module of that width, with the row's strides: its own are those of ImageNet."""
    from torchvision.models import mobilenet_v2

    pairs = zip(network("mobilenet_v2").stages, row.stages, strict=True)
    rows = [[int(own.expansion), own.channels, own.repeats, stage.stride] for own, stage in pairs]
    model = mobilenet_v2(num_classes=row.classes, width_mult=width, inverted_residual_setting=rows)
    stem = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    stem.stride = (row.stem.stride, row.stem.stride)
    assert sum(p.numel() for p in model.parameters()) == cost(row).params, "torchvision's network is not the row's"
    return model.to(memory_format=torch.channels_last)


def main() -> None:
    """Train for the steps that the time allows, then answer the test split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--macs", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--dropped-strides", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if asked.out.exists():
        parser.error(f"{asked.out} holds the answers of an earlier training; give another --out")
    torch.set_num_threads(1)
    torch.manual_seed(asked.seed)
    images = open_images(asked.data, asked.seed)
    row, width = sized(asked.macs, len(images.classes), images.median_short_side_px, asked.dropped_strides)
    px = row.resolution_px
    preprocessing, augmentation = SMALL if asked.dropped_strides else USUAL
    pixels = open_cache(images, needed_side_px(px, preprocessing))
    model = built(row, width)
    stream = TrainBatches(images, pixels, BATCH, px, preprocessing, augmentation, asked.seed)
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=4e-5)
    epoch_steps = len(images.indices("train")) / BATCH
    start, durations, steps = time.perf_counter(), [], asked.steps
    print(f"{row.name} width {width:g} at {px} px, {cost(row).macs / 1e6:.1f} M MACs", flush=True)
    step = 0
    while steps is None or step < steps:
        before = time.perf_counter()
        if steps:
            for group in optimiser.param_groups:
                group["lr"] = RATE * DECAY_PER_EPOCH ** (EPOCHS * (step // epoch_steps) / (steps / epoch_steps))
        model.train()
        batch = stream.batch_at(step)
        loss = functional.cross_entropy(model(batch.inputs), batch.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        durations.append(time.perf_counter() - before)
        step += 1
        if steps is None and step == 12:
            rate = (os.cpu_count() or 1) * BATCH / min(durations[2:])
            steps = int(asked.seconds * rate / BATCH)
            print(f"{rate:.0f} images a second, {steps} steps, {steps / epoch_steps:.1f} epochs", flush=True)
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f} {time.perf_counter() - start:.0f} s", flush=True)
    model.eval()
    with torch.no_grad():
        parts = [model(b.inputs).softmax(1).numpy() for b in batches(images, pixels, "test", 64, px, preprocessing)]
    probabilities, indices = np.concatenate(parts), images.indices("test")
    labels = np.array(images.labels)[indices]
    correct = probabilities.argmax(1) == labels
    np.savez(
        asked.out, probabilities=probabilities, files=np.array(images.files)[indices], labels=labels, steps=steps or 0
    )
    low, high = (100 * bound for bound in wilson(int(correct.sum()), len(correct)))
    accuracy = f"{100 * correct.mean():.2f} % (95 % interval {low:.1f} to {high:.1f})"
    print(f"test accuracy {accuracy}, {len(correct)} images")


if __name__ == "__main__":
    main()
