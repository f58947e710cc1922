"""Headers of the columns that sheetsync made, remembered from pass to pass."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sheetsync.common.state_folder import StateFolder
from sheetsync.rows.ownership import owned_headers
from sheetsync.rows.table import Book
from sheetsync.sheets import Sheet


def our_columns(state: StateFolder, sheet: Sheet, book: Book) -> Collection[str]:
    """Headers of columns that we made or filled in this sheet; another of such a name may be the team's own."""
    return owned_headers(book, read_remembered(state.columns(sheet.identity)))


def read_remembered(kept: Path) -> set[str]:
    """The headers in a file of such headers; none where it is missing."""
    return set(kept.read_text(encoding="utf-8").split("\n")) - {""} if kept.exists() else set()
