"""What the page shows of a study of twins, from the rows of training.json and the pictures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from budgetnet.draw.wording import MINUS
from budgetnet.inspect.landscape.training import words
from budgetnet.inspect.landscape.training.cards import GRADIENT_CARDS, LOSS_CARDS, beta_cards

TRAINING = "training"
"""The part's name: training.json, training.png, training.svg, and the folder of the trainings and the pictures."""
BETAS = "training-betas"
"""The sheet of trained betas: training-betas.png and .svg, where there are any."""
TRAINING_FORMAT = "budgetnet.training-landscape.v1"

SAID = {"steps": "over the steps", "lengths": "by distance", "end": "each twin with its seeds, and paired differences"}


def training_values(row: Mapping[str, Any], card: Callable[[str, str], str]) -> dict[str, Any]:
    """What the template reads; `card` gives the picture of a name, with what a screen reader says."""
    titles = {twin["name"]: twin["title"] for twin in row["twins"]}
    betas = [name for twin in row["twins"] if twin["layers"] for name in beta_cards(twin["name"])]
    return {
        **row,
        "what": words.what_was_trained(row),
        "loss_cards": [card(name, _said(name)) for name in LOSS_CARDS],
        "gradient_cards": [card(name, _said(name)) for name in GRADIENT_CARDS],
        "beta_cards": [card(name, "β of every layer") for name in betas],
        "rows": [_measure_line(row, measure) for measure in words.TITLES],
        "pairs": [_pair_line(pair, titles) for pair in row["differences"]],
        "dead": [(twin["title"], words.dead_text(twin["trainings"])) for twin in row["twins"]],
    }


def _said(name: str) -> str:
    """A card for those who do not see it."""
    kind, _, measure = name.partition("-")
    title = words.TITLES.get(measure, measure.replace("_", " "))
    return f"{title}, {SAID[kind]}"


def _measure_line(row: Mapping[str, Any], measure: str) -> dict[str, Any]:
    texts = [words.spread_of(measure, twin["measures"][measure]) for twin in row["twins"]]
    return {"title": words.end_title(measure), "means": words.MEANS[measure], "texts": texts}


def _pair_line(pair: Mapping[str, Any], titles: Mapping[str, str]) -> tuple[str, str, str, str]:
    text = words.difference_text(pair["measure"], pair["mean"], pair["low"], pair["high"])
    what = f"{titles[pair['a']]} {MINUS} {titles[pair['b']]}"
    return words.end_title(pair["measure"]), what, text, words.verdict_of(pair)
