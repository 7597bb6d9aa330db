"""A candidate's score by a training of its own: from nothing, for the same few steps as all others.

The proxy task of MnasNet, which trained each candidate for five epochs where a final training had hundreds; here it
is as short as ranks at all. Nothing is shared between candidates, so that what a score says does not depend on how
long something else was trained. Source: Tan et al., MnasNet, arXiv:1807.11626, section 5.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from budgetnet.budgets.feasible_space import Options
from budgetnet.budgets.search_space import Architecture
from budgetnet.cluster.parcel import leg_errand
from budgetnet.cluster.where import Where
from budgetnet.data import ImageSet
from budgetnet.experiments.baseline.scorer import score_of
from budgetnet.experiments.baseline.search import Scores, Told
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.workers import Team
from budgetnet.training.answers import validation_answers
from budgetnet.training.leg import Leg, Place, run_leg, whole_leg
from budgetnet.training.trainer import Course

PHASE = "candidates"


@dataclass(frozen=True, slots=True)
class ByTraining:
    """Scores of short trainings; `course` is the base's, and every candidate's but for its network."""

    options: Options
    place: Place
    course: Course
    images: ImageSet

    @property
    def name(self) -> str:
        """How long each is trained."""
        return f"{self.course.steps} steps of training each"

    @property
    def apart(self) -> bool:
        """Each has weights of its own."""
        return True

    def prepare(self, team: Team, progress: Progress) -> None:
        """Nothing: each candidate begins from nothing."""

    def leg(self, architecture: Architecture) -> Leg:
        """A candidate's training."""
        network = self.options.network(architecture)
        course = dataclasses.replace(self.course, id=architecture.id, network=network)
        return whole_leg(course, self.place, f"{PHASE}/{architecture.id}", course.cooldown_steps)

    @contextlib.contextmanager
    def scores(self, where: Where, at_once: int, progress: Progress) -> Iterator[Scores]:
        """Trainings side by side; one that a killed search had finished is read, and none leaves its weights."""
        with where.workers(run_leg, leg_errand, self.place, at_once, progress) as workers:

            def scores(architectures: Sequence[Architecture], told: Told) -> None:
                rows = {row.id: row for row in architectures}

                def tell(leg: Leg) -> None:
                    told(rows[leg.course.id], score_of(validation_answers(leg, self.images)[0]))
                    shutil.rmtree(leg.folder)

                legs = [self.leg(row) for row in architectures]
                missing = [leg for leg in legs if not leg.scores.exists()]
                for leg in (leg for leg in legs if leg.scores.exists()):
                    tell(leg)
                workers.run(missing, lambda leg, _: tell(leg))

            yield scores
