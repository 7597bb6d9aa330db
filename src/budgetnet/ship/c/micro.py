"""The int8 model of a folder, run as firmware runs it: by TensorFlow Lite Micro in the folder's arena."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budgetnet.ship.eight_bits.scale import Scale
from budgetnet.ship.notes import Notes
from budgetnet.ship.tflite.interpreters import as_read, interpreter_of, logits_from, micro_interpreter


@dataclass(frozen=True, slots=True, eq=False)
class MicroModel:
    """An int8 model in LiteRT, and in TensorFlow Lite Micro where that is to answer and is installed."""

    content: bytes
    arena_bytes: int
    output: Scale
    litert: Any
    micro: Any | None

    @classmethod
    def of(cls, where: str, content: bytes, notes: Notes, arena_bytes: int, reference: bool) -> MicroModel:
        """A model that was read from `where`; `reference`: to answer by TensorFlow Lite Micro, or by LiteRT's reference
        kernels, which it follows.

        Raises a one-line `ValueError` for what is no model, for one that the notes do not fit, and for an arena in
        which it does not start. LiteRT reads it first: it checks a model, where TensorFlow Lite Micro ends the process.
        """
        try:
            litert = interpreter_of(content, reference)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{where} has a damaged model: {' '.join(str(error).split())}") from error
        given, made = litert.get_input_details()[0], litert.get_output_details()[0]
        image = (1, *notes.network.resolution_px, notes.network.in_channels)
        expected = ((image, np.int8), ((1, len(notes.classes)), np.int8))
        if tuple((tuple(end["shape"].tolist()), end["dtype"]) for end in (given, made)) != expected:
            raise ValueError(f"{where} has another network than the notes beside it, or one that is not in int8")
        scale, zero_point = made["quantization"]
        micro = _micro(where, content, arena_bytes) if reference else None
        return cls(content, arena_bytes, Scale(float(scale), int(zero_point)), litert, micro)

    def logits(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The logits of images (h, w, c) in pixels of 0 to 255: (n, classes)."""
        if self.micro is None:
            return logits_from(self.litert, images)
        rows: list[NDArray[np.float32]] = []
        for image in images:
            self.micro.set_input(as_read(image), 0)
            self.micro.invoke()
            rows.append(self.micro.get_output(0)[0].astype(np.float32))
        return (np.stack(rows) - np.float32(self.output.zero_point)) * np.float32(self.output.scale)

    def integers(self, image: NDArray[np.uint8]) -> NDArray[np.int8]:
        """What firmware gets for an image, before the scale: (classes,)."""
        (logits,) = self.logits([image])
        return np.round(logits / np.float32(self.output.scale) + self.output.zero_point).astype(np.int8)


def _micro(where: str, content: bytes, arena_bytes: int) -> Any | None:
    """TensorFlow Lite Micro with the model in an arena of so many bytes; None where it is not installed."""
    try:
        return micro_interpreter(content, arena_bytes)
    except RuntimeError as error:
        raise ValueError(
            f"{where}: TensorFlow Lite Micro does not run the network in {arena_bytes:,} bytes of arena"
        ) from error
