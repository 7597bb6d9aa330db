"""zoo, cost, scale and fit on the command line: the answer, one JSON document, one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import budgetnet
from budgetnet.cli import main
from budgetnet.networks import Network

Capture = pytest.CaptureFixture[str]


def answer(capsys: Capture, *arguments: str, code: int = 0) -> str:
    """What a command prints; nothing may go to standard error."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def document(capsys: Capture, *arguments: str, code: int = 0) -> Any:
    return json.loads(answer(capsys, *arguments, "--json", code=code))


def complaint(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line that a command says about its input."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("budgetnet: ") and captured.err.count("\n") == 1
    return captured.err


def test_fit_prints_the_network_and_its_certificate(capsys: Capture) -> None:
    out = answer(capsys, "fit", "efficientnet_b0", "--macs", "60M", "--params", "3M")
    found = budgetnet.fit(budgetnet.network("efficientnet_b0"), budgetnet.Budget(macs=60_000_000, params=3_000_000))
    assert str(found.network) in out
    assert f"{found.cost.macs:,}" in out and "60,000,000" in out
    assert f"phi = {found.certificate.next.phi:.6g}" in out if found.certificate.next else False
    assert max(map(len, out.splitlines()[1:-1])) <= 80


def test_fit_as_json_is_the_fit(capsys: Capture) -> None:
    row = document(
        capsys, "fit", "mobilenet_v2", "--peak-activation-bytes", "1MiB", "--dtype", "int8", "--classes", "7"
    )
    base = budgetnet.network("mobilenet_v2", classes=7)
    found = budgetnet.fit(base, budgetnet.Budget(peak_activation_bytes=1024**2, dtype="int8"))
    assert set(row) == {"network", "phi", "cost", "certificate", "strategy"}
    assert Network.from_json(json.dumps(row["network"])) == found.network
    assert row["phi"] == found.phi
    assert row["cost"]["peak_activation_bytes"] == found.cost.peak_activation_bytes
    assert row["certificate"] == found.certificate.to_dict()


@pytest.mark.parametrize("strategy", ["width", "tiny", "dWr"])
def test_fit_by_another_strategy(capsys: Capture, strategy: str) -> None:
    row = document(capsys, "fit", "efficientnet_b0", "--macs", "100M", "--strategy", strategy)
    assert row["strategy"] == strategy
    assert row["cost"]["macs"] <= 100_000_000


def test_coefficients_change_the_path(capsys: Capture) -> None:
    row = document(capsys, "fit", "efficientnet_b0", "--macs", "100M", "--coefficients", "1.4,1.05,1.1")
    coefficients = budgetnet.Coefficients(1.4, 1.05, 1.1)
    found = budgetnet.fit(
        budgetnet.network("efficientnet_b0"), budgetnet.Budget(macs=100_000_000), coefficients=coefficients
    )
    assert Network.from_json(json.dumps(row["network"])) == found.network


def test_a_saved_network_is_a_base_again(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    answer(capsys, "fit", "efficientnet_b0", "--macs", "60M", "--out", str(file))
    saved = Network.from_json(file.read_text(encoding="utf-8"))
    row = document(capsys, "cost", str(file))
    assert row["macs"] == budgetnet.cost(saved).macs
    assert document(capsys, "cost", str(tmp_path))["macs"] == row["macs"], "a run's folder holds its network"
    assert document(capsys, "fit", str(file), "--macs", "30M")["cost"]["macs"] <= 30_000_000


def test_cost_counts_what_python_counts(capsys: Capture) -> None:
    row = document(
        capsys, "cost", "mobilenet_v3_small", "--batch", "4", "--dtype", "float16", "--classes", "10",
        "--resolution", "96x128", "--dropped-strides", "1", "--ops",
    )  # fmt: skip
    network = budgetnet.adapt(budgetnet.network("mobilenet_v3_small", classes=10), (96, 128), 1)
    price = budgetnet.cost(network, 4, "float16")
    assert row["params"] == price.params and row["peak_bytes"] == price.peak_bytes
    assert row["batch"] == 4 and row["dtype"] == "float16"
    assert row["train_bytes"]["adamw"] == price.train_bytes(4, "adamw")
    assert sum(op["macs"] for op in row["ops"]) == price.macs
    assert Network.from_json(json.dumps(row["network"])) == network
    assert "certificate" not in row


def test_cost_says_whether_it_fits(capsys: Capture) -> None:
    assert document(capsys, "cost", "mobilenet_v2", "--macs", "400M")["certificate"]["limits"][0]["left"] > 0
    row = document(capsys, "cost", "mobilenet_v2", "--macs", "100M", code=1)
    assert row["certificate"]["limits"][0]["left"] < 0
    assert "breaks MACs" in answer(capsys, "cost", "mobilenet_v2", "--macs", "100M", code=1)


def test_cost_shows_every_op(capsys: Capture) -> None:
    out = answer(capsys, "cost", "mobilenet_v2", "--ops")
    names = [op.name for op in budgetnet.cost(budgetnet.network("mobilenet_v2")).ops]
    assert all(name in out for name in names)
    assert "…" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["zoo"],
        ["zoo", "--devices"],
        ["cost", "efficientnet_b7", "--ops"],
        ["scale", "efficientnet_b7", "--phi", "1"],
        ["fit", "efficientnet_b7", "--peak-activation-bytes", "64MiB", "--params", "60M"],
        ["fit", "efficientnet_lite0", "--target", "stm32h743"],
    ],
)
def test_tables_fit_80_columns(capsys: Capture, arguments: list[str]) -> None:
    """A terminal that is narrower than a table would fold its names; sentences wrap between words."""
    rows = [line.rstrip() for line in answer(capsys, *arguments).splitlines() if "  " in line.rstrip()]
    assert max(map(len, rows)) <= 80


