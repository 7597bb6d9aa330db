"""What a search for a baseline shows: the front, the winner's stages, the finals, how the search went, the space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

from budgetnet.budgets.search_space import Space, StageSpace
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.wording import (
    TIMES,
    count,
    counted,
    duration,
    percent,
    points,
    rounded,
    sides,
    signed,
    size,
)
from budgetnet.experiments.baseline.evolution import POPULATION
from budgetnet.experiments.baseline.pictures import front_svg, progress_svg
from budgetnet.experiments.baseline.plan import BaselinePlan, Rung
from budgetnet.experiments.baseline.ranking import Ranking
from budgetnet.experiments.baseline.request import BaselineRequest
from budgetnet.experiments.baseline.result import Baseline, BaselineRecord, Candidate, Final
from budgetnet.experiments.report import (
    Block,
    Cell,
    Column,
    Command,
    Facts,
    Figure,
    Finding,
    Report,
    Row,
    Section,
    Table,
    Text,
    row,
)
from budgetnet.experiments.reproduce import (
    augment_flags,
    base_words,
    budget_flags,
    data_words,
    facts_of,
    limits_in_words,
    usual_flags,
)
from budgetnet.networks import Network, Stage, block_macs
from budgetnet.statistics import PairedDifference

NOTHING = "\N{EN DASH}"


def report(record: BaselineRecord, found: Baseline) -> Report:
    """The report of a search for a baseline."""
    plan, base = record.plan, found.finals[-1]
    predicted = ", and what a model of all scores predicts to be better," if found.predicted else ""
    longer = f"the best{predicted} are trained for longer, " if plan.semifinals else ""
    return Report(
        title="A baseline found by search",
        overline=f"{record.data.name}, {len(record.data.classes)} classes: {described(record.request)}",
        intro=f"A space of networks around {base.network.name}; candidates are scored on the validation images, each "
        f"after a short training of its own; {longer}the best few {'of those ' if longer else ''}and the base are "
        "trained from nothing and tested on images that no choice has seen.",
        findings=tuple(map(Finding, found.statement)),
        sections=(
            Section("front", "Accuracy against multiply-adds", _front(plan, found), "Front"),
            Section("stages", "The winner, stage by stage", _stages(found.network, base.network), "Stages"),
            Section("finals", "Trained from nothing", _finals(plan, found), "Finals"),
            Section("search", "How the search went", (_progress(record.request, found),), "Search"),
            Section("ranking", "What the ranking is worth", _ranking(found.ranking), "Ranking"),
            Section("space", "The space", _space(plan.space), "Space"),
            Section("again", "Make it again", _again(record), "Again"),
        ),
        paths={"report": str(found.report), "network": str(found.run / "network.json")},
    )


def described(request: BaselineRequest) -> str:
    """At most 8 M MACs, in 90 min."""
    limits = [f"at most {limit}" for limit in limits_in_words(request.budget)]
    return ", ".join([*limits, f"in {duration(request.time_seconds)}"])


def _front(plan: BaselinePlan, found: Baseline) -> tuple[Block, ...]:
    again = [row.id for row in found.semifinals]
    finalists = [row.id for row in found.finals[:-1]]
    rings = ""
    if plan.semifinals:
        unscored = f"; {len(found.predicted)} others were predicted and have no score to stand here by"
        rings = (
            f"Rings: the {len(again) - len(found.predicted)} that were trained again for {plan.semifinals.steps:,} "
            f"steps{unscored if found.predicted else ''}. "
        )
    figure = Figure(
        partial(front_svg, found.candidates, again, finalists, found.target_macs),
        f"Every candidate on the validation images, after {plan.scores.steps:,} steps of training, of "
        f"{plan.finals.steps:,} in the finals. Joined: the front, the candidates that no other beats with as few MACs. "
        f"{rings}Diamonds: the finalists, the filled one the winner of the final trainings. The front dominates "
        f"{percent(found.hypervolume)} of the rectangle up to T = {rounded('macs', found.target_macs)} MACs and an "
        "accuracy of 1 (hypervolume).",
        "front",
    )
    leading = sorted((one for one in found.candidates if one.front), key=lambda one: one.macs)
    table = Table(
        (Column("candidate", number=False), *map(Column, ("MACs", "accuracy %", "log loss", "objective"))),
        tuple(row(one.id, count(one.macs), *_scores(one.accuracy, one.log_loss, one.reward)) for one in leading),
        folded="The front in numbers",
        terminal=False,
    )
    return (figure, table)


def _scores(accuracy: float, log_loss: float, reward: float) -> tuple[str, str, str]:
    return points(accuracy), f"{log_loss:.3f}", f"{reward:.3f}"


def _stages(winner: Network, base: Network) -> tuple[Block, ...]:
    """For each stage its map, the winner's row and the base's, and each one's share of the multiply-adds."""
    numbers = ("filters", "layers", "MACs %")
    columns = (
        Column("stage", number=False),
        Column("map px"),
        Column("winner", number=False),
        Column("expansion", page=False),
        Column("SE", page=False),
        *map(Column, numbers),
        Column("base", number=False, terminal=False),
        *(Column(title, terminal=False) for title in numbers),
    )
    px, rows = winner.stem_px, list[Row]()
    pairs = zip(winner.stages, base.stages, macs_shares(winner), macs_shares(base), strict=True)
    for index, (stage, base_stage, share, base_share) in enumerate(pairs):
        px = -(-px[0] // stage.stride), -(-px[1] // stage.stride)
        squeeze = f"{stage.squeeze.ratio:g}" if stage.squeeze else NOTHING
        more = f"{stage.expansion:g}", squeeze
        rows.append(row(str(index), sides(px), *_stage(stage, share, more), *_stage(base_stage, base_share)))
    note = (
        f"Stem, head, strides and the resolution of {sides(winner.resolution_px)} px are the base's, and have the rest "
        "of the multiply-adds."
    )
    return (Table(columns, tuple(rows), note),)


def _stage(stage: Stage, share: float, more: Sequence[str] = ()) -> tuple[Cell | str, ...]:
    """mbconv 5x5 and what else it has, filters, layers, the share of the multiply-adds."""
    parts = [f"expansion {stage.expansion:g}"] if stage.expansion != 1.0 else []
    parts += [f"SE {stage.squeeze.ratio:g}"] if stage.squeeze else []
    block = f"{stage.kind} {stage.kernel}{TIMES}{stage.kernel}".replace(" ", "\N{NO-BREAK SPACE}")
    below = (", ".join(parts),) if parts else ()
    return Cell(block, below), *more, str(stage.channels), str(stage.repeats), points(share)


def macs_shares(network: Network) -> list[float]:
    """Each stage's share of the multiply-adds."""
    px, found = network.stem_px, list[int]()
    for blocks in network.stage_blocks():
        macs = 0
        for block in blocks:
            macs += block_macs(block, px)
            px = block.out_px(px)
        found.append(macs)
    ends = network.stem_conv.macs(network.resolution_px) + (network.head_conv.macs(px) if network.head_conv else 0)
    ends += sum(linear.macs((1, 1)) for linear in (network.hidden_linear, network.classifier) if linear)
    return [macs / (sum(found) + ends) for macs in found]


def _finals(plan: BaselinePlan, found: Baseline) -> tuple[Block, ...]:
    again = {one.id: points(one.accuracy) for one in found.semifinals}
    columns = (
        Column("network", number=False),
        Column("MACs"),
        Column("params"),
        Column("peak activations", terminal=False),
        Column("score %"),
        *([Column("semifinal %")] if again else []),
        Column("validation %"),
        Column("objective", terminal=False),
        Column("test %"),
        Column("95 %", page=False),
    )
    rows = tuple(_final(one, found, [again.get(one.id, NOTHING)] if again else []) for one in found.finals)
    several = " and that of each seed" if plan.seeds > 1 else ""
    note = (
        f"{plan.finals.steps:,} steps each by the recipe {plan.recipe.name}, {counted(plan.seeds, 'seed')}, on the "
        "split of the search. Score, semifinal and validation are accuracies on the validation images: after the "
        "candidate's short training, after the semifinal and after the final training. The objective by the last of "
        "these chose the winner, so its validation accuracy is optimistic; the test images were seen once. Below the "
        f"test accuracy: its 95 % interval{several}. The winner minus the base: "
        f"{_points(found.against_base)} on the same images."
    )
    table = Table(
        columns,
        rows,
        note,
        terminal_note="score, semifinal, validation: on the validation images, after a short, a longer and the final "
        "training.",
    )
    return (table, _semifinals(plan, found)) if found.semifinals else (table,)


def _final(one: Final, found: Baseline, again: Sequence[str]) -> Row:
    is_winner, is_base = one is found.finals[0], one is found.finals[-1]
    role = ("the winner",) if is_winner else ()
    interval = f"{points(one.low)} to {points(one.high)}"
    seeds = (", ".join(map(points, one.seeds)),) if len(one.seeds) > 1 else ()
    return row(
        Cell(f"{one.network.name} (base)" if is_base else one.network.name, role),
        count(one.macs),
        count(one.params),
        size(one.peak_activation_bytes),
        NOTHING if one.search_accuracy is None else points(one.search_accuracy),
        *again,
        points(one.validation_accuracy),
        f"{one.reward:.3f}",
        Cell(points(one.accuracy), (interval, *seeds), strong=True),
        interval,
        strong=is_winner,
    )


def _points(pair: PairedDifference) -> str:
    assert pair.low is not None and pair.high is not None, "the images have an error"
    return f"{signed(100 * pair.difference, 1)} points ({signed(100 * pair.low, 1)} to {signed(100 * pair.high, 1)})"


def _semifinals(plan: BaselinePlan, found: Baseline) -> Table:
    assert plan.semifinals is not None, "there are semifinals"
    scores = {one.id: points(one.accuracy) for one in found.candidates}
    rows = tuple(
        row(
            Cell(one.id, ("predicted",) if one.id in found.predicted else ()),
            count(one.macs),
            scores.get(one.id, NOTHING),
            *_scores(one.accuracy, one.log_loss, one.reward),
        )
        for one in found.semifinals
    )
    why = "Predicted: not scored, but best by what each stage's block, kernel and so on added to the scores of all. "
    return Table(
        (Column("network", number=False), *map(Column, ("MACs", "score %", "accuracy %", "log loss", "objective"))),
        rows,
        note=f"{plan.semifinals.steps:,} steps each, on validation, by another seed than scores and finals have: the "
        f"best of many scores is in part luck. {why if found.predicted else ''}The first {len(found.finals) - 1} went "
        "on to the finals.",
        folded="The semifinals in numbers",
        terminal=False,
    )


def _progress(request: BaselineRequest, found: Baseline) -> Figure:
    candidates = found.candidates
    power = f" times (MACs / T) to the power {found.exponent:g}" if found.exponent else ""
    return Figure(
        partial(progress_svg, candidates),
        f"The sampler is {request.sampler}; the first {min(POPULATION, len(candidates))} candidates are drawn evenly "
        f"from all that keep the budget. The best of {len(candidates)} was number {first_best(candidates)}. The "
        f"objective is the accuracy{power}.",
        "progress",
    )


def first_best(candidates: Sequence[Candidate]) -> int:
    """Which candidate was the best first, from 1."""
    best = list(itertools.accumulate((one.reward for one in candidates), max))
    return best.index(best[-1]) + 1


def _ranking(ranking: Ranking | None) -> tuple[Block, ...]:
    if ranking is None:
        return (
            Text(
                "Not known for this search. Only the order of the scores counts, and how much that is worth depends on "
                "the data and on how long each candidate was trained. The finalists above are too few to tell. "
                "`python -m bench.ranking`, in the project's repository, trains networks of this space longer and "
                "measures it."
            ),
        )
    text = (
        f"Of {len(ranking.networks)} networks drawn from the space, each also trained alone for {ranking.steps:,} "
        "steps, the accuracy in a short training and the trained one put pairs in the same order with Kendall's tau "
        f"{signed(ranking.tau)} (95 % interval {signed(ranking.low)} to {signed(ranking.high)}): 0 is chance, 1 the "
        "same order throughout."
    )
    if ranking.model is not None:
        model = ranking.model
        text += (
            " The model of all scores, which has seen none of these networks: "
            f"{signed(model.tau)} ({signed(model.low)} to {signed(model.high)})."
        )
    return (Text(text), *_random_search(ranking))


def _random_search(ranking: Ranking) -> Iterator[Text]:
    random = ranking.random_search
    if random is None:
        return
    fewer = random.trainings < random.affordable
    what = f" (the scores and semifinals cost as much as {random.affordable})" if fewer else ""
    what = what or ", which cost what the scores and semifinals did,"
    best, every = random.finals[0], random.all_finals
    yield Text(
        f"Random search with {random.trainings} such trainings{what} and the same finals: its winner, {best.id}, gets "
        f"{percent(best.accuracy)} of the test images with {count(best.macs)} MACs. The search's winner minus that: "
        f"{_points(random.winner)}; all finalists of both: {signed(100 * every.difference, 1)} "
        f"({signed(100 * every.low, 1)} to {signed(100 * every.high, 1)})."
    )


def _space(space: Space) -> tuple[Block, ...]:
    titles = ("stage", "block", "kernel", "squeeze ratio", "expansion", "filters times", "layers")
    return (
        Table(
            tuple(Column(title, number=False) for title in titles),
            tuple(row(str(index), *_factors(stage)) for index, stage in enumerate(space.stages)),
            note=f"{space.count:.3g} different networks, those that break the budget among them. The space is in "
            "plan.json; `--write-space` gives it as a file to edit.",
            terminal=False,
        ),
    )


def _factors(stage: StageSpace) -> Iterator[str]:
    """The values that each factor may have."""
    yield ", ".join(stage.kinds)
    for values in (stage.kernels, stage.squeezes, stage.expansions, stage.widths):
        yield ", ".join(f"{value:g}" for value in values)
    yield ", ".join("0" if value == 0 else signed(value, 0) for value in stage.layers)


def baseline_command(record: BaselineRecord) -> str:
    """The command that makes the search again, every argument written out."""
    request = record.request
    words = ["budgetnet", "search", "baseline", *data_words(record.data.data), *budget_flags(request.budget)]
    words += ["--time", f"{request.time_seconds:g}s"]
    words += ["--space", "space.json"] if request.space else ["--base", *base_words([request.base])]
    words += ["--sampler", request.sampler, "--exponent", f"{request.exponent:g}"]
    words += ["--recipe", request.recipe.name, *augment_flags(request.augment), "--seed", str(request.seed)]
    return in_lines([*words, *usual_flags(("--precision", request.precision, "float32"))])


def _again(record: BaselineRecord) -> tuple[Block, ...]:
    plan, scores = record.plan, record.plan.scores
    facts = {
        "A candidate's training": _length(scores, plan.batch),
        "A candidate": f"{scores.seconds_each:.2f} s, {plan.slots} at a time, as timed before",
        **({"A semifinal": _length(plan.semifinals, plan.batch)} if plan.semifinals else {}),
        "A final training": _length(plan.finals, plan.batch),
    }
    return (
        Command(baseline_command(record)),
        Facts(facts_of(record, plan.augmentation, facts)),
        Text(
            "A search is a function of plan.json, which lies beside this page and holds the steps of every training "
            "with their amendments.",
            quiet=True,
        ),
    )


def _length(rung: Rung, batch: int) -> str:
    return f"{rung.steps:,} steps of {batch} images"
