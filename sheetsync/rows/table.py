"""What a sheet holds, and what can be written to it. Values only; nothing here reads or writes anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

_THOUSANDS = re.compile(r"\d{1,3}([., '\u00a0\u202f]\d{3})+")

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
        """The text at a row number (the header is row 1) and a column counted from 0; "" where there is none."""
        cells = self.header if row == 1 else self.rows[row - 2] if 2 <= row < len(self.rows) + 2 else ()
        return cells[column] if column < len(cells) else ""


@dataclass(frozen=True, slots=True)
class Book:
    """One reading of a sheet: its rows, its scores, and what the sheet needs to notice a change since.

    `ours` are the columns of rows that sheetsync made or took over, where the sheet can tell; None where it cannot.
    """

    rows: Table
    scores: Table = Table()
    version: str = ""
    owned: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class CellUpdate:
    """Write one cell. `row` counts as the spreadsheet shows it (header = 1), `column` from 0."""

    tab: Tab
    row: int
    column: int
    value: Value


@dataclass(frozen=True, slots=True)
class AddColumns:
    """Add columns with these headers to the right of everything there; makes the tab if it is missing."""

    tab: Tab
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddRow:
    """Add one row below everything there."""

    tab: Tab
    values: tuple[Value, ...]


Change: TypeAlias = CellUpdate | AddColumns | AddRow


@dataclass(frozen=True, slots=True)
class Calls:
    """How often a sheet was asked (`reads`) and told (`writes`): API calls, or file accesses for a CSV."""

    reads: int = 0
    writes: int = 0


def format_value(value: Value) -> str:
    """A value as the text of a cell, with a dot as decimal sign.

    >>> text(0.5), text(3), text("iv")
    ('0.5', '3', 'iv')
    """
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def shows_value(cell: str, value: Value) -> bool:
    """Whether a cell already shows a value, however the spreadsheet program spelled it.

    >>> same("0,50", 0.5), same("'=1+1", "=1+1"), same("", 0), same("1,000", 1000), same("1,000", 1)
    (True, True, False, True, False)
    """
    if isinstance(value, str):
        return cell in (value, f"'{value}")
    if cell == str(value):  # as nearly all are that sheetsync wrote
        return True
    try:
        if isinstance(value, int) and _THOUSANDS.fullmatch(cell):
            return int(re.sub(r"\D", "", cell)) == value
        return abs(float(cell.replace(",", ".")) - value) < 1e-9
    except ValueError:  # no number, or one of more digits than Python reads
        return False
