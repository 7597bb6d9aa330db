"""The command explain: inside trained networks, on images. Torch is imported when it starts to work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from budgetnet.cli import show
from budgetnet.cli.options import OUTPUT, WHOLE, AsJson, DeviceOption, read_list
from budgetnet.cli.progress import progress
from budgetnet.cli.runs import BatchOption, RunFolder

if TYPE_CHECKING:
    from budgetnet.inspect.explain import Explanation
    from budgetnet.inspect.explain.values import ImageRow

IMAGES = Group("Images", sort_key=0)
OTHERS = Group("Other networks", sort_key=1)
SHOWN = Group("What is shown", sort_key=2)


def explain(
    run: RunFolder,
    /,
    *image: Annotated[str, Parameter(help="Files, folders or globs; or --split.")],
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        Parameter(
            group=IMAGES, metavar="SPLIT", help="In place of files: the run's own images of train, validation or test."
        ),
    ] = None,
    beside: Annotated[
        tuple[str, ...],
        Parameter(
            group=OTHERS,
            metavar="RUN",
            show_default=False,
            help="A twin: the same network but for its activation functions. Repeatable.",
        ),
    ] = (),
    others: Annotated[
        tuple[str, ...],
        Parameter(
            name="--with",
            group=OTHERS,
            metavar="RUN",
            show_default=False,
            help="Any network, for Grad-CAM alone. Repeatable.",
        ),
    ] = (),
    classes: Annotated[
        tuple[str, ...],
        Parameter(
            name="--class",
            group=SHOWN,
            metavar="NAME",
            show_default=False,
            help="Grad-CAM for this class too, predicted or not. Repeatable.",
        ),
    ] = (),
    stages: Annotated[
        tuple[str, ...],
        Parameter(
            converter=read_list,
            n_tokens=1,
            group=SHOWN,
            metavar="NAMES",
            show_default=False,
            help="Maps to draw, as stem,3,3.1,head (3.1: a block); the last of each resolution unless given.",
        ),
    ] = (),
    layer: Annotated[
        str | None,
        Parameter(group=SHOWN, metavar="NAME", help="The map of Grad-CAM; the last before the average unless given."),
    ] = None,
    drawn: Annotated[
        int,
        WHOLE,
        Parameter(group=SHOWN, metavar="N", help="Images to draw, evenly apart; gates are counted over all."),
    ] = 8,
    batch: BatchOption = 32,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        Parameter(group=OUTPUT, metavar="FOLDER", help="For the page and the pictures; RUN/explain unless given."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show on one page what a trained network looks at and what is inside it.

    Grad-CAM over each image for the predicted class, activation maps of the stages,
    the gates of squeeze-and-excitation by block and by class; other networks beside.

    Examples: budgetnet explain runs/photos-1a2b3c new/*.jpg --class cat;
    budgetnet explain runs/photos-1a2b3c --split test
    """
    from budgetnet import explain as explain_now

    with progress() as shown:
        found = explain_now(
            run,
            image,
            beside=beside,
            others=others,
            classes=classes,
            stages=stages,
            layer=layer,
            drawn=drawn,
            out=out,
            batch=batch,
            device=device,
            split=split,
            progress=shown,
        )
    show.print_json(found) if as_json else _print(found)
    return 0


def _print(found: Explanation) -> None:
    """What each network says of each drawn image, what the gates tell, and where the page lies."""
    drawn = [image for image in found.images if image.drawn]
    known = any(image.label for image in drawn)
    heads = [network.label for network in found.networks] if len(found.networks) > 1 else ["answer"]
    show.table(
        ("image", *(["is"] if known else []), *heads),
        [(Path(image.path).name, *([image.label or "?"] if known else []), *_answers(image)) for image in drawn],
        text_columns=2 + len(heads),
    )
    show.say()
    facts = {"images": f"{sum(image.drawn for image in found.images)} drawn of {len(found.images):,}"}
    if found.gates is None:
        facts["gates"] = "none: this network has no squeeze-and-excitation"
    elif found.gates.by_class is not None:
        row = next(block for block in found.gates.blocks if block.block == found.gates.by_class.block)
        share = show.percent(row.class_share or 0.0, 0)
        facts["gates"] = f"classes explain most in block {row.block}: {share} of the variance between images"
    else:
        facts["gates"] = f"of {len(found.gates.blocks)} blocks; too few images of each class to compare classes"
    show.facts({**facts, "page": str(found.page)})


def _answers(image: ImageRow) -> tuple[str, ...]:
    """Each network's class with its probability."""
    return tuple(f"{answer.label} {show.percent(answer.probability)}" for answer in image.answers)
