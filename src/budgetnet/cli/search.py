"""Commands about searches: coefficients, and the space that it searches, which needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from budgetnet.cli import show, sizes
from budgetnet.cli.networks import NameOrFile
from budgetnet.cli.options import (
    AS_PUBLISHED,
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    BYTES,
    HERE,
    NETWORK,
    OUTPUT,
    REAL,
    TIME,
    TRAINING,
    WHOLE,
    AsJson,
    Augmenting,
    ByFolder,
    OnCluster,
    Shape,
    open_network,
    read,
)
from budgetnet.cli.report import print_report
from budgetnet.cli.runs import AS_USUAL, Data, Made, base_of, resumable

if TYPE_CHECKING:
    from budgetnet.budgets.coefficient_sample import Sample
    from budgetnet.budgets.coefficient_space import Candidate, Interval, Space

app = App(
    name="search",
    help="Search for what the paper found once on ImageNet, on your own images: a base, its coefficients, a family.",
    sort_key=50,  # between the commands that train and those that show
)

Growth = Annotated[
    float, REAL, Parameter(group=NETWORK, metavar="X", help="What one step of phi multiplies the cost by.")
]
Tolerance = Annotated[
    float,
    Parameter(
        converter=read(sizes.share),
        group=NETWORK,
        n_tokens=1,
        metavar="SHARE",
        show_default="5%",
        help="How far a network's real cost may be from that.",
    ),
]
MeasureOption = Annotated[
    Literal["macs", "activations", "peak_bytes"], Parameter(group=NETWORK, help="What counts as cost.")
]
Most = Annotated[int, WHOLE, Parameter(group=NETWORK, metavar="N", help="Most networks of the space that race.")]


@app.command(sort_key=0)
def coefficients(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    base: Annotated[
        str,
        Parameter(group=NETWORK, metavar="NAME", help="A zoo name, adapted to the images; or a .json file as it is."),
    ] = "efficientnet_b0",
    growth: Growth = 2.0,
    tolerance: Tolerance = 0.05,
    measure: MeasureOption = "macs",
    candidates: Most = 24,
    finalists: Annotated[
        int,
        WHOLE,
        Parameter(group=TRAINING, metavar="N", help="Most networks in the last rung; fewer are cheaper."),
    ] = 4,
    seeds: Annotated[
        int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Trainings of each in the last rung.")
    ] = 3,
    time: Annotated[
        float, TIME, Parameter(group=TRAINING, show_default="45m", help="For everything, as 45m.")
    ] = 2700.0,
    recipe: Annotated[str, Parameter(group=TRAINING, metavar="NAME", help="modern or paper.")] = "modern",
    train_bytes: Annotated[
        int | None,
        BYTES,
        Parameter(group=TRAINING, help="Most bytes of one training, as 2GiB: the batch is made smaller for it."),
    ] = None,
    on: OnCluster = HERE,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    made: Made = AS_USUAL,
    as_json: AsJson = False,
) -> int:
    """Find alpha, beta and gamma of compound scaling on your own images.

    The distinct integer networks that cost --growth times the base race; the last few are trained
    with several seeds, and the answer is checked against the paper's at phi = 2 on untouched images.
    It is a file that --coefficients of scale, fit, solve and compare takes.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet search coefficients photos/ --growth 2 --tolerance 2% --time 45m
    """
    given, cluster = folders.data(data), on.value()
    from budgetnet import search_coefficients
    from budgetnet.experiments.coefficients.report import report

    with resumable() as shown:
        found = search_coefficients(
            given,
            base=base_of(base),
            growth=growth,
            tolerance=tolerance,
            measure=measure,
            candidates=candidates,
            finalists=finalists,
            seeds=seeds,
            time_seconds=time,
            recipe=recipe,
            augment=augmenting.value(),
            train_bytes=train_bytes,
            progress=shown,
            cluster=cluster,
            **made.values(),
        )
    show.print_json(found) if as_json else print_report(report(found.record, found))
    return 0


@app.command(sort_key=1)
def space(
    base: NameOrFile = "efficientnet_b0",
    /,
    *,
    growth: Growth = 2.0,
    tolerance: Tolerance = 0.05,
    measure: MeasureOption = "macs",
    candidates: Most = 24,
    every: Annotated[bool, Parameter(name="--all", group=OUTPUT, help="List every network, not those drawn.")] = False,
    shape: Shape = AS_PUBLISHED,
    as_json: AsJson = False,
) -> int:
    """List the networks that a search for coefficients would choose from.

    Every row is one integer network with all the coefficients that give it. It trains nothing.

    Example: budgetnet search space efficientnet_b0 --resolution 112 --tolerance 5%
    """
    from budgetnet.budgets import coefficient_sample, coefficient_space

    found = coefficient_space.space(shape.apply(open_network(base)), growth, tolerance, measure)
    sample = coefficient_sample.draw(found, candidates)
    rows = found.candidates if every else sample.candidates
    if as_json:
        show.print_json(_listed(found, sample, rows))
    else:
        _print_space(found, sample, rows)
    return 0


@dataclass(frozen=True, slots=True)
class _Row:
    """A network of the space as JSON."""

    alpha: float
    beta: float
    gamma: float
    region: dict[str, tuple[float, float]]
    cost: int
    ratio: float
    resolution_px: tuple[int, int]
    depth: int


def _listed(found: Space, sample: Sample, rows: tuple[Candidate, ...]) -> dict[str, Any]:
    return {
        "base": found.base,
        "base_cost": found.base_cost,
        "measure": found.measure,
        "growth": found.growth,
        "tolerance": found.tolerance,
        "networks": len(found.candidates),
        "drawn": sample.how,
        "candidates": [_row(found, row) for row in rows],
    }


def _row(found: Space, row: Candidate) -> _Row:
    chosen = row.coefficients
    sides = zip(("alpha", "beta", "gamma"), row.region.sides, strict=True)
    return _Row(
        chosen.alpha,
        chosen.beta,
        chosen.gamma,
        {name: (side.low, side.high) for name, side in sides},
        row.cost,
        row.cost / found.base_cost,
        row.network.resolution_px,
        row.network.depth,
    )


def _print_space(found: Space, sample: Sample, rows: tuple[Candidate, ...]) -> None:
    cells = [
        (
            *map(_between, row.region.sides),
            show.sides(row.network),
            str(row.network.depth),
            show.amount(found.measure, row.cost),
            f"{row.cost / found.base_cost:.3f}",
        )
        for row in rows
    ]
    show.table(("alpha", "beta", "gamma", "px", "blocks", show.words(found.measure), "times"), cells, text_columns=3)
    show.say()
    show.say(sample.how)
    show.say(f"All coefficients of a row's intervals give one network of {found.base.name}.", "dim")


def _between(side: Interval) -> str:
    return f"{side.low:g}" if side.top == side.low else f"{side.low:.4f} to {side.high:.4f}"
