"""What is shipped: the wheel has all that the package needs, and works where there is no checkout.

The slow test makes an environment of its own, with the kernel of a notebook in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.page import Page

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
BUILDS = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip builds it."""
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-c", BUILDS, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        declared = file.read(next(name for name in names if name.endswith("METADATA"))).decode()
    ours = {path.relative_to(SOURCE).as_posix() for path in (SOURCE / "budgetnet").rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    assert {name.rpartition(".")[2] for name in ours} >= {"py", "j2", "css", "txt", "typed"}, "templates, styles, names"
    assert {name for name in names if ".dist-info/" not in name} == ours, "no tests, no bench, no docs"
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "Requires-Dist: torch" in declared and "Requires-Python: >=3.11" in declared


SCRIPT = """
import budgetnet

net = budgetnet.network("mobilenet_v3_small", classes=10, resolution_px=16)
trained = budgetnet.train("few-digits", net, out="trained", epochs=40)
solution = budgetnet.solve("few-digits", budgetnet.Budget(macs="300K"), time_seconds="90s", out="solved")
print(trained.test.top1, solution.fit.cost.macs)
"""
CELLS = (
    "import budgetnet",
    'solution = budgetnet.solve("few-digits", budgetnet.Budget(macs="300K"), time_seconds="90s", out="in-notebook")',
    "solution",
)


def notebook(path: Path) -> Path:
    """A notebook of these cells, as Jupyter keeps it."""
    same = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**same, "id": f"cell-{index}", "source": text} for index, text in enumerate(CELLS)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    return path


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_installed_alone_it_solves_from_a_shell_a_script_and_a_notebook(
    wheel: Path, few_digits: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    folder = tmp_path / "folder"
    shutil.copytree(few_digits, folder / "few-digits")

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(programs / command[0]), *map(str, command[1:])], cwd=folder, env=clean, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    constraints = ROOT / "constraints.txt"
    run("python", "-m", "pip", "install", "--quiet", "-c", constraints, wheel, "nbclient", "ipykernel")
    where = Path(run("python", "-c", "import budgetnet; print(budgetnet.__file__)").strip())
    assert where.is_relative_to(environment), "not the checkout"

    solved = json.loads(run("budgetnet", "solve", "digits", "--macs", "300K", "--time", "2m", "--json"))
    assert solved["test"]["count"] == 359 and solved["fit"]["cost"]["macs"] <= 300_000
    assert (folder / solved["run"] / "report.html").exists()

    (folder / "script.py").write_text(SCRIPT)
    (line,) = run("python", "script.py").splitlines()  # once: workers do not run the script as well
    top1, macs = map(float, line.split())
    assert top1 > 0.3 and macs <= 300_000

    executed = notebook(folder / "notebook.ipynb")
    run("jupyter-execute", "--inplace", executed)
    check_shown([cell["outputs"] for cell in json.loads(executed.read_text())["cells"]])
    assert (folder / "in-notebook" / "report.html").exists()


def check_shown(outputs: Sequence[Sequence[Any]]) -> None:
    """Progress is one output, and the result is a table."""
    said = [output for cell in outputs for output in cell if output["output_type"] == "stream"]
    assert all("TqdmWarning" in "".join(output["text"]) for output in said), "of a library, that its bars need a widget"
    imported, (progress,), (result,) = ([output for output in cell if output not in said] for cell in outputs)
    assert imported == []
    assert progress["output_type"] == "display_data"
    shown = Page("".join(progress["data"]["text/html"]))
    # The script has read the images already: what is left is timed and trained.
    assert "timing" in shown.text and "race" in shown.text and 2 <= len(shown.values("max")) <= 12
    table = Page("".join(result["data"]["text/html"]))
    assert "95 % interval" in table.text and table.values("href") == ["in-notebook/report.html"]
    assert "multiply-adds" in "".join(result["data"]["text/plain"])
