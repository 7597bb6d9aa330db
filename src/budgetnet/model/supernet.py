"""One module that holds the weights of a whole space of networks and runs any of them.

Smaller networks read the first channels, the centre of kernels and the first layers of the largest; blocks of another
kind and squeeze-and-excitation of another form have weights of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from budgetnet import networks as spec
from budgetnet.model.build import Model, build, initialise
from budgetnet.model.layers import ConvNorm, SqueezeExcite, activation, same_padded, squeeze_excite

Rows = Sequence[Sequence[spec.Stage]]
"""For every stage the rows that it may be."""


class Supernet(nn.Module):
    """Shared weights of every network that has the base's ends and for each stage one of its rows.

    w'(o, i, y, x) = w(o, i, y + (K - k) / 2, x + (K - k) / 2) for o < c', i < c: the first output and input channels
    and the centre of the largest kernel. Layer j of a stage is the same in all networks that have it.

    supernet(images, network): (n, in_channels, h, w) -> logits (n, classes). In training BatchNorm reads the batch; its
    running statistics are those of whatever ran last, so that a network must have its own taken anew before it is
    judged. Raises a one-line `ValueError` for rows that are not as many as the base's stages.
    Source: Cai et al., Once-for-All, arXiv:1908.09791, section 3.3; Yu et al., BigNAS, arXiv:2003.11142, section 3.
    """

    def __init__(self, base: spec.Network, rows: Rows) -> None:
        super().__init__()
        if len(rows) != len(base.stages) or not all(rows):
            raise ValueError(f"a supernet of {base.name} needs rows for each of its {len(base.stages)} stages")
        self.base: Final = base
        self.stem = ConvNorm(base.stem_conv, base.norm, base.padding)
        self.stem_pool = nn.MaxPool2d(3, 2, 1) if base.stem.pool else None
        self.stages = nn.ModuleList()
        channels = base.stem.channels
        for stage in rows:
            self.stages.append(_stage(base, stage, channels))
            channels = max(row.channels for row in stage)
        widest = _with_channels(base, channels)
        self.head = ConvNorm(widest.head_conv, base.norm) if widest.head_conv else None
        hidden = widest.hidden_linear
        self.hidden = _hidden(hidden, base.norm) if hidden else None
        self.hidden_activation = activation(hidden.activation) if hidden and not hidden.norm else None
        self.classifier = nn.Linear(widest.features, base.classes)
        initialise(self)

    def forward(self, images: Tensor, network: spec.Network, dropout: float = 0.0) -> Tensor:
        """Logits of one of the networks: (n, in_channels, h, w) -> (n, classes)."""
        x = self.stem(images)
        x = x if self.stem_pool is None else self.stem_pool(x)
        for index, blocks in enumerate(network.stage_blocks()):
            for layer, block in enumerate(blocks):
                x = self.block(index, layer, block)(x, block)
        if self.head is not None and network.head_conv is not None:
            x = _run(self.head, network.head_conv, x)
        x = self._pooled(x, network)
        classifier = self.classifier
        x = functional.dropout(x, dropout, self.training)
        return functional.linear(x, classifier.weight[:, : network.features], classifier.bias)

    def _pooled(self, x: Tensor, network: spec.Network) -> Tensor:
        x, row = functional.adaptive_avg_pool2d(x, 1), network.hidden_linear
        if self.hidden is None or row is None:
            return x.flatten(1)
        if isinstance(self.hidden, ConvNorm):
            return _run(self.hidden, row, x).flatten(1)
        assert self.hidden_activation is not None
        weight = self.hidden.weight[:, : row.in_channels]
        return self.hidden_activation(functional.linear(x.flatten(1), weight, self.hidden.bias))

    def block(self, stage: int, layer: int, block: spec.Block) -> SharedBlock:
        """The weights that a block of a network reads. Raises `ValueError` for one that is not in the space."""
        name = f"{stage}.{_variant(block)}.{layer}"
        try:
            found = self.stages.get_submodule(name)
        except AttributeError as error:
            raise ValueError(f"layer {layer} of stage {stage} is no {block.kind} of this supernet") from error
        assert isinstance(found, SharedBlock)
        return found

    @torch.no_grad()
    def standalone(self, network: spec.Network) -> Model:
        """A model of the network with its slices of the weights, that answers as the supernet does for it."""
        model = build(network)
        _copy(model.stem, self.stem, network.stem_conv)
        for index, blocks in enumerate(network.stage_blocks()):
            for layer, (block, module) in enumerate(zip(blocks, model.blocks(index), strict=True)):
                shared = self.block(index, layer, block)
                for name, row in block.inner:
                    _copy(module.conv_norm(name), shared.conv_norm(name), row)
                _copy(module.project, shared.project, block.project)
                if module.squeeze is not None:
                    shared.copy_squeeze(module.squeeze, block)
        if model.head is not None and self.head is not None and network.head_conv is not None:
            _copy(model.head, self.head, network.head_conv)
        _copy_hidden(model, self, network)
        model.classifier.weight.copy_(self.classifier.weight[:, : network.features])
        model.classifier.bias.copy_(self.classifier.bias)
        return model


class SharedBlock(nn.Module):
    """The weights of one layer for every block of its kind: the largest of each convolution, an excitation a form."""

    def __init__(self, largest: spec.Block, squeezes: Sequence[spec.Squeeze]) -> None:
        super().__init__()
        for name, row in largest.inner:
            self.add_module(name, ConvNorm(row, largest.norm, largest.padding))
        self.project = ConvNorm(largest.project, largest.norm, largest.padding)
        self.squeezes = nn.ModuleDict(
            {_squeeze_name(row): _squeeze_excite(dataclasses.replace(largest, squeeze=row)) for row in squeezes}
        )

    def forward(self, x: Tensor, block: spec.Block) -> Tensor:
        """(n, c, h, w) -> (n, c', ceil(h / stride), ceil(w / stride)) as the block is."""
        y = x
        for name, row in block.inner:
            y = _run(self.conv_norm(name), row, y, block.padding)
        if block.squeeze is not None:
            y = self._excited(y, block)
        y = _run(self.project, block.project, y, block.padding)
        return y + x if block.has_skip else y

    def _excited(self, u: Tensor, block: spec.Block) -> Tensor:
        shared, (first, second) = self.excite(block), _excitation(block)
        z = u.mean((2, 3), keepdim=True)
        z = functional.conv2d(z, _kernel(shared.reduce, first), _bias(shared.reduce, first))
        z = functional.conv2d(shared.inner(z), _kernel(shared.expand, second), _bias(shared.expand, second))
        return u * shared.gate(z)

    def excite(self, block: spec.Block) -> SqueezeExcite:
        """The squeeze-and-excitation of the block's form."""
        assert block.squeeze is not None
        found = self.squeezes[_squeeze_name(block.squeeze)]
        assert isinstance(found, SqueezeExcite)
        return found

    def conv_norm(self, part: str) -> ConvNorm:
        """An inner convolution by its name."""
        module = self.get_submodule(part)
        assert isinstance(module, ConvNorm)
        return module

    def copy_squeeze(self, target: SqueezeExcite, block: spec.Block) -> None:
        """Write the block's slices into a squeeze-and-excitation of its own size."""
        shared = self.excite(block)
        for own, mine, row in zip(
            (target.reduce, target.expand), (shared.reduce, shared.expand), _excitation(block), strict=True
        ):
            own.weight.copy_(_kernel(mine, row))
            assert own.bias is not None
            own.bias.copy_(_bias(mine, row))
        target.inner.load_state_dict(shared.inner.state_dict())
        target.gate.load_state_dict(shared.gate.state_dict())


def _stage(base: spec.Network, rows: Sequence[spec.Stage], in_channels: int) -> nn.ModuleDict:
    """For every kind of block in the rows, its layers at their largest."""
    channels = max(row.channels for row in rows)
    variants: dict[str, list[spec.Stage]] = {}
    for row in rows:
        variants.setdefault(_variant(row), []).append(row)
    return nn.ModuleDict(
        {name: _layers(base, alike, in_channels, channels) for name, alike in sorted(variants.items())}
    )


def _layers(base: spec.Network, alike: Sequence[spec.Stage], in_channels: int, channels: int) -> nn.ModuleList:
    largest = dataclasses.replace(
        alike[0],
        channels=channels,
        repeats=max(row.repeats for row in alike),
        kernel=max(row.kernel for row in alike),
        expansion=max(row.expansion for row in alike),
        squeeze=None,
    )
    stem = dataclasses.replace(base.stem, channels=in_channels)
    (blocks,) = dataclasses.replace(base, stem=stem, stages=(largest,)).stage_blocks()
    squeezes = tuple(dict.fromkeys(row.squeeze for row in alike if row.squeeze is not None))
    return nn.ModuleList(SharedBlock(block, squeezes) for block in blocks)


def _variant(row: spec.Stage | spec.Block) -> str:
    """Rows of one variant share their weights: one kind, with an expansion or without."""
    return f"{row.kind}-expanding" if row.expansion != 1.0 else row.kind


def _squeeze_name(row: spec.Squeeze) -> str:
    parts = (
        row.source,
        row.ratio,
        row.channel_multiple,
        *dataclasses.astuple(row.inner),
        *dataclasses.astuple(row.gate),
    )
    return "-".join(map(str, parts)).replace(".", "_")


def _squeeze_excite(block: spec.Block) -> SqueezeExcite:
    made = squeeze_excite(block)
    assert made is not None
    return made


def _hidden(row: spec.Conv, norm: spec.Norm) -> nn.Linear | ConvNorm:
    return ConvNorm(row, norm) if row.norm else nn.Linear(row.in_channels, row.out_channels)


def _with_channels(base: spec.Network, channels: int) -> spec.Network:
    """The base with so many channels in its last stage."""
    last = dataclasses.replace(base.stages[-1], channels=channels)
    return dataclasses.replace(base, stages=(*base.stages[:-1], last))


def _excitation(block: spec.Block) -> tuple[spec.Conv, spec.Conv]:
    assert block.excitation is not None
    return block.excitation


def _kernel(conv: nn.Conv2d, row: spec.Conv) -> Tensor:
    """The row's slice of a kernel: its first channels, out and in, and its centre."""
    edge = (conv.kernel_size[0] - row.kernel) // 2
    inside = slice(edge, edge + row.kernel)
    return conv.weight[: row.out_channels, : row.in_channels // row.groups, inside, inside]


def _bias(conv: nn.Conv2d, row: spec.Conv) -> Tensor:
    assert conv.bias is not None
    return conv.bias[: row.out_channels]


def _run(shared: ConvNorm, row: spec.Conv, x: Tensor, padding: spec.Padding = "symmetric") -> Tensor:
    """activation(BatchNorm(conv(x))) with the row's slices."""
    pad = (row.kernel - 1) // 2
    if padding == "same" and row.stride > 1:
        x, pad = same_padded(x, row.kernel, row.stride), 0
    x = functional.conv2d(x, _kernel(shared.conv, row), None, row.stride, pad, groups=row.groups)
    norm, count = shared.norm, row.out_channels
    assert norm.running_mean is not None and norm.running_var is not None
    x = functional.batch_norm(
        x,
        norm.running_mean[:count],
        norm.running_var[:count],
        norm.weight[:count],
        norm.bias[:count],
        shared.training,
        norm.momentum or 0.0,
        norm.eps,
    )
    return shared.activation(x)


def _copy(target: ConvNorm, shared: ConvNorm, row: spec.Conv) -> None:
    """Write the row's slices into a convolution of its own size."""
    target.conv.weight.copy_(_kernel(shared.conv, row))
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(target.norm, name).copy_(getattr(shared.norm, name)[: row.out_channels])
    target.activation.load_state_dict(shared.activation.state_dict())


def _copy_hidden(model: Model, supernet: Supernet, network: spec.Network) -> None:
    row = network.hidden_linear
    if row is None or supernet.hidden is None or model.hidden is None:
        return
    if isinstance(supernet.hidden, ConvNorm):
        assert isinstance(model.hidden, ConvNorm)
        _copy(model.hidden, supernet.hidden, row)
        return
    assert isinstance(model.hidden, nn.Linear)
    model.hidden.weight.copy_(supernet.hidden.weight[:, : row.in_channels])
    model.hidden.bias.copy_(supernet.hidden.bias)
    if model.hidden_activation is not None and supernet.hidden_activation is not None:
        model.hidden_activation.load_state_dict(supernet.hidden_activation.state_dict())
