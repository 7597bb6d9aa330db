"""OpenVINO without what it sends to its makers."""

from __future__ import annotations

import sys
from typing import Any


def quiet_openvino() -> Any:
    """The module. Where its telemetry is not loaded yet it cannot be: then OpenVINO works without, and says so to
    nobody."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what makes an import fail
    import openvino

    return openvino
