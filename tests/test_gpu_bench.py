"""The bench that anyone with a GPU can run, at a small size on the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_bench_of_a_gpu_runs_on_the_processor(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    out = tmp_path / "gpu.json"
    small = ["--networks", "efficientnet_b1", "--resolution", "64", "--batch", "8", "--seconds", "0.5"]
    command = [sys.executable, "-m", "bench.gpu", *small, "--device", "cpu", "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [(row["loop"], row["precision"]) for row in rows] == [
        *(("ours", precision) for precision in ("float32", "bfloat16")),
        *(("timm", precision) for precision in ("float32", "bfloat16")),
    ]
    assert all(row["images_per_second"] > 0 and row["failure"] is None for row in rows)
