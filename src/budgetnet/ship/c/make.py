"""Makes the folder of a trained model: the int8 file that `ship/tflite` makes, and the sources around it.

Templates lie in `templates/` as the folder will be. Those whose name ends in .in are filled; the others are copied.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from string import Template

import numpy as np

from budgetnet.costs.planners.tflite_ops import Code, ops_of
from budgetnet.data.images import Preprocessing
from budgetnet.model.trust import Trust
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress
from budgetnet.ship.c.micro import MicroModel
from budgetnet.ship.c.seal import with_seal
from budgetnet.ship.c.source import ARRAY_ROW, string_literal
from budgetnet.ship.eight_bits.scale import PIXELS
from budgetnet.ship.exported import NumberType
from budgetnet.ship.made import Made
from budgetnet.ship.notes import Notes
from budgetnet.ship.subject import Subject
from budgetnet.ship.tflite import make as tflite

TEMPLATES = Path(__file__).parent / "templates"
FILLED = ".in"
NO_STRANGERS = "-3.4e38f"
"""No familiarity is below this; infinities are no numbers for compilers that are told to be quick."""
RESOLVERS: Mapping[Code, str] = {
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "PAD": "AddPad",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "ADD": "AddAdd",
    "MUL": "AddMul",
    "CONCATENATION": "AddConcatenation",
    "LOGISTIC": "AddLogistic",
    "HARD_SWISH": "AddHardSwish",
    "TANH": "AddTanh",
}
"""These are the names that TensorFlow Lite Micro's resolver has for the ops."""


def make(subject: Subject, dtype: NumberType, progress: Progress | None) -> Made:
    """The folder of a model.

    Raises a one-line `ValueError` for an activation that TensorFlow Lite has no op for, and for a network that does not
    start in its arena: there is no answer to expect of such firmware.
    """
    assert not subject.softmax
    made = tflite.make(subject, dtype, progress)
    assert made.arena_bytes is not None
    if made.allocated is False:
        raise ValueError(
            f"no firmware was written: TensorFlow Lite Micro does not run the network in the {made.arena_bytes:,} "
            "bytes of arena that were promised"
        )
    file = made.packed(made.notes)
    assert isinstance(file, bytes)
    content = file[: made.flash_bytes]  # without the archive behind it
    model = MicroModel.of("the model", content, made.notes, made.arena_bytes, reference=True)
    return dataclasses.replace(made, packed=partial(_folder, model, subject))


def _folder(model: MicroModel, subject: Subject, notes: Notes) -> dict[str, bytes]:
    """Every file by its path in the folder."""
    index = subject.images.validation[:1]  # the test images are for the judgement
    (image,) = subject.images.pixels(index)
    logits = model.integers(image)
    values = {
        **settings(model, notes),
        **_ops(notes.network),
        "model": array(model.content),
        "labels": "\n".join(f"    {string_literal(label)}," for label in notes.classes),
        "pixels": array(image.tobytes()),
        "true_label": str(subject.images.labels(index)[0]),
        "label": str(int(logits.argmax())),
        "logits": array(logits.tolist()),
        "channels_in_words": "red, green and blue" if notes.network.in_channels == 3 else "grey",
        "fit_in_words": _fit_in_words(notes.preprocessing),
        "range_in_words": _range_in_words(notes.preprocessing),
        "trust_in_words": "\n".join(_trust_in_words(notes.trust)),
    }
    texts = {**rendered(values), **notes.texts()}
    return with_seal({name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()})


def rendered(values: Mapping[str, str]) -> dict[str, str]:
    """The text of every template, filled, by its path in the folder."""
    return dict(_rendered(values))


