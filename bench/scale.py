"""The two searches on ImageNet with 8, 64 and 512 GPUs, on paper: multiply-adds counted, the rest simulated or assumed.

    python -m bench.scale
    python -m bench.scale --driver 1000

Nothing is trained. Networks are those that the searches would have; their multiply-adds are counted; `ASSUMED` turns
them into GPU-seconds, each row with its source; `bench.simulate` plays the trainings and the candidates on the clock.
docs/scale.md has the tables and what they say. --driver measures the driver here, with scores that cost nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.random_search import BACKWARD
from bench.simulate import Load, Site, simulated
from budgetnet import Budget, cost, network
from budgetnet.budgets.coefficient_sample import draw
from budgetnet.budgets.coefficient_space import space
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture, default_space
from budgetnet.experiments.baseline.evolution import POPULATION
from budgetnet.experiments.baseline.objective import Objective, Score
from budgetnet.experiments.baseline.plan import (
    MOST_SEMIFINALISTS,
    PROPOSAL_SECONDS,
    SCORE_LENGTH,
    SEMIFINAL_LENGTH,
    as_many_as_fit,
)
from budgetnet.experiments.baseline.run import LEAST_BATCHES
from budgetnet.experiments.baseline.search import OnResult, Search, run_search
from budgetnet.experiments.coefficients.entrants import matched
from budgetnet.experiments.coefficients.plan import FINALISTS as COEFFICIENT_FINALISTS
from budgetnet.experiments.race import survivors
from budgetnet.networks.scaling import PAPER

TRAIN_IMAGES, VALIDATION_IMAGES = 1_281_167, 50_000
BASE, SIDE_PX, TOLERANCE, CANDIDATES, SEEDS = "efficientnet_b0", 224, 0.02, 24, 3
EARLY_EPOCHS, WHOLE_EPOCHS = 4, 100
"""Of the first early rung, which doubles from rung to rung; of every whole training."""
SCORED = 1000
"""Candidates of a search for a baseline: as many as it ever scores."""
FINALISTS, FINAL_SEEDS = 3, 3
GPUS = (8, 64, 512)
NODE_HOURS = (2000, 200, 48)
DRAWS = 40
"""Simulations of each stage, with other losses."""
NODE_GPUS = 8
KEEP_SECONDS = 120.0
"""Between two checkpoints of a training that are in the storage: more than `training.job.CHECKPOINT_SECONDS`, for a
training of so large a network is slower."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What no command of ours has measured. B0's images a second in training on one A100 (80 GB), mixed precision:
    NVIDIA, DeepLearningExamples, PyTorch/Classification/ConvNets/efficientnet, README. The others are ours.
    """

    train_images_per_second: float = 2489.0
    start_seconds: float = 30.0
    link_bytes_per_second: float = 25e9 / 8
    node_hours: float = 2000.0
    back_seconds: float = 1800.0
    slow_share: float = 0.02
    slow_times: float = 2.0
    failed_share: float = 0.005
    aspect: float = 4 / 3

    @property
    def train_macs(self) -> float:
        """Multiply-adds a second, those of backward among them."""
        return BACKWARD * cost(network(BASE)).macs * self.train_images_per_second


ASSUMED = Assumed()


def training_seconds(macs: int, epochs: float) -> float:
    """Of one GPU, for so many times through ImageNet."""
    return BACKWARD * macs * epochs * TRAIN_IMAGES / ASSUMED.train_macs


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a search: batches of trials, each on one GPU, with a barrier behind each batch."""

    name: str
    batches: tuple[tuple[float, ...], ...]
    propose: bool = False
    keep_seconds: float = KEEP_SECONDS

    @property
    def gpu_hours(self) -> float:
        """Without anything that is lost."""
        return sum(map(sum, self.batches)) / 3600


