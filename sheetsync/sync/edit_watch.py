"""A look at the sheet now and then while a model trains, for people may edit what it learns from."""

from __future__ import annotations

from collections.abc import Callable

from sheetsync.common.progress import Progress
from sheetsync.errors import SheetError, Shrunk

MAX_RESTARTS = 3  # of one pass; then it finishes what it trains, so that a team that never rests gets scores as well


class TrainingDataChanged(Exception):
    """People changed what the model in training would see."""


def with_edit_check(
    progress: Progress, changed: Callable[[], bool], clock: Callable[[], float], seconds: float
) -> Progress:
    """Wrap a progress callback: ask `changed()` every so many seconds, raise `TrainingDataChanged` if it says so.

    A sheet that cannot be read then, or that suddenly looks empty, is no reason to stop a training.
    """
    last = clock()

    def told(stage: str, done: int, total: int, message: str) -> None:
        nonlocal last
        progress(stage, done, total, message)
        if clock() - last >= seconds:
            if _is_changed(changed):
                raise TrainingDataChanged
            last = clock()

    return told


def _is_changed(changed: Callable[[], bool]) -> bool:
    try:
        return changed()
    except (SheetError, Shrunk):
        return False
