"""A final training: by all processes of a group together, and only where it learned something an answer."""

from __future__ import annotations

import numpy as np

from budgetnet.data import ImageSet
from budgetnet.parallel.progress import Progress
from budgetnet.parallel.ranks import group_here, together
from budgetnet.parallel.workers import ProcessGroup
from budgetnet.training.chance import AgainstChance, against_chance
from budgetnet.training.job import TrainingJob, run_job
from budgetnet.training.outcome import check_trained
from budgetnet.training.predictions import read_validation_predictions


def train_data_parallel(job: TrainingJob, group: ProcessGroup, progress: Progress) -> bool:
    """The job, by all of the process group, unless it is done; False where the training diverged."""
    device = job.context.device
    if not job.scores.exists() and not job.diverged.exists():
        with together(run_job, group_here(group, device, job.config.batch), device, progress) as processes:
            processes.run([job])
    return job.scores.exists()


def check_learned(job: TrainingJob, images: ImageSet) -> None:
    """Raise a one-line `ValueError` unless the job's answers to the validation images beat the class frequencies."""
    check_trained(job)
    epochs = job.epochs(len(images.indices("train")))
    chance_of(job, images).check(job.config.network.name, epochs)


def chance_of(job: TrainingJob, images: ImageSet) -> AgainstChance:
    """The job's answers to the validation images, against the class frequencies."""
    answers, indices = read_validation_predictions(job, images)
    return against_chance(answers.losses, np.asarray(images.labels)[indices], images)
