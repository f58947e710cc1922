"""A cache of one result, keyed by the identity of the first argument, which is too large to hash (memoization)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_CACHES: list[list[Any]] = []


def cache_last(function: Callable[P, R]) -> Callable[P, R]:
    """Cache the last result of a pure function, for the identical first argument and equal others.

    Like `lru_cache(1)`, for functions of large frozen values that are called several times a pass.

    >>> shout = cache_last(lambda words: print("at work") or words.upper())
    >>> shout(greeting := "hello"), shout(greeting)
    at work
    ('HELLO', 'HELLO')
    """
    last: list[tuple[tuple[object, ...], dict[str, object], R]] = []  # none or one
    _CACHES.append(last)

    @wraps(function)
    def cached(*args: P.args, **kwargs: P.kwargs) -> R:
        for last_args, last_kwargs, last_result in last:
            if last_args[0] is args[0] and (last_args[1:], last_kwargs) == (args[1:], kwargs):
                return last_result
        result = function(*args, **kwargs)
        last[:] = [(args, kwargs, result)]
        return result

    return cached


@contextmanager
def clear_caches() -> Iterator[None]:
    """Clear all caches at the end, so that no table of a pass lives on in a daemon until the next one."""
    try:
        yield
    finally:
        for cache in _CACHES:
            cache.clear()
