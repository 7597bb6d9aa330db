"""The Dockerfile, step by step outside of a container: its packages in a fresh environment, its command, its health."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.networks import GROWABLE
from support.small_runs import drawn_model

from budgetnet.model.weights import save_weights

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "0123456789abcdef0123456789abcdef"


def steps() -> list[tuple[str, str]]:
    """The instructions in their order: a word and what stands behind it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def test_the_dockerfile_names_what_is_there() -> None:
    known = dict(steps())
    assert known["FROM"].startswith("python:3.11") and known["STOPSIGNAL"] == "SIGTERM"
    assert known["USER"] != "root"
    copied = [name for word, rest in steps() if word == "COPY" for name in rest.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(kept)


def run(words: Sequence[str] | str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        words, shell=isinstance(words, str), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_steps_of_the_dockerfile_make_a_server(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="it makes the file that is served")
    from budgetnet.ship.onnx.of_weights import write_float32

    network = dataclasses.replace(GROWABLE, classes=2)
    source = str(tmp_path / "weights.safetensors")
    save_weights(source, drawn_model(network), ["cat", "dog"], {"mean": [0.5] * 3, "std": [0.25] * 3})
    model = write_float32((source, str(tmp_path / "model.onnx")))
    folder, home = tmp_path / "budgetnet", tmp_path / "environment"
    folder.mkdir()
    run([sys.executable, "-m", "venv", str(home)], tmp_path, dict(os.environ))
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment = {**kept, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "BUDGETNET_TOKEN": TOKEN}
    commands: dict[str, list[str]] = {}
    for word, rest in steps():
        match word:
            case "COPY":
                *names, target = rest.split()
                for name in names:
                    if (ROOT / name).is_dir():
                        shutil.copytree(ROOT / name, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
                    else:
                        shutil.copy(ROOT / name, folder / target)
            case "RUN":
                run(rest, folder, environment)
            case "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                commands[word] = json.loads(rest.removeprefix("CMD "))
            case _:
                assert word in ("FROM", "WORKDIR", "USER", "EXPOSE", "STOPSIGNAL")
    assert "torch" not in run("python -m pip list", folder, environment)
    assert commands["CMD"] == ["/models/model.onnx"]
    words = [*commands["ENTRYPOINT"], model, "--port", "0", "--json"]
    assert words[0] == "python"
    with subprocess.Popen(
        [str(home / "bin" / "python"), *words[1:]], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, f"{shlex.join(words)} ended"
        port = json.loads(line)["address"].rpartition(":")[2]
        run([word.replace(":8000", f":{port}") for word in commands["HEALTHCHECK"]], folder, environment)
        Image.new("RGB", (40, 30)).save(tmp_path / "black.png")
        answer = httpx.post(
            f"http://127.0.0.1:{port}/predict",
            content=(tmp_path / "black.png").read_bytes(),
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=60.0,
        )
        assert answer.status_code == 200 and answer.json()["predictions"][0]["label"] in ("cat", "dog")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60.0) == 0
