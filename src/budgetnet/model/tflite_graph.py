"""What a TensorFlow Lite file computes, and which module of a network computes the same.

Writers differ in the order of their ops, in how they spell a global average, a padding or a classifier, and in what
they put around a network. So both sides are brought to one form: a step is known by what it does and by the steps that
it reads, down to the image. Two networks are the same where their last steps are, and equal steps have equal places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budgetnet.costs.planners.tflite_ops import NORMALISE, POOL_KERNEL, POOL_STRIDE, TfliteOp, ops_of
from budgetnet.model.tflite_file import StoredOp, StoredTensor, TfliteFile
from budgetnet.networks import Network, Px

IMAGE = -1
"""The place of what a network reads."""
SAME, VALID = 0, 1
FUSED: Mapping[int, str] = {0: "identity", 1: "relu", 3: "relu6"}
PASSED = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Ops that leave a vector as it is."""
TYPES = ("QUANTIZE", "DEQUANTIZE", "CAST")
"""Ops that change a number's type and not what it is."""
FLOATING = ("FLOAT32", "FLOAT16")
PIXEL_SHIFT = {"INT8": -128}
"""Integers of this type are the pixel plus this."""
MOST_CONSTANT = 1 << 12
"""A constant that is added to a layer or multiplies one may have at most this many numbers."""

Sides = tuple[int, int, int, int]
"""A map has so many pixels of zeros above it, below, left and right."""
NO_SIDES: Sides = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of a network.

    `form` says what it does, and what it reads by places; `channels` and `px` are what it makes. Of a layer with
    weights: the places of its kernel and bias in the file, the scale of what it reads, and what is added to its bias.
    `factor` is what a map is multiplied by.
    """

    form: tuple[object, ...]
    channels: int
    px: Px
    name: str = ""
    kernel: int | None = None
    bias: int | None = None
    in_scale: float | None = None
    shift: NDArray[np.float64] | None = None
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    """What a tensor holds: what the step at a place makes, with zeros around it that its reader will take along.

    `answer`: it is behind a softmax, where nothing may follow.
    """

    step: int
    sides: Sides = NO_SIDES
    answer: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """How an input becomes what the first layer reads: scale * input + offset, (channels,) each."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The steps of a file by their forms, of which `last` makes the logits.

    `pixels`: what is done to the input before the first layer, inside of the file or told by the input's scale; None
    where neither says it.
    """

    file: TfliteFile
    channels: int
    px: Px
    steps: tuple[Step, ...]
    places: Mapping[tuple[object, ...], int]
    last: int
    pixels: Pixels | None

    @property
    def where(self) -> str:
        """The file's path."""
        return self.file.where

    @property
    def classes(self) -> int:
        """How many logits there are."""
        return self.steps[self.last].channels

    def layers(self) -> list[Step]:
        """The steps with weights that the logits come from."""
        reached, left = {self.last}, [self.last]
        while left:
            for place in _reads(self.steps[left.pop()]):
                if place != IMAGE and place not in reached:
                    reached.add(place)
                    left.append(place)
        return [self.steps[place] for place in sorted(reached) if self.steps[place].kernel is not None]

    def matched(self, network: Network) -> dict[str, tuple[TfliteOp, Step]]:
        """The network's ops that have numbers, and the file's step for each, by the op's name.

        The network takes the file's size of images, channels and classes. Raises `PartError` with the first op that
        the file does not have.
        """
        count, layers = sum(times for _, times in network.distinct_convs()), len(self.layers())
        if count != layers:  # before a network of thousands of blocks is written out
            raise PartError(f"it has {layers:,} layers with weights and the network {count:,}")
        wanted = dataclasses.replace(network, resolution_px=self.px, in_channels=self.channels, classes=self.classes)
        own: dict[str, _Value] = {}
        found: dict[str, tuple[TfliteOp, Step]] = {}
        last = IMAGE
        for op in ops_of(wanted):
            if op.name == f"{NORMALISE}.conv":
                own[op.reads[0].name] = own[op.makes.name] = _Value(IMAGE)
                continue
            reads = [own[tensor.name] for tensor in op.reads]
            if op.code == "PAD":
                own[op.makes.name] = _Value(
                    reads[0].step, _widened(reads[0].sides, (op.margin, op.margin, op.margin, op.margin))
                )
                continue
            place = self.places.get(self._form(op, reads))
            if place is None:
                raise PartError(f"{op.name} is not in it as the network has it")
            own[op.makes.name] = _Value(place)
            if op.layer is not None or op.factor is not None:
                found[op.name] = (op, self.steps[place])
            last = place
        if last != self.last:
            raise PartError("it goes on behind the classifier")
        return found

    def _form(self, op: TfliteOp, reads: list[_Value]) -> tuple[object, ...]:
        """The form of a network's op."""
        places = [value.step for value in reads]
        px = self.px if places[0] == IMAGE else self.steps[places[0]].px
        fused = "relu6" if op.fused == "hard_sigmoid" else op.fused
        match op.code:
            case "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED":
                assert op.layer is not None
                kernel, stride = op.layer.kernel, op.layer.stride
                sides = _around(reads[0].sides, px, kernel, stride, op.same)
                kind = "depthwise" if op.layer.groups > 1 else "conv"
                return (kind, op.channels, kernel, stride, sides, fused, *places)
            case "MAX_POOL_2D":
                sides = _around(reads[0].sides, px, POOL_KERNEL, POOL_STRIDE, op.same)
                return ("max_pool", POOL_KERNEL, POOL_STRIDE, sides, *places)
            case "MUL" if op.factor is not None:
                return ("scale", *places)
            case "ADD" | "MUL":
                return (op.code, fused, *sorted(places))
            case code:
                return (code, *places)


