"""The rival, in a process of its own: timm's network in a plain loop, as good as we can make a plain loop.

What a good engineer takes: channels_last, AdamW without decay of biases and norms, cosine with a warm-up, random crops
and flips, label smoothing, clipped gradients, a moving average, pretrained weights with frozen BatchNorm, images of the
shape that most photos have, decoded once and kept in memory. The schedule goes by the clock and so ends with the time,
whatever the machine does beside. It learns from the same images as ours.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.models import efficientnet
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

from bench.mobilenet_v2 import sized
from bench.time_to_accuracy.spent import TRAINING_MACS
from budgetnet import Budget, Folders, adapt, build, cost, fit, network, open_images
from budgetnet.data import ImageSet
from budgetnet.experiments.bases import shaped_px
from budgetnet.model.timm_names import as_timm_has_it, timm_model
from budgetnet.model.weights import load_model
from budgetnet.networks import Network
from budgetnet.parallel.workers import cores
from budgetnet.training.plan import preprocessing_for

EPSILON_SECONDS = 1.0
"""Saving the model and leaving the process take this time at most."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the rival trains. Arms with other values (`--rival`) choose, on validation images."""

    rate: float
    batch: int
    weight_decay: float
    crop_scale: tuple[float, float]
    colour: float
    warmup_share: float = 0.05
    smoothing: float = 0.1
    clip_norm: float = 2.0
    ema_decay: float = 0.99


FINETUNE = Way(rate=5e-4, batch=32, weight_decay=0.01, crop_scale=(0.5, 1.0), colour=0.0)
FROM_NOTHING = Way(rate=4e-3, batch=64, weight_decay=0.05, crop_scale=(0.35, 1.0), colour=0.2)


def finetuned(weights: str, macs: int, images: ImageSet) -> tuple[Network, nn.Module]:
    """timm's network with these weights and a new classifier, at the highest resolution that keeps the limit."""
    loaded = load_model(weights)
    theirs = timm_model(loaded.network)
    if theirs is None:
        raise ValueError(f"timm has no network for the weights {weights}; give weights of a network that it has")
    model: Any = timm.create_model(theirs.name, num_classes=loaded.network.classes, drop_rate=0.2, **theirs.arguments)
    model.load_state_dict(as_timm_has_it(loaded.model, model.state_dict()))
    model.reset_classifier(len(images.classes))
    nn.init.zeros_(model.classifier.weight)
    base = adapt(network(loaded.network.name, len(images.classes)), shaped_px(images))
    return fit(base, Budget(macs=macs), "resolution").network, model


def from_nothing(macs: int, images: ImageSet) -> tuple[Network, nn.Module]:
    """timm's MobileNetV2: by resolution for photos; for small images by width, with its first two strides dropped."""
    small = images.median_short_side_px < 64
    row, width = sized(macs, len(images.classes), images.median_short_side_px, 2 if small else 0)
    model = efficientnet._gen_mobilenet_v2("mobilenetv2_100", width, num_classes=row.classes, drop_rate=0.2)
    pairs = zip(convolutions(model), convolutions(build(row)), strict=True)
    for theirs, ours in pairs:
        theirs.stride = ours.stride
    return row, model


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """In the order of their computation."""
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


class Photos(Dataset[tuple[Tensor, int]]):
    """Images of a split, decoded once and kept in memory, changed anew at each access."""

    def __init__(self, images: ImageSet, splits: Sequence[str], side_px: int, change: Callable[[Any], Tensor]) -> None:
        self.indices = np.concatenate([images.indices(split) for split in splits]).tolist()
        self.labels = [images.labels[index] for index in self.indices]
        self.pixels = [decoded(Path(images.root) / images.files[index], side_px) for index in self.indices]
        self.change = change

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.change(self.pixels[place]), self.labels[place]


def decoded(file: Path, side_px: int) -> Image.Image:
    """An image as RGB, its short side no longer than needed."""
    with Image.open(file) as image:
        image.draft("RGB", (2 * side_px, 2 * side_px))
        whole = image.convert("RGB")
    scale = side_px / min(whole.size)
    size = (round(whole.width * scale), round(whole.height * scale))
    return whole.resize(size, Image.Resampling.BICUBIC) if scale < 1 else whole


