"""How the time of a solve is shared, as counts of steps: made once, kept in plan.json.

First an estimate says which networks there is time to train (`training.speed`). One small network is timed, which
corrects the estimate; the candidates that are then raced are timed themselves, the quickest first. Whoever turns out to
be too slow for a training is not raced. So nothing is timed that could not be trained.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from budgetnet.arguments import shown
from budgetnet.budgets.budget import Certificate
from budgetnet.cluster.executor import Executor
from budgetnet.codec import (
    ONLY_IF_SET,
    NonNegativeInt,
    NotEmpty,
    PositiveFloat,
    PositiveInt,
    require,
    require_known,
    require_unique,
)
from budgetnet.costs.planners.tflite_ops import ops_of
from budgetnet.data import Data, ImageSet, Preprocessing
from budgetnet.data.held_out import held_out_count
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.race import survivors
from budgetnet.experiments.solve.candidates import BASES, Candidate, Contender, Obstacles, candidates, incumbent_of
from budgetnet.experiments.solve.latency import LatencyCheck, MeasuredLatency, check_for
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.solve.shipping import (
    FILE_SECONDS,
    FILE_SHARE,
    EightBits,
    check_installed,
    eight_bits_for,
    warn_of_files,
)
from budgetnet.experiments.timing import FINISH_SECONDS, TimeBudget, evaluation_seconds, prediction_seconds
from budgetnet.networks import Network
from budgetnet.networks.scaling import FitStrategy
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import LEAST_IMAGES, ProcessGroup
from budgetnet.ship.rounded_job import rounded_images
from budgetnet.training.augmenting import Chosen, choose_augmentation, fitted, tell_augmentation
from budgetnet.training.job import JobContext, Timing
from budgetnet.training.plan import TooShort, preprocessing_for, side_px_for, too_few
from budgetnet.training.pretrained import InitialWeights, base_of, default_recipe, parent_for, write_all_initial_weights
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.speed import (
    LEAST_FINAL_SECONDS,
    RACE_SHARE,
    USUAL_SPEED,
    TrainingLimits,
    image_work,
    least_epochs,
)
from budgetnet.training.stopwatch import TIMING_SECONDS, Stopwatch
from budgetnet.training.trainer import TrainingConfig, TrainingSpec

CORE_SECONDS_AN_ENTRANT = 100.0
"""A race needs this many core-seconds for each candidate that it tells apart."""
MOST_ENTRANTS = 12
"""A race has at most this many candidates."""
ENOUGH_STEPS = 0.6
"""A race is needless where every entrant can have this share of the steps that a race and a final training give the
winner."""
RUNG_COOLDOWN_SHARE = 0.3
"""The short cool-down before a rung's score takes this share of the rung's steps."""
USUAL_STARTUP_SECONDS = 5.0
"""How long worker processes take to start, before it is measured."""
TIMING_SHARE = 0.1
"""Timing takes at most this share of the time."""
ROUNDS = 3
"""Candidates are chosen and timed in this many rounds: each corrects the estimate that the next chooses by."""
LEAST_LEFT_SHARE = 0.75
"""Once less than this share of the time is left, the plan is made with what is timed by then."""
CLOSE = 1.25
"""A measured speed within this factor of the estimate corrects nothing."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Where a training leaves its trunk, and the steps of the cool-down that follows."""

    trunk_until: PositiveInt
    cooldown_steps: NonNegativeInt


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate that is raced: the network with its certificate, its training, and the steps of every rung.

    `final` are those of the final training, which goes on from the last rung's trunk; None where that was the whole.
    """

    id: str
    strategy: FitStrategy
    phi: float | None
    certificate: Certificate
    config: TrainingConfig
    rungs: NotEmpty[Steps]
    final: Steps | None
    single_process: PositiveFloat
    data_parallel: PositiveFloat

    def __post_init__(self) -> None:
        require(self.config.id == self.id, f"config.id is {shown(self.config.id)}, and id {shown(self.id)}")
        trunks = [steps.trunk_until for steps in self.rungs]
        require(trunks == sorted(trunks), "the trunks of rungs become shorter")
        last, steps = self.final or self.rungs[-1], self.config.steps
        whole = last.trunk_until + last.cooldown_steps
        require(
            whole == steps,
            f"config.steps is {steps}, and the steps of {'final' if self.final else 'rungs'} are {whole}",
        )
        require(trunks[-1] <= last.trunk_until, "the trunk of final is shorter than that of rungs")


@dataclass(frozen=True, slots=True)
class SolvePlan:
    """The candidates, those that race, and how the time is shared.

    `kept` is how many take part in each rung. `final_seconds` is None where every entrant is trained to its end in its
    only rung; else the winner goes on, and learns the validation images too, but `held_out` of them. `finish_seconds`
    come behind the last step. `eight_bits` says how the winner becomes a file in eight bits; None of a budget in float.
    `latencies` are those of the entrants, measured here before they raced, where the budget limits it.
    """

    parent: str | None
    recipe: Recipe
    augmentation: tuple[Chosen, ...]
    side_px: PositiveInt
    group: ProcessGroup
    slots: PositiveInt
    training: TrainingLimits
    candidates: NotEmpty[Candidate]
    kept: NotEmpty[PositiveInt]
    incumbent: str | None
    entrants: NotEmpty[Entrant]
    race_seconds: PositiveFloat
    final_seconds: PositiveFloat | None
    finish_seconds: PositiveFloat
    held_out: NonNegativeInt
    eight_bits: EightBits | None = field(default=None, metadata=ONLY_IF_SET)
    latencies: tuple[MeasuredLatency, ...] = field(default=(), metadata=ONLY_IF_SET)

    def __post_init__(self) -> None:
        require_unique("candidates has an id", [row.id for row in self.candidates])
        rows = {row.id: row for row in self.candidates}
        ids = [row.id for row in self.entrants]
        require_known("an id of entrants", ids, rows, "candidates")
        require_known("an id of latencies", [row.id for row in self.latencies], ids, "entrants")
        raced = [row.id for row in self.candidates if row.raced]
        require(
            sorted(ids) == sorted(raced), f"entrants are {', '.join(ids)}, and of candidates raced {', '.join(raced)}"
        )
        require(self.kept[0] == len(ids), f"kept begins with {self.kept[0]}, and there are {len(ids)} entrants")
        require(list(self.kept) == sorted(self.kept, reverse=True), "kept grows from rung to rung")
        require_known("incumbent", [] if self.incumbent is None else [self.incumbent], ids, "entrants")
        for row in self.entrants:
            candidate, network = rows[row.id], row.config.network
            pairs = {
                "strategy": (row.strategy, candidate.strategy),
                "phi": (row.phi, candidate.phi),
                "resolution_px": (network.resolution_px, candidate.resolution_px),
                "network": (network.name, candidate.network),
                "recipe": (row.config.recipe, self.recipe),
            }
            for name, (ours, theirs) in pairs.items():
                where = "its plan" if name == "recipe" else "candidates"
                require(ours == theirs, f"{name} of {row.id} in entrants is another than in {where}")
            require(
                (row.final is None) == (self.final_seconds is None), f"final of {row.id} and final_seconds do not agree"
            )
            some = len(row.rungs) == len(self.kept) or row.final is None
            require(some, f"rungs of {row.id} are {len(row.rungs)}, and kept has {len(self.kept)}")
        require(self.final_seconds is not None or self.held_out == 0, "held_out is not 0 without a final training")

    def entrant(self, name: str) -> Entrant:
        """The entrant of this id."""
        return next(row for row in self.entrants if row.id == name)


def propose(request: SolveRequest, context: Context) -> SolvePlan:
    """The plan of a solve.

    Raises `BudgetError` where no network keeps the budget, `TooShort` where none that does can be trained in the time,
    `ValueError` where memory is too small.
    """
    images, executor, time, progress = context.images[0], context.executor, context.time, context.progress
    if request.in_eight_bits:
        check_installed()
    latency = check_for(request.budget, progress)
    search = search_of(request, images, executor, latency)
    parent, preprocessing = search.parent, search.preprocessing

    def open_context(networks: Sequence[Network]) -> JobContext:
        """Where these networks find their images, which are decoded for the largest of them."""
        side_px = side_px_for(networks, preprocessing)
        context.pixels(side_px)
        return context.job_context(side_px, request.seed)

    estimate = search.estimate(time)
    raced = [row.network for row in search.find(estimate) if row.raced]
    pixels = context.pixels(side_px_for(raced, preprocessing))
    augmentation = choose_augmentation(request.augment, search.recipe, images, pixels, request.seed)
    tell_augmentation(augmentation, progress)
    trained_by = fitted(search.recipe, augmentation)
    field = chosen_field(
        search.find,
        lambda networks: search.draft(networks, trained_by),
        open_context,
        estimate,
        time,
        executor,
        progress,
        request.in_eight_bits,
    )
    if request.in_eight_bits:
        for spec in field.specs:
            ops_of(spec.network)  # raises for what has no op in such a file
        warn_of_files([spec.network for spec in field.specs], request.budget)
    context.clear()
    if parent is not None:
        initial = [InitialWeights(spec, field.context, parent, exact=False) for spec in field.specs]
        write_all_initial_weights(initial, executor.device, progress)
    incumbent = None if parent is None else incumbent_of([row for row in field.found if row.raced])
    shared = planned(field, images, time, executor.slots(), request.in_eight_bits)
    return SolvePlan(
        parent=parent,
        recipe=trained_by,
        augmentation=augmentation,
        side_px=shared.field.context.side_px,
        group=shared.field.group,
        slots=executor.slots(),
        training=shared.field.training,
        candidates=tuple(row.row() for row in shared.field.found),
        kept=shared.kept,
        incumbent=incumbent,
        entrants=shared.entrants,
        race_seconds=shared.race_seconds,
        final_seconds=shared.final_seconds,
        finish_seconds=shared.finish_seconds,
        held_out=held_out_count(len(images.indices("validation"))) if shared.final_seconds is not None else 0,
        eight_bits=shared.eight_bits,
        latencies=() if latency is None else latency.rows({spec.id: spec.network for spec in field.specs}),
    )


@dataclass(frozen=True)
class CandidateSearch:
    """Who could race, and how they would be trained: what a request and images say, before anything is timed."""

    parent: str | None
    recipe: Recipe
    preprocessing: Preprocessing
    find: Callable[[TrainingLimits], tuple[Contender, ...]]
    draft: Callable[[Mapping[str, Network], Recipe], tuple[tuple[TrainingSpec, ...], ProcessGroup]]
    estimate: Callable[[TimeBudget], TrainingLimits]


def search_of(
    request: SolveRequest, images: ImageSet, executor: Executor, latency: LatencyCheck | None = None
) -> CandidateSearch:
    """The search for candidates that a request asks for; `latency` measures those that would race.

    Raises as `propose` does, where no weights are found.
    """
    parent = parent_for(request.pretrained, request.budget)
    inherited, most_bytes = parent is not None, request.budget.train_bytes
    recipe = recipe_of(request.recipe or default_recipe(parent))
    bases = request.bases or (BASES if parent is None else (base_of(parent),))
    preprocessing = preprocessing_for(images, parent)
    entrants = entrants_for(request.time_seconds, executor.slots())

    @functools.cache
    def find(limits: TrainingLimits) -> tuple[Contender, ...]:
        chosen = bases, request.strategies, inherited, request.coefficients, limits

        def under(obstacle: Obstacles | None) -> tuple[Contender, ...]:
            return candidates(images, request.budget, entrants, *chosen, obstacle)

        return under(None) if latency is None else latency.found(under)

    def draft(networks: Mapping[str, Network], trained_by: Recipe) -> tuple[tuple[TrainingSpec, ...], ProcessGroup]:
        """The trainings of these networks, by their ids, and the processes that share a batch."""
        batch, group = executor.shared_batch(trained_by, images, list(networks.values()), most_bytes)
        same = trained_by, preprocessing, request.seed, batch
        return tuple(TrainingSpec(name, network, *same) for name, network in networks.items()), group

    def estimate(time: TimeBudget) -> TrainingLimits:
        return estimated_limits(images, recipe, time, executor, inherited, most_bytes, request.in_eight_bits)

    return CandidateSearch(parent, recipe, preprocessing, find, draft, estimate)


def estimated_field(request: SolveRequest, data: Data, images: ImageSet, executor: Executor, time: TimeBudget) -> Field:
    """What would be raced on a machine of the usual speed: nothing is decoded or timed.

    Raises as `propose` does.
    """
    search = search_of(request, images, executor)
    limits = search.estimate(time)
    found = search.find(limits)
    raced = _raced(found)
    specs, group = search.draft(raced, search.recipe)
    speed = USUAL_SPEED[executor.device]
    rates = [speed / image_work(spec.network, spec.batch) for spec in specs]
    timings = tuple(Timing(rate, rate * group.processes, 0.0) for rate in rates)
    where = JobContext(data, request.seed, side_px_for(list(raced.values()), search.preprocessing), "")
    return Field(found, limits, specs, timings, group, where, USUAL_STARTUP_SECONDS)


def entrants_for(time_seconds: float, workers: int) -> int:
    """How many candidates a race can tell apart: max(2, core-seconds of the race / 100), at most 12."""
    return min(MOST_ENTRANTS, max(2, int(RACE_SHARE * time_seconds * workers / CORE_SECONDS_AN_ENTRANT)))


@dataclass(frozen=True, slots=True)
class Field:
    """What is raced: all candidates, and of the raced ones their configs and how fast each trains here.

    `training` is what the candidates were chosen by; steps are not known yet.
    """

    found: tuple[Contender, ...]
    training: TrainingLimits
    specs: tuple[TrainingSpec, ...]
    timings: tuple[Timing, ...]
    group: ProcessGroup
    context: JobContext
    startup_seconds: float


def estimated_limits(
    images: ImageSet,
    recipe: Recipe,
    time: TimeBudget,
    executor: Executor,
    inherited: bool,
    most_bytes: int | None,
    in_eight_bits: bool = False,
) -> TrainingLimits:
    """What there is to train with, before anything was timed: usual processors, and the memory that is free now."""
    count = len(images.indices("train"))
    batch, _ = executor.shared_batch(recipe, images)
    least, enough = least_epochs(inherited)
    final_seconds = _final_seconds(time, USUAL_STARTUP_SECONDS, TIMING_SHARE * time.seconds, in_eight_bits)
    return TrainingLimits(
        seconds=time.seconds,
        final_seconds=final_seconds,
        work=max(LEAST_FINAL_SECONDS, final_seconds) * USUAL_SPEED[executor.device] * executor.slots(),
        images=count,
        batch=max(1, batch),
        least_epochs=least,
        enough_epochs=enough,
        bytes=min(executor.room(), most_bytes or executor.room()),
        least_batch=min(LEAST_IMAGES, batch),
        optimiser=recipe.optimiser,
        ema=recipe.ema_share > 0,
    )


def _final_seconds(time: TimeBudget, startup_seconds: float, timing_seconds: float, in_eight_bits: bool) -> float:
    """About what race, timing and a file in eight bits will leave for the final training; below 0 where nothing is
    left."""
    left = time.left_seconds - 2 * startup_seconds - timing_seconds
    left -= (FILE_SHARE * time.seconds + FILE_SECONDS) if in_eight_bits else 0.0
    return left - min(RACE_SHARE * time.seconds, 0.5 * left)


def chosen_field(
    find: Callable[[TrainingLimits], tuple[Contender, ...]],
    draft: Callable[[Mapping[str, Network]], tuple[tuple[TrainingSpec, ...], ProcessGroup]],
    open_context: Callable[[Sequence[Network]], JobContext],
    limits: TrainingLimits,
    time: TimeBudget,
    executor: Executor,
    progress: Progress | None = None,
    in_eight_bits: bool = False,
) -> Field:
    """The candidates that there is time to train, and how fast the raced ones are.

    `find` gives the candidates for what there is to train with, `draft` trainings for networks, `open_context` decodes
    the images for these networks. Raises `TooShort` where nothing that keeps the budget can be trained.
    """
    found = find(limits)
    raced = _raced(found)
    specs, group = draft(raced)
    quickest = min(specs, key=lambda row: image_work(row.network, row.batch))
    seconds = min(TIMING_SECONDS, TIMING_SHARE * time.seconds / (2 * (len(specs) + 1)))
    with executor.stopwatch(time.clock, group, progress) as stopwatch:
        known: dict[Network, Timing] = {}
        context = open_context(list(raced.values()))
        known[quickest.network] = stopwatch.time([quickest], context, seconds)[0]
        ratio, final_seconds = _ratio(known, limits, time, stopwatch, seconds * len(specs), in_eight_bits)
        again = not 1 / CLOSE < ratio < CLOSE
        for _ in range(ROUNDS):
            if again:
                limits = limits.times(ratio, final_seconds)
                found = find(limits)
                raced = _raced(found)
                specs, group = draft(raced)
                context = open_context(list(raced.values()))
            new = sorted(
                (row for row in specs if row.network not in known),
                key=lambda row: image_work(row.network, row.batch),
            )
            if new:
                known |= zip([row.network for row in new], stopwatch.time(new, context, seconds), strict=True)
            timed = {row.network: known[row.network] for row in specs}
            ratio, final_seconds = _ratio(timed, limits, time, stopwatch, 0.0, in_eight_bits)
            slower = limits.times(ratio, final_seconds)
            again = ratio < 1 / CLOSE and any(slower.is_short_for(network) for network in timed)
            if not again or time.left_seconds < LEAST_LEFT_SHARE * time.seconds:
                break
        startup = stopwatch.startup_seconds
    timings = tuple(known[row.network] for row in specs)
    return Field(found, limits, specs, timings, group, context, startup)


def _raced(found: Sequence[Contender]) -> dict[str, Network]:
    return {row.id: row.network for row in found if row.raced}


def _ratio(
    known: Mapping[Network, Timing],
    limits: TrainingLimits,
    time: TimeBudget,
    stopwatch: Stopwatch,
    timing_seconds: float,
    in_eight_bits: bool,
) -> tuple[float, float]:
    """How much more work there is time for than the limits say, by the slowest of the timed networks; in how long."""
    seconds = _final_seconds(time, stopwatch.startup_seconds, timing_seconds, in_eight_bits)
    speed = min(timing.data_parallel * image_work(network, limits.batch) for network, timing in known.items())
    return max(LEAST_FINAL_SECONDS, seconds) * speed / limits.work, seconds


@dataclass(frozen=True, slots=True)
class Shared:
    """A field with its time shared: the steps of every entrant, and the seconds of race, final training and finish."""

    field: Field
    kept: tuple[int, ...]
    entrants: tuple[Entrant, ...]
    race_seconds: float
    final_seconds: float | None
    finish_seconds: float
    eight_bits: EightBits | None


def planned(field: Field, images: ImageSet, time: TimeBudget, slots: int, in_eight_bits: bool = False) -> Shared:
    """The field without those that are too slow, and its time shared.

    Every candidate gets equal time, not equal steps: the budget of time is the user's, and a faster
    network sees more images in it. Where each has a core and gets about as far on it as the winner of a race would, all
    are trained to the end and compared then, for early scores favour what has least to recover; there is then no final
    training. Raises `TooShort` where the time is gone before any training, or no training would be one.
    """
    count, least = field.training.images, field.training.least_epochs
    while True:
        shared = _shared(field, images, time, slots, in_eight_bits)
        epochs = {row.id: row.config.epochs(count) for row in shared.entrants}
        slow = {name: seen for name, seen in epochs.items() if seen < least}
        if not slow:
            return shared
        if len(slow) == len(epochs):
            best = max(epochs.values())
            raise TooShort(
                time.seconds,
                f"for a training on {count:,} images: the quickest of the networks that could be raced "
                f"would see each {too_few(best, least)}",
                field.training.least_seconds(max(best, 0.01)),
            )
        field = _without(field, slow)


def _without(field: Field, slow: Mapping[str, float]) -> Field:
    """The field without these, whose timing gave so few epochs."""
    found = tuple(
        dataclasses.replace(
            row, raced=False, why=f"too slow here: it would see each image only {slow[row.id]:.1f} times in the time"
        )
        if row.id in slow
        else row
        for row in field.found
    )
    kept = [index for index, row in enumerate(field.specs) if row.id not in slow]
    return dataclasses.replace(
        field,
        found=tuple(sorted(found, key=lambda row: not row.raced)),
        specs=tuple(field.specs[index] for index in kept),
        timings=tuple(field.timings[index] for index in kept),
    )


def _shared(field: Field, images: ImageSet, time: TimeBudget, slots: int, in_eight_bits: bool) -> Shared:
    """The time of these entrants: how many steps each takes in every rung and at the end."""
    timings = field.timings
    finish = max(evaluation_seconds(images, timing) for timing in timings) + FINISH_SECONDS
    eight_bits = eight_bits_for(images, timings, time) if in_eight_bits else None
    finish += eight_bits.seconds if eight_bits else 0.0
    # Workers start twice more: for the race and for the final training.
    left = time.left_seconds - 2 * field.startup_seconds - finish
    if left < 2.0:
        needed = 2 * time.elapsed_seconds + 20
        raise TooShort(time.seconds, "to start a training: starting and timing alone take them", needed)
    race_seconds = min(RACE_SHARE * time.seconds, 0.5 * left)
    kept = survivors(len(field.specs))
    seconds = [race_seconds / len(kept) / math.ceil(count / slots) for count in kept]
    scored = float(len(images.indices("validation")))
    scored += rounded_images(int(scored)) if in_eight_bits else 0.0
    certified = {row.id: row for row in field.found}
    pairs = [(certified[spec.id], spec, timing) for spec, timing in zip(field.specs, timings, strict=True)]
    entrants = tuple(entrant_of(*pair, seconds, left - race_seconds, scored) for pair in pairs)
    whole_seconds = left + field.startup_seconds  # there is no final training that workers would start for
    if in_eight_bits:  # the finish pays for scores in float
        whole_seconds -= max(prediction_seconds(scored, timing) for timing in timings)
    whole = tuple(whole_entrant(*pair, max(0.0, whole_seconds)) for pair in pairs)
    enough = all(row.config.epochs(field.training.images) >= field.training.least_epochs for row in whole)
    if 1 < len(pairs) <= slots and enough and _get_as_far(whole, entrants):
        return Shared(field, (len(whole),), whole, whole_seconds, None, finish, eight_bits)
    return Shared(field, kept, entrants, race_seconds, left - race_seconds, finish, eight_bits)


def _get_as_far(whole: Sequence[Entrant], raced: Sequence[Entrant]) -> bool:
    pairs = zip(whole, raced, strict=True)
    return all(one.config.steps >= ENOUGH_STEPS * other.config.steps for one, other in pairs)


def whole_entrant(row: Contender, spec: TrainingSpec, timing: Timing, seconds: float) -> Entrant:
    """An entrant whose only rung is the whole training, on one core."""
    steps = max(2, int(seconds * timing.single_process / spec.batch))
    cooldown = min(steps - 1, round(spec.recipe.cooldown_share * steps))
    return _entrant(row, spec.for_steps(steps), timing, [Steps(steps - cooldown, cooldown)], None)


def entrant_of(
    row: Contender,
    spec: TrainingSpec,
    timing: Timing,
    rung_seconds: Sequence[float],
    final_seconds: float,
    scored_images: float,
) -> Entrant:
    """An entrant with its steps: where each rung leaves the trunk, and the end.

    A rung's seconds pay for its score too, which takes as long as a prediction of `scored_images`.
    """
    rungs: list[Steps] = []
    trunk = 0
    for seconds in rung_seconds:
        left = seconds - prediction_seconds(scored_images, timing)
        steps = max(2, int(left * timing.single_process / spec.batch))
        cooldown = max(1, round(RUNG_COOLDOWN_SHARE * steps))
        trunk += steps - cooldown
        rungs.append(Steps(trunk, cooldown))
    final_steps = max(2, int(final_seconds * timing.data_parallel / spec.batch))
    total = trunk + final_steps
    cooldown = min(final_steps - 1, round(spec.recipe.cooldown_share * total))
    warmup = max(1, min(round(spec.recipe.warmup_share * total), rungs[0].trunk_until // 2))
    return _entrant(row, spec.for_steps(total, warmup), timing, rungs, Steps(total - cooldown, cooldown))


def _entrant(
    row: Contender, config: TrainingConfig, timing: Timing, rungs: Sequence[Steps], final: Steps | None
) -> Entrant:
    return Entrant(
        id=row.id,
        strategy=row.strategy,
        phi=row.fit.phi,
        certificate=row.fit.certificate,
        config=config,
        rungs=tuple(rungs),
        final=final,
        single_process=timing.single_process,
        data_parallel=timing.data_parallel,
    )
