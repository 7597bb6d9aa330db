"""A space of networks around a base, as a value that people edit: what each stage may be, and its JSON.

For every stage a block, a kernel, a squeeze ratio, an expansion, a factor on its filters and a change of its layers;
stem, head, strides, activations and resolution are the base's. Source of the factorised space: Tan et al., MnasNet,
arXiv:1807.11626, section 4.1.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from budgetnet.networks import (
    MOST_BLOCKS,
    BlockKind,
    Network,
    Rounding,
    Squeeze,
    Stage,
    check_kernel,
    choose,
    round_channels,
)
from budgetnet.reading import named_json, shown

FORMAT = "budgetnet.space.v1"
KINDS: tuple[BlockKind, ...] = ("mbconv", "fused", "separable")
"""The blocks that a space may have."""
FACTORS = ("kinds", "kernels", "squeezes", "expansions", "widths", "layers")

FactorValue = BlockKind | int | float
"""A single factor of a stage has one of these types."""
Factors = tuple[BlockKind, int, float, float, float, int]
"""The factors of a stage have these types, in the order of `FACTORS`."""


MOST_VALUES = 32
"""The most values of one factor; MnasNet's space has two or three."""
MOST_CHOICES = 20_000
"""The most choices of one stage: each of them is looked at, and MnasNet's space has about two hundred."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What one stage is: whole filters and layers, so that two choices that differ are two networks."""

    kind: BlockKind
    kernel: int
    squeeze: float
    expansion: float
    channels: int
    repeats: int


STAGE_KEYS = tuple(field.name for field in dataclasses.fields(Choice))
"""A stage in a file has these keys, in this order."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """A choice for every stage."""

    stages: tuple[Choice, ...]

    @property
    def id(self) -> str:
        """8 hex digits that name it in files."""
        return hashlib.sha256(json.dumps(self.to_rows()).encode()).hexdigest()[:8]

    def to_rows(self) -> list[dict[str, Any]]:
        """JSON's types, a row a stage; `from_rows` gives an equal value back."""
        return [{name: getattr(stage, name) for name in STAGE_KEYS} for stage in self.stages]

    @staticmethod
    def from_rows(rows: Sequence[Mapping[str, Any]]) -> Architecture:
        """The architecture of `to_rows`. Raises a one-line `ValueError` for anything else."""
        try:
            return Architecture(tuple(Choice(**row) for row in rows))
        except TypeError as error:
            raise ValueError(f"this is not an architecture: {error}") from error


@dataclass(frozen=True, slots=True)
class StageSpace:
    """The values that each factor of one stage may have.

    Attributes:
        kinds: Kinds of block.
        kernels: Sides of the depthwise (or full) convolution.
        squeezes: Ratios of squeeze-and-excitation; 0 for none.
        expansions: Inner channels over input channels.
        widths: Factors on the base's channels.
        layers: What is added to the base's repeats.

    Raises:
        ValueError: A factor has no values, too many, or one that no stage can have.
    """

    kinds: tuple[BlockKind, ...] = KINDS
    kernels: tuple[int, ...] = (3, 5)
    squeezes: tuple[float, ...] = (0.0, 0.25)
    expansions: tuple[float, ...] = (3.0, 6.0)
    widths: tuple[float, ...] = (0.75, 1.0, 1.25)
    layers: tuple[int, ...] = (-1, 0, 1)

    def __post_init__(self) -> None:
        for name in FACTORS:
            given = tuple(getattr(self, name))
            if len(given) > MOST_VALUES:
                raise ValueError(f"{name} has {len(given):,} values; a factor has at most {MOST_VALUES}")
            values = tuple(dict.fromkeys(given))
            if not values:
                raise ValueError(f"the space is empty: a stage has no {name}; give at least one")
            object.__setattr__(self, name, values)
        for kind in self.kinds:
            choose("block", kind, KINDS)
        for kernel in self.kernels:
            check_kernel(kernel)
        for name, least, most in (("squeezes", 0.0, 1.0), ("expansions", 1.0, 100.0), ("widths", 0.01, 100.0)):
            for value in getattr(self, name):
                if not (_is_number(value) and least <= value <= most):
                    raise ValueError(f"{name} has {shown(value)}; each must be a number from {least:g} to {most:g}")
        for value in self.layers:
            if not isinstance(cast("object", value), int) or isinstance(value, bool):
                raise ValueError(f"layers has {shown(value)}; each must be an integer that is added to the base's")
            if abs(value) > MOST_BLOCKS:
                raise ValueError(f"layers has {shown(value)}; each must be from -{MOST_BLOCKS} to {MOST_BLOCKS}")
        count = math.prod(len(getattr(self, name)) for name in FACTORS)
        if count > MOST_CHOICES:
            raise ValueError(f"a stage has {count:,} choices; it has at most {MOST_CHOICES:,}: leave out some values")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


