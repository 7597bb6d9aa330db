"""A server under load, by hey: what it can carry, and what becomes of its answers at up to four times that.

    python -m bench.serving FILE [--plot docs/serving.svg] [--seconds 15] [--minutes 10]

The server runs on this machine beside its clients (hey: github.com/rakyll/hey, `apt-get install hey`). Unloaded: one
client, one request after another. What it can carry: what is answered of twice as many as that client gets from each
thread. Then clients at fixed rates, at each load together. Each takes `--seconds`, without the first one, in which a
burst may wait. With `--minutes` four times what it can carry comes for so long, with the memory of the server's
process.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from numpy.typing import NDArray

from bench.gallery.files import save_drawing
from budgetnet.draw.figures import Place
from budgetnet.draw.style import COLOURS, house_style
from budgetnet.draw.svg import inline_svg, new_figure
from budgetnet.serve.limits import BURST_SECONDS

LOADS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
PROCESSES, CLIENTS = 32, 1
"""So many processes of hey, each with so many clients: the clients of one process ask at the same moment."""
DEADLINE_MS = 2.0
"""The deadline of micro-batches that the server is started with."""
SIZE_PX = (820, 560)


@dataclass(frozen=True, slots=True)
class Row:
    """A load and what came of it; `ratio` is it over what can be carried, 0 for the two that come first."""

    name: str
    ratio: float
    offered: float
    answered: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    turned_away_ms: float | None
    other: int


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and a request of one image as hey is given it."""

    process: psutil.Process
    base: str
    url: str
    body: Path
    headers: tuple[str, ...]
    threads: int


@contextmanager
def server(file: Path, threads: int | None, folder: Path) -> Iterator[Target]:
    """`budgetnet serve` of the file, and drawn pixels to ask it with."""
    words = ["--port", "0", "--json", "--log-format", "json", "--batch-wait", f"{DEADLINE_MS}ms"]
    words += [] if threads is None else ["--threads", str(threads)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "budgetnet", "serve", str(file), *words],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "log").read_text()
        started = json.loads(line)
        base, name = started["address"], started["models"][0]["name"]
        shape = [1, *httpx.get(f"{base}/v2/models/{name}", trust_env=False).json()["inputs"][0]["shape"][1:]]
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8).tobytes()
        image = {"name": "image", "datatype": "UINT8", "shape": shape, "parameters": {"binary_data_size": len(pixels)}}
        row = json.dumps({"inputs": [image], "parameters": {"binary_data_output": True}}).encode()
        (folder / "body").write_bytes(row + pixels)
        headers = ("-H", f"Inference-Header-Content-Length: {len(row)}")
        url = f"{base}/v2/models/{name}/infer"
        try:
            yield Target(psutil.Process(process.pid), base, url, folder / "body", headers, started["threads"])
        finally:
            process.terminate()
            print(f"asked to stop, the server ended with {process.wait(timeout=60)}")


def asked(
    target: Target,
    seconds: float,
    clients: int,
    processes: int = 1,
    rate: float | None = None,
    without: float = BURST_SECONDS,
) -> list[Any]:
    """Milliseconds and status of every answer behind the first second, by hey; the rate is that of all clients."""
    each = [] if rate is None else ["-q", f"{rate / clients / processes:.5f}"]
    words = ["hey", "-z", f"{seconds:g}s", "-c", str(clients), *each, "-m", "POST", "-D", str(target.body)]
    words += [*target.headers, "-o", "csv", "-cpus", "1", "-t", "30", target.url]
    started: list[subprocess.Popen[str]] = []
    period = 0.0 if rate is None else clients * processes / rate
    for _ in range(processes):  # spread over the time in which each client asks once
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
        time.sleep(period / processes)
    texts = [process.communicate()[0] for process in started]
    return [
        (1000 * float(row["response-time"]), int(row["status-code"]))
        for text in texts
        for row in csv.DictReader(io.StringIO(text))
        if float(row["offset"]) >= without
    ]


def row_of(name: str, ratio: float, answers: Sequence[Any], seconds: float) -> Row:
    """What came of a load."""
    ms, status = (np.array(column) for column in zip(*answers, strict=True))
    good: NDArray[np.float64] = ms[status == 200]
    away = ms[status == 503]
    return Row(
        name,
        ratio,
        len(ms) / seconds,
        len(good) / seconds,
        float(np.percentile(good, 50)),
        float(np.percentile(good, 99)),
        float(ms.max()),
        float(np.percentile(away, 50)) if len(away) else None,
        int(np.count_nonzero((status != 200) & (status != 503))),
    )


