"""The child's weights from the parent's, in closed form: every layer between two bridges.

Where all bridges are exact the child computes what the parent does, but for rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet.model.build import Model
from budgetnet.model.inherit.bridges import Bridge, same
from budgetnet.model.inherit.folded import effective, running
from budgetnet.model.inherit.plan import Bridges
from budgetnet.model.inherit.relatives import starts_as_identity
from budgetnet.model.layers import Block, ConvNorm, SqueezeExcite, Swish

GATE_LOGIT = 2.0
"""Where an added gate starts: it is the constant sigmoid(2) = 0.88, divided out of the projection, and can still
learn."""


def fit_kernel(kernel: Tensor, side: int) -> Tensor:
    """A kernel (o, i, k, k) at another side: zeros around it, or its middle."""
    margin = (side - kernel.shape[-1]) // 2
    return functional.pad(kernel, (margin,) * 4)


@torch.no_grad()
def transfer(child: Model, parent: Model, bridges: Bridges) -> None:
    """Fill the child. Both are on the CPU; a classifier of other classes is left as it is."""
    transfer_conv(child.stem, parent.stem, same(child.network.in_channels), bridges.streams[0])
    for i, own in enumerate(child.network.stage_blocks()):
        parent_blocks = parent.blocks(i)
        for j, block in enumerate(child.blocks(i)):
            inflow = bridges.streams[i if j == 0 else i + 1]
            source = min(j, len(parent_blocks) - 1)
            if source == j or j > 0 < source:
                prefix = f"stages.{i}.{source}"
                _transfer_block(block, parent_blocks[source], inflow, bridges.streams[i + 1], bridges, prefix)
            if j >= len(parent_blocks):
                _begin_as_identity(block, starts_as_identity(own[j]))
    _transfer_ends(child, parent, bridges)


def _transfer_ends(child: Model, parent: Model, bridges: Bridges) -> None:
    flow = bridges.streams[-1]
    if child.head is not None and parent.head is not None:
        transfer_conv(child.head, parent.head, flow, bridges.inner["head"])
        flow = bridges.inner["head"]
    if isinstance(child.hidden, ConvNorm) and isinstance(parent.hidden, ConvNorm):
        transfer_conv(child.hidden, parent.hidden, flow, bridges.inner["hidden"])
    elif isinstance(child.hidden, nn.Linear) and isinstance(parent.hidden, nn.Linear):
        _transfer_linear(child.hidden, parent.hidden, flow, bridges.inner["hidden"])
        _transfer_activation(child.hidden_activation, parent.hidden_activation)
    flow = bridges.inner.get("hidden", flow)
    if child.network.classes == parent.network.classes:
        _transfer_linear(child.classifier, parent.classifier, flow, same(parent.network.classes))


def _transfer_block(
    child: Block, parent: Block, inflow: Bridge, outflow: Bridge, bridges: Bridges, prefix: str
) -> None:
    flow = inflow
    for name in parent.inner:
        out = bridges.inner.get(f"{prefix}.{name}", flow)
        transfer_conv(child.conv_norm(name), parent.conv_norm(name), flow, out)
        flow = out
    transfer_conv(child.conv_norm("project"), parent.conv_norm("project"), flow, outflow)
    for name in parent.bypass:
        if name in child.bypass:
            transfer_conv(child.conv_norm(name), parent.conv_norm(name), inflow, outflow)
    if child.squeeze is not None and parent.squeeze is not None:
        _transfer_squeeze(child.squeeze, parent.squeeze, flow, bridges.inner[f"{prefix}.squeeze"])
    elif child.squeeze is not None:
        _begin_open(child.squeeze, child.conv_norm("project"))
    _transfer_activation(child.after, parent.after)


def transfer_conv(child: ConvNorm, parent: ConvNorm, inflow: Bridge, outflow: Bridge) -> None:
    """One convolution with its BatchNorm between two bridges."""
    _transfer_activation(child.activation, parent.activation)
    if outflow.kept is not None:
        _transfer_kept(child, parent, inflow, outflow.kept)
        return
    kernel, bias = effective(parent)
    kernel = fit_kernel(kernel, child.conv.kernel_size[0])
    shift = torch.einsum("oikl,i->o", kernel, inflow.offset)
    mixed = torch.einsum("po,oikl,ic->pckl", outflow.encode, kernel, inflow.decode)
    write_mixed(child, parent, mixed, outflow.encode @ (bias + shift))


def _transfer_kept(child: ConvNorm, parent: ConvNorm, inflow: Bridge, kept: Tensor) -> None:
    """Outputs that are the parent's own: their BatchNorm goes along, and what the inputs lack into its mean."""
    kernel = fit_kernel(parent.conv.weight.double(), child.conv.kernel_size[0])[kept]
    shift = torch.zeros(len(kept), dtype=torch.float64)
    if parent.conv.groups == 1:
        shift = torch.einsum("oikl,i->o", kernel, inflow.offset)
        kernel = torch.einsum("oikl,ic->ockl", kernel, inflow.decode)
    child.conv.weight.copy_(kernel)
    norm, parent_norm = child.norm, parent.norm
    own_mean, own_variance = running(norm)
    mean, variance = (each[kept].double() for each in running(parent_norm))
    own_mean.copy_(mean - shift)
    own_variance.copy_(variance)
    norm.weight.copy_(parent_norm.weight[kept].double() * ((variance + norm.eps) / (variance + parent_norm.eps)).sqrt())
    norm.bias.copy_(parent_norm.bias[kept])


