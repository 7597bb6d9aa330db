"""What a training shows: the network, its accuracy, its classes and mistakes, how to use it and make it again."""

from __future__ import annotations

from budgetnet.draw.command_line import in_lines
from budgetnet.draw.wording import duration
from budgetnet.experiments import trained
from budgetnet.experiments.report import Report, Section
from budgetnet.experiments.reproduce import augment_flags, budget_flags, data_words, facts_of, recipe_words, usual_flags
from budgetnet.experiments.train.plan import TrainPlan
from budgetnet.experiments.train.request import TrainRequest
from budgetnet.experiments.train.result import TrainResult
from budgetnet.runs.record import Record
from budgetnet.runs.split_file import read_split
from budgetnet.training.augmenting import words_of
from budgetnet.training.events import events_of

CAPTION = (
    "The training. Accuracy on the training images is a running mean over augmented batches, so it may lie below that "
    "on the validation images, whose bar is the 95 % interval."
)
TrainRecord = Record[TrainRequest, TrainPlan]


def report(record: TrainRecord, found: TrainResult) -> Report:
    """The report of a training."""
    request, data, network = record.request, record.data, found.network
    certificate = None if request.budget is None else request.budget.check(network)
    sections: list[Section] = []
    if certificate is not None and request.budget is not None:
        sections.append(trained.certificate_section(certificate, request.budget))
    caption = f"{CAPTION} Augmentation: {words_of(record.plan.augmentation)}."
    sections += [
        *trained.training_section(events_of(found.run), "final", caption),
        trained.classes_section(found, len(data.classes)),
        *trained.trust_section(found),
        trained.confusion_section(found.test, data.classes),
        *trained.mistakes_section(found, data),
        trained.network_section(network),
        trained.data_section(data, read_split(found.run), found, chose=False),
        trained.use_section(found.run),
        trained.again_section(train_command(record), facts(record)),
    ]
    chosen = f": {_described(request)}" if _described(request) else ""
    return Report(
        title=network.name,
        overline=f"{data.name}, {len(data.classes)} classes{chosen}",
        intro=trained.sizes(network, request.budget),
        findings=(),
        sections=tuple(sections),
        paths={"report": str(found.run / "report.html"), "predict": f"budgetnet predict {found.run} IMAGE..."},
        answer=trained.answer(found.test, certificate),
    )


def _described(request: TrainRequest) -> str:
    """The question in a line: at most 60 M multiply-adds, in 15 min."""
    parts = [] if request.budget is None else [trained.limits_asked(request.budget)]
    parts += [] if request.time_seconds is None else [f"within {duration(request.time_seconds)}"]
    parts += [] if request.epochs is None else [f"{request.epochs:g} epochs"]
    return ", ".join(parts)


def facts(record: TrainRecord) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    recipe, plan = record.plan.config.recipe, record.plan
    return facts_of(
        record,
        plan.augmentation,
        {
            "Seed": str(record.seed),
            "Recipe": recipe_words(recipe),
            **({"Begun from": plan.parent} if plan.parent else {}),
        },
    )


def train_command(record: TrainRecord) -> str:
    """The command that makes the run again, every argument written out."""
    request, plan = record.request, record.plan
    words = ["budgetnet", "train", *data_words(record.data.data), "--network", "network.json"]
    words += [] if request.budget is None else [*budget_flags(request.budget)]
    words += [] if request.epochs is None else ["--epochs", f"{request.epochs:g}"]
    words += [] if request.time_seconds is None else ["--time", f"{request.time_seconds:g}s"]
    if request.weights:
        words += ["--weights", request.weights]
    elif plan.parent:
        words += ["--pretrained", plan.parent]
    words += ["--recipe", plan.config.recipe.name, *augment_flags(request.augment), "--seed", str(request.seed)]
    return in_lines([*words, *usual_flags(("--precision", request.precision, "float32"))])
