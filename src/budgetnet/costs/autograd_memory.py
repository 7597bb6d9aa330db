"""The graph that autograd would record, run on sizes: references to storages, and the bytes that live."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of a piece of the step: its peaks (its input counted as its own), what it keeps from
    forward to backward (its output not counted), its input if no op of it keeps that, the
    gradients of its weights."""

    forward_peak: int
    backward_peak: int
    kept: int
    loose: int
    grads: int


@dataclass(frozen=True, slots=True)
class Node:
    """What autograd records of an op. `shares`: the gradient is handed on as it is."""

    inputs: tuple[int, ...]
    output: int
    saved: tuple[int, ...]
    params: int
    scratch: int
    shares: bool


class AutogradMemory:
    """Runs ops forward, then backward, counting references to storages and the bytes that live.

    A tensor is an index. Whoever makes or holds one has a reference; it lives until the last goes.
    """

    def __init__(self, batch: int) -> None:
        self._image_bytes = FLOAT_BYTES * batch
        self._sizes: list[int] = []
        self._references: list[int] = []
        self._nodes: list[Node] = []
        self.live = 0
        self.peak = 0

    def tensor(self, elements: int) -> int:
        """A new tensor of `elements` an image."""
        return self._new(elements * self._image_bytes)

    def vector(self, elements: int) -> int:
        """A new tensor of `elements`, whatever the batch."""
        return self._new(elements * FLOAT_BYTES)

    def _new(self, size: int) -> int:
        self._sizes.append(size)
        self._references.append(1)
        self._bump(size)
        self.live += size
        return len(self._sizes) - 1

    def _bump(self, extra: int) -> None:
        self.peak = max(self.peak, self.live + extra)

    def hold(self, tensor: int) -> int:
        """One more reference."""
        self._references[tensor] += 1
        return tensor

    def drop(self, *tensors: int) -> None:
        """One reference less on each."""
        for tensor in tensors:
            self._references[tensor] -= 1
            if self._references[tensor] == 0:
                self.live -= self._sizes[tensor]

    def op(
        self,
        inputs: tuple[int, ...],
        elements: int,
        saves: tuple[int, ...] = (),
        saves_output: bool = False,
        params: int = 0,
        scratch: int = 0,
        shares: bool = False,
    ) -> int:
        """A new tensor made from `inputs`, which are let go and will want gradients.

        `params` elements of weights get gradients in backward; `scratch` elements an image live
        there beside them for a moment.
        """
        output = self.tensor(elements)
        saved = tuple(map(self.hold, (*saves, output) if saves_output else saves))
        node = Node(inputs, output, saved, params * FLOAT_BYTES, scratch * self._image_bytes, shares)
        self._nodes.append(node)
        self.drop(*inputs)
        return output

    def segment(self, output: int, source: int | None = None, source_kept: bool = False) -> Segment:
        """The forward so far, from `source` to `output`, and its backward.

        The caller's reference to the source ends with the forward, or, if the op that made it has
        kept it, with the backward.
        """
        live = self.live
        if source is not None and not source_kept:
            self.drop(source)
        forward_peak, loose, kept = self.peak, live - self.live, self.live - self._sizes[output]
        self.peak = 0
        gradients = {output: self._new(self._sizes[output])}
        self.drop(output)
        for node in reversed(self._nodes):
            self._backward(node, gradients)
        return Segment(forward_peak, self.peak, kept, loose, sum(node.params for node in self._nodes))

    def _backward(self, node: Node, gradients: dict[int, int]) -> None:
        """The gradients of a node's inputs and weights; then its own gradient and what it saved go."""
        incoming = gradients.pop(node.output)
        made = [self.hold(incoming) if node.shares else self._new(self._sizes[tensor]) for tensor in node.inputs]
        self._new(node.params)
        self._bump(node.scratch)
        self.drop(incoming, *node.saved)
        for tensor, gradient in zip(node.inputs, made, strict=True):
            if tensor in gradients:
                # A tensor that two ops read: autograd adds into a new tensor.
                total = self._new(self._sizes[tensor])
                self.drop(gradients[tensor], gradient)
                gradient = total
            gradients[tensor] = gradient
