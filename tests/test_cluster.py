"""Jobs on a cluster: lost nodes and failed jobs are run again, finished ones never, and bad input is one line."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_baseline import BUDGET, SMALL
from test_space import BASE
from two_nodes import Errand, TwoNodes, initial, square, two_nodes

from budgetnet import Budget, search_baseline, search_coefficients, search_family
from budgetnet.budgets.feasible_space import FeasibleSpace
from budgetnet.budgets.search_space import Architecture
from budgetnet.cli import main
from budgetnet.cluster import parcel as parcel_module
from budgetnet.cluster.parcel import Errand as Files
from budgetnet.cluster.parcel import Images, Kept, Parcel, accept, carry_out, job_errand, parcel_of
from budgetnet.cluster.pool import ATTEMPTS, Pool, say
from budgetnet.cluster.ray_cluster import Cluster, connected, place_bytes, places_of
from budgetnet.data import ImageSet, Pixels, default_preprocessing, open_cache, open_images
from budgetnet.data.packed import packed_of, pieces, unpacked
from budgetnet.experiments.baseline.objective import Objective, Score
from budgetnet.experiments.baseline.search import OnResult, Search, run_search
from budgetnet.parallel.progress import Update
from budgetnet.training import job as leg_module
from budgetnet.training.job import JobContext, TrainingJob
from budgetnet.training.recipe import MODERN
from budgetnet.training.trainer import TrainingConfig

Capture = pytest.CaptureFixture[str]


COURSE = TrainingConfig("one", BASE, MODERN, default_preprocessing(1), 0, 16, 15, 1)

# Without Ray


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "somewhere"}, "give auto, or the head's HOST:PORT"),
        ({"address": "ray://10.0.0.1:10001"}, "give auto, or the head's HOST:PORT"),
        ({"cpus_per_trial": -1.0}, "cpus_per_trial is -1.0"),
        ({"gpus_per_trial": float("nan")}, "gpus_per_trial is nan"),
        ({"cpus_per_trial": 0.0}, "a trial needs CPUs or GPUs"),
    ],
)
def test_what_no_cluster_is(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        Cluster(**fields)
    assert "\n" not in str(error.value)


def test_what_a_trial_computes_on() -> None:
    assert (Cluster().device, Cluster().threads) == ("cpu", 1)
    assert (Cluster(cpus_per_trial=4).threads, Cluster(cpus_per_trial=0.5).threads) == (4, 1)
    assert Cluster(cpus_per_trial=0.0, gpus_per_trial=0.5).device == "cuda"


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
        (["--cluster", "127.0.0.1:1"], "cannot reach the cluster 127.0.0.1:1: connection refused"),
        (["--cluster", "nowhere"], "give auto, or the head's HOST:PORT"),
        (["--gpus-per-trial", "1"], "--gpus-per-trial is of trials on a cluster; give --cluster"),
        (["--cluster", "auto", "--precision", "float16"], "float16 needs"),
    ],
)
def test_bad_input_is_one_line(
    command: list[str], arguments: list[str], words: str, tmp_path: Path, capsys: Capture
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'budgetnet[cluster]'")
    assert main([*command, *arguments, "--out", str(tmp_path / "run")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("budgetnet:")]
    assert words in line and not (tmp_path / "run").exists()


def test_a_cluster_is_knocked_at_before_images_are_read(tmp_path: Path) -> None:
    """The folder of images is absent: nobody has looked."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'budgetnet[cluster]'")
    absent, nobody = str(tmp_path / "absent"), Cluster("127.0.0.1:1")
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


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_pixels_arrive_as_they_were_and_once(digits: ImageSet, cache: Path) -> None:
    pixels = open_cache(digits, 8)
    parts = list(pieces(pixels, piece_bytes=1000))
    assert len(parts) > 100 and packed_of(pixels, parts) == packed_of(pixels, pieces(pixels))
    packed, asked = packed_of(pixels, parts), list[int]()

    def received() -> Iterator[np.ndarray[Any, Any]]:
        asked.append(1)
        yield from parts

    for _ in range(2):
        there = unpacked(packed, received)
        assert all(np.array_equal(there[index], pixels[index]) for index in range(len(digits)))
    assert asked == [1], "the second process of a machine finds them"
    other = dataclasses.replace(packed, name="other")
    with pytest.raises(ValueError, match="bytes of pixels came"):
        unpacked(other, lambda: iter(parts[:-1]))
    assert len(list((cache / "budgetnet" / "pixels").glob("*.bin"))) == 1, "no half of a file is left"


