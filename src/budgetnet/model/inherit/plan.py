"""Which channels and mixtures of the parent each map of the child takes: all bridges, before any weight moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from budgetnet.model.build import Model
from budgetnet.model.inherit.bridges import Bridge, Moments, chosen, copies, principal, same
from budgetnet.model.inherit.folded import effective
from budgetnet.model.layers import Block, ConvNorm
from budgetnet.networks import Network

SEED = 0
"""The seed by which channels are chosen for copying and their readers are split."""


@dataclass(frozen=True, slots=True, eq=False)
class Bridges:
    """Bridges of the streams (behind the stem, then behind each stage), and of the maps inside blocks, the
    squeezed vectors, the head and the hidden layer, by the name of the layer that writes them."""

    streams: tuple[Bridge, ...]
    inner: Mapping[str, Bridge]


def plan_bridges(child: Network, parent: Model, moments: Mapping[str, Moments]) -> Bridges:
    """All bridges; without moments only those to as many channels or more. The parent is on the CPU."""
    streams = _streams(child, parent, moments)
    inner: dict[str, Bridge] = {}
    for i, (child_blocks, parent_blocks) in enumerate(
        zip(child.stage_blocks(), parent.network.stage_blocks(), strict=True)
    ):
        for j, (child_block, parent_block) in enumerate(zip(child_blocks, parent_blocks, strict=False)):
            name = f"stages.{i}.{j}"
            widths = {part: conv.out_channels for part, conv in child_block.inner if conv.groups == 1}
            block = parent.blocks(i)[j]
            inner |= _inside(name, widths, block, moments)
            if child_block.squeezed is not None and parent_block.squeezed is not None and block.squeeze is not None:
                importance = block.squeeze.expand.weight.double().flatten(1).norm(dim=0)
                read = moments.get(f"{name}.squeeze.expand")
                inner[f"{name}.squeeze"] = bridge(parent_block.squeezed, child_block.squeezed, read, importance)
    return Bridges(streams, inner | _ends(child, parent, moments))


def bridge(have: int, want: int, moments: Moments | None, importance: Tensor) -> Bridge:
    """To as many channels the same, to more copies, to fewer the chosen ones."""
    if want == have:
        return same(have)
    if want > have:
        return copies(have, want, SEED)
    assert moments is not None, "a narrower map was not told by `losses`"
    return chosen(moments, importance, want)


def _inside(name: str, widths: Mapping[str, int], block: Block, moments: Mapping[str, Moments]) -> dict[str, Bridge]:
    """Bridges of what the dense inner layers of a block write, by how the next dense layer reads it."""
    rows: dict[str, Bridge] = {}
    dense = [part for part in block.inner if part in widths] + ["project"]
    for part, reader in itertools.pairwise(dense):
        kernel, _ = effective(block.conv_norm(reader))
        importance = kernel.pow(2).sum((0, 2, 3)).sqrt()
        rows[f"{name}.{part}"] = bridge(kernel.shape[1], widths[part], moments.get(f"{name}.{reader}"), importance)
    return rows


def _ends(child: Network, parent: Model, moments: Mapping[str, Moments]) -> dict[str, Bridge]:
    """Bridges of the head's and of the hidden layer's outputs, all equally important to a new classifier."""
    rows: dict[str, Bridge] = {}
    reader = "classifier" if parent.network.head.hidden is None else "hidden"
    for name, want, have, read_by in (
        ("head", child.head.channels, parent.network.head.channels, reader),
        ("hidden", child.head.hidden, parent.network.head.hidden, "classifier"),
    ):
        if want is not None and have is not None:
            rows[name] = bridge(have, want, moments.get(read_by), torch.ones(have, dtype=torch.float64))
    return rows


def _streams(child: Network, parent: Model, moments: Mapping[str, Moments]) -> tuple[Bridge, ...]:
    widths = (child.stem.channels, *(stage.channels for stage in child.stages))
    parent_channels = (parent.network.stem.channels, *(stage.channels for stage in parent.network.stages))
    found: list[Bridge] = []
    for group in _groups(child, parent.network):
        have, want = parent_channels[group[0]], widths[group[0]]
        readers = [reader for point in group for reader in _readers(child, parent, point)]
        if want >= have:
            one = bridge(have, want, None, torch.empty(0))
        else:
            summed, reading = _weighed([(moments[name], matrix) for name, matrix, _ in readers])
            mixes = all(dense for _, _, dense in readers) and all(_writes_linear(child, point) for point in group)
            one = principal(summed, reading, want) if mixes else chosen(summed, reading.diagonal().sqrt(), want)
        found += [one] * len(group)
    return tuple(found)


def _groups(child: Network, parent: Network) -> list[list[int]]:
    """Streams that a skip joins across a stage's first block share their channels."""
    groups = [[0]]
    for point, (child_blocks, parent_blocks) in enumerate(
        zip(child.stage_blocks(), parent.stage_blocks(), strict=True), 1
    ):
        if child_blocks[0].has_skip and parent_blocks[0].has_skip:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _writes_linear(child: Network, point: int) -> bool:
    """Whether nothing but sums and linear layers write a stream, so that its channels can be mixed."""
    if point == 0:
        return child.stem.activation.kind == "identity"
    blocks = child.stage_blocks()[point - 1]
    written = (row for block in blocks for row in (block.after, *(conv.activation for _, conv in block.projection)))
    return all(row.kind == "identity" for row in written)


