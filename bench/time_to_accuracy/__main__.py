"""Accuracy against wall clock and against multiply-adds: our trainings and a plain rival's.

    python -m bench.time_to_accuracy ../shared/data/trashnet112:lite0:25M ../shared/data/cifar10:none:8M \\
        --seconds 60 240 900 --seeds 0 1 2 --out FOLDER

Each task is DATA:WEIGHTS:MACS. A training of a time ends its schedule in that time: the accuracy "at 1, 4 and 15
minutes" is that of three trainings, not of three moments of one. Arms are `ours` (this tree's `train` on a network that
is fitted to the multiply-adds, or with `--ours solve` all of `solve`), `--tree NAME=PATH` (another checkout of ours, on
the same network) and `rival` (rival.py). Cells are interleaved: seed by seed, task by task, time by time, all arms one
after another, the first of them another one each seed. FOLDER/cells.json gets each as it is done; the same command goes
on where it was stopped, and with `--report` only prints what is there. Accuracy is that of the validation images, which
no arm is given to learn or to choose from; `--judge test` is for the last word. Other settings of the rival are arms of
their own (`--rival 'slow={"way": {"rate": 5e-4}, "threads": 1, "workers": 1}'`): so its own were chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.time_to_accuracy.arms import HERE, Asked, run
from bench.time_to_accuracy.cells import Cell, Cells, Task
from bench.time_to_accuracy.judged import JUDGES
from bench.time_to_accuracy.report import draw, lines
from budgetnet.networks.scaling import FIT_STRATEGIES


def order(tasks: Sequence[Task], arms: Sequence[str], seconds: Sequence[float], seeds: Sequence[int]) -> Iterator[Cell]:
    """All cells, so that what changes on the machine strikes all arms alike."""
    for place, seed in enumerate(seeds):
        turned = [*arms[place % len(arms) :], *arms[: place % len(arms)]]
        for task in tasks:
            for time in seconds:
                yield from (Cell(task, arm, time, seed) for arm in turned)


def named(words: Sequence[str]) -> list[tuple[str, str]]:
    """(name, value) of each NAME=VALUE."""
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def main() -> None:
    """Run what is missing and print what is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", type=Task.of, metavar="DATA:WEIGHTS:MACS")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 240.0, 900.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=["ours", "rival"], help="of ours, rival and the trees' names")
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--ours", choices=("train", "solve"), default="train")
    parser.add_argument(
        "--strategy", choices=FIT_STRATEGIES, default="compound", help="by which `train` has its network"
    )
    parser.add_argument("--judge", choices=JUDGES, default="validation")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    given = parser.parse_args()
    trees = {"ours": HERE, **{name: Path(path).resolve() for name, path in named(given.tree)}}
    rivals = {"rival": {}, **{name: json.loads(text) for name, text in named(given.rival)}}
    arms = list(dict.fromkeys([*given.arms, *(name for name, _ in named([*given.tree, *given.rival]))]))
    if unknown := [arm for arm in arms if arm not in trees and arm not in rivals]:
        parser.error(f"{unknown[0]} is no arm; give ours, rival, --tree {unknown[0]}=PATH or --rival {unknown[0]}=JSON")
    asked = Asked(given.judge, given.ours, given.strategy, trees, rivals, given.out.resolve())
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        cells = Cells(given.judge, given.ours, given.strategy).read(given.out)
    except ValueError as error:
        parser.error(str(error))
    known = {done.cell for done in cells.done}
    missing = [cell for cell in order(given.tasks, arms, given.seconds, given.seeds) if cell not in known]
    for cell in [] if given.report else missing:
        done = run(cell, asked)
        cells = cells.with_one(done, given.out)
        told = (
            done.error
            if done.found is None
            else f"{100 * done.found.accuracy:.1f} % in {done.found.took_seconds:.1f} s"
        )
        print(f"{cell.name}: {told}; {done.processor_seconds:.0f} processor seconds", flush=True)
    print("\n".join(lines(cells)))
    if given.plot is not None:
        draw(cells, given.plot)


if __name__ == "__main__":
    main()
