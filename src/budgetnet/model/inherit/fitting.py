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
from budgetnet.model.inherit.least_squares import fitted, halves
from budgetnet.model.inherit.plan import Bridges, effective
from budgetnet.model.inherit.transfer import write_mixed
from budgetnet.model.layers import Block, ConvNorm, SamePadConv2d

LEAST_SCALE = 1e-6
"""A channel that BatchNorm scales by less is dead, and stays as it is."""
Maps = list[Tensor]
"""One (n, c, h, w) for each chunk of images."""
Pairs = Iterable[tuple[Tensor, Tensor]]
"""(what a layer reads, what it should answer before its activation) for each chunk of images."""


@torch.no_grad()
def refit(child: Model, parent: Model, bridges: Bridges, images: Sequence[Tensor]) -> None:
    """Fit the child to the parent on chunks of images (n, c, h, w), from the first stage to the head.

    The last block of a stage answers for those of the parent's that the child has not.
    """
    own, theirs = [child.first(chunk) for chunk in images], [parent.first(chunk) for chunk in images]
    for i, stream in enumerate(bridges.streams[1:]):
        mine, others = blocks_of(child, i), blocks_of(parent, i)
        for j, block in enumerate(mine):
            if j < len(others):
                inflow = bridges.streams[i if j == 0 else i + 1]
                _refit_inner(block, others[j], own, theirs, inflow, bridges, f"stages.{i}.{j}")
                for skipped in others[j : -1 if j == len(mine) - 1 else j]:
                    theirs = [skipped(chunk) for chunk in theirs]
                last = others[-1] if j == len(mine) - 1 else others[j]
                _refit_projection(block, last, own, theirs, stream)
                theirs = [last(chunk) for chunk in theirs]
            own = [block(chunk) for chunk in own]
    if child.head is not None and parent.head is not None:
        answers = (parent.head.linear(chunk) for chunk in theirs)
        fit_layer(child.head, parent.head, zip(own, answers, strict=True), bridges.inner["head"])


def blocks_of(model: Model, stage: int) -> list[Block]:
    """The blocks of a stage."""
    return [block for block in model.get_submodule(f"stages.{stage}").children() if isinstance(block, Block)]


def _refit_inner(
    child: Block, parent: Block, own: Maps, theirs: Maps, flow: Bridge, bridges: Bridges, prefix: str
) -> None:
    for name in child.inner:
        module, other = child.conv_norm(name), parent.conv_norm(name)
        flow = bridges.inner.get(f"{prefix}.{name}", flow)
        if module.conv.groups > 1 and module.conv.kernel_size >= other.conv.kernel_size:
            continue
        read = (child.read_by(name, chunk) for chunk in own)
        answers = (other.linear(parent.read_by(name, chunk)) for chunk in theirs)
        fit_layer(module, other, zip(read, answers, strict=True), flow)


def _refit_projection(child: Block, parent: Block, own: Maps, theirs: Maps, stream: Bridge) -> None:
    """Fit a projection so that the block's output is the parent's, the skip taken into account where it is added
    to something linear."""
    if isinstance(child.project.activation, torch.nn.Identity):
        read = (child.read_by("project", chunk) for chunk in own)
        sums = (encoded(stream, parent.joined(chunk)) for chunk in theirs)
        if child.drop_path is not None:
            sums = (each - child.beside(chunk) for each, chunk in zip(sums, own, strict=True))
        fit_layer(child.project, parent.project, zip(read, sums, strict=True), stream, encode=False)
    else:
        read = (child.read_by("project", chunk) for chunk in own)
        answers = (parent.project.linear(parent.read_by("project", chunk)) for chunk in theirs)
        fit_layer(child.project, parent.project, zip(read, answers, strict=True), stream)


def encoded(bridge: Bridge, x: Tensor) -> Tensor:
    """A parent's map in the child's channels."""
    if bridge.kept is not None:
        return x[:, bridge.kept]
    return torch.einsum("cp,nphw->nchw", bridge.encode.to(x.dtype), x)


def fit_layer(module: ConvNorm, parent: ConvNorm, pairs: Pairs, out: Bridge, encode: bool = True) -> None:
    """Fit one layer; answers are the parent's, or with encode=False in the child's channels already."""
    wanted = ((q, encoded(out, t) if encode else t) for q, t in pairs)
    if module.conv.groups > 1:
        _fit_depthwise(module, wanted)
    elif module.conv.kernel_size == (1, 1):
        _fit_pointwise(module, parent, wanted, out)
    else:
        _fit_scales(module, wanted)


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
    if not isinstance(conv, SamePadConv2d):
        return functional.pad(x, (conv.kernel_size[0] // 2,) * 4)
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
    return functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))


def _fit_scales(module: ConvNorm, pairs: Pairs) -> None:
    """A scale and a shift of each channel: a line through what the layer answers and what it should."""
    sums = halves((_by_channel(module.linear(q)), _by_channel(t)) for q, t in pairs)
    scale, shift = fitted(torch.ones(module.conv.out_channels, 1, 1, dtype=torch.float64), sums)
    module.norm.weight.mul_(scale.flatten())
    module.norm.bias.mul_(scale.flatten()).add_(shift.flatten())


def _write_kept(module: ConvNorm, kernel: Tensor, bias: Tensor) -> None:
    """An effective kernel and bias behind the BatchNorm that is there; the bias goes into its mean."""
    norm = module.norm
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
    alive = scale.abs() > LEAST_SCALE
    safe = torch.where(alive, scale, 1.0)
    old = module.conv.weight.double()
    module.conv.weight.copy_(torch.where(alive[:, None, None, None], kernel / safe[:, None, None, None], old))
    mean = torch.where(alive, (norm.bias.double() - bias) / safe, norm.running_mean.double())  # type: ignore[union-attr]
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
