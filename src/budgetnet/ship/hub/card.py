"""README.md: the model card of a folder for the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import EvalResult, ModelCardData

from budgetnet.costs.network_cost import cost
from budgetnet.draw.wording import LIMIT_TITLES, TIMES, count, percent, points, printable, size
from budgetnet.model.hub_folder import HUB
from budgetnet.model.licences import Licence, licence_of
from budgetnet.model.probabilities import class_probabilities_of_file
from budgetnet.model.timm_names import TimmModel
from budgetnet.ship.good_enough import counted as limits_of_network
from budgetnet.ship.subject import Subject
from budgetnet.statistics import wilson

CARD = "README.md"
UNKNOWN = "unknown"
"""The hub's word for a licence that nobody has said, in its own list (docs/hub/repositories-licenses.md of
huggingface/hub-docs)."""
TASK = "image-classification"
MOST_CLASSES = 20
"""A card names at most this many classes; config.json has all."""
TOP = 5
"""A card also says how often the right class is among this many likeliest, where there are more classes."""


def card_of(subject: Subject, asked: TimmModel | None, weight_bytes: int) -> str:
    """The card: a header that the hub reads, and the text.

    Nothing in it says where on a machine the images or the weights lie: it is to be published.
    """
    rows = _accuracies(subject)
    header = _header(subject, asked, rows)
    sections = (
        _what_it_is(subject, weight_bytes),
        _use(asked, subject),
        _limits(subject),
        _data(subject),
        _accuracy(subject, rows),
        _licence(subject),
    )
    text = "\n\n".join("\n".join(lines) for lines in sections)
    return printable(f"---\n{header.to_yaml()}\n---\n\n{text}\n")


def _header(subject: Subject, asked: TimmModel | None, rows: Sequence[tuple[str, int, int]]) -> ModelCardData:
    """The header. The hub has no place for an interval: each result has it in its name, which the hub's page shows."""
    licence, library = _known(subject), "budgetnet" if asked is None else "timm"
    metrics = {"accuracy": "Accuracy", f"top_{TOP}_accuracy": f"Top-{TOP} accuracy"}
    intervals = {metric: wilson(right, images) for metric, right, images in rows}
    results = [
        EvalResult(
            task_type=TASK,
            task_name="Image classification",
            dataset_type="imagefolder",
            dataset_name=printable(subject.images.set.name),
            dataset_split="test",
            metric_type=metric,
            metric_name="{} (95 % interval {:.4f} to {:.4f}, {:,} images)".format(
                metrics[metric], *intervals[metric], images
            ),
            metric_value=round(right / images, 4),
        )
        for metric, right, images in rows
    ]
    return ModelCardData(
        license=UNKNOWN if licence is None else licence.id,
        library_name=library,
        pipeline_tag=TASK,
        tags=[TASK, *(() if asked is None else ("timm", "transformers")), "budgetnet"],
        metrics=["accuracy"],
        model_name=printable(subject.loaded.network.name),
        eval_results=results,
    )


def _known(subject: Subject) -> Licence | None:
    source = subject.origin.began_from
    return None if source is None else licence_of(source)


def _accuracies(subject: Subject) -> list[tuple[str, int, int]]:
    """(the hub's name, right answers, test images) of each share that is told."""
    images = subject.images
    logits, labels = images.test_logits, images.labels(images.test)
    order = np.argsort(-logits, axis=1, kind="stable")
    rows = [("accuracy", int((order[:, 0] == labels).sum()), len(labels))]
    if logits.shape[1] > TOP:
        rows.append((f"top_{TOP}_accuracy", int((order[:, :TOP] == labels[:, None]).any(1).sum()), len(labels)))
    return rows


def _what_it_is(subject: Subject, weight_bytes: int) -> Iterator[str]:
    network = subject.loaded.network
    price, (height, width) = cost(network), network.resolution_px
    yield f"# {_plain(network.name)}"
    yield ""
    how = "trained" if subject.origin.trained_here else "exported"
    colour = "grey" if network.in_channels == 1 else "colour" if network.in_channels == 3 else "other"
    yield (
        f"A classifier of {colour} images of {network.classes:,} classes, {how} with "
        "budgetnet, which looks for the most accurate network that keeps a budget."
    )
    yield ""
    yield from _table(
        ("", ""),
        (
            ("images", f"{height}{TIMES}{width} px"),
            ("multiply-adds for an image", count(price.macs)),
            ("parameters", count(price.params)),
            ("weights in float32", size(weight_bytes)),
            ("classes", _classes(subject.loaded.classes)),
        ),
    )


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(map(_plain, names[:MOST_CLASSES]))
    more = len(names) - MOST_CLASSES
    return f"{shown} and {more:,} more (config.json)" if more > 0 else shown


def _use(asked: TimmModel | None, subject: Subject) -> Iterator[str]:
    yield "## How to use it"
    yield ""
    if asked is None:
        yield (
            "timm has no network of this form, so the weights have budgetnet's names: they are loaded with budgetnet "
            "alone, as below."
        )
    else:
        yield "With timm (write the model's name on the hub for OWNER/NAME, or `local-dir:` and this folder):"
        yield ""
        yield from _fenced("python", *_timm_lines(subject))
    yield ""
    yield "With budgetnet, which also knows the temperature of the probabilities and when not to believe an answer:"
    yield ""
    yield from _fenced(
        "console",
        f"$ budgetnet predict {HUB}OWNER/NAME photo.jpg",
        f"$ budgetnet evaluate {HUB}OWNER/NAME photos/",
        f"$ budgetnet train photos/ --weights {HUB}OWNER/NAME",
    )


