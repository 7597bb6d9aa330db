"""Runs that begin from a relative's weights: whose, at which size, and that nothing is lost on the way."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.simulated import SimulatedClock

from budgetnet import Budget, Network, build, cost, network, open_images, preview, solve, train
from budgetnet.data import ImageSet, default_preprocessing
from budgetnet.experiments.bases import shaped_px
from budgetnet.experiments.solve.candidates import candidates
from budgetnet.model.files import load_tensors
from budgetnet.model.sources import installed
from budgetnet.model.weights import at_hand, save_weights
from budgetnet.networks import Head, Stage, Stem
from budgetnet.networks.scaling import Scaling, resize
from budgetnet.training import pretrained
from budgetnet.training.job import JobContext
from budgetnet.training.pretrained import InitialWeights, base_of, parent_for, write_initial_weights
from budgetnet.training.recipe import FINETUNE
from budgetnet.training.trainer import TrainingConfig

STILL = dataclasses.replace(FINETUNE, learning_rate=1e-12, weight_decay=0.0)
PARENT = Network(
    "parent",
    Stem(8, stride=1),
    (Stage(8, expansion=1.0), Stage(16, repeats=3, stride=2, expansion=4.0), Stage(24, stride=2, expansion=4.0)),
    Head(64),
    resolution_px=(8, 8),
    classes=10,
    in_channels=1,
)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("digits", 0)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Weights of the parent in a file, with a preprocessing of their own."""
    path = tmp_path / "parent.safetensors"
    row = {"mean": [0.3], "std": [0.4], "crop_share": 0.9, "fit": "crop"}
    save_weights(path, build(PARENT, seed=77), [str(digit) for digit in range(10)], row)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), ((1.6, 1.5), (0.4, 0.99)))
def test_train_begins_from_a_relative_of_another_size(depth: float, width: float, source: str, tmp_path: Path) -> None:
    child = resize(PARENT, Scaling(depth, width, 1.0), name="child")
    assert child.stages != PARENT.stages
    with pytest.raises(ValueError, match="learned nothing"):  # for it stays as it begins
        train("digits", child, out=tmp_path / "run", epochs=0.1, recipe=STILL, pretrained=source)
    record = json.loads((tmp_path / "run" / "plan.json").read_text())
    config = record["plan"]["config"]
    assert (record["request"]["pretrained"], record["plan"]["parent"]) == (source, source)
    assert config["preprocessing"]["mean"] == [0.3]
    assert Network.from_json(json.dumps(config["network"])).stages == child.stages
    trained = tmp_path / "run" / "training" / "final" / "final.safetensors"
    found, given = (load_tensors(path)[0] for path in (trained, source))
    stem = "stem.conv.weight"
    torch.testing.assert_close(found[stem][: len(given[stem])], given[stem], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="begun with another --pretrained"):
        train("digits", child, out=tmp_path / "run", epochs=0.1, recipe=STILL)