def test_zoo_marks_the_front_and_draws_it(capsys: Capture, tmp_path: Path) -> None:
    lines = {line.split()[0]: line for line in answer(capsys, "zoo", "--macs", "400M").splitlines() if line}
    assert lines["mobilenet_v3_large"].rstrip().endswith("75.2*") and lines["mobilenet_v2"].rstrip().endswith("71.8")
    rows = {row["name"]: row for row in document(capsys, "zoo", "--resolution", "96")["networks"]}
    assert rows["mobilenet_v2"]["published_top1"] is None, "what was published at 224 px says nothing of 96"
    for name in ("zoo.png", "zoo.svg"):
        answer(capsys, "zoo", "--plot", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 10_000
    assert main(["zoo", "--plot", str(tmp_path / "zoo.txt")]) == 2
    assert "not a picture that can be drawn" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo.png", "zoo.svg"]


def test_scale_explains_itself(capsys: Capture) -> None:
    out = answer(capsys, "scale", "efficientnet_b0", "--phi", "-2")
    assert "83.3 % over" in out, "what rounding adds at phi = -2"
    assert "169.4" in out and "170x170" in out
    row = document(capsys, "scale", "efficientnet_b0", "--phi", "-2")
    scaled = budgetnet.scale(budgetnet.network("efficientnet_b0"), -2.0)
    assert Network.from_json(json.dumps(row["network"])) == scaled
    assert row["nominal_ratio"] == 0.25 and row["scaling"]["resolution"] == pytest.approx(1.15**-2)


def test_zoo_lists_all_and_filters(capsys: Capture) -> None:
    rows = document(capsys, "zoo")["networks"]
    assert [row["name"] for row in rows] == list(budgetnet.names())
    few = document(capsys, "zoo", "--macs", "300M", "--params", "5M")["networks"]
    assert 0 < len(few) < len(rows)
    assert all(row["macs"] <= 300_000_000 and row["params"] <= 5_000_000 for row in few)
    out = answer(capsys, "zoo")
    assert "mobilenet_v3_small" in out
    assert "No network" in answer(capsys, "zoo", "--macs", "1K")


def test_devices_are_listed_and_are_targets(capsys: Capture) -> None:
    devices = document(capsys, "zoo", "--devices")["devices"]
    assert len(devices) >= 10
    out = answer(capsys, "zoo", "--devices")
    for device in devices:
        assert device["source"] and device["name"] in out
    name = devices[0]["name"]
    row = document(capsys, "cost", "mobilenet_v2", "--target", name, "--macs", "1G", code=1)
    limits = {each["name"]: each["limit"] for each in row["certificate"]["limits"]}
    assert limits["macs"] == 10**9, "an explicit limit overrides"
    assert len(limits) > 1, "and the device's others stay"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "efficientnet_b0"], "at least one limit: --macs"),
        (["fit", "efficientnet_b0", "--macs", "sixty"], "--macs: 'sixty' is not a size"),
        (["fit", "efficientnet_b0", "--weight-bytes", "4M"], "4MiB"),
        (["fit", "efficientnet_b0", "--macs", "100"], "the smallest"),
        (["fit", "efficientnet_b0", "--params", "6M", "--strategy", "resolution"], "macs"),
        (["fit", "efficientnet_b0", "--macs", "60M", "--coefficients", "1.2"], "three numbers"),
        (
            ["fit", "efficientnet_b0", "--macs", "60M", "--strategy", "width", "--coefficients", "1.4,1.1,1.1"],
            "compound",
        ),
        (["fit", "efficientnet_b0", "--macs", "60M", "--strategy", "wide"], '"width"'),
        (["fit", "efficientnet_b0", "--macs", "60M", "--target", "toaster"], "toaster"),
        (["fit", "efficientnet_b0", "--macs", "60M", "--out", "network.txt"], "ends in .json"),
        (["fit", "eficientnet-b0", "--macs", "60M"], "did you mean efficientnet_b0?"),
        (["fit", "--macs", "60M"], "fit needs BASE"),
        (["cost", "nowhere.json"], "there is no network file nowhere.json"),
        (["cost", "mobilenet_v2", "--dtype", "int4"], "int8"),
        (["cost", "mobilenet_v2", "--batch", "0"], "at least 1"),
        (["cost", "mobilenet_v2", "--batch", "some"], "some"),
        (["cost", "mobilenet_v2", "--resolution", "0"], "at least 1"),
        (["cost", "mobilenet_v2", "--dropped-strides", "9"], "0 to 5"),
        (["cost", "mobilenet_v2", "another"], "'another' is one argument too many"),
        (["cost", "mobilenet_v2", "--mcas", "3M"], "Did you mean --macs?"),
        (["cots"], 'Did you mean "cost"?'),
        (["scale", "mobilenet_v2", "--phi", "nan"], "--phi: 'nan' is not a finite number"),
        (["scale", "mobilenet_v2", "--phi", "1", "--strategy", "tiny"], "only shrinks"),
        (["zoo", "--target", "toaster"], "toaster"),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys: Capture, arguments: list[str], words: str) -> None:
    assert words in complaint(capsys, *arguments)


def test_a_damaged_network_file_is_named(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "network.json"
    for content in (b"{", b'{"format": "other"}', b"\xff\xfe\x00", b"[]"):
        file.write_bytes(content)
        assert str(file) in complaint(capsys, "cost", str(file))


def test_a_folder_that_cannot_be_written_is_named(capsys: Capture, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "network.json"
    assert main(["fit", "efficientnet_b0", "--macs", "60M", "--out", str(missing)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == f"budgetnet: {missing}: no such file or directory\n"


@pytest.mark.parametrize("command", ["zoo", "cost", "scale", "fit", "solve", "train", "evaluate", "predict"])
def test_help_has_an_example_that_parses(capsys: Capture, command: str) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Example: budgetnet {command} " in " ".join(out.split())
    assert "--json" in out


def test_the_program_lists_its_commands(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("zoo ") < out.index("solve ") < out.index("predict ")
