"""What is trained: one network that fits the images, and the same with another activation in every place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from budgetnet.data import ImageSet
from budgetnet.experiments.bases import LEAST_LAST_PX, adapted_bases, base_px, last_px
from budgetnet.inspect.landscape.functions import name_of, parse, title_of
from budgetnet.networks import IDENTITY, Activation, Head, Network, Squeeze, Stage, Stem
from budgetnet.networks.scaling import adapt

SMALL = Network(
    name="small_efficientnet",
    stem=Stem(16),
    stages=(
        Stage(16, squeeze=Squeeze(0.25)),
        Stage(24, repeats=2, stride=2, expansion=4.0, squeeze=Squeeze(0.25)),
        Stage(40, repeats=2, kernel=5, stride=2, expansion=4.0, squeeze=Squeeze(0.25)),
        Stage(64, expansion=4.0, squeeze=Squeeze(0.25)),
    ),
    head=Head(128),
    resolution_px=(32, 32),
    source="ours: EfficientNet's blocks (arXiv:1905.11946, table 1), few enough to train many times",
)
"""What is trained unless a network is given. Its last map is an eighth of its input."""
MOST_SMALL_PX = 64
ACTIVATIONS = ("relu", "swish", "swish:trainable")
TRAINABLE = ":trainable"


def parse_activation(text: str | Activation) -> Activation:
    """The activation of a name as `parse` reads it, or of swish:trainable and swish:0.5:trainable: beta is trained.

    Raises a one-line `ValueError`.
    """
    if isinstance(text, Activation):
        return text
    name = text.strip().lower()
    row = parse(name.removesuffix(TRAINABLE))
    if not name.endswith(TRAINABLE):
        return row
    if row.kind != "swish":
        raise ValueError(f"{text!r}: only swish has a beta to train; give swish{TRAINABLE}")
    return dataclasses.replace(row, trainable=True)


def activation_name(row: Activation) -> str:
    """The name that `parse_activation` reads."""
    return name_of(row) + (TRAINABLE if row.trainable else "")


def activation_title(row: Activation) -> str:
    """As people write it: ReLU, Swish, Swish β = 0.5, Swish with trained β."""
    if row.trainable:
        return "Swish with trained β" + ("" if row.beta == 1.0 else f" from {row.beta:g}")
    return "Swish" if row == Activation("swish") else title_of(row)


def activations_of(names: Sequence[str | Activation]) -> tuple[Activation, ...]:
    """The activations of names, each once, in their order. Raises `ValueError` for none."""
    rows = tuple(dict.fromkeys(map(parse_activation, names)))
    if not rows:
        raise ValueError("give at least one activation, as relu or swish:trainable")
    return rows


def base_for(images: ImageSet, network: str | Network | None = None) -> Network:
    """The network whose twins are trained, with the images' classes and channels.

    A zoo name is taken in the images' size, with as few strides dropped as leave a last map of 4 px; a network keeps
    its own. Without one, `SMALL` in the images' size, 32 to 64 px.
    """
    if network is None:
        network = adapt(SMALL, min(MOST_SMALL_PX, base_px(images)))
    if isinstance(network, Network):
        return dataclasses.replace(network, classes=len(images.classes), in_channels=images.in_channels)
    forms = [row for _, _, row in adapted_bases(images, [network])]
    return next((row for row in forms if last_px(row) >= LEAST_LAST_PX), forms[-1])


def with_activation(network: Network, activation: Activation) -> Network:
    """The network with that activation in stem, blocks, inside squeeze-and-excitation and in the head.

    Gates of squeeze-and-excitation keep their own function, which has to end in 0 and 1; what is linear stays so.
    Raises a one-line `ValueError` for a network without any activation to replace.
    """

    def of(row: Activation) -> Activation:
        return row if row == IDENTITY else activation

    head_used = bool(network.head.channels or network.head.hidden)
    head = dataclasses.replace(network.head, activation=of(network.head.activation)) if head_used else network.head
    found = dataclasses.replace(
        network,
        name=f"{network.name}, {activation_name(activation)}",
        stem=dataclasses.replace(network.stem, activation=of(network.stem.activation)),
        stages=tuple(_stage_with(stage, activation) for stage in network.stages),
        head=head,
    )
    if not has_activations(network):
        raise ValueError(f"{network.name} has no activation to replace: all of its layers are linear")
    return found


def _stage_with(stage: Stage, activation: Activation) -> Stage:
    squeeze = stage.squeeze
    if squeeze is not None and squeeze.inner != IDENTITY:
        squeeze = dataclasses.replace(squeeze, inner=activation)
    own = stage.activation if stage.activation == IDENTITY else activation
    return dataclasses.replace(stage, activation=own, squeeze=squeeze)


def has_activations(network: Network) -> bool:
    """Whether any layer but the gates of squeeze-and-excitation has an activation."""
    rows = [network.stem.activation]
    for stage in network.stages:
        rows += [stage.activation] + ([stage.squeeze.inner] if stage.squeeze else [])
    if network.head.channels or network.head.hidden:
        rows.append(network.head.activation)
    return any(row != IDENTITY for row in rows)
