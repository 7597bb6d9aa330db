"""Activation functions in numbers: value and slope, the gain that keeps the variance, the minimum, where gradients die.

Everything is computed from the layers of `model.layers`, in float64; no function is written down a second time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from budgetnet.arguments import number, of_kind, several
from budgetnet.model.layers import activation as layer
from budgetnet.networks import RELU, Activation, ActivationKind

Values = NDArray[np.float64]

FUNCTIONS = ("relu", "relu6", "hard_swish", "gelu", "tanh", "swish:0.1", "swish:0.5", "swish", "swish:2", "swish:10")
DEAD_SLOPE = 0.01
"""A gradient is blocked where |slope| is below this share of the function's largest |slope|."""
NORMAL_EXTENT = 12.0
"""How far normal inputs reach: further out they have a probability of 1e-32."""
PANEL = 0.25
"""The width of a panel of the quadrature: every kink below is the edge of one, so the function is smooth inside."""
NODES = 32
HALF_STEPS = 10_000
TITLES: Mapping[ActivationKind, str] = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "swish": "Swish",
    "hard_swish": "hard-swish",
    "gelu": "GELU",
    "hard_sigmoid": "hard sigmoid",
}
KINKS: Mapping[ActivationKind, tuple[float, ...]] = {
    "relu": (0.0,),
    "relu6": (0.0, 6.0),
    "hard_swish": (-3.0, 3.0),
    "hard_sigmoid": (-3.0, 3.0),
}
"""Inputs at which the slope jumps; functions that are not named have none. Between them lie the regions of a unit."""


def parse(text: str | Activation) -> Activation:
    """The activation of a name: relu, hard_swish, swish, or swish:0.5 with its beta. Raises `ValueError`."""
    if isinstance(text, Activation):
        return text
    kind, colon, beta = text.strip().lower().replace("-", "_").partition(":")
    try:
        return Activation(cast(ActivationKind, kind), float(beta) if colon else 1.0)  # it checks the kind
    except ValueError as error:
        if beta == "trainable":
            raise ValueError(
                f"{text!r} is trained by budgetnet landscape training alone; here give a beta, as swish:0.5"
            ) from error
        kinds = ", ".join(name for name in get_args(ActivationKind) if name != "swish")
        raise ValueError(
            f"{text!r} is not an activation; choose from {kinds}, swish and swish:BETA as swish:0.5"
        ) from error


def name_of(activation: Activation) -> str:
    """The name that `parse` reads: swish:0.5; beta = 1 is left out."""
    return activation.kind if activation.beta == 1.0 else f"{activation.kind}:{activation.beta:g}"


def title_of(activation: Activation) -> str:
    """As people write it: ReLU, Swish β = 0.5."""
    title = TITLES.get(activation.kind, activation.kind)
    return f"{title} β = {activation.beta:g}" if activation.kind == "swish" else title


def given_activation(what: str, value: object) -> str | Activation:
    """The value, if it is a name or an activation. Raises a one-line `TypeError` for anything else."""
    return of_kind(f"one of {what}", value, (str, Activation), "a name, as swish:0.5, or an Activation")


def distinct(activations: Sequence[str | Activation]) -> tuple[Activation, ...]:
    """The activations of names, each once, in their order. Raises `ValueError` for none."""
    rows = tuple(dict.fromkeys(map(parse, activations)))
    if not rows:
        raise ValueError("give at least one activation, as relu or swish:0.5")
    return rows


def value_and_slope(activation: Activation, x: Values) -> tuple[Values, Values]:
    """f(x) and f'(x) of every input, by the layer itself and by autograd; at a kink the slope is torch's choice."""
    values, slopes = with_slope(layer(activation), torch.from_numpy(np.asarray(x, np.float64)))
    return values.numpy(), slopes.numpy()


def with_slope(module: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and f'(z) of an activation's module for every element, whether or not gradients are on where it is called.

    By `forward`, so that no hook hears of it.
    """
    with torch.inference_mode(False), torch.enable_grad():
        at = z.detach().clone().requires_grad_()
        values = module.forward(at)
        (slopes,) = torch.autograd.grad(values.sum(), at)
    return values.detach(), slopes


def inputs(extent: float) -> Values:
    """Inputs from -extent to extent in even steps, 0 among them."""
    return extent * (np.arange(-HALF_STEPS, HALF_STEPS + 1) / HALF_STEPS)


@functools.cache
def gain(activation: Activation) -> float:
    """The factor on weights that keeps the variance through a layer: 1 / sqrt(E[f(z)**2]), z ~ N(0, 1).

    Weights drawn from N(0, gain**2 / inputs) give every unit of the next layer the variance 1 where this
    layer's units have it. ReLU's is sqrt(2). By Gauss-Legendre quadrature. Source: He et al.,
    arXiv:1502.01852, section 2.2, for ReLU; Poole et al., arXiv:1606.05340, section 2, for any f.
    """
    return 1.0 / math.sqrt(_normal_mean(lambda x: value_and_slope(activation, x)[0] ** 2))


@functools.cache
def slope_growth(activation: Activation) -> float:
    """gain**2 * E[f'(z)**2], z ~ N(0, 1): the factor on the square of a small difference of two inputs in a layer.

    Above 1 inputs that are near move apart from layer to layer, and a deep network's output is the rougher;
    below 1 they meet. ReLU's is 1. Biases, which make it smaller, are left out. Source: Schoenholz et al.,
    arXiv:1611.01232, section 3, where it is chi_1.
    """
    return gain(activation) ** 2 * _normal_mean(lambda x: value_and_slope(activation, x)[1] ** 2)


def _normal_mean(function: Callable[[Values], Values]) -> float:
    """E[function(z)] for z ~ N(0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    initial = np.arange(-NORMAL_EXTENT, NORMAL_EXTENT, PANEL)
    x = (initial[:, None] + PANEL / 2 * (nodes + 1)).ravel()
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return float(np.sum(np.tile(PANEL / 2 * weights, len(initial)) * density * function(x)))


def _grid(activation: Activation, extent: float = 20.0) -> Values:
    """Inputs from -extent to extent, where a Swish of another beta happens: at x / beta."""
    return inputs(extent / abs(activation.beta or 1.0))


@functools.cache
def largest_slope(activation: Activation) -> float:
    """The largest |f'(x)| over all x: 1 for ReLU, 1.0998 for every Swish, 1.5 for hard-swish just before its kink."""
    beside = [kink + side for kink in KINKS.get(activation.kind, ()) for side in (-1e-9, 1e-9)]
    return float(np.abs(value_and_slope(activation, np.append(_grid(activation), beside))[1]).max())


def minimum(activation: Activation) -> Point | None:
    """The lowest point, where a function falls and then rises; None for one that never falls.

    Swish's is at -1.2785 / beta with the value -0.2785 / beta: there 1 + beta x (1 - sigmoid(beta x)) = 0.
    """
    x = _grid(activation)
    slopes = value_and_slope(activation, x)[1]
    turns = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] >= 0))
    if not len(turns):
        return None
    low, high = float(x[turns[0]]), float(x[turns[0] + 1])
    while low < (middle := low + (high - low) / 2) < high:
        falls = value_and_slope(activation, np.array([middle]))[1][0] < 0
        low, high = (middle, high) if falls else (low, middle)
    return Point(high, float(value_and_slope(activation, np.array([high]))[0][0]))


