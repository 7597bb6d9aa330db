"""Every public function checks what it is given: one line that names the argument, before anything is made."""

from __future__ import annotations

import inspect
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import budgetnet
from budgetnet import Budget, Coefficients

NOTHING = object()
WRONG: Mapping[str, tuple[Any, ...]] = {
    "integer": (-1, 1.5, math.nan, math.inf, True, "nonsense", "", b"3", [3], {}, np.array([1, 2]), NOTHING),
    "number": (math.nan, math.inf, True, "nonsense", b"3", [3], {}, 10**400, NOTHING),
    "time": (0, -1, math.nan, math.inf, True, "15", "nonsense", b"15m", [3], NOTHING),
    "path": (5, 1.5, True, b"runs", [], {}, "", " ", "a\0b", NOTHING),
    "text": (5, True, b"x", {}, NOTHING),
    "names": (5, True, b"x", [5], {}, NOTHING),
    "flag": (5, 0, "yes", None, [], NOTHING),
    "choice": (None, 5, math.nan, True, "nonsense", "", b"cpu", ["cpu"], {}, np.array([1, 2]), NOTHING),
    "budget": (None, "60M", 60e6, {"macs": 1}, [], True, NOTHING),
    "network": (None, "efficientnet_b0", 5, b"x", [], {}, NOTHING),
    "base": (5, True, b"x", "nonsense", "", [], {}, NOTHING),
    "bases": (5, True, b"x", "nonsense", [], [5], ["nonsense"], {}, NOTHING),
    "coefficients": (None, 1.2, "1.2,1.1,1.15", (1.2, 1.1, 1.15), [], NOTHING),
    "recipe": (5, True, b"x", "magic", "", [], {}, NOTHING),
    "listener": (5, True, "yes", [], {}, NOTHING),
    "value": (5, True, "yes", b"x", [], {}, NOTHING),
    "resolution": (0, -1, 1.5, math.nan, True, "big", b"x", [32], [32, 0], [32, 32, 3], {}, NOTHING),
    "augment": (None, 5, True, b"x", "nonsense", [], {}, NOTHING),
    "activations": (5, True, b"x", "nonsense", [], [5], ["nonsense"], {}, NOTHING),
}
RUN = {
    "out": "path",
    "device": "choice",
    "precision": "choice",
    "fresh": "flag",
    "progress": "listener",
    "recipe": "recipe",
    "seed": "integer",
    "time_seconds": "time",
    "budget": "budget",
    "data": "path",
    "base": "base",
    "space": "value",
    "exponent": "number",
    "cluster": "value",
    "coefficients": "coefficients",
    "pretrained": "path",
    "augment": "augment",
    "clock": "value",
}
KINDS: Mapping[str, Mapping[str, str]] = {
    "activation_study": {**RUN, "network": "base", "activations": "activations", "seeds": "integer", "steps": "integer",
                         "probes": "integer", "probe_images": "integer"},
    "adapt": {"network": "network", "resolution_px": "resolution", "dropped_strides": "integer"},
    "build": {"network": "network", "seed": "integer"},
    "compare": {**RUN, "seeds": "integer", "networks": "bases", "strategy": "choice", "question": "choice",
                "start_share": "number"},
    "cost": {"network": "network", "batch": "integer", "dtype": "choice", "runtime": "choice"},
    "dead_units": {"model": "network", "batches": "value"},
    "evaluate": {"run": "path", "data": "path", "split": "choice", "device": "choice", "progress": "listener",
                 "network": "network", "class_names": "names", "max_error": "number"},
    "explain": {"run": "path", "images": "names", "beside": "names", "others": "names", "classes": "names",
                "stages": "names", "layer": "text", "drawn": "integer", "out": "path", "batch": "integer",
                "device": "choice", "split": "choice", "progress": "listener"},
    "export": {"run": "path", "to": "choice", "data": "path", "out": "path", "dtype": "choice", "force": "flag",
               "progress": "listener", "softmax": "flag"},
    "fit": {"base": "network", "budget": "budget", "strategy": "choice", "coefficients": "coefficients",
            "largest_px": "integer", "obstacles": "listener"},
    "frontier": {"base": "network", "budget": "budget", "largest_px": "integer"},
    "inherit": {"model": "network", "parent": "path", "images": "value"},
    "latencies": {"networks": "bases", "out": "path", "runtimes": "names", "dtype": "choice", "seconds": "time",
                  "progress": "listener"},
    "load_weights": {"model": "network", "source": "path"},
    "loss_landscape": {"runs": "names", "folder": "path", "data": "path", "split": "choice", "around": "value",
                       "device": "choice", "fresh": "flag", "progress": "listener"},
    "measure": {"network": "network", "batch": "integer", "threads": "integer", "seconds": "time", "device": "choice",
                "runtime": "choice", "dtype": "choice"},
    "network": {"name": "base", "classes": "integer", "resolution_px": "resolution"},
    "open_images": {"data": "path", "seed": "integer", "progress": "listener", "whole": "flag"},
    "output_landscape": {"activations": "activations", "seeds": "integer", "size": "integer", "layers": "integer",
                         "units": "integer", "extent": "number", "progress": "listener"},
    "predict": {"run": "path", "paths": "names", "batch": "integer", "top": "integer", "device": "choice",
                "network": "network", "class_names": "names", "max_error": "number"},
    "profile": {"runtime": "choice", "dtype": "choice", "out": "path", "bases": "bases", "progress": "listener"},
    "profile_from": {"times": "path", "out": "path", "device": "text", "dtype": "choice", "threads": "integer"},
    "read_device": {"file": "path"},
    "scale": {"network": "network", "phi": "number", "strategy": "choice", "coefficients": "coefficients"},
    "search_family": RUN,
    "search_baseline": {**RUN, "sampler": "choice"},
    "search_coefficients": {**RUN, "growth": "number", "tolerance": "number", "measure": "choice",
                            "candidates": "integer", "finalists": "integer", "seeds": "integer",
                            "train_bytes": "integer"},
    "preview": {**RUN, "bases": "bases", "strategies": "names"},
    "solve": {**RUN, "bases": "bases", "strategies": "names"},
    "train": {**RUN, "network": "network", "epochs": "number", "weights": "path", "classes": "integer"},
}  # fmt: skip
SAID_AS = {"time_seconds": "time", "paths": "path", "resolution_px": "pixels", "name": "network", "bases": "network",
           "networks": "network", "base": "network", "strategies": "strateg", "activations": "activation",
           "images": "image", "batches": "batch", "probe_images": "probe"}  # fmt: skip
