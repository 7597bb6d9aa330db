"""Exhibits of trained networks: what they look at, what their stages see, what their gates do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bench.gallery.exhibit import Exhibit, Picture, reached, shown_images, shown_run
from bench.gallery.files import take_cells, take_drawing, take_photo
from bench.gallery.runs import STRATEGIES, Asked, scaled_run, twin_run
from bench.gallery.trained import trained_as, trained_network, trained_run
from budgetnet import explain
from budgetnet.draw.wording import count, percent
from budgetnet.inspect.explain import Explanation
from budgetnet.inspect.explain.command import written_out
from budgetnet.inspect.explain.page import FINE_CELLS
from budgetnet.inspect.explain.subjects import shown_name
from budgetnet.networks import Network
from budgetnet.parallel.progress import Progress

FEW = 4


def insides(asked: Asked, progress: Progress) -> list[Exhibit]:
    """Grad-CAM, twins, gates and figure 7."""

    def digits() -> Path:
        return scaled_run(asked.work, "compound", progress)

    run = asked.run or digits()
    gated = asked.gates or (run if has_gates(run) else digits())
    twin = asked.beside or twin_run(asked.work, progress)
    others = asked.others or tuple(scaled_run(asked.work, one, progress) for one in STRATEGIES[1:])
    return [
        grad_cam(asked, run, progress),
        twins(asked, run if asked.beside else digits(), twin, progress),
        gates(asked, gated, progress),
        figure_7(asked, run if asked.others else digits(), others, progress),
    ]


def telling_stage(network: Network) -> str | None:
    """The last stage whose map has cells enough to say where something is; None where the network's last map has."""
    px, cells = network.stem_px, list[int]()
    for blocks in network.stage_blocks():
        for block in blocks:
            px = block.out_px(px)
        cells.append(math.prod(px))
    fine = [stage for stage, many in enumerate(cells) if many >= FINE_CELLS]
    return str(fine[-1]) if fine and fine[-1] + 1 < len(cells) else None


def has_gates(run: Path) -> bool:
    """Whether the run's network has squeeze-and-excitation."""
    return any(stage.squeeze for stage in trained_network(run).stages)


def _explained(
    asked: Asked,
    name: str,
    run: Path,
    progress: Progress,
    beside: Sequence[Path] = (),
    others: Sequence[Path] = (),
    of_all: bool = False,
) -> tuple[Explanation, tuple[str, ...]]:
    """The explanation, and the commands that make it from nothing; of the given images, or of all of the run's test."""
    images = list(asked.images) if run in (asked.run, *asked.others) and not of_all else []
    split = None if images else "test"
    layer, out = telling_stage(trained_network(run)), asked.work / name
    found = explain(
        run, images, beside=beside, others=others, layer=layer, drawn=FEW, out=out, split=split, progress=progress
    )
    runs = dict.fromkeys([run, *beside, *others])
    trained = map(trained_as, runs)
    first, *more = (shown_run(one) for one in (run, *beside, *others))
    twins, rest = more[: len(beside)], more[len(beside) :]
    command = written_out(first, shown_images(images), twins, rest, (), (), layer, FEW, split, None)
    return found, (*trained, command)


def grad_cam(asked: Asked, run: Path, progress: Progress) -> Exhibit:
    """Where the network looks, for some images."""
    found, commands = _explained(asked, "grad-cam", run, progress)
    take_photo(found.folder / "grad-cam.png", asked.out / "grad-cam.jpg")
    maps = _first_maps(found, asked.out, "maps.png")
    see = (
        f"{_about(run)} Each image beside what the network looks at (Grad-CAM): the lighter the colour, the more that "
        f"place speaks for the class below it. The map is that of {_layer(found)}, spread over the image. "
        f"{_source(asked, run)}"
    )
    return Exhibit(
        "Where a network looks",
        "Does it look at the thing, or at the background?",
        commands,
        "explain.md",
        (
            Picture("grad-cam.jpg", "Images, and over them what the network looks at", see),
            Picture(
                maps,
                "Activation maps of one image, a column a stage",
                "What its stages see in the first of these images: above the mean of |a| over the channels, below "
                "the strongest channels, each with its number. To the right the maps get coarser: a cell stands for "
                "more of the image, and answers to more than an edge.",
            ),
        ),
    )


