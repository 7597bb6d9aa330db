"""A command as a page shows it, for people to copy into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def in_lines(words: Sequence[str]) -> str:
    """The words of a command for a shell, a flag a line."""
    return " ".join(f"\\\n    {word}" if word.startswith("--") else shlex.quote(word) for word in words)
