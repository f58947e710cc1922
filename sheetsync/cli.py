"""The command line. The real world is made here and handed down."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sheetsync import __version__
from sheetsync.errors import SheetsyncError, disk_problem

if TYPE_CHECKING:
    from sheetsync.config import Project
    from sheetsync.records import Progress
    from sheetsync.service import Pass

LOG_SECONDS = 60.0  # between lines of `watch` while a stage lasts


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, which the command line library would turn into a usage error."""


app = typer.Typer(
    help="Keep an image dataset in a spreadsheet.\n\n"
    "Edit labels in the sheet; sheetsync mirrors it into an ImageFolder, retrains the fixed model when what it "
    "would see has changed, and writes predictions and where to look first back into columns of its own.\n\n"
    "First time? `sheetsync demo` shows it all in three minutes. Your own: `sheetsync init labels.csv`, then "
    "`sheetsync sync`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Folder = Annotated[
    Path,
    typer.Option(
        "--project", "-p", metavar="DIR", file_okay=False, help="The folder with sheetsync.toml.", show_default="here"
    ),
]
Shrink = Annotated[
    bool, typer.Option("--allow-shrink", help="Go on though over half of the images would leave the dataset.")
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sheetsync {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    sheet: Annotated[
        str,
        typer.Argument(
            metavar="SHEET",
            help="The CSV file with your rows, seen from DIR and made with a header if missing, or the address of a "
            "Google Sheet.",
        ),
    ],
    folder: Folder = Path(),
) -> None:
    """Make a sheetsync.toml for a sheet.

    The sheet needs a column `image` (a URL, or a path beside the CSV) and a column `label`. Everything else is
    yours; sheetsync adds its columns at the right on the first sync.
    """
    from sheetsync.setup import make_project

    for line in make_project(folder, sheet):
        typer.echo(line)


@app.command()
def plan(folder: Folder = Path()) -> None:
    """Show what a sync would do to the dataset, and do nothing."""
    from rich.console import Console

    from sheetsync.display import show_plan

    show_plan(Console(soft_wrap=True), *_pass(_project(folder), _silent).look())


@app.command()
def sync(
    folder: Folder = Path(),
    allow_shrink: Shrink = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run one pass: mirror the sheet, train if needed, write results back.

    Safe to stop at any time and to run as often as you like: with nothing new it does nothing.
    """
    import dataclasses
    from json import dumps

    from rich.console import Console

    from sheetsync.display import progress_shown, show_report

    project = _project(folder)
    with progress_shown(Console(stderr=True)) as progress:
        report = _pass(project, progress).run(allow_shrink=allow_shrink)
    if json:
        typer.echo(dumps(dataclasses.asdict(report), indent=2, ensure_ascii=False))
    else:
        show_report(Console(soft_wrap=True), report)


@app.command()
def watch(
    folder: Folder = Path(),
    every: Annotated[
        float | None,
        typer.Option(
            help="Minutes between passes; every_minutes of sheetsync.toml if not given.", min=0.01, max=10_080
        ),
    ] = None,
) -> None:
    """Run passes on a schedule until stopped (Ctrl-C or SIGTERM).

    A pass that fails is logged, and the next one comes as planned.
    """
    import logging
    from threading import Event

    from sheetsync.daemon import watch as repeat

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    project = _project(folder)
    minutes = project.settings.every_minutes if every is None else every
    logging.info("watching %s every %g minutes", project.settings.sheet, minutes)
    try:
        known: set[str] = set()
        repeat(lambda: _logged_pass(_project(folder), known), minutes, Event())
    except Stopped:
        logging.info("stopped")
        _end(0)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to make it.", show_default=True)] = Path(
        "sheetsync-demo"
    ),
) -> None:
    """Make an example project and run it, with real images, real mistakes and a real training.

    1,797 handwritten digits with 3 % of the labels wrong on purpose; about two minutes on two cores.
    """
    from sheetsync.demo import run_demo

    run_demo(folder, _pass)


# --- the real world -------------------------------------------------------------------------------


def _silent(stage: str, done: int, total: int, message: str) -> None:
    """Show no progress."""


def _project(folder: Path) -> Project:
    from sheetsync.config import load

    return load(folder)


def _pass(project: Project, progress: Progress) -> Pass:
    import time

    import stamina

    from sheetsync.download import fetch_any
    from sheetsync.retrain import ProcessTrainer
    from sheetsync.service import Pass, World
    from sheetsync.sheets import open_sheet

    stamina.instrumentation.set_on_retry_hooks(())  # it would tell of every retry on stderr
    sheet = open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())
    fetch = fetch_any(project.sheet_folder, project.limits)
    trainer = ProcessTrainer(project.dataset, project.recipe, project.state)
    return Pass(project, World(sheet, fetch, trainer, time.monotonic, progress))


def _logged_pass(project: Project, known: set[str]) -> None:
    """Run a pass and log what it did; a problem that `known` holds from an earlier pass is not told again."""
    import logging

    from sheetsync.display import Lines, problem_lines, training_words

    report = _pass(project, Lines(logging.info, LOG_SECONDS)).run()
    problems = set(problem_lines(report))
    for line in sorted(problems - known):
        logging.warning("%s", line)
    known.clear()
    known.update(problems)
    logging.info(
        "%d rows, %d downloaded, %d moved, %d deleted, %d failed, %d cells written, %.1f s; %s",
        report.rows,
        report.downloaded,
        report.moved,
        report.deleted,
        len(report.failures),
        report.cells,
        sum(report.seconds.values()),
        training_words(report),
    )


def _stop(*_: object) -> NoReturn:
    raise Stopped


def main() -> None:
    """Run the command line; a `SheetsyncError` is one sentence and exit code 1."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    try:
        app()
    except SheetsyncError as error:
        _leave(str(error), 1)
    except Stopped:
        _leave("stopped; what was fetched is kept, a training begins anew next time", 130)
    except OSError as error:
        words = disk_problem(error)
        if words is None:
            raise
        _leave(words, 1)


def _leave(words: str, code: int) -> NoReturn:
    typer.echo(f"sheetsync: {words}", err=True)
    _end(code)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: a download may still wait for a slow server in its thread