def said(row: Row) -> str:
    """A row of the table."""
    away = "" if row.turned_away_ms is None else f"{row.turned_away_ms:.1f}"
    cells = (row.name, f"{row.offered:.0f}", f"{row.answered:.0f}", f"{row.p50_ms:.1f}", f"{row.p99_ms:.1f}")
    return f"| {' | '.join((*cells, f'{row.longest_ms:.0f}', away, str(row.other)))} |"


def long_run(target: Target, capacity: float, minutes: float) -> tuple[Row, list[tuple[float, float]]]:
    """Four times what it can carry for so long, and the memory of the server: minutes and MB."""
    import threading

    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.extend(asked(target, 60 * minutes, CLIENTS, PROCESSES, LOADS[-1] * capacity, 0.0))
    )
    thread.start()
    memory: list[tuple[float, float]] = []
    begun = time.monotonic()
    while thread.is_alive():
        memory.append(((time.monotonic() - begun) / 60, target.process.memory_info().rss / 1e6))
        thread.join(10)
    return row_of(f"4 for {minutes:g} minutes", LOADS[-1], found, 60 * minutes), memory


def draw(path: Path, title: str, rows: Sequence[Row], bound_ms: float) -> None:
    """How long answers take and how many are given, over the load."""
    loads = [row for row in rows if row.ratio]
    across = [row.ratio for row in loads]
    quiet, accent = COLOURS["quiet"], COLOURS["accent"]
    with house_style():
        figure = new_figure(*SIZE_PX)
        upper = Place(54, 316, SIZE_PX[0] - 220, 196).on(figure)
        lower = Place(54, 54, SIZE_PX[0] - 220, 196).on(figure)
        upper.plot(across, [row.p99_ms for row in loads], "o-", color=accent)
        upper.plot(across, [row.p50_ms for row in loads], "o-", color=quiet)
        upper.axhline(bound_ms, color=COLOURS["faint"], linewidth=1, linestyle=(0, (3, 3)))
        upper.set_ylim(0, 1.15 * max(bound_ms, *(row.p99_ms for row in loads)))
        upper.set_title(f"{title}: milliseconds of what is answered", pad=12, loc="left")
        ends = ((loads[-1].p99_ms, "99th percentile", accent), (loads[-1].p50_ms, "median", quiet))
        for height, text, colour in (*ends, (bound_ms, "twice the unloaded 99th + 2", quiet)):
            upper.annotate(text, (across[-1], height), (8, 0), textcoords="offset points", va="center", color=colour)
        lower.plot(across, [row.answered for row in loads], "o-", color=accent)
        lower.plot(across, [row.offered for row in loads], "o-", color=quiet)
        lower.set_ylim(0, None)
        lower.set_title("Requests a second", pad=12, loc="left")
        lower.set_xlabel("load, in what the server can carry")
        for height, text, colour in ((loads[-1].answered, "answered", accent), (loads[-1].offered, "asked", quiet)):
            lower.annotate(text, (across[-1], height), (8, 0), textcoords="offset points", va="center", color=colour)
        save_drawing(inline_svg(figure, "serving-", f"{title}: latency and answers over the load"), path)


def main() -> int:
    """Measure, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(given.file, given.threads, Path(folder)) as target:
        rows = [row_of("unloaded", 0, asked(target, given.seconds, 1), given.seconds - BURST_SECONDS)]
        bound = 2 * rows[0].p99_ms + DEADLINE_MS
        twice = 2 * target.threads * rows[0].answered
        answers = asked(target, given.seconds, CLIENTS, PROCESSES, twice)
        rows.append(row_of("carried", 0, answers, given.seconds - BURST_SECONDS))
        capacity = rows[1].answered
        print(f"{target.threads} computing threads; the bound of the 99th percentile is {bound:.1f} ms")
        print("| load | asked/s | answered/s | median, ms | 99th, ms | longest, ms | turned away after, ms | other |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for row in rows:
            print(said(row), flush=True)
        for ratio in LOADS:
            answers = asked(target, given.seconds, CLIENTS, PROCESSES, ratio * capacity)
            rows.append(row_of(f"{ratio:g}", ratio, answers, given.seconds - BURST_SECONDS))
            print(said(rows[-1]), flush=True)
        kept = rows[-1].p99_ms <= bound
        if given.minutes:
            row, memory = long_run(target, capacity, given.minutes)
            print(said(row))
            print(
                "memory, MB:",
                ", ".join(f"{mb:.0f} after {at:.1f} min" for at, mb in memory[:: max(1, len(memory) // 12)]),
            )
            kept = row.p99_ms <= bound
        lives = httpx.get(f"{target.base}/v2/health/ready", trust_env=False).status_code == 200
        print(f"at four times what it carries the bound is {'kept' if kept else 'broken'}; the server lives: {lives}")
    if given.plot:
        draw(given.plot, given.title or given.file.stem, rows, bound)
    return 0


if __name__ == "__main__":
    sys.exit(main())
