"""Jobs on a cluster: lost nodes and failed jobs are run again, finished ones never, and bad input is one line."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.spaces import BASE
from support.two_nodes import ABSENT, Square, TwoNodes, finding_tests, square, started, two_nodes

from budgetnet import Budget, search_baseline, search_coefficients, search_family
from budgetnet.cli import main
from budgetnet.cluster.attempt import EVENTS, attempt, offer_files, take_files
from budgetnet.cluster.executor import executor_on
from budgetnet.cluster.ray_cluster import Cluster, connected, slot_bytes, slots_of
from budgetnet.cluster.ray_executor import ATTEMPTS, RayExecutor
from budgetnet.cluster.storage import Storage
from budgetnet.cluster.stored_images import StoredImages, read_images, write_images
from budgetnet.data import ImageSet, default_preprocessing, open_cache, open_images
from budgetnet.experiments.activations.training import ProbedTraining, train_and_probe
from budgetnet.parallel.progress import Update
from budgetnet.runs.files import append_event, read_events
from budgetnet.training.job import JobContext, JobFiles, TrainingJob, whole_job
from budgetnet.training.predictions import train_and_test
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingConfig

Capture = pytest.CaptureFixture[str]

CONFIG = TrainingConfig("n01", BASE, MODERN, default_preprocessing(1), 0, 16, 6, 1)

# Without Ray


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "somewhere"}, "give local, auto, or the head's HOST:PORT"),
        ({"address": "ray://10.0.0.1:10001"}, "give local, auto, or the head's HOST:PORT"),
        ({"cpus_per_trial": -1.0}, "cpus_per_trial is -1.0"),
        ({"gpus_per_trial": float("nan")}, "gpus_per_trial is nan"),
        ({"cpus_per_trial": 0.0}, "a trial needs CPUs or GPUs"),
        ({"address": "auto"}, "a cluster needs a storage that every node sees"),
        ({"address": "10.0.0.1:6379"}, "a cluster needs a storage that every node sees"),
        ({"storage": "postgresql://me:hush@host/studies"}, "storage is the address of a database"),
        ({"storage": "sqlite:///study.db"}, "storage is the address of a database"),
        ({"storage": "postgresql+psycopg://host/studies"}, "storage is the address of a database"),
        ({"storage": "nowhere://me:hush@host/x"}, "storage nowhere://host/x cannot be opened"),
        ({"storage": ""}, "give|must be"),
    ],
)
def test_what_is_not_a_cluster(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        Cluster(**fields)
    assert "\n" not in str(error.value) and "hush" not in str(error.value)


def test_what_a_trial_computes_on() -> None:
    assert (Cluster().device, Cluster().threads) == ("cpu", 1)
    assert (Cluster(cpus_per_trial=4).threads, Cluster(cpus_per_trial=0.5).threads) == (4, 1)
    assert Cluster(cpus_per_trial=0.0, gpus_per_trial=0.5).device == "cuda"


def test_a_cluster_on_this_machine_needs_no_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cluster().shared == Storage(f"file://{tmp_path}/budgetnet/cluster")
    assert Cluster(storage=tmp_path / "shared").shared == Storage(f"file://{tmp_path}/shared")


@pytest.mark.parametrize(
    "command",
    [
        ["search", "baseline", "digits", "--macs", "1M"],
        ["search", "coefficients", "digits"],
        ["search", "family", "digits", "--macs", "1M"],
    ],
)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cluster", "127.0.0.1:1", "--storage", "shared"], "cannot reach the cluster 127.0.0.1:1: connection refu"),
        (["--cluster", "127.0.0.1:1"], "give --storage PATH or URL"),
        (["--cluster", "nowhere"], "give local, auto, or the head's HOST:PORT"),
        (["--cluster", "local", "--storage", "/proc/shared"], "cannot write to the storage /proc/shared"),
        (["--gpus-per-trial", "1"], "--gpus-per-trial is of trials on a cluster; give --cluster"),
        (["--storage", "shared"], "--storage is of trials on a cluster; give --cluster"),
        (["--storage", "postgresql://me:hush@host/x"], "storage is the address of a database; it is a folder"),
        (["--cluster", "local", "--precision", "float16"], "float16 needs"),
    ],
)
def test_bad_input_is_one_line(
    command: list[str], arguments: list[str], words: str, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("ray", reason=ABSENT)
    assert main([*command, *arguments, "--out", str(tmp_path / "run")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("budgetnet:")]
    assert words in line and "hush" not in line and not (tmp_path / "run").exists()


def test_a_cluster_is_knocked_at_before_images_are_read(tmp_path: Path) -> None:
    """The folder of images is absent: nobody has looked."""
    pytest.importorskip("ray", reason=ABSENT)
    absent, nobody = str(tmp_path / "absent"), Cluster("127.0.0.1:1", storage=tmp_path)
    for search in (
        lambda: search_coefficients(absent, cluster=nobody, out=tmp_path / "run"),
        lambda: search_baseline(absent, Budget(macs=10**6), cluster=nobody, out=tmp_path / "run"),
        lambda: search_family(absent, Budget(macs=10**6), cluster=nobody, out=tmp_path / "run"),
    ):
        with pytest.raises(ValueError, match=r"cannot reach the cluster 127\.0\.0\.1:1: connection refused"):
            search()


def test_without_ray_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'budgetnet\[cluster\]'"), connected(Cluster()):
        pass


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """One that nodes mount, and one that they copy from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = str(tmp_path / "shared") if request.param == "folder" else f"memory://{tmp_path}/shared"
    return Storage.of(place)


