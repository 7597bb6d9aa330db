"""Which model of timm computes what a network of ours does, and its weights under timm's names.

timm's functions fix the channels of most families: no argument makes an EfficientNet of other widths than the published
ones. Depth is free in its MobileNet V1 and V2, depth and width in its EfficientNetV2; padding and the epsilon of
BatchNorm are nearly everywhere. Source: timm, models/efficientnet.py and models/mobilenetv3.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from budgetnet.model.build import Model
from budgetnet.model.layouts import layout_of, our_names
from budgetnet.model.weights import computation, fitted
from budgetnet.networks import Network, round_channels, zoo

RENAMED = (
    ("mobilenet_v1", "mobilenetv1_100"),
    ("mobilenet_v2", "mobilenetv2_100"),
    ("mobilenet_v3_small", "mobilenetv3_small_100"),
    ("mobilenet_v3_large", "mobilenetv3_large_100"),
    ("mobilenet_v4", "mobilenetv4"),
    ("mnasnet_a1", "semnasnet_100"),
    ("mnasnet_b1", "mnasnet_100"),
    ("efficientnet_edgetpu_", "efficientnet_e"),
    ("ghostnet", "ghostnet_100"),
)
WIDTHS: Mapping[str, tuple[int, ...]] = {
    "mobilenet_v1": (125,),
    "mobilenet_v2": (35, 50, 75, 140),
    "mobilenet_v3_small": (50, 75),
    "mobilenet_v3_large": (75,),
    "mnasnet_a1": (50, 75, 140),
    "mnasnet_b1": (50, 75, 140),
}
"""The widths in percent that timm has of a network, beside 100."""
ONLY_TENSORFLOWS = "efficientnetv2_b"
"""Networks whose names begin so are in timm in TensorFlow's form alone."""
FIXED_FORM = ("resnet", "ghostnet")
"""timm's padding and epsilon of networks whose names begin so have no argument."""
FREE_DEPTH = ("mobilenet_v1", "mobilenet_v2")
"""timm's networks whose names begin so here take a `depth_multiplier`."""
FREE_DEPTH_AND_WIDTH = tuple(
    f"{form}efficientnetv2_{size}" for form in ("", "tf_") for size in ("b0", "s", "m", "l", "xl")
)
"""timm's networks of these names take a `depth_multiplier` and a `channel_multiplier`."""
FINEST = 1000
"""A multiplier is looked for in steps of one part in this many."""


@dataclass(frozen=True, slots=True)
class TimmModel:
    """A model as `timm.create_model` takes it: its name, and what has other values than the name says."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


def timm_name(name: str) -> str:
    """timm's name of a network of the zoo."""
    for ours, theirs in RENAMED:
        name = name.replace(ours, theirs)
    return name


def timm_names() -> Iterator[tuple[str, str]]:
    """(our name, timm's) of each network that timm has, too."""
    yield from ((name, timm_name(name)) for name in zoo.names() if not name.startswith(ONLY_TENSORFLOWS))
    for name, widths in WIDTHS.items():
        yield from ((f"{name}_{width}", timm_name(name).replace("_100", f"_{width:03}")) for width in widths)


def timm_model(network: Network) -> TimmModel | None:
    """timm's model that computes the same, at any size of images and with any classes; None where it has none."""
    wanted = computation(network)
    rows = [(ours, theirs, computation(zoo.network(ours))) for ours, theirs in timm_names()]
    for _, theirs, row in rows:
        if row == wanted:
            return TimmModel(theirs)
    for ours, theirs, row in rows:
        arguments: dict[str, Any] = {}
        if not ours.startswith(FIXED_FORM):
            arguments |= {} if row.padding == wanted.padding else {"pad_type": _padding(wanted)}
            arguments |= {} if row.norm == wanted.norm else {"bn_eps": wanted.norm.eps}
            row = dataclasses.replace(row, padding=wanted.padding, norm=wanted.norm)
        if row == wanted:
            return TimmModel(theirs, arguments)
        if (multipliers := _multipliers(ours, row, wanted)) is not None:
            return TimmModel(theirs, arguments | multipliers)
    return None


def _padding(network: Network) -> str:
    """timm's word for it."""
    return "same" if network.padding == "same" else ""


def _multipliers(name: str, base: Network, wanted: Network) -> dict[str, float] | None:
    """The multipliers by which timm makes one network of the other; None where there are none."""
    wide = name in FREE_DEPTH_AND_WIDTH
    if not (wide or name.startswith(FREE_DEPTH)) or len(base.stages) != len(wanted.stages):
        return None
    depth = _depth_multiplier(base, wanted)
    if depth is None:
        return None
    deep = dataclasses.replace(
        base,
        stages=tuple(
            dataclasses.replace(one, repeats=other.repeats)
            for one, other in zip(base.stages, wanted.stages, strict=True)
        ),
    )
    if deep == wanted:
        return {"depth_multiplier": depth}
    width = _width_multiplier(name, deep, wanted) if wide else None
    if width is None:
        return None
    return {"channel_multiplier": width} if depth == 1.0 else {"depth_multiplier": depth, "channel_multiplier": width}


def _depth_multiplier(base: Network, wanted: Network) -> float | None:
    """The largest factor, in steps, that makes each stage as deep as it is: repeats times it, rounded up."""
    pairs = [(one.repeats, other.repeats) for one, other in zip(base.stages, wanted.stages, strict=True)]
    factor = math.floor(FINEST * min(want / have for have, want in pairs)) / FINEST
    return factor if all(max(1, math.ceil(have * factor)) == want for have, want in pairs) else None


def _width_multiplier(name: str, base: Network, wanted: Network) -> float | None:
    """A factor that makes each stage as wide as it is, as timm rounds, with the fewest digits; None where none does."""
    least_share = 0.0 if name.endswith("_b0") else 0.9
    scaled_head = name.endswith(("_b0", "_s"))
    ratio = wanted.stages[-1].channels / base.stages[-1].channels
    steps = range(max(1, math.floor(0.8 * FINEST * ratio)), math.ceil(1.25 * FINEST * ratio) + 1)

    def scaled(factor: float) -> Network:
        def wide(channels: int) -> int:
            return round_channels(channels * factor, least_share=least_share)

        head = base.head.channels
        return dataclasses.replace(
            base,
            stem=dataclasses.replace(base.stem, channels=wide(base.stem.channels)),
            stages=tuple(dataclasses.replace(one, channels=wide(one.channels)) for one in base.stages),
            head=dataclasses.replace(base.head, channels=wide(head) if scaled_head and head else head),
        )

    fitting = (step / FINEST for step in steps if scaled(step / FINEST) == wanted)
    return min(fitting, key=lambda factor: (len(f"{factor:g}"), factor), default=None)


def as_timm_has_it(model: Model, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model under the names, and in the shapes, of timm's model of the same network.

    `theirs` are the tensors of that model, drawn or not. Raises a one-line `ValueError` for names that no layout has.
    """
    layout = layout_of(theirs)
    if layout is None:
        raise ValueError("timm calls the weights of this network otherwise now; take an older timm")
    own, names = model.state_dict(), our_names(layout, model.network, theirs)
    if set(names.values()) != own.keys():
        raise ValueError("timm has other weights for this network now; take an older timm")
    return fitted({key: tuple(one.shape) for key, one in theirs.items()}, {key: own[names[key]] for key in theirs})