def changed(pixels: Pixels) -> Pixels:
    return dataclasses.replace(pixels, read=lambda index: 255 - pixels[index])


def test_other_pixels_have_another_name(digits: ImageSet) -> None:
    pixels = open_cache(digits, 8)
    one, other = (packed_of(each, pieces(each)) for each in (pixels, changed(pixels)))
    assert one.name != other.name and one.total_bytes == other.total_bytes == 64 * len(digits)


@dataclasses.dataclass(frozen=True)
class Look:
    """A job that reads a file of the run and an image, and leaves two files and an event."""

    context: JobContext

    def at(self, context: JobContext) -> Look:
        return dataclasses.replace(self, context=context)


def look(job: Look) -> tuple[int, str, str]:
    run = Path(job.context.folder).parent
    images, pixels = leg_module.opened(job.context.data, job.context.split_seed, job.context.side_px)
    for name in ("first", "second"):
        (Path(job.context.folder) / name).write_text(name)
    leg_module.append_event(run / "events.jsonl", {"kind": "step"})
    return int(pixels[5].sum()) + len(images), (run / "weights").read_text(), str(run)


def sent(job: Look, run: Path, digits: ImageSet) -> Parcel[Look]:
    pixels = open_cache(digits, 8)
    parts = list(pieces(pixels))
    images = Images(digits.fingerprint, packed_of(pixels, parts), digits, tuple(parts))
    left = tuple(run / "training" / name for name in ("first", "absent", "second"))
    errand = Files((run / "weights", run / "absent"), left)
    return parcel_of(job, errand, images, lambda path: (path.read_text(), path.read_bytes()), "cpu", 1)


def test_a_worker_elsewhere_sees_only_its_parcel(
    digits: ImageSet, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leg_module, "_lent", {})
    (run := tmp_path / "run").mkdir()
    (run / "weights").write_text("one")
    job = Look(JobContext("nowhere", 0, 8, str(run / "training")))
    expected = int(open_cache(digits, 8)[5].sum()) + len(digits)
    for weights in ("one", "two"):
        (run / "weights").write_text(weights)
        reply = carry_out(look, lambda value: value, lambda kept: None, sent(job, run, digits))
        total, read, there = reply.result
        assert (total, read) == (expected, weights) and Path(there) != run
        assert list(reply.files) == ["training/first", "training/second"], "in their order"
        assert not (Path(there) / "training").exists() and (Path(there) / "weights").exists()
        assert [path.name for path in run.iterdir()] == ["weights"], "a worker writes nothing here"
    assert accept(job, reply) == reply.result
    assert (run / "training" / "second").read_text() == "second"
    assert (run / "events.jsonl").read_text().count("step") == 1


def slow_look(job: Look) -> None:
    checkpoint = Path(job.context.folder) / "first"
    for text in ("one", "two"):
        checkpoint.write_text(text)
        time.sleep(0.3)
    checkpoint.unlink()
    time.sleep(0.2)


def test_checkpoints_come_back_while_a_job_is_at_work(
    digits: ImageSet, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leg_module, "_lent", {})
    monkeypatch.setattr(parcel_module, "KEEP_SECONDS", 0.02)
    (run := tmp_path / "run").mkdir()
    parcel = sent(Look(JobContext("nowhere", 0, 8, str(run / "training"))), run, digits)
    kept: list[Kept] = []
    parcel = dataclasses.replace(parcel, keeps=("training/first", "training/absent"))
    reply = carry_out(slow_look, lambda value: value, kept.append, parcel)
    assert reply.files == {} and {one.name for one in kept} == {"training/first"}
    assert [one.content for one in kept if one.content] == [b"one", b"two"], "each once"


