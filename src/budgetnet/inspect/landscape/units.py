"""Units that have died in a trained network: their gradient is blocked, or their output the same, on every image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from budgetnet.arguments import RUN, integer, of_kind, path, wrong
from budgetnet.data import Folders, data_of, evenly, open_cache
from budgetnet.data.batches import input_batches
from budgetnet.inspect.landscape.functions import DEAD_SLOPE, largest_slope, name_of, with_slope
from budgetnet.model.layers import activation_row
from budgetnet.networks import Activation
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.runs.run import device_of, load_run
from budgetnet.training.scored_images import images_of

SILENT_DEVIATION = 0.01
"""A unit is silent below this share of its layer's deviation."""
GATES = ("sigmoid", "hard_sigmoid")


@dataclass(frozen=True, slots=True)
class LayerUse:
    """How the units (channels) of one activation are used on a set of images.

    With f the function and z what it reads, a place is blocked where the slope of f at z is below 0.01 of the largest
    slope of f: no gradient gets through. For ReLU that is "0", as usual; the same rule holds for every function.

    Attributes:
        name: The module's name in the model.
        activation: The function.
        units: How many units.
        dead: Units that are blocked at every place of every image.
        silent: Units whose output has a standard deviation, over images and places, below 0.01 of the layer's (the root
            mean square of its units'): whatever the image, they say the same.
        blocked_share: The share of all (image, place, unit) that are blocked.
    """

    name: str
    activation: str
    units: int
    dead: int
    silent: int
    blocked_share: float


@dataclass(frozen=True, slots=True)
class KindUse:
    """The layers of one activation function together.

    Attributes:
        activation: The function.
        layers: How many layers.
        units: How many units.
        dead: Units that are dead; see `LayerUse`.
        silent: Units that are silent.
        blocked_share: The mean over units.
    """

    activation: str
    layers: int
    units: int
    dead: int
    silent: int
    blocked_share: float


@dataclass(frozen=True, slots=True)
class UnitUse:
    """How the units of a network are used on images.

    Attributes:
        images: How many images.
        layers: A row for each activation, in the order in which they run.
    """

    images: int
    layers: tuple[LayerUse, ...]

    def kinds(self) -> tuple[KindUse, ...]:
        """The sums over the layers of each activation function.

        Returns:
            A row for each function, the one with the most units first.
        """
        rows: list[KindUse] = []
        for kind in dict.fromkeys(layer.activation for layer in self.layers):
            same = [layer for layer in self.layers if layer.activation == kind]
            units = sum(layer.units for layer in same)
            rows.append(
                KindUse(
                    activation=kind,
                    layers=len(same),
                    units=units,
                    dead=sum(layer.dead for layer in same),
                    silent=sum(layer.silent for layer in same),
                    blocked_share=sum(layer.units * layer.blocked_share for layer in same) / units,
                )
            )
        return tuple(sorted(rows, key=lambda row: (row.activation in GATES, -row.units)))


@dataclass(slots=True, eq=False)
class _Watch:
    """What is seen of one activation, batch by batch; mean and squares by Chan's rule, which does not cancel."""

    row: Activation
    open_once: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    blocked: int = 0
    places: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(0))
    squares: Tensor = field(default_factory=lambda: torch.zeros(0))

    def see(self, module: nn.Module, z: Tensor, output: Tensor) -> None:
        """Inputs and outputs of the activation: (n, units, ...)."""
        slopes = with_slope(module, z)[1]
        shut = _by_unit(slopes.abs() < DEAD_SLOPE * largest_slope(self.row)).cpu()
        values = _by_unit(output.detach()).cpu().double()  # not every device has float64
        count, mean = values.shape[1], values.mean(1)
        squares = ((values - mean[:, None]) ** 2).sum(1)
        if not self.places:
            self.open_once, self.mean, self.squares = ~shut.all(1), mean, squares
        else:
            total, gap = self.places + count, mean - self.mean
            self.open_once = self.open_once | ~shut.all(1)
            self.squares = self.squares + squares + gap**2 * (self.places * count / total)
            self.mean = self.mean + gap * (count / total)
        self.places += count
        self.blocked += int(shut.sum())

    def use(self, name: str) -> LayerUse:
        """What came out of it."""
        variances = self.squares / self.places
        units = len(variances)
        layer = variances.mean().sqrt()
        return LayerUse(
            name=name,
            activation=name_of(self.row),
            units=units,
            dead=int((~self.open_once).sum()),
            silent=int((variances.sqrt() <= SILENT_DEVIATION * layer).sum()),
            blocked_share=self.blocked / (units * self.places),
        )


