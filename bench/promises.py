"""How often a promise of `--max-error` is broken: 1,000 draws of held-out images from a run's recorded answers.

    python -m bench.promises RUN

The run's answers to its validation and test images, which it has not learned, are the whole: so the share of errors
above any threshold is known. Of these, as many images are drawn 1,000 times, each independently of the others, as the
run has validation images; the temperature and the promises are made of each draw as at the end of a training, and held
against the whole. At most 5 % may be broken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.strangers import answers
from budgetnet.data import open_images
from budgetnet.model.trust import USUAL_ERRORS, familiarity, trust_of
from budgetnet.runs.record import read_header
from budgetnet.runs.run import load_run
from budgetnet.training.calibration import fit_temperature

DRAWS = 1_000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    run: Path = parser.parse_args().run
    plan = read_header(run)
    images = open_images(plan.data.data, plan.seed)
    indices = np.concatenate([images.indices(split) for split in ("validation", "test")])
    found = answers(load_run(run), images, indices, len(indices))
    logits, labels, right = found.logits, found.labels, found.logits.argmax(1) == found.labels
    held_out, draw = len(images.indices("validation")), np.random.default_rng(0)
    made, broken, shares = (dict.fromkeys(USUAL_ERRORS, 0.0) for _ in range(3))
    for _ in range(DRAWS):
        mine = draw.integers(len(labels), size=held_out)
        temperature = fit_temperature(logits[mine], labels[mine])
        scaled = logits / temperature
        confidence = np.exp(scaled.max(1) - familiarity(scaled)).astype(np.float32)
        for promise in trust_of(logits[mine], labels[mine], temperature).promises():
            check = promise.check(confidence, right)
            made[promise.max_error] += 1
            broken[promise.max_error] += check.wrong > promise.max_error * check.answered
            shares[promise.max_error] += check.answered / check.images
    print(f"{images.name}: {len(labels)} answers, {100 * right.mean():.1f} % right; {held_out} images a draw\n")
    print("| wrong at most | promises | broken | images answered |\n| --- | --- | --- | --- |")
    for error in USUAL_ERRORS:
        mean = f"{100 * shares[error] / made[error]:.0f} %" if made[error] else ""
        print(f"| {100 * error:g} % | {made[error]:.0f} | {100 * broken[error] / DRAWS:.1f} % | {mean} |")


if __name__ == "__main__":
    main()
