"""The command search family: a baseline, coefficients on it, and the family that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import (
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    HERE,
    NO_LIMITS,
    TIME,
    TRAINING,
    AsJson,
    Augmenting,
    ByFolder,
    Limits,
    OnCluster,
)
from budgetnet.cli.runs import AS_USUAL, Data, Made, base_of, resumable
from budgetnet.cli.search_baseline import Exponent, SpaceBase, SpaceFile, read_space

if TYPE_CHECKING:
    from budgetnet.experiments.family.members import PublishedMember
    from budgetnet.experiments.family.result import Family, Member


def family(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    limits: Limits = NO_LIMITS,
    time: Annotated[
        float, TIME, Parameter(group=TRAINING, show_default="3h", help="For all three parts, as 3h.")
    ] = 10800.0,
    base: SpaceBase = "efficientnet_b0",
    space: SpaceFile = None,
    exponent: Exponent = -0.07,
    recipe: Annotated[
        Literal["modern", "paper"], Parameter(group=TRAINING, help="How everything is trained.")
    ] = "modern",
    on: OnCluster = HERE,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    made: Made = AS_USUAL,
    as_json: AsJson = False,
) -> int:
    """Search a baseline and its coefficients, and train the family S0 to S3: the paper's chain.

    Half of the time is for the baseline within the budget, a quarter for alpha, beta
    and gamma on it, a quarter for the family: the winner and its scalings at
    phi = 1, 2, 3, trained alike. docs/search-family.md says how.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet search family photos/ --macs 8M --time 3h
    """
    given, budget = folders.data(data), limits.budget()
    cluster = on.value()
    asked = None if space is None else read_space(space)
    from budgetnet import search_family

    with resumable() as shown:
        found = search_family(
            given,
            budget,
            time_seconds=time,
            space=asked,
            base=base_of(base),
            exponent=exponent,
            recipe=recipe,
            augment=augmenting.value(),
            progress=shown,
            cluster=cluster,
            **made.values(),
        )
    show.print_json(found) if as_json else _print(found)
    return 0


COLUMNS = ("network", "px", "blocks", "MACs", "params", "top-1 %", "95 %", "training")


def _print(found: Family) -> None:
    """The family's table with the published one below; what it shows; where the evidence lies."""
    rows = [*map(_member, found.members), *map(_published, found.published)]
    show.table(COLUMNS, rows)
    show.say(
        f"S0 to S3: {found.test_images:,} test images, {found.epochs:.1f} epochs each. B0 to B3: published by others "
        "for ImageNet and its 1000 classes; no accuracy to compare with.",
        "dim",
    )
    show.say()
    for sentence in found.statement:
        show.say(sentence)
    show.say()
    ends = (found.members[0].id, found.members[-1].id)
    networks, weights = (f"{ends[0]}.{kind} to {ends[1]}.{kind}" for kind in ("json", "safetensors"))
    show.facts(
        {
            "report": str(found.report),
            "family": f"{found.run / 'family'}: {networks}, {weights}",
            "coefficients": str(found.run / "coefficients" / "coefficients.json"),
        }
    )


def _member(row: Member) -> tuple[str, ...]:
    return (
        row.id,
        show.sides(row.network),
        str(row.blocks),
        show.short(row.macs),
        show.short(row.params),
        f"{100 * row.accuracy:.1f}",
        f"{100 * row.low:.1f} to {100 * row.high:.1f}",
        "-" if row.training_seconds is None else show.typed(show.wording.duration(row.training_seconds)),
    )


def _published(row: PublishedMember) -> tuple[str, ...]:
    return (
        f"{row.name.removeprefix('efficientnet_').upper()}, published",
        show.typed(show.wording.sides(row.resolution_px)),
        str(row.blocks),
        show.short(row.macs),
        show.short(row.params),
        f"{row.published_top1:.1f}",
        "-",
        "-",
    )
