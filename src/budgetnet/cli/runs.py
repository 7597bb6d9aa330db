"""Commands about runs: solve, train, evaluate, predict. Torch is imported when they start to work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from budgetnet.cli import process, results, show
from budgetnet.cli.options import (
    AS_PUBLISHED,
    AS_THE_IMAGES_ALLOW,
    BY_DATA,
    COMPUTING,
    HERE,
    NETWORK,
    NO_LIMITS,
    OUTPUT,
    REAL,
    TIME,
    TRAINING,
    WHOLE,
    AsJson,
    Augmenting,
    ByFolder,
    CoefficientsOption,
    DeviceOption,
    Limits,
    MaxError,
    OnCluster,
    Shape,
    open_network,
    read_list,
)
from budgetnet.cli.progress import progress
from budgetnet.cli.report import print_report
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, FitStrategy

if TYPE_CHECKING:
    from budgetnet.parallel.progress import Progress
    from budgetnet.training.predict import Prediction, Unreadable

Data = Annotated[
    str | None,
    Parameter(show_default=False, help="A folder with a folder of images for each class, or digits (comes with it)."),
]
RunFolder = Annotated[
    str,
    Parameter(
        help="A run or its weights; or lite0, hf-hub:timm/NAME, a .pth, .keras, .tflite, checkpoint (docs/weights.md)."
    ),
]
Answering = Annotated[
    str,
    Parameter(
        help="A run, its weights or a file that export wrote; or lite0, hf-hub:timm/NAME, a .pth, .keras or checkpoint "
        "(docs/weights.md)."
    ),
]
NewRun = Annotated[
    Path | None,
    Parameter(group=OUTPUT, metavar="RUN", help="The run's folder; else one under runs/ that the arguments name."),
]
Fresh = Annotated[bool, Parameter(group=OUTPUT, help="Start from the beginning, also where the run's folder exists.")]
Seed = Annotated[
    int, WHOLE, Parameter(group=TRAINING, metavar="N", help="Draws the split, the weights and the augmentation.")
]
RecipeOption = Annotated[
    str | None,
    Parameter(group=TRAINING, metavar="NAME", help="modern or paper; from pretrained weights finetune unless given."),
]
Pretrained = Annotated[
    str,
    Parameter(
        group=NETWORK,
        metavar="auto|none|SOURCE",
        help="Inherit from a relative of any size: lite0, hf-hub:..., a run, a file; auto: the nearest that is "
        "installed, cached or in the folder BUDGETNET_WEIGHTS.",
    ),
]
NetworkOfWeights = Annotated[
    str | None,
    Parameter(
        group=NETWORK,
        metavar="NAME",
        help="The network of another library's weights that no zoo network fits: a zoo name or .json file.",
    ),
]
ClassNames = Annotated[
    str | None,
    Parameter(
        group=NETWORK,
        metavar="FILE|A,B,...",
        help="Classes of weights that do not name them, in the order of the answers: a name a line, or a .json.",
    ),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Parameter(
        group=COMPUTING, help="Numbers that training computes in; auto: bfloat16 on GPUs that have it, else float32."
    ),
]
ImageFiles = Annotated[str, Parameter(required=True, help="Files, folders or globs.")]
"""A star argument, whose values may stand on both sides of options."""
BatchOption = Annotated[int, WHOLE, Parameter(group=COMPUTING, metavar="N", help="Images at once.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Made:
    """Options of every command that makes a run: by which seed, on what, where."""

    precision: Precision = "auto"
    seed: Seed = 0
    device: DeviceOption = "auto"
    out: NewRun = None
    fresh: Fresh = False

    def values(self) -> dict[str, Any]:
        """The arguments of the function behind the command."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | process.clock()


AS_USUAL = Made()


@contextlib.contextmanager
def resumable() -> Iterator[Progress]:
    """Progress of work that the same command takes up again; an interruption says so."""
    try:
        with progress() as shown:
            yield shown
    except KeyboardInterrupt as interruption:
        raise KeyboardInterrupt("interrupted; the same command goes on where this one was") from interruption


