"""Keeping a training's time: where the machine becomes slower, the steps that are left are planned again.

A training goes along its trunk and then down its cool-down. An amendment says from which step on both are shorter. It
is written to plan.json before it takes effect, so that a run that is taken up goes the same way to the same bits.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from budgetnet.runs.record import Amendment

RECENT_STEPS = 12
"""The median of this many steps says how long a step takes now."""
LATE_SHARE = 0.02
"""A training may be late by this share of the time that is left before it is planned again."""
LATE_SECONDS = 0.5
"""A training that is late by less than this does not count as late."""
LEAST_STEPS_SHARE = 0.05
"""A training that is late keeps at least this share of all its steps."""
LEAST_BETWEEN_SECONDS = 2.0
"""Two amendments of one training are at least this far apart, for a slow moment passes."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Where a training leaves its trunk and how long its cool-down is, as planned or as amended."""

    trunk_until: int
    cooldown_steps: int

    @property
    def last_step(self) -> int:
        """The step at which it ends."""
        return self.trunk_until + self.cooldown_steps

    def shortened(self, step: int, left: int) -> StepPlan:
        """The plan that ends `left` steps after `step`. On the trunk its cool-down keeps its share of the whole.

        At the start of the cool-down and within it the trunk is as it was, and the rate falls in fewer steps to 0.
        """
        if step >= self.trunk_until:
            return StepPlan(self.trunk_until, step - self.trunk_until + left)
        last = step + left
        cooldown = min(round(self.cooldown_steps * last / self.last_step), left)
        return StepPlan(last - cooldown, cooldown)


def steps_at(step: int, planned: StepPlan, amendments: Sequence[Amendment]) -> StepPlan:
    """What the step after `step` steps is taken by."""
    known = [row for row in amendments if row.step <= step]
    return StepPlan(known[-1].trunk_until, known[-1].cooldown_steps) if known else planned


class Pace:
    """How fast a training goes, and whether it will be done by its deadline (seconds, by `clock`).

    At least `least_steps` are left to it, however late it is: with none its end would be one without a cool-down.
    `finish_seconds` of work come before the deadline and behind the last step, where a step takes `step_seconds`; where
    steps take longer, so does that work.
    """

    def __init__(
        self,
        deadline: float,
        least_steps: int = 1,
        clock: Callable[[], float] = time.time,
        finish_seconds: float = 0.0,
        step_seconds: float = math.inf,
    ) -> None:
        self._deadline, self._least_steps, self._clock = deadline, least_steps, clock
        self._finish_seconds, self._step_seconds = finish_seconds, step_seconds
        self._durations: deque[float] = deque(maxlen=RECENT_STEPS)
        self._before = self._planned = clock()

    def steps_left(self, step: int, plan: StepPlan) -> int | None:
        """How many more steps there is time for behind this one; None where all that are planned can be taken."""
        now = self._clock()
        self._durations.append(now - self._before)
        self._before = now
        left = plan.last_step - step
        if left <= self._least_steps or len(self._durations) < min(RECENT_STEPS, 4):
            return None
        each = max(median(self._durations), 1e-9)
        time_left = self._deadline - now - self._finish_seconds * max(1.0, each / self._step_seconds)
        late = left * each - time_left
        if late <= max(LATE_SECONDS, LATE_SHARE * max(time_left, 0.0)) or now - self._planned < LEAST_BETWEEN_SECONDS:
            return None
        self._planned = now
        return max(self._least_steps, min(left - 1, math.floor(time_left / each)))
