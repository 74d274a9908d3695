"""A bounded cache of a function's results that keeps the types of its parameters.

`functools.lru_cache` takes any hashable arguments as far as a type checker knows. Next: envelope.py
"""

from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def cached(size: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that keeps the results of the last `size` different arguments."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        return cast(Callable[P, T], lru_cache(size)(function))

    return decorate
