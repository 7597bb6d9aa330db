"""A job on a node: its files come from the storage and go there, so that a lost node costs little.

Each job has a folder in the storage, with the names that its files have in the run's folder. An attempt at it works in
a folder of the node, and only the process that asked for the job writes into the run's.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar, cast

from budgetnet.cluster.storage import Storage
from budgetnet.cluster.stored_images import StoredImages, read_images
from budgetnet.runs.files import append_event, read_events
from budgetnet.training.job import Job, JobFiles, lend

JobType = TypeVar("JobType", bound=Job)
Result = TypeVar("Result")

EVENTS = "events.jsonl"
RESULT = "result.json"


def offer_files(job: Job, images: StoredImages, storage: Storage) -> Storage | None:
    """Before a job starts: its folder in the storage, with what it reads; None for a job that has no files.

    The folder is named by all that the job depends on, so that a run that begins again finds nothing of its former
    plan. Checkpoints that are there are newer than those in the run's folder, which are of trainings on this machine.
    """
    run, files = Path(job.context.folder).parent, job.files
    if files == JobFiles():
        return None
    reads = [path for path in files.reads if path.exists()]
    what = repr((job, images.index, [sha256(path.read_bytes()).hexdigest() for path in reads]))
    stored = storage / run.resolve().name / sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    checkpoints = [path for path in files.checkpoints if path.exists()]
    if any(stored.exists(_name(path, run)) for path in files.checkpoints):
        checkpoints = []
    for path in (*reads, *checkpoints):
        stored.put(path, _name(path, run))
    return stored


def take_files(job: Job, stored: Storage) -> None:
    """After a job's end: take what it left into the run's folder, in its order, and remove its folder.

    Raises `RuntimeError` where another process did so.
    """
    run = Path(job.context.folder).parent
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / EVENTS
        stored.get(EVENTS, events)
        for event in read_events(events):
            append_event(run / EVENTS, event)
    stored.remove(EVENTS)  # a kill before the end of this must not bring them twice
    taken = [stored.get(_name(path, run), path) for path in job.files.leaves]
    if taken and not any(taken):
        raise RuntimeError(f"the files of {job.phase} are not in {stored} any more; run the same command again")
    stored.remove()


def attempt(
    function: Callable[[JobType], Result], job: JobType, images: StoredImages, stored: Storage | None, device: str
) -> Result:
    """On a node: do the job, on from the checkpoints of an attempt that was lost.

    Args:
        function: A function of a module that does the job and leaves its files.
        job: The job as the run has it; it is moved into a folder of this machine.
        images: The images that the job finds open.
        stored: The job's folder in the storage.
        device: What the job computes on.

    Returns:
        What `function` returns. Of a job that leaves files it must be a value of JSON.
    """
    finished = None if stored is None else stored.read(RESULT)
    if finished is not None:  # by an attempt whose node was lost, or whose driver was killed, just then
        return cast(Result, json.loads(finished))
    lend(job.context, *read_images(images))
    if stored is None:
        return function(job.at(dataclasses.replace(job.context, device=device)))
    with tempfile.TemporaryDirectory(prefix="budgetnet-") as scratch:
        run = Path(scratch)
        folder = run / Path(job.context.folder).name
        folder.mkdir()
        context = dataclasses.replace(job.context, folder=str(folder), device=device)
        files = job.at(context).files
        # Events before checkpoints: those of steps that are taken again do no harm, missing ones would.
        kept = (run / EVENTS, *files.checkpoints)
        for path in (*files.reads, *kept):
            stored.get(_name(path, run), path)
        known = {path: path.stat().st_mtime_ns for path in kept if path.exists()}

        def keep(*paths: Path) -> None:
            for path in paths:
                if path.exists() and known.get(path) != path.stat().st_mtime_ns:
                    known[path] = path.stat().st_mtime_ns
                    stored.put(path, _name(path, run))

        result = function(job.at(dataclasses.replace(context, on_checkpoint=lambda: keep(*kept))))
        if files.leaves:
            keep(run / EVENTS, *files.leaves)
            with stored.writing(RESULT) as file:
                file.write(json.dumps(result).encode())
        return result


def _name(path: Path, run: Path) -> str:
    return path.relative_to(run).as_posix()
