"""A server in a process of its own, and the protocol's published rules for what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

SERVE = "from budgetnet.cli import main; sys.exit(main(sys.argv[1:]))"
BLOCKED = """
from budgetnet.serve.models import Served
compute = Served.compute

def blocked(self, thread, images):
    if images.any():  # what warms it up is black
        print("computing", file=sys.stderr, flush=True)
        assert sys.stdin.readline()
    return compute(self, thread, images)

Served.compute = blocked
"""
"""In front of the program: each batch waits for a line on standard input."""
CHATTY = """
import logging, os
from budgetnet.serve.models import Served
compute = Served.compute

def chatty(self, thread, images):
    if images.any():  # what warms it up is black
        logging.getLogger("some.library").warning("by a logger")
        print("by print", file=sys.stderr)
        os.write(2, b"past Python\\n")
    return compute(self, thread, images)

Served.compute = chatty
"""
"""In front of the program: each batch says things in all ways that there are."""


class Live:
    """`budgetnet serve` with these arguments, at a free port; `heard=False`: nobody reads what it says. Use in a with
    statement."""

    def __init__(
        self, *arguments: str, first: str = "", environment: Mapping[str, str] | None = None, heard: bool = True
    ) -> None:
        words = ["serve", *arguments, "--port", "0", "--json", "--log-format", "json"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys\n{first}\n{SERVE}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.said: list[str] = []
        self._is_heard = heard
        self._heard = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Live:
        if self._is_heard:
            self._listener.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server ended: {self.said}"
        self.started = json.loads(line)
        self.client = httpx.Client(base_url=self.started["address"], timeout=60.0, trust_env=False)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.said.append(line)
                self._heard.notify_all()

    def heard(self, word: str, times: int = 1) -> None:
        """Wait until it has said this so often."""
        with self._heard:
            found = self._heard.wait_for(lambda: sum(word in line for line in self.said) >= times, timeout=60.0)
        assert found, self.said

    def release(self) -> None:
        """Let one batch of a blocked server go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self) -> int:
        """Ask it to stop, and wait until all that it said is here; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60.0)
        if self._is_heard:
            self._listener.join(timeout=60.0)
        return code

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        return [json.loads(line) for line in self.said if line.startswith("{")]

    def lives(self) -> bool:
        """Whether it is there and answers."""
        return self.process.poll() is None and self.client.get("/v2/health/ready").json()["ready"] is True


def binary_request(
    images: NDArray[np.uint8], outputs: Sequence[Mapping[str, Any]] = (), **more: Any
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request whose pixels stand behind the JSON."""
    size = {"binary_data_size": images.nbytes}
    row: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "parameters": size}
    asked = {"outputs": list(outputs)} if outputs else {}
    text = json.dumps({"inputs": [row], **asked, **more}).encode()
    return text + images.tobytes(), {"Inference-Header-Content-Length": str(len(text))}


_TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "datatype": {"enum": ["BOOL", "UINT8", "INT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["name", "datatype", "shape"],
}
RULES: Mapping[str, Any] = {
    "server": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "version", "extensions"],
        "additionalProperties": False,
    },
    "model": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": {"type": "array", "items": _TENSOR},
            "outputs": {"type": "array", "items": _TENSOR},
            "properties": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "required": ["name", "platform", "inputs", "outputs"],
        "additionalProperties": False,
    },
    "answer": {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {
                "type": "array",
                "items": {
                    **_TENSOR,
                    "properties": {
                        **_TENSOR["properties"],
                        "parameters": {"type": "object"},
                        "data": {"type": "array", "items": {"type": ["number", "string", "boolean", "array"]}},
                    },
                    "additionalProperties": False,
                },
            },
        },
        "required": ["model_name", "outputs"],
        "additionalProperties": False,
    },
    "fault": {
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
        "additionalProperties": False,
    },
}
"""The schemas of open_inference_rest.yaml in kserve/open-inference-protocol, with what inference_rest.md adds."""