def _timm_lines(subject: Subject) -> Iterator[str]:
    loaded = subject.loaded
    mode = "L" if loaded.network.in_channels == 1 else "RGB"
    scaled = "" if loaded.temperature == 1.0 else f" / {loaded.temperature:.6g}"
    yield "import timm"
    yield "import torch"
    yield "from PIL import Image"
    yield ""
    yield f'model = timm.create_model("{HUB}OWNER/NAME", pretrained=True).eval()'
    yield "prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"
    yield f'image = prepare(Image.open("photo.jpg").convert("{mode}"))'
    yield "with torch.inference_mode():"
    yield f"    probabilities = (model(image[None]){scaled}).softmax(-1)[0]"
    yield 'names = model.pretrained_cfg["label_names"]'
    yield "print(names[probabilities.argmax()], float(probabilities.max()))"


def _limits(subject: Subject) -> Iterator[str]:
    yield "## Budget"
    yield ""
    budget = subject.budget
    if budget is None:
        yield "It was made without limits."
        return
    rows = limits_of_network(subject.loaded.network, budget)
    runtime = "" if budget.runtime == "deployed" else f" in {budget.runtime}"
    yield f"The limits that it was made for, and what it uses of them, counted in {budget.dtype}{runtime}."
    if budget.dtype != "float32":
        yield "The weights here are in float32: it is a file for the device that keeps limits on bytes."
    yield ""
    yield from _table(
        ("limit", "at most", "used", "left"),
        ((LIMIT_TITLES[row.name], f"{row.limit:,}", f"{row.used:,}", f"{row.left:,}") for row in rows),
    )


def _data(subject: Subject) -> Iterator[str]:
    yield "## Data"
    yield ""
    origin = subject.origin
    if origin.images is None:
        yield "What it was trained on is not known to budgetnet."
        return
    counts = origin.images.counts
    yield (
        f"Trained on {_plain(origin.images.name)}: {counts['train']:,} images for training, {counts['validation']:,} "
        f"for validation, by which choices were made, and {counts['test']:,} for the test. Classes and preprocessing "
        "are in config.json. It knows images of this kind alone, and answers every image with one of its classes."
    )


def _accuracy(subject: Subject, rows: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    yield "## Accuracy"
    yield ""
    images, loaded = subject.images, subject.loaded
    held = ", which neither training nor any choice has seen" if images.own and subject.origin.trained_here else ""
    yield f"On the {rows[0][2]:,} test images of {_plain(images.set.name)}{held}, in float32."
    yield ""
    names = {"accuracy": "likeliest class right", f"top_{TOP}_accuracy": f"right class among the {TOP} likeliest"}
    table: list[tuple[str, ...]] = []
    for name, right, total in rows:
        low, high = wilson(right, total)
        table.append((names[name], percent(right / total), f"{points(low)} to {points(high)}"))
    yield from _table(("", "share", "95 % interval (Wilson)"), table)
    if loaded.trust is None:
        return
    labels = images.labels(images.test)
    confidence = class_probabilities_of_file(images.test_logits, loaded.temperature).max(1)
    checks = [one.check(confidence, images.test_logits.argmax(1) == labels) for one in loaded.trust.promises()]
    yield ""
    if not checks:
        yield "The images that were held out are too few to promise a share of errors."
        return
    yield (
        f"Where only answers of a probability of at least the threshold count (probabilities are those of the logits "
        f"divided by {loaded.temperature:.6g}), errors among them are, with 95 % confidence, at most:"
    )
    yield ""
    yield from _table(
        ("errors", "threshold", "test images answered", "of these wrong"),
        (
            (
                f"{100 * one.promise.max_error:g} %",
                f"{one.promise.threshold:.4f}",
                f"{one.answered:,} of {one.images:,}",
                f"{one.wrong:,}",
            )
            for one in checks
        ),
    )


def _licence(subject: Subject) -> Iterator[str]:
    yield "## Licence"
    yield ""
    source, licence = subject.origin.began_from, _known(subject)
    if source is None:
        yield (
            "The training began from drawn weights. **Fill in**, here and as `license` at the top, the licence that "
            "you publish them under."
        )
        return
    verb = "The training began from" if subject.origin.trained_here else "These are"
    name = _plain(_published_name(source))
    if licence is None:
        yield (
            f"{verb} the weights {name}, whose licence budgetnet does not know. **Fill it in**, here and as `license` "
            "at the top, before you publish."
        )
        return
    yield f"{verb} the weights {name}, which are under {licence.id} (by {licence.source})."


def _published_name(source: str) -> str:
    """A source without the folders of this machine."""
    return source if source.startswith(HUB) or licence_of(source) else Path(source).name


def _plain(text: str) -> str:
    """A name in a line of Markdown: no sign of it is read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", " ".join(printable(text).split()))


def _fenced(language: str, *lines: str) -> Iterator[str]:
    yield f"```{language}"
    yield from lines
    yield "```"


def _table(names: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{' --- |' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