def _readers(child: Network, parent: Model, point: int) -> Iterator[tuple[str, Tensor, bool]]:
    """(name, how it weighs the channels (c, c), whether it mixes them) of each layer that reads a stream."""
    places: list[tuple[int, int]] = []
    if point > 0:
        both = min(child.stages[point - 1].repeats, parent.network.stages[point - 1].repeats)
        places += [(point - 1, j) for j in range(1, both)]
    if point < len(child.stages):
        places.append((point, 0))
    for i, j in places:
        matrix, dense = _reading(parent.blocks(i)[j])
        yield f"stages.{i}.{j}", matrix, dense
    if point == len(child.stages):
        name = next(name for name in ("head", "hidden", "classifier") if getattr(parent, name) is not None)
        module = parent.get_submodule(name)
        assert isinstance(module, ConvNorm | nn.Linear)
        kernel = effective(module)[0] if isinstance(module, ConvNorm) else module.weight.double()
        yield name, _gram(kernel), True


def _reading(block: Block) -> tuple[Tensor, bool]:
    """W'W of a block's first dense layer, the norms of depthwise kernels before it included; whether it is first."""
    scale, dense = torch.ones(1, dtype=torch.float64), True
    matrix = torch.zeros(1, 1, dtype=torch.float64)
    for name in (*block.inner, *block.projection):
        module = block.conv_norm(name)
        kernel, _ = effective(module)
        if module.conv.groups == 1:
            matrix = _gram(kernel * scale[:, None, None])
            break
        scale, dense = scale * kernel.flatten(1).norm(dim=1), False
    for name in block.bypass:
        matrix = matrix + _gram(effective(block.conv_norm(name))[0])
    return matrix, dense


def _gram(kernel: Tensor) -> Tensor:
    rows = kernel.movedim(1, -1).reshape(-1, kernel.shape[1])
    return rows.T @ rows


def _weighed(readers: list[tuple[Moments, Tensor]]) -> tuple[Moments, Tensor]:
    """The moments and the reading of several readers, each of the same weight."""
    mean = torch.stack([row.mean for row, _ in readers]).mean(0)
    covariance = torch.stack([row.covariance for row, _ in readers]).mean(0)
    matrices = [matrix / (matrix * row.covariance).sum().clamp_min(1e-12) for row, matrix in readers]
    return Moments(mean, covariance), torch.stack(matrices).sum(0)
