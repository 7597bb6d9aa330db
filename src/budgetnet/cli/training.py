"""The command landscape training: twins that differ in their activation, trained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from budgetnet.cli import show
from budgetnet.cli.landscape import check_folder
from budgetnet.cli.options import (
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    HERE,
    NETWORK,
    OUTPUT,
    TRAINING,
    WHOLE,
    AsJson,
    Augmenting,
    ByFolder,
    DeviceOption,
    OnCluster,
    read_list,
)
from budgetnet.cli.report import print_report
from budgetnet.cli.runs import Data, Fresh, base_of, resumable


def training(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    network: Annotated[
        str | None,
        Parameter(
            group=NETWORK,
            metavar="NAME",
            help="A zoo name, taken in the images' size, or a .json file; a small EfficientNet unless given.",
        ),
    ] = None,
    activations: Annotated[
        tuple[str, ...],
        Parameter(
            converter=read_list,
            consume_multiple=True,
            group=NETWORK,
            metavar="NAME",
            show_default="relu swish swish:trainable",
            help="As relu, swish, swish:0.5 (its beta), swish:trainable (beta is trained in every layer), gelu.",
        ),
    ] = ("relu", "swish", "swish:trainable"),
    seeds: Annotated[int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Trainings of each twin.")] = 5,
    steps: Annotated[int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Steps of each training.")] = 400,
    recipe: Annotated[str, Parameter(group=TRAINING, metavar="NAME", help="One for all: modern or paper.")] = "modern",
    probes: Annotated[
        int, WHOLE, Parameter(group=TRAINING, metavar="N", help="How often on the way the gradient is probed.")
    ] = 20,
    probe_images: Annotated[
        int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Training images that it is probed on.")
    ] = 128,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    device: DeviceOption = "auto",
    on: OnCluster = HERE,
    out: Annotated[
        Path,
        Parameter(
            group=OUTPUT,
            metavar="FOLDER",
            help="All goes into its folder training; a landscape.html beside that then links to it.",
        ),
    ] = Path("landscape"),
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> int:
    """Train one network with ReLU, with Swish and with a trained beta, and see what differs.

    Losses with their spread over seeds, paired differences, accuracy, dead units, how far the
    gradient can be trusted, and where each layer's beta goes. Twins of a seed have the same split,
    random numbers, batches and steps. docs/landscape.md says how to read it.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Example: budgetnet landscape training digits --activations relu swish --seeds 5 --steps 400
    """
    given, cluster = folders.data(data), on.value()
    check_folder(out)
    from budgetnet import activation_study
    from budgetnet.codec import to_plain
    from budgetnet.experiments.activations.report import report
    from budgetnet.experiments.activations.result import FORMAT

    with resumable() as shown:
        study = activation_study(
            given,
            network=None if network is None else base_of(network),
            activations=activations,
            seeds=seeds,
            steps=steps,
            recipe=recipe,
            augment=augmenting.value(),
            probes=probes,
            probe_images=probe_images,
            out=out,
            device=device,
            cluster=cluster,
            fresh=fresh,
            progress=shown,
        )
    if as_json:
        show.print_json({"files": study.files, "training": {"format": FORMAT, **to_plain(study)}})
    else:
        print_report(report(study.record, study))
    return 0
