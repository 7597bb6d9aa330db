"""The command compare: families side by side at one budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from budgetnet.cli import process, show
from budgetnet.cli.options import (
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    HERE,
    NETWORK,
    NO_LIMITS,
    REAL,
    TIME,
    TRAINING,
    WHOLE,
    AsJson,
    Augmenting,
    ByFolder,
    CoefficientsOption,
    DeviceOption,
    FitStrategyOption,
    Limits,
    OnCluster,
    read_list,
    read_numbers,
)
from budgetnet.cli.report import print_report
from budgetnet.cli.runs import Data, Fresh, NewRun, Precision, Pretrained, RecipeOption, base_of, resumable
from budgetnet.networks.scaling import PAPER

if TYPE_CHECKING:
    from pathlib import Path

    from budgetnet.experiments.compare import Comparison
    from budgetnet.experiments.compare.request import Question
    from budgetnet.experiments.compare.suite import Suite

Networks = Annotated[
    tuple[str, ...] | None,
    Parameter(
        converter=read_list,
        consume_multiple=True,
        group=NETWORK,
        metavar="NAME",
        help="Bases to scale to the budget: zoo names, .json files or runs; one of each family unless given.",
    ),
]

Shares = Annotated[
    tuple[float, ...] | None,
    Parameter(
        converter=read_numbers,
        consume_multiple=True,
        group=NETWORK,
        metavar="SHARE",
        help="Shares of the budget, as 0.25,0.5,1: a comparison at each, the time divided, and a page with curves.",
    ),
]


def compare(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    limits: Limits = NO_LIMITS,
    time: Annotated[
        float, TIME, Parameter(group=TRAINING, show_default="60m", help="For everything, as 60m.")
    ] = 3600.0,
    seeds: Annotated[int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Trainings of each network.")] = 3,
    networks: Networks = None,
    scaling: Annotated[
        bool, Parameter(group=NETWORK, help="Compare the strategies, of one base: efficientnet_b0 unless given.")
    ] = False,
    ablate: Annotated[
        bool, Parameter(group=NETWORK, help="Compare one base with itself without one of its parts at a time.")
    ] = False,
    every: Annotated[
        bool,
        Parameter(
            name="--all",
            group=NETWORK,
            help="Families, --scaling and --ablate one after another, and one report of all.",
        ),
    ] = False,
    shares: Shares = None,
    start_share: Annotated[
        float | None,
        REAL,
        Parameter(
            group=NETWORK,
            metavar="SHARE",
            help="With --scaling: the share of the (smallest) budget that all grow from at most; 0.5 unless given.",
        ),
    ] = None,
    strategy: FitStrategyOption = "compound",
    coefficients: CoefficientsOption = PAPER,
    pretrained: Pretrained = "none",
    recipe: RecipeOption = None,
    precision: Precision = "auto",
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    device: DeviceOption = "auto",
    on: OnCluster = HERE,
    out: NewRun = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> int:
    """Compare families of networks at one budget.

    Each is scaled to the budget and trained several times for equal seconds of one core; paired
    differences on the same test images, with intervals, say which differ.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet compare photos/ --macs 60M --seeds 3 --time 60m
    Example: budgetnet compare photos/ --macs 60M --scaling --shares 0.25,0.5,1 --time 3h
    Example: budgetnet compare photos/ --macs 60M --all --time 4h
    """
    given, budget, cluster = folders.data(data), limits.budget(), on.value()
    if scaling and ablate:
        raise ValueError("give either --scaling or --ablate: each is a comparison of its own")
    if every and (scaling or ablate or shares is not None or strategy != "compound"):
        raise ValueError(
            "--all has all questions at one budget: leave --scaling, --ablate, --shares and --strategy out"
        )
    if start_share is not None and not (scaling or every):
        raise ValueError("--start-share is for --scaling and --all: give both or leave it out")
    from budgetnet import compare as compare_now
    from budgetnet.experiments.compare.costs import at_costs, costs_report
    from budgetnet.experiments.compare.entrants import FAMILIES
    from budgetnet.experiments.compare.report import report
    from budgetnet.experiments.compare.scalings import START_SHARE
    from budgetnet.experiments.compare.suite import all_questions

    bases = None if networks is None else [base_of(name) for name in networks]
    with resumable() as shown:

        def ask(question: Question, seconds: float, folder: Path | None, share: float = 1.0) -> Comparison:
            # One start for all costs: a share of the smallest budget.
            start_budget_share = START_SHARE if start_share is None else start_share
            start_budget_share *= min(shares) / share if shares else 1.0
            return compare_now(
                given,
                budget.times(share),
                time_seconds=seconds,
                seeds=seeds,
                networks=None if every and question != "families" else bases,
                strategy=strategy,
                question=question,
                pretrained=pretrained,
                recipe=recipe,
                augment=augmenting.value(),
                out=folder,
                device=device,
                cluster=cluster,
                precision=precision,
                fresh=fresh,
                progress=shown,
                start_share=start_budget_share,
                coefficients=coefficients,
                **process.clock(part=bool(every or shares)),
            )

        question: Question = "scaling" if scaling else "ablation" if ablate else "families"
        if every:
            suite = all_questions(ask, time, out, len(bases or FAMILIES))
            show.print_json(suite) if as_json else _print_suite(suite)
        elif shares is None:
            comparison = ask(question, time, out)
            show.print_json(comparison) if as_json else print_report(report(comparison.record, comparison))
        else:
            each = time / len(shares)
            several = at_costs(lambda share, folder: ask(question, each, folder, share), shares, out)
            show.print_json(several) if as_json else print_report(costs_report(several))
    return 0


def _print_suite(suite: Suite) -> None:
    """What each comparison says, and where the pages are."""
    from budgetnet.experiments.compare.report import report

    for comparison in suite.comparisons:
        print_report(report(comparison.record, comparison))
        show.say()
    show.facts({"all": str(suite.report)})
