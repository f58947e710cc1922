"""Headers of the columns that are sheetsync's, remembered from pass to pass in `.sheetsync/columns`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sheetsync.common.state_folder import StateFolder
from sheetsync.rows.ownership import owned_headers
from sheetsync.rows.table import Book
from sheetsync.sheets.base import Sheet


def our_columns(state: StateFolder, sheet: Sheet, book: Book) -> Collection[str]:
    """Return the headers of columns that we made or filled in this sheet; others of such names may be the team's."""
    return owned_headers(book, read_remembered(state.columns(sheet.identity)))


def read_remembered(file: Path) -> set[str]:
    """Read the headers in a file of them, one a line; none if it is missing."""
    return set(file.read_text(encoding="utf-8").split("\n")) - {""} if file.exists() else set()
