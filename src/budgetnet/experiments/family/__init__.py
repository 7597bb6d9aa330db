"""The whole chain of the paper: a baseline for a budget, coefficients on it, and the family that they give."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.arguments import run_arguments
from budgetnet.budgets.budget import Budget
from budgetnet.budgets.feasible_space import options_of
from budgetnet.budgets.search_space import Space
from budgetnet.cluster.executor import executor_on
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.data import Data, Folders, ImageSet, data_of, open_cache, tell_images
from budgetnet.experiments.baseline import BASE_NAME, Baseline, search_baseline, space_for
from budgetnet.experiments.baseline.request import SearchRequest, search_request
from budgetnet.experiments.baseline.scorer import ScorerName
from budgetnet.experiments.baseline.search import EXPONENT
from budgetnet.experiments.baseline.study import check_storage
from budgetnet.experiments.baseline.work import Studied
from budgetnet.experiments.coefficients import search_coefficients
from budgetnet.experiments.coefficients.entrants import base_of, space_of
from budgetnet.experiments.coefficients.result import CoefficientSearch
from budgetnet.experiments.family.family import family_of, job_for, train_family
from budgetnet.experiments.family.members import members_of
from budgetnet.experiments.family.plan import SHARES, shared
from budgetnet.experiments.family.result import FILE, Family, Part
from budgetnet.experiments.opening import opened_run
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.runs.run import read_json, write_json
from budgetnet.training.augmenting import Augment, Everything, augmentation_for, chosen_of, settled
from budgetnet.training.plan import (
    TooShort,
    clear_run,
    data_row,
    machine_row,
    run_folder,
    run_lock,
    save_plan,
)
from budgetnet.training.recipe import Recipe

COMMAND = "search family"
BASELINE = "baseline"
"""The folder of the first part."""
GROWTH = 2.0
"""What a step of phi multiplies the cost by, as in the paper."""
TOLERANCES = (0.05, 0.1, 0.2, 0.4)
"""Of the networks that race for coefficients: the first that leaves at least two of the winner's."""


def search_family(
    data: str | Path | Folders,
    budget: Budget,
    time_seconds: float = 10800.0,
    space: Space | None = None,
    base: str | Network = BASE_NAME,
    scorer: ScorerName = "training",
    exponent: float = EXPONENT,
    seed: int = 0,
    recipe: str | Recipe = "modern",
    out: Path | str | None = None,
    device: str = "cpu",
    precision: str = "float32",
    fresh: bool = False,
    progress: Progress | None = None,
    cluster: Cluster | None = None,
    storage: str | None = None,
    augment: Augment | Everything = "auto",
) -> Family:
    """A family of networks from a budget and images: the paper's two searches, and what they lead to, in one call.

    ====================  ==============================================================  =================
    part                  what it does                                                    share of the time
    ====================  ==============================================================  =================
    baseline              `search_baseline` within the budget                             1/2
    coefficients          `search_coefficients` on its winner, S0                         1/4
    family                S0 scaled by phi = 1, 2, 3 with them, all trained alike         1/4
    ====================  ==============================================================  =================

    All parts have one split of the images, so that the family's test images were seen by no choice.
    docs/search-family.md has the method.

    The same call continues where a stopped one was; a finished run is read and not made again, unless `fresh` is given.

    Source: Tan & Le, EfficientNet, arXiv:1905.11946, section 4; Tan et al., MnasNet, arXiv:1807.11626.

    Args:
        data: The images, as `open_images` takes them.
        budget: The limits of S0.
        time_seconds: For all three parts: a number of seconds, or text such as "3h".
        space: See `search_baseline`.
        base: See `search_baseline`.
        scorer: See `search_baseline`.
        exponent: See `search_baseline`.
        seed: The split, the searches, the weights and the augmentation are functions of it.
        recipe: "modern", "paper" or a `Recipe`.
        out: The run's folder; unless given, one under runs/ that is named after the data and the arguments.
        device: "cpu", "cuda" or "mps".
        precision: "float32", "bfloat16" or "float16".
        fresh: Whether a run in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        cluster: The Ray cluster that trainings run on; unless given, this machine.
        storage: See `search_baseline`.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".

    Returns:
        The coefficients, S0 to S3 with their accuracies, and where the run and its report lie.

    Raises:
        BudgetError: No network keeps the budget.
        ValueError: An argument or the images are wrong, the time is too short for three parts, or the folder was begun
            with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> found = budgetnet.search_family("digits", budgetnet.Budget(macs="0.5M"), time_seconds="10m", out="run")
        >>> [member.name for member in found.members]
        ['S0', 'S1', 'S2', 'S3']
    """
    began = time.monotonic()
    data = data_of(data)
    out, seed, fresh, progress = run_arguments(out, seed, fresh, progress)
    request = search_request(
        budget,
        time_seconds,
        space,
        base,
        scorer,
        exponent,
        seed,
        recipe,
        device,
        precision,
        cluster,
        storage,
        augment,
    )
    asked = request.to_dict()
    run = run_folder(out, data, {"command": COMMAND, **asked})
    with run_lock(run):
        opened = opened_run(run, COMMAND, FILE, asked, data, fresh, cluster, progress)
        if opened.finished:
            return _shown(run)
        plan, images = opened.plan, opened.images
        if plan is None:
            stand_in = _stand_in(images, budget, request.space, request.base)
            networks = [row for _, _, row in stand_in]
            if request.storage is not None:
                check_storage(request.storage)
            with executor_on(cluster, device) as executor:
                tell_images(images, progress)
                most = budget.train_bytes
                job = job_for(
                    networks, images, data, request.recipe, seed, run, executor, precision, progress, most_bytes=most
                )
                pixels = open_cache(images, job.context.side_px, progress=progress)
                drawn = augmentation_for(None, request.augment, request.recipe, images, pixels, seed, progress)
                steps = shared(job, stand_in, began, request.time_seconds, progress)
            if fresh:
                clear_run(run)
                if request.storage is not None:  # else it went with the folder
                    Studied.of(run / BASELINE, request.storage).forget()
            row = {"command": COMMAND, "data": data_row(data, images), **asked, "machine": machine_row()}
            plan = save_plan(run, {**row, "augmentation": [one.to_dict() for one in drawn], **steps})
        return _Chain(run, plan, _Asked(data, request, device, cluster), images, progress or silent).finish()


