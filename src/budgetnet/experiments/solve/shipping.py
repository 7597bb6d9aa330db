"""The winner of a solve in eight bits as the file that a device runs: written, read back, tested beside the model."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.budgets.budget import Budget
from budgetnet.codec import NonNegativeInt, PositiveFloat, require
from budgetnet.costs.network_cost import cost
from budgetnet.data import ImageSet, Pixels
from budgetnet.experiments.timing import TimeBudget, prediction_seconds
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.ship.eight_bits.ladder import CORRECTION_IMAGES
from budgetnet.ship.eight_bits.quantiles import QUANTILES
from budgetnet.ship.eight_bits.tuned import BATCH
from budgetnet.ship.exported import ExportedFile, NotGoodEnoughError
from budgetnet.ship.formats import ROWS
from budgetnet.ship.good_enough import faults_of, limits_of
from budgetnet.ship.judged import exported
from budgetnet.ship.subject import CALIBRATION_IMAGES, HELD_OUT_IMAGES, TUNING_STEPS, VALIDATION_IMAGES, Subject
from budgetnet.ship.target import Target
from budgetnet.training.job import Timing

FILE = ROWS["tflite"].names["int8"]
"""The file lies under this name in a run's folder."""
TUNING_SHARE = 0.05
"""Training in eight bits gets at most this share of the time of a solve."""
FILE_SHARE = 0.12
"""Before anything was timed, the file of a solve is thought to take this share of the time, beside `FILE_SECONDS`."""
TUNING_WORK = 2.5
"""An image of that training takes as long as this many of the training before it: the model is the teacher, and every
map and kernel of the pupil is rounded. Measured: 2.1 to 2.6."""
REFERENCE_RATE = 0.35
"""The kernels that say what is right answer this many times as many images a second as a training step has. Measured on
networks of 9 to 15 million multiply-adds: 0.35 to 0.5."""
FILE_SECONDS = 6.0
"""Writing the files, sorting what their maps held and timing the last takes about this long."""


@dataclass(frozen=True, slots=True)
class EightBits:
    """How the winner becomes a file in eight bits: at most so many steps of training in them, where rounding moves its
    answers too far, and the seconds that are left for all of it."""

    tuning_steps: NonNegativeInt
    seconds: PositiveFloat


@dataclass(frozen=True, slots=True)
class Shipped:
    """The file of a solve in eight bits, by its name in the run's folder, with its test.

    It was left in the folder only where it has no `faults`: these say which limit it breaks, or what it loses. `hint`
    says what helps, or nothing.
    """

    file: ExportedFile
    faults: tuple[str, ...]
    hint: str = ""

    def __post_init__(self) -> None:
        require(self.file.dtype == "int8", f"dtype is {self.file.dtype}, and the budget is in int8")
        require(self.faults == faults_of(self.file), "faults are not those that the figures of file have")


def check_installed() -> None:
    """Raise a one-line `ValueError` where the packages of the file are missing."""
    try:
        ROWS["tflite"].check_installed()
    except ValueError as error:
        raise ValueError(f"a budget in int8 is kept by a file in eight bits, which is tested: {error}") from error


def warn_of_files(networks: Sequence[Network], budget: Budget) -> None:
    """Warn where the file of none of these networks would keep the budget, for it counts less than the file takes."""
    if budget.runtime == "tflite_micro":
        return
    broken: set[str] = set()
    for network in networks:
        price = cost(network, dtype="int8", runtime="tflite_micro")
        rows = limits_of(network, budget, price.weight_bytes, price.peak_activation_bytes)
        names = {row.name for row in rows if row.left < 0}
        if not names:
            return
        broken |= names
    warnings.warn(
        f"no .tflite file of the networks that will race keeps {' and '.join(sorted(broken))}: the budget counts the "
        "least that any runtime takes; with --runtime tflite_micro networks are sized for their files",
        stacklevel=2,
    )


def eight_bits_for(images: ImageSet, timings: Sequence[Timing], time: TimeBudget) -> EightBits:
    """The steps that the time allows for, and the seconds that the slowest of the timed networks takes."""
    slowest = min(timing.single_process for timing in timings)
    step_seconds = BATCH * TUNING_WORK / slowest
    steps = int(min(TUNING_STEPS, TUNING_SHARE * time.seconds / step_seconds))
    validation, test = (len(images.indices(split)) for split in ("validation", "test"))
    files = 2 * len(QUANTILES) + 1  # rounded and corrected by each, and one that is trained on
    tried = CALIBRATION_IMAGES + 2 * len(QUANTILES) * CORRECTION_IMAGES + files * min(validation, VALIDATION_IMAGES)
    quick = max(prediction_seconds(tried, timing) for timing in timings)  # LiteRT is no slower
    judged = (test + min(validation, HELD_OUT_IMAGES)) / (REFERENCE_RATE * slowest)
    return EightBits(steps, FILE_SECONDS + steps * step_seconds + quick + judged)


def shipped(
    run: Path, budget: Budget, images: ImageSet, pixels: Pixels, eight_bits: EightBits, progress: Progress
) -> Shipped:
    """Write the file of the run's weights and test it once. One with faults is not left in the folder."""
    subject = Subject.of_run(run, budget, images, pixels, eight_bits.tuning_steps)
    try:
        found = Shipped(exported(subject, "tflite", "int8", Target(run / FILE, run / FILE), progress), ())
    except NotGoodEnoughError as error:
        found = Shipped(error.file, error.faults, error.hint.removeprefix("; "))
    return dataclasses.replace(found, file=dataclasses.replace(found.file, file=FILE))
