"""Methods whose answers are kept with their object: a search asks for the same parts again and again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

Owner = TypeVar("Owner")
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def remembered(method: Callable[Concatenate[Owner, Given], Answer]) -> Callable[Concatenate[Owner, Given], Answer]:
    """The method, computed once for each of its positional arguments and each object, with which its answers go.

    `functools.cache` on a method would keep every object alive.
    """
    name = f"_answers of {method.__name__}"

    @functools.wraps(method)
    def ask(self: Owner, *given: Given.args, **named: Given.kwargs) -> Answer:
        known: dict[object, Answer] = vars(self).setdefault(name, {})
        if given not in known:
            known[given] = method(self, *given, **named)
        return known[given]

    return ask
