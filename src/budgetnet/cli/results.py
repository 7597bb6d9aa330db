"""What a run found, as text: accuracy with its interval, classes, confusions, candidates, the choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from budgetnet.cli import show
from budgetnet.cli.pricing import print_certificate
from budgetnet.reading import read_json_file

if TYPE_CHECKING:
    from budgetnet.experiments.solve import Solution
    from budgetnet.training.calibration import Calibration
    from budgetnet.training.evaluate import Evaluation
    from budgetnet.training.predict import Prediction
    from budgetnet.training.train import Trained

MOST_CONFUSIONS = 8
MOST_CLASSES = 50
"""Of a table in a terminal; of more, those that are found least often."""


def prediction_line(prediction: Prediction) -> str:
    """path: label probability, and the next labels if they were asked for."""
    return f"{prediction.path}: " + ", ".join(f"{label} {show.percent(share)}" for label, share in prediction.top)


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
    show.facts(rows)
    show.say()
    asked = shown = evaluation.per_class
    if len(shown) > MOST_CLASSES:
        asked = [row for row in shown if row.count]
        shown = sorted(asked, key=lambda row: row.recall)[:MOST_CLASSES]
    show.table(
        ("class", "images", "precision", "recall", "F1"),
        [
            (row.name, f"{row.count:,}", show.percent(row.precision), show.percent(row.recall), f"{row.f1:.3f}")
            for row in shown
        ],
    )
    if others := len(asked) - len(shown):
        show.say(f"{others:,} more classes were found as often or oftener; --json lists all.", "dim")
    _print_confusions(evaluation)


def _print_confusions(evaluation: Evaluation) -> None:
    names = [row.name for row in evaluation.per_class]
    if evaluation.confused:
        show.say()
        pairs = evaluation.confused[:MOST_CONFUSIONS]
        rows = [(names[true], names[predicted], f"{images:,}") for true, predicted, images in pairs]
        show.table(("taken for another: true", "predicted", "images"), rows, text_columns=2)


def print_trained(trained: Trained, report: Path) -> None:
    """The network, its accuracy, and where the evidence lies."""
    show.stages(trained.network)
    show.say()
    show.facts(
        {
            "test accuracy": accuracy(trained.test),
            "validation": accuracy(trained.validation),
            **_calibrated(trained.calibration),
        }
    )
    show.say()
    show.facts({**_begun(trained.run), "report": str(report), "predict": f"budgetnet predict {trained.run} IMAGE..."})


def print_solution(solution: Solution) -> None:
    """What was tried, the network, the certificate, the choice, the accuracy, and where the evidence lies."""
    _print_candidates(solution)
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
            "test accuracy": accuracy(solution.test),
            "validation": accuracy(solution.validation),
            **_calibrated(solution.calibration),
            **_begun(solution.run),
            "report": str(solution.report),
            "predict": f"budgetnet predict {solution.run} IMAGE...",
        }
    )


def _print_candidates(solution: Solution) -> None:
    """The raced candidates, the best last score first, and how many others fitted."""
    from budgetnet.experiments.report.evidence import placing, read_evidence

    evidence = read_evidence(solution.run)
    raced = [row for row in solution.candidates if row.raced]
    raced.sort(key=lambda row: placing(evidence.rungs(row.id)))
    rows: list[tuple[str, ...]] = []
    for row in raced:
        rungs = evidence.rungs(row.id)
        loss = rungs[-1].get("log_loss")
        price = row.fit.cost
        sizes = (show.resolution(row.network), show.short(price.macs), show.short(price.params))
        score = ("-" if loss is None else f"{loss:.3f}", show.percent(rungs[-1]["accuracy"]))
        rows.append((row.id, *sizes, show.percent(row.share, 0), str(len(rungs)), *score))
    show.table(("raced", "px", "MACs", "params", "used", "rungs", "log loss", "accuracy"), rows)
    if others := len(solution.candidates) - len(raced):
        show.say(f"{others} more fit the budget and were not raced; plan.json says why.", "dim")
    show.say("log loss, accuracy: on validation, after the last rung that each ran; log loss decides.", "dim")


def _calibrated(calibration: Calibration | None) -> dict[str, str]:
    """How the probabilities were calibrated, and what that did; nothing for a run from before they were."""
    if calibration is None:
        return {}
    before, after = calibration.test_error_before, calibration.test_error_after
    error = ""
    if before is not None and after is not None and before != after:
        error = f"error on test {show.percent(before)} without it, {show.percent(after)} with it; "
    return {"calibration": f"temperature {calibration.temperature:.2f}; {error}{calibration.basis}"}


def _begun(run: Path) -> dict[str, str]:
    """The pretrained weights that a run began from, if any."""
    parent = read_json_file(run / "plan.json").get("parent")
    return {"begun from": parent} if parent else {}
