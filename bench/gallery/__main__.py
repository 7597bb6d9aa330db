"""`python -m bench.gallery`: make the pictures, write the page."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.gallery.page import page
from bench.gallery.runs import Asked
from budgetnet.atomic_write import written_aside
from budgetnet.cli.progress import progress
from budgetnet.parallel.progress import Progress
from budgetnet.runs.record import read_header


def arguments() -> argparse.ArgumentParser:
    """What the command takes."""
    parser = argparse.ArgumentParser(prog="python -m bench.gallery", description=__doc__)
    parser.add_argument("--run", type=Path, help="a run of train or solve: where it looks, its maps, its gates")
    parser.add_argument("--beside", type=Path, help="its twin with another activation, for maps; needs --run")
    parser.add_argument("--with", dest="others", type=Path, nargs="+", default=[], help="for figure 7; needs --run")
    parser.add_argument("--loss", type=Path, nargs=2, help="two small twins, for the loss around their weights")
    parser.add_argument("--gates", type=Path, help="a run with squeeze-and-excitation, where --run has none")
    parser.add_argument("--solve", type=Path, help="a run of solve, for its report")
    parser.add_argument("--compare", type=Path, help="a run of compare")
    parser.add_argument("--scaling", type=Path, help="a run of compare --scaling, also of several costs")
    parser.add_argument("--ablate", type=Path, help="a run of compare --ablate")
    parser.add_argument("--study", type=Path, help="the --out of landscape training")
    parser.add_argument("--images", nargs="+", default=[], help="images for --run; those of its test unless given")
    parser.add_argument("--credit", default="", help="whose photos are shown, and their licence")
    parser.add_argument("--longer", type=float, default=1.0, help="times the usual time, on a slow machine")
    parser.add_argument("--work", type=Path, default=Path("runs/gallery"), help="for what is made on the way")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/gallery/docs"), help="for gallery.md and the folder gallery"
    )
    parser.add_argument("--fresh", action="store_true", help="make everything anew that was made on the way")
    return parser


def asked_for(row: argparse.Namespace) -> Asked:
    """The arguments as a value. Raises a one-line `ValueError` for those that do not go together."""
    for flag in ("beside", "others", "images"):
        if getattr(row, flag) and row.run is None:
            raise ValueError(f"--{'with' if flag == 'others' else flag} needs --run")
    shown = [run for run in (row.run, row.gates) if run is not None]
    photos = [run for run in shown if read_header(run).data.path != "digits"]
    if photos and not row.credit:
        raise ValueError(f"the pictures will show photos of {photos[0]}; say with --credit whose, and their licence")
    return Asked(
        run=row.run,
        beside=row.beside,
        others=tuple(row.others),
        gates=row.gates,
        loss=tuple(row.loss) if row.loss else None,
        solved=row.solve,
        compared=row.compare,
        scaling=row.scaling,
        ablation=row.ablate,
        study=row.study,
        images=tuple(row.images),
        credit=row.credit,
        longer=row.longer,
        work=row.work,
        out=row.out / "gallery",
    )


def make(asked: Asked, shown: Progress) -> str:
    """Make every picture; the page's text."""
    # Here, so that bad input is refused before all that draws is imported.
    from bench.gallery.comparisons import comparison
    from bench.gallery.exhibits import solution, zoo
    from bench.gallery.insides import insides
    from bench.gallery.landscapes import landscapes

    asked.work.mkdir(parents=True, exist_ok=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    exhibits = [
        *landscapes(asked, shown),
        *insides(asked, shown),
        zoo(asked),
        comparison(asked, "families", shown),
        comparison(asked, "scaling", shown),
        comparison(asked, "ablation", shown),
        solution(asked, shown),
    ]
    files = {picture.file for one in exhibits for picture in one.pictures}
    for old in sorted(asked.out.iterdir()):
        if old.suffix in (".svg", ".jpg", ".png") and old.name not in files:
            old.unlink()
    return page(exhibits, asked.out.name)


def main(words: Sequence[str] | None = None) -> int:
    """Make the gallery; exit code 2 and one line for bad input."""
    row = arguments().parse_args(words)
    try:
        asked = asked_for(row)
        if row.fresh:
            shutil.rmtree(asked.work, ignore_errors=True)
        with progress() as shown:
            text = make(asked, shown)
    except ValueError as error:
        print(f"bench.gallery: {error}", file=sys.stderr)
        return 2
    with written_aside(row.out / "gallery.md") as aside:
        aside.write_text(text, encoding="utf-8")
    sizes = sum(file.stat().st_size for file in asked.out.iterdir())
    print(f"{row.out / 'gallery.md'}: {len(list(asked.out.iterdir()))} pictures, {sizes / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
