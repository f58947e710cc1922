"""Memory budget and decoder slots shared by all threads that decode pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MEMORY = 750_000_000  # bytes for all pictures that are decoded at the same time
DECODER_COUNT = min(8, max(2, os.cpu_count() or 2))  # threads that decode at the same time: it is work for the CPU
DECODER_SLOTS = threading.BoundedSemaphore(DECODER_COUNT)


class MemoryBudget:
    """A memory budget shared by threads: first come, first served, so that small requests starve no large one."""

    def __init__(self, size: int):
        self._left, self._changed, self._turn = size, threading.Condition(), threading.Lock()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them."""
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
