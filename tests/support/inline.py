"""Workers in this process, one after another: what a comparison or a study does with them is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Inline:
    """As `parallel.workers.Workers`; `done` has the ids of the trainings in their order."""

    done: list[str]

    def __init__(self, function: Callable[[Any], Any], *_: Any, **__: Any) -> None:
        self.function = function

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, jobs: Sequence[Any], on_result: Callable[[Any, Any], None]) -> None:
        for job in jobs:
            on_result(job, self.function(job))
            Inline.done.append(getattr(job, "training", job).config.id)
