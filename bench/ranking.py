"""Whether the scores of a search mean something: networks of its space, each also trained for longer.

    python -m bench.ranking DATA --run RUN --networks 24 --out FOLDER

RUN is a folder of `budgetnet search baseline DATA ...`, finished or not. Networks are drawn evenly from all of its
space that keep the budget; they are scored as the search's candidates are, and each is trained from nothing for the
same steps (those of the search's finals unless --steps says otherwise), one a core, with another seed than scores have.
Kendall's tau-b between the score's accuracy on validation and the trained accuracy on the validation and test images,
which no training has learned from, comes with a percentile interval of a bootstrap over networks. A finished search is
then held against random search of the same multiply-adds (`bench.random_search`): as many of these trainings as its
scores and semifinals cost, and the same finals. With --random the sampler "random" also scores as many candidates as
the search did. Killed anywhere, the same command goes on. Several runs may share FOLDER, and with it what they have in
common. The result is RUN/ranking.json, and the page of a finished search is written again. Results: docs/lab-log.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from bench.random_search import RandomSearch, Sampled, made_by
from budgetnet import Network, open_images
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture
from budgetnet.cli.progress import progress
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.pending import train_pending
from budgetnet.codec import to_plain
from budgetnet.data import ImageSet, open_cache
from budgetnet.experiments.baseline import SEARCH_BASELINE
from budgetnet.experiments.baseline.objective import Score
from budgetnet.experiments.baseline.ranking import (
    FILE,
    FORMAT,
    RandomSampler,
    RandomSearchResult,
    RankedNetwork,
    Ranking,
    Tau,
)
from budgetnet.experiments.baseline.result import Baseline, BaselineRecord
from budgetnet.experiments.baseline.run import scoring_of, search_of
from budgetnet.experiments.baseline.scoring import CandidateScoring
from budgetnet.experiments.baseline.search import run_search
from budgetnet.experiments.baseline.surrogate import additive_model
from budgetnet.experiments.experiment import read_finished
from budgetnet.experiments.report import write_report
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.files import write_json
from budgetnet.runs.record import check_images, read_record
from budgetnet.training.job import JobContext, TrainingJob, whole_job
from budgetnet.training.predictions import predictions_of, read_validation_predictions, train_and_test
from budgetnet.training.trainer import TrainingSpec

RESAMPLES = 2000
OTHER_SEED = 1000
"""Beyond the plan's: a score by a short training must not begin from the same weights as the training it foretells."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trained:
    """What one network's own training reached: on validation, on test, on both."""

    validation: float
    test: float
    both: float


