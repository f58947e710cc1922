"""The command line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sheetsync.cli.options import Every, Folder, Json, Keep, Retry, Shrink
from sheetsync.common.collection import collect_less_often
from sheetsync.errors import SheetsyncError, disk_problem
from sheetsync.version import __version__

if TYPE_CHECKING:
    from sheetsync.project.config import Project


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not a KeyboardInterrupt, which typer would turn into a usage error."""


app = typer.Typer(
    help="Keep an image dataset in a spreadsheet.\n\n"
    "Edit labels in the sheet; sheetsync mirrors it into an ImageFolder, retrains the fixed model when what it "
    "would see has changed, and writes predictions and where to look first back into columns of its own.\n\n"
    "First time? `sheetsync demo` shows it all in about two minutes. Your own: `sheetsync init labels.csv`, then "
    "`sheetsync sync`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sheetsync {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None: ...


@app.command()
def init(
    sheet: Annotated[
        str,
        typer.Argument(
            metavar="[SHEET]",
            help="The CSV file with your rows (a path seen from DIR, created if it is missing), or the address of a "
            "Google Sheet. Not needed if there is a sheetsync.toml.",
            show_default=False,
        ),
    ] = "",
    folder: Folder = Path(),
    preview: Annotated[
        bool, typer.Option("--preview", help="In a Google Sheet: a column that shows the image of each row.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Remove from the Google Sheet what init added, and nothing else.")
    ] = False,
) -> None:
    """Write a sheetsync.toml for a sheet, and format a Google Sheet for the people in it.

    The sheet needs a column `image` (a URL, or a path beside the CSV) and a column `label`. Everything else is
    yours; sheetsync adds its columns at the right. A Google Sheet also gets a drop-down of labels, colours, notes, a
    warning before edits of sheetsync's columns, and filter views such as "Look here first", which anybody can open
    and sort without disturbing others. What you have stays as it is. Run it again at any time: it adds what is missing.
    """
    from sheetsync.project.init import find_project, format_sheet, next_steps, remove_formatting

    if undo:
        lines = remove_formatting(folder, sheet)
    else:
        for line in find_project(folder, sheet):
            typer.echo(line)
        lines = [*format_sheet(folder, preview=preview), next_steps(folder)]
    for line in lines:
        typer.echo(line)


@app.command()
def login(
    folder: Folder = Path(),
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open; open it on this machine.")
    ] = False,
) -> None:
    """Sign in to Google as yourself, in place of a service account.

    It needs an OAuth client of type “Desktop app” in the file that sheetsync.toml calls `credentials`, or in
    `credentials.json`. You allow it in your browser to read and write your spreadsheets, and nothing else. What Google
    answers is kept in `.sheetsync/google-token.json`, for you alone to read, and every command uses it from then on.
    On a machine without a browser: sign in on another one, and copy that file.
    """
    from sheetsync.auth.login import sign_in
    from sheetsync.common.state_folder import STATE, StateFolder
    from sheetsync.project.config import CONFIG, GoogleSettings

    google = _project(folder).settings.google if (folder / CONFIG).exists() else GoogleSettings()
    kept = StateFolder(folder / STATE).google_token
    sign_in(folder / google.credentials, kept, _ask_to_open, browser=not no_browser)
    typer.echo(f"signed in, and kept in {kept}")


@app.command()
def plan(folder: Folder = Path()) -> None:
    """Show what a sync would do to the dataset, and do nothing (a dry run)."""
    from rich.console import Console

    from sheetsync.api import open_pass
    from sheetsync.cli.output import show_preview

    show_preview(Console(soft_wrap=True), open_pass(_project(folder), lambda *_: None).preview())


@app.command()
def sync(
    folder: Folder = Path(),
    allow_shrink: Shrink = False,
    retry: Retry = False,
    json: Json = False,
) -> None:
    """Run one pass: mirror the sheet, train if needed, write results back.

    Safe to stop at any time and to run as often as you like: with nothing new it does nothing.
    """
    from rich.console import Console

    from sheetsync.api import open_pass
    from sheetsync.cli.output import show_json, show_report
    from sheetsync.cli.progress import show_progress

    project = _project(folder)
    with show_progress(Console(stderr=True)) as progress:
        report = open_pass(project, progress).run(allow_shrink=allow_shrink, retry=retry)
    (show_json if json else show_report)(Console(soft_wrap=True), report)


