"""Writing to a sheet that people edit meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.table import AddColumns, AddRow, Book, Change
from sheetsync.sheets import Sheet

MAX_ATTEMPTS = 10  # how often a sheet that people keep changing is read again before giving up


def write_back(
    sheet: Sheet,
    plan: Callable[[Book], tuple[Change, ...]],
    before_write: Callable[[Book, Sequence[Change]], None] = lambda *_: None,
) -> tuple[int, Book]:
    """Write until a fresh reading shows nothing left to write; returns the number of cells written, and that reading.

    Rows may move between any two calls, so what to write is planned from a reading made right before the
    write, and the next reading shows what it hit. Raises `SheetError` when people keep changing the sheet.
    """
    cells = 0
    for _ in range(MAX_ATTEMPTS):
        with suppress(SheetChanged):
            book = sheet.read()
            changes = plan(book)
            if not changes:
                return cells, book
            before_write(book, changes)
            sheet.write(book, changes)
            cells += sum(map(_cells, changes))
    raise SheetError(f"{sheet.name} kept changing while results were written: run `sheetsync sync` again")


def _cells(change: Change) -> int:
    if isinstance(change, AddColumns):
        return len(change.names)
    return sum(value != "" for value in change.values) if isinstance(change, AddRow) else 1
