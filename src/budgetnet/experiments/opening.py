"""How a search is taken up: what there is of its run, before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.cluster.ray_cluster import Cluster, reach
from budgetnet.data import Data, ImageSet, open_images
from budgetnet.parallel.progress import Progress
from budgetnet.training.plan import load_plan, same_arguments, same_data, same_values


@dataclass(frozen=True, slots=True)
class Opened:
    """A run's plan, None where one is still to be made; its images; whether its result is written."""

    plan: dict[str, Any] | None
    images: ImageSet
    finished: bool


def opened_run(
    run: Path,
    command: str,
    result: str,
    asked: Mapping[str, Any],
    data: Data,
    fresh: bool,
    cluster: Cluster | None,
    progress: Progress | None,
) -> Opened:
    """What there is of a run of this command; where its file `result` is, it is finished.

    A cluster is knocked at before the images are read, which may take minutes; a finished run needs none. Raises a
    one-line `ValueError` for a run of another command, other arguments or other images, and as `reach`.
    """
    plan = load_plan(run, command, fresh)
    finished = plan is not None and (run / result).exists()
    if cluster is not None and not finished:
        reach(cluster)
    images = open_images(data, asked["seed"], progress)
    if plan is not None:
        same_arguments(plan, asked, run)
        same_data(plan["data"]["fingerprint"], images, run)
        if not finished:
            same_values(plan, images, run)
    return Opened(plan, images, finished)