def _by_unit(values: Tensor) -> Tensor:
    """(n, units, ...) -> (units, n * places)."""
    return values.transpose(0, 1).flatten(1)


def dead_units(model: nn.Module, batches: Iterable[Tensor]) -> UnitUse:
    """How many units of a model are dead or silent on images: `LayerUse` says what that means.

    Source: dying ReLUs, Lu et al., arXiv:1903.06733, section 1.

    Args:
        model: A torch module with activations of ours, as `build` makes it. It computes in evaluation mode and is left
            in the mode it was in. Gates of squeeze-and-excitation count as activations too.
        batches: Inputs of the model, each (n, channels, h, w), prepared as the model needs them.

    Returns:
        The counts, layer by layer.

    Raises:
        ValueError: There are no images, or the model has no activation that is known here.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet, torch
        >>> model = budgetnet.build(budgetnet.network("mobilenet_v2", classes=2, resolution_px=32), seed=0)
        >>> use = budgetnet.dead_units(model, [torch.rand(4, 3, 32, 32)])
        >>> use.images, use.kinds()[0].activation
        (4, 'relu6')
    """
    of_kind("model", model, nn.Module, "a torch module, as budgetnet.build(network) gives")
    if isinstance(batches, Tensor):
        batches = [batches]
    if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):
        raise wrong("batches", batches, "tensors (n, channels, h, w)", of_type=True)
    images, was_training = 0, model.training
    model.eval()
    try:
        with _watched(model) as watches, torch.no_grad():
            if not watches:
                raise ValueError("the model has no activation that is known here; build it with budgetnet.build")
            for batch in batches:
                if of_kind("one of the batches", batch, Tensor, "a tensor (n, channels, h, w)").ndim != 4:
                    raise ValueError(f"a batch has {batch.ndim} dimensions; give tensors (n, channels, h, w)")
                model(batch)
                images += len(batch)
    finally:
        model.train(was_training)
    if not images:
        raise ValueError("there are no images; give at least one batch")
    return UnitUse(images, tuple(callback.use(name) for name, callback in watches.items() if callback.places))


@contextmanager
def _watched(model: nn.Module) -> Iterator[dict[str, _Watch]]:
    """Every activation of the model with what is seen of it, by its module's name, until the end of the `with`."""
    watches: dict[str, _Watch] = {}
    hooks: list[RemovableHandle] = []
    for name, module in model.named_modules():
        row = activation_row(module)
        if row is None or row.kind == "identity":
            continue
        callback = watches[name] = _Watch(row)
        hooks.append(
            module.register_forward_hook(lambda one, z, output, callback=callback: callback.see(one, z[0], output))
        )
    try:
        yield watches
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True, slots=True)
class RunUse:
    """A trained run's units: which network, on which split of its images."""

    run: str
    network: str
    split: str
    use: UnitUse


def dead_units_of(
    run: str | Path,
    data: str | Path | Folders | None = None,
    split: str | None = None,
    images: int = 256,
    batch: int = 32,
    device: str = "auto",
    progress: Progress | None = None,
) -> RunUse:
    """`dead_units` of a run's trained model, on at most `images` images of a split, evenly from all classes.

    Without `data` the run's own images, of the validation split unless said otherwise; other data whole. Raises
    one-line `ValueError`s as `evaluate` does.
    """
    run, data = path("run", run, RUN), None if data is None else data_of(data)
    images, batch = integer("images", images), integer("batch", batch)
    device = device_of(device)
    loaded = load_run(run)
    scored = images_of(run, loaded, data, split, "validation", progress)
    shown, chosen = scored.images, evenly(scored.indices, images)
    pixels, progress = open_cache(shown, loaded.side_px, progress=progress), progress or silent

    def batches() -> Iterator[Tensor]:
        done = 0
        for inputs in input_batches(pixels, chosen, batch, loaded.network.resolution_px, loaded.preprocessing, device):
            yield inputs
            done += len(inputs)
            progress(Update("units", done, len(chosen), shown.name))

    use = dead_units(loaded.model.to(device), batches())
    return RunUse(str(run), loaded.network.name, scored.split, use)
