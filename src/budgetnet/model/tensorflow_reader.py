"""Reads a TensorFlow checkpoint in a process of its own: `python -P tensorflow_reader.py PREFIX FILE`.

TensorFlow and triton, which torch brings along, hold different copies of LLVM: a process that imports TensorFlow
and later torch's compiler dies of a segmentation fault. A file that TensorFlow dies of kills this process alone.
Variables go to FILE as safetensors, what is wrong to stdout, with an exit code.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

AVERAGE = "/ExponentialMovingAverage"
LEAVES = {
    **dict.fromkeys(("kernel", "depthwise_kernel", "weights", "depthwise_weights", "gamma"), "weight"),
    **dict.fromkeys(("bias", "biases", "beta"), "bias"),
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""The names of a network's own variables, with those in torch; slots of an optimiser have other names."""

DAMAGED, UNUSABLE = 2, 3
"""The exit codes of the reader's process: the checkpoint is damaged; TensorFlow cannot be used."""


def shards(prefix: Path) -> list[str]:
    """The names of the files that hold a checkpoint's numbers."""
    if not prefix.parent.is_dir():
        return []
    return sorted(file.name for file in prefix.parent.iterdir() if file.name.startswith(f"{prefix.name}.data-"))


def read_apart(prefix: Path) -> dict[str, Any]:
    """A network's variables as tensors in TensorFlow's axes, by their names; of two the moving average.

    Raises a one-line `ValueError` without TensorFlow, and for a checkpoint that is not whole.
    """
    from budgetnet.model.files import load_tensors

    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError("TensorFlow reads its checkpoints and is not installed; pip install budgetnet[google]")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "variables.safetensors"
        # -P: the modules beside this one are not to be found as top-level ones.
        command = [sys.executable, "-P", __file__, str(prefix.absolute()), str(file)]
        # TensorFlow imports Keras, which on torch would bring triton in behind it.
        alone = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, env=os.environ | alone, capture_output=True, text=True, errors="replace")
        if done.returncode == 0:
            return load_tensors(file)[0]
    said = (
        done.stdout.replace(str(prefix.absolute()), prefix.name).strip() or f"the reader ended with {done.returncode}"
    )
    reason = said.splitlines()[-1][:120]
    if done.returncode == UNUSABLE:
        raise ValueError(f"TensorFlow is installed and cannot be imported ({reason})")
    raise ValueError(f"{prefix} is not a whole checkpoint ({reason}); copy all of its files again")


def variables(prefix: Path) -> dict[str, Any]:
    """The same as float32 arrays, read in this process. Raises what TensorFlow does."""
    tensorflow = importlib.import_module("tensorflow")
    reader = tensorflow.train.load_checkpoint(str(prefix))
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    names = sorted(name for name in shapes if types[name].is_floating)  # an average comes behind its variable
    stored = {name.removesuffix(AVERAGE): name for name in names}
    stored = {name: stored[name] for name in stored if name.rpartition("/")[2] in LEAVES}
    size = sum(math.prod(shapes[name]) * types[name].size for name in stored.values())
    if size > sum(prefix.with_name(name).stat().st_size for name in shards(prefix)):
        raise ValueError("it holds less than its index says")
    return {name: reader.get_tensor(stored[name]).astype("float32") for name in stored}


def main(prefix: str, file: str) -> int:
    """Write the variables of a checkpoint to a file; an exit code, and a line on stdout for what is wrong."""
    from safetensors.numpy import save_file

    try:
        save_file(variables(Path(prefix)), file)
    except Exception as error:  # whatever TensorFlow raises: the checkpoint is all that it was given
        print((str(error).splitlines() or [type(error).__name__])[0])
        return UNUSABLE if isinstance(error, ImportError) else DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
