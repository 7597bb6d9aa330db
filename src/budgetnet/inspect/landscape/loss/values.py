"""What the loss around trained weights is, as values: all that the pictures, the page and the JSON read."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from budgetnet.arguments import number, plain_numbers
from budgetnet.inspect.landscape.plane import Spread
from budgetnet.networks import check_integer

Losses = tuple[float | None, ...]
"""A loss for each point; None where it is not a finite number."""


@dataclass(frozen=True, slots=True)
class Around:
    """Which weights around the trained ones are tried, and on how many images.

    Attributes:
        size: Points along a side of the grid, odd and at least 5, so that the trained weights are its middle; the line
            has 2 size - 1 points.
        extent: The grid is [-extent, extent] in both directions, in lengths of the weights.
        images: How many images the loss is a mean over.
        draws: How many further directions are tried for the rise.
        radius: How far they go.
        seed: What directions and images are drawn by.

    Raises:
        ValueError: A size is too small, `size` is even, or a length is not a positive number.

    Example:
        >>> from budgetnet.inspect.landscape import Around
        >>> Around(size=5).grid_steps
        (-1.0, -0.5, 0.0, 0.5, 1.0)
    """

    size: int = 21
    extent: float = 1.0
    images: int = 256
    draws: int = 10
    radius: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        plain_numbers(self)
        check_integer("size", self.size, 5)
        check_integer("images", self.images)
        check_integer("draws", self.draws)
        check_integer("seed", self.seed, 0)
        if self.size % 2 == 0:
            raise ValueError(f"size is {self.size}; it must be odd, so that the trained weights are in the middle")
        for name in ("extent", "radius"):
            number(name, getattr(self, name), above=0.0)

    def steps(self, size: int) -> tuple[float, ...]:
        """Steps from -extent to extent, the one in the middle exactly 0.

        Args:
            size: How many, an odd number.

        Returns:
            The steps, ascending.
        """
        half = size // 2
        return tuple(self.extent * index / half for index in range(-half, half + 1))

    @property
    def grid_steps(self) -> tuple[float, ...]:
        """Along a side of the grid."""
        return self.steps(self.size)

    @property
    def line_steps(self) -> tuple[float, ...]:
        """Along the line: every second one is a column of the grid."""
        return self.steps(2 * self.size - 1)


@dataclass(frozen=True, slots=True)
class Eigenvalue:
    """The largest eigenvalue of the Hessian of the loss.

    Attributes:
        value: The eigenvalue.
        residual: The length of H v - value v for the unit vector v that was found: some eigenvalue is that near.
        products: How many products with the Hessian it took.
        converged: Whether it is within the tolerance; else the value is a lower bound.
    """

    value: float
    residual: float
    products: int
    converged: bool


@dataclass(frozen=True, slots=True)
class RunLoss:
    """The loss around the weights of one run. A loss is None where it is not a finite number.

    Attributes:
        run: The run.
        label: What the page calls it.
        network: The network's name.
        activations: The kinds of its activation functions.
        loss: The loss at the trained weights.
        accuracy: The accuracy at the trained weights.
        line: The losses along the first direction.
        grid: The losses over the plane: a row for each step along the second direction, a column for each along the
            first.
        rises: L(w + radius d) - L(w) of each further direction.
        eigenvalue: The largest eigenvalue of the Hessian.
        rise: The mean and deviation of the rises (`rise_of`); None where one is not a number.
    """

    run: str
    label: str
    network: str
    activations: tuple[str, ...]
    loss: float
    accuracy: float
    line: Losses
    grid: tuple[Losses, ...]
    rises: Losses
    eigenvalue: Eigenvalue
    rise: Spread | None


def rise_of(rises: Losses) -> Spread | None:
    """Mean and standard deviation of the rises; None where one of them is not a finite number."""
    values = tuple(value for value in rises if value is not None)
    if len(values) < len(rises):
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, values)


@dataclass(frozen=True, slots=True)
class LossLandscape:
    """The loss around the weights of one run, or of several twins, on the same images.

    Attributes:
        split: The split of the images.
        size: See `Around`.
        extent: See `Around`.
        images: How many images the losses are means over.
        draws: See `Around`.
        radius: See `Around`.
        seed: See `Around`.
        asked_images: How many images were asked for.
        tolerance: The relative tolerance of the eigenvalue.
        steps: Those along a side of the grid.
        line_steps: Those along the line.
        runs: A row for each run.
    """

    split: str
    size: int
    extent: float
    images: int
    draws: int
    radius: float
    seed: int
    asked_images: int
    tolerance: float
    steps: tuple[float, ...]
    line_steps: tuple[float, ...]
    runs: tuple[RunLoss, ...]

    @property
    def around(self) -> Around:
        """Which weights were tried."""
        return Around(self.size, self.extent, self.asked_images, self.draws, self.radius, self.seed)


def landscape_of(split: str, images: int, around: Around, tolerance: float, runs: tuple[RunLoss, ...]) -> LossLandscape:
    """The landscape of these runs on so many images."""
    return LossLandscape(
        split=split,
        size=around.size,
        extent=around.extent,
        images=images,
        draws=around.draws,
        radius=around.radius,
        seed=around.seed,
        asked_images=around.images,
        tolerance=tolerance,
        steps=around.grid_steps,
        line_steps=around.line_steps,
        runs=runs,
    )
