"""TinyNet A-E: B0 made smaller in resolution and depth first. Source: Han et al., arXiv:2010.14819, section 4.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from budgetnet.networks import Head, Network, Rounding, Stem
from budgetnet.networks.scaling import TINYNETS, resize
from budgetnet.networks.zoo.efficientnet import STAGES

ORIGIN = "B0 shrunk in resolution, depth and width by a rule fitted to sampled networks (arXiv:2010.14819, section 4)"


def _row(name: str) -> Callable[[], Network]:
    factors = TINYNETS[name]

    def network() -> Network:
        base = Network(
            name=name,
            stem=Stem(32, kernel=3, stride=2),
            stages=STAGES,
            head=Head(channels=1280, dropout=0.2),
            resolution_px=(224, 224),
            rounding=Rounding(depth="nearest", channel_multiple=8, stem="kept", head="grows"),
            drop_path=0.2,
            source="arXiv:2010.14819, section 4.2; huawei-noah, tinynet_pytorch (factors, stem and head kept)",
        )
        return resize(base, factors)

    return network


ROWS: Mapping[str, Callable[[], Network]] = {name: _row(name) for name in TINYNETS}
