"""Tensors in files, our own and other people's: only tensors are read, and nothing in a file is ever run."""

from __future__ import annotations

import contextlib
import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from budgetnet.writing import written_aside

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".ckpt")
AGAIN = "remove it, and the same command goes on from what lies before it"
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model", "module", "net")
"""Keys under which training scripts keep the tensors; a moving average counts first."""


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, aside and renamed; equal tensors and metadata give equal bytes."""
    # Row by row, for safetensors keeps no strides; copies, for it refuses tensors that share memory.
    rows = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    with written_aside(Path(path)) as aside:
        aside.write_bytes(_sorted_header(save(rows, dict(metadata or {}))))


def _sorted_header(content: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library writes that in another order each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


class _Told:
    """A file to write to that keeps what the system refused: torch says of that in its own words."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training's state by `torch.save`, aside and renamed. Raises `OSError` for what the system refuses."""
    with written_aside(path) as aside, aside.open("wb") as file:
        told = _Told(file)
        try:
            torch.save(state, cast(BinaryIO, told))
        except (RuntimeError, OSError):
            if told.error is not None:
                raise told.error from None
            raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote. Raises a one-line `ValueError` for a file that is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AssertionError, IndexError) as error:
        raise ValueError(f"{path} is no whole checkpoint; {AGAIN}") from error


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, on the CPU.

    Raises a one-line `ValueError` for a file that is absent, cut short or of another format.
    """
    with _opened(path) as file:
        # Cloned, for the file may be truncated while its map is in use.
        return {name: file.get_tensor(name).clone() for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except FileNotFoundError as error:
        raise ValueError(f"there is no weights file {path}") from error
    except OSError as error:
        raise ValueError(f"cannot read weights from {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); only safetensors are read") from error


def check_tensors(path: str | Path) -> None:
    """Raise the `ValueError`s of `load_tensors` without reading the tensors."""
    with _opened(path):
        pass


def load_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote, on the CPU.

    Raises a one-line `ValueError` for a file that is absent, cut short, packed to burst, a web page, or
    that holds anything which would run code.
    """
    check_start(path)
    _check_archive(path)
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors, which could run code, or is damaged; it is refused. "
            "Ask for a file of tensors alone, best as .safetensors"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AssertionError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ValueError(f"{path} is no whole file of torch.save ({reason}); download it again") from error
    tensors = _tensors(content)
    if not tensors:
        raise ValueError(f"{path} holds no named tensors; give a state dict")
    return tensors


def check_start(path: Path) -> None:
    """Raise a one-line `ValueError` for a file that is absent, empty or a web page."""
    try:
        with path.open("rb") as file:
            start = file.read(512).lstrip().lower()
    except OSError as error:
        raise ValueError(f"cannot read weights from {path}: {error.strerror or error}") from error
    if not start:
        raise ValueError(f"{path} is empty; download it again")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(f"{path} is a web page and no weights; download the file itself")


def _check_archive(path: Path) -> None:
    """Raise a one-line `ValueError` for an archive that is packed to burst."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # torch.save packs nothing: a file that would grow when it is read is no work of its own.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError(f"{path} is a packed archive and no file of torch.save; it is refused")
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError(f"{path} claims to hold more than its size; it is refused")


def _tensors(content: object) -> dict[str, Tensor]:
    """Named tensors of a state dict, or of one inside a checkpoint."""
    if not isinstance(content, Mapping):
        return {}
    rows: Mapping[Any, Any] = content
    for wrapper in WRAPPERS:
        if isinstance(inner := rows.get(wrapper), Mapping):
            return _tensors(inner)
    return {str(name).removeprefix("module."): tensor for name, tensor in rows.items() if isinstance(tensor, Tensor)}
