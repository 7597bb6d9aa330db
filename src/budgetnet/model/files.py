"""Tensors in files, our own and other people's: only tensors are read, and nothing in a file is ever run."""

from __future__ import annotations

import contextlib
import json
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from budgetnet.atomic_write import written_aside
from budgetnet.model.pickled import RefusedError, load_pickled
from budgetnet.model.state_dicts import StateDict, state_dict_of

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".tar", ".ckpt")
DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64", "I32", "I16", "I8", "U8", "BOOL")
"""The number types of safetensors files that are read, by their names there."""
NUMBERS_AT_ONCE = 1 << 22
SHARED = 2
"""A file's tensors together may have at most this many times its size: some scripts tie two to one."""
AGAIN = "remove it, and the same command goes on from what lies before it"


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, aside and renamed."""
    with written_aside(Path(path)) as aside:
        aside.write_bytes(safetensors_of(tensors, metadata))


def safetensors_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file of named tensors; equal tensors and metadata give equal bytes."""
    # Row by row, for safetensors keeps no strides; copies, for it refuses tensors that share memory.
    rows = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return _sorted_header(save(rows, dict(metadata or {})))


def _sorted_header(content: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library writes that in another order each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What a safetensors file says of itself, before any number is read: each tensor's shape, and its metadata."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read_header(path: str | Path) -> Header:
    """Names, shapes and metadata of a safetensors file. Raises the one-line `ValueError`s of `load_tensors`."""
    with _opened(path) as file:
        shapes: dict[str, tuple[int, ...]] = {}
        for name in file.keys():  # noqa: SIM118  # a handle, no dictionary
            rows = file.get_slice(name)
            if (dtype := rows.get_dtype()) not in DTYPES:
                raise ValueError(f"{path} keeps {name} as {dtype}, which no weight is; save it as float32")
            shapes[name] = tuple(rows.get_shape())
        return Header(Path(path), shapes, dict(file.metadata() or {}))


class _RefusalKeeper:
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
        keeper = _RefusalKeeper(file)
        try:
            torch.save(state, cast(BinaryIO, keeper))
        except (RuntimeError, OSError):
            if keeper.error is not None:
                raise keeper.error from None
            raise


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote. Raises a one-line `ValueError` for a file that is damaged."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AssertionError, IndexError) as error:
        raise ValueError(f"{path} is not a whole checkpoint; {AGAIN}") from error


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, on the CPU.

    Raises a one-line `ValueError` for a file that is absent, cut short or of another format, for tensors that lie in
    each other or in nothing, and for complex numbers.
    """
    header = read_header(path)
    with _opened(path) as file:
        # Cloned, for the file may be truncated while its map is in use.
        return {name: file.get_tensor(name).clone() for name in header.shapes}, dict(header.metadata)


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    """A safetensors file; its reader checks that the tensors lie side by side and fill the file."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError(f"{path} is not a file; give a file of weights")
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except FileNotFoundError as error:
        raise ValueError(f"there is no weights file {path}") from error
    except OSError as error:
        raise ValueError(f"cannot read weights from {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is not a whole safetensors file ({reason}); only safetensors are read") from error


def check_tensors(path: str | Path) -> None:
    """Raise the `ValueError`s of `load_tensors` without reading the tensors."""
    with _opened(path):
        pass


def read_torch(path: Path) -> StateDict:
    """The weights of a file that `torch.save` wrote, on the CPU: alone, or inside a checkpoint (`state_dict_of`).

    Raises a one-line `ValueError` for a file that is absent, cut short, packed to burst, a web page, or
    that holds anything which would run code.
    """
    check_start(path)
    _check_archive(path)
    try:
        content = load_pickled(path)
    except RefusedError as error:
        raise ValueError(f"{path} {error}") from error
    return state_dict_of(str(path), content)


def check_numbers(where: str, tensors: Mapping[str, Tensor], file_bytes: int | None = None) -> None:
    """Raise a one-line `ValueError` that names the first tensor which is not plain rows of real, finite numbers.

    An expanded tensor has fewer numbers than it claims, which are only made when it is copied; so has a set of tensors
    that share theirs and are together more than the file (`file_bytes`). Neither is what a training leaves.
    """
    claimed = 0
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            kind = "has no numbers" if tensor.is_meta else "is sparse or quantised"
            raise ValueError(f"{where}: {name} {kind}; save it as a plain tensor, as tensor.to_dense() gives")
        if tensor.is_complex():
            raise ValueError(f"{where}: {name} has complex numbers, which no weight is")
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            held = tensor.untyped_storage().nbytes() // tensor.element_size()
            raise ValueError(
                f"{where}: {name} is expanded, {tensor.numel():,} numbers out of {held:,}; save tensor.clone()"
            )
        claimed += size
        if file_bytes is not None and claimed > SHARED * file_bytes:
            raise ValueError(f"{where} has tensors that share their numbers and are more than the file; it is refused")
    for name, tensor in tensors.items():
        if wrong := _no_number(name, tensor):
            raise ValueError(f"{where} has {wrong} in {name}; its training diverged or the file is damaged")


def _no_number(name: str, tensor: Tensor) -> str | None:
    """What of a tensor is not a number as our models compute, in float32; a variance is none below 0."""
    for part in tensor.reshape(-1).split(NUMBERS_AT_ONCE):
        numbers = part.float()
        wrong = numbers[~numbers.isfinite()]
        if not len(wrong) and name.endswith(("running_var", "moving_variance")):
            wrong = numbers[numbers < 0]
        if len(wrong):
            return f"{float(wrong[0]):g}" + (" (a variance)" if wrong[0] < 0 and wrong[0].isfinite() else "")
    return None


def check_start(path: Path) -> None:
    """Raise a one-line `ValueError` for what is absent, no file (a pipe may never end), empty or a web page."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"cannot read weights from {path}: it is not a file")
        with path.open("rb") as file:
            start = file.read(512).lstrip().lower()
    except OSError as error:
        raise ValueError(f"cannot read weights from {path}: {error.strerror or error}") from error
    if not start:
        raise ValueError(f"{path} is empty; download it again")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(f"{path} is a web page and no weights; download the file itself")


def _check_archive(path: Path) -> None:
    """Raise a one-line `ValueError` for an archive that is packed to burst, and for TorchScript."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            if any(entry.filename.endswith("/constants.pkl") for entry in archive.infolist()):
                raise ValueError(f"{path} is TorchScript, which is code; save model.state_dict() instead")
            # torch.save packs nothing: a file that would grow when it is read is not of its making.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError(f"{path} is a packed archive and no file of torch.save; it is refused")
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError(f"{path} claims to hold more than its size; it is refused")
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a whole file of torch.save ({error}); download it again") from error