class Schedule:
    """How much of the time is gone, and the learning rate then: a warm-up, then a cosine down to 0."""

    def __init__(self, way: Way, began: float, end: float) -> None:
        self.way, self.began, self.end = way, began, end

    @property
    def share(self) -> float:
        """From 0 at the first step to 1 at the end."""
        return min(1.0, (time.time() - self.began) / max(1e-9, self.end - self.began))

    def rate(self) -> float:
        """At this moment."""
        share = self.share
        risen = min(1.0, (share + 0.002) / self.way.warmup_share)
        fallen = max(0.0, share - self.way.warmup_share) / (1 - self.way.warmup_share)
        return self.way.rate * risen * 0.5 * (1 + math.cos(math.pi * fallen))


def batches(photos: Photos, batch: int, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Without end: whole batches, one permutation of the images after another."""
    sampler = RandomSampler(photos, num_samples=10**9 // batch * batch, replacement=False)
    loader = DataLoader(photos, batch, sampler=sampler, num_workers=workers, drop_last=True)
    yield from loader


def train(
    model: nn.Module, photos: Photos, way: Way, began: float, end: float, frozen_norm: bool, workers: int
) -> tuple[nn.Module, int]:
    """The moving average at the end, and how many images were seen."""
    model = model.to(memory_format=torch.channels_last)
    decayed = [param for param in model.parameters() if param.ndim > 1]
    rest = [param for param in model.parameters() if param.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": way.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=way.rate, fused=True)
    average = ModelEmaV3(model, decay=way.ema_decay, use_warmup=True, warmup_gamma=1.0, warmup_power=0.75)
    schedule = Schedule(way, time.time(), end)
    model.train()
    if frozen_norm:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    steps = 0
    for inputs, labels in batches(photos, min(way.batch, len(photos)), workers):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate()
        logits = model(inputs.to(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, labels, label_smoothing=way.smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), way.clip_norm)
        optimiser.step()
        steps += 1
        average.update(model, step=steps)
        if schedule.share >= 1.0:
            break
    return average.module, steps * min(way.batch, len(photos))


@torch.inference_mode()
def answered(model: nn.Module, photos: Photos) -> int:
    """How many images it answers rightly."""
    model.eval()
    loader = DataLoader(photos, 64)
    return sum(
        int((model(inputs.to(memory_format=torch.channels_last)).argmax(1) == labels).sum())
        for inputs, labels in loader
    )


def main() -> None:
    """Read what is asked from standard input, train, and write what was found into the file that is named there."""
    asked = json.load(sys.stdin)
    end = asked["began"] + asked["seconds"] - EPSILON_SECONDS
    torch.set_num_threads(asked.get("threads", cores()))
    torch.manual_seed(asked["seed"])
    images = open_images(Folders(train=asked["train"], test=asked["judges"]), asked["seed"])
    tuned = asked["weights"] != "none"
    way = FINETUNE if tuned else FROM_NOTHING
    way = Way(**{**{name: getattr(way, name) for name in Way.__slots__}, **asked.get("way", {})})
    if tuned:
        row, model = finetuned(asked["weights"], asked["macs"], images)
    else:
        row, model = from_nothing(asked["macs"], images)
    px = row.resolution_px
    normal = preprocessing_for(images, asked["weights"] if tuned else None)
    finish = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(normal.mean, normal.std)]
    colour = [v2.ColorJitter(way.colour, way.colour, way.colour)] if way.colour else []
    shape = px[1] / px[0]
    ratio, bicubic = (3 / 4 * shape, 4 / 3 * shape), v2.InterpolationMode.BICUBIC
    crop = v2.RandomResizedCrop(px, way.crop_scale, ratio, interpolation=bicubic)
    change = v2.Compose([crop, v2.RandomHorizontalFlip(), *colour, *finish])
    plain = v2.Compose([v2.Resize(px, interpolation=bicubic), *finish])
    learned = ("train", "validation") if asked["ours"] == "solve" else ("train",)
    side_px = math.ceil(1.3 * max(px))
    photos = Photos(images, learned, side_px, change)
    trained, seen = train(model, photos, way, asked["began"], end, tuned, asked.get("workers", 0))
    torch.save(trained.state_dict(), Path(asked["folder"]) / "model.pt")
    took = time.time() - asked["began"]
    judges = Photos(images, ("test",), side_px, plain)
    macs = cost(row).macs
    found = {
        "network": f"timm's {row.name} at {px[0]}x{px[1]} px",
        "macs": macs,
        "training_macs": float(TRAINING_MACS * macs * seen),
        "epochs": seen / len(photos),
        "took_seconds": took,
        "right": answered(trained, judges),
        "judged": len(judges),
    }
    Path(asked["found"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