def coefficients() -> list[Stage]:
    """`search coefficients`: the early rungs, the last one, the check at phi = 2."""
    base = network(BASE)
    found = space(base, 2.0, TOLERANCE)
    drawn = draw(found, CANDIDATES).candidates
    kept = survivors(len(drawn), COEFFICIENT_FINALISTS)
    macs = [row.cost for row in drawn]
    stages: list[Stage] = []
    for at, count in enumerate(kept[:-1]):
        epochs = EARLY_EPOCHS * 2**at
        trainings = tuple(training_seconds(one, epochs) for one in macs[:count])
        stages.append(Stage(f"rung {at + 1}: {count} x {epochs} epochs", (trainings,)))
    last = tuple(training_seconds(one, WHOLE_EPOCHS) for one in macs[: kept[-1]] * SEEDS)
    four = matched(base, PAPER, "macs", 4 * found.base_cost).cost
    check = tuple(training_seconds(four, WHOLE_EPOCHS) for _ in range(2 * SEEDS))
    return [
        *stages,
        Stage(f"last rung: {kept[-1]} x {SEEDS} seeds x {WHOLE_EPOCHS} epochs", (last,)),
        Stage(f"check: 2 x {SEEDS} seeds x {WHOLE_EPOCHS} epochs at phi = 2", (check,)),
    ]


def feasible() -> FeasibleSpace:
    """The default space around B0, at B0's own multiply-adds."""
    base = network(BASE)
    return FeasibleSpace.of(default_space(base), Budget(macs=cost(base).macs))


