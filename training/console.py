"""Command-line output and exit codes: progress bars for people, JSON lines for programs, signals, common options."""

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
"""Called with a stage, how much of it is done, how much there is in all (0: just a message), and a message."""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command of this package has."""
    parser.add_argument("--json", action="store_true", help="print progress to stdout as one JSON object per line")
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="exit at once when standard input closes; for a program that starts this one and holds its input open",
    )


def run_command(command: Callable[[argparse.Namespace], None], options: argparse.Namespace, stopped: str) -> int:
    """Run a command and return its exit code: 0, 1 for an error the user can mend, 2 for usage, 130 when interrupted.

    `stopped` is the message printed after an interruption (Ctrl-C or SIGTERM).
    """
    if options.with_parent:
        die_at_end_of_input()
    try:
        with _interruptible():
            command(options)
    except TrainingError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, RecipeError) else 1
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return 130
    return 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block on the first Ctrl-C or SIGTERM, and ignore further ones."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(*_: object) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def print_result(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the last line on stdout: the result, as JSON or as text."""
    sys.stdout.write((json.dumps(result) if as_json else text) + "\n")
    sys.stdout.flush()


@contextmanager
def report_progress(*, as_json: bool) -> Iterator[ProgressCallback]:
    """Yield a callback that shows progress: JSON lines on stdout, or progress bars on stderr."""
    if as_json:
        yield _print_json_line
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


def _print_json_line(stage: str, done: int, total: int, message: str) -> None:
    line = {"stage": stage, "done": done, "total": total, "message": message}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
