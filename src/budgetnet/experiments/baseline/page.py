"""The page of a search for a baseline: one HTML file with the front, the winner's stages, the finals, the search."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from budgetnet.atomic_write import written_aside
from budgetnet.budgets.budget import Budget
from budgetnet.budgets.search_space import Space
from budgetnet.draw import wording
from budgetnet.draw.command_line import in_lines
from budgetnet.draw.page import render_page
from budgetnet.experiments.baseline.pictures import Row, front_svg, progress_svg
from budgetnet.experiments.report.page import NARROW_PX, WIDE_PX
from budgetnet.experiments.report.reproduce import MACHINE, augment_flags, augmentation_fact, budget_flags, data_words
from budgetnet.networks import Network, Stage, block_macs
from budgetnet.runs.run import read_json

TEMPLATES = Path(__file__).parent

RANKING = "ranking.json"
"""In a search's folder once bench/ranking.py has measured how well its scores rank."""


def write_page(run: str | Path) -> Path:
    """Write `report.html` into a finished search's folder, and give its path.

    The page asks no network for anything. Raises a one-line `ValueError` for an unfinished or damaged run.
    """
    folder = Path(run)
    if not (folder / "baseline.json").is_file():
        raise ValueError(f"{folder} has no baseline.json: the command that began it goes on with it")
    ranking = read_json(folder / RANKING) if (folder / RANKING).is_file() else None
    values = _page(read_json(folder / "plan.json"), read_json(folder / "baseline.json"), ranking)
    path = folder / "report.html"
    with written_aside(path) as aside:
        aside.write_text(render_page(TEMPLATES / "baseline.html.j2", values), encoding="utf-8")
    return path


def _page(plan: Row, found: Row, ranking: Row | None) -> dict[str, Any]:
    """All that the template reads."""
    finals, candidates = found["finals"], found["candidates"]
    networks = [Network.from_json(json.dumps(row["network"])) for row in finals]
    finalists = [row["id"] for row in finals[:-1]]
    limit, widths = found["target_macs"], (WIDE_PX, NARROW_PX)
    again = [row["id"] for row in found["semifinals"]]
    scores = {row["id"]: row["accuracy"] for row in candidates}
    return {
        "words": wording,
        "plan": plan,
        "data": plan["data"],
        "found": found,
        "winner": finals[0],
        "base": finals[-1],
        "finals": finals,
        "semifinals": {row["id"]: row for row in found["semifinals"]},
        "scores": scores,
        "predicted": [name for name in again if name not in scores],
        "asked": asked(plan),
        "seeds": plan["finals"]["seeds"],
        "front": sorted((row for row in candidates if row["front"]), key=lambda row: row["macs"]),
        "stages": list(stage_lines(networks[0], networks[-1])),
        "space": space_lines(Space.from_json(plan["space"])),
        "front_pictures": tuple(
            front_svg(candidates, again, finalists, limit, width, f"front{width}-") for width in widths
        ),
        "progress_pictures": tuple(progress_svg(candidates, width, f"progress{width}-") for width in widths),
        "first": first_of(candidates),
        "ranking": ranking,
        "command": command(plan),
        "facts": facts(plan),
    }


def asked(plan: Row) -> str:
    """At most 8 M MACs, in 90 min."""
    limits = Budget.from_dict(plan["budget"]).limits()
    parts = [f"at most {wording.rounded(name, limit)} {wording.LIMIT_NAMES[name]}" for name, limit in limits.items()]
    return ", ".join([*parts, f"in {wording.duration(plan['time_seconds'])}"])


def stage_lines(winner: Network, base: Network) -> Iterator[tuple[str, ...]]:
    """For each stage: its map, the winner's row and the base's, and each one's share of the multiply-adds."""
    shares = [_shares(network) for network in (winner, base)]
    px = winner.stem_px
    for index, (ours, theirs) in enumerate(zip(winner.stages, base.stages, strict=True)):
        px = -(-px[0] // ours.stride), -(-px[1] // ours.stride)
        cells = [
            cell
            for stage, share in ((ours, shares[0][index]), (theirs, shares[1][index]))
            for cell in (*said(stage), f"{stage.channels}", f"{stage.repeats}", wording.points(share))
        ]
        yield str(index), wording.sides(px), *cells


def said(stage: Stage) -> tuple[str, str]:
    """mbconv 5x5, and what else it has: expansion 6, SE 0.25."""
    parts = [f"expansion {stage.expansion:g}"] if stage.expansion != 1.0 else []
    parts += [f"SE {stage.squeeze.ratio:g}"] if stage.squeeze else []
    return f"{stage.kind} {stage.kernel}{wording.TIMES}{stage.kernel}", ", ".join(parts)


def _shares(network: Network) -> list[float]:
    """Each stage's share of the multiply-adds."""
    px, found = network.stem_px, list[int]()
    for blocks in network.stage_blocks():
        macs = 0
        for block in blocks:
            macs += block_macs(block, px)
            px = block.out_px(px)
        found.append(macs)
    ends = network.stem_conv.macs(network.resolution_px) + (network.head_conv.macs(px) if network.head_conv else 0)
    ends += sum(linear.macs((1, 1)) for linear in (network.hidden_linear, network.classifier) if linear)
    return [macs / (sum(found) + ends) for macs in found]


def space_lines(space: Space) -> list[tuple[str, ...]]:
    """For each stage the values that each factor may have."""
    return [
        (
            str(index),
            ", ".join(row.kinds),
            _listed(row.kernels),
            _listed(row.squeezes),
            _listed(row.expansions),
            _listed(row.widths),
            ", ".join("0" if value == 0 else wording.signed(value, 0) for value in row.layers),
        )
        for index, row in enumerate(space.stages)
    ]


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def first_of(candidates: list[Row]) -> int:
    """Which candidate was the best first, from 1."""
    best = list(itertools.accumulate((row["reward"] for row in candidates), max))
    return best.index(best[-1]) + 1


def command(plan: Row) -> str:
    """The command that makes the search again, every argument written out."""
    words = ["budgetnet", *plan["command"].split(), *data_words(plan)]
    words += [*budget_flags(Budget.from_dict(plan["budget"])), "--time", f"{plan['time_seconds']:g}s"]
    base = plan["base"] if plan["base"][:1] != "{" else "base.json"
    words += ["--space", "space.json"] if plan["space_asked"] else ["--base", base]
    words += ["--sampler", plan["sampler"], "--exponent", f"{plan['exponent']:g}"]
    words += ["--recipe", plan["recipe_name"], *augment_flags(plan), "--seed", str(plan["seed"])]
    words += [] if plan["precision"] == "float32" else ["--precision", plan["precision"]]
    return in_lines(words)


def facts(plan: Row) -> dict[str, str]:
    """What the numbers depend on besides the command."""
    semifinals = {"A semifinal": _length(plan["semifinals"]["config"])} if plan["semifinals"] else {}
    rows = {
        "A candidate's training": _length(plan["candidate"]),
        "A candidate": f"{plan['seconds_a_candidate']:.2f} s, {plan['workers']} at a time, as timed before",
        **semifinals,
        "A final training": _length(plan["finals"]["config"]),
        **augmentation_fact(plan.get("augmentation")),
        "Data": f"{plan['data']['name']}, fingerprint {plan['data']['fingerprint']}",
    }
    return rows | {MACHINE.get(key, key.capitalize()): str(value) for key, value in plan["machine"].items()}


def _length(config: Row) -> str:
    return f"{config['steps']:,} steps of {config['batch']} images"