def candidates(places: int, at_once: int | None = None) -> Stage:
    """The search itself: as many at once as the command would score on so many places, unless that is said."""
    at_once = at_once or min(places, max(POPULATION, SCORED // LEAST_BATCHES))
    epochs = SCORE_LENGTH * WHOLE_EPOCHS
    seconds = training_seconds(cost(network(BASE)).macs, epochs)
    draws = random.Random(0)
    trials = [seconds * draws.lognormvariate(0.0, 0.2) for _ in range(SCORED)]
    batches = tuple(tuple(trials[start : start + at_once]) for start in range(0, SCORED, at_once))
    return Stage(f"candidates: {SCORED} x {epochs:g} epochs, {at_once} at once", batches, True)


def semifinals() -> Stage:
    """The best candidates once more."""
    epochs = SEMIFINAL_LENGTH * WHOLE_EPOCHS
    seconds = training_seconds(cost(network(BASE)).macs, epochs)
    return Stage(f"semifinals: {MOST_SEMIFINALISTS} x {epochs:g} epochs", ((seconds,) * MOST_SEMIFINALISTS,))


def finals(places: int) -> Stage:
    """The finalists, as many as the command would train on so many places, and the base, each with its seeds."""
    networks = as_many_as_fit(FINALISTS, FINAL_SEEDS, places) + 1
    seconds = training_seconds(cost(network(BASE)).macs, WHOLE_EPOCHS)
    trainings = (seconds,) * (networks * FINAL_SEEDS)
    return Stage(f"finals: {networks} x {FINAL_SEEDS} seeds x {WHOLE_EPOCHS} epochs", (trainings,))


def pixel_bytes() -> float:
    """Of all images, decoded at the size that is kept."""
    return (TRAIN_IMAGES + VALIDATION_IMAGES) * SIDE_PX * SIDE_PX * ASSUMED.aspect * 3


def site(gpus: int, sent: bool, seed: int = 0, node_hours: float = ASSUMED.node_hours) -> Site:
    """A cluster of so many GPUs. A node has the images from another that has them: log2 rounds of one link's time."""
    nodes = gpus // NODE_GPUS
    rounds = math.ceil(math.log2(nodes + 1))
    return Site(
        nodes,
        NODE_GPUS,
        0.0 if sent else rounds * pixel_bytes() / ASSUMED.link_bytes_per_second,
        ASSUMED.start_seconds,
        node_hours,
        ASSUMED.back_seconds,
        ASSUMED.slow_share,
        ASSUMED.slow_times,
        ASSUMED.failed_share,
        seed,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A stage on the clock, over several draws of what goes wrong: means, and the hours that one in ten exceeds."""

    stage: Stage
    hours: float
    late_hours: float
    lost_hours: float
    use: float
    driver: float


def row(stage: Stage, gpus: int, sent: bool, node_hours: float = ASSUMED.node_hours) -> Row:
    """A stage on so many GPUs; images are sent before it unless they were."""
    load = Load(stage.batches, propose_seconds if stage.propose else _nothing, keep_seconds=stage.keep_seconds)
    found = [simulated(site(gpus, sent, seed, node_hours), load) for seed in range(DRAWS)]
    hours = sorted(one.wall / 3600 for one in found)
    where = site(gpus, sent)
    return Row(
        stage,
        statistics.mean(hours),
        hours[int(0.9 * len(hours))],
        statistics.mean(one.lost / 3600 for one in found),
        statistics.mean(one.use(where) for one in found),
        statistics.mean(one.driver / one.wall for one in found),
    )


def propose_seconds(trial: int) -> float:
    """Of the driver, to propose any candidate and to read its score."""
    return PROPOSAL_SECONDS


def _nothing(trial: int) -> float:
    return 0.0


def print_stages(title: str, stages: Sequence[Stage], gpus: int) -> None:
    """A row a stage, and the sum."""
    rows = [row(stage, gpus, sent=at > 0) for at, stage in enumerate(stages)]
    print(f"\n{title}, {gpus} GPUs")
    print(f"{'':<46}{'GPU-hours':>10}{'lost':>8}{'hours':>9}{'1 in 10':>9}{'in use':>8}{'driver':>8}")
    for one in rows:
        shares = f"{100 * one.use:>6.0f} %{100 * one.driver:>6.0f} %"
        text = f"{one.stage.name:<46}{one.stage.gpu_hours:>10.1f}{one.lost_hours:>8.1f}"
        print(f"{text}{one.hours:>9.2f}{one.late_hours:>9.2f}{shares}")
    hours = sum(one.hours for one in rows)
    useful = sum(one.stage.gpu_hours for one in rows)
    print(f"{'all':<46}{useful:>10.1f}{sum(one.lost_hours for one in rows):>8.1f}{hours:>9.2f}")


def print_losses(stage: Stage, gpus: int) -> None:
    """What nodes that live shorter do to the longest trainings, with checkpoints that come back and without."""
    print(f"\n{stage.name}, {gpus} GPUs, by how long a node lives")
    for node_hours in NODE_HOURS:
        kept, lost = (
            row(dataclasses.replace(stage, keep_seconds=seconds), gpus, True, node_hours)
            for seconds in (KEEP_SECONDS, float("inf"))
        )
        text = f"{node_hours:>6} h a node: {kept.hours:>7.1f} h (one in ten over {kept.late_hours:.1f})"
        print(f"{text}; without checkpoints {lost.hours:.1f} h (one in ten over {lost.late_hours:.1f})")


def print_places() -> None:
    """Candidates a second by how many are scored at once: where the driver is all there is."""
    print("\ncandidates, by how many are scored at once, images in place")
    for places in (1, 8, 20, 64, 100, 512):
        one = row(candidates(places, places), NODE_GPUS * math.ceil(places / NODE_GPUS), True)
        text = f"{places:>4} at once: {60 * one.hours:>6.1f} min, driver alone {100 * one.driver:>3.0f} %"
        print(f"{text}, GPUs in use {100 * one.use:>3.0f} %")


def measure_driver(trials: int) -> None:
    """Seconds of the driver for each candidate, a score costing nothing."""
    space = feasible()

    def score_batch(architectures: Sequence[Architecture], on_result: OnResult) -> None:
        for one in architectures:
            on_result(one, Score(sum(stage.channels for stage in one.stages) / 10_000, 1.0))

    began = time.monotonic()
    run_search(Search(space, trials, POPULATION, Objective(space.budget.macs or 1)), score_batch)
    print(f"{trials} trials: {(time.monotonic() - began) / trials:.4f} s each")


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", type=int, metavar="TRIALS")
    if trials := parser.parse_args().driver:
        measure_driver(trials)
        return
    found = space(network(BASE), 2.0, TOLERANCE)
    print(f"{BASE}: {cost(network(BASE)).macs / 1e6:.0f} M MACs; {ASSUMED.train_macs / 1e12:.2f} T MACs/s of training")
    print(f"{len(found.candidates)} networks of twice its MACs within {100 * TOLERANCE:g} %, {CANDIDATES} are drawn")
    print(f"{feasible().space.count:.2g} networks in the space of a baseline")
    print(f"decoded images: {pixel_bytes() / 1e9:.0f} GB")
    for gpus in GPUS:
        print_stages("search coefficients", coefficients(), gpus)
    for gpus in GPUS:
        print_stages("search baseline", [candidates(gpus), semifinals(), finals(gpus)], gpus)
    print_places()
    print_losses(coefficients()[-1], GPUS[-1])


if __name__ == "__main__":
    main()