def main() -> None:
    """Score, train, rank, and print what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--steps", type=int, help="of each training")
    parser.add_argument("--random", action="store_true", help="search by even draws, scored alike, too")
    asked = parser.parse_args()
    record = read_record(asked.run, SEARCH_BASELINE.name, *SEARCH_BASELINE.types)
    if record is None:
        raise SystemExit(f"{asked.run} holds no search baseline")
    plan = record.plan
    images = open_images(asked.data, record.seed)
    check_images(record, images, asked.run)
    open_cache(images, plan.side_px)
    asked.out.mkdir(parents=True, exist_ok=True)
    precision = record.request.precision
    at = JobContext(asked.data, record.seed, plan.side_px, str(asked.run / "training"), precision=precision)
    scoring = scoring_of(record, FeasibleSpace.of(plan.space, record.request.budget), at, images)
    drawn = _drawn(scoring, record.seed, asked.networks)
    steps = asked.steps or plan.finals.steps
    networks = {one.id: scoring.space.network(one) for one in drawn}
    finished = (asked.run / SEARCH_BASELINE.file).exists()
    found = read_finished(SEARCH_BASELINE, asked.run)[1] if finished else None
    with progress() as shown:
        scores = _scored(scoring, drawn, shown)
        reached = _trained(record, at, networks, steps, asked.out, images, shown)
        trained = [reached[one.id] for one in drawn]
        rows = [
            Sampled(one.id, networks[one.id], scoring.space.macs(one), one_trained.validation)
            for one, one_trained in zip(drawn, trained, strict=True)
        ]
        random = found and RandomSearch(scoring, found, rows, steps, images).finals(asked.out, shown)
    ranking = dataclasses.replace(
        _ranking(scoring, drawn, scores, trained, steps),
        random_search=random,
        model=_model(found, drawn, trained) if found else None,
        random_sampler=_random_sampler(record, scoring) if asked.random else None,
    )
    write_json(asked.run / FILE, {"format": FORMAT, **to_plain(ranking)})
    if found:
        write_report(SEARCH_BASELINE.report(record, dataclasses.replace(found, ranking=ranking)), asked.run)
    _say(ranking, found)


def _drawn(scoring: CandidateScoring, seed: int, count: int) -> list[Architecture]:
    """So many different networks that keep the budget, other draws than any of the search."""
    found: dict[str, Architecture] = {}
    for number in range(100 * count):
        one = scoring.space.sample(seed, "ranking", number)
        found.setdefault(one.id, one)
        if len(found) == count:
            return list(found.values())
    raise SystemExit(f"the space has fewer than {count} networks within the budget")


def _scored(scoring: CandidateScoring, drawn: Sequence[Architecture], shown: Progress) -> list[Score]:
    """Every network's score as the search would give it, kept beside the search's own; those that are done are read."""
    known: dict[str, Score] = {}

    def on_result(architecture: Architecture, score: Score) -> None:
        known[architecture.id] = score
        shown(Update("scores", len(known), len(drawn)))

    here = LocalExecutor(scoring.context.device)
    with scoring.open(here, here.slots(), shown) as score_batch:
        score_batch(drawn, on_result)
    return [known[one.id] for one in drawn]


def _trained(
    record: BaselineRecord,
    at: JobContext,
    networks: Mapping[str, Network],
    steps: int,
    out: Path,
    images: ImageSet,
    shown: Progress,
) -> dict[str, Trained]:
    """Every network's own training, from nothing; those that are done are read."""
    plan, seed = record.plan, record.seed + OTHER_SEED
    folder = out / made_by(record, batch=plan.batch, steps=steps) / "training"
    at = dataclasses.replace(at, folder=str(folder))
    configs = [
        TrainingSpec(name, network, plan.recipe, plan.preprocessing, seed, plan.batch).for_steps(steps)
        for name, network in networks.items()
    ]
    jobs = [whole_job(config, at, f"ranking/{config.id}", config.cooldown_steps) for config in configs]
    here = LocalExecutor(at.device)
    train_pending(jobs, "ranking", here, at, here.slots(), shown, train_and_test, lambda job: job.predictions)
    return {job.config.id: _reached(job, images) for job in jobs}


def _reached(job: TrainingJob, images: ImageSet) -> Trained:
    test = predictions_of(job, images)
    if not job.scores.exists():  # it diverged
        return Trained(0.0, 0.0, 0.0)
    right = read_validation_predictions(job, images)[0].right
    both = np.concatenate([right, test.right])
    return Trained(float(right.mean()), float(test.right.mean()), float(both.mean()))


def _ranking(
    scoring: CandidateScoring,
    drawn: Sequence[Architecture],
    scores: Sequence[Score],
    trained: Sequence[Trained],
    steps: int,
) -> Ranking:
    by_score = np.array([row.accuracy for row in scores])
    by_loss = np.array([-row.log_loss for row in scores])
    alone = np.array([row.both for row in trained])
    macs = np.array([scoring.space.macs(row) for row in drawn], dtype=np.float64)
    low, high = interval(by_score, alone)
    low_log_loss, high_log_loss = interval(by_loss, alone)
    return Ranking(
        steps=steps,
        scored_by=scoring.name,
        tau=tau(by_score, alone),
        low=low,
        high=high,
        tau_log_loss=tau(by_loss, alone),
        low_log_loss=low_log_loss,
        high_log_loss=high_log_loss,
        tau_macs=tau(macs, alone),
        networks=tuple(
            RankedNetwork(
                id=one.id,
                stages=one.stages,
                macs=scoring.space.macs(one),
                score_accuracy=score.accuracy,
                score_log_loss=score.log_loss,
                validation=reached.validation,
                test=reached.test,
                both=reached.both,
            )
            for one, score, reached in zip(drawn, scores, trained, strict=True)
        ),
        random_search=None,
        model=None,
        random_sampler=None,
    )


