"""What a file of torch.save may hold beside tensors: plain containers and numbers, each read as data.

`torch.load(weights_only=True)` calls nothing but what it has on a list. Ours is shorter where its own leads to more
memory than the file has (a bytearray of any size, sparse and other tensors that are not plain rows of numbers), and
longer by what training scripts put beside the weights (argparse.Namespace, paths, numpy's numbers). Of those, stand-ins
are made, and never the things themselves: no code of the classes that a file names is found, imported or run.
"""

from __future__ import annotations

import pickletools
import re
import struct
import threading
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

MOST_PICKLE_BYTES = 1 << 24
"""The most bytes of the pickle that describes the tensors; their numbers lie beside it. A checkpoint with its optimiser
has about 200,000."""
MAGIC = 0x1950A86A20F9469CFC6C
"""What a file of torch before 1.6 begins with, as a pickle; four more follow. Source: torch/serialization.py."""


class RefusedError(Exception):
    """What is wrong with a file, to stand behind its name."""


class Record:
    """Stands for a value of which only its attributes count: argparse.Namespace, a date, a configuration."""

    def __new__(cls, *values: object) -> Record:
        """Whatever it is made of."""
        return object.__new__(cls)

    def __init__(self, *values: object) -> None:
        self.values = values

    def __setstate__(self, state: object) -> None:
        if isinstance(state, Mapping):
            self.__dict__.update({str(name): value for name, value in state.items()})


class Rows:
    """Stands for a dictionary of another class: what is made is an OrderedDict."""

    def __new__(cls, *values: object) -> Any:
        """Empty: a file fills it afterwards."""
        return OrderedDict()


class NumberType:
    """Stands for numpy.dtype: its code and its byte order."""

    def __init__(self, code: object = "", *more: object) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = str(state[1])


_CODES = {
    **{"f8": "d", "f4": "f", "f2": "e", "b1": "?"},
    **{"i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B"},
}
"""The names that numpy has for number types, with those of `struct`."""


def _number(kind: object, raw: object = b"") -> float | int | bool:
    """Stands for numpy's scalar: a number from its bytes."""
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(kind, NumberType) or kind.code not in _CODES or not isinstance(raw, bytes):
        raise RefusedError("holds a number of numpy that is not a plain one")
    return struct.unpack(kind.order + _CODES[kind.code], raw)[0]


def _path(*parts: object) -> str:
    """Stands for a path, also one of another system."""
    return "/".join(map(str, parts))


