"""EfficientNet B0-B8 and L2. Source: Tan & Le, arXiv:1905.11946v5, table 1 (B0's stages)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import SWISH, Head, Network, Rounding, Squeeze, Stage, Stem
from budgetnet.networks.scaling import Scaling, resize

ORIGIN = (
    "B0 by architecture search in MnasNet's space, for accuracy and multiply-adds; the larger ones by compound "
    "scaling of B0 (arXiv:1905.11946, sections 3.3 and 4)"
)

# Swish inside, squeezed from the block's input channels: efficientnet_model.py, MBConvBlock.
SQUEEZE = Squeeze(0.25, source="input", inner=SWISH)

STAGES = (
    Stage(16, 1, kernel=3, stride=1, expansion=1, squeeze=SQUEEZE),
    Stage(24, 2, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(40, 2, kernel=5, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(80, 3, kernel=3, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(112, 3, kernel=5, stride=1, expansion=6, squeeze=SQUEEZE),
    Stage(192, 4, kernel=5, stride=2, expansion=6, squeeze=SQUEEZE),
    Stage(320, 1, kernel=3, stride=1, expansion=6, squeeze=SQUEEZE),
)

# Width, depth, resolution_px, dropout. Source: the authors' efficientnet_builder.py,
# efficientnet_params. The published table is not the formula: B7's depth is 3.1, not 1.2**7.
PRESETS = {
    "efficientnet_b0": (1.0, 1.0, 224, 0.2),
    "efficientnet_b1": (1.0, 1.1, 240, 0.2),
    "efficientnet_b2": (1.1, 1.2, 260, 0.3),
    "efficientnet_b3": (1.2, 1.4, 300, 0.3),
    "efficientnet_b4": (1.4, 1.8, 380, 0.4),
    "efficientnet_b5": (1.6, 2.2, 456, 0.4),
    "efficientnet_b6": (1.8, 2.6, 528, 0.5),
    "efficientnet_b7": (2.0, 3.1, 600, 0.5),
    # Trained by AdvProp (arXiv:1911.09665) and Noisy Student (arXiv:1911.04252), on the same formula's table.
    "efficientnet_b8": (2.2, 3.6, 672, 0.5),
    "efficientnet_l2": (4.3, 5.3, 800, 0.5),
}


def preset(name: str, width: float, depth: float, resolution_px: int, dropout: float) -> Network:
    """A row of the published table: B0 scaled in width and depth, with the resolution as given."""
    base = Network(
        name=name,
        stem=Stem(32, kernel=3, stride=2),
        stages=STAGES,
        head=Head(channels=1280, dropout=dropout),
        resolution_px=(resolution_px, resolution_px),
        rounding=Rounding(depth="up", channel_multiple=8),
        drop_path=0.2,
        source="arXiv:1905.11946v5, tables 1 and 2; efficientnet_builder.py",
    )
    return resize(base, Scaling(depth=depth, width=width))


def _row(name: str) -> Callable[[], Network]:
    return lambda: preset(name, *PRESETS[name])


ROWS: Mapping[str, Callable[[], Network]] = {name: _row(name) for name in PRESETS}
