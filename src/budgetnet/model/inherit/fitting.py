"""What a smaller child lost, put right layer by layer: each is fitted to what the parent's answers.

A layer's inputs are the child's own, so that it also mends what the layers before it did: `least_squares`, drawn
to the closed form. Pointwise kernels are fitted whole, depthwise ones that lost taps channel by channel; other
k x k kernels only get a scale and a shift for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from budgetnet.model.build import Model
from budgetnet.model.inherit.bridges import Bridge
from budgetnet.model.inherit.folded import effective, running, scale_of
from budgetnet.model.inherit.least_squares import fitted, halves
from budgetnet.model.inherit.plan import Bridges
from budgetnet.model.inherit.transfer import write_mixed
from budgetnet.model.layers import Block, ConvNorm, SamePadConv2d

LEAST_SCALE = 1e-6
"""A channel that BatchNorm scales by less than this is dead, and stays as it is."""
Maps = list[Tensor]
"""Each chunk of images has a map (n, c, h, w)."""
Pairs = Iterable[tuple[Tensor, Tensor]]
"""What a layer reads, and what it should answer before its activation in its own channels, for each chunk of images."""


@torch.no_grad()
def refit(child: Model, parent: Model, bridges: Bridges, images: Sequence[Tensor]) -> None:
    """Fit the child to the parent on chunks of images (n, c, h, w), from the first stage to the head.

    The last block of a stage answers for those of the parent's that the child has not.
    """
    child_maps, parent_maps = [child.first(chunk) for chunk in images], [parent.first(chunk) for chunk in images]
    for i, stream in enumerate(bridges.streams[1:]):
        child_blocks, parent_blocks = child.blocks(i), parent.blocks(i)
        for j, block in enumerate(child_blocks):
            if j < len(parent_blocks):
                inflow = bridges.streams[i if j == 0 else i + 1]
                _refit_inner(block, parent_blocks[j], child_maps, parent_maps, inflow, bridges, f"stages.{i}.{j}")
                for skipped in parent_blocks[j : -1 if j == len(child_blocks) - 1 else j]:
                    parent_maps = [skipped(chunk) for chunk in parent_maps]
                last = parent_blocks[-1] if j == len(child_blocks) - 1 else parent_blocks[j]
                _refit_projection(block, last, child_maps, parent_maps, stream)
                parent_maps = [last(chunk) for chunk in parent_maps]
            child_maps = [block(chunk) for chunk in child_maps]
    if child.head is not None and parent.head is not None:
        out = bridges.inner["head"]
        answers = (encoded(out, parent.head.linear(chunk)) for chunk in parent_maps)
        fit_layer(child.head, parent.head, zip(child_maps, answers, strict=True), out)


def _refit_inner(
    child: Block, parent: Block, child_maps: Maps, parent_maps: Maps, flow: Bridge, bridges: Bridges, prefix: str
) -> None:
    for name in child.inner:
        module, other = child.conv_norm(name), parent.conv_norm(name)
        flow = bridges.inner.get(f"{prefix}.{name}", flow)
        if module.conv.groups > 1 and module.conv.kernel_size >= other.conv.kernel_size:
            continue
        read = (child.read_by(name, chunk) for chunk in child_maps)
        answers = (encoded(flow, other.linear(parent.read_by(name, chunk))) for chunk in parent_maps)
        fit_layer(module, other, zip(read, answers, strict=True), flow)


def _refit_projection(child: Block, parent: Block, child_maps: Maps, parent_maps: Maps, stream: Bridge) -> None:
    """Fit a projection so that the block's output is the parent's, the skip taken into account where it is added
    to something linear."""
    read = (child.read_by("project", chunk) for chunk in child_maps)
    project, other = child.conv_norm("project"), parent.conv_norm("project")
    if isinstance(project.activation, torch.nn.Identity):
        answers = (encoded(stream, parent.joined(chunk)) for chunk in parent_maps)
        if child.drop_path is not None:
            answers = (each - child.beside(chunk) for each, chunk in zip(answers, child_maps, strict=True))
    else:
        answers = (encoded(stream, other.linear(parent.read_by("project", chunk))) for chunk in parent_maps)
    fit_layer(project, other, zip(read, answers, strict=True), stream)


def encoded(bridge: Bridge, x: Tensor) -> Tensor:
    """A parent's map in the child's channels."""
    if bridge.kept is not None:
        return x[:, bridge.kept]
    return torch.einsum("cp,nphw->nchw", bridge.encode.to(x.dtype), x)


def fit_layer(module: ConvNorm, parent: ConvNorm, pairs: Pairs, out: Bridge) -> None:
    """Fit one layer, whose outputs are behind the bridge `out`."""
    if module.conv.groups > 1:
        _fit_depthwise(module, pairs)
    elif module.conv.kernel_size == (1, 1):
        _fit_pointwise(module, parent, pairs, out)
    else:
        _fit_scales(module, pairs)


def _fit_pointwise(module: ConvNorm, parent: ConvNorm, pairs: Pairs, out: Bridge) -> None:
    stride = module.conv.stride[0]
    sums = halves((_rows(q[:, :, ::stride, ::stride]), _rows(t)) for q, t in pairs)
    kernel, _ = effective(module)
    matrix, bias = fitted(kernel.flatten(1).T, sums)
    if out.kept is None:
        write_mixed(module, parent, matrix.T[:, :, None, None], bias[0])
    else:
        _write_kept(module, matrix.T[:, :, None, None], bias[0])


def _rows(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (places, c)."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])


def _by_channel(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (c, places, 1)."""
    return x.movedim(1, 0).reshape(x.shape[1], -1, 1)


