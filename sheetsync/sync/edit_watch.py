"""A look at the sheet now and then while a model trains, for people may edit what it learns from."""

from __future__ import annotations

from collections.abc import Callable

from sheetsync.common.progress import Progress
from sheetsync.errors import SheetError, Shrunk

RESTARTS = 3  # of one pass; then it finishes what it trains, so that a team that never rests gets scores as well


class Edited(Exception):
    """People changed what the model in training would see."""


def watched(progress: Progress, changed: Callable[[], bool], clock: Callable[[], float], seconds: float) -> Progress:
    """The same progress, through which `Edited` is raised once `changed` says so; it is asked every so many seconds.

    A sheet that cannot be read then, or that suddenly looks empty, is no reason to stop a training.
    """
    last = clock()

    def told(stage: str, done: int, total: int, message: str) -> None:
        nonlocal last
        progress(stage, done, total, message)
        if clock() - last >= seconds:
            if _certain(changed):
                raise Edited
            last = clock()

    return told


def _certain(changed: Callable[[], bool]) -> bool:
    try:
        return changed()
    except (SheetError, Shrunk):
        return False
