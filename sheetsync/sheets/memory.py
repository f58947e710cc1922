"""A sheet in memory, for tests: with methods for the edits of people, and for calls that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sheetsync.errors import SheetChanged
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.table import AddColumns, AddRow, Book, Calls, CellUpdate, Change, Tab, Table
from sheetsync.sheets.csv.text import format_cell

T = TypeVar("T")
Grid = list[list[str]]

_EMPTY = Table()


class MemorySheet:
    """A sheet for tests. Edits of people are methods, which do not count as calls.

    With `checks` it notices any change since a reading, as a CSV file does. Without, it is like an online
    spreadsheet: a write goes to the rows that have these numbers by now, and only a changed header is
    noticed. `before` is called before every call, with the sheet and "read" or "write", so that a test can
    edit between any two calls.
    """

    def __init__(self, rows: Table = _EMPTY, scores: Table = _EMPTY, *, checks: bool = True) -> None:
        self.before: Callable[[MemorySheet, str], None] | None = None
        self._checks = checks
        self._grids: dict[Tab, Grid] = {"rows": _grid(rows), "scores": _grid(scores)}
        self._failures: list[tuple[Exception, bool]] = []
        self._reads = self._writes = 0

    # --- the `Sheet` protocol ---

    @property
    def name(self) -> str:
        """Always "memory"."""
        return "memory"

    identity = name

    @property
    def calls(self) -> Calls:
        """How often it was read and written so far, failed calls included."""
        return Calls(self._reads, self._writes)

    def read(self) -> Book:
        """Read both tabs; see `Sheet.read`."""
        self._reads += 1
        return self._call("read", self.book)

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`."""
        if changes:
            self._writes += 1
            self._call("write", lambda: self._write(book, changes))

    def formatter(self, columns: ColumnHeaders, memory: Path) -> None:
        """Return None: a sheet in memory has no formatting."""

    def _call(self, kind: str, action: Callable[[], T]) -> T:
        if self.before:
            self.before(self, kind)
        error, after = self._failures.pop(0) if self._failures else (None, False)
        if error and not after:
            raise error
        result = action()
        if error:
            raise error
        return result

    def _write(self, book: Book, changes: Sequence[Change]) -> None:
        now, tabs = self.book(), {change.tab for change in changes}
        header_changed = any(_tab(now, tab).header != _tab(book, tab).header for tab in tabs)
        if header_changed or (self._checks and now != book):
            raise SheetChanged("memory was changed after it was read: read it again")
        for change in changes:
            _apply(self._grids[change.tab], change)

    # --- edits of people, failures of a network ---

    def book(self) -> Book:
        """Return the content, without counting a call."""
        return Book(_table(self._grids["rows"]), _table(self._grids["scores"]))

    def fail(self, error: Exception, *, after: bool = False) -> None:
        """Make the next call raise this error; `after` it has taken effect, as when only the response is lost.

        Called several times, it makes as many calls fail, in that order.
        """
        self._failures.append((error, after))

    def edit(self, row: int, header: str, value: str, tab: Tab = "rows") -> None:
        """Type into a cell; `row` is the number that a spreadsheet shows (header = 1)."""
        _set(self._grids[tab], row, self._column(header, tab), value)

    def insert(self, row: int, values: Sequence[str]) -> None:
        """Insert a row so that it gets this number."""
        self._grids["rows"].insert(row - 1, list(values))

    def append(self, values: Sequence[str]) -> None:
        """Add a row below all others."""
        self._grids["rows"].append(list(values))

    def delete(self, row: int) -> None:
        """Delete a row; those below move up."""
        del self._grids["rows"][row - 1]

    def sort(self, header: str, *, reverse: bool = False) -> None:
        """Sort the rows by the text of a column."""
        column, (head, *rows) = self._column(header), self._grids["rows"]
        rows.sort(key=lambda row: row[column] if column < len(row) else "", reverse=reverse)
        self._grids["rows"] = [head, *rows]

    def rename(self, header: str, new: str) -> None:
        """Give a column another header."""
        self._grids["rows"][0][self._column(header)] = new

    def move_column(self, header: str, index: int) -> None:
        """Move a column so that it gets this index, counted from 0."""
        column, grid = self._column(header), self._grids["rows"]
        width = max(map(len, grid))
        for cells in grid:
            cells.extend([""] * (width - len(cells)))
            cells.insert(index, cells.pop(column))

    def _column(self, header: str, tab: Tab = "rows") -> int:
        return self._grids[tab][0].index(header)


def _grid(table: Table) -> Grid:
    return [] if table == _EMPTY else [list(table.header), *map(list, table.rows)]


def _table(grid: Grid) -> Table:
    rows = tuple(map(tuple, grid))
    return Table(rows[0], rows[1:]) if rows else _EMPTY


def _tab(book: Book, tab: Tab) -> Table:
    return book.rows if tab == "rows" else book.scores


def _apply(grid: Grid, change: Change) -> None:
    match change:
        case CellUpdate(_, row, column, value):
            _set(grid, row, column, format_cell(value))
        case AddColumns(_, names):
            width = max(map(len, grid), default=0)
            for column, name in enumerate(names, width):
                _set(grid, 1, column, format_cell(name))
        case AddRow(_, values):
            grid.append([format_cell(value) for value in values])


def _set(grid: Grid, row: int, column: int, value: str) -> None:
    grid += [[] for _ in range(row - len(grid))]
    cells = grid[row - 1]
    cells += [""] * (column + 1 - len(cells))
    cells[column] = value