def test_files_in_a_storage_are_whole_or_absent(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1" * 1000)
    assert not storage.exists("a/b/one") and storage.read("a/b/one") is None
    assert not storage.get("a/b/one", tmp_path / "copy") and not (tmp_path / "copy").exists()
    storage.put(tmp_path / "one", "a/b/one")
    with pytest.raises(OverflowError), storage.writing("a/b/one") as file:
        file.write(b"2")
        raise OverflowError
    assert storage.get("a/b/one", tmp_path / "c" / "copy")
    assert (tmp_path / "c" / "copy").read_bytes() == (storage / "a").read("b/one") == b"1" * 1000
    (tmp_path / "one").write_bytes(b"3")
    storage.put(tmp_path / "one", "a/b/one")
    assert storage.read("a/b/one") == b"3"
    storage.check()
    (storage / "a" / "b").remove("one")
    (storage / "a" / "b").remove("one")
    assert not storage.exists("a/b/one")
    storage.remove()
    assert not storage.exists()


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


def test_images_in_a_storage_are_what_they_were(storage: Storage, digits: ImageSet, tmp_path: Path) -> None:
    pixels = open_cache(digits, 8)
    stored = write_images(digits, pixels, storage)
    read_images.cache_clear()
    images, there = read_images(stored)
    assert images == digits and there.source == "mapped"
    assert all(np.array_equal(there[index], pixels[index]) for index in range(len(digits)))
    copies = list((tmp_path / "cache").glob("**/*.bin"))
    assert len(copies) == (0 if storage.local("x") else 1), "a folder is mapped where it is, a URL copied once"
    other = write_images(open_images("digits", 1), pixels, storage)
    assert other.pixels == stored.pixels and other.index != stored.index, "splits share their pixels"
    assert write_images(digits, pixels, storage) == stored
    assert write_images(digits, dataclasses.replace(pixels, side_px=7), storage).pixels != stored.pixels


def test_a_node_that_does_not_see_the_storage_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a node does not see .*; give a --storage that every node sees"):
        read_images(StoredImages(Storage.of(str(tmp_path)) / "images", "a.json", "a.bin"))


def test_half_of_the_pixels_are_refused(digits: ImageSet, tmp_path: Path) -> None:
    stored = write_images(digits, open_cache(digits, 8), Storage.of(str(tmp_path / "half")))
    path = tmp_path / "half" / "images" / stored.pixels
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="are not whole"):
        read_images(stored)


@pytest.fixture
def images(storage: Storage, digits: ImageSet) -> StoredImages:
    return write_images(digits, open_cache(digits, 8), storage)


def in_folder(folder: Path) -> JobContext:
    (folder / "training").mkdir(parents=True)
    return JobContext("digits", 0, 8, str(folder / "training"))


def bits(job: TrainingJob) -> list[Any]:
    with np.load(job.scores) as scores, np.load(job.predictions) as predictions:
        return [rows[name].tobytes() for rows in (scores, predictions) for name in sorted(rows)]


def test_a_training_on_a_node_is_that_of_this_machine(storage: Storage, images: StoredImages, tmp_path: Path) -> None:
    here, there = (
        whole_job(CONFIG, in_folder(tmp_path / name), "finals/n01", CONFIG.cooldown_steps) for name in ("here", "there")
    )
    assert train_and_test(here)
    stored = offer_files(there, images, storage)
    assert stored is not None and attempt(train_and_test, there, images, stored, "cpu") is True
    assert not list((tmp_path / "there").rglob("*.npz")), "a node writes nothing into the run"
    assert stored.exists("training/n01/trunk.pt"), "checkpoints are there as they come"
    take_files(there, stored)
    assert bits(there) == bits(here) and not stored.exists(), "what is taken is cleared"
    assert read_events(tmp_path / "there" / EVENTS)[-1]["kind"] == "score"


