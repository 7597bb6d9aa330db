"""What a run found, as text: accuracy with its interval, classes, confusions, candidates, the choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from budgetnet.cli import show
from budgetnet.cli.pricing import print_certificate
from budgetnet.cli.report import print_table

if TYPE_CHECKING:
    from budgetnet.experiments.solve import Solution
    from budgetnet.experiments.train import Trained
    from budgetnet.model.trust import CheckedPromise
    from budgetnet.training.calibration import Calibration
    from budgetnet.training.evaluation import Evaluation
    from budgetnet.training.predict import Prediction

MOST_CONFUSIONS = 8
MOST_CLASSES = 50
"""A table in a terminal shows at most this many classes: of more, those that are found least often."""


def prediction_line(prediction: Prediction) -> str:
    """path: label probability, and the next labels if they were asked for; in brackets where they do not count."""
    labels = ", ".join(f"{label} {show.percent(share)}" for label, share in prediction.top)
    if prediction.none_of_these:
        return f"{prediction.path}: none of these ({labels})"
    if prediction.answered is False:
        return f"{prediction.path}: not sure enough ({labels})"
    return f"{prediction.path}: {labels}"


def accuracy(evaluation: Evaluation) -> str:
    """91.2 % (95 % interval 88.7 to 93.2, 506 images)."""
    low, high = 100 * evaluation.top1_low, 100 * evaluation.top1_high
    top1 = show.percent(evaluation.top1)
    return f"{top1} (95 % interval {low:.1f} to {high:.1f}, {evaluation.count:,} images)"


def print_evaluation(evaluation: Evaluation) -> None:
    """The figures of an evaluation, a row for every class, the commonest confusions."""
    rows = {"top-1 accuracy": accuracy(evaluation)}
    if evaluation.top5 is not None:
        rows["top-5 accuracy"] = show.percent(evaluation.top5)
    rows["balanced accuracy"] = show.percent(evaluation.balanced_accuracy)
    if evaluation.log_loss is not None:
        rows["log loss"] = f"{evaluation.log_loss:.3f}"
    rows["calibration error"] = f"{show.percent(evaluation.expected_calibration_error)} (expected, 15 bins)"
    if (checked := evaluation.promise) is not None:
        rows["promise"] = str(checked.promise)
        answered = f"answers {show.percent(checked.answered / checked.images)} of them"
        share = show.percent(checked.wrong / checked.answered) if checked.answered else "none"
        rows["on these images"] = (
            f"{answered}, and {share} of those wrongly ({checked.wrong:,} of {checked.answered:,})"
        )
    show.facts(rows)
    show.say()
    counted_classes = shown = evaluation.per_class
    if len(shown) > MOST_CLASSES:
        counted_classes = [row for row in shown if row.count]
        shown = sorted(counted_classes, key=lambda row: row.recall)[:MOST_CLASSES]
    show.table(
        ("class", "images", "precision", "recall", "F1"),
        [
            (row.name, f"{row.count:,}", show.percent(row.precision), show.percent(row.recall), f"{row.f1:.3f}")
            for row in shown
        ],
    )
    if others := len(counted_classes) - len(shown):
        show.say(f"{others:,} more classes were found as often or oftener; --json lists all.", "dim")
    _print_confusions(evaluation)


def _print_confusions(evaluation: Evaluation) -> None:
    names = [row.name for row in evaluation.per_class]
    if evaluation.confused:
        show.say()
        pairs = evaluation.confused[:MOST_CONFUSIONS]
        rows = [(names[true], names[predicted], f"{images:,}") for true, predicted, images in pairs]
        show.table(("taken for another: true", "predicted", "images"), rows, text_columns=2)


def print_trained(trained: Trained) -> None:
    """The network, its accuracy, and where the evidence lies."""
    from budgetnet.experiments.train.report import report

    result = trained.result
    show.stages(trained.network)
    show.say()
    show.facts(
        {
            "test accuracy": accuracy(trained.test),
            "validation": accuracy(trained.validation),
            **_calibrated(trained.calibration),
            **_promised(result.promises),
        }
    )
    show.say()
    show.facts({**_begun(result.record.plan.parent), **report(result.record, result).paths})


def _timed(measured: str | None) -> dict[str, str]:
    return {} if measured is None else {"latency": measured}


def print_solution(solution: Solution) -> None:
    """What was tried, the network, the certificate, the choice, the accuracy, and where the evidence lies."""
    from budgetnet.experiments.solve.report import measured_latency, report

    result = solution.result
    shown = report(result.record, result)
    for table in shown.tables():
        print_table(table)
    show.say()
    show.stages(solution.fit.network)
    show.say()
    print_certificate(solution.fit.certificate)
    show.say()
    show.say(solution.choice)
    show.say("Validation chose, so its score is optimistic; no choice has seen the test images.", "dim")
    show.say()
    show.facts(
        {
            **_shipped(solution),
            **_timed(measured_latency(result.record, result)),
            "validation": accuracy(solution.validation),
            **_calibrated(solution.calibration),
            **_promised(result.promises if result.shipped is None else result.shipped.file.promises),
            **_begun(result.record.plan.parent),
            **shown.paths,
        }
    )


def _shipped(solution: Solution) -> dict[str, str]:
    """The accuracy on the test images: of the file in eight bits where one is shipped, with the model's beside it."""
    from budgetnet.ship.describe import facts_of_file

    if solution.shipped is None:
        return {"test accuracy": accuracy(solution.test)}
    rows = facts_of_file(solution.shipped.file)
    return {name: show.typed(rows[name]) for name in ("test accuracy", "change", "flash", "arena") if name in rows}


def _calibrated(calibration: Calibration) -> dict[str, str]:
    """How the probabilities were calibrated, and what that did."""
    before, after = calibration.test_error_before, calibration.test_error_after
    error = ""
    if before is not None and after is not None and before != after:
        error = f"error on test {show.percent(before)} without it, {show.percent(after)} with it; "
    return {"calibration": f"temperature {calibration.temperature:.2f}; {error}{calibration.basis}"}


def _promised(promises: Sequence[CheckedPromise]) -> dict[str, str]:
    """The smallest of the usual shares of errors that can be promised, if any."""
    return {"promise": str(promises[0].promise)} if promises else {}


def _begun(parent: str | None) -> dict[str, str]:
    """The pretrained weights that a run began from, if any."""
    return {"begun from": parent} if parent else {}