def write_mixed(child: ConvNorm, parent: ConvNorm, kernel: Tensor, bias: Tensor) -> None:
    """Write an effective kernel (o, i, k, k) and bias (o,) whose outputs are mixtures of the parent's.

    What BatchNorm scales is free: kernels get the mean norm of the parent's, scales the root mean square of
    theirs, so that steps of training mean to them what they meant to the parent.
    """
    norm = child.norm
    mean, variance = running(norm)
    typical = parent.conv.weight.double().flatten(1).norm(dim=1).mean().clamp_min(1e-12)
    scale = (kernel.flatten(1).norm(dim=1) / typical).clamp_min(1e-12)
    weight = parent.norm.weight.double().pow(2).mean().sqrt().clamp_min(1e-6)
    child.conv.weight.copy_(kernel / scale[:, None, None, None])
    variance.copy_(((weight / scale) ** 2 - norm.eps).clamp_min(0.0))
    norm.weight.copy_(scale * (variance.double() + norm.eps).sqrt())
    mean.zero_()
    norm.bias.copy_(bias)


def _transfer_linear(child: nn.Linear | nn.Conv2d, parent: nn.Linear | nn.Conv2d, inflow: Bridge, out: Bridge) -> None:
    """A linear layer, or the same as a 1x1 convolution on one pixel."""
    matrix = parent.weight.double().flatten(1)
    child.weight.copy_((out.encode @ matrix @ inflow.decode).view_as(child.weight))
    assert child.bias is not None and parent.bias is not None
    child.bias.copy_(out.encode @ (parent.bias.double() + matrix @ inflow.offset))


def _transfer_squeeze(child: SqueezeExcite, parent: SqueezeExcite, flow: Bridge, inside: Bridge) -> None:
    _transfer_linear(child.reduce, parent.reduce, flow, inside)
    assert flow.kept is not None, "gates weigh channels, not mixtures"
    _transfer_linear(child.expand, parent.expand, inside, flow)
    _transfer_activation(child.inner, parent.inner)


def _begin_open(squeeze: SqueezeExcite, project: ConvNorm) -> None:
    """Gates that are one constant, divided out of the projection that reads what they weigh."""
    squeeze.expand.weight.zero_()
    assert squeeze.expand.bias is not None
    squeeze.expand.bias.fill_(GATE_LOGIT)
    project.conv.weight.div_(squeeze.gate(torch.tensor(GATE_LOGIT)))


def _begin_as_identity(block: Block, exactly: bool) -> None:
    """A new block that gives what it gets: an empty branch beside the skip, or a single 1 a channel."""
    if not exactly:
        return
    if block.drop_path is not None:
        project = block.conv_norm("project")
        project.norm.weight.zero_()
        project.norm.bias.zero_()
        return
    for module in map(block.conv_norm, (*block.inner, *block.projection)):
        kernel, norm = module.conv.weight, module.norm
        middle = kernel.shape[-1] // 2
        kernel.zero_()
        diagonal = torch.arange(kernel.shape[0])
        kernel[diagonal, diagonal if module.conv.groups == 1 else 0, middle, middle] = 1.0
        norm.reset_running_stats()
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)
        norm.bias.zero_()


def _transfer_activation(child: nn.Module | None, parent: nn.Module | None) -> None:
    """A trained beta goes along."""
    if isinstance(child, Swish) and isinstance(parent, Swish) and child.trainable:
        child.beta.fill_(float(parent.beta) if parent.trainable else parent.fixed_beta)
