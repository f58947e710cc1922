"""Python's garbage collector, run less often while a pass is at work."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_before: list[tuple[int, int, int]] = []  # the thresholds to come back to, once for each block that is entered


@contextmanager
def collect_less_often() -> Iterator[None]:
    """Run the cyclic garbage collector rarely within the block, and as before after it, and after all other threads'.

    The values of 100,000 rows have hardly any cycle: to look for cycles every 700 objects takes half of a pass.
    """
    with _LOCK:
        _before.append(_before[0] if _before else gc.get_threshold())
        gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        with _LOCK:
            before = _before.pop()
            if not _before:
                gc.set_threshold(*before)
