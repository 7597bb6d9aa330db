"""Which kinds of augmentation a training draws, and why: as asked, or by what the training images say.

Decided once, before anything is planned, and kept in plan.json; the recipe that is kept there draws no other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from budgetnet.codec import NonNegativeInt
from budgetnet.data import ImageSet, Pixels
from budgetnet.data.augment import KINDS, Kind
from budgetnet.data.label_changes import Looked, label_changes
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress, Update
from budgetnet.training.recipe import Recipe

Switch = Literal["auto", "on", "off"]
Everything = Literal["auto", "none"]
WORDS: Mapping[Kind, str] = {"flip": "mirroring", "turn": "turns", "colour": "colours", "crop": "crops"}
LOOKS: Mapping[Kind, str] = {
    "flip": "mirrored {!r} looks like {!r}",
    "turn": "turned {!r} looks like {!r}",
    "colour": "{!r} in other colours looks like {!r}",
    "crop": "cropped {!r} looks like {!r}",
}
GREY = "greyscale images are digits, letters and scans more often than photos"
NO_KIND = "the recipe draws none"


@dataclass(frozen=True, slots=True)
class Augment:
    """Which kinds of the recipe's augmentation a training draws.

    "auto" leaves out what makes another class of the training images, and mirroring of grey images; crops are not
    tested. "on" draws the kind without a test, "off" leaves it out. With all four off nothing is drawn, also no mixing
    and no erasing. docs/how-it-works.md says how the test works.

    Attributes:
        flip: Left-right mirroring.
        turn: Turns and shears.
        colour: Changes of colour.
        crop: Crops and shifts.

    Raises:
        ValueError: A value is not "auto", "on" or "off".

    Example:
        >>> import budgetnet
        >>> budgetnet.Augment(flip="off")
        Augment(flip='off', turn='auto', colour='auto', crop='auto')
    """

    flip: Switch = "auto"
    turn: Switch = "auto"
    colour: Switch = "auto"
    crop: Switch = "auto"

    def __post_init__(self) -> None:
        for kind in KINDS:
            choose(kind, getattr(self, kind), get_args(Switch))


AUTO = Augment()


def augment_of(augment: Augment | Everything) -> Augment:
    """The kinds that were asked for; "none" is all of them off.

    Raises `ValueError` for another word, `TypeError` for what is not a word.
    """
    if isinstance(augment, Augment):
        return augment
    if not isinstance(augment, str):
        raise TypeError(f"augment is {augment!r}; give an Augment, 'auto' or 'none'")
    choose("augment", augment, get_args(Everything))
    return AUTO if augment == "auto" else Augment("off", "off", "off", "off")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One kind of augmentation: whether it is drawn, and why. `classes`: changed images of the first look like the
    second, where that is why; `images`: so many training images were looked at."""

    kind: Kind
    on: bool
    why: str
    classes: tuple[str, str] | None = None
    images: NonNegativeInt = 0


def choose_augmentation(
    augment: Augment, recipe: Recipe, images: ImageSet, pixels: Pixels, seed: int
) -> tuple[Chosen, ...]:
    """Each kind, on or off. Looks at training images alone; a function of its arguments.

    Raises a one-line `ValueError` where a kind is wanted on that the recipe does not draw.
    """
    drawn: list[Kind] = [kind for kind in KINDS if recipe.augmentation.draws(kind)]
    for kind in KINDS:
        if getattr(augment, kind) == "on" and kind not in drawn:
            raise ValueError(
                f"{kind} is 'on', but the recipe {recipe.name} draws no {WORDS[kind]}; give another recipe"
            )
    open_kinds: list[Kind] = [kind for kind in drawn if getattr(augment, kind) == "auto" and kind != "crop"]
    if images.in_channels == 1:
        open_kinds = [kind for kind in open_kinds if kind != "flip"]
    looked = label_changes(images, pixels, recipe.augmentation, open_kinds, seed) if open_kinds else {}
    return tuple(_chosen(kind, augment, kind in drawn, images, looked.get(kind)) for kind in KINDS)


def _chosen(kind: Kind, augment: Augment, drawn: bool, images: ImageSet, looked: Looked | None) -> Chosen:
    switch = getattr(augment, kind)
    if not drawn or switch == "off":
        return Chosen(kind, False, "as asked" if switch == "off" else NO_KIND)
    if switch == "on":
        return Chosen(kind, True, "as asked")
    if kind == "flip" and images.in_channels == 1:
        return Chosen(kind, False, GREY)
    if looked is None:
        return Chosen(kind, True, "as the recipe has it, not tested")
    if looked.pair is not None:
        return Chosen(kind, False, LOOKS[kind].format(*looked.pair), looked.pair, looked.images)
    if looked.unable:
        return Chosen(kind, True, f"not tested: {looked.unable}", None, looked.images)
    return Chosen(kind, True, "changes no class that a quick classifier sees", None, looked.images)


def fitted(recipe: Recipe, chosen: Sequence[Chosen]) -> Recipe:
    """The recipe without the kinds that are off."""
    off: list[Kind] = [one.kind for one in chosen if not one.on]
    return dataclasses.replace(recipe, augmentation=recipe.augmentation.without(*off)) if off else recipe


def settled(chosen: Sequence[Chosen]) -> Augment:
    """What was chosen, as asked for by the parts of a whole: they do not choose anew."""
    switches: dict[str, Switch] = {
        one.kind: "on" if one.on else "auto" if one.why == NO_KIND else "off" for one in chosen
    }
    return Augment(**switches)


def words_of(chosen: Sequence[Chosen]) -> str:
    """In one line, without what the recipe does not draw: mirroring off (mirrored 'b' looks like 'd'), crops on."""
    said = [_words(one) for one in chosen if one.why != NO_KIND]
    return ", ".join(said) if said else "none"


def _words(one: Chosen) -> str:
    plain = one.on and not one.why.startswith("not tested")
    return f"{WORDS[one.kind]} {'on' if one.on else 'off'}" + ("" if plain else f" ({one.why})")


def choices_by_seed(
    augment: Augment, recipe: Recipe, images: Sequence[ImageSet], pixels: Pixels
) -> tuple[tuple[Chosen, ...], ...]:
    """The choice for each seed's split: the images that one seed is tested on are another's to train on."""
    return tuple(choose_augmentation(augment, recipe, one, pixels, seed) for seed, one in enumerate(images))


def tell_augmentation(chosen: Sequence[Chosen], progress: Progress | None) -> None:
    """Say in a line what is on and why."""
    if chosen and progress is not None:
        progress(Update("augmentation", 1, 1, lines=(f"augmentation: {words_of(chosen)}",)))