def _model(found: Baseline, drawn: Sequence[Architecture], trained: Sequence[Trained]) -> Tau | None:
    """How well the model of the search's scores ranks the drawn networks, of which it has seen none."""
    known = [Architecture(row.stages) for row in found.candidates]
    model = additive_model(known, [row.accuracy for row in found.candidates])
    if model is None:
        return None
    predicted, alone = np.array([model.of(one) for one in drawn]), np.array([row.both for row in trained])
    return Tau(tau(predicted, alone), *interval(predicted, alone))


def tau(scores: Floats, reached: Floats) -> float:
    """Kendall's tau-b; 0 where one of the two is the same for all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: Any = kendalltau(scores, reached)
    found = float(result.statistic)
    return found if np.isfinite(found) else 0.0


def interval(scores: Floats, reached: Floats, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % percentile interval of tau by drawing networks again with replacement."""
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, len(scores), len(scores)) for _ in range(resamples))
    found = [tau(scores[draw], reached[draw]) for draw in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def _random_sampler(record: BaselineRecord, scoring: CandidateScoring) -> RandomSampler:
    """The best objective of as many even draws, scored alike."""
    search = dataclasses.replace(search_of(record, scoring.space), sampler="random")
    with progress() as shown, scoring.open(LocalExecutor(scoring.context.device), search.at_once, shown) as score_batch:
        found = run_search(search, score_batch)
    return RandomSampler(len(found), max(row.reward for row in found))


def _say(found: Ranking, search: Baseline | None) -> None:
    print(f"scored by {found.scored_by}, trained for {found.steps} steps")
    print(f"{'network':<10}{'MACs':>12}{'score %':>10}{'log loss':>10}{'trained %':>11}")
    for one in sorted(found.networks, key=lambda one: -one.both):
        score, alone = 100 * one.score_accuracy, 100 * one.both
        print(f"{one.id:<10}{one.macs:>12,}{score:>10.1f}{one.score_log_loss:>10.3f}{alone:>11.1f}")
    print(f"Kendall's tau {found.tau:+.2f} ({found.low:+.2f} to {found.high:+.2f}), {len(found.networks)} networks")
    print(
        f"by log loss {found.tau_log_loss:+.2f} ({found.low_log_loss:+.2f} to {found.high_log_loss:+.2f}); "
        f"by MACs alone {found.tau_macs:+.2f}"
    )
    if model := found.model:
        print(f"by the model of all scores {model.tau:+.2f} ({model.low:+.2f} to {model.high:+.2f})")
    if search and found.random_search:
        _say_random(found.random_search, search)
    if found.random_sampler:
        print(f"even draws, scored alike: best objective {found.random_sampler.best_reward:.4f}")


def _say_random(random: RandomSearchResult, search: Baseline) -> None:
    print(
        f"\nrandom search: {random.trainings} trainings ({random.affordable} cost as much as the search's scores and "
        "semifinals), then the same finals"
    )
    print(f"{'finals of':<12}{'network':<10}{'MACs':>12}{'validation %':>14}{'objective':>11}{'test %':>8}")
    for name, rows in (("the search", search.finals[:-1]), ("random", random.finals)):
        for one in rows:
            print(
                f"{name:<12}{one.id:<10}{one.macs:>12,}{100 * one.validation_accuracy:>14.1f}"
                f"{one.reward:>11.4f}{100 * one.accuracy:>8.1f}"
            )
    for what, found in (("the winner's", random.winner), ("all finals'", random.all_finals)):
        print(
            f"{what} test accuracy minus random's: {100 * found.difference:+.1f} points "
            f"({100 * (found.low or 0.0):+.1f} to {100 * (found.high or 0.0):+.1f})"
        )


if __name__ == "__main__":
    main()
