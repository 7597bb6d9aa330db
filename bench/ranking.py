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
common. The result is RUN/ranking.json, and the page of a finished search is written anew. Results: docs/lab-log.md.
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
from budgetnet.training.train import with_steps
from numpy.typing import NDArray
from scipy.stats import kendalltau

from bench.random_search import RandomSearch, Sampled, made_by
from budgetnet import Network, open_images
from budgetnet.budgets.search_space import Architecture
from budgetnet.cli.progress import progress
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.cluster.pending import train_pending
from budgetnet.data import ImageSet, Preprocessing, open_cache
from budgetnet.experiments.baseline.objective import Score
from budgetnet.experiments.baseline.page import RANKING, write_page
from budgetnet.experiments.baseline.plan import scoring_of
from budgetnet.experiments.baseline.scoring import CandidateScoring
from budgetnet.experiments.baseline.search import run_search
from budgetnet.experiments.baseline.surrogate import additive_model
from budgetnet.experiments.baseline.work import search_of
from budgetnet.parallel.progress import Progress, Update
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.job import JobContext, TrainingJob, whole_job
from budgetnet.training.plan import load_plan, same_data
from budgetnet.training.predictions import predictions_of, read_validation_predictions, train_and_test
from budgetnet.training.recipe import Recipe
from budgetnet.training.trainer import TrainingConfig

FORMAT = "budgetnet.ranking.v1"
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
    plan = load_plan(asked.run, "search baseline")
    if plan is None:
        raise SystemExit(f"{asked.run} holds no search baseline")
    images = open_images(asked.data, plan["seed"])
    same_data(plan["data"]["fingerprint"], images, asked.run)
    open_cache(images, plan["side_px"])
    asked.out.mkdir(parents=True, exist_ok=True)
    context = JobContext(
        asked.data, plan["seed"], plan["side_px"], str(asked.run / "training"), precision=plan["precision"]
    )
    scoring = scoring_of(plan, context, images)
    drawn = _drawn(scoring, plan["seed"], asked.networks)
    steps = asked.steps or plan["finals"]["config"]["steps"]
    networks = {one.id: scoring.space.network(one) for one in drawn}
    found = read_json(asked.run / "baseline.json") if (asked.run / "baseline.json").exists() else None
    with progress() as shown:
        scores = _scored(scoring, drawn, shown)
        reached = _trained(plan, context, networks, steps, asked.out, images, shown)
        trained = [reached[one.id] for one in drawn]
        row = _row(scoring, drawn, scores, trained, steps)
        rows = [
            Sampled(one.id, networks[one.id], scoring.space.macs(one), found.validation)
            for one, found in zip(drawn, trained, strict=True)
        ]
        random = found and RandomSearch(plan, scoring, found, rows, steps, images).finals(asked.out, shown)
    row["random_search"] = random
    row["model"] = _model(found, drawn, trained) if found else None
    row["random_sampler"] = _random_sampler(plan, scoring) if asked.random else None
    write_json(asked.run / RANKING, row)
    if found:
        write_page(asked.run)
    _say(row, asked.run)


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
    plan: Mapping[str, Any],
    context: JobContext,
    networks: Mapping[str, Network],
    steps: int,
    out: Path,
    images: ImageSet,
    shown: Progress,
) -> dict[str, Trained]:
    """Every network's own training, from nothing; those that are done are read."""
    recipe, preprocessing = Recipe.from_dict(plan["recipe"]), Preprocessing(**plan["preprocessing"])
    batch, seed = plan["finals"]["config"]["batch"], plan["seed"] + OTHER_SEED
    context = dataclasses.replace(context, folder=str(out / made_by(plan, batch=batch, steps=steps) / "training"))
    jobs: dict[str, TrainingJob] = {}
    for name, network in networks.items():
        config = with_steps(TrainingConfig(name, network, recipe, preprocessing, seed, batch, 1, 1), steps)
        jobs[name] = whole_job(config, context, f"ranking/{name}", config.cooldown_steps)
    here = LocalExecutor(context.device)
    train_pending(
        list(jobs.values()), "ranking", here, context, here.slots(), shown, train_and_test, lambda job: job.predictions
    )
    return {name: _reached(job, images) for name, job in jobs.items()}


def _reached(job: TrainingJob, images: ImageSet) -> Trained:
    test = predictions_of(job, images)
    if not job.scores.exists():  # it diverged
        return Trained(0.0, 0.0, 0.0)
    right = read_validation_predictions(job, images)[0].right
    both = np.concatenate([right, test.right])
    return Trained(float(right.mean()), float(test.right.mean()), float(both.mean()))