VALUES = {"Budget": Budget, "Coefficients": Coefficients}


def good(tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Arguments of every function that are right but for the data, which is an empty folder."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    data, network = {"data": tmp_path / "empty"}, budgetnet.network("mobilenet_v3_small", 10, 32)
    limited = {**data, "budget": Budget(macs=2_000_000)}
    model = budgetnet.build(network)
    return {
        "activation_study": data,
        "adapt": {"network": network, "resolution_px": 32},
        "build": {"network": network},
        "compare": limited,
        "cost": {"network": network},
        "dead_units": {"model": model, "batches": [torch.zeros(1, 3, 32, 32)]},
        "evaluate": {"run": tmp_path / "empty"},
        "explain": {"run": tmp_path / "empty", "images": "x.png"},
        "export": {"run": tmp_path / "empty"},
        "fit": {"base": network, "budget": Budget(macs=2_000_000)},
        "frontier": {"base": network, "budget": Budget(macs=2_000_000), "largest_px": 32},
        "inherit": {"model": model, "parent": tmp_path / "empty"},
        "latencies": {"networks": network},
        "load_weights": {"model": model, "source": tmp_path / "empty"},
        "loss_landscape": {"runs": tmp_path / "empty", "folder": tmp_path / "out"},
        "measure": {"network": network},
        "network": {"name": "mobilenet_v2"},
        "open_images": data,
        "output_landscape": {"seeds": 1, "size": 8, "layers": 1, "units": 2},
        "predict": {"run": tmp_path / "empty", "paths": ["x.png"]},
        "profile": {},
        "profile_from": {"times": tmp_path / "empty"},
        "read_device": {"file": tmp_path / "empty"},
        "scale": {"network": network},
        "search_family": limited,
        "search_baseline": limited,
        "search_coefficients": data,
        "preview": limited,
        "solve": limited,
        "train": {**data, "network": network, "epochs": 1},
    }


def parameters(function: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(getattr(budgetnet, function)).parameters


def test_the_list_has_every_public_function_and_argument() -> None:
    functions = {name for name in budgetnet.__all__ if inspect.isfunction(getattr(budgetnet, name))}
    assert functions == {*KINDS, "names"}
    for name in KINDS:
        assert set(parameters(name)) <= set(KINDS[name]), name


@pytest.mark.parametrize("function", sorted(KINDS))
def test_a_wrong_argument_is_one_line_that_names_it(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = good(tmp_path)[function]
    monkeypatch.chdir(tmp_path)
    for name, parameter in parameters(function).items():
        for value in WRONG[KINDS[function][name]]:
            if value is parameter.default:
                continue
            given = {**right, name: value}
            if function == "train" and name == "time_seconds":
                given["epochs"] = None
            with pytest.raises((TypeError, ValueError)) as caught:
                getattr(budgetnet, function)(**given)
            said = str(caught.value)
            assert "\n" not in said and len(said) < 3000, (name, value, said)
            assert name in said or SAID_AS.get(name, name) in said, (name, value, said)
            assert not said.startswith(("unsupported", "argument")), (name, value, said)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("value", [None, "x", b"x", [], 1.5, math.nan, -1, 0, True, {}, NOTHING])
@pytest.mark.parametrize("name", ["macs", "params", "weight_bytes", "peak_bytes", "batch", "dtype"])
def test_a_wrong_budget_is_one_line(name: str, value: Any) -> None:
    if value is None and name not in ("batch", "dtype"):
        return  # no limit
    with pytest.raises((TypeError, ValueError), match=name) as caught:
        Budget(**{"params": 5, name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, "x", b"x", [], math.nan, 0.5, True, {}, NOTHING])
def test_wrong_coefficients_are_one_line(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="alpha") as caught:
        Coefficients(value, 1.1, 1.15)
    assert "\n" not in str(caught.value)


def test_what_means_the_same_is_taken(tmp_path: Path) -> None:
    """Numpy's numbers, whole floats, text with a unit, one name for a list of one."""
    base = budgetnet.network("efficientnet_b0", classes=np.int64(10), resolution_px=np.array([64.0, 64.0]))
    assert base == budgetnet.network("efficientnet_b0", 10, 64) and type(base.classes) is int
    same = [60e6, np.int32(60_000_000), np.float32(6e7), "60M", "0.06G", "60 M", "6e7"]
    assert {Budget(macs=value) for value in same} == {Budget(macs=60_000_000)}
    assert Budget(weight_bytes="4MiB", batch=np.int8(2)) == Budget(weight_bytes=4 * 1024**2, batch=2)
    json.dumps(Budget(macs=np.int64(5), batch=2.0).to_dict())
    assert budgetnet.scale(base, np.float32(1)) == budgetnet.scale(base, 1) == budgetnet.scale(base, 1.0)
    assert budgetnet.adapt(base, 96.0, np.int64(1)) == budgetnet.adapt(base, 96, 1)
    assert budgetnet.cost(base, 8.0) == budgetnet.cost(base, np.uint8(8)) == budgetnet.cost(base, 8)
    assert Coefficients(np.float64(1.2), np.float32(1), 2) == Coefficients(1.2, 1, 2)
    assert budgetnet.Network.from_json(base.to_json()) == base
    for data in (str(tmp_path), tmp_path):
        with pytest.raises(ValueError, match="image"):
            budgetnet.solve(data, Budget(macs=2e6), "15m", bases="mobilenet_v2", strategies="width")
    one = budgetnet.output_landscape("relu", 1.0, np.int64(8), 1, 2, 3)
    assert (one.seeds, len(one.rows)) == (1, 1)


def test_networks_parts_are_checked_as_well() -> None:
    network = budgetnet.network("mobilenet_v2")
    from dataclasses import replace

    from budgetnet.networks import Stage, Stem

    makers: list[Callable[[], object]] = [
        lambda: replace(network, stem="stem"),  # pyright: ignore[reportArgumentType]
        lambda: replace(network, stages=[1]),  # pyright: ignore[reportArgumentType]
        lambda: replace(network, name=None),  # pyright: ignore[reportArgumentType]
        lambda: replace(network, drop_path="x"),  # pyright: ignore[reportArgumentType]
        lambda: Stage(8, residual="yes"),  # pyright: ignore[reportArgumentType]
        lambda: Stage(8, activation="swish"),  # pyright: ignore[reportArgumentType]
        lambda: Stem(8.5),  # pyright: ignore[reportArgumentType]
        lambda: budgetnet.Network.from_json(5),  # pyright: ignore[reportArgumentType]
    ]
    for make in makers:
        with pytest.raises((TypeError, ValueError)) as caught:
            make()
        assert "must be" in str(caught.value) and "\n" not in str(caught.value)
    assert Stage(np.int64(8), repeats=2.0) == Stage(8, repeats=2)  # pyright: ignore[reportArgumentType]


TWICE_IN_A_THREAD = """
import threading, budgetnet
from pathlib import Path

def work():
    network = budgetnet.network("mobilenet_v3_small", 10, 32)
    for _ in range(2):
        trained = budgetnet.train("digits", network, Path("run"), epochs=4, progress=seen.append)
        print(trained.test.count, len(list(budgetnet.predict("run", "digit.png"))), len(seen) > 0)

from budgetnet.data.digits import image_set
from PIL import Image
import numpy
Image.fromarray(numpy.zeros((8, 8), numpy.uint8)).save("digit.png")
seen = []
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""

PLAIN = """
import os
from budgetnet.parallel.workers import Workers

print("once")
with Workers(os.path.basename, 1) as workers:
    print(workers.run(["a/b", "c/d"]))
"""


def test_a_script_without_a_guard_is_not_run_again_by_the_workers(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    done = subprocess.run(
        [sys.executable, "plain.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.splitlines() == ["once", "['b', 'd']"], done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("flags", [[], ["-O"]])
def test_training_runs_in_a_thread_twice_and_without_assertions(flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(TWICE_IN_A_THREAD)
    done = subprocess.run(
        [sys.executable, *flags, "work.py"], cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.stdout.splitlines() == ["359 1 True"] * 2, done.stderr