def _rendered(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    for path in sorted(one for one in TEMPLATES.rglob("*") if one.is_file()):
        name, text = path.relative_to(TEMPLATES).as_posix(), path.read_text(encoding="utf-8")
        if name.endswith(FILLED):
            template = Template(text)
            used.update(template.get_identifiers())
            name, text = name.removesuffix(FILLED), template.substitute(values)
        yield name, text
    assert used == values.keys(), "a value that no template has"


def array(integers: Iterable[int]) -> str:
    """The lines of an array between its braces. Bytes are written as bytes: 0x00 to 0xff."""
    as_text = "{:#04x}" if isinstance(integers, bytes) else "{}"
    texts = [as_text.format(one) for one in integers]
    rows = (texts[start : start + ARRAY_ROW] for start in range(0, len(texts), ARRAY_ROW))
    return "\n".join(f"    {', '.join(row)}," for row in rows)


def settings(model: MicroModel, notes: Notes) -> dict[str, str]:
    """The constants of model_settings.h, and what the page says of them."""
    (height, width), preprocessing = notes.network.resolution_px, notes.preprocessing
    return {
        "arena_bytes": str(model.arena_bytes),
        "height": str(height),
        "width": str(width),
        "channels": str(notes.network.in_channels),
        "input_offset": str(PIXELS.zero_point),
        "crops": str(preprocessing.fit == "crop").lower(),
        "crop_share": _float(preprocessing.crop_share),
        "bicubic": str(preprocessing.interpolation == "bicubic").lower(),
        "classes": str(len(notes.classes)),
        "output_scale": _float(model.output.scale),
        "output_zero_point": str(model.output.zero_point),
        "temperature": _float(notes.temperature),
        **_familiar(notes.trust),
        "model_bytes": str(len(model.content)),
        "model_sha256": hashlib.sha256(model.content).hexdigest(),
    }


def _familiar(trust: Trust | None) -> dict[str, str]:
    """The threshold by which a stranger is told, and where it comes from."""
    if trust is None or trust.familiar is None:
        return {"familiar": NO_STRANGERS, "familiar_in_words": "It is not known for this network: no image is."}
    images = f"It keeps 95 % of {trust.images:,} held-out images of the classes."
    return {"familiar": _float(trust.familiar), "familiar_in_words": images}


def _trust_in_words(trust: Trust | None) -> Iterator[str]:
    """What the page says of both thresholds: lines of Markdown."""
    if trust is None or trust.familiar is None:
        yield "`none_of_these` is never true: too few images were held out to know what those of the classes look like."
    else:
        yield (
            f"`none_of_these` says that an image looks like none of the classes: log(sum(exp(logit))) is below "
            f"`BUDGETNET_FAMILIAR`, {trust.familiar:.4g}. Of {trust.images:,} held-out images of the classes at least "
            "95 % are not below. No share of other images is promised. Define another threshold for the whole build to "
            "change it."
        )
    yield ""
    promises = () if trust is None else trust.promises()
    if not promises:
        yield "No share of errors is promised: too few images were held out, or too many were answered wrongly."
        return
    yield "Where only answers of at least a probability count, they are wrong, with 95 % confidence, in at most:"
    yield ""
    yield from ("| errors | `answer.probabilities[answer.label]` | images answered |", "| --- | --- | --- |")
    for one in promises:
        yield f"| {100 * one.max_error:g} % | {one.threshold:.4f} | {100 * one.share:.0f} % |"


def _ops(network: Network) -> dict[str, str]:
    """The ops of the file, each once, in the order in which they come."""
    codes: list[Code] = list(dict.fromkeys(op.code for op in ops_of(network)))
    added = " &&\n         ".join(f"ops->{RESOLVERS[code]}() == kTfLiteOk" for code in codes)
    return {"op_count": str(len(codes)), "add_ops": added, "ops_in_words": ", ".join(codes)}


def _float(value: float) -> str:
    """The shortest literal that is the same float."""
    return f"{np.float32(value)!s}f"


def _fit_in_words(preprocessing: Preprocessing) -> str:
    whole = "squeezes the whole image into the network's size"
    crop = (
        f"takes {100 * preprocessing.crop_share:g} % of the largest box in the middle that has the network's shape, "
        "and scales that"
    )
    return (
        f"`Fit` {crop if preprocessing.fit == 'crop' else whole}, smoothing what it makes smaller "
        f"({preprocessing.interpolation}), as training did."
    )


def _range_in_words(preprocessing: Preprocessing) -> str:
    """What to do with a sensor of more than 8 bits; nothing where training saw 8."""
    if preprocessing.value_range is None:
        return ""
    low, high = preprocessing.value_range
    return f" Training saw values of {low:g} to {high:g}: scale yours so that these become 0 and 255."
