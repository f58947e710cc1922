"""Decide which columns are sheetsync's, so that no column of the team's is overwritten."""

from __future__ import annotations

from collections.abc import Collection

from sheetsync.errors import SheetError
from sheetsync.rows.header import ColumnHeaders, column_letter, find_columns
from sheetsync.rows.table import Book, Table


def check_ownership(table: Table, columns: ColumnHeaders, owned: Collection[str]) -> None:
    """Refuse to write to a column that people filled under a name of ours. `owned`: headers of columns that are ours.

    Where none is known to be ours but all machine columns are there, they are from an earlier time, and ours.
    Raises `SheetError`.
    """
    layout = find_columns(table, columns)
    if not owned and len(layout.machine) == len(columns.machine):
        return
    for name, column in layout.machine.items():
        filled = any(table.cell(number, column).strip() for number in range(2, len(table.rows) + 2))
        if filled and _normalise(table.header[column]) not in owned:
            raise SheetError(
                f"column {column_letter(column)} is called '{table.header[column]}' and holds values that may not be "
                f"sheetsync's: rename or clear it, or choose another name for ours in sheetsync.toml: "
                f'[columns] {name} = "…"'
            )


def owned_headers(book: Book, remembered: Collection[str]) -> Collection[str]:
    """Return the headers of columns that are ours: as the sheet knows them, or else those remembered.

    A sheet that can tell is right even where people have renamed a column of ours.
    """
    if book.owned is None:
        return remembered
    return {_normalise(book.rows.cell(1, column)) for column in book.owned}


def machine_headers(table: Table, columns: ColumnHeaders) -> set[str]:
    """Return the headers of the machine columns of a reading, as they are to be remembered."""
    return {_normalise(table.header[column]) for column in find_columns(table, columns).machine.values()}


def _normalise(header: str) -> str:
    return header.strip().casefold()
