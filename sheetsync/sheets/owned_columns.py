"""Headers of the columns that sheetsync made, remembered from pass to pass."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from sheetsync.rows.ownership import owned_headers
from sheetsync.rows.table import Book
from sheetsync.sheets import Sheet


def our_columns(state: Path, sheet: Sheet, book: Book) -> Collection[str]:
    """Headers of columns that we made or filled in this sheet; another of such a name may be the team's own."""
    return owned_headers(book, read_remembered(columns_file(state, sheet)))


def read_remembered(kept: Path) -> set[str]:
    """The headers in a file that `columns_file` names; none where it is missing."""
    return set(kept.read_text(encoding="utf-8").split("\n")) - {""} if kept.exists() else set()


def columns_file(state: Path, sheet: Sheet) -> Path:
    """Where the headers of the columns that are ours in a sheet are kept."""
    return state / "columns" / f"{hashlib.sha256(sheet.identity.encode()).hexdigest()[:16]}.txt"
