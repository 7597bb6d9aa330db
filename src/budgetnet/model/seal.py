"""The seal of an exported file: in its own metadata, a digest of all else that it has. One code for every format.

A format has a place for a text, and writes `OPEN` there. `sealed` puts the digest into it:

    sha256 of each file's name, length and bytes, in the order of the names, the digest's own digits read as zeros

A file that is one of several lies under its name in their folder; one by itself under the name "".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SEAL = "budgetnet.sha256"
"""The seal has this name where a format's metadata have names."""
_MARK, _DIGITS = b"budgetnet-sha256-", 64
OPEN = (_MARK + b"0" * _DIGITS).decode()
"""This text is written where the digest will be."""
_WRITTEN = re.compile(re.escape(_MARK) + rb"([0-9a-f]{%d})" % _DIGITS)


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of an export with their digest where `OPEN`, or an earlier digest, stands in one of them.

    Raises a one-line `ValueError` where it stands in no file, or in two places: a class could be called so.

    >>> whole = sealed({"": b"weights, " + OPEN.encode()})
    >>> check_seal("model.bin", whole)
    >>> check_seal("model.bin", {"": whole[""] + b" and more"})
    Traceback (most recent call last):
        ...
    ValueError: model.bin was changed after its export: its digest is that of other content; export it again
    """
    name, start = _place("what is exported", files)
    content, digest = files[name], _digest(files, name, start).encode()
    return {**files, name: content[:start] + digest + content[start + _DIGITS :]}


def check_seal(where: str, files: Mapping[str, bytes]) -> None:
    """Raise a one-line `ValueError` where what lies at `where` is not, to the byte, what was exported."""
    name, start = _place(where, files)
    if files[name][start : start + _DIGITS].decode() != _digest(files, name, start):
        raise ValueError(f"{where} was changed after its export: its digest is that of other content; export it again")


def seal_of(files: Mapping[str, bytes]) -> str:
    """The digest that stands in one of the files. Raises a one-line `ValueError` where it stands in none, or in two."""
    name, start = _place("what is exported", files)
    return files[name][start : start + _DIGITS].decode()


def _place(where: str, files: Mapping[str, bytes]) -> tuple[str, int]:
    """In which file the digest stands, and from which byte on."""
    found = [(name, one.start(1)) for name, content in files.items() for one in _WRITTEN.finditer(content)]
    if not found:
        raise ValueError(
            f"{where} has no digest of its content: it was changed, or is of a budgetnet from before there was one; "
            "export it again"
        )
    if len(found) > 1:
        raise ValueError(f"{where} has two digests of its content, and one is right; export it again")
    return found[0]


def _digest(files: Mapping[str, bytes], sealed_name: str, start: int) -> str:
    found = hashlib.sha256()
    for name, content in sorted(files.items()):
        found.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogatepass"))
        if name != sealed_name:
            found.update(content)
            continue
        rest = memoryview(content)
        for part in (rest[:start], b"0" * _DIGITS, rest[start + _DIGITS :]):
            found.update(part)
    return found.hexdigest()
