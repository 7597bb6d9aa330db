"""Our arm, in a process of its own: `train` or `solve` as a user calls it, of this tree or of another.

It runs with a tree's package in front in PYTHONPATH, and asks only for what older trees have as well.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.time_to_accuracy.spent import TRAINING_MACS, legs, winner_images


def main() -> None:
    """Read what is asked from standard input, train, and write what was found into the file that is named there."""
    asked = json.load(sys.stdin)
    import budgetnet

    home = Path(budgetnet.__file__).resolve()
    assert home.is_relative_to(Path(asked["tree"]).resolve()), f"{home} is not of {asked['tree']}"
    data = budgetnet.Folders(train=asked["train"], test=asked["judges"])
    out, began = Path(asked["folder"]) / "run", asked["began"]
    same: dict[str, Any] = {"out": out, "seed": asked["seed"], "pretrained": asked["weights"]}
    # As the command line counts it, the start of the process is a part of the time.
    left = asked["seconds"] - (time.time() - began)
    if asked["ours"] == "solve":
        solved = budgetnet.solve(data, budgetnet.Budget(macs=asked["macs"]), left, **same)
        network, test = solved.fit.network, solved.test
    else:
        network = budgetnet.Network.from_json(json.dumps(asked["network"]))
        trained = budgetnet.train(data, network, time_seconds=left, **same)
        network, test = trained.network, trained.test
    took = time.time() - began
    plan, metrics = (json.loads((out / name).read_text(encoding="utf-8")) for name in ("plan.json", "metrics.json"))

    def macs(row: object) -> int:
        return budgetnet.cost(budgetnet.Network.from_json(json.dumps(row))).macs

    spent = sum(leg.images * macs(leg.config["network"]) for leg in legs(plan, metrics))
    row = {
        "network": network.name,
        "macs": budgetnet.cost(network).macs,
        "training_macs": TRAINING_MACS * float(spent),
        "epochs": winner_images(plan, metrics) / plan["data"]["counts"]["train"],
        "took_seconds": took,
        "right": round(test.top1 * test.count),
        "judged": test.count,
    }
    Path(asked["found"]).write_text(json.dumps(row), encoding="utf-8")


if __name__ == "__main__":
    main()
