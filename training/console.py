"""How a training process talks: a progress bar for people, a JSON object a line for programs."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from training.errors import RecipeError, TrainingError
from training.parallel.local import die_at_end_of_input

ProgressCallback: TypeAlias = Callable[[str, int, int, str], None]
"""Called with a stage, how much of it is done, how much there is (0: only a word to say), and a message."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every command of this package has."""
    parser.add_argument("--json", action="store_true", help="tell progress on stdout as one JSON object a line")
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end at once when standard input ends; for a program that starts this one and holds its input open",
    )


def guarded(command: Callable[[argparse.Namespace], None], options: argparse.Namespace, stopped: str) -> int:
    """Run a command; its exit code: 0, 1 for what the user can mend, 2 for usage, 130 for Ctrl-C or SIGTERM.

    `stopped` is what to say when it was stopped by one of the latter.
    """
    if options.with_parent:
        die_at_end_of_input()
    try:
        with _stoppable():
            command(options)
    except TrainingError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, RecipeError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 130
    return 0


@contextmanager
def _stoppable() -> Iterator[None]:
    """In the block the first Ctrl-C or SIGTERM raises KeyboardInterrupt, and further ones are not heard."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def say(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """The last line on stdout: what came of it."""
    sys.stdout.write((json.dumps(result) if as_json else text) + "\n")
    sys.stdout.flush()


@contextmanager
def reporting(*, as_json: bool) -> Iterator[ProgressCallback]:
    """A way to report progress while the block runs."""
    if as_json:
        yield _report_json
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[message]}"), console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, message: str) -> None:
            if not total:
                progress.console.print(f"{stage}: {message}", soft_wrap=True, markup=False, highlight=False)
                return
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total, message="")
            progress.update(tasks[stage], completed=done, total=total, message=message)

        yield report


def _report_json(stage: str, done: int, total: int, message: str) -> None:
    line = {"stage": stage, "done": done, "total": total, "message": message}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def every(step: int, report: ProgressCallback, stage: str, total: int) -> Callable[[int], None]:
    """Report a count, but only each `step` and the last."""

    def done(count: int) -> None:
        if count % step == 0 or count == total:
            report(stage, count, total, "")

    return done
