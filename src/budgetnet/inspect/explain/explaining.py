"""`explain`: what trained networks look at, what their stages see, what their gates do; a folder with one page."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from budgetnet.arguments import RUN, integer, listener, path, several, text
from budgetnet.data.images import SPLITS
from budgetnet.inspect.explain.command import written_out
from budgetnet.inspect.explain.drawing import draw_images
from budgetnet.inspect.explain.figures import finished
from budgetnet.inspect.explain.folder import FORMAT, NUMBERS, PAGE, check_folder, new_folder
from budgetnet.inspect.explain.gate_figures import classes_figure, gates_figure
from budgetnet.inspect.explain.gates import Recorded, gate_rows, joined, recording
from budgetnet.inspect.explain.own_images import split_files
from budgetnet.inspect.explain.page import explain_page, write_page
from budgetnet.inspect.explain.sheet import lines, write_sheet
from budgetnet.inspect.explain.subjects import Subject, class_index, default_maps, map_name, open_subjects
from budgetnet.inspect.explain.true_classes import true_class
from budgetnet.inspect.explain.values import Answer, Explanation, Gates, ImageRow
from budgetnet.inspect.side_by_side import source_name
from budgetnet.networks import choose
from budgetnet.parallel.progress import Progress, Update, silent
from budgetnet.runs.files import write_json
from budgetnet.runs.run import device_of
from budgetnet.training.evaluate import answerer_of
from budgetnet.training.predict import Prediction, Unreadable, found_files, image_files, predictions

DRAWN = 8

Answered = TypeVar("Answered", str, Prediction)
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def explain(
    run: str | Path,
    images: Paths = (),
    beside: Sequence[str | Path] = (),
    others: Sequence[str | Path] = (),
    classes: Sequence[str] = (),
    stages: Sequence[str] = (),
    layer: str | None = None,
    drawn: int = DRAWN,
    out: str | Path | None = None,
    batch: int = 32,
    device: str = "auto",
    split: str | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Explain a trained network on images: Grad-CAM, activation maps, squeeze-and-excitation's gates.

    Writes explain.html, explain.json and the pictures into a folder; an explanation that is there is replaced. Sources:
    Grad-CAM, Selvaraju et al., arXiv:1610.02391, section 3; squeeze-and-excitation, Hu et al., arXiv:1709.01507.

    Args:
        run: A run's folder, or a source of weights as `load_weights` takes it.
        images: Files, folders and globs; one or several. Give these or `split`.
        beside: Runs of twins: the same network with other activation functions. Their activation maps stand beside its
            own.
        others: Runs of any networks, which show what they look at in the same images.
        classes: Classes for which each network shows what speaks for them, besides the one that it predicts.
        stages: The maps to draw, named as in the network's table: stem, 3 for a stage, 3.1 for a block, head. Unless
            given, the last of each resolution.
        layer: The map that Grad-CAM is of; unless given, the last before the global average.
        drawn: How many of the images are drawn, evenly apart. Gates are counted over all images.
        out: The folder; unless given RUN/explain, or runs/NAME-explain where `run` is not a folder.
        batch: How many images are computed together.
        device: "auto" (a CUDA GPU where there is one, else the processor), "cpu", "cuda" or "mps".
        split: "train", "validation" or "test": the images that the run was trained from, in place of `images`.
        progress: Called with an `Update` as the work goes on.

    Returns:
        The numbers, and where the page lies.

    Raises:
        ValueError: Images and a split are both given, or neither; a file is not an image; a network does not have a
            class, stage or map; one of `beside` is not a twin; a source has no weights; the folder holds something
            else. Nothing is written then.
        TypeError: An argument has another type.

    Example:
        >>> import budgetnet
        >>> from budgetnet.model.weights import save_weights
        >>> from PIL import Image
        >>> net = budgetnet.network("mobilenet_v3_small", classes=2, resolution_px=32)
        >>> pixels = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
        >>> save_weights("cats.safetensors", budgetnet.build(net, seed=0), ["cat", "dog"], pixels)
        >>> Image.effect_noise((40, 40), 60).convert("RGB").save("noise.png")
        >>> budgetnet.explain("cats.safetensors", "noise.png", out="explained").page.name
        'explain.html'
    """
    run, drawn, batch = path("run", run, RUN), integer("drawn", drawn), integer("batch", batch)
    paths = list(several("images", images, path, wanted="files, folders or globs", empty=True))
    beside = several("beside", beside, path, wanted="runs", empty=True)
    others = several("others", others, path, wanted="runs", empty=True)
    classes = several("classes", classes, text, wanted="names of classes", empty=True)
    stages = several("stages", stages, text, wanted="names of maps", empty=True)
    layer = None if layer is None else text("layer", layer)
    out = None if out is None else path("out", out)
    if split is not None:
        choose("split", split, SPLITS)
    on_update: Progress = listener("progress", progress) or silent
    device = device_of(device)
    if bool(paths) == (split is not None):
        raise ValueError(
            "give images (files, folders or globs), or a split of the run's own as --split test; "
            + ("these are both" if paths else "there is neither")
        )
    subjects = open_subjects(run, beside, others, layer)
    names = tuple(dict.fromkeys(map_name(subjects[0].network, one) for one in stages))
    named = _named(subjects, classes)
    folder = check_folder(_folder(subjects[0], out))
    files = paths if split is None else split_files(subjects[0], split, on_update)
    predictions, recorded = _answered(subjects[0], files, batch, device, on_update)
    labels = [true_class(one.path, subjects[0].loaded.classes) for one in predictions]
    chosen = evenly(len(predictions), drawn)
    shown = [(predictions[index].path, labels[index]) for index in chosen]
    maps = names or default_maps(subjects[0].network)
    with new_folder(folder) as aside:
        drawing = draw_images(subjects, shown, named, maps, aside, device, on_update)
        explanation = Explanation(
            folder=folder,
            page=folder / PAGE,
            networks=tuple(one.row(px) for one, px in zip(subjects, drawing.layers_px, strict=True)),
            images=_image_rows(subjects[0].label, predictions, labels, dict(zip(chosen, drawing.images, strict=True))),
            stages=drawing.stages,
            gates=_gates(predictions, labels, recorded),
            files=(),
        )
        sheet = list(lines(drawing, subjects))
        write_sheet(aside, sheet, explanation.networks)
        command = written_out(run, paths, beside, others, classes, stages, layer, drawn, split, out)
        pictures = _gate_pictures(explanation.gates, recorded, aside)
        write_page(aside / PAGE, explain_page(explanation, drawing, sheet, pictures, command))
        return _numbers(explanation, aside)


