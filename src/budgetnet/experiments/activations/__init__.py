"""One network with one activation after another, trained alike, to see what the activation does to training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from budgetnet.arguments import integer, path, run_arguments, several
from budgetnet.cluster.executor import Executor
from budgetnet.cluster.ray_cluster import Cluster
from budgetnet.codec import from_record
from budgetnet.data import Folders, data_of
from budgetnet.experiments.activations.networks import ACTIVATIONS, activations_of
from budgetnet.experiments.activations.plan import StudyPlan, StudyRecord
from budgetnet.experiments.activations.plan import propose as propose_study
from budgetnet.experiments.activations.report import report as report_of
from budgetnet.experiments.activations.request import StudyRequest
from budgetnet.experiments.activations.result import FORMAT, Study, check_planned
from budgetnet.experiments.activations.run import run as run_study
from budgetnet.experiments.bases import given_base
from budgetnet.experiments.compute import Compute
from budgetnet.experiments.experiment import Context, perform, report_path
from budgetnet.experiments.report import Report
from budgetnet.inspect.landscape.functions import given_activation
from budgetnet.inspect.landscape.page import STUDY, link_study
from budgetnet.networks import Activation, Network
from budgetnet.parallel.progress import Progress
from budgetnet.training.augmenting import Augment, Everything, augment_of
from budgetnet.training.recipe import Recipe, recipe_of
from budgetnet.training.stopwatch import MACHINE, Clock

__all__ = ["ACTIVATIONS", "Study", "activation_study"]


@dataclass(frozen=True, slots=True)
class ActivationStudy:
    """The experiment of `activation_study`."""

    name = "landscape training"
    file = "training.json"
    format = FORMAT
    types = (StudyRequest, StudyPlan)

    def split_seeds(self, request: StudyRequest) -> Sequence[int]:
        """Each seed has a split of its own."""
        return range(request.seeds)

    def propose(self, request: StudyRequest, context: Context) -> StudyPlan:
        """Equal steps for every training."""
        return propose_study(request, context)

    def run(self, record: StudyRecord, context: Context) -> Study:
        """Trains, probes, compares."""
        return run_study(record, context)

    def read(self, row: object, record: StudyRecord, run: Path) -> Study:
        """training.json."""
        where = f"training.json in {run}"
        found = from_record(Study, row, FORMAT, where, run=run, report=report_path(run), record=record)
        check_planned(found)
        return found

    def report(self, record: StudyRecord, result: Study) -> Report:
        """Pictures, tables, findings."""
        return report_of(record, result)


ACTIVATION_STUDY = ActivationStudy()


def activation_study(
    data: str | Path | Folders,
    network: str | Network | None = None,
    activations: Sequence[str | Activation] = ACTIVATIONS,
    seeds: int = 5,
    steps: int = 400,
    recipe: str | Recipe = "modern",
    probes: int = 20,
    probe_images: int = 128,
    out: Path | str = "landscape",
    device: str = "auto",
    fresh: bool = False,
    progress: Progress | None = None,
    augment: Augment | Everything = "auto",
    cluster: Cluster | Executor | None = None,
    clock: Clock = MACHINE,
) -> Study:
    """One network with each of several activation functions, trained alike for equal steps, several times each.

    Seed s splits the images and draws weights, batches and augmentation, so that the twins of a seed differ in the
    activation alone. On the way the loss and the gradient are taken along the gradient. All of it goes into the
    folder `training` of `out`: the page, pictures, numbers and trainings. A landscape.html in `out` then links to the
    page. docs/landscape.md says how to read them. The same call continues where a stopped one was, and draws a finished
    study again.

    Source: Santurkar et al., arXiv:1805.11604, section 3.1 and figure 4.

    Args:
        data: The images, as `open_images` takes them.
        network: The network, or its name, which is then taken in the images' size; unless given, a small EfficientNet.
        activations: Names such as "relu", "swish", "swish:0.5" (a beta) or "swish:trainable" (a beta for each layer to
            train), or activations. Gates of squeeze-and-excitation keep theirs.
        seeds: How many times each twin is trained.
        steps: Steps of each training.
        recipe: "modern", "paper" or a `Recipe`.
        probes: How many times on the way the loss is looked at along the gradient.
        probe_images: On how many training images.
        out: The folder; the study is in its folder `training`.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        fresh: Whether what is in the folder is removed and made again.
        progress: Called with an `Update` as the work goes on.
        augment: Which kinds of augmentation are drawn: an `Augment`, "auto" (those that change no class) or "none".
        cluster: A Ray cluster or another executor on which trainings run; this machine's processes unless given.
        clock: Where seconds come from: this machine, or another in a simulation.

    Returns:
        The twins, their differences, what they show in words, and the files.

    Raises:
        ValueError: An activation is unknown, a count is below 1, the network has no activation, or the folder was
            begun with other arguments.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> pair = ["relu", "swish"]
        >>> found = budgetnet.activation_study("digits", activations=pair, seeds=1, steps=8, probes=1, out="twins")
        >>> len(found.twins)
        2
    """
    given = data_of(data)
    _, _, fresh, progress = run_arguments(None, 0, fresh, progress)
    folder = Path(path("out", out))
    request = StudyRequest(
        network=None if network is None else given_base("network", network),
        activations=activations_of(
            several("activations", activations, given_activation, (str, Activation), empty=True)
        ),
        seeds=integer("seeds", seeds),
        steps=integer("steps", steps),
        recipe=recipe_of(recipe),
        probes=integer("probes", probes),
        probe_images=integer("probe_images", probe_images),
        augment=augment_of(augment),
    )
    compute = Compute(device, cluster=cluster).checked()
    study = perform(ACTIVATION_STUDY, request, given, compute, folder / STUDY, fresh, progress=progress, clock=clock)
    link_study(folder)
    return study