def test_what_a_leg_takes_along_and_leaves(tmp_path: Path) -> None:
    context = JobContext("digits", 0, 8, str(tmp_path / "training"))
    rung: Any = TrainingJob(dataclasses.replace(COURSE, id="n01"), context, "rung-0", "race/n01", 10, 5)
    final = dataclasses.replace(rung, name="final", phase="last/n01, seed 0")
    assert [path.name for path in job_errand(rung).leaves] == ["trunk.pt", "rung-0.diverged", "rung-0.npz", "n01.npz"]
    assert [path.name for path in job_errand(final).leaves] == ["final.diverged", "final.npz", "n01.npz"]
    assert [path.name for path in job_errand(rung).reads][:2] == ["trunk.pt", "rung-0.pt"]
    assert job_errand(rung).keeps == job_errand(rung).reads[:2]


# With Ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    with two_nodes() as found:
        yield found


@pytest.mark.slow
def test_jobs_run_in_any_order_and_come_back_in_theirs(cluster: TwoNodes, tmp_path: Path) -> None:
    asked = Cluster(cluster.address)
    jobs = [Errand(number, str(tmp_path / "starts")) for number in range(12)]
    told: list[int] = []
    with connected(asked), Pool(square, asked) as pool:
        assert places_of(asked) == 2 and places_of(Cluster(cluster.address, 0.25)) == 8
        assert pool.run(jobs, lambda job, _: told.append(job.number)) == [number**2 for number in range(12)]
        assert pool.run([]) == []
    assert sorted(told) == list(range(12)) == sorted(initial(tmp_path / "starts"))


@pytest.mark.slow
def test_a_lost_node_costs_what_ran_on_it(cluster: TwoNodes, tmp_path: Path) -> None:
    asked, path = Cluster(cluster.address), tmp_path / "starts"
    # Both nodes are in the middle of a job then: a worker outlives its node for a moment, and may end what it has.
    jobs = [Errand(number, str(path), 5.0) for number in range(20, 28)]
    loss = threading.Timer(1.5, cluster.lose)
    told: list[int] = []
    updates: list[Update] = []

    def done(job: Errand, _: int) -> None:
        told.append(job.number)
        if len(told) == 3:
            loss.start()

    warm = [Errand(number, str(tmp_path / "warm"), 0.5) for number in range(6)]
    with connected(asked), Pool(square, asked, updates.append) as pool:
        pool.run(warm)  # both nodes have a process, so neither is idle when it is lost
        assert pool.run(jobs, done) == [job.number**2 for job in jobs]
    loss.join()
    begun = initial(path)
    assert sorted(told) == [job.number for job in jobs], "each is told once"
    again = [number for number in set(begun) if begun.count(number) > 1]
    assert len(again) <= 2 and not set(again) & set(told[:3]), "what was finished is not repeated"
    assert len(begun) == len(jobs) + len(again)
    assert any("was lost" in update.text for update in updates), (begun, told, updates)


@pytest.mark.slow
def test_a_job_that_always_fails_ends_in_one_line_and_loses_no_other(cluster: TwoNodes, tmp_path: Path) -> None:
    asked, path = Cluster(cluster.address), tmp_path / "starts"
    told: list[int] = []
    with connected(asked), Pool(square, asked) as pool:
        with pytest.raises(RuntimeError, match=r"job 1 of 3 failed \(OverflowError: thirteen\) 5 times") as error:
            pool.run([Errand(number, str(path)) for number in (13, 1, 2)], lambda job, _: told.append(job.number))
        assert "\n" not in str(error.value) and sorted(told) == [1, 2]
        assert sorted(initial(path)) == [1, 2] + [13] * ATTEMPTS
        with pytest.raises(ValueError, match="a number below 0"):
            pool.run([Errand(-3, str(path))])
    assert initial(path).count(-3) == 1, "bad input is not tried again"


