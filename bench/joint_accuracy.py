"""Whether the multiply-adds that four dials find are worth something: trainings of equal epochs from one parent.

    python -m bench.joint_accuracy DATA --base tf_efficientnet_lite0 --pretrained lite0 --px 84x112 --out FOLDER

The best single dial against the joint network at several widths of the band (`--tau`), by validation accuracy; paired
over seeds. Killed, it goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.joint import WAKE_WORDS, single
from budgetnet import adapt, cost, network, open_images, train
from budgetnet.budgets.joint import JointSpace
from budgetnet.networks import Network


def shapes(base: Network, taus: list[float], largest_px: int) -> dict[str, Network]:
    """The networks by what made them."""
    found: dict[str, Network] = {}
    one = single(base, WAKE_WORDS, largest_px)
    if one is not None:
        found[one.strategy] = one.network
    for tau in taus:
        space = JointSpace(base, WAKE_WORDS, largest_px=largest_px, tau=tau)
        at = space.largest()
        if at is not None:
            found[f"tau {tau:g}"] = space.dials.network(at)
    return found


def main() -> None:
    """Train each, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--base", default="tf_efficientnet_lite0")
    parser.add_argument("--pretrained", default="none")
    parser.add_argument("--px", default="84x112")
    parser.add_argument("--tau", type=float, nargs="+", default=[1.5, 2.0, 3.0])
    parser.add_argument("--epochs", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    height, width = map(int, given.px.split("x"))
    classes = len(open_images(given.data, 0).classes)
    found = shapes(adapt(network(given.base, classes), (height, width)), given.tau, 3 * max(height, width))
    for name, one in found.items():
        macs, head = cost(one).macs / 1e6, one.head.channels
        print(f"{name}: {macs:.1f} M, {one.resolution_px} px, {one.depth} blocks, head {head}")
    for seed in range(given.seeds):
        for name, one in found.items():
            out = given.out / f"{name.replace(' ', '')}-{seed}"
            made = train(given.data, one, out, epochs=given.epochs, seed=seed, pretrained=given.pretrained)
            print(f"seed {seed}, {name}: validation {made.validation.top1:.4f}, test {made.test.top1:.4f}", flush=True)


if __name__ == "__main__":
    main()
