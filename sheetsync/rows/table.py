"""Tables of cells, and changes to them, as frozen values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

THOUSANDS = re.compile(r"\d{1,3}([., '\u00a0\u202f]\d{3})+")

Tab: TypeAlias = Literal["rows", "scores"]
Value: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True)
class Table:
    """One tab of a sheet as text: a header and the rows below it.

    A row may be shorter than the header (spreadsheets drop trailing empty cells) or longer.
    """

    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def cell(self, row: int, column: int) -> str:
        """Return the text at a row number (the header is row 1) and a column counted from 0; "" outside the table."""
        cells = self.header if row == 1 else self.rows[row - 2] if 2 <= row < len(self.rows) + 2 else ()
        return cells[column] if column < len(cells) else ""


@dataclass(frozen=True, slots=True)
class Book:
    """One reading of a sheet: its rows, its scores, and a version by which the sheet notices later changes.

    `owned` are the columns of `rows` that sheetsync made or took over, counted from 0; None if the sheet cannot tell.
    """

    rows: Table
    scores: Table = Table()
    version: str = ""
    owned: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class CellUpdate:
    """Write one cell. `row` is the number that the spreadsheet shows (header = 1), `column` counts from 0."""

    tab: Tab
    row: int
    column: int
    value: Value


@dataclass(frozen=True, slots=True)
class AddColumns:
    """Add columns with these headers right of all others; make the tab if it is missing."""

    tab: Tab
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddRow:
    """Add one row below all others."""

    tab: Tab
    values: tuple[Value, ...]


Change: TypeAlias = CellUpdate | AddColumns | AddRow


@dataclass(frozen=True, slots=True)
class Calls:
    """How often a sheet was read and written: API calls, or file accesses for a CSV file."""

    reads: int = 0
    writes: int = 0


def format_value(value: Value) -> str:
    """Format a value as the text of a cell, with a dot as decimal sign.

    >>> format_value(0.5), format_value(3), format_value("iv")
    ('0.5', '3', 'iv')
    """
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def shows_value(cell: str, value: Value) -> bool:
    """True if a cell already shows a value, in any format that a spreadsheet program may have given it.

    >>> shows_value("0,50", 0.5), shows_value("'=1+1", "=1+1"), shows_value("", 0)
    (True, True, False)
    >>> shows_value("1,000", 1000), shows_value("1,000", 1)
    (True, False)
    """
    if isinstance(value, str):
        return cell in (value, f"'{value}")
    if cell == str(value):  # as in nearly all cells that sheetsync wrote
        return True
    try:
        if isinstance(value, int) and THOUSANDS.fullmatch(cell):
            return int(re.sub(r"\D", "", cell)) == value
        return abs(float(cell.replace(",", ".")) - value) < 1e-9
    except ValueError:  # not a number, or one of more digits than Python converts
        return False
