"""Write to a sheet that people edit at the same time (optimistic concurrency): read, plan, write, read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.table import AddColumns, AddRow, Book, Change
from sheetsync.sheets.base import Sheet

MAX_ATTEMPTS = 10  # how often a sheet that people keep changing is read again before giving up


def write_back(
    sheet: Sheet,
    plan: Callable[[Book], tuple[Change, ...]],
    before_write: Callable[[Book, Sequence[Change]], None] = lambda *_: None,
) -> tuple[int, Book]:
    """Write until a fresh reading needs no more changes; return the number of cells written, and that reading.

    Rows may move between any two calls, so changes are planned from a reading made right before the write,
    and the next reading shows which cells it hit. `before_write` is called with that reading and its changes
    before each write. Raises `SheetError` when people keep changing the sheet.
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
            cells += sum(map(_count_cells, changes))
    raise SheetError(f"{sheet.name} kept changing while results were written: run `sheetsync sync` again")


def _count_cells(change: Change) -> int:
    if isinstance(change, AddColumns):
        return len(change.names)
    return sum(value != "" for value in change.values) if isinstance(change, AddRow) else 1