def solve(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    limits: Limits = NO_LIMITS,
    time: Annotated[float, TIME, Parameter(group=TRAINING, show_default="15m", help="For everything, as 15m.")] = 900.0,
    base: Annotated[
        tuple[str, ...] | None,
        Parameter(
            converter=read_list,
            consume_multiple=True,
            group=NETWORK,
            metavar="NAME",
            help="Bases to scale from: zoo names or .json files.",
        ),
    ] = None,
    strategy: Annotated[
        tuple[FitStrategy, ...] | None,
        Parameter(
            consume_multiple=True,
            group=NETWORK,
            help="Strategies to scale by; unless given all of one dial, with several limits joint and, from 5 "
            "minutes on, staged, too.",
        ),
    ] = None,
    coefficients: CoefficientsOption = PAPER,
    pretrained: Pretrained = "none",
    recipe: RecipeOption = None,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    made: Made = AS_USUAL,
    on: OnCluster = HERE,
    dry_run: Annotated[
        bool, Parameter(group=OUTPUT, negative=(), help="Say what would race and for how long, and train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Find, train and test the most accurate network within a budget.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Under torchrun or accelerate launch the final training is by all of their processes (docs/train.md).

    Example: budgetnet solve photos/ --macs 60M --params 3M --time 15m
    Example: budgetnet solve photos/ --target arduino_nano_33_ble --strategy joint width --dry-run
    """
    images, budget, cluster = folders.data(data), limits.budget(), on.value()
    from budgetnet import preview
    from budgetnet import solve as solve_now

    arguments: dict[str, Any] = {
        "time_seconds": time,
        "recipe": recipe,
        "augment": augmenting.value(),
        "bases": None if base is None else [base_of(name) for name in base],
        "strategies": strategy,
        "pretrained": pretrained,
        "coefficients": coefficients,
        "cluster": cluster,
        **made.values(),
    }
    if dry_run:
        with progress() as shown:
            planned = preview(
                images,
                budget,
                progress=shown,
                **{name: arguments[name] for name in arguments if name not in ("out", "fresh")},
            )
        show.print_json(planned) if as_json else print_report(planned.report)
        return 0
    with resumable() as shown:
        solution = solve_now(images, budget, progress=shown, **arguments)
    show.print_json(solution) if as_json else results.print_solution(solution)
    return 0


def base_of(name: str) -> str | Network:
    """A zoo name as it is, so that the run is named after it; else the network of a file."""
    from budgetnet.networks import zoo

    return name if name in zoo.names() else open_network(name)


def train(
    data: Data = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    network: Annotated[
        str | None,
        Parameter(group=NETWORK, metavar="NAME", help="A name of the zoo, a .json file or a run's folder."),
    ] = None,
    weights: Annotated[
        str | None,
        Parameter(
            group=NETWORK,
            metavar="SOURCE",
            help="Weights that fit: a run, lite0, hf-hub:..., a .pth, .keras, .tflite or checkpoint (docs/weights.md).",
        ),
    ] = None,
    pretrained: Pretrained = "none",
    limits: Limits = NO_LIMITS,
    shape: Shape = AS_PUBLISHED,
    epochs: Annotated[
        float | None, REAL, Parameter(group=TRAINING, metavar="N", help="Times through the training images.")
    ] = None,
    time: Annotated[
        float | None, TIME, Parameter(group=TRAINING, help="For everything, as 15m, instead of epochs.")
    ] = None,
    recipe: RecipeOption = None,
    augmenting: Augmenting = AS_THE_IMAGES_ALLOW,
    made: Made = AS_USUAL,
    on: OnCluster = HERE,
    as_json: AsJson = False,
) -> int:
    """Train one network on labelled images, and test it.

    Killed anywhere, the same command goes on where it was; once finished, it shows the result again.

    Under torchrun or accelerate launch all of their processes train, on one machine or several (docs/train.md).

    With --weights from pretrained ones that fit, with --pretrained from a relative's of any size; the network is
    theirs unless one is named.

    Example: budgetnet train photos/ --network mobilenet_v3_small --resolution 112 --epochs 20
    """
    images, cluster = folders.data(data), on.value()
    shape.check()
    budget = limits.budget() if limits.any_limit() else None
    limits.check()
    if (epochs is None) == (time is None):
        raise ValueError("give either --epochs N or --time 15m")
    if network is None and weights is None and pretrained in ("none", "auto"):
        raise ValueError("give --network NAME, --weights SOURCE or --pretrained SOURCE")
    from budgetnet import train as train_now
    from budgetnet.experiments.train import network_to_train

    value = shape.apply(network_to_train(open_network(network) if network else None, weights, pretrained))

    with resumable() as shown:
        trained = train_now(
            images,
            value,
            epochs=epochs,
            time_seconds=time,
            recipe=recipe,
            augment=augmenting.value(),
            budget=budget,
            progress=shown,
            weights=weights,
            pretrained=pretrained,
            classes=shape.classes,
            cluster=cluster,
            **made.values(),
        )
    show.print_json(trained) if as_json else results.print_trained(trained)
    return 0


def evaluate(
    run: Answering,
    data: Annotated[str | None, Parameter(help="Other labelled images; the run's own unless given.")] = None,
    /,
    *,
    folders: ByFolder = BY_DATA,
    split: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        Parameter(
            metavar="train|validation|test|all",
            show_default=False,
            help="Which of the images; unless given, the run's own test split, and all of other images.",
        ),
    ] = None,
    max_error: MaxError = None,
    network: NetworkOfWeights = None,
    class_names: ClassNames = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> int:
    """Measure a trained network, or a file that export wrote, on labelled images.

    Those that the run was trained from are scored in its own test split, others whole.
    Top-1 with its 95 % interval, calibration, a row for every class, the commonest confusions.

    Example: budgetnet evaluate runs/photos-1a2b3c --split validation
    """
    from budgetnet import evaluate as evaluate_now

    with progress() as shown:
        evaluation = evaluate_now(
            run,
            folders.others(data),
            split=split,
            device=device,
            progress=shown,
            network=None if network is None else open_network(network),
            class_names=class_names,
            max_error=max_error,
        )
    show.print_json(evaluation) if as_json else results.print_evaluation(evaluation)
    return 0


def predict(
    run: Answering,
    /,
    *image: ImageFiles,
    top: Annotated[int, WHOLE, Parameter(group=OUTPUT, metavar="N", help="Labels for each image.")] = 1,
    batch: BatchOption = 32,
    max_error: MaxError = None,
    network: NetworkOfWeights = None,
    class_names: ClassNames = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> int:
    """Label images with a trained network, or with a file that export wrote.

    An image that looks like none of the classes is marked "none of these".
    A file or folder that cannot be read is a line on standard error, and exit code 1 at the end.

    Example: budgetnet predict runs/photos-1a2b3c new/*.jpg --top 3
    """
    from budgetnet import predict as predict_now

    known = None if network is None else open_network(network)
    answers = predict_now(
        run,
        image,
        batch=batch,
        top=top,
        device=device,
        network=known,
        class_names=class_names,
        max_error=max_error,
    )
    return _print_predictions(answers, as_json)


def _print_predictions(answers: Iterator[Prediction | Unreadable], as_json: bool) -> int:
    """A line an image as soon as it is known, or one JSON document at the end."""
    from budgetnet.training.predict import Unreadable

    good: list[Prediction] = []
    bad: list[Unreadable] = []
    for answer in answers:
        if isinstance(answer, Unreadable):
            bad.append(answer)
            show.notice(f"budgetnet: {answer.path}: {answer.reason}")
            continue
        if answer.note is not None:
            show.notice(f"budgetnet: {answer.path}: {answer.note}")
        if as_json:
            good.append(answer)
        else:
            show.tell(results.prediction_line(answer))
    if as_json:
        show.print_json({"predictions": good, "unreadable": bad})
    return 1 if bad else 0