def test_a_watched_training_on_a_node_keeps_all_that_was_seen(
    storage: Storage, images: StoredImages, tmp_path: Path
) -> None:
    here, there = (
        ProbedTraining(
            whole_job(CONFIG, in_folder(tmp_path / name), "training/relu", CONFIG.cooldown_steps), (2, 6), (0.1,), 16
        )
        for name in ("here", "there")
    )
    assert train_and_probe(here)
    stored = offer_files(there, images, storage)
    assert stored is not None and attempt(train_and_probe, there, images, stored, "cpu") is True
    assert stored.exists("training/n01/notes.npz"), "beside the checkpoints"
    take_files(there, stored)
    with np.load(here.record) as one, np.load(there.record) as other:
        assert set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


@dataclasses.dataclass(frozen=True)
class Count:
    """A job that counts to 4 with a checkpoint at each number, and breaks off once at `until`."""

    context: JobContext
    until: int = 4
    phase: str = "count"

    @property
    def files(self) -> JobFiles:
        folder = Path(self.context.folder)
        return JobFiles((folder / "given",), (folder / "number",), (folder / "first", folder / "last"))

    def at(self, context: JobContext) -> Count:
        return dataclasses.replace(self, context=context)


def count(job: Count) -> list[int]:
    given, number, first, last = (Path(job.context.folder) / name for name in ("given", "number", "first", "last"))
    began = int(number.read_text()) if number.exists() else int(given.read_text())
    for value in range(began + 1, 5):
        if value > job.until and began == 0:
            raise OverflowError("broken off")
        append_event(Path(job.context.folder).parent / EVENTS, {"kind": "number", "value": value})
        number.write_text(str(value))
        assert job.context.on_checkpoint is not None
        job.context.on_checkpoint()
    first.write_text("first")
    last.write_text("last")
    return [began]


def test_a_lost_attempt_goes_on_from_its_checkpoint(storage: Storage, images: StoredImages, tmp_path: Path) -> None:
    job = Count(in_folder(tmp_path / "run"), until=2)
    (tmp_path / "run" / "training" / "given").write_text("0")
    stored = offer_files(job, images, storage)
    assert stored is not None
    with pytest.raises(OverflowError):
        attempt(count, job, images, stored, "cpu")
    assert stored.read("training/number") == b"2"
    (tmp_path / "run" / "training" / "number").write_text("1")  # of a training on this machine, before
    assert offer_files(job, images, storage) == stored and stored.read("training/number") == b"2", "the newer stays"
    assert attempt(count, job, images, stored, "cpu") == [2]
    assert attempt(count, job, images, stored, "cpu") == [2], "a driver that was killed finds the result"
    take_files(job, stored)
    assert [event["value"] for event in read_events(tmp_path / "run" / EVENTS)] == [1, 2, 3, 4]
    assert {path.name for path in (tmp_path / "run" / "training").iterdir()} == {"given", "number", "first", "last"}
    with pytest.raises(RuntimeError, match=r"the files of count are not in .* any more; run the same command again"):
        take_files(job, stored)


def test_a_run_that_begins_again_finds_nothing_of_its_former_plan(
    storage: Storage, images: StoredImages, tmp_path: Path
) -> None:
    job = Count(in_folder(tmp_path / "run"))
    given = tmp_path / "run" / "training" / "given"
    given.write_text("0")
    folders = [offer_files(job, images, storage), offer_files(dataclasses.replace(job, until=3), images, storage)]
    given.write_text("1")  # other initial weights
    folders.append(offer_files(job, images, storage))
    assert len(set(folders)) == 3
    given.write_text("0")
    assert offer_files(job, images, storage) == folders[0]
    assert offer_files(dataclasses.replace(job, context=in_folder(tmp_path / "other")), images, storage) != folders[0]


def test_the_files_of_a_training(tmp_path: Path) -> None:
    rung = TrainingJob(CONFIG, JobContext("digits", 0, 8, str(tmp_path / "t")), "rung-0", "race/n01", 10, 5)
    final = dataclasses.replace(rung, name="final")
    names = ["rung-0.diverged", "rung-0.safetensors", "rung-0-int8.npz", "rung-0.npz", "n01.npz"]
    assert [path.name for path in rung.files.leaves] == ["trunk.pt", *names], "the next rung goes on from the trunk"
    assert [path.name for path in final.files.leaves] == [name.replace("rung-0", "final") for name in names]
    assert [path.name for path in rung.files.checkpoints] == ["trunk.pt", "rung-0.pt"]
    assert rung.files.reads == (tmp_path / "initial" / "n01.safetensors",)


