"""How long networks take, told from their description: terms, the fit, a limit on latency, the device file."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.formats import hold
from support.timing import TIMING

import budgetnet
from budgetnet import Budget, Network, adapt, fit, network, scale
from budgetnet.answers import profile as profiling
from budgetnet.answers.timing_fit import LEAST_NETWORKS, fitted_timing
from budgetnet.budgets.device_file import DeviceFile
from budgetnet.budgets.dials import DIALS, Position
from budgetnet.budgets.joint import JointSpace
from budgetnet.budgets.path import without_skips
from budgetnet.budgets.staged import fit_staged
from budgetnet.cli import main
from budgetnet.costs.latency import TERMS, Coefficient, DeviceTiming, amounts, terms_of
from budgetnet.experiments.reproduce import budget_flags
from budgetnet.experiments.solve.candidates import candidates
from budgetnet.experiments.solve.latency import LatencyCheck, check_for
from budgetnet.networks.scaling import FitStrategy
from budgetnet.ship.untrained import machine

FAMILIES = ("efficientnet_b0", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "ghostnet", "resnet50")


def drawn_networks(count: int) -> list[Network]:
    names = (*FAMILIES, "efficientnetv2_b0", "tinynet_e")
    return [
        scale(network(names[index % len(names)], 10, (32 + 16 * (index % 7), 48)), -6 + 0.4 * (index % 13))
        for index in range(count)
    ]


@settings(max_examples=40)
@given(name=st.sampled_from(FAMILIES), phi=st.floats(-6.0, 0.0), more=st.floats(0.05, 1.5))
def test_no_term_falls_as_a_network_grows(name: str, phi: float, more: float) -> None:
    base = without_skips(network(name, 10, 64))
    for strategy in ("compound", "width", "depth", "resolution"):
        small, large = (terms_of(scale(base, at, strategy)) for at in (phi, phi + more))
        assert all(one <= other + 1e-6 for one, other in zip(small, large, strict=True)), strategy


@settings(max_examples=20)
@given(data=st.data(), name=st.sampled_from(FAMILIES[:4]))
def test_terms_of_parts_are_the_networks_own(data: st.DataObject, name: str) -> None:
    space = JointSpace(network(name, 10, 48), Budget(latency_us=900, timing=TIMING), largest_px=64)
    at = Position(*(data.draw(st.integers(0, space.dials.count(dial) - 1)) for dial in DIALS))
    assert space.terms(at) == pytest.approx(terms_of(space.dials.network(at)))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_strategy_keeps_a_latency_and_the_next_network_does_not(name: str) -> None:
    budget = Budget(latency_us=700, timing=TIMING, params=3_000_000)
    base = adapt(network(name, 10), 64)
    for strategy in ("compound", "width", "joint", "staged"):
        found = fit(base, budget, strategy, largest_px=96)
        rows = {row.name: row for row in found.certificate.limits}
        assert rows["latency_us"].used == TIMING.bound_us(found.network) <= 700
        assert rows["params"].left >= 0
        following = found.certificate.next
        if following is not None:
            assert not budget.check(following.network).fits


@pytest.mark.slow
def test_joint_is_the_most_multiply_adds_of_all_that_keep_a_latency() -> None:
    base = dataclasses.replace(network("mobilenet_v1", 10, 32), head=network("mobilenet_v1").head)
    budget = Budget(latency_us=130, timing=TIMING)
    space = JointSpace(base, budget, largest_px=40)
    counts = [range(space.dials.count(dial)) for dial in DIALS]
    best = 0
    for depth in counts[0]:
        for width in counts[1]:
            for size in counts[2]:
                at = Position(depth, width, size, 0)
                one = space.dials.network(at)
                if budget.check(one).fits and space.in_band(at):
                    best = max(best, budgetnet.cost(one).macs)
    assert fit(base, budget, "joint", largest_px=40).cost.macs == best > 0


def test_staged_uses_a_latency_that_joint_leaves() -> None:
    base, budget = network("mobilenet_v2", 10, 64), Budget(latency_us=800, timing=TIMING, params=600_000)
    joint, staged = fit(base, budget, "joint", largest_px=64), fit_staged(base, budget, largest_px=64)
    assert staged.cost.macs >= joint.cost.macs
    assert budget.check(staged.network).fits


def test_coefficients_that_made_the_times_are_found_again() -> None:
    networks = drawn_networks(40)
    terms = [terms_of(one) for one in networks]
    times = [TIMING.us_of(row) for row in terms]
    found = fitted_timing(terms, times, "x", "other", "float32", 1)
    assert found.timing.ninety_error < 0.01
    assert found.timing.margin < 0.01
    assert all(row.ns >= 0 for row in found.timing.coefficients)
    assert [found.timing.us_of(row) for row in terms] == pytest.approx(times, rel=0.01)


def test_the_margin_is_what_nine_in_ten_others_keep() -> None:
    networks = drawn_networks(140)
    noise = np.exp(np.random.default_rng(3).normal(0, 0.1, len(networks)))
    terms = [terms_of(one) for one in networks]
    times = [TIMING.us_of(row) * more for row, more in zip(terms, noise.tolist(), strict=True)]
    timing = fitted_timing(terms[:60], times[:60], "x", "other", "float32", 1).timing
    kept = [time <= timing.bound_of(row) for row, time in zip(terms[60:], times[60:], strict=True)]
    assert 0.8 <= np.mean(kept) <= 0.99
    assert 0.05 < timing.margin < 0.3


def test_the_larger_of_two_networks_never_takes_less() -> None:
    near = amounts(terms_of(network("mobilenet_v3_small")), 10)
    assert len(near) == len(TERMS)
    assert TIMING.bound_us(network("efficientnet_b1")) > TIMING.bound_us(network("efficientnet_b0"))


@pytest.mark.parametrize(
    ("given_fields", "says"),
    [
        ({"latency_us": 100}, "no timing"),
        ({"timing": TIMING, "macs": 5_000_000}, "no latency_us"),
        ({"latency_us": "8", "timing": TIMING}, "8ms"),
        ({"latency_us": "8MB", "timing": TIMING}, "8MB"),
        ({"latency_us": 0, "timing": TIMING}, "latency_us"),
    ],
)
def test_half_a_limit_is_one_line(given_fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Budget(**given_fields)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_a_latency_is_given_as_people_write_it() -> None:
    assert Budget(latency_us="0.7ms", timing=TIMING).latency_us == 700  # pyright: ignore[reportArgumentType]
    assert Budget(latency_us="250us", timing=TIMING).latency_us == 250  # pyright: ignore[reportArgumentType]


def test_a_budget_with_a_latency_is_written_and_read() -> None:
    budget = Budget(macs=60_000_000, latency_us=8_000, timing=TIMING)
    assert Budget.from_dict(json.loads(json.dumps(budget.to_dict()))) == budget
    assert str(budget) == "macs <= 60,000,000 and latency_us <= 8,000 by other"
    assert "latency_us" not in Budget(macs=5).to_dict()
    assert budget.times(0.5).latency_us == 4_000


def test_times_from_elsewhere_make_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = drawn_networks(LEAST_NETWORKS + 2)
    lines = ["network,time"]
    for index, one in enumerate(networks):
        (tmp_path / f"{index}.json").write_text(one.to_json())
        lines.append(f"{index}.json,{TIMING.predicted_us(one) / 1000:.4f}ms")
    (tmp_path / "phone.csv").write_text("\n".join(lines))
    out = tmp_path / "device.json"
    assert main(["profile", "--from", str(tmp_path / "phone.csv"), "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    hold(printed, "profile --json")
    hold(json.loads(out.read_text()), "device.json")
    assert printed["timing"]["device"] == "phone"
    timing = budgetnet.read_device(out)
    assert (timing.runtime, timing.networks) == ("other", len(networks))
    arguments = ["fit", "mobilenet_v2", "--resolution", "64", "--latency", "1ms", "--device-file", str(out)]
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    hold(answer, "fit --json")
    hold(json.loads(json.dumps(Budget(latency_us=9, timing=timing).to_dict())), "Budget")
    used = {row["name"]: row["used"] for row in answer["certificate"]["limits"]}
    assert 0 < used["latency_us"] <= 1_000
    assert main(arguments) == 0
    assert "latency us" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("mobilenet_v2,12\n", "12ms"),
        ("mobilenet_v2\n", "line 1"),
        ("no_such_net,12ms\n", "no_such_net"),
        ("mobilenet_v2,12ms\n", "at least 8"),
        ("gone.json,12ms\n", "gone.json"),
    ],
)
def test_a_list_that_says_nothing_is_one_line(
    content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "times.csv").write_text(content)
    out = tmp_path / "device.json"
    assert main(["profile", "--from", str(tmp_path / "times.csv"), "--out", str(out)]) in (1, 2)
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other.v1"}, "budgetnet.device.v1"),
        ({"timing": None}, "timing"),
        ({"versions": 3}, "versions"),
    ],
)
def test_a_damaged_device_file_is_one_line(
    change: dict[str, object], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "device.json"
    path.write_text(json.dumps({**DeviceFile(TIMING, {}, ()).record(), **change}))
    assert main(["fit", "mobilenet_v2", "--latency", "8ms", "--device-file", str(path)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def device_file(folder: Path, timing: DeviceTiming = TIMING) -> Path:
    path = folder / "device.json"
    path.write_text(json.dumps(DeviceFile(timing, {}, ()).record()))
    return path


def test_a_certificate_says_what_is_predicted_and_how_far_it_may_be_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = device_file(tmp_path)
    assert main(["fit", "mobilenet_v2", "--latency", "3ms", "--device-file", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (row,) = answer["certificate"]["limits"]
    told = row["prediction"]
    assert math.ceil(told["predicted_us"] * (1 + TIMING.margin)) == row["used"] <= 3000
    assert (told["device"], told["median_error"], told["ninety_error"]) == ("a made device", 0.05, 0.1)
    hold(answer, "fit --json")
    assert main(["fit", "mobilenet_v2", "--latency", "3ms", "--device-file", str(path)]) == 0
    assert "10 % on top" in " ".join(capsys.readouterr().out.split())
    assert main(["cost", "mobilenet_v2", "--device-file", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["latency"]["predicted_us"] == pytest.approx(TIMING.predicted_us(network("mobilenet_v2")))
    hold(answer, "cost --json")
    assert main(["cost", "mobilenet_v2", "--device-file", str(path)]) == 0
    assert "ms predicted on a made device" in capsys.readouterr().out


def test_times_in_float_say_nothing_of_eight_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["fit", "mobilenet_v2", "--latency", "3ms", "--device-file", str(device_file(tmp_path)), "--dtype", "int8"]
    assert main(asked) == 2
    assert "profile --dtype" in capsys.readouterr().err


def test_what_makes_a_run_again_has_its_latency() -> None:
    budget = Budget(latency_us=300, timing=TIMING, macs=5_000_000)
    assert list(budget_flags(budget)) == ["--macs", "5000000", "--latency", "300us", "--device-file", "device.json"]


def test_a_timing_of_another_version_and_one_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="profile"):
        dataclasses.replace(TIMING, coefficients=TIMING.coefficients[1:])
    with pytest.raises(ValueError, match="takes any time"):
        dataclasses.replace(TIMING, coefficients=tuple(Coefficient(name, 0.0) for name in TERMS))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("model,milliseconds\nmobilenet_v2,3ms", "a heading is `network,time`"),
        ("mobilenet_v2,3ms\nmobilenet_v2,4ms", "lines 1 and 2"),
    ],
)
def test_a_list_with_a_fault_says_which_line(lines: str, said: str, tmp_path: Path) -> None:
    times = tmp_path / "times.csv"
    times.write_text(lines)
    with pytest.raises(ValueError, match=said):
        budgetnet.profile_from(times, tmp_path / "out.json")


def test_times_that_no_network_explains_are_told_to_be_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = tmp_path / "times.csv"
    names = [name for name in budgetnet.names() if not name.startswith("tf_")][:12]
    times.write_text("\n".join(f"{name},{(1, 500)[index % 2]}ms" for index, name in enumerate(names)))
    assert main(["profile", "--from", str(times), "--out", str(tmp_path / "device.json")]) == 0
    assert "tells little" in capsys.readouterr().err
    assert main(["profile", "--from", str(times), "--runtime", "tflite"]) == 2


@pytest.mark.parametrize("arguments", [["--latency", "8ms"], ["--device-file", "device.json", "--macs", "5M"]])
def test_a_latency_without_its_device_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "mobilenet_v2", *arguments]) == 2
    assert "belong together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("runtime", "dtype"),
    [("torch", "float32"), ("tflite", "int8"), pytest.param("onnxruntime", "int8", marks=pytest.mark.slow)],
)
def test_networks_are_timed_in_their_runtime(
    runtime: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "NETWORKS", LEAST_NETWORKS)
    monkeypatch.setattr(profiling, "CHOSEN", 1)
    monkeypatch.setattr(profiling, "SECONDS", 0.02)
    monkeypatch.setattr(profiling, "MOST_MACS", 6_000_000)
    out = tmp_path / "device.json"
    timing = budgetnet.profile(runtime, dtype, out, ["mobilenet_v1", "mobilenet_v2"])  # pyright: ignore[reportArgumentType]
    assert budgetnet.read_device(out) == timing
    assert timing.predicted_us(network("mobilenet_v2", 10, 32)) > 0
    stored = json.loads(out.read_text())
    assert stored["versions"]
    assert len(stored["measured"]) == timing.networks


def test_a_runtime_that_has_no_such_numbers_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--runtime", "torch", "--dtype", "int8"]) == 2
    assert "another runtime" in capsys.readouterr().err


def test_the_networks_that_are_timed_are_always_the_same() -> None:
    bases = [network("mobilenet_v1"), network("mobilenet_v2")]
    first, second = ([one.name for one, _ in zip(profiling.drawn(bases), range(6), strict=False)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 6


def test_candidates_that_miss_make_room_for_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    images, limit = budgetnet.open_images("digits", 0), 250
    budget = Budget(latency_us=limit, timing=TIMING)
    slower = 1.3
    monkeypatch.setattr(LatencyCheck, "_measured_us", lambda self, one: slower * TIMING.bound_us(one))
    check = LatencyCheck(TIMING, limit, None)
    strategies: list[FitStrategy] = ["compound"]
    asked = images, budget, 2, ["mobilenet_v2"], strategies
    rows = check.found(lambda obstacle: candidates(*asked, obstacle=obstacle))
    (raced,) = [row for row in rows if row.raced][:1]
    assert slower * TIMING.bound_us(raced.network) <= limit
    assert "latency_us" in raced.fit.certificate.hindrances
    assert raced.fit.certificate.limits[0].limit == limit
    quick = candidates(*asked)[0]
    assert TIMING.bound_us(raced.network) < TIMING.bound_us(quick.network) <= limit
    (measured,) = check.rows({raced.id: raced.network})
    assert measured.measured_ms == pytest.approx(slower * measured.predicted_us / 1000)


def test_what_has_no_time_is_not_told_as_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LatencyCheck, "_measured_us", lambda self, one: None)
    check = LatencyCheck(TIMING, 250, None)
    images, strategies = budgetnet.open_images("digits", 0), list[FitStrategy](["compound"])
    asked = images, Budget(latency_us=250, timing=TIMING), 2, ["mobilenet_v2"], strategies
    rows = check.found(lambda obstacle: candidates(*asked, obstacle=obstacle))
    assert rows == candidates(*asked)
    assert check.rows({row.id: row.network for row in rows}) == ()


def test_the_times_of_another_machine_are_not_measured_here() -> None:
    assert check_for(Budget(latency_us=9, timing=TIMING), None) is None
    assert check_for(Budget(macs=9), None) is None
    here = dataclasses.replace(TIMING, device=machine(), runtime="torch")
    assert check_for(Budget(latency_us=9, timing=here), None) is not None
    longer = dataclasses.replace(here, device=f"{here.device}, of another series")
    assert check_for(Budget(latency_us=9, timing=longer), None) is None