def _named(subjects: Sequence[Subject], classes: Sequence[str]) -> list[list[int]]:
    """Where each network has each of the named classes, once each."""
    wanted = {class_index(subjects[0], name): name for name in classes}
    return [[class_index(subject, name) for name in wanted.values()] for subject in subjects]


def evenly(total: int, wanted: int) -> list[int]:
    """At most `wanted` positions of `total`, evenly apart: a sorted folder gives some of every class."""
    few = min(total, wanted)
    return [(2 * index + 1) * total // (2 * few) for index in range(few)]


def _folder(subject: Subject, out: str | Path | None) -> Path:
    if out is not None:
        return Path(out)
    source = Path(subject.source)
    return source / "explain" if source.is_dir() else Path("runs") / f"{source_name(subject.source)}-explain"


def _answered(
    subject: Subject, paths: Sequence[str], batch: int, device: str, progress: Progress
) -> tuple[list[Prediction], Recorded]:
    """What the network says of every image, and its gates meanwhile. Raises a `ValueError` for a file that is none."""
    found = list(_found(paths))
    answers: list[Prediction] = []
    with recording(subject.loaded.model) as gates:
        for answer in predictions(answerer_of(subject.loaded, device), image_files(found), batch, top=1):
            answers.append(_readable(answer))
            progress(Update("answering", len(answers), len(found)))
    return answers, joined(gates)


def _found(paths: Sequence[str]) -> Iterator[str]:
    """The files of the paths; what a folder holds that is not a file is told and passed over."""
    for one in found_files(paths):
        if isinstance(one, Unreadable) and one.path not in paths:
            warnings.warn(f"{one.path}: {one.reason}; it is passed over", stacklevel=2)
        else:
            yield _readable(one)


def _readable(one: Answered | Unreadable) -> Answered:
    """What was found for a file. Raises the one-line `ValueError` where it is not an image."""
    if isinstance(one, Unreadable):
        raise ValueError(f"{one.path}: {one.reason}; give image files, folders or globs without it")
    return one


def _gates(predictions: Sequence[Prediction], labels: Sequence[str | None], recorded: Recorded) -> Gates | None:
    """The gates by the images' true classes where they are known, else by the predicted ones."""
    if not recorded:
        return None
    known = [label for label in labels if label is not None]
    if len(known) == len(predictions):
        return gate_rows(recorded, known, "folder")
    return gate_rows(recorded, [one.label for one in predictions], "prediction")


def _image_rows(
    network: str, predictions: Sequence[Prediction], labels: Sequence[str | None], drawn: Mapping[int, ImageRow]
) -> tuple[ImageRow, ...]:
    """Every image in its order: as it was drawn, or with the first network's answer."""
    return tuple(
        drawn.get(index) or ImageRow(one.path, None, label, False, (Answer(network, one.label, one.probability, ()),))
        for index, (one, label) in enumerate(zip(predictions, labels, strict=True))
    )


def _gate_pictures(gates: Gates | None, recorded: Recorded, folder: Path) -> tuple[str, ...]:
    if gates is None:
        return ()
    first = finished(gates_figure(gates, recorded), folder / "gates", "gates-", "The gates of each block")
    if gates.by_class is None:
        return (first,)
    what = f"Mean gates of each class in block {gates.by_class.block}"
    return first, finished(classes_figure(gates.by_class), folder / "gates-by-class", "classes-", what)


def _numbers(explanation: Explanation, folder: Path) -> Explanation:
    """Write explain.json, the last of the files; the explanation with the names of all of them."""
    files = sorted([NUMBERS, *(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())])
    whole = dataclasses.replace(explanation, files=tuple(files))
    row = {name: value for name, value in dataclasses.asdict(whole).items() if name not in ("folder", "page")}
    write_json(folder / NUMBERS, {"format": FORMAT, **row})
    return whole
