"""Python's garbage collector, run less often while a pass is at work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collect_less_often() -> Iterator[None]:
    """Run the cyclic garbage collector rarely within the block, and as before after it.

    The values of 100,000 rows have hardly any cycle: to look for cycles every 700 objects takes half of a pass.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
