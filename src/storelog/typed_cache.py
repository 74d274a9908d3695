"""A cache of a function's results that keeps the types of its parameters.

To a type checker, what `functools` caches takes any hashable arguments. Next: envelope.py
"""

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def cached(size: int | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that keeps the results of the last `size` different arguments.

    Without `size` it keeps all: only for arguments that are declared, such as kinds and structures.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        return cast(Callable[P, T], lru_cache(size)(function))

    return decorate
