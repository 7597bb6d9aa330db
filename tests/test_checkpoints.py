"""Google's TensorFlow checkpoints: the outputs that TensorFlow gives with the same numbers, and what is refused.

Most of these need TensorFlow: pip install -e '.[google]', then pytest tests/test_checkpoints.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.drawn import images
from support.quick import quick_for

from budgetnet import build, load_weights, network, predict
from budgetnet.model import checkpoints, tensorflow_reader
from budgetnet.model.checkpoints import checkpoint_prefix, checkpoint_preprocessing
from budgetnet.model.weights import load_model

SIZES = ((64, 64), (65, 97), (33, 40))
QUICK = (
    *("efficientnet-b0", "efficientnet-lite0", "efficientnet-edgetpu-S", "efficientnetv2-b0", "mnasnet-a1"),
    *("MobilenetV1", "MobilenetV2", "MobilenetV3-small"),
)
SLOW = (
    *(f"efficientnet-b{size}" for size in range(1, 9)),
    *(f"efficientnet-lite{size}" for size in range(1, 5)),
    *("efficientnet-edgetpu-M", "efficientnet-edgetpu-L", "mnasnet-b1", "MobilenetV3-large"),
    *(f"efficientnetv2-{size}" for size in ("b1", "b2", "b3", "s")),
)
FILES = ("model.ckpt.index", "model.ckpt.data-00000-of-00001")


@pytest.fixture(scope="module")
def google() -> Any:
    # Not importorskip: what this file imports has to come before TensorFlow.
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed: pip install -e '.[google]'")
    from support import google_networks

    return google_networks


@pytest.fixture(scope="module")
def small(google: Any) -> Any:
    """A small network of Google's with drawn variables."""
    return google.Google("MobilenetV3-small")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are read in this process, which has TensorFlow already: seconds less for each."""

    def read(prefix: Path) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(value) for name, value in tensorflow_reader.variables(prefix).items()}

    monkeypatch.setattr(checkpoints, "read_apart", read)


@torch.no_grad()
def worst_error(ours: torch.nn.Module, theirs: Any) -> float:
    ours, worst = ours.double().eval(), 0.0
    for height, width in SIZES:
        x = images(2, 3, height, width).double()
        expected = torch.from_numpy(theirs(x.numpy()))
        assert expected.std() > 0
        worst = max(worst, float((ours(x) - expected).abs().max() / expected.abs().max()))
    return worst


@pytest.mark.parametrize("name", quick_for((*QUICK, *SLOW), QUICK))
@pytest.mark.usefixtures("here")
def test_checkpoints_give_tensorflows_outputs(name: str, google: Any, tmp_path: Path) -> None:
    theirs = google.Google(name)
    loaded = load_model(google.write_checkpoint(tmp_path / "model.ckpt", theirs.variables))
    assert loaded.network.name == google.OURS[name], "recognised by its counts"
    assert (loaded.network.padding, loaded.network.norm.eps) == ("same", 1e-3)
    assert worst_error(loaded.model, theirs) < 1e-10
    background = loaded.network.classes == 1001
    assert loaded.classes[: 1 + background] == (("background", "tench") if background else ("tench",))


@pytest.mark.usefixtures("here")
def test_averages_count_and_where_there_are_none_the_variables_do(google: Any, small: Any, tmp_path: Path) -> None:
    averaged = google.write_checkpoint(tmp_path / "averaged", small.variables)
    plain = google.write_checkpoint(tmp_path / "plain", small.variables, averages=False)
    states = [load_model(prefix).model.state_dict() for prefix in (averaged, plain)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    stem = small.variables["MobilenetV3/Conv/weights"]
    assert np.array_equal(states[0]["stem.conv.weight"].numpy(), stem.transpose(3, 2, 0, 1))


@pytest.mark.usefixtures("here")
def test_a_checkpoint_in_several_files_is_read_whole(google: Any, small: Any, tmp_path: Path) -> None:
    names = sorted(small.variables)
    halves = [{name: small.variables[name] for name in part} for part in (names[::2], names[1::2])]
    parts = [str(google.write_checkpoint(tmp_path / f"part{i}", half, False)) for i, half in enumerate(halves)]
    google.tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(tmp_path / "model.ckpt"))
    assert worst_error(load_model(tmp_path / "model.ckpt").model, small) < 1e-10
    (tmp_path / "model.ckpt.data-00001-of-00002").unlink()
    with pytest.raises(ValueError, match=r"lacks model.ckpt.data-00001-of-00002"):
        load_model(tmp_path / "model.ckpt")


def test_a_folder_answers_images(google: Any, small: Any, tmp_path: Path) -> None:
    google.write_checkpoint(tmp_path / "model.ckpt", small.variables)
    Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "grey.png")
    (answer,) = predict(tmp_path, [tmp_path / "grey.png"])
    assert answer.label in load_model(tmp_path).classes


@pytest.mark.usefixtures("here")
def test_weights_go_into_a_model_of_their_form_alone(google: Any, small: Any, tmp_path: Path) -> None:
    prefix = google.write_checkpoint(tmp_path / "model.ckpt", small.variables)
    with pytest.raises(ValueError, match="computes otherwise: padding, norm differ"):
        load_weights(build(network("mobilenet_v3_small", classes=1001)), prefix)
    with pytest.warns(UserWarning, match="its classifier is left as it is"):
        model = load_weights(build(network("tf_mobilenet_v3_small", classes=5)), prefix)
    assert torch.equal(model.stem.conv.weight, load_model(prefix).model.stem.conv.weight)


@pytest.mark.usefixtures("here")
def test_other_names_are_refused(google: Any, small: Any, tmp_path: Path) -> None:
    other = {"encoder/layer_0/kernel": np.zeros((2, 2), np.float32), "step": np.zeros(3, np.float32)}
    google.write_checkpoint(tmp_path / "other", other, averages=False)
    with pytest.raises(ValueError, match=r"no variables of a network that is known here \(encoder/layer_0/kernel\)"):
        load_model(tmp_path / "other")
    more = dict(small.variables) | {"MobilenetV3/box/weights": np.zeros((1, 1, 2, 2), np.float32)}
    google.write_checkpoint(tmp_path / "more", more)
    with pytest.raises(ValueError, match="is not a network of the zoo"):
        load_model(tmp_path / "more")
    google.write_checkpoint(
        tmp_path / "two",
        dict(small.variables) | {"student/MobilenetV3/Conv/weights": small.variables["MobilenetV3/Conv/weights"]},
    )
    with pytest.raises(ValueError, match="holds more than one network"):
        load_model(tmp_path / "two")
    with pytest.raises(ValueError, match=r"box.weight is unknown"):
        load_weights(build(network("tf_mobilenet_v3_small", classes=1001)), tmp_path / "more")


@pytest.mark.parametrize(("file", "share"), [(FILES[0], 0.0), (FILES[0], 0.5), (FILES[1], 0.1), (FILES[1], 0.999)])
def test_checkpoints_cut_short_are_one_line(google: Any, small: Any, file: str, share: float, tmp_path: Path) -> None:
    google.write_checkpoint(tmp_path / "model.ckpt", small.variables, averages=False)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="copy all of its files again") as caught:
        load_model(tmp_path / "model.ckpt")
    assert "\n" not in str(caught.value)


def test_changed_numbers_are_noticed(google: Any, small: Any, tmp_path: Path) -> None:
    google.write_checkpoint(tmp_path / "model.ckpt", small.variables, averages=False)
    content = bytearray((tmp_path / FILES[1]).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / FILES[1]).write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a whole checkpoint .*Checksum"):
        load_model(tmp_path / "model.ckpt")


def test_tensorflow_stays_out_of_this_process(google: Any, small: Any, tmp_path: Path) -> None:
    google.write_checkpoint(tmp_path / "model.ckpt", small.variables)
    code = (
        "import sys; from budgetnet.model.sources import open_foreign; "
        "open_foreign(sys.argv[1]); import torch._dynamo; sys.exit('tensorflow' in sys.modules)"
    )
    told = {"PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | told, capture_output=True)
    assert done.returncode == 0, "with it torch's compiler ends in a segmentation fault"


def test_a_reader_that_dies_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_reader.importlib.util, "find_spec", lambda name: "there")
    for file in FILES:
        (tmp_path / file).touch()
    for code, says in ((2, "is not a whole checkpoint .cut"), (3, "cannot be imported .cut"), (-6, "ended with -6")):
        done = subprocess.CompletedProcess([], code, stdout="cut\n" if code > 0 else "", stderr="a\nb")
        monkeypatch.setattr(tensorflow_reader.subprocess, "run", lambda *_, answer=done, **__: answer)
        with pytest.raises(ValueError, match=says) as caught:
            load_model(tmp_path / "model.ckpt")
        assert "\n" not in str(caught.value)


# Without TensorFlow


def test_a_checkpoint_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    for file in FILES:
        (tmp_path / file).touch()
    for source in ("model.ckpt", *FILES, ""):
        assert checkpoint_prefix(tmp_path / source) == tmp_path / "model.ckpt"
    (tmp_path / "model.ckpt-9.index").touch()
    with pytest.raises(ValueError, match="holds several checkpoints"):
        checkpoint_prefix(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-9"\n')
    assert checkpoint_prefix(tmp_path) == tmp_path / "model.ckpt-9"
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-10"\n')
    with pytest.raises(ValueError, match=r"names model.ckpt-10, but model.ckpt-10.index is not beside it"):
        checkpoint_prefix(tmp_path)


def test_other_sources_are_no_checkpoints(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "model.ckpt")
    for source in (tmp_path, tmp_path / "model.ckpt", tmp_path / "absent.pth", "absent/model"):
        assert checkpoint_prefix(source) is None


def test_lost_files_are_named(tmp_path: Path) -> None:
    (tmp_path / FILES[0]).touch()
    with pytest.raises(ValueError, match=r"lacks model.ckpt.data-00000-of-00001; copy all files"):
        load_model(tmp_path / "model.ckpt")
    (tmp_path / FILES[0]).rename(tmp_path / FILES[1])
    for source in (tmp_path / "model.ckpt", tmp_path / FILES[1]):
        with pytest.raises(ValueError, match=r"lacks model.ckpt.index; copy all files"):
            load_model(source)


def test_without_tensorflow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_reader.importlib.util, "find_spec", lambda name: None)
    for file in FILES:
        (tmp_path / file).touch()
    with pytest.raises(ValueError, match=r"not installed; pip install budgetnet\[google\]"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "mean", "share", "fit"),
    [
        ("tf_efficientnet_b0", None, 224 / 256, None),
        ("tf_efficientnet_b7", None, 600 / 632, None),
        ("tf_efficientnetv2_b1", None, 240 / 272, None),
        ("tf_efficientnetv2_s", 128 / 255, 1.0, "stretch"),
        ("tf_efficientnet_lite4", 127 / 255, 300 / 332, None),
        ("tf_efficientnet_edgetpu_m", 127 / 255, 240 / 272, None),
        ("mnasnet_a1", None, 224 / 256, None),
        ("tf_mobilenet_v3_large", 0.5, 0.875, None),
    ],
)
def test_preprocessing_is_the_authors(name: str, mean: float | None, share: float, fit: str | None) -> None:
    told = checkpoint_preprocessing(network(name), Path("model.ckpt"))
    assert (told.get("mean"), told["crop_share"], told.get("fit")) == (mean and (mean,) * 3, share, fit)


def test_advprops_weights_have_inputs_of_their_own() -> None:
    told = checkpoint_preprocessing(network("tf_efficientnet_b0"), Path("advprop/efficientnet-b0/model.ckpt"))
    assert told["mean"] == told["std"] == (0.5, 0.5, 0.5)
