"""Who can inherit from whom, and what is lost on the way: a comparison of two networks, without weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from budgetnet.costs.network_cost import cost
from budgetnet.networks import Block, Network, Stage


def check_relatives(child: Network, parent: Network) -> None:
    """Raise a one-line `ValueError` that says why the child cannot take the parent's weights, if so.

    Relatives have the same stages in kind, stride and form; widths, repeats, resolution, kernels (but for
    their absence), activations and squeeze-and-excitation may differ. None has concatenated maps: nothing says yet
    which channels of both halves a wider or narrower child would take.
    """
    if reason := _strange(child, parent):
        raise ValueError(f"{child.name} cannot inherit from {parent.name}: {reason}")


def are_relatives(child: Network, parent: Network) -> bool:
    """Whether `check_relatives` finds nothing."""
    return _strange(child, parent) is None


def distance(child: Network, parent: Network) -> float:
    """How far a relative is: octaves of multiply-adds at the child's resolution."""
    child_macs, parent_macs = (
        cost(dataclasses.replace(row, resolution_px=child.resolution_px)).macs for row in (child, parent)
    )
    return abs(math.log2(child_macs / parent_macs))


def losses(child: Network, parent: Network) -> Iterator[str]:
    """What the child cannot do as the parent does, so that it must be fitted to images."""
    if child.stem.channels < parent.stem.channels:
        yield "its stem is narrower"
    if child.stem.activation != parent.stem.activation:
        yield "its stem has another activation"
    rows = zip(child.stages, parent.stages, child.stage_blocks(), parent.stage_blocks(), strict=True)
    for index, (child_stage, parent_stage, child_blocks, parent_blocks) in enumerate(rows):
        yield from (
            f"stage {index} {loss}" for loss in _stage_losses(child_stage, parent_stage, child_blocks, parent_blocks)
        )
    for what in ("channels", "hidden"):
        if (getattr(child.head, what) or 0) < (getattr(parent.head, what) or 0):
            yield f"its head has fewer {what}"
    if child.head.activation != parent.head.activation and (child.head.channels or child.head.hidden):
        yield "its head has another activation"


def _stage_losses(
    child: Stage, parent: Stage, child_blocks: tuple[Block, ...], parent_blocks: tuple[Block, ...]
) -> Iterator[str]:
    if child.channels < parent.channels:
        yield "is narrower"
    if child.repeats < parent.repeats:
        yield "has fewer blocks"
    if any(block.expanded < other.expanded for block, other in zip(child_blocks, parent_blocks, strict=False)):
        yield "expands to fewer channels"
    if any(block.has_skip != other.has_skip for block, other in zip(child_blocks, parent_blocks, strict=False)):
        yield "has a skip where the other has none"
    if any(0 < getattr(child, name) < getattr(parent, name) for name in ("kernel", "start_kernel")):
        yield "has a smaller kernel"
    if child.activation != parent.activation:
        yield "has another activation"
    if parent.squeeze is not None and (
        child.squeeze is None or _narrower_squeeze(child, parent, child_blocks, parent_blocks)
    ):
        yield "has less squeeze-and-excitation"
    if child.repeats > parent.repeats and not starts_as_identity(child_blocks[-1]):
        yield "cannot begin its new blocks as the identity"


def _narrower_squeeze(
    child: Stage, parent: Stage, child_blocks: tuple[Block, ...], parent_blocks: tuple[Block, ...]
) -> bool:
    if child.squeeze is None or parent.squeeze is None:
        return False
    if (child.squeeze.inner, child.squeeze.gate) != (parent.squeeze.inner, parent.squeeze.gate):
        return True
    pairs = zip(child_blocks, parent_blocks, strict=False)
    return any((block.squeezed or 0) < (other.squeezed or 0) for block, other in pairs)


def starts_as_identity(block: Block) -> bool:
    """Whether a new block can leave its input as it is: by an empty branch beside a skip, or as one convolution
    of a single 1 a channel behind which a ReLU changes nothing."""
    if block.has_skip:
        return block.after.kind in ("identity", "relu")
    return block.kind == "separable" and block.squeeze is None and block.activation.kind in ("relu", "relu6")


def _strange(child: Network, parent: Network) -> str | None:
    """Why the two are not relatives, and what to do; None for relatives."""
    for network in (child, parent):
        if any(conv.concatenates for conv, _ in network.distinct_convs()):
            return f"inheritance does not follow the concatenated maps of {network.name}; load weights of its own size"
    unlike = next(_unlike(child, parent), None)
    return unlike and f"{unlike}; give a relative of one family"


def _unlike(child: Network, parent: Network) -> Iterator[str]:
    if len(child.stages) != len(parent.stages):
        yield f"it has {len(child.stages)} stages and not {len(parent.stages)}"
        return
    if child.padding != parent.padding:
        yield f"its padding is {child.padding} and not {parent.padding}"
    if (child.stem.stride, child.stem.pool) != (parent.stem.stride, parent.stem.pool):
        yield "its stem has another stride"
    for index, (child_stage, parent_stage) in enumerate(zip(child.stages, parent.stages, strict=True)):
        for what, form in _forms(child_stage, parent_stage):
            if form[0] != form[1]:
                yield f"{what} of stage {index} is {form[0]} and not {form[1]}"
    for what in ("channels", "hidden"):
        if (getattr(child.head, what) is None) != (getattr(parent.head, what) is None):
            yield f"only one of them has {what} in its head"
    if child.head.hidden_norm != parent.head.hidden_norm:
        yield "only one of them has BatchNorm in its hidden layer"


def _forms(child: Stage, parent: Stage) -> Iterator[tuple[str, tuple[object, object]]]:
    yield "the kind", (child.kind, parent.kind)
    yield "the stride", (child.stride, parent.stride)
    yield "the residual", (child.residual, parent.residual)
    yield "an expansion", (child.expansion > 1, parent.expansion > 1)
    yield "a kernel", (child.kernel > 0, parent.kernel > 0)
    yield "a start kernel", (child.start_kernel > 0, parent.start_kernel > 0)