_LIGHTNING = ("pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing")
_FABRIC = ("lightning_fabric.utilities.data", "lightning.fabric.utilities.data")
STAND_INS: Mapping[str, Any] = {
    **dict.fromkeys(("argparse.Namespace", "types.SimpleNamespace"), Record),
    **dict.fromkeys(("datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta"), Record),
    **dict.fromkeys(("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "builtins.range", "builtins.slice"), Record),
    **{f"builtins.{name}": Record for name in ("list", "dict", "int", "float", "str", "tuple", "bool")},
    "builtins.frozenset": frozenset,
    "torch.torch_version.TorchVersion": Record,
    "collections.deque": Record,
    "collections.defaultdict": Rows,
    **{f"{module}.AttributeDict": Rows for module in (*_LIGHTNING, *_FABRIC)},
    **dict.fromkeys(("easydict.EasyDict", "addict.addict.Dict", "yacs.config.CfgNode"), Rows),
    **{f"omegaconf.{name}": Record for name in ("dictconfig.DictConfig", "listconfig.ListConfig")},
    **{f"omegaconf.base.{name}": Record for name in ("Metadata", "ContainerMetadata")},
    **{f"omegaconf.nodes.{kind}Node": Record for kind in ("Any", "String", "Integer", "Float", "Boolean")},
    "typing.Any": Record,
    **{
        f"{module}.{system}Path": _path
        for module in ("pathlib", "pathlib._local")
        for system in ("", "Pure", "Posix", "Windows", "PurePosix", "PureWindows")
    },
    **{f"numpy.{core}.multiarray.scalar": _number for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": Record for core in ("core", "_core")},
    "numpy.ndarray": Record,
    "numpy.dtype": NumberType,
}
"""What is made in place of the values of these names."""

TENSORS = re.compile(
    r"torch\._utils\._rebuild_(?:tensor|tensor_v2|parameter)"
    r"|torch\.\w*Storage|torch\.(?:Size|device|nn\.parameter\.Parameter)"
    r"|torch\.(?:u?int|float|bfloat|complex|quint|qint)\d\w*|torch\.(?:bool|half|double|long|short|int|float)"
    r"|torch\.serialization\._get_layout|collections\.(?:OrderedDict|Counter)|_codecs\.encode"
    r"|builtins\.(?:set|complex)"
)
"""The names that torch itself writes and reads: plain tensors, and what describes them."""
ENLARGING = {f"{name}{tail}" for name in ("hex", "base64", "quopri", "quotedprintable", "uu") for tail in ("", "codec")}
"""The codecs that turn bytes into more bytes: `_codecs.encode` again and again would fill any memory."""

_ONE_AT_A_TIME = threading.Lock()  # what torch is told to allow is one list for the process


def load_pickled(path: Path) -> object:
    """What `torch.save` wrote, on the CPU: tensors, containers, numbers, and stand-ins.

    Raises `RefusedError` for anything else, and for a file that is not whole.
    """
    for name in sorted(_names(path)):
        if not TENSORS.fullmatch(name) and name not in STAND_INS:
            raise RefusedError(
                f"holds a {name}, which is more than tensors, plain containers and numbers and could run code; it is "
                "refused. Save the weights alone, torch.save(model.state_dict(), FILE), best as .safetensors"
            )
    allowed: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    try:
        with _ONE_AT_A_TIME, torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except RefusedError:
        raise
    # What torch raises for a damaged file depends on where the damage is.
    except Exception as error:
        reason = " ".join((str(error).splitlines() or [""])[0].split())[:120] or type(error).__name__
        raise RefusedError(f"is not a whole file of torch.save ({reason}); download or save it again") from error


def _names(path: Path) -> set[str]:
    """What the file's pickle names: the classes and functions that its reader would look for."""
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return _named_before_zip(file)
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if re.fullmatch(r"(?:[^/]*/)?data\.pkl", entry.filename)]
            if len(entries) != 1:
                raise RefusedError("is an archive and no file of torch.save; it is refused")
            if entries[0].file_size > MOST_PICKLE_BYTES:
                raise RefusedError("describes more tensors than any checkpoint has; it is refused")
            with archive.open(entries[0]) as file:
                return set(_named(file))
    except (OSError, zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RefusedError(f"is not a whole file of torch.save ({reason}); download or save it again") from error


def _named_before_zip(file: IO[bytes]) -> set[str]:
    """The same for a file of torch before 1.6: five pickles, then numbers."""
    found = set(_named(file))
    begin = file.tell()
    file.seek(0)
    numbers = [value for _, value, _ in pickletools.genops(file.read(begin)) if isinstance(value, int)]
    if MAGIC in numbers:
        for _ in range(4):
            found |= set(_named(file))
    return found


def _named(file: IO[bytes]) -> Iterator[str]:
    """The names in the pickle that begins where the file is read."""
    texts: set[str] = set()
    begin = file.tell()
    encodes = False
    for operation, value, place in pickletools.genops(file):
        if (place or 0) - begin > MOST_PICKLE_BYTES:
            raise RefusedError("describes more tensors than any checkpoint has; it is refused")
        if operation.name == "GLOBAL":
            module, _, name = str(value).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            encodes = encodes or module == "_codecs"
            yield f"{module}.{name}"
        elif operation.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise RefusedError("was saved with another pickle protocol than torch's own (2); save it again without one")
        elif isinstance(value, str) and len(value) <= 20:
            texts.add(re.sub(r"\W|_", "", value).casefold())
    if encodes and texts & ENLARGING:
        raise RefusedError("holds texts that would grow when they are read; it is refused")