@pytest.mark.slow
def test_more_than_any_node_has_is_one_line(cluster: TwoNodes) -> None:
    much, words = Cluster(cluster.address, 64.0), r"no node of the cluster .* has 64 CPUs and 0 GPUs"
    with pytest.raises(ValueError, match=words) as error, connected(much):
        pass
    assert "\n" not in str(error.value)


FEASIBLE = FeasibleSpace.of(SMALL, BUDGET)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An architecture to be scored by a rule, slowly, and a file in which each start leaves a line."""

    architecture: Architecture
    initial: str


def rule(job: Candidate) -> Score:
    with Path(job.initial).open("a") as file:
        file.write(f"{job.architecture.id}\n")
    time.sleep(0.3)
    rows = job.architecture.stages
    return Score(sum((row.kernel == 5) + (row.squeeze > 0) + row.channels / 100 for row in rows) / 6, 1.0)


@pytest.mark.slow
def test_a_search_is_the_same_whatever_is_lost(cluster: TwoNodes, tmp_path: Path) -> None:
    search = Search(FEASIBLE, 24, 4, Objective(BUDGET.macs or 1))
    asked, path = Cluster(cluster.address), tmp_path / "starts"

    def here(architectures: Sequence[Architecture], on_result: OnResult) -> None:
        for row in architectures:
            on_result(row, rule(Candidate(row, str(tmp_path / "here"))))

    expected = run_search(search, here)
    finished: list[str] = []
    with connected(asked), Pool(rule, asked) as pool:

        def there(architectures: Sequence[Architecture], on_result: OnResult) -> None:
            def done(job: Candidate, score: Score) -> None:
                on_result(job.architecture, score)
                finished.append(job.architecture.id)
                if len(finished) == 10:  # in the middle of a batch
                    cluster.lose()

            pool.run([Candidate(row, str(path)) for row in architectures], done)

        found = run_search(search, there)
    assert found == expected and len(finished) == 24
    begun = path.read_text().split()
    again = {one for one in begun if begun.count(one) > 1}
    assert len(again) <= 2 and not again & set(finished[:10])


def talk(job: Errand) -> str:
    """Says something, and is lost the first time: what was said then comes along the second time."""
    say(("checkpoint", job.number))
    if not job.seconds:
        time.sleep(1.0)
        os._exit(1)
    return f"went on from {job.seconds:g}"


@pytest.mark.slow
def test_a_lost_job_goes_on_from_what_it_said(cluster: TwoNodes, tmp_path: Path) -> None:
    asked, heard = Cluster(cluster.address), list[tuple[str, int]]()

    def anew(job: Errand) -> Errand:
        assert ("checkpoint", job.number) in heard
        return dataclasses.replace(job, seconds=7.0)

    with connected(asked), Pool(talk, asked, heard=heard.append) as pool:
        jobs = [Errand(number, "") for number in (1, 2)]
        assert dict(pool.landing(jobs, anew)) == {0: "went on from 7", 1: "went on from 7"}


def test_a_places_memory_is_that_of_the_smallest_node(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0, "memory": 8e9}},
        {"Alive": True, "Resources": {"CPU": 2.0, "memory": 3e9}},
        {"Alive": False, "Resources": {"CPU": 8.0, "memory": 1e9}},
        {"Alive": True, "Resources": {"memory": 1e9}},
    ]
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    assert place_bytes(Cluster("127.0.0.1:1")) == 1_500_000_000
    assert place_bytes(Cluster("127.0.0.1:1", 2.0)) == 3_000_000_000
    assert place_bytes(Cluster("127.0.0.1:1", 0.0, 1.0)) == sys.maxsize, "of a GPU's memory Ray knows nothing"