@pytest.mark.slow
def test_without_a_network_it_is_the_parents(source: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the training of parent learned nothing"):
        train("digits", out=tmp_path / "run", epochs=0.1, recipe=STILL, pretrained=source)


def test_what_a_course_begins_from_is_a_function_of_its_plan(source: str, tmp_path: Path) -> None:
    child = resize(PARENT, Scaling(0.4, 0.6, 1.0), name="child")
    config = TrainingConfig("final", child, FINETUNE, default_preprocessing(1), 3, 32, 1, 1)
    context = JobContext("digits", 3, 8, str(tmp_path / "training"))
    (tmp_path / "initial").mkdir()
    file = tmp_path / "initial" / "final.safetensors"
    assert write_initial_weights(InitialWeights(config, context, source, exact=False))
    first = file.read_bytes()
    assert write_initial_weights(InitialWeights(config, context, source, exact=False)) and file.read_bytes() == first
    other = dataclasses.replace(config, seed=4)
    assert write_initial_weights(InitialWeights(other, context, source, exact=False)) and file.read_bytes() != first


def test_auto_takes_the_nearest_relative() -> None:
    there = {f"lite{size}": network(f"tf_efficientnet_lite{size}") for size in range(3)} | {"b0": network("resnet50")}
    parent = functools.partial(parent_for, sources=there)
    small, large = (resize(there["lite1"], Scaling(1.0, width, 1.0)) for width in (0.3, 0.98))
    assert parent("auto", small) == "lite0" and parent("auto", large) == "lite1"
    assert parent("auto", there["b0"]) == "b0"
    assert parent("auto", Budget(macs=cost(there["lite2"]).macs - 1)) == "lite2"
    assert parent("none", small) is None and parent("my.pth", small) == "my.pth"
    with pytest.warns(UserWarning, match="no pretrained relative of mobilenet_v1 is installed, cached or in"):
        assert parent("auto", network("mobilenet_v1")) is None


def test_auto_takes_a_larger_parent_than_the_budget_sooner_than_a_smaller_one() -> None:
    large = network("tf_efficientnet_lite0")
    small = resize(large, Scaling(1.0, 0.25, 0.5), name="small")
    there, most = {"large": large, "small": small}, cost(small).macs
    chosen = {share: parent_for("auto", Budget(macs=int(share * most)), there) for share in (0.5, 1.05, 2.5)}
    assert chosen == {0.5: "small", 1.05: "small", 2.5: "large"}, f"large: {cost(large).macs / most:.1f} of small"


def test_auto_looks_into_the_users_folder(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes there is what `--pretrained FILE` would take; what is no weight file does not disturb."""
    folder = tmp_path / "weights"
    folder.mkdir()
    file = folder / "mine.safetensors"
    file.write_bytes(Path(source).read_bytes())
    (folder / "cut.safetensors").write_bytes(file.read_bytes()[:-100])
    (folder / "README.md").write_text("where they are from")
    (folder / "model.tflite").write_bytes(b"no graph")
    (folder / "model.pth").write_bytes(b"")
    (folder / "runs").mkdir()
    monkeypatch.setenv("BUDGETNET_WEIGHTS", str(folder))
    budget = Budget(macs=cost(PARENT).macs - 1)
    assert at_hand() == installed() | {str(file): PARENT}
    assert parent_for("auto", budget) == parent_for("auto", PARENT) == str(file)

    begun = [
        preview("digits", Budget(macs=300_000), 60.0, pretrained=asked, clock=SimulatedClock())
        for asked in ("auto", str(file))
    ]
    assert begun[0].candidates == begun[1].candidates and begun[0].entrants[0].id.startswith("parent-")
    file.unlink()
    assert at_hand() == installed(), "a file that is gone is not remembered"


def test_a_folder_of_weights_that_is_none_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for given in (tmp_path / "gone", tmp_path / "file"):
        monkeypatch.setenv("BUDGETNET_WEIGHTS", str(given))
        with pytest.raises(ValueError, match=r"BUDGETNET_WEIGHTS is .*; give a folder with weight files") as caught:
            parent_for("auto", Budget(macs=1_000_000))
        assert "\n" not in str(caught.value)
    assert parent_for("none", PARENT) is None, "it is looked into for auto alone"


@pytest.mark.slow
def test_a_begun_run_keeps_the_relative_that_auto_found(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is installed changes; a run that is taken up or shown again does not, nor does it move."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "at_hand", lambda: {source: PARENT})
    child = resize(PARENT, Scaling(1.6, 1.5, 1.0), name="child")
    asked: dict[str, Any] = {"epochs": 8, "pretrained": "auto"}
    first = train("digits", child, **asked)
    assert json.loads((first.run / "plan.json").read_text())["plan"]["config"]["recipe"]["name"] == "finetune"
    monkeypatch.setattr(pretrained, "at_hand", lambda: {})
    Path(source).unlink()
    again = train("digits", child, **asked)
    assert (again.run, again.test) == (first.run, first.test)
    assert not (first.run / "initial").exists(), "the run is done with them"


def test_a_base_keeps_the_zoos_name(tmp_path: Path, source: str) -> None:
    assert base_of(source) == PARENT
    row = network("tinynet_e", classes=3)
    save_weights(tmp_path / "row.safetensors", build(row), ["a", "b", "c"], {})
    assert base_of(tmp_path / "row.safetensors") == row, "other classes than the zoo's"


def test_the_parent_at_a_lower_resolution_races_first_and_strides_stay(digits: ImageSet) -> None:
    parent = dataclasses.replace(network("tf_efficientnet_lite0"), resolution_px=(224, 224))
    images = dataclasses.replace(digits, sizes_px=((84, 112),) * len(digits), in_channels=3)
    found = candidates(images, Budget(macs=25_000_000), 2, [parent], inherited=True)
    raced = [row for row in found if row.raced]
    assert [row.strategy for row in raced] == ["resolution", "compound"]
    lower = raced[0].network
    assert cost(lower).params == cost(dataclasses.replace(parent, classes=10)).params
    assert lower.resolution_px[1] / lower.resolution_px[0] == pytest.approx(112 / 84, abs=0.07)
    strides = [stage.stride for stage in parent.stages]
    assert all([stage.stride for stage in row.network.stages] == strides for row in found)
    small = candidates(images, Budget(params=1_000_000), 2, [parent], inherited=True)
    assert "resolution" not in {row.strategy for row in small} and sum(row.raced for row in small) == 2
    chip = Budget(macs=25_000_000, weight_bytes=2_000_000, dtype="int8")
    several = candidates(images, chip, 2, [parent], ("compound", "width", "joint"), inherited=True)
    assert [row.strategy for row in several if row.raced][-1] == "joint"


@pytest.mark.parametrize(
    ("sizes_px", "expected"),
    ((((90, 120),) * 10, (90, 120)), (((120, 90),) * 10, (120, 90)), (((90, 120), (120, 90)) * 5, (90, 90))),
)
def test_a_pretrained_base_has_the_images_shape(
    sizes_px: tuple[tuple[int, int], ...], expected: tuple[int, int], digits: ImageSet
) -> None:
    images = dataclasses.replace(digits, sizes_px=sizes_px, files=digits.files[:10], labels=digits.labels[:10])
    assert shaped_px(images) == expected


def test_bad_sources_are_one_line_and_leave_no_run(source: str, tmp_path: Path) -> None:
    for options, words in (
        ({"network": network("resnet50"), "pretrained": source}, "cannot inherit from parent"),
        ({"network": PARENT, "pretrained": str(tmp_path / "none.pth")}, "cannot read weights"),
        ({"network": PARENT, "pretrained": source, "weights": source}, "not both"),
        ({"pretrained": "auto"}, "give a network to train"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            train("digits", out=tmp_path / "run", epochs=1, **options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists(), "nothing came of it"


@pytest.mark.slow
def test_solve_with_a_parent_races_its_children_and_tests_the_winner(source: str, tmp_path: Path) -> None:
    done = solve("digits", Budget(macs=1_200_000), time_seconds=150, out=tmp_path / "run", pretrained=source)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())["plan"]
    assert plan["parent"] == source and plan["recipe"]["name"] == "finetune"
    assert any(row.raced and row.strategy == "resolution" for row in done.candidates)
    assert {row.base for row in done.candidates} == {"parent"}
    assert not (tmp_path / "run" / "initial").exists()
    Path(source).unlink()  # the plan knows all that a finished run is shown by
    again = solve("digits", Budget(macs=1_200_000), time_seconds=150, out=tmp_path / "run", pretrained=source)
    assert again.test.top1 == done.test.top1
