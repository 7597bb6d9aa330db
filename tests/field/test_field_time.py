"""Too little time or memory for a training is said before it starts, and a training that learned nothing is none."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.finished_runs import finished_train, train_record
from support.simulated import SimulatedClock, limits_of

from budgetnet import Budget, network, solve, train
from budgetnet.budgets.budget import MEMORY, TIME
from budgetnet.budgets.path import LEAST_PHI
from budgetnet.budgets.path import Path as ScalingPath
from budgetnet.cluster.executor import LocalExecutor
from budgetnet.data import ImageSet, open_images
from budgetnet.experiments.bases import adapted_bases
from budgetnet.experiments.experiment import Context
from budgetnet.experiments.solve.candidates import Contender, candidates
from budgetnet.experiments.solve.plan import SolvePlan, propose
from budgetnet.experiments.solve.request import SolveRequest
from budgetnet.experiments.timing import TimeBudget
from budgetnet.networks import Network
from budgetnet.networks.scaling import PAPER, STRATEGIES
from budgetnet.parallel.workers import Workers
from budgetnet.statistics import log_losses
from budgetnet.training.augmenting import Augment
from budgetnet.training.chance import against_chance
from budgetnet.training.memory import _group_bytes, training_batch, training_bytes
from budgetnet.training.plan import TooShort, too_few
from budgetnet.training.recipe import MODERN
from budgetnet.training.speed import LEAST_EPOCHS

SMALL = ("mobilenet_v1", "efficientnet_b0")


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture(scope="module")
def without_limits(digits: ImageSet) -> tuple[Contender, ...]:
    """The candidates where there is time and memory for any."""
    return candidates(digits, Budget(macs=60_000_000), 4, SMALL)


@pytest.fixture(scope="module")
def path_networks(digits: ImageSet) -> list[Network]:
    """A few dozen networks of two paths, from the smallest to some that no one could train."""
    rows: list[Network] = []
    for _, dropped, base in adapted_bases(digits, SMALL):
        if dropped == 1:
            path = ScalingPath(base, "compound", largest_px=64)
            rows += [path.at(phi) for phi in np.linspace(LEAST_PHI, path.last_phi, 12).tolist()]
    return rows


@settings(max_examples=40)
@given(
    st.integers(500_000, 10**9),
    st.floats(1.0, 100.0),
    st.floats(1e9, 1e15),
    st.floats(1.0, 100.0),
    st.integers(10**7, 10**11),
    st.floats(1.0, 100.0),
)
def test_what_can_be_trained_stays_in_the_pool_with_more_of_anything(
    path_networks: list[Network], macs: int, more_macs: float, work: float, more_work: float, size: int, more: float
) -> None:
    budget, larger = Budget(macs=macs), Budget(macs=int(macs * more_macs))
    limits = dataclasses.replace(limits_of(work), bytes=size)
    longer = dataclasses.replace(limits_of(work * more_work), bytes=int(size * more))
    for row in path_networks:
        if budget.check(row).fits and not limits.obstacles(row):
            assert larger.check(row).fits and not longer.obstacles(row)
        if not limits.obstacles(row, well=True):
            assert not longer.obstacles(row, well=True) and not limits.obstacles(row)


def test_where_time_is_short_smaller_networks_take_part(
    digits: ImageSet, without_limits: tuple[Contender, ...]
) -> None:
    found = candidates(digits, Budget(macs=60_000_000), 4, SMALL, training=limits_of(1e12))
    raced = [row for row in found if row.raced]
    limits = limits_of(1e12)
    assert len(raced) == 4 and all(limits.epochs(row.network) >= LEAST_EPOCHS for row in found)
    assert [limits.is_short_for(row.network) for row in raced] == [False, False, True, True]
    assert any(row.fit.certificate.next and TIME in row.fit.certificate.next.breaks for row in raced)
    assert all("sees" in row.why or "see each image" in row.why for row in raced[2:])
    ample = candidates(digits, Budget(macs=60_000_000), 4, SMALL, training=limits_of(1e16))
    assert [row.network for row in ample if row.raced] == [row.network for row in without_limits if row.raced]


def test_memory_is_a_limit_of_the_candidates_too(digits: ImageSet, without_limits: tuple[Contender, ...]) -> None:
    budget = Budget(macs=60_000_000)
    largest = max(training_bytes(row.network, MODERN, 8) for row in without_limits)
    limits = dataclasses.replace(limits_of(1e16), bytes=largest // 4)
    found = candidates(digits, budget, 4, SMALL, training=limits)
    assert all(training_bytes(row.network, MODERN, 8) <= largest // 4 for row in found)
    assert any(row.fit.certificate.next and MEMORY in row.fit.certificate.next.breaks for row in found)
    with pytest.raises(ValueError, match="GB that each training") as caught:
        candidates(digits, budget, 4, SMALL, training=dataclasses.replace(limits, bytes=1000))
    assert "\n" not in str(caught.value)


def plan_of(digits: ImageSet, run: Path, budget: Budget, seconds: float, speed: float) -> SolvePlan:
    """What a solve would race on a simulated machine, planned and not trained."""
    request = SolveRequest(
        budget=budget,
        time_seconds=seconds,
        seed=0,
        recipe=None,
        bases=SMALL,
        strategies=STRATEGIES,
        pretrained="none",
        coefficients=PAPER,
        augment=Augment("off", "off", "off", "off"),
        precision="float32",
    )
    time = TimeBudget(SimulatedClock(speed), 0.0, seconds)
    return propose(request, Context(run, "digits", (digits,), LocalExecutor("cpu"), "float32", time, None, 0))


@pytest.mark.parametrize("speed", [4e8, *(pytest.param(speed, marks=pytest.mark.slow) for speed in (2e9, 3e10))])
def test_every_raced_network_is_trained_whatever_the_machine(digits: ImageSet, speed: float, tmp_path: Path) -> None:
    plan = plan_of(digits, tmp_path / "run", Budget(macs=60_000_000), 100.0, speed)
    images = len(digits.indices("train"))
    assert len(plan.entrants) >= 2
    assert all(row.config.epochs(images) >= LEAST_EPOCHS for row in plan.entrants)


@pytest.mark.slow
def test_a_time_in_which_nothing_can_be_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TooShort, match="is not a training; give at least") as caught:
        solve(
            "digits",
            Budget(macs=10**10),
            time_seconds=25.0,
            bases=SMALL,
            clock=SimulatedClock(2e7),
            out=tmp_path / "run",
        )
    assert "\n" not in str(caught.value) and caught.value.least_seconds > 25
    assert not (tmp_path / "run").exists()


def test_the_time_that_is_needed_grows_with_the_training_alone() -> None:
    """Half of 100 s are the final training's: for twice the epochs the other half stays, and the race grows with it."""
    limits = dataclasses.replace(limits_of(1e12, seconds=100.0), least_epochs=4.0)
    assert limits.least_seconds(4.0) == 100.0
    assert limits.least_seconds(2.0) == pytest.approx(100.0 + 50.0 / 0.7)


