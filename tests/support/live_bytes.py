"""Counts the bytes of every tensor storage that is alive while code runs: what memory.py is held against."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """`live` and `peak` bytes of the storages that ops under this mode made or that `hold` was told of.

    A storage is counted once, however many tensors view it, until the last of them dies. `trace`, if a
    list is given, gets (op, live bytes) after every op.
    """

    def __init__(self, trace: list[tuple[str, int]] | None = None) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.trace = trace
        self._known: dict[int, weakref.ref[Any]] = {}

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that exist already."""
        for tensor in tensors:
            self._count(tensor.untyped_storage())

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Never count these, nor views of them."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._known[storage._cdata] = weakref.ref(storage)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def gone(_: object) -> None:
            del self._known[key]
            self.live -= size

        self._known[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        if self.trace is not None:
            self.trace.append((str(func), self.live))
        return result