SPACE = "a Space, as Space.from_json reads one"
"""What an error says that is wanted where something else than a space is given."""


@dataclass(frozen=True, slots=True)
class Space:
    """A base and what each of its stages may become: the networks that a search for a baseline looks at.

    Attributes:
        base: The network that the space is built around.
        stages: What each of its stages may become.

    Raises:
        ValueError: The rows are not as many as the stages of the base.
    """

    base: Network
    stages: tuple[StageSpace, ...]

    def __post_init__(self) -> None:
        if len(self.stages) != len(self.base.stages):
            have = f"{len(self.stages)} stages, and its base {self.base.name} {len(self.base.stages)}"
            raise ValueError(f"the space has {have}; give a row for each")

    def choice(self, index: int, factors: Factors) -> Choice:
        """What a stage is with these factors.

        A separable block has no expansion, and a fused one without expansion no squeeze-and-excitation.
        """
        kind, kernel, squeeze, expansion, width, layers = factors
        stage = self.base.stages[index]
        expansion = 1.0 if kind == "separable" else float(expansion)
        squeeze = 0.0 if kind == "fused" and expansion == 1.0 else float(squeeze)
        channels = scaled_channels(stage.channels, width, self.base.rounding)
        return Choice(kind, kernel, squeeze, expansion, channels, max(1, stage.repeats + layers))

    def choices(self, index: int) -> dict[Choice, Factors]:
        """The distinct choices of a stage, each with the first factors that give it."""
        found: dict[Choice, Factors] = {}
        for factors in itertools.product(*(getattr(self.stages[index], name) for name in FACTORS)):
            found.setdefault(self.choice(index, factors), factors)
        return found

    @property
    def count(self) -> int:
        """How many different networks there are."""
        return math.prod(len(self.choices(index)) for index in range(len(self.stages)))

    def stage(self, index: int, choice: Choice) -> Stage:
        """The row of a network that a choice is: stride, activation and residual are the base's."""
        return dataclasses.replace(
            self.base.stages[index],
            kind=choice.kind,
            kernel=choice.kernel,
            start_kernel=0,
            expansion=choice.expansion,
            squeeze=dataclasses.replace(self._squeeze(index), ratio=choice.squeeze) if choice.squeeze else None,
            channels=choice.channels,
            repeats=choice.repeats,
        )

    def _squeeze(self, index: int) -> Squeeze:
        """The form of squeeze-and-excitation: the stage's own, else that of another stage, else EfficientNet's."""
        own = self.base.stages[index].squeeze
        others = (stage.squeeze for stage in self.base.stages if stage.squeeze is not None)
        return own or next(others, Squeeze(0.25))

    def network(self, architecture: Architecture, name: str | None = None) -> Network:
        """The network of an architecture. Raises a one-line `ValueError` for another count of stages."""
        if len(architecture.stages) != len(self.stages):
            counts = f"{len(architecture.stages)} stages, the space {len(self.stages)}"
            raise ValueError(f"the architecture has {counts}; give one of this space")
        rows = tuple(self.stage(index, choice) for index, choice in enumerate(architecture.stages))
        return dataclasses.replace(self.base, name=name or f"{self.base.name}-{architecture.id}", stages=rows)

    def with_data(self, classes: int, in_channels: int) -> Space:
        """The same space for images of so many classes and channels."""
        return dataclasses.replace(self, base=dataclasses.replace(self.base, classes=classes, in_channels=in_channels))

    def to_json(self) -> str:
        """JSON text; `from_json` gives an equal space back."""
        rows = [{name: list(getattr(stage, name)) for name in FACTORS} for stage in self.stages]
        return json.dumps({"format": FORMAT, "base": json.loads(self.base.to_json()), "stages": rows}, indent=2)

    @staticmethod
    def from_json(text: str | bytes) -> Space:
        """The space of a JSON text. Raises a one-line `ValueError` that says what is wrong."""
        row: object = named_json("this", text)
        values = cast("dict[str, object]", row) if isinstance(row, dict) else {}
        if values.get("format") != FORMAT:
            raise ValueError(f'this is not a space file: its "format" is not {FORMAT!r}')
        if set(values) != {"format", "base", "stages"} or not isinstance(values["stages"], list):
            raise ValueError("a space has format, base and a list of stages, and nothing else")
        rows = cast("list[object]", values["stages"])
        stages = tuple(_stage_space(stage, index) for index, stage in enumerate(rows))
        return Space(Network.from_json(json.dumps(values["base"])), stages)


