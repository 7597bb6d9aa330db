"""Arms as processes of their own: one a cell, each with its own import path, its time counted from its start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.time_to_accuracy.cells import Cell, Done, Found
from bench.time_to_accuracy.judged import folders_of
from budgetnet import Budget, Network, fit, open_images
from budgetnet.codec import from_plain
from budgetnet.experiments.bases import adapted_bases
from budgetnet.networks.scaling import FitStrategy
from budgetnet.training.pretrained import base_of

HERE = Path(__file__).resolve().parents[2]
"""This tree."""
FROM_NOTHING = "mobilenet_v2"
"""The base of our `train` without weights is the rival's family, so that the training is what differs."""
LATE_SECONDS = 600.0
"""A process that is later than its time by this is ended."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What all cells share: who judges, what ours is (`train` or `solve`) and how its network is found; the trees of
    our arms, and the settings of the rival's, by their names."""

    judge: str
    ours: str
    strategy: FitStrategy
    trees: Mapping[str, Path]
    rivals: Mapping[str, Mapping[str, Any]]
    out: Path


def network_of(cell: Cell, strategy: FitStrategy) -> Network:
    """The network that all our trees train: a base at the images' size, with as many strides dropped as `solve` would
    at most, fitted to the multiply-adds."""
    images, task = open_images(cell.task.data, cell.seed), cell.task
    inherited = task.weights != "none"
    base = base_of(task.weights) if inherited else FROM_NOTHING
    *_, (_, _, adapted) = adapted_bases(images, [base], inherited)
    return fit(adapted, Budget(macs=task.macs), strategy).network


def run(cell: Cell, asked: Asked) -> Done:
    """Train one cell; its folder is gone when it is done."""
    folder = asked.out / "work" / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data, found = folders_of(cell.task.data, cell.seed, asked.judge, asked.out), folder / "found.json"
    words: dict[str, Any] = {
        "train": list(data.train),
        "judges": list(data.test),
        "weights": cell.task.weights,
        "macs": cell.task.macs,
        "seconds": cell.seconds,
        "seed": cell.seed,
        "ours": asked.ours,
        "folder": str(folder),
        "found": str(found),
    }
    if cell.arm in asked.rivals:
        tree, words = HERE, {**words, **asked.rivals[cell.arm]}
    else:
        tree = asked.trees[cell.arm]
        network = network_of(cell, asked.strategy) if asked.ours == "train" else None
        words |= {"tree": str(tree), "network": None if network is None else json.loads(network.to_json())}
    module = f"bench.time_to_accuracy.{'rival' if cell.arm in asked.rivals else 'ours'}"
    before = _processor_seconds()
    words["began"] = time.time()
    process = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(words),
        text=True,
        capture_output=True,
        # Images are decoded anew for each cell, as they are where a user begins.
        env={**os.environ, "PYTHONPATH": import_path(tree), "XDG_CACHE_HOME": str(folder / "cache")},
        cwd=HERE,
        timeout=cell.seconds + LATE_SECONDS,
        check=False,
    )
    spent = _processor_seconds() - before
    if process.returncode or not found.exists():
        lines = process.stderr.strip().splitlines() or ["it ended without a word"]
        return Done(cell, None, lines[-1][:500], spent)
    row = from_plain(Found, json.loads(found.read_text(encoding="utf-8")), str(found))
    shutil.rmtree(folder)
    return Done(cell, row, None, spent)


def import_path(tree: Path) -> str:
    """The tree's package first, then this bench, then what else was given, but no other tree's package."""
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    others = [path for path in given if not (Path(path) / "budgetnet").is_dir()]
    return os.pathsep.join([str(tree / "src"), str(HERE), *others])


def _processor_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system