def twins(asked: Asked, run: Path, twin: Path, progress: Progress) -> Exhibit:
    """Activation maps of two networks that differ in their activations."""
    found, commands = _explained(asked, "twins", run, progress, beside=(twin,))
    maps = _first_maps(found, asked.out, "maps-twins.png")
    rows = [row for row in found.stages if row.stage == "stem"]
    zeros = ", ".join(f"{row.network} {percent(row.zero_share, 0)}" for row in rows)
    see = (
        f"The same network twice, trained the same way, with Swish and with ReLU ({_both(run, twin)}). Above the "
        "mean of |a| of both, below two channels of each; channels of one number began as the same filter. "
        f"ReLU cuts to exactly 0 what Swish lets through, small: of the stem's values {zeros} are 0, over {FEW} images."
    )
    return Exhibit(
        "Swish beside ReLU in a trained network",
        "Do ReLU's maps have sharper borders?",
        commands,
        "explain.md",
        (Picture(maps, "Activation maps of two networks of one image", see),),
    )


def gates(asked: Asked, run: Path, progress: Progress) -> Exhibit:
    """What squeeze-and-excitation does, by block and by class."""
    found, commands = _explained(asked, "gates", run, progress, of_all=True)
    if found.gates is None:
        raise ValueError(f"{run} has no squeeze-and-excitation; give --gates another run")
    take_drawing(found.folder / "gates.svg", asked.out / "gates.svg", "The gates of each block")
    shown = [
        Picture(
            "gates.svg",
            "Histograms of the gates of each block",
            f"{_about(run)} Each block's gates over {found.gates.images:,} images and all its channels, as a histogram "
            "on its side, with the median and the middle half. Below: how much of a gate's variation between images "
            "their class explains, against a line that shuffled classes stay below in 95 % of cases.",
        )
    ]
    if found.gates.by_class is not None:
        what = "Mean gates of each class in one block"
        take_drawing(found.folder / "gates-by-class.svg", asked.out / "gates-by-class.svg", what)
        caption = (
            f"Block {found.gates.by_class.block}, where classes explain most: by how much each class opens a "
            "channel's gate beyond the mean of all images (blue) or less (vermilion)."
        )
        shown.append(Picture("gates-by-class.svg", what, caption))
    return Exhibit(
        "Squeeze-and-excitation's gates",
        "Which channels are weighed up, which down, and does that depend on the class?",
        commands,
        "explain.md",
        tuple(shown),
    )


def figure_7(asked: Asked, run: Path, others: Sequence[Path], progress: Progress) -> Exhibit:
    """What networks of one base look at, scaled in different ways."""
    # As in the paper the base comes first, compound scaling last.
    first, *rest = [*others, run]
    found, commands = _explained(asked, "figure-7", first, progress, others=rest)
    take_photo(found.folder / "grad-cam.png", asked.out / "figure-7.jpg")
    each = (f"{row.label} {count(row.macs)} MACs, {percent(row.top1 or 0)}" for row in found.networks)
    see = (
        "One base, scaled in different ways, as in figure 7 of the EfficientNet paper (arXiv:1905.11946): "
        f"{'; '.join(each)} right. Each map has its own scale. {_source(asked, run)}"
    )
    return Exhibit(
        "Scaled in different ways: figure 7 of the paper",
        "Does compound scaling look at more of the thing?",
        commands,
        "explain.md",
        (Picture("figure-7.jpg", "What networks scaled in different ways look at in the same images", see),),
    )


def _first_maps(found: Explanation, out: Path, file: str) -> str:
    """The activation maps of the first drawn image."""
    take_cells(min(found.folder.glob("maps/*.png")), out / file)
    return file


def _layer(found: Explanation) -> str:
    """The map of Grad-CAM by its name and size."""
    first = found.networks[0]
    return f"{shown_name(first.layer)}, {first.layer_px[0]} x {first.layer_px[1]} cells"


def _about(run: Path) -> str:
    """What was trained on what, and how well."""
    found = trained_run(run)
    kind = _kind(trained_network(run))
    return f"{kind}, trained on {found.record.data.name}; it gets {reached(found.test)} right."


def _kind(network: Network) -> str:
    high, wide = network.resolution_px
    return f"A network of {network.depth} blocks at {high} x {wide} px"


def _both(run: Path, twin: Path) -> str:
    first, second = (trained_run(one).test for one in (run, twin))
    return f"test accuracy {percent(first.top1)} and {percent(second.top1)}"


def _source(asked: Asked, run: Path) -> str:
    """Whose images they are."""
    return f"Images: {asked.credit if trained_run(run).record.data.path != 'digits' else DIGITS}."


DIGITS = (
    "handwritten digits by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0, as scikit-learn "
    "has them"
)
