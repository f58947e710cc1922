"""Progress of a stage: the callback that stages report to, and the same as lines of a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

LINE_SECONDS = 5.0


class ProgressLines:
    """A line when a stage is done, and one now and then while it lasts."""

    def __init__(self, tell: Callable[[str], None], seconds: float = LINE_SECONDS):
        self._tell, self._seconds = tell, seconds
        self._shown = time.monotonic()

    def __call__(self, stage: str, done: int, total: int, message: str) -> None:
        """See `records.Progress`."""
        now = time.monotonic()
        if done == total or now - self._shown >= self._seconds:
            self._shown = now
            words = ([f"{done} of {total}"] if total else []) + ([message] if message else [])
            self._tell(f"{stage}: {', '.join(words)}")


Progress: TypeAlias = Callable[[str, int, int, str], None]
"""Called with a stage, how much of it is done, how much there is (0: only a word to say), and a message."""