class PartError(ValueError):
    """A network and a file part somewhere, which the text says."""


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "single"


def graph_of(file: TfliteFile) -> Graph:
    """The steps of a file. Raises a one-line `ValueError` for ops and shapes that no network here has."""
    return _Reader(file).graph()


def layer_numbers(file: TfliteFile, step: Step) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel and bias of a layer as they are meant, the kernel with the file's axes.

    An integer bias has the scale of what the layer reads times that of its kernel, whether the file says so or not.
    Raises a one-line `ValueError` for number types that no kernel and bias have, and scales that do not fit them.
    """
    assert step.kernel is not None
    kernel, bias = file.tensors[step.kernel], None if step.bias is None else file.tensors[step.bias]
    integer = kernel.kind in ("INT8", "UINT8")
    if (integer and not len(kernel.scale)) or not (integer or kernel.kind in FLOATING):
        raise ValueError(f"{kernel.name}, a kernel, has {kernel.kind} without a scale; INT8, UINT8 and floats are read")
    weights, added = kernel.real(), np.zeros(step.channels)
    if bias is not None and bias.kind in FLOATING:
        added = bias.real()
    elif bias is not None:
        if bias.kind != "INT32" or not integer or step.in_scale is None or bias.numbers is None:
            raise ValueError(f"{bias.name}, a bias, has {bias.kind} and no scale; INT32 with one, and floats, are read")
        added = bias.numbers.astype(np.float64) * (step.in_scale * kernel.scales()[0])
    return weights, added if step.shift is None else added + step.shift


def _reads(step: Step) -> tuple[int, ...]:
    """The places that a step reads: the last numbers of its form."""
    count = 2 if step.form[0] in ("ADD", "MUL", "CONCATENATION") else 1
    return tuple(place for place in step.form[-count:] if isinstance(place, int))


def _widened(sides: Sides, more: Sides) -> Sides:
    top, bottom, left, right = (a + b for a, b in zip(sides, more, strict=True))
    return top, bottom, left, right


def _around(sides: Sides, px: Px, kernel: int, stride: int, same: bool) -> Sides:
    """All zeros around the map that a window is moved over: those of a PAD, and those of TensorFlow's SAME."""
    if not same:
        return sides
    height, width = px[0] + sides[0] + sides[1], px[1] + sides[2] + sides[3]
    down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (height, width))
    return _widened(sides, (down // 2, down - down // 2, across // 2, across - across // 2))


def _moved(px: Px, sides: Sides, kernel: Px, stride: Px) -> Px:
    """The size of what a window makes of a map with zeros around it."""
    height = (px[0] + sides[0] + sides[1] - kernel[0]) // stride[0] + 1
    width = (px[1] + sides[2] + sides[3] - kernel[1]) // stride[1] + 1
    return height, width


class _Reader:
    """Goes through a file's ops; mutable. `values` are the tensors that were made so far."""

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self.steps: list[Step] = []
        self.places: dict[tuple[object, ...], int] = {}
        self.values: dict[int, _Value] = {}
        self.constants: dict[int, int] = {}
        self.op = 0
        if len(file.inputs) != 1 or len(file.outputs) != 1:
            raise ValueError(
                f"{file.where} is no classifier: it reads {len(file.inputs)} and makes {len(file.outputs)} tensors"
            )
        given = file.tensors[file.inputs[0]]
        if len(given.shape) != 4 or given.shape[0] not in (1, -1) or min(given.shape[1:]) < 1:
            raise ValueError(
                f"{file.where} reads {_shape(given.shape)} numbers and no images, 1 x height x width x channels"
            )
        self.px, self.channels = (given.shape[1], given.shape[2]), given.shape[3]
        self.values[file.inputs[0]] = _Value(IMAGE)
        self.pixels = self._stated(given)

    def _stated(self, given: StoredTensor) -> Pixels | None:
        """What the input's own scale says of pixels; None where the input is floating."""
        if given.kind == "FLOAT32":
            return None
        if given.kind not in ("UINT8", "INT8"):
            raise ValueError(f"{self.file.where} reads images in {given.kind}; UINT8, INT8 and FLOAT32 are read")
        scale, zero_point = given.scales() if len(given.scale) else (np.ones(1), np.zeros(1))
        if len(scale) != 1:
            raise ValueError(f"{self.file.where} has {len(scale):,} scales for its images; they have one")
        shift = PIXEL_SHIFT.get(given.kind, 0)
        one = np.ones(self.channels)
        return Pixels(one * scale, one * (scale * (shift - zero_point)))

    def graph(self) -> Graph:
        for index, op in enumerate(self.file.ops):
            self.op = index
            known = HANDLERS.get(op.code)
            if known is None:
                raise self._strange(f"is {op.code}, which no network of a known family has")
            if len(op.makes) != 1:
                raise self._strange(f"makes {len(op.makes)} tensors")
            made = known(self, op)
            if made is not None:
                self.values[op.makes[0]] = made
        value = self.values.get(self.file.outputs[0])
        if value is None or value.step == IMAGE or value.sides != NO_SIDES or self.steps[value.step].px != (1, 1):
            raise ValueError(f"{self.file.where} is no classifier: it does not end in a vector of classes")
        step = self.steps[value.step]
        if step.kernel is None:
            raise ValueError(f"{self.file.where} has no classifier: it ends in features, {step.channels} of them")
        return Graph(self.file, self.channels, self.px, tuple(self.steps), self.places, value.step, self.pixels)

    # What an op reads

    def _strange(self, what: str) -> ValueError:
        return ValueError(f"{self.file.where} cannot be read: op {self.op} {what}")

    def _map(self, op: StoredOp, which: int = 0, padded: bool = False) -> _Value:
        """A map that an op reads."""
        value = self.values.get(op.reads[which]) if which < len(op.reads) else None
        if value is None:
            raise self._strange(f"({op.code}) reads what no op before it makes")
        if value.answer or (value.sides != NO_SIDES and not padded):
            raise self._strange(f"({op.code}) is where no network of a known family has one")
        return value

    def _px(self, value: _Value) -> Px:
        return self.px if value.step == IMAGE else self.steps[value.step].px

    def _channels(self, value: _Value) -> int:
        return self.channels if value.step == IMAGE else self.steps[value.step].channels

    def _constant(self, op: StoredOp, which: int) -> int | None:
        """The place of a constant that an op reads; None where it reads none there."""
        index = op.reads[which] if which < len(op.reads) else -1
        index = self.constants.get(index, index)
        return index if index >= 0 and self.file.tensors[index].numbers is not None else None

    def _kernel(self, op: StoredOp, sides: int) -> tuple[int, tuple[int, ...]]:
        """The place and shape of an op's kernel."""
        index = self._constant(op, 1)
        if index is None or len(self.file.tensors[index].shape) != sides:
            raise self._strange(f"({op.code}) has no kernel of {sides} sides in the file")
        return index, self.file.tensors[index].shape

    def _bias(self, op: StoredOp, channels: int) -> int | None:
        if len(op.reads) < 3 or op.reads[2] == -1:
            return None
        index = self._constant(op, 2)
        if index is None or self.file.tensors[index].shape != (channels,):
            raise self._strange(f"({op.code}) has no bias for each of its {channels} channels")
        return index

    def _numbers(self, op: StoredOp, which: int) -> NDArray[np.float64] | None:
        """The few numbers of a constant, one for all channels or for each."""
        index = self._constant(op, which)
        if index is None:
            return None
        tensor = self.file.tensors[index]
        assert tensor.numbers is not None
        if tensor.numbers.size > MOST_CONSTANT:
            raise self._strange(f"({op.code}) has a constant of {tensor.numbers.size:,} numbers")
        return tensor.real().reshape(-1)

    def _fused(self, op: StoredOp) -> str:
        code = op.options.get("FusedActivationFunction", 0)
        if code not in FUSED:
            raise self._strange(f"({op.code}) has an activation inside that no network of a known family has")
        return FUSED[code]

    # What an op makes

    def _step(self, step: Step) -> _Value:
        """The place of a step: that of an equal one, where there is one."""
        place = self.places.setdefault(step.form, len(self.steps))
        if place == len(self.steps):
            self.steps.append(step)
        elif step.kernel is not None:
            raise self._strange("does what another does, with weights of its own")
        return _Value(place)

    def _window(self, op: StoredOp, kernel: Px) -> tuple[_Value, int, Sides, Px]:
        """The map, the stride, the zeros and the size of the result of a window that moves over a map."""
        value, options = self._map(op, padded=True), op.options
        strides = options.get("StrideH", 1), options.get("StrideW", 1)
        dilated = max(options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)) > 1
        if strides[0] != strides[1] or strides[0] < 1 or dilated or kernel[0] != kernel[1] or kernel[0] < 1:
            raise self._strange(f"({op.code}) has a window that is dilated or not square")
        same = options.get("Padding", SAME) == SAME
        sides = _around(value.sides, self._px(value), kernel[0], strides[0], same)
        px = _moved(self._px(value), sides, kernel, strides)
        if min(px) < 1:
            raise self._strange(f"({op.code}) has a window that is larger than its map")
        return value, strides[0], sides, px

    def convolution(self, op: StoredOp) -> _Value:
        index, shape = self._kernel(op, 4)
        value, stride, sides, px = self._window(op, (shape[1], shape[2]))
        depthwise = op.code == "DEPTHWISE_CONV_2D"
        channels, own = (shape[3], shape[0]) if depthwise else (shape[0], shape[3])
        if own != (1 if depthwise else self._channels(value)) or (depthwise and channels != self._channels(value)):
            raise self._strange(f"({op.code}) has a kernel of {_shape(shape)} for {self._channels(value)} channels")
        fused = self._fused(op)
        alone = channels == self._channels(value) and (depthwise or channels == 1)
        if value.step == IMAGE and alone and shape[1] == stride == 1 and sides == NO_SIDES and fused == "identity":
            return self._normalised(op, index, channels)
        kind = "depthwise" if depthwise and channels > 1 else "conv"
        return self._layer(op, (kind, channels, shape[1], stride, sides, fused, value.step), channels, px, index)

    def _layer(self, op: StoredOp, form: tuple[object, ...], channels: int, px: Px, kernel: int) -> _Value:
        return self._step(self._weighted(op, form, channels, px, kernel))

    def _weighted(self, op: StoredOp, form: tuple[object, ...], channels: int, px: Px, kernel: int) -> Step:
        read = self.file.tensors[op.reads[0]]
        scale = float(read.scales()[0][0]) if len(read.scale) == 1 else None
        name = f"{op.code.lower()}_{self.op}"
        return Step(form, channels, px, name, kernel, self._bias(op, channels), scale)

    def _normalised(self, op: StoredOp, kernel: int, channels: int) -> _Value:
        """The first op of our own files, which does to each channel what is done to pixels elsewhere."""
        weights, bias = layer_numbers(self.file, self._weighted(op, (op.code,), channels, self.px, kernel))
        return self._affine(weights.reshape(-1), bias)

    def _affine(self, scale: NDArray[np.float64], offset: NDArray[np.float64]) -> _Value:
        """What is done to the image before the first layer, after what is done to it already."""
        if len(scale) not in (1, self.channels) or len(offset) not in (1, self.channels):
            raise self._strange("normalises the image by other than a number for each channel")
        one = np.ones(self.channels)
        before = self.pixels or Pixels(one, 0 * one)
        self.pixels = Pixels(before.scale * scale, before.offset * scale + offset)
        return _Value(IMAGE)

    def linear(self, op: StoredOp) -> _Value:
        index, (channels, own) = self._kernel(op, 2)
        value = self._map(op)
        if self._px(value) != (1, 1) or own != self._channels(value):
            raise self._strange(f"({op.code}) reads a map, or other than its {own} features")
        return self._layer(op, ("conv", channels, 1, 1, NO_SIDES, self._fused(op), value.step), channels, (1, 1), index)

    def pad(self, op: StoredOp) -> _Value:
        value, index = self._map(op, padded=True), self._constant(op, 1)
        margins = None if index is None else self.file.tensors[index].numbers
        if (
            margins is None
            or margins.shape != (4, 2)
            or margins[[0, 3]].any()
            or margins.min() < 0
            or margins.max() > 64
        ):
            raise self._strange("(PAD) adds other than a few pixels around a map")
        top, bottom, left, right = margins[1:3].astype(int).reshape(-1).tolist()
        return _Value(value.step, _widened(value.sides, (top, bottom, left, right)))

    def max_pool(self, op: StoredOp) -> _Value:
        kernel = op.options.get("FilterHeight", 0), op.options.get("FilterWidth", 0)
        value, stride, sides, px = self._window(op, kernel)
        # A pad of zeros and one that is left out are the same behind a ReLU, where all networks here pool.
        return self._step(Step(("max_pool", kernel[0], stride, sides, value.step), self._channels(value), px))

    def average_pool(self, op: StoredOp) -> _Value:
        kernel, value = (op.options.get("FilterHeight", 0), op.options.get("FilterWidth", 0)), self._map(op)
        if kernel != self._px(value) or op.options.get("Padding", SAME) != VALID:
            raise self._strange("(AVERAGE_POOL_2D) averages over parts of a map")
        return self._step(Step(("MEAN", value.step), self._channels(value), (1, 1)))

    def mean(self, op: StoredOp) -> _Value:
        value, axes = self._map(op), self._numbers(op, 1)
        if axes is None or sorted(axes % 4) != [1, 2]:
            raise self._strange("(MEAN) is over other than height and width")
        return self._step(Step(("MEAN", value.step), self._channels(value), (1, 1)))

    def add(self, op: StoredOp) -> _Value:
        op = self._constant_behind(op)
        constant = self._numbers(op, 1)
        if constant is None:
            return self._joined(op)
        value, fused = self._map(op), self._fused(op)
        constant = constant if op.code == "ADD" else -constant
        if value.step == IMAGE and fused == "identity":
            return self._affine(np.ones(1), constant)
        step = self.steps[value.step] if value.step != IMAGE else None
        if (
            step is None
            or step.kernel is None
            or "identity" not in step.form
            or len(constant) not in (1, step.channels)
        ):
            raise self._strange(f"({op.code}) adds a constant to other than a layer")
        shift = constant if step.shift is None else constant + step.shift
        return self._fuse(dataclasses.replace(step, shift=np.broadcast_to(shift, (step.channels,))), fused)

    def multiply(self, op: StoredOp) -> _Value:
        op = self._constant_behind(op)
        constant = self._numbers(op, 1)
        if constant is None:
            return self._joined(op)
        value = self._map(op)
        if value.step == IMAGE and self._fused(op) == "identity":
            return self._affine(constant, np.zeros(1))
        if len(constant) != 1 or self._fused(op) != "identity" or value.step == IMAGE:
            raise self._strange("(MUL) multiplies a map by other than one number")
        form = ("scale", value.step)
        return self._step(Step(form, self._channels(value), self._px(value), factor=float(constant[0])))

    def _constant_behind(self, op: StoredOp) -> StoredOp:
        """A sum or product with its constant, if it has one, behind the map."""
        if op.code == "SUB" or self._constant(op, 0) is None:
            return op
        return dataclasses.replace(op, reads=op.reads[::-1])

    def _joined(self, op: StoredOp) -> _Value:
        """The sum or product of two maps; a gate has one pixel."""
        if op.code == "SUB":
            raise self._strange("(SUB) subtracts a map")
        one, other = self._map(op), self._map(op, 1)
        sizes = {self._px(one), self._px(other)} - ({(1, 1)} if op.code == "MUL" else set())
        if self._channels(one) != self._channels(other) or len(sizes) > 1 or IMAGE in (one.step, other.step):
            raise self._strange(f"({op.code}) joins maps of two shapes")
        px = next(iter(sizes), (1, 1))
        form = (op.code, self._fused(op), *sorted((one.step, other.step)))
        return self._step(Step(form, self._channels(one), px))

    def concatenate(self, op: StoredOp) -> _Value:
        one, other = self._map(op), self._map(op, 1)
        if len(op.reads) != 2 or op.options.get("Axis", 0) not in (3, -1) or self._px(one) != self._px(other):
            raise self._strange("(CONCATENATION) is of other than the channels of two maps")
        channels = self._channels(one) + self._channels(other)
        return self._step(Step((op.code, one.step, other.step), channels, self._px(one)))

    def activation(self, op: StoredOp) -> _Value:
        value = self._map(op)
        return self._step(Step((op.code, value.step), self._channels(value), self._px(value)))

    def relu(self, op: StoredOp) -> _Value:
        """A ReLU by itself is one inside of the op before it."""
        value = self._map(op)
        if value.step == IMAGE or "identity" not in self.steps[value.step].form:
            raise self._strange(f"({op.code}) is behind other than a layer or a sum")
        return self._fuse(self.steps[value.step], op.code.lower())

    def _fuse(self, step: Step, fused: str) -> _Value:
        form = tuple(fused if part == "identity" else part for part in step.form)
        if form == step.form:  # a constant was added: the layer without it was another step
            self.places.pop(form)
        return self._step(dataclasses.replace(step, form=form))

    def passed(self, op: StoredOp) -> _Value:
        value = self.values.get(op.reads[0]) if op.reads else None
        if value is None or value.step == IMAGE or self._px(value) != (1, 1):
            raise self._strange(f"({op.code}) gives a map another shape")
        return value

    def typed(self, op: StoredOp) -> _Value | None:
        constant = self._constant(op, 0)
        if constant is not None:
            self.constants[op.makes[0]] = constant
            return None
        value = self.values.get(op.reads[0]) if op.reads else None
        if value is None:
            raise self._strange(f"({op.code}) reads what no op before it makes")
        return value

    def softmax(self, op: StoredOp) -> _Value:
        return dataclasses.replace(self._map(op), answer=True)


HANDLERS: Mapping[str, Callable[[_Reader, StoredOp], _Value | None]] = {
    "CONV_2D": _Reader.convolution,
    "DEPTHWISE_CONV_2D": _Reader.convolution,
    "FULLY_CONNECTED": _Reader.linear,
    "PAD": _Reader.pad,
    "MAX_POOL_2D": _Reader.max_pool,
    "AVERAGE_POOL_2D": _Reader.average_pool,
    "MEAN": _Reader.mean,
    "ADD": _Reader.add,
    "SUB": _Reader.add,
    "MUL": _Reader.multiply,
    "CONCATENATION": _Reader.concatenate,
    "SOFTMAX": _Reader.softmax,
    **dict.fromkeys(("LOGISTIC", "HARD_SWISH", "TANH"), _Reader.activation),
    **dict.fromkeys(("RELU", "RELU6"), _Reader.relu),
    **dict.fromkeys(PASSED, _Reader.passed),
    **dict.fromkeys(TYPES, _Reader.typed),
}
"""What is made of each op that is read."""
