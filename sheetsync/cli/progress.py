"""Progress of a command: bars on a terminal, lines in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sheetsync.common.progress import Progress as ProgressCallback
from sheetsync.common.progress import ProgressLines


@contextmanager
def show_progress(console: Console) -> Iterator[ProgressCallback]:
    """Yield a progress callback that shows the stages on a console: bars on a terminal, else lines."""
    if not console.is_terminal:
        yield ProgressLines(partial(console.print, highlight=False, markup=False, soft_wrap=True))
        return
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    message = TextColumn("{task.fields[message]}", markup=False)
    with Progress(*columns, message, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress):
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, message: str) -> None:
        if not total:
            self._progress.console.print(f"{stage}: {message}", highlight=False, markup=False)
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, message="")
        self._progress.update(self._tasks[stage], completed=done, total=total, message=message)
