"""A budget of memory, and of threads, that all decoding shares."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY = 750_000_000  # bytes for all pictures that are decoded at the same time


DECODER_COUNT = min(8, max(2, os.cpu_count() or 2))  # decoding is work for the processor


DECODERS = threading.BoundedSemaphore(DECODER_COUNT)


class MemoryBudget:
    """Memory that is shared: whoever needs more than is left waits, and the next one behind."""

    def __init__(self, size: int):
        self._left, self._changed, self._turn = size, threading.Condition(), threading.Lock()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold some of it."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify()


BUDGET = MemoryBudget(MEMORY)
