"""What only Linux has is not needed: here it is taken away, in a process of its own and in its workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.spaces import BASE

from budgetnet.data import store

SOURCE = str(Path(store.__file__).parents[2])
WITHOUT = """
import os
import sys

for name in ("sched_getaffinity", "sched_setaffinity", "pwrite", "O_NONBLOCK", "O_CLOEXEC"):
    delattr(os, name)
for name in ("fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None  # importing it is an ImportError
HIDDEN = ("/proc/cpuinfo", "/proc/self/cgroup", "/sys/fs/cgroup")


def hide(event, arguments):
    if event == "open" and str(arguments[0]).startswith(HIDDEN):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


sys.addaudithook(hide)
"""
"""A `sitecustomize` module, which every Python process runs first: it takes away what only Linux has.

The package does not use `resource` itself; psutil does, in the part of it that is for Linux."""

TRAINS = """
import os
import sys
from pathlib import Path

import budgetnet

assert not hasattr(os, "sched_getaffinity") and not hasattr(os, "pwrite")
net = budgetnet.Network.from_json(Path("network.json").read_text())
trained = budgetnet.train(sys.argv[1], net, out="run", epochs=6, seed=1)
print(trained.test.top1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has not got what is taken away")
def test_a_training_needs_nothing_that_only_linux_has(few_digits: Path, tmp_path: Path) -> None:
    """In a plain script, without `if __name__ == "__main__":`; its workers print nothing."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "script.py").write_text(TRAINS)
    (tmp_path / "network.json").write_text(BASE.to_json())
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "without"), SOURCE]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "script.py", str(few_digits)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1, done.stderr
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["machine"]["cores"] == os.cpu_count(), "without affinity and control groups it has all cores"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test"]["top1"] == float(done.stdout)


KILLED = """
import os
import signal
import sys
import threading
import time
from pathlib import Path
from budgetnet.parallel.workers import Workers

begun = Path(sys.argv[1])
job = f"open({str(begun)!r}, 'w').write(str(__import__('os').getpid())) and __import__('time').sleep(600)"
with Workers(eval, 1) as workers:
    threading.Thread(target=workers.run, args=([job],), daemon=True).start()
    while not begun.exists() or not begun.read_text():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""A process with a worker at work, which is killed and not asked."""


@pytest.mark.skipif(os.name != "posix", reason="this system has no signal that kills")
@pytest.mark.parametrize(
    "without",
    ["", pytest.param("os.getppid = lambda parent=os.getppid(): parent", marks=pytest.mark.slow)],
    ids=["here", "as Windows"],
)
def test_a_worker_ends_with_its_parent(without: str, tmp_path: Path) -> None:
    """Also where the number of its parent stays when the parent is gone, as on Windows."""
    (tmp_path / "sitecustomize.py").write_text(f"import os\n{without}\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), SOURCE])}
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", KILLED, str(begun)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    worker, deadline = int(begun.read_text()), time.monotonic() + 60
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker goes on without its parent"
        time.sleep(0.1)


def test_threads_write_to_one_file_where_a_write_has_no_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pwrite", raising=False)
    parts = [bytes([value]) * 4097 for value in range(200)]
    with store.opened_aside(tmp_path / "file") as descriptor:
        store.in_threads(
            lambda index: store.write_all(descriptor, parts[index], 4097 * index), range(len(parts)), "writing"
        )
    assert (tmp_path / "file").read_bytes() == b"".join(parts)