def _fit_depthwise(module: ConvNorm, pairs: Pairs) -> None:
    side, stride = module.conv.kernel_size[0], module.conv.stride[0]

    def patches(q: Tensor) -> Tensor:  # (c, places, taps)
        taps = functional.unfold(_padded(module, q), side, stride=stride)
        return taps.view(len(q), q.shape[1], side**2, -1).permute(1, 0, 3, 2).flatten(1, 2)

    kernel, _ = effective(module)
    matrix, bias = fitted(kernel.flatten(1)[:, :, None], halves((patches(q), _by_channel(t)) for q, t in pairs))
    _write_kept(module, matrix.reshape(kernel.shape), bias.flatten())


def _padded(module: ConvNorm, x: Tensor) -> Tensor:
    """The map with the zeros that the convolution puts around it."""
    conv = module.conv
    if isinstance(conv, SamePadConv2d):
        return conv.padded(x)
    return functional.pad(x, (conv.kernel_size[0] // 2,) * 4)


def _fit_scales(module: ConvNorm, pairs: Pairs) -> None:
    """A scale and a shift of each channel: a line through what the layer answers and what it should."""
    sums = halves((_by_channel(module.linear(q)), _by_channel(t)) for q, t in pairs)
    scale, shift = fitted(torch.ones(module.conv.out_channels, 1, 1, dtype=torch.float64), sums)
    module.norm.weight.mul_(scale.flatten())
    module.norm.bias.mul_(scale.flatten()).add_(shift.flatten())


def _write_kept(module: ConvNorm, kernel: Tensor, bias: Tensor) -> None:
    """An effective kernel and bias behind the BatchNorm that is there; the bias goes into its mean."""
    norm, scale = module.norm, scale_of(module.norm)
    mean = running(norm)[0]
    alive = scale.abs() > LEAST_SCALE
    safe = torch.where(alive, scale, 1.0)
    old = module.conv.weight.double()
    module.conv.weight.copy_(torch.where(alive[:, None, None, None], kernel / safe[:, None, None, None], old))
    mean.copy_(torch.where(alive, (norm.bias.double() - bias) / safe, mean.double()))
