"""One exported file: made aside, read back, judged by its answers to the test images, and renamed if it is good."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from budgetnet.atomic_write import folder_written_aside, written_aside
from budgetnet.budgets.budget import Budget, LimitRow
from budgetnet.model.probabilities import class_probabilities_of_file, logits_of_probabilities
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.ship.answering import latency_ms_of
from budgetnet.ship.difference import difference
from budgetnet.ship.exported import ExportedFile, FileCertificate, Format, NotGoodEnoughError, NumberType
from budgetnet.ship.formats import ROWS, maker, opener
from budgetnet.ship.good_enough import ENOUGH_IMAGES, MOST_DIFFERENCE, counted, faults_of, limits_of
from budgetnet.ship.made import Content, Made
from budgetnet.ship.subject import Subject
from budgetnet.ship.target import Target, check_replaces, sha256_of
from budgetnet.ship.untrained import FORMATS, is_of_this_machine
from budgetnet.statistics import paired_difference, wilson

STORED_OR_HELD = frozenset({"weight_bytes", "peak_activation_bytes", "peak_bytes"})
"""These limits are on what depends on the runtime."""


def exported(
    subject: Subject,
    to: Format,
    dtype: NumberType,
    target: Target,
    progress: Progress | None,
    force: bool = False,
) -> ExportedFile:
    """One file, made, read back elsewhere and judged; written only if it is good enough or `force` says so.

    It is written with what was found in its notes: the model is the one that was judged. Raises `NotGoodEnoughError`
    where it is not good enough.
    """
    made = maker(to)(subject, dtype, progress)
    with tempfile.TemporaryDirectory() as elsewhere:
        judged = Path(elsewhere) / target.path.name
        _write(judged, first := made.packed(made.notes))
        file = _judged(subject, made, judged, to, dtype, target.path, _size(first))
    faults = faults_of(file)
    if faults and not force:
        raise NotGoodEnoughError(file, faults, _hint(file, subject, made))
    content = made.packed(dataclasses.replace(made.notes, certificate=FileCertificate.of(file, faults)))
    place = target.forced if faults else target.path
    check_replaces(place, to, content, not faults, force)
    with (written_aside if isinstance(content, bytes) else folder_written_aside)(place) as part:
        _write(part, content)
        opener(to)(part, False)
    return dataclasses.replace(file, file=str(place), bytes=_size(content), sha256=sha256_of(content))


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else sum(map(len, content.values()))


def _write(part: Path, content: Content) -> None:
    if isinstance(content, bytes):
        part.write_bytes(content)
        return
    for name, some in content.items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(some)


def _judged(
    subject: Subject, made: Made, part: Path, to: Format, dtype: NumberType, target: Path, size: int
) -> ExportedFile:
    """What the file is and does, by its answers to the test images as it is read back."""
    images, budget, on_a_device = subject.images, subject.budget, ROWS[to].on_a_device
    labels = images.labels(images.test)
    runner, expected = opener(to)(part, True), images.test_logits
    answers, notes = runner.logits(images.pixels(images.test)), runner.notes
    if subject.softmax:  # what a probability near 0 or 1 is made of shows in its logarithm alone
        shares = class_probabilities_of_file(expected, notes.temperature)
        expected = logits_of_probabilities(shares, notes.temperature)
    confidence = class_probabilities_of_file(answers, notes.temperature).max(1)
    right, float_right = (row.argmax(1) == labels for row in (answers, expected))
    low, high = wilson(int(right.sum()), len(right))
    latency_ms = latency_ms_of(part, to) if on_a_device else None
    keeps = () if budget is None else _limits(subject.loaded.network, budget, made if on_a_device else None)
    return ExportedFile(
        format=to,
        dtype=dtype,
        file=str(target),
        bytes=size,
        flash_bytes=made.flash_bytes,
        arena_bytes=made.arena_bytes,
        allocated=made.allocated,
        parity=difference(answers, expected) if dtype == "float32" else None,
        images=len(right),
        top1=float(np.mean(right)),
        top1_low=low,
        top1_high=high,
        float_top1=float(np.mean(float_right)),
        change=paired_difference(right.tolist(), float_right.tolist()),
        shown=len(right) >= ENOUGH_IMAGES,
        quantile=made.quantile,
        calibration_images=made.calibration_images,
        tried=made.tried,
        latency_ms=latency_ms,
        keeps=tuple(_measured(keeps, budget, to, dtype, latency_ms)),
        promises=tuple(one.check(confidence, right) for one in (notes.trust.promises() if notes.trust else ())),
    )


def _limits(network: Network, budget: Budget, stored: Made | None) -> tuple[LimitRow, ...]:
    """What is used of each limit: by the file that a device stores, else by the network as the budget counts it."""
    return limits_of(network, budget, stored.flash_bytes, stored.arena_bytes) if stored else counted(network, budget)


def _measured(
    rows: Iterable[LimitRow], budget: Budget | None, to: Format, dtype: NumberType, latency_ms: float | None
) -> Iterator[LimitRow]:
    """The rows with the latency as it is here; without it where the limit is another device's, runtime's or dtype's."""
    timing = None if budget is None else budget.timing
    same = (
        timing is not None and is_of_this_machine(timing) and (FORMATS.get(timing.runtime), timing.dtype) == (to, dtype)
    )
    for row in rows:
        if row.name != "latency_us":
            yield row
        elif same and latency_ms is not None:
            used = math.ceil(1000 * latency_ms)
            yield LimitRow(row.name, row.limit, used, row.limit - used)


def _hint(file: ExportedFile, subject: Subject, made: Made) -> str:
    """What helps, beside what is wrong."""
    stored = STORED_OR_HELD & {row.name for row in file.keeps if row.left < 0}
    if stored and subject.budget is not None and subject.budget.runtime != "tflite_micro":
        return "; its budget counts the least that any runtime takes: --runtime tflite_micro counts what this one takes"
    if file.parity is not None and file.parity > MOST_DIFFERENCE:
        first = made.first_difference()
        return "" if first is None else f"; the first op that differs is {first}"
    return ""
