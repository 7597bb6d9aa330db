"""What of a folder of C++ is under its seal: all that its answers depend on, as an editor or a version control left it.

The examples, the pages and the build files are the user's to change, and so is the arena.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from budgetnet.model.exported_names import LABELS, NOTES
from budgetnet.model.seal import OPEN, SEAL, check_seal, sealed

SOURCES = "src/"
ARENA = re.compile(r"^#define BUDGETNET_ARENA_BYTES (\d{1,12})$", re.MULTILINE)


def with_seal(folder: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a folder by their paths, and the one with the digest of those that are under the seal."""
    return {**folder, SEAL: sealed(_under_seal({**folder, SEAL: f"{OPEN}\n".encode()}))[SEAL]}


def check_folder(where: str, folder: Mapping[str, bytes]) -> None:
    """Raise a one-line `ValueError` where what is under the seal is not what was exported."""
    check_seal(where, _under_seal(folder))


def is_under_seal(name: str) -> bool:
    """Whether the file of this path in a folder is."""
    return name in (LABELS, NOTES, SEAL) or name.startswith(SOURCES)


def _under_seal(folder: Mapping[str, bytes]) -> dict[str, bytes]:
    """Without the sign that Windows ends a line with, which version controls add, and without the arena's size."""
    return {
        name: ARENA.sub("", content.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")).encode(
            "utf-8", "surrogateescape"
        )
        for name, content in folder.items()
        if is_under_seal(name)
    }
