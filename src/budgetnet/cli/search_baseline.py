"""The command search baseline: a network for a budget, found on the user's images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.options import (
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    HERE,
    NETWORK,
    NO_LIMITS,
    OUTPUT,
    REAL,
    TIME,
    TRAINING,
    AsJson,
    Augmenting,
    ByFolder,
    Limits,
    OnCluster,
    check_file,
)
from budgetnet.cli.report import print_report
from budgetnet.cli.runs import AS_USUAL, Data, Made, base_of, resumable
from budgetnet.reading import file_content

if TYPE_CHECKING:
    from budgetnet.budgets.search_space import Space

SpaceBase = Annotated[
    str, Parameter(group=NETWORK, metavar="NAME", help="What the space lies around: a zoo name or a .json file.")
]
SpaceFile = Annotated[
    Path | None, Parameter(group=NETWORK, metavar="FILE", help="A space to search, as --write-space writes one.")
]
Exponent = Annotated[
    float,
    REAL,
    Parameter(group=TRAINING, help="Of MACs in the objective: half of them are worth 5 %; 0: accuracy alone."),
]


def baseline(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    limits: Limits = NO_LIMITS,
    time: Annotated[
        float, TIME, Parameter(group=TRAINING, show_default="90m", help="For everything, as 90m.")
    ] = 5400.0,
    base: SpaceBase = "efficientnet_b0",
    space: SpaceFile = None,
    sampler: Annotated[
        Literal["evolution", "random"],
        Parameter(group=TRAINING, help="What proposes candidates: evolution, or even draws for comparison."),
    ] = "evolution",
    exponent: Exponent = -0.07,
    recipe: Annotated[
        Literal["modern", "paper"], Parameter(group=TRAINING, help="How everything is trained.")
    ] = "modern",
    on: OnCluster = HERE,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    made: Made = AS_USUAL,
    write_space: Annotated[
        Path | None,
        Parameter(group=OUTPUT, metavar="FILE", help="Write the default space for these images to a file, and stop."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Search a space of networks around a base for the best within a budget.

    Candidates get a short training each; the best are trained again for longer,
    the best few of those and the base in full. docs/search-baseline.md says how,
    and how to edit the space.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet search baseline photos/ --macs 8M --time 90m
    """
    given, budget = folders.data(data), limits.budget()
    cluster = on.value()
    check_file("--write-space", write_space, "a space's file")
    own_space = None if space is None else read_space(space)
    from budgetnet.data import open_images
    from budgetnet.experiments.baseline import search_baseline, space_for
    from budgetnet.experiments.baseline.report import report

    with resumable() as shown:
        if write_space is not None:
            default = space_for(open_images(given, made.seed, shown), budget, base_of(base))
            save_space(default, write_space)
            return 0
        found = search_baseline(
            given,
            budget,
            time_seconds=time,
            space=own_space,
            base=base_of(base),
            sampler=sampler,
            exponent=exponent,
            recipe=recipe,
            augment=augmenting.value(),
            progress=shown,
            cluster=cluster,
            **made.values(),
        )
    show.print_json(found) if as_json else print_report(report(found.record, found))
    return 0


def read_space(path: Path) -> Space:
    """The space of a file. Raises a one-line `ValueError` that names the file and what is wrong."""
    from budgetnet.budgets.search_space import Space

    if not path.exists():
        raise ValueError(f"there is no space file {path}; --write-space writes one")
    content = file_content(path)
    try:
        return Space.from_json(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def save_space(space: Space, path: Path) -> None:
    """Write a space's file."""
    from budgetnet.atomic_write import written_aside

    with written_aside(path) as aside:
        aside.write_text(space.to_json() + "\n", encoding="utf-8")
    show.say(f"{path}: {float(space.count):.3g} networks around {space.base.name}")
