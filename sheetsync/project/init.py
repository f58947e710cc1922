"""`sheetsync init`: write sheetsync.toml, create a missing CSV file, format a Google Sheet for people."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from sheetsync.common.atomic import write_atomic
from sheetsync.errors import ConfigError, SheetError
from sheetsync.project.config import CONFIG, Project, Settings, load_project
from sheetsync.project.lock import project_lock
from sheetsync.project.template import TEMPLATE
from sheetsync.rows.header import ColumnHeaders, find_columns
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import common_labels, parse_rows
from sheetsync.sheets import Sheet, open_sheet
from sheetsync.sheets.base import Formatter
from sheetsync.sheets.google.address import same_sheet
from sheetsync.sheets.owned_columns import our_columns


def make_project(
    folder: Path, sheet: str, *, recipe: str = Settings.model_fields["recipe"].default, private: bool = False
) -> list[str]:
    """Write sheetsync.toml, and the sheet with a header if it is missing; returns lines that say so.

    Raises `ConfigError` when there is a project already, and `SheetError` when the sheet is not usable. A Google Sheet
    that cannot be read yet leaves sheetsync.toml there, for `sheetsync doctor` to say what is missing.
    """
    config = folder / CONFIG
    if config.exists():
        raise ConfigError(f"{config} is there already: edit it, or remove it first")
    opened = open_sheet(sheet, folder)
    lines = [] if "://" in sheet else _open_or_create(opened, folder, sheet)
    toml = TEMPLATE.format(
        sheet=_quoted(sheet), recipe=_quoted(recipe), private="" if private else "# ", allow=str(private).lower()
    )
    write_atomic(config, toml)
    try:
        table = opened.read().rows
        find_columns(table, ColumnHeaders())
    except SheetError as error:  # the file is there in which other names can be given
        raise SheetError(f"wrote {config}, but {error}") from error
    return [*(lines or [f"{opened.name}: {len(table.rows)} rows"]), f"wrote {config}"]


def next_steps(folder: Path) -> str:
    """Name the commands to run after a project was created."""
    where = "" if folder == Path() else f" --project {shlex.quote(str(folder))}"
    return f"next: sheetsync plan{where}, then sheetsync sync{where}"


def find_project(folder: Path, sheet: str) -> list[str]:
    """Create a project for a sheet unless there is one; returns lines that say so. Raises `ConfigError`, `SheetError`.

    A `sheet` of "" is the one of the project that is there.
    """
    config = folder / CONFIG
    if not config.exists():
        if not sheet:
            raise ConfigError(f"there is no {config}: give the sheet, a CSV file or the address of a Google Sheet")
        return make_project(folder, sheet)
    there = load_project(folder).settings.sheet
    if sheet and not same_sheet(sheet, there):
        raise ConfigError(f"{config} is there already, for the sheet {there}: edit it, or remove it first")
    return [f"{config} is there already, and stays as it is"]


def format_sheet(folder: Path, *, preview: bool = False) -> list[str]:
    """Format the Google Sheet of a project; returns lines that list what is sheetsync's, [] for any other sheet.

    `preview` adds a column of pictures. Raises `SheetsyncError`.
    """
    project = load_project(folder)
    sheet, formatter = _sheet_and_formatter(project)
    if formatter is None:
        return []
    with project_lock(project.state):
        book = sheet.read()
        check_ownership(book.rows, project.columns, our_columns(project.state, sheet, book))
        ours = formatter.add(common_labels(parse_rows(book.rows, project.columns)), with_preview=preview)
    return [f"in {sheet.name} these are sheetsync's (`sheetsync init --undo` removes them):", *_indented(ours)]


def remove_formatting(folder: Path, address: str) -> list[str]:
    """Remove what `format_sheet` added; returns lines that say so. Raises `SheetsyncError`.

    An `address` of "" is the sheet of the project, and no other is touched.
    """
    project = load_project(folder)
    if address and not same_sheet(address, project.settings.sheet):
        raise ConfigError(f"the project in {folder} is about another sheet: {project.settings.sheet}")
    with project_lock(project.state):
        sheet, formatter = _sheet_and_formatter(project)
        done = formatter.remove() if formatter else []
    return [f"{sheet.name}:", *_indented(done)] if done else [f"{sheet.name} holds nothing that `sheetsync init` made"]


def _sheet_and_formatter(project: Project) -> tuple[Sheet, Formatter | None]:
    sheet = open_sheet(project.settings.sheet, project.root, **project.settings.google.model_dump())
    return sheet, sheet.formatter(project.columns, project.state.offered(sheet.identity))


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _open_or_create(opened: Sheet, folder: Path, sheet: str) -> list[str]:
    """Create a CSV sheet if it is missing, else read it; returns lines that say so."""
    path = folder / sheet
    if not path.exists() and path.suffix == ".csv":
        if Path(sheet).exists():
            raise ConfigError(f"{sheet} is here and not in {folder}: give its path as seen from {folder}")
        write_atomic(path, "image,label,split\n")
        return [f"wrote {path} with a header: add a row an image"]
    return [f"{path}: {len(opened.read().rows.rows)} rows"]


def _quoted(words: str) -> str:
    """Quote a string for TOML."""
    return json.dumps(words, ensure_ascii=False)  # the same, but for characters that no name holds
