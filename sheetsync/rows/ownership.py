"""Which columns are sheetsync's, so that no column of the team's is written to."""

from __future__ import annotations

from collections.abc import Collection

from sheetsync.errors import SheetError
from sheetsync.rows.header import ColumnHeaders, column_letter, find_columns
from sheetsync.rows.table import Book, Table


def check_ownership(table: Table, columns: ColumnHeaders, owned: Collection[str]) -> None:
    """Refuse to take over a column that people filled under a name we use. `ours`: headers that are ours.

    Where nothing is known to be ours, all machine columns together are, from an earlier time. Raises `SheetError`.
    """
    where = find_columns(table, columns)
    if not owned and len(where.machine) == len(columns.machine):
        return
    for name, place in where.machine.items():
        filled = any(table.cell(number, place).strip() for number in range(2, len(table.rows) + 2))
        if filled and _normalised(table.header[place]) not in owned:
            raise SheetError(
                f"column {column_letter(place)} is called '{table.header[place]}' and holds values that may not be "
                f"sheetsync's: rename or clear it, or choose another name for ours in sheetsync.toml: "
                f'[columns] {name} = "…"'
            )


def owned_headers(book: Book, remembered: Collection[str]) -> Collection[str]:
    """The headers of columns that are ours: the sheet itself knows best, for people may have renamed one of ours."""
    if book.owned is None:
        return remembered
    return {_normalised(book.rows.cell(1, place)) for place in book.owned}


def machine_headers(table: Table, columns: ColumnHeaders) -> set[str]:
    """The machine columns of a reading, by header, as they are remembered."""
    return {_normalised(table.header[place]) for place in find_columns(table, columns).machine.values()}


def _normalised(header: str) -> str:
    return header.strip().casefold()