def _row(
    scoring: CandidateScoring,
    drawn: Sequence[Architecture],
    scores: Sequence[Score],
    trained: Sequence[Trained],
    steps: int,
) -> dict[str, Any]:
    by_score = np.array([row.accuracy for row in scores])
    by_loss = np.array([-row.log_loss for row in scores])
    alone = np.array([row.both for row in trained])
    macs = np.array([scoring.space.macs(row) for row in drawn], dtype=np.float64)
    low, high = interval(by_score, alone)
    return {
        "format": FORMAT,
        "steps": steps,
        "scored_by": scoring.name,
        "tau": tau(by_score, alone),
        "low": low,
        "high": high,
        "tau_log_loss": tau(by_loss, alone),
        "low_log_loss": interval(by_loss, alone)[0],
        "high_log_loss": interval(by_loss, alone)[1],
        "tau_macs": tau(macs, alone),
        "networks": [
            {
                "id": one.id,
                "stages": one.to_rows(),
                "macs": scoring.space.macs(one),
                "score_accuracy": score.accuracy,
                "score_log_loss": score.log_loss,
                **dataclasses.asdict(reached),
            }
            for one, score, reached in zip(drawn, scores, trained, strict=True)
        ],
    }


def _model(
    found: Mapping[str, Any], drawn: Sequence[Architecture], trained: Sequence[Trained]
) -> dict[str, float] | None:
    """How well the model of the search's scores ranks the drawn networks, of which it has seen none."""
    rows = [(Architecture.from_rows(row["stages"]), row["accuracy"]) for row in found["candidates"]]
    model = additive_model([one for one, _ in rows], [score for _, score in rows])
    if model is None:
        return None
    foretold, alone = np.array([model.of(one) for one in drawn]), np.array([row.both for row in trained])
    low, high = interval(foretold, alone)
    return {"tau": tau(foretold, alone), "low": low, "high": high}


def tau(scores: Floats, reached: Floats) -> float:
    """Kendall's tau-b; 0 where one of the two is the same for all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: Any = kendalltau(scores, reached)
    found = float(result.statistic)
    return found if np.isfinite(found) else 0.0


def interval(scores: Floats, reached: Floats, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % percentile interval of tau by drawing networks anew with replacement."""
    generator = np.random.default_rng(0)
    draws = (generator.integers(0, len(scores), len(scores)) for _ in range(resamples))
    found = [tau(scores[draw], reached[draw]) for draw in draws]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def _random_sampler(plan: Mapping[str, Any], scoring: CandidateScoring) -> dict[str, float]:
    """The best objective of as many even draws, scored alike."""
    search = dataclasses.replace(search_of(plan, scoring.space), sampler="random")
    with progress() as shown, scoring.open(LocalExecutor(scoring.context.device), search.at_once, shown) as score_batch:
        found = run_search(search, score_batch)
    return {"candidates": len(found), "best_reward": max(row.reward for row in found)}


def _say(row: Mapping[str, Any], run: Path) -> None:
    print(f"scored by {row['scored_by']}, trained for {row['steps']} steps")
    print(f"{'network':<10}{'MACs':>12}{'score %':>10}{'log loss':>10}{'trained %':>11}")
    for one in sorted(row["networks"], key=lambda one: -one["both"]):
        score, alone = 100 * one["score_accuracy"], 100 * one["both"]
        print(f"{one['id']:<10}{one['macs']:>12,}{score:>10.1f}{one['score_log_loss']:>10.3f}{alone:>11.1f}")
    print(f"Kendall's tau {row['tau']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}), {len(row['networks'])} networks")
    print(
        f"by log loss {row['tau_log_loss']:+.2f} ({row['low_log_loss']:+.2f} to {row['high_log_loss']:+.2f}); "
        f"by MACs alone {row['tau_macs']:+.2f}"
    )
    if model := row["model"]:
        print(f"by the model of all scores {model['tau']:+.2f} ({model['low']:+.2f} to {model['high']:+.2f})")
    if random := row["random_search"]:
        _say_random(random, read_json(run / "baseline.json")["finals"][:-1])
    if row["random_sampler"]:
        print(f"even draws, scored alike: best objective {row['random_sampler']['best_reward']:.4f}")


def _say_random(row: Mapping[str, Any], finals: Sequence[Mapping[str, Any]]) -> None:
    print(
        f"\nrandom search: {row['trainings']} trainings ({row['affordable']} cost as much as the search's scores and "
        "semifinals), then the same finals"
    )
    print(f"{'finals of':<12}{'network':<10}{'MACs':>12}{'validation %':>14}{'objective':>11}{'test %':>8}")
    for name, rows in (("the search", finals), ("random", row["finals"])):
        for one in rows:
            print(
                f"{name:<12}{one['id']:<10}{one['macs']:>12,}{100 * one['validation_accuracy']:>14.1f}"
                f"{one['reward']:>11.4f}{100 * one['accuracy']:>8.1f}"
            )
    for what, found in (("the winner's", row["winner"]), ("all finals'", row["all_finals"])):
        print(
            f"{what} test accuracy minus random's: {100 * found['difference']:+.1f} points "
            f"({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"
        )


if __name__ == "__main__":
    main()