def blocked(activation: Activation, slopes: Values) -> NDArray[np.bool_]:
    """Where a gradient is blocked: |f'| < 0.01 max |f'|, one rule for all functions."""
    return np.abs(slopes) < DEAD_SLOPE * largest_slope(activation)


def dead_intervals(activation: Activation, extent: float = NORMAL_EXTENT) -> tuple[tuple[float, float], ...]:
    """The intervals of inputs within [-extent, extent] in which gradients die (`blocked`), to 1/10,000 of extent."""
    x = inputs(extent)
    edges = np.diff(blocked(activation, value_and_slope(activation, x)[1]).astype(np.int8), prepend=0, append=0)
    initial, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return tuple((float(x[start]), float(x[end])) for start, end in zip(initial, ends, strict=True) if end > start)


def blocked_share(activation: Activation) -> float:
    """The share of normal inputs, z ~ N(0, 1), whose gradient is blocked: 0.5 for ReLU."""
    intervals = dead_intervals(activation)
    return sum(math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)) for low, high in intervals) / 2


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a function's graph."""

    x: float
    value: float


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """What the numbers say about an activation function; `functions_landscape` fills it.

    `minimum` is the lowest point of a function that falls and rises again, else None.
    `dead_intervals` are the inputs within the asked extent whose gradient is blocked, `blocked_share` the
    share of normal inputs. For Swish, `from_relu` and `from_half` are the largest |f(x) - max(0, x)| and
    |f(x) - x / 2| within the extent: the limits for beta -> infinity and beta -> 0.
    """

    name: str
    kind: ActivationKind
    beta: float
    gain: float
    slope_growth: float
    largest_slope: float
    kinks: tuple[float, ...]
    minimum: Point | None
    dead_intervals: tuple[tuple[float, float], ...]
    blocked_share: float
    from_relu: float | None
    from_half: float | None

    @property
    def activation(self) -> Activation:
        """The function."""
        return Activation(self.kind, self.beta)

    @property
    def title(self) -> str:
        """As people write it."""
        return title_of(self.activation)


@dataclass(frozen=True, slots=True)
class FunctionsLandscape:
    """The facts about several functions, within inputs from -extent to extent where they depend on it."""

    extent: float
    activations: tuple[FunctionFacts, ...]


def facts(activation: Activation, extent: float = 6.0) -> FunctionFacts:
    """The facts about one function, within inputs from -extent to extent where they depend on it."""
    x = inputs(extent)
    values = value_and_slope(activation, x)[0]
    swish = activation.kind == "swish"
    return FunctionFacts(
        name=name_of(activation),
        kind=activation.kind,
        beta=activation.beta,
        gain=gain(activation),
        slope_growth=slope_growth(activation),
        largest_slope=largest_slope(activation),
        kinks=KINKS.get(activation.kind, ()),
        minimum=minimum(activation),
        dead_intervals=dead_intervals(activation, extent),
        blocked_share=blocked_share(activation),
        from_relu=float(np.abs(values - value_and_slope(RELU, x)[0]).max()) if swish else None,
        from_half=float(np.abs(values - x / 2).max()) if swish else None,
    )


def functions_landscape(
    activations: Sequence[str | Activation] | None = None, extent: float = 6.0
) -> tuple[FunctionFacts, ...]:
    """The facts about activation functions, within inputs from -extent to extent where they depend on it.

    Without `activations`, ReLU, ReLU6, hard-swish, GELU, tanh and Swish from beta = 0.1 to 10. Raises a
    one-line `ValueError` for an unknown activation, or an extent that is not a positive number.
    """
    extent = number("extent", extent, above=0.0)
    names = FUNCTIONS if activations is None else activations
    rows = distinct(several("activations", names, given_activation, (str, Activation), empty=True))
    return tuple(facts(row, extent) for row in rows)
