"""Many networks in each runtime: a file that grows, is gone on with, and is refused where it is not this machine's."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.compared import ALONE
from support.formats import hold

import budgetnet
from budgetnet import Network, cost, network
from budgetnet.answers import latencies as module
from budgetnet.answers.latencies import FORMAT, Latencies, NetworkLatency
from budgetnet.cli import main
from budgetnet.codec import from_record
from budgetnet.costs.latency import TimedBy, TimedDType
from budgetnet.networks import zoo
from budgetnet.parallel.progress import Update
from budgetnet.ship.untrained import installed_runtimes, machine, timed_network, versions_of

SMALL = (network("mobilenet_v3_small", 5, 32), network("mobilenet_v2", 5, 32))


def read(file: Path) -> Latencies:
    record = json.loads(file.read_text())
    hold(record, "latencies.json")
    return from_record(Latencies, record, FORMAT, str(file))


def test_a_stopped_measurement_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "times.json"

    def stopping(update: Update) -> None:
        if update.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        budgetnet.latencies(SMALL, file, ["torch"], seconds=0.5, progress=stopping)
    first = read(file)
    assert [row.name for row in first.measured] == [SMALL[0].name]
    second = budgetnet.latencies(SMALL, file, ["torch"], seconds=0.5)
    assert second == read(file)
    assert second.measured[:1] == first.measured
    assert [row.name for row in second.measured] == [one.name for one in SMALL]
    for one in SMALL:
        (row,) = second.of(one)
        assert row.latency_ms
        assert row.reference_ms
        assert row.macs == cost(one).macs
    assert not second.of(network("mobilenet_v2", 5, 48)), "another size is another network"


def written(file: Path, networks: list[Network], dtype: TimedDType = "float32", **changes: Any) -> Latencies:
    """A file as if all runtimes had measured the networks: of two, the one with more multiply-adds is the faster."""
    measured: list[NetworkLatency] = []
    for one in networks:
        for index, runtime in enumerate(installed_runtimes(dtype)):
            taken = dataclasses.replace(ALONE, latency_ms=1e9 / cost(one).macs + index)
            sizes = (one.name, one.resolution_px, cost(one).params, cost(one).macs)
            measured.append(NetworkLatency(*sizes, runtime, dtype, taken, None, 3.0))
    versions = {name: text for each in installed_runtimes("float32") for name, text in versions_of(each).items()}
    found = dataclasses.replace(Latencies(machine(), versions, tuple(measured)), **changes)
    file.write_text(json.dumps(found.record()))
    return found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "a phone"}, "was measured on a phone"),
        ({"versions": {"torch": "0.1"}}, "was measured with torch 0.1"),
    ],
)
def test_times_of_another_machine_are_not_gone_on_with(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = tmp_path / "times.json"
    written(file, [SMALL[0]], **changes)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=said):
        budgetnet.latencies(SMALL, file, ["torch"])
    assert file.read_bytes() == before


def test_a_damaged_file_and_one_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "times.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"times\.json"):
        budgetnet.latencies(SMALL, file, ["torch"])
    with pytest.raises(OSError, match="absent"):
        budgetnet.latencies(SMALL, tmp_path / "absent" / "times.json", ["torch"])


def test_a_runtime_that_cannot_run_a_network_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(one: Network, runtime: TimedBy, *rest: Any) -> Any:
        if one.name == SMALL[1].name and one.resolution_px == SMALL[1].resolution_px:
            raise RuntimeError("no kernel for it\nand more")
        return timed_network(one, runtime, *rest)

    monkeypatch.setattr(module, "timed_network", failing)
    found = budgetnet.latencies(SMALL, tmp_path / "times.json", ["torch"], seconds=0.5)
    assert [row.failure for row in found.measured] == [None, "RuntimeError: no kernel for it"]
    assert not found.of(SMALL[1])
    assert read(tmp_path / "times.json") == found


def test_the_zoo_is_told_and_drawn_by_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "times.json"
    written(file, [zoo.network(name) for name in ("tinynet_e", "tinynet_d", "mobilenet_v3_small")])
    asked = ["zoo", "--macs", "60M", "--latencies", str(file)]
    picture = tmp_path / "zoo.svg"
    assert main([*asked, "--plot", str(picture)]) == 0
    shown = capsys.readouterr().out
    assert "mobilenet_v3_small" in shown
    assert "in less time" in shown
    assert machine() in shown
    assert "milliseconds" in picture.read_text()
    assert main([*asked, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    hold(answer, "zoo --json")
    rows = {row["name"]: row for row in answer["networks"]}
    # The file above has the largest as the fastest, and it has the best accuracy, too.
    assert [name for name, row in rows.items() if row["pareto"]] == ["mobilenet_v3_small"]
    times = [row["measurement"]["latency_ms"] for row in rows["tinynet_e"]["latencies"]]
    assert times == sorted(times)
    assert len(times) == len(installed_runtimes("float32"))


def test_bytes_and_times_are_of_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "times.json"
    names = ("tinynet_e", "tinynet_d", "mobilenet_v3_small")
    written(file, [zoo.network(name) for name in names], dtype="int8")
    asked = ["zoo", "--macs", "60M", "--latencies", str(file), "--dtype", "int8"]
    assert main([*asked, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["networks"]
    assert {time["dtype"] for row in rows for time in row["latencies"]} == {"int8"}
    assert main(asked) == 0
    assert "one image in int8" in capsys.readouterr().out
    assert main(["zoo", "--macs", "60M", "--latencies", str(file), "--dtype", "float16"]) == 2
    assert "float32 or int8" in capsys.readouterr().err


def test_measure_in_another_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    asked = ["measure", "mobilenet_v3_small", "--resolution", "32", "--runtime", "tflite"]
    assert main([*asked, "--seconds", "0.5s"]) == 0
    assert "LiteRT" in capsys.readouterr().out
    for option, value in (("--batch", "2"), ("--threads", "2"), ("--device", "cuda")):
        assert main([*asked, option, value]) == 2
        said = capsys.readouterr().err
        assert "LiteRT" in said or option == "--threads"
    assert main(["measure", "mobilenet_v3_small", "--dtype", "int8"]) == 2
    assert "float32" in capsys.readouterr().err


@pytest.mark.slow
def test_two_networks_in_all_runtimes_stand_beside_their_published_ratio(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["measure", "efficientnet_b1", "resnet152", "--runtime", "all", "--seconds", "0.5s"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "5.65 times" in shown
    assert shown.count("*") == 3  # one of each network, and what it means
    assert main([*asked, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    hold(answer, "measure --json")
    assert len(answer["measurements"]) == 2 * len(installed_runtimes("float32"))