def test_limits_hold_for_a_finished_run_too(digits: ImageSet, tmp_path: Path) -> None:
    record, _ = finished_train(
        tmp_path / "run", digits, train_record("digits", digits, network("mobilenet_v1", resolution_px=32))
    )
    asked = record.request
    with pytest.raises(ValueError, match="was begun with another budget; give another --out, or --fresh") as caught:
        train("digits", asked.network, tmp_path / "run", epochs=asked.epochs, budget=Budget(macs=1000))
    assert "\n" not in str(caught.value)


def test_train_refuses_a_network_that_breaks_its_limits_or_the_time(tmp_path: Path) -> None:
    row = network("mobilenet_v2")
    with pytest.raises(ValueError, match=r"macs 29\d,\d{3},\d{3} where the limit is 1,000") as caught:
        train("digits", row, epochs=1, budget=Budget(macs=1000), out=tmp_path / "run")
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="train_bytes"):
        train("digits", network("efficientnet_b7"), epochs=1, budget=Budget(train_bytes=10**9), out=tmp_path / "run")
    slow = dataclasses.replace(row, resolution_px=(2000, 2000))
    with pytest.raises(ValueError, match=r"takes this machine far longer; give at least|of memory are free"):
        train("digits", slow, time_seconds=5, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_batch_follows_the_memory() -> None:
    row, images = network("mobilenet_v2"), 10_000
    whole = training_batch(MODERN, images, [row], "cpu", room=10**12)
    assert whole == MODERN.batch
    need = training_bytes(row, MODERN, whole)
    smaller = training_batch(MODERN, images, [row], "cpu", most_bytes=need // 3, room=10**12)
    assert 8 <= smaller < whole and training_bytes(row, MODERN, smaller) <= need // 3
    with pytest.raises(ValueError, match="the fewest that train well, and --train-bytes allows") as caught:
        training_batch(MODERN, images, [row], "cpu", most_bytes=10**6, room=10**12)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="of memory are free"):
        training_batch(MODERN, images, [row], "cpu", room=10**8)


@pytest.mark.slow
def test_waiting_threads_of_a_worker_sleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for policy, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if policy is not None:
            monkeypatch.setenv("OMP_WAIT_POLICY", policy)
        with Workers(os.getenv, 1) as workers:
            assert workers.run(["OMP_WAIT_POLICY"]) == [expected]


def test_a_control_groups_limit_counts(tmp_path: Path) -> None:
    group = tmp_path / "root" / "outer" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/outer/inner\n")
    for folder, limit in ((group, "max"), (group.parent, "1000000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("700000\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert list(_group_bytes(tmp_path / "cgroup", tmp_path / "root")) == [500_000]
    assert list(_group_bytes(tmp_path / "nothing", tmp_path / "root")) == []


def test_answers_must_beat_the_class_frequencies(digits: ImageSet) -> None:
    indices = digits.indices("validation")
    labels = np.asarray(digits.labels)[indices]
    counts = np.bincount(np.asarray(digits.labels)[digits.indices("train")], minlength=10) + 1.0
    chance = np.tile(counts / counts.sum(), (len(labels), 1))
    good = 0.2 * np.eye(10)[labels] + 0.08
    assert against_chance(log_losses(good / good.sum(1, keepdims=True), labels), labels, digits).learned
    none = against_chance(log_losses(chance, labels), labels, digits)
    assert not none.learned and none.loss == pytest.approx(none.chance_loss)
    noise = np.random.default_rng(0).dirichlet(np.ones(10), len(labels))
    assert not against_chance(log_losses(noise, labels), labels, digits).learned
    with pytest.raises(ValueError, match="learned nothing: after 3 times through the images") as caught:
        none.check("a network", 3.0)
    assert "\n" not in str(caught.value)
    few = against_chance(np.array([0.1, 2.2]), labels[:2], digits)
    with pytest.raises(ValueError, match="2 validation images do not tell whether a network learned anything"):
        few.check("a network", 3.0)


def noise_folder(folder: Path, images: int) -> Path:
    """Two classes of the same noise: there is nothing to learn."""
    random = np.random.default_rng(0)
    for name in ("one", "other"):
        (folder / name).mkdir(parents=True)
        for index in range(images):
            pixels = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.slow
def test_a_training_that_learned_nothing_is_refused_and_refused_again(tmp_path: Path) -> None:
    data = noise_folder(tmp_path / "noise", 60)
    row = dataclasses.replace(network("mobilenet_v3_small"), resolution_px=(16, 16))
    for _ in range(2):  # the second time from what the first left, without training
        with pytest.raises(ValueError, match="learned nothing") as caught:
            train(data, row, epochs=2, out=tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_more_of_either_limit_never_costs_accuracy(tmp_path: Path) -> None:
    """The mean of three seeds on a grid of budgets and times, on a machine of one chosen speed."""
    budgets, times, seeds = (500_000, 4_000_000, 60_000_000), (40.0, 80.0, 160.0), (0, 1, 2)
    mean: dict[tuple[int, float], float] = {}
    for macs in budgets:
        for seconds in times:
            accuracies = [
                solve(
                    "digits",
                    Budget(macs=macs),
                    time_seconds=seconds,
                    seed=seed,
                    out=tmp_path / f"{macs}-{seconds:g}-{seed}",
                    clock=SimulatedClock(1e9),
                ).test.top1
                for seed in seeds
            ]
            mean[macs, seconds] = sum(accuracies) / len(accuracies)
    print(
        json.dumps({f"{macs / 1e6:g} M, {seconds:g} s": round(100 * one, 2) for (macs, seconds), one in mean.items()})
    )
    for macs in budgets:
        for earlier, later in itertools.pairwise(times):
            assert mean[macs, later] >= mean[macs, earlier] - 0.02, (macs, earlier, later)
    for seconds in times:
        for less, more in itertools.pairwise(budgets):
            assert mean[more, seconds] >= mean[less, seconds] - 0.02, (seconds, less, more)


@pytest.mark.parametrize("least", [2.0, 4.0])
@pytest.mark.parametrize("missing", [3.0, 0.9, 0.04, 0.004, 1e-9])
def test_a_number_that_is_too_small_is_not_rounded_up_to_what_would_do(least: float, missing: float) -> None:
    shown = too_few(max(0.0, least - missing), least)
    assert float(shown.split(" ")[0]) < least and shown.endswith(f"fewer than {least:g} times is not a training")
