"""The output of dense networks as they are initialised, over a plane of inputs, and how rough it is."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from budgetnet.arguments import integer, listener, number, plain_numbers, several
from budgetnet.inspect.landscape.functions import (
    KINKS,
    distinct,
    gain,
    given_activation,
    name_of,
    slope_growth,
    title_of,
)
from budgetnet.model.layers import activation as layer
from budgetnet.networks import Activation, ActivationKind, check_integer
from budgetnet.parallel.progress import Progress, Update, silent

ACTIVATIONS = ("relu", "swish:0.5", "swish", "swish:2", "swish:10", "hard_swish", "gelu", "tanh")
BIAS_SHARE = 0.2
"""The share of the biases in the variance of what a unit sums. Without biases the output of a ReLU network is a cone:
f(c x) = c f(x), and all its edges meet in the origin."""
LEAST_DEVIATION, FLAT = 1e-6, 1e-9
"""An output that varies less, against its largest value, is rounding; so are scaled second differences below FLAT."""
ROWS_AT_ONCE = 32
"""Grid rows that are computed together: memory stays small however fine the grid."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The networks of an output landscape, and the plane of their inputs.

    Attributes:
        size: Steps a side of the grid, even and at least 8.
        layers: Dense layers.
        units: Units of each layer.
        extent: The plane is [-extent, extent] in both directions.

    Raises:
        ValueError: A size is below its least, `size` is odd, or `extent` is not a positive number.
    """

    size: int = 240
    layers: int = 6
    units: int = 128
    extent: float = 3.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_integer("size", self.size, 8)
        check_integer("layers", self.layers)
        check_integer("units", self.units)
        if self.size % 2:
            raise ValueError(f"size is {self.size}; it must be even, so that every second point is a grid as well")
        number("extent", self.extent, above=0.0)

    @property
    def spacing(self) -> float:
        """Distance of two neighbours of the grid."""
        return 2 * self.extent / self.size


@dataclass(frozen=True, slots=True)
class Roughness:
    """How rough one landscape is.

    y is in standard deviations over the plane, h is the grid's spacing, d and d2 are the first and second differences
    along all rows and columns.

    Attributes:
        total_variation: The mean of abs(d) / h: how far y goes up and down along a line of length 1.
        bend: The mean of abs(d2) / h**2: how far the slope turns along a line of length 1.
        largest_bend: The largest abs(d2) / h**2; it grows without end as h falls, where there are edges.
        edge_growth: The root mean square of d2 / h**2 over that of every second point: 1 where the surface is smooth at
            this scale or flat, sqrt(2) where it consists of edges.
        kink_share: The share of cells between whose corners any unit goes from one region of its function into another
            (ReLU: turns on or off); 0 for a function without kinks.
        kinks_per_length: How many units do so along a line of length 1.
    """

    total_variation: float
    bend: float
    largest_bend: float
    edge_growth: float
    kink_share: float
    kinks_per_length: float


MEASURES = tuple(field.name for field in dataclasses.fields(Roughness))


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure over the seeds.

    Attributes:
        mean: The mean.
        deviation: The sample standard deviation; None for one seed.
        values: The value of each seed.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ActivationLandscape:
    """The landscape of one activation function.

    Attributes:
        activation: The function.
        gain: What weights are multiplied by, so that every layer keeps its variance.
        slope_growth: The factor on the square of a small difference of two inputs in a layer; above 1 they move apart.
        heights: The output of the first seed's network, (size + 1, size + 1), x along the rows' direction, scaled to
            mean 0 and standard deviation 1.
        roughness: An entry for each seed.
    """

    activation: Activation
    gain: float
    slope_growth: float
    heights: NDArray[np.float64]
    roughness: tuple[Roughness, ...]

    def spread(self, measure: str) -> Spread:
        """A measure of `Roughness` over the seeds.

        Args:
            measure: The name of the field.

        Returns:
            Mean, deviation and values.
        """
        values = tuple(getattr(row, measure) for row in self.roughness)
        return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, values)

    def numbers(self) -> ActivationNumbers:
        """The numbers, without the heights."""
        return ActivationNumbers(
            name=name_of(self.activation),
            kind=self.activation.kind,
            beta=self.activation.beta,
            gain=self.gain,
            slope_growth=self.slope_growth,
            measures={name: self.spread(name) for name in MEASURES},
        )


@dataclass(frozen=True, slots=True)
class ActivationNumbers:
    """The numbers of one activation.

    Attributes:
        name: The activation's name, with its beta where it has one.
        kind: The kind of activation.
        beta: The beta of Swish.
        gain: What weights are multiplied by, so that every layer keeps its variance.
        slope_growth: The factor on the square of a small difference of two inputs in a layer; above 1 they move apart.
        measures: Each measure of `Roughness`, by its name, over the seeds.
    """

    name: str
    kind: ActivationKind
    beta: float
    gain: float
    slope_growth: float
    measures: dict[str, Spread]

    @property
    def title(self) -> str:
        """The activation, as people write it."""
        return title_of(Activation(self.kind, self.beta))


@dataclass(frozen=True, slots=True, eq=False)
class OutputLandscape:
    """The landscapes of several activation functions, from the same draws of weights.

    Attributes:
        plane: The networks and the plane.
        seeds: How many draws.
        rows: A landscape for each function.
    """

    plane: Plane
    seeds: int
    rows: tuple[ActivationLandscape, ...]

    def numbers(self) -> OutputNumbers:
        """The numbers, without the heights."""
        plane = self.plane
        rows = tuple(row.numbers() for row in self.rows)
        return OutputNumbers(plane.size, plane.layers, plane.units, plane.extent, self.seeds, BIAS_SHARE, rows)


@dataclass(frozen=True, slots=True)
class OutputNumbers:
    """The numbers of output landscapes: the networks, the plane of their inputs, and a row an activation.

    Attributes:
        size: Points along a side of the plane.
        layers: Hidden layers of each network.
        units: Units of each hidden layer.
        extent: The plane goes from minus this to this in both inputs.
        seeds: Networks that were drawn for each activation.
        bias_share: The share of the variance of a layer that its biases have.
        activations: A row for each activation.
    """

    size: int
    layers: int
    units: int
    extent: float
    seeds: int
    bias_share: float
    activations: tuple[ActivationNumbers, ...]


def output_landscape(
    activations: Sequence[str | Activation] = ACTIVATIONS,
    seeds: int = 10,
    size: int = 240,
    layers: int = 6,
    units: int = 128,
    extent: float = 3.0,
    progress: Progress | None = None,
) -> OutputLandscape:
    """The output of dense networks with one number as output, as they are initialised, over a plane of inputs::

        z_1 = W_1 x + b_1,   z_l = W_l f(z_(l-1)) + b_l,   y = w f(z_layers)

    Weights are drawn from N(0, (1 - v) g**2 / inputs) and biases from N(0, v), with v = 0.2 and g the activation's
    gain (1 for the first layer, which reads x), so that every z has the variance 1 for inputs of mean square 1. For
    one seed all activations get the same normal numbers. y is scaled to mean 0 and standard deviation 1 over the
    plane, so that only its shape counts. The same arguments give the same numbers.

    Source: the first version of Ramachandran et al., arXiv:1710.05941, shows such landscapes; Alcaide,
    arXiv:1801.07145, figures 4 and 5, has 6 layers of 128 units.

    Args:
        activations: Names such as "relu", "swish", "swish:0.5" (a beta) or "tanh", or activations.
        seeds: How many draws of weights.
        size: Steps a side of the grid, even and at least 8.
        layers: Dense layers.
        units: Units of each layer.
        extent: The plane is [-extent, extent] in both directions.
        progress: Called with an `Update` as the work goes on.

    Returns:
        The surface of the first seed, and how rough the surfaces of all seeds are, for each activation.

    Raises:
        ValueError: An activation is unknown, a size is too small, or the output of a network is the same everywhere.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> found = budgetnet.output_landscape(["relu", "swish"], seeds=2, size=16, layers=2, units=8)
        >>> [row.heights.shape for row in found.rows]
        [(17, 17), (17, 17)]
        >>> found.rows[1].spread("kink_share").mean  # Swish has no kinks
        0.0
    """
    rows = distinct(several("activations", activations, given_activation, (str, Activation), empty=True))
    plane, seeds, progress = Plane(size, layers, units, extent), integer("seeds", seeds), listener("progress", progress)
    progress, done = progress or silent, 0
    found: list[ActivationLandscape] = []
    for row in rows:
        roughness: list[Roughness] = []
        first: NDArray[np.float64] | None = None
        for seed in range(seeds):
            heights, along_x, along_y = surface(row, seed, plane)
            first = heights if first is None else first
            roughness.append(measure(heights, along_x, along_y, plane.spacing))
            done += 1
            progress(Update("landscape", done, len(rows) * seeds, title_of(row)))
        assert first is not None
        found.append(ActivationLandscape(row, gain(row), slope_growth(row), first, tuple(roughness)))
    return OutputLandscape(plane, seeds, tuple(found))


def surface(
    activation: Activation, seed: int, plane: Plane, rows_at_once: int = ROWS_AT_ONCE
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The scaled output over the grid, (size + 1, size + 1), and how many units change their region along its edges.

    The edges are those between neighbours in a row, (size + 1, size), and in a column, (size, size + 1).
    """
    network = draw_network(activation, seed, plane)
    side = torch.linspace(-plane.extent, plane.extent, plane.size + 1, dtype=torch.float64)
    heights: list[Tensor] = []
    along_x: list[Tensor] = []
    along_y: list[Tensor] = []
    for start in range(0, plane.size, rows_at_once):
        # One row more than counts: the edges that lead to the next part.
        part = side[start : min(start + rows_at_once, plane.size) + 1]
        last = start + rows_at_once >= plane.size
        output, across, down = network(torch.stack(torch.meshgrid(part, side, indexing="ij"), -1).flip(-1))
        keep = slice(None) if last else slice(-1)
        heights.append(output[keep])
        along_x.append(across[keep])
        along_y.append(down)
    scaled = _scaled(torch.cat(heights).numpy(), activation, seed)
    return scaled, torch.cat(along_x).numpy(), torch.cat(along_y).numpy()