# With Ray


def test_what_fails_or_is_lost_runs_again_on_a_cluster_of_this_machine(
    tmp_path: Path,
) -> None:
    """The quick one: results in their order, a process that is lost behind its checkpoint, one bad trial."""
    pytest.importorskip("ray", reason=ABSENT)
    asked, path, updates = Cluster(storage=tmp_path / "shared"), tmp_path / "started", list[Update]()
    context, finished = in_folder(tmp_path / "run"), list[int]()

    def done(job: Square, result: int) -> None:
        assert job.answer.read_text() == str(result), "its files are there by then"
        finished.append(job.number)

    with (
        finding_tests(),
        executor_on(asked, "cpu") as executor,
        executor.workers(square, context, 2, updates.append) as workers,
    ):
        jobs = [Square(context, number, str(path)) for number in (1, 7, 13, 2)]
        with pytest.raises(RuntimeError, match=r"job 3 of 4 failed \(OverflowError: thirteen\) 5 times") as error:
            workers.run(jobs, done)
        assert "\n" not in str(error.value) and sorted(finished) == [1, 2, 7]
        assert sorted(started(path)) == [1, 2, 7, 13], "from their checkpoints"
        with pytest.raises(ValueError, match="a number below 0"):
            workers.run([Square(context, -3, str(path))])
        assert workers.run([Square(context, number, str(path)) for number in (5, 4)]) == [25, 16]
    assert any("job 2 was lost" in update.text for update in updates)
    assert sum("job 3 failed" in update.text for update in updates) == ATTEMPTS - 1
    kept = {json.dumps(sorted(one.name for one in folder.iterdir())) for folder in (tmp_path / "shared/run").iterdir()}
    assert kept == {'["training"]'}, "only what the two that failed go on from is left"


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


@pytest.mark.slow
def test_a_lost_node_costs_what_ran_on_it(cluster: TwoNodes, tmp_path: Path) -> None:
    asked, path = Cluster(cluster.address, storage=tmp_path / "shared"), tmp_path / "started"
    context = in_folder(tmp_path / "run")
    # Both nodes are in the middle of a job then: a worker outlives its node for a moment, and may end what it has.
    jobs = [Square(context, number, str(path), 5.0) for number in range(20, 28)]
    loss = threading.Timer(1.5, cluster.lose)
    finished: list[int] = []
    updates: list[Update] = []

    def done(job: Square, _: int) -> None:
        finished.append(job.number)
        if len(finished) == 3:
            loss.start()

    warm = [Square(context, number, str(tmp_path / "warm"), 0.5) for number in range(1, 7)]
    with connected(asked):
        assert slots_of(asked) == 2 and slots_of(dataclasses.replace(asked, cpus_per_trial=0.25)) == 8
        with RayExecutor(asked).workers(square, context, 2, updates.append) as workers:
            workers.run(warm)  # both nodes have a process, so neither is idle when it is lost
            assert workers.run([]) == []
            assert workers.run(jobs, done) == [job.number**2 for job in jobs]
    loss.join()
    cluster.add()
    begun = started(path)
    assert sorted(finished) == [job.number for job in jobs], "each is told once"
    again = [number for number in set(begun) if begun.count(number) > 1]
    assert len(again) <= 2 and not set(again) & set(finished[:3]), "what was finished is not repeated"
    assert len(begun) == len(jobs) + len(again)
    assert any("was lost" in update.text for update in updates), (begun, finished, updates)


@pytest.mark.slow
def test_more_than_any_node_has_is_one_line(cluster: TwoNodes, tmp_path: Path) -> None:
    much, words = Cluster(cluster.address, 64.0, storage=tmp_path), r"no node of the cluster .* has 64 CPUs and 0 GPUs"
    with pytest.raises(ValueError, match=words) as error, connected(much):
        pass
    assert "\n" not in str(error.value)


def test_a_slots_memory_is_that_of_the_smallest_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "memory": 8e9}},
        {"Alive": True, "Resources": {"CPU": 2.0, "memory": 3e9}},
        {"Alive": False, "Resources": {"CPU": 8.0, "memory": 1e9}},
        {"Alive": True, "Resources": {"memory": 1e9}},
    ]
    ray = pytest.importorskip("ray", reason=ABSENT)
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert slot_bytes(Cluster()) == 1_500_000_000
    assert slot_bytes(Cluster(cpus_per_trial=2.0)) == 3_000_000_000
    assert slot_bytes(Cluster(cpus_per_trial=0.0, gpus_per_trial=1.0)) == sys.maxsize, "of a GPU's memory Ray is silent"
