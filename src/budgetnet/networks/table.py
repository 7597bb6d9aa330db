"""What `str(network)` shows: a row a stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from budgetnet.networks.block import block_macs
from budgetnet.networks.values import Px

if TYPE_CHECKING:
    from budgetnet.networks.network import Network, Stage


def table(network: Network) -> Iterator[str]:
    """Lines of `str(network)`: a row a stage with its share of the MACs."""
    rows = list(_stage_rows(network))
    total = sum(macs for *_, macs in rows)
    height, width = network.resolution_px
    what = f"{network.name}: {height}x{width} px, {network.classes} classes, {network.depth} blocks"
    yield f"{what}, {total / 1e6:,.1f} M MACs"
    yield f"{'stage':<8}{'block':<26}{'out px':>9}{'channels':>10}{'repeats':>9}{'MACs %':>8}"
    for name, what, (height, width), channels, repeats, macs in rows:
        size = f"{height}x{width}"
        yield f"{name:<8}{what:<26}{size:>9}{channels:>10}{repeats:>9}{100 * macs / total:>8.1f}"


def _stage_rows(network: Network) -> Iterator[tuple[str, str, Px, int, int, int]]:
    """(name, what, out_px, channels, repeats, macs) of stem, stages and head."""
    px, stem = network.resolution_px, network.stem_conv
    macs, px = stem.macs(px), network.stem_px
    what = f"conv {stem.kernel}x{stem.kernel} s{stem.stride}" + (", max pool" if network.stem.pool else "")
    yield "stem", what, px, stem.out_channels, 1, macs
    for index, (stage, blocks) in enumerate(zip(network.stages, network.stage_blocks(), strict=True)):
        macs = block_macs(blocks[0], px)
        px = blocks[0].out_px(px)
        if stage.repeats > 1:  # the others are equal
            macs += (stage.repeats - 1) * block_macs(blocks[-1], px)
        yield str(index), _kind(stage), px, stage.channels, stage.repeats, macs
    tail = [(conv, px) for conv in (network.head_conv,) if conv]
    tail += [(linear, (1, 1)) for linear in (network.hidden_linear, network.classifier) if linear]
    yield "head", "pool, linear", (1, 1), network.features, 1, sum(conv.macs(at) for conv, at in tail)


def _kind(stage: Stage) -> str:
    kernels = (stage.start_kernel, stage.kernel) if stage.kind == "universal" else (stage.kernel,)
    sides = "/".join(f"{kernel}x{kernel}" if kernel else "-" for kernel in kernels)
    words = [stage.kind, sides, f"s{stage.stride}"]
    words += [f"e{stage.expansion:.3g}"] if stage.expansion != 1.0 else []
    words += ["se"] if stage.squeeze else []
    return " ".join(words)