def _scaled(heights: NDArray[np.float64], activation: Activation, seed: int) -> NDArray[np.float64]:
    """Mean 0 and standard deviation 1."""
    deviation = heights.std()
    if not deviation > LEAST_DEVIATION * np.abs(heights).max():
        raise ValueError(
            f"the output of the network with {name_of(activation)} and seed {seed} is the same everywhere; "
            "give more units, fewer layers or a larger extent"
        )
    return (heights - heights.mean()) / deviation


def draw_network(activation: Activation, seed: int, plane: Plane) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """A network as it is initialised: points (rows, columns, 2) -> output (rows, columns), changes along edges."""
    generator = torch.Generator().manual_seed(seed)
    function, kinks = layer(activation), KINKS.get(activation.kind, ())

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    rows: list[tuple[Tensor, Tensor]] = []
    inputs, factor = 2, 1.0
    for _ in range(plane.layers):
        weights = normal(plane.units, inputs) * factor * math.sqrt((1 - BIAS_SHARE) / inputs)
        rows.append((weights, normal(plane.units) * math.sqrt(BIAS_SHARE)))
        inputs, factor = plane.units, gain(activation)
    last = normal(inputs) * factor / math.sqrt(inputs)

    def output(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        high, wide = points.shape[:2]
        across = torch.zeros(high, wide - 1, dtype=torch.int64)
        down = torch.zeros(high - 1, wide, dtype=torch.int64)
        x = points
        for weights, biases in rows:
            z = x @ weights.T + biases
            for kink in kinks:
                beyond = z > kink
                across += (beyond[:, 1:] != beyond[:, :-1]).sum(-1)
                down += (beyond[1:] != beyond[:-1]).sum(-1)
            x = function(z)
        return x @ last, across, down

    return output


def measure(
    heights: NDArray[np.float64], along_x: NDArray[np.int64], along_y: NDArray[np.int64], spacing: float
) -> Roughness:
    """The roughness of a landscape; the class has the formulas. Arrays are those of `surface`."""
    steps = np.concatenate([np.abs(np.diff(heights, axis=axis)).ravel() for axis in (0, 1)])
    bends, coarse = _bends(heights, spacing), _bends(heights[::2, ::2], 2 * spacing)
    rms, coarse_rms = (float(np.sqrt(np.mean(array**2))) for array in (bends, coarse))
    changed = (along_x[:-1] > 0) | (along_x[1:] > 0) | (along_y[:, :-1] > 0) | (along_y[:, 1:] > 0)
    kinks = (along_x.mean() + along_y.mean()) / 2
    return Roughness(
        total_variation=float(steps.mean() / spacing),
        bend=float(bends.mean()),
        largest_bend=float(bends.max()),
        edge_growth=rms / coarse_rms if rms * spacing**2 > FLAT else 1.0,
        kink_share=float(changed.mean()),
        kinks_per_length=float(kinks / spacing),
    )


def _bends(heights: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """|second difference| / spacing**2 along all rows and columns."""
    both = [np.abs(np.diff(heights, 2, axis=axis)).ravel() for axis in (0, 1)]
    return np.concatenate(both) / spacing**2


def bend_map(heights: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """How much the surface bends at each inner point: |second difference| / spacing**2 of both directions together.

    sqrt(d2x**2 + d2y**2) / spacing**2: heights (n, n) -> (n - 2, n - 2).
    """
    across, down = np.diff(heights, 2, axis=1)[1:-1], np.diff(heights, 2, axis=0)[:, 1:-1]
    return np.hypot(across, down) / spacing**2
