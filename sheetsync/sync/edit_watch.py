"""Edit watch: poll the sheet while a model trains, to stop a training whose data people have changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sheetsync.common.progress import Progress
from sheetsync.errors import SheetError, Shrunk

MAX_RESTARTS = 3  # of one pass; then the training is finished, so that a team that never stops editing gets scores


class TrainingDataChanged(Exception):
    """People changed what the model in training learns from."""


def with_edit_check(
    progress: Progress, changed: Callable[[], bool], clock: Callable[[], float], seconds: float
) -> Progress:
    """Wrap a progress callback: ask `changed()` every so many seconds, raise `TrainingDataChanged` if it says so.

    A sheet that cannot be read then, or that suddenly looks empty, is no reason to stop a training.
    """
    last = clock()

    def checked(stage: str, done: int, total: int, message: str) -> None:
        nonlocal last
        progress(stage, done, total, message)
        if clock() - last >= seconds:
            with suppress(SheetError, Shrunk):
                if changed():
                    raise TrainingDataChanged
            last = clock()

    return checked
