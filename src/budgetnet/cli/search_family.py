"""The command search family: a baseline, coefficients on it, and the family that they give."""

from __future__ import annotations

from typing import Annotated, Literal

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
from budgetnet.cli.report import print_report
from budgetnet.cli.runs import AS_USUAL, Data, Made, base_of, resumable
from budgetnet.cli.search_baseline import Exponent, SpaceBase, SpaceFile, read_space


def family(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    limits: Limits = NO_LIMITS,
    time: Annotated[
        float, TIME, Parameter(group=TRAINING, show_default="3h", help="For everything, all three parts, as 3h.")
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
    """Search a baseline and its coefficients, and train the family S0 to S3: the paper's three steps.

    Half of the time is for the baseline within the budget, a quarter for alpha, beta
    and gamma on it, a quarter for the family: the winner and its scalings at
    phi = 1, 2, 3, trained alike. docs/search-family.md says how.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet search family photos/ --macs 8M --time 3h
    """
    given, budget = folders.data(data), limits.budget()
    cluster = on.value()
    own_space = None if space is None else read_space(space)
    from budgetnet import search_family
    from budgetnet.experiments.family.report import report

    with resumable() as shown:
        found = search_family(
            given,
            budget,
            time_seconds=time,
            space=own_space,
            base=base_of(base),
            exponent=exponent,
            recipe=recipe,
            augment=augmenting.value(),
            progress=shown,
            cluster=cluster,
            **made.values(),
        )
    show.print_json(found) if as_json else print_report(report(found.record, found))
    return 0