def _stage_space(row: object, index: int) -> StageSpace:
    """One stage of a space file; a factor that is left out has its usual values."""
    values = cast("dict[str, object]", row) if isinstance(row, dict) else {"": None}
    if unknown := sorted(set(values) - set(FACTORS)):
        raise ValueError(f"stages[{index}] has no {', '.join(map(shown, unknown[:5]))}; it has {', '.join(FACTORS)}")
    for name, value in values.items():
        if not isinstance(value, list):
            raise ValueError(f"stages[{index}].{name} is {shown(value)}; it must be a list of values")
        for one in cast("list[object]", value):
            if type(one) in (list, dict):
                raise ValueError(f"stages[{index}].{name} has {shown(one)}; each must be a single value")
    lists = {name: tuple(cast("list[Any]", value)) for name, value in values.items()}
    try:
        return StageSpace(**lists)
    except (TypeError, ValueError) as error:
        raise ValueError(f"stages[{index}]: {error}") from error


def default_space(base: Network) -> Space:
    """MnasNet's space around a base: for each stage the usual values of `StageSpace`, with two exceptions.

    A stage that has no expansion in the base may go without one. A stage whose largest fused block would have more
    weights in its k x k kernel than the whole base has none: on small late maps it costs few multiply-adds, but
    would have most of the weights. EfficientNetV2 has fused blocks in early stages only (arXiv:2104.00298, table 4).
    """
    params = sum(conv.params * times for conv, times in base.distinct_convs())
    usual = StageSpace()
    rows: list[StageSpace] = []
    for stage in base.stages:
        plain = stage.expansion == 1.0 and stage.kind != "separable"
        expansions = (1.0, *usual.expansions) if plain else usual.expansions
        wide = max(usual.widths) * stage.channels
        fits = wide * max(expansions) * wide * max(usual.kernels) ** 2 <= params
        kinds = usual.kinds if fits else tuple(kind for kind in usual.kinds if kind != "fused")
        rows.append(dataclasses.replace(usual, kinds=kinds, expansions=expansions))
    return Space(base, tuple(rows))


def scaled_channels(channels: int, width: float, rounding: Rounding) -> int:
    """The base's filters times a factor, as its family rounds; a factor of 1 leaves them as they are."""
    if width == 1.0:
        return channels
    return round_channels(channels * width, rounding.channel_multiple, least_share=rounding.least_share)
