"""Exhibits of activations: the functions, outputs as initialised, twins in training, the loss around weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.gallery.exhibit import Exhibit, Picture, reached, shown_run, study_made_by
from bench.gallery.files import take_drawing, take_photo
from bench.gallery.runs import Asked, studied, twin_pair
from bench.gallery.trained import trained_as, trained_run
from budgetnet.experiments.activations import Study
from budgetnet.experiments.activations.pictures.files import BETAS, SHEET, write_pictures
from budgetnet.inspect.landscape import (
    functions_landscape,
    loss_landscape,
    output_landscape,
    write_functions,
    write_loss,
    write_output,
)
from budgetnet.inspect.landscape.loss import words
from budgetnet.inspect.landscape.plane import ACTIVATIONS
from budgetnet.parallel.progress import Progress

EXTENT = 6.0
BETAS_SHOW = "Where each layer's trained beta goes"
BETAS_SAY = (
    "Swish's beta as a parameter of every layer: where it ended, by depth, a grey point for each seed, and its way "
    "there, mean over the seeds."
)


def landscapes(asked: Asked, progress: Progress) -> list[Exhibit]:
    """All of them, from the function to what it does to a training."""
    drawn = functions(asked, progress), outputs(asked, progress)
    return [*drawn, training(asked, progress), losses(asked, progress)]


def functions(asked: Asked, progress: Progress) -> Exhibit:
    """Activation functions and their slopes."""
    folder, what = asked.work / "landscape", "Swish between x / 2 and ReLU, and ten functions with their slopes"
    write_functions(folder, functions_landscape(None, EXTENT), EXTENT, progress)
    take_drawing(folder / "functions.svg", asked.out / "landscape-functions.svg", what)
    caption = (
        "Above: Swish lies between x / 2 (beta towards 0) and ReLU (large beta), falls below 0 and rises again, and "
        "its slope has no jump. Below: each function as a whole line, its slope dashed, and in grey where no gradient "
        "gets through. ReLU6 is drawn further, to where it ends at 6. For ReLU the grey is the whole "
        "negative half, for Swish with beta = 1 a strip around its minimum."
    )
    return Exhibit(
        "Activation functions and their slopes",
        "What is different about Swish?",
        ("budgetnet landscape functions",),
        "landscape.md",
        (Picture("landscape-functions.svg", what, caption),),
    )


def outputs(asked: Asked, progress: Progress) -> Exhibit:
    """Landscapes of the output of networks as they are initialised; those that are there are taken."""
    folder, what = asked.work / "landscape", "Output landscapes of eight activations"
    if not (folder / "output.json").is_file():
        write_output(folder, output_landscape(ACTIVATIONS, progress=progress), progress)
    take_photo(folder / "output.png", asked.out / "landscape-output.jpg")
    caption = (
        "The output of one network, as it is initialised, over the plane of its two inputs: the surface, the same as "
        "a heat map, and where it bends. With ReLU it is made of pieces with edges between them, with Swish it is "
        "smooth; it is as high with both. This is not a landscape of a loss."
    )
    return Exhibit(
        "Output landscapes",
        "Does the activation make a network's output smooth?",
        ("budgetnet landscape output",),
        "landscape.md",
        (Picture("landscape-output.jpg", what, caption),),
    )


def training(asked: Asked, progress: Progress) -> Exhibit:
    """Twins trained alike: losses, how far the gradient can be trusted, where a trained beta goes; drawn anew."""
    found, drawn = studied(asked, progress), asked.work / "study-pictures"
    write_pictures(found, drawn, progress)
    pictures = [_taken(drawn / f"{SHEET}.png", asked.out / "landscape-training.jpg", *_trained(found))]
    if any(twin.layers for twin in found.twins):
        pictures.append(_taken(drawn / f"{BETAS}.png", asked.out / f"landscape-{BETAS}.jpg", BETAS_SHOW, BETAS_SAY))
    return Exhibit(
        "Twins in training",
        "Does a smooth function help the optimiser?",
        (study_made_by(found.record),),
        "landscape.md",
        tuple(pictures),
    )


def _taken(source: Path, file: Path, what: str, caption: str) -> Picture:
    take_photo(source, file)
    return Picture(file.name, what, caption)


def _trained(found: Study) -> tuple[str, str]:
    """What a screen reader says of the sheet, and its caption."""
    caption = (
        f"One network with one activation after another, trained alike on {found.data} for {found.steps:,} "
        f"steps, {found.seeds} seeds each: what was minimised, how far the gradient can be trusted, how many units "
        "died. Differences are paired by seed. " + " ".join(found.statement[:2])
    )
    return "Losses, gradients and dead units of twins in training", caption


def losses(asked: Asked, progress: Progress) -> Exhibit:
    """The loss around the weights of twins: those that were given, or those of the digits."""
    pair = twin_pair(asked, progress)
    folder, what = asked.work / f"loss-{pair[0].name}", "The loss around the weights of two twins"
    found = loss_landscape(pair, folder / "loss", progress=progress)
    write_loss(folder, found, progress)
    take_photo(folder / "loss.png", asked.out / "landscape-loss.jpg")
    caption = (
        "The loss around trained weights, along a line and over a plane of random directions, each filter by its own "
        "length (Li et al., arXiv:1712.09913); the same directions, images and scale for both. "
        f"{words.verdict(found)} {_both(pair)} That proves nothing about "
        "activations: with three seeds each, rises do not tell ReLU and Swish apart, and trainings of one activation "
        "differ more than the activations do ([three seeds](landscape.md#the-loss-around-trained-weights))."
    )
    return Exhibit(
        "The loss around trained weights",
        "Does Swish end in a flatter place?",
        (*map(trained_as, pair), " ".join(["budgetnet landscape loss", *map(shown_run, pair)])),
        "landscape.md",
        (Picture("landscape-loss.jpg", what, caption),),
    )


def _both(runs: Sequence[Path]) -> str:
    """How well each does."""
    said = [f"{run.name} gets {reached(trained_run(run).test)} right" for run in runs]
    return f"{', '.join(said)}."
