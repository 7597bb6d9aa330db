"""The command that makes an explanation again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from budgetnet.draw.command_line import in_lines


def written_out(
    run: str | Path,
    images: Sequence[str],
    beside: Sequence[str | Path],
    others: Sequence[str | Path],
    classes: Sequence[str],
    stages: Sequence[str],
    layer: str | None,
    drawn: int,
    split: str | None,
    out: str | Path | None,
) -> str:
    """The command with every argument written out: the options a line each, the images last."""
    pairs = [("--beside", one) for one in beside] + [("--with", one) for one in others]
    pairs += [("--class", one) for one in classes]
    pairs += [("--stages", ",".join(stages))] if stages else []
    pairs += [("--layer", layer)] if layer else []
    pairs += [("--drawn", str(drawn))]
    pairs += [("--split", split)] if split else []
    pairs += [("--out", out)] if out is not None else []
    words = ["budgetnet", "explain", os.fspath(run)]
    words += [word for flag, value in pairs for word in (flag, os.fspath(value))]
    return in_lines(words) + (f" \\\n    {' '.join(map(shlex.quote, images))}" if images else "")