@app.command()
def watch(
    folder: Folder = Path(),
    every: Every = None,
) -> None:
    """Run passes on a schedule until stopped (Ctrl-C or SIGTERM).

    A pass that fails is logged, and the next one comes as planned.
    """
    from threading import Event

    from sheetsync.api import open_pass
    from sheetsync.daemon.watch import logged
    from sheetsync.daemon.watch import watch as repeat

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    project = _project(folder)
    minutes = project.settings.every_minutes if every is None else every
    logging.info("watching %s every %g minutes", project.settings.sheet, minutes)
    try:
        known: set[str] = set()
        repeat(lambda: logged(lambda tell: open_pass(_project(folder), tell).run(), known), minutes, Event())
    except Stopped:
        logging.info("stopped")
        _end(0)


@app.command()
def history(
    folder: Folder = Path(),
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Score all versions on the validation images of today.")
    ] = False,
    json: Json = False,
) -> None:
    """List the versions of the sheet that were trained on, and how each compares with the one before.

    With --rescore every version is scored on the validation images and labels of today. Models predict only images
    that came after them, and their predictions are kept, so the next time is quick.
    """
    from rich.console import Console

    from sheetsync.api import read_history
    from sheetsync.cli.output import show_history, show_json
    from sheetsync.cli.progress import show_progress

    project = _project(folder)
    with show_progress(Console(stderr=True)) as progress:
        found = read_history(project, progress, rescore=rescore)
    (show_json if json else show_history)(Console(soft_wrap=True), found)


@app.command()
def gc(
    folder: Folder = Path(),
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove it; without, only list what would be removed.")
    ] = False,
    keep: Keep = 0,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also what training has decoded; it decodes it again.")
    ] = False,
    json: Json = False,
) -> None:
    """List images and files that nothing needs any more, and their size; with --delete, remove them.

    It keeps the images in the dataset, those of every version of the sheet (so that a version can come back without
    a download), and all runs. Every image that stays is read once, to find those that a crash left broken.
    """
    from rich.console import Console

    from sheetsync.api import collect_garbage
    from sheetsync.cli.output import show_garbage, show_json
    from sheetsync.cli.progress import show_progress

    project = _project(folder)
    with show_progress(Console(stderr=True)) as progress:
        garbage = collect_garbage(project, progress, last=keep, cache=cache, delete=delete)
    (show_json if json else show_garbage)(Console(soft_wrap=True), garbage)


@app.command()
def doctor(
    folder: Folder = Path(),
    json: Json = False,
) -> None:
    """Find out what is wrong when it does not work, say what to do about it, and change nothing.

    Checks the configuration, the recipe, disk and GPU, the sheet and its columns; for a Google Sheet also credentials,
    sharing and quota. Exit code 1 when there is a problem.
    """
    from rich.console import Console

    from sheetsync.cli.output import show_findings
    from sheetsync.doctor.checks import examine, this_machine

    logging.getLogger("sheetsync").setLevel(logging.ERROR)  # warnings on the way are among the findings

    well = show_findings(Console(soft_wrap=True), examine(folder, this_machine()), as_json=json)
    _end(0 if well else 1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to make it.", show_default=True)] = Path(
        "sheetsync-demo"
    ),
) -> None:
    """Make an example project and run it, with real images, real mistakes and a real training.

    1,797 handwritten digits with 3 % of the labels wrong on purpose; about two minutes on two cores.
    """
    from sheetsync.api import open_pass
    from sheetsync.cli.demo import run_demo

    run_demo(folder, open_pass)


# --- shared by commands ---------------------------------------------------------------------------


def _ask_to_open(address: str) -> None:
    typer.echo(f"Open this address in a browser on this machine, and allow sheetsync to use your sheets:\n{address}")


def _project(folder: Path) -> Project:
    from sheetsync.project.config import load_project

    return load_project(folder)


def _stop(*_: object) -> NoReturn:
    raise Stopped


def main() -> None:
    """Run the command line; a `SheetsyncError` is one sentence and exit code 1."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    try:
        with collect_less_often():
            app()
    except SheetsyncError as error:
        _leave(str(error), 1)
    except Stopped:
        _leave("stopped; downloads are kept, and a training continues next time", 130)
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
    os._exit(code)  # at once: a thread may still wait for a slow server