def _stand_in(
    images: ImageSet, budget: Budget, space: Space | None, base: str | Network
) -> tuple[tuple[str, int, Network], ...]:
    """The family of the space's base by the paper's coefficients, for the times that only a winner's would tell.

    Raises as `search_baseline` does where nothing keeps the budget.
    """
    usual = (space or space_for(images, budget, base)).with_data(len(images.classes), images.in_channels)
    options_of(usual, budget)
    return members_of(usual.base, PAPER)


def _shown(run: Path) -> Family:
    """The family that a finished run's files hold, and its page."""
    from budgetnet.experiments.family.page import write_page

    found = Family.from_file(read_json(run / FILE), run, run / "report.html")
    write_page(run)
    return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the parts are asked for, as the whole was, and where they compute."""

    data: Data
    request: SearchRequest
    device: str = "cpu"
    cluster: Cluster | None = None


@dataclass(frozen=True, slots=True)
class _Chain:
    """A planned chain: every part goes on where it was, and a finished one is read."""

    run: Path
    plan: Mapping[str, Any]
    asked: _Asked
    images: ImageSet
    progress: Progress

    def finish(self) -> Family:
        """The family, from wherever an earlier start was stopped."""
        baseline = self._baseline()
        found = self._coefficients(baseline.network)
        asked = self.asked
        with self._part("family") as progress, executor_on(asked.cluster, asked.device) as executor:
            training = train_family(
                self.run / "family",
                baseline.network,
                found.coefficients,
                self.images,
                self.plan,
                asked.data,
                executor,
                progress,
            )
            family = family_of(
                training, self.run, found.coefficients, asked.request.budget, self._parts(baseline, found)
            )
        write_json(self.run / FILE, family.to_file())
        return _shown(self.run)

    @contextlib.contextmanager
    def _part(self, name: str) -> Iterator[Progress]:
        """Progress that says which part it is of; a time too short for the part is one too short for the whole.

        What the data is was said for the whole.
        """
        number = 1 + list(SHARES).index(name)

        def tell(update: Update) -> None:
            self.progress(dataclasses.replace(update, phase=f"{number} of {len(SHARES)}, {update.phase}", lines=()))

        try:
            yield tell
        except TooShort as error:
            whole, mine = self.plan["time_seconds"], self.plan["seconds"][name]
            least = error.least_seconds / SHARES[name] + whole - mine / SHARES[name]
            kept = "" if number == 1 else f"; what was found by then lies in {self.run}"
            raise TooShort(whole, f"for three parts: {name} has {mine} s of them", least, kept) from error

    def _baseline(self) -> Baseline:
        folder = self.run / BASELINE
        try:
            with self._part("baseline") as progress:
                return search_baseline(
                    self.asked.data,
                    self.asked.request.budget,
                    time_seconds=self.plan["seconds"]["baseline"],
                    space=self.asked.request.space,
                    base=self.asked.request.base,
                    scorer=self.asked.request.scorer,
                    exponent=self.asked.request.exponent,
                    out=folder,
                    storage=self.asked.request.storage,
                    **self._shared(progress),
                )
        except ValueError:
            if not (folder / "plan.json").exists():
                (self.run / "plan.json").unlink()  # nothing came of it, and bad input leaves no folder
            raise

    def _coefficients(self, winner: Network) -> CoefficientSearch:
        with self._part("coefficients") as progress:
            return search_coefficients(
                self.asked.data,
                base=winner,
                growth=GROWTH,
                tolerance=tolerance_for(self.images, winner),
                candidates=self.plan["candidates"],
                seeds=self.plan["coefficient_seeds"],
                time_seconds=self.plan["seconds"]["coefficients"],
                out=self.run / "coefficients",
                train_bytes=self.asked.request.budget.train_bytes,
                **self._shared(progress),
            )

    def _shared(self, progress: Progress) -> dict[str, Any]:
        """What both searches are told alike."""
        return {
            "seed": self.plan["seed"],
            "recipe": self.asked.request.recipe,
            "augment": settled(chosen_of(self.plan["augmentation"])),
            "device": self.asked.device,
            "precision": self.plan["precision"],
            "progress": progress,
            "cluster": self.asked.cluster,
        }

    def _parts(self, baseline: Baseline, found: CoefficientSearch) -> list[Part]:
        rows = (("baseline", baseline.statement[:2]), ("coefficients", found.statement[:2]))
        return [Part(name, f"{name}/report.html", tuple(said)) for name, said in rows]


def tolerance_for(images: ImageSet, winner: Network) -> float:
    """How far from twice the winner's multiply-adds a network may be, so that there is more than one to choose from.

    The first of 5, 10, 20 and 40 % that leaves two; the last also where none does, and the search says so.
    """
    base = base_of(images, winner)
    for tolerance in TOLERANCES:
        with contextlib.suppress(ValueError):  # no network is as near
            if len(space_of(images, base, GROWTH, tolerance, "macs").candidates) > 1:
                return tolerance
    return TOLERANCES[-1]
