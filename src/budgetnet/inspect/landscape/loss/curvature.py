"""How sharp a loss is: the largest eigenvalue of its Hessian, from products with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.inspect.landscape.loss.values import Eigenvalue
from budgetnet.inspect.landscape.loss.weights import Probe
from budgetnet.parallel.progress import Progress, Update, silent

TOLERANCE = 0.01
"""The tolerance of the residual, against the value. The value's own error is of the order of its square."""
LEAST_SHARE = 1e-3
"""An eigenvalue smaller than this share of the largest one counts as this share, since 0 has no relative error."""
MOST_PRODUCTS = 50
EXHAUSTED = 1e-7
"""A new vector this much shorter than the product that it came from is rounding: float32 has 7 digits."""


def hessian_product(probe: Probe, vector: Tensor) -> Tensor:
    """H v, where H is the Hessian of the mean cross entropy by all parameters, in one long vector: (n,) -> (n,).

    By double backward: the gradient of (gradient . v). Source: Pearlmutter, Neural Computation 6 (1994).
    """
    parameters = [one for one in probe.model.parameters() if one.requires_grad]
    along = _like(vector, parameters)
    total = [torch.zeros_like(one) for one in parameters]
    with _differentiable(probe.model), torch.enable_grad():
        for inputs, labels in probe.batches:
            loss = functional.cross_entropy(probe.model(inputs).float(), labels, reduction="sum") / probe.images
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            parts = torch.autograd.grad(gradients, parameters, along, allow_unused=True)
            total = [one if part is None else one + part for one, part in zip(total, parts, strict=True)]
    return torch.cat([one.detach().reshape(-1) for one in total])


def parameter_count(model: nn.Module) -> int:
    """Parameters that have a gradient."""
    return sum(one.numel() for one in model.parameters() if one.requires_grad)


def _like(vector: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """One long vector in the parameters' shapes."""
    parts = vector.split([one.numel() for one in parameters])
    return [part.reshape(one.shape).to(one) for part, one in zip(parts, parameters, strict=True)]


@contextmanager
def _differentiable(model: nn.Module) -> Iterator[None]:
    """Hard sigmoids as relu6(x + 3) / 6, which they are: torch knows no second derivative of its own form."""
    changed = [module for module in model.modules() if isinstance(module, nn.Hardsigmoid)]
    for module in changed:
        module.forward = lambda input: functional.relu6(input + 3.0) / 6.0
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor],
    count: int,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    most: int = MOST_PRODUCTS,
    progress: Progress | None = None,
    label: str = "",
) -> Eigenvalue:
    """The largest eigenvalue (not the largest in size) of a symmetric matrix, of which only products are known.

    Power iteration, v <- H v / |H v|, keeps its last vector alone; this keeps all of them, orthogonal, and
    takes the combination with the largest v . H v: Lanczos's method, which needs fewer products for the same
    residual, and to which a large negative eigenvalue is not a trap. Ends where |H v - value v| is at most
    `tolerance` times the value, or after `most` products. `count` is the matrix's side.
    Source: Golub and Van Loan, Matrix Computations, 4th edition, section 10.1.
    """
    progress, basis, diagonal, beside = progress or silent, list[Tensor](), list[float](), list[float]()
    normal = torch.from_numpy(np.random.default_rng([seed, count]).standard_normal(count, np.float32))
    following = (normal / normal.norm()).double()
    value = residual = 0.0
    for done in range(1, min(most, count) + 1):
        basis.append(following.float())
        new = product(basis[-1]).cpu().double()
        if not torch.isfinite(new).all():
            raise ValueError("the curvature of the loss is not a number at these weights; their training diverged")
        length = float(new.norm())
        diagonal.append(float(new @ basis[-1].double()))
        for one in basis + basis:  # twice: once leaves what rounding brought back
            new -= (new @ one.double()) * one.double()
        beside.append(float(new.norm()))
        value, residual, size = _largest(diagonal, beside)
        if residual <= tolerance * max(abs(value), LEAST_SHARE * size) or beside[-1] <= EXHAUSTED * length:
            progress(Update("curvature", most, most, label))
            return Eigenvalue(value, residual, done, True)
        progress(Update("curvature", done, most, f"{label} {value:.4g}"))
        following = new / beside[-1]
    return Eigenvalue(value, residual, len(basis), len(basis) == count)


def _largest(diagonal: Sequence[float], beside: Sequence[float]) -> tuple[float, float, float]:
    """The largest eigenvalue of the tridiagonal matrix, its residual, and the largest eigenvalue in size."""
    small = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(small)
    return float(values[-1]), float(beside[-1] * abs(vectors[-1, -1])), float(np.abs(values).max())
