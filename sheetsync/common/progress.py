"""Progress of a stage: the callback that stages report to, and an implementation that prints lines of a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

LINE_SECONDS = 5.0


class ProgressLines:
    """A `Progress` that emits a line when a stage is done, and at most one every `seconds` before that."""

    def __init__(self, emit: Callable[[str], None], seconds: float = LINE_SECONDS):
        self._emit, self._seconds = emit, seconds
        self._last_line = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, message: str) -> None:
        """See `Progress`."""
        now = time.monotonic()
        if done == total or now - self._last_line >= self._seconds:
            self._last_line = now
            words = ([f"{done} of {total}"] if total else []) + ([message] if message else [])
            self._emit(f"{stage}: {', '.join(words)}")


Progress: TypeAlias = Callable[[str, int, int, str], None]
"""Called with a stage, how much of it is done, how much there is (0: this is only a message), and a message."""
