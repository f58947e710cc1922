"""Parse responses of spreadsheets.get: tabs, their cells as text, and named ranges of ours over columns. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from sheetsync.rows.header import column_letter
from sheetsync.rows.table import Table, Value, format_value
from sheetsync.sheets.google.spreadsheet import parsing

ROWS_PER_READ = 40_000  # in one response: some 28 MB with four columns of a team's, a twelfth of it compressed
ROWS_PREFIX = "sheetsync_rows_"  # how the names of our columns begin in a tab of rows
NAMED_RANGES_MASK = "namedRanges(namedRangeId,name,range)"
TABS_MASK = f"{NAMED_RANGES_MASK},sheets.properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount))"
CELLS_MASK = (
    f"{NAMED_RANGES_MASK},"
    "sheets(properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount)),"
    "data(startRow,startColumn,rowData(values(userEnteredValue(formulaValue,numberValue),formattedValue))))"
)
SCORES_TAB = "tab scores"  # with `metadata.id_of`, the id of the tab of scores that we make for a tab of rows
NEW_HEADER = "·"  # stands for the header of a column that is being added
Rows: TypeAlias = dict[int, tuple[str, ...]]  # cells by the index of the row, counted from 0
IMAGE_FORMULA = re.compile(r"=\s*(IMAGE|HYPERLINK)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A named range of ours over one column of a tab, counted from 0. It moves with its column."""

    id: str
    name: str
    sheet: int
    column: int


@dataclass(frozen=True, slots=True)
class Grid:
    """One tab: its id, its size, and its cells."""

    sheet: int
    title: str
    rows: int
    columns: int
    table: Table = field(default_factory=Table)

    @property
    def width(self) -> int:
        """Columns in use, counted by the longest row."""
        return max((len(cells) for cells in (self.table.header, *self.table.rows)), default=0)

    @property
    def height(self) -> int:
        """Rows in use, the header included."""
        return 1 + len(self.table.rows) if self.table.header or self.table.rows else 0

    def grown(self, width: int, height: int) -> Grid:
        """Return this tab with at least so many columns and rows in use."""
        header = (*self.table.header, *(NEW_HEADER for _ in range(width - len(self.table.header))))
        rows = (*self.table.rows, *(() for _ in range(height - 1 - len(self.table.rows))))
        return replace(self, table=Table(header, rows))


@dataclass(frozen=True, slots=True)
class SpreadsheetState:
    """One reading of a spreadsheet."""

    grids: Mapping[int, Grid] = field(default_factory=dict)
    named_columns: tuple[NamedColumn, ...] = ()

    def tab_titled(self, title: str) -> Grid | None:
        """Return the tab of this title, ignoring case, as Google does."""
        return next((grid for grid in self.grids.values() if grid.title.casefold() == title.casefold()), None)

    def synced_tabs(self) -> list[Grid]:
        """Return the tabs of rows that have columns of ours."""
        named = {each.sheet for each in self.named_columns if each.name.startswith(ROWS_PREFIX)}
        return [grid for grid in self.grids.values() if grid.sheet in named]

    def owned_columns(self, sheet: int) -> frozenset[int]:
        """Return the columns of a tab of rows that have a name of ours."""
        return frozenset(
            each.column for each in self.named_columns if each.sheet == sheet and each.name.startswith(ROWS_PREFIX)
        )

    def table(self, sheet: int | None) -> Table:
        """Return the cells of a tab; none if it was not read."""
        grid = self.grids.get(sheet) if sheet is not None else None
        return grid.table if grid else Table()

    def name_of(self, sheet: int, column: int) -> str | None:
        """Return the name of a column, by which it is written wherever it moves."""
        return next((each.name for each in self.named_columns if (each.sheet, each.column) == (sheet, column)), None)


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """A write to a column by its name, not yet seen in a reading: the header it had, and row number -> value."""

    header: str
    cells: Mapping[int, Value]


def misplaced_writes(
    state: SpreadsheetState, pending: Mapping[str, PendingWrite]
) -> Iterator[tuple[str, dict[int, Value]]]:
    """Yield updates that clear what we wrote through a name whose column was cut away: (name, row number -> "").

    A column that was only renamed keeps its cells: it was ours a moment ago. A cell is cleared only if it holds what
    was written to this very row: after a sort it stays, as a cell of people may look the same.
    """
    for named in state.named_columns:
        write, table = pending.get(named.name, PendingWrite("", {})), state.table(named.sheet)
        header = table.cell(1, named.column)
        if header != write.header and (not header or write.header in table.header):
            written = {row: format_value(value) for row, value in write.cells.items()}
            rows = [row for row, value in written.items() if value and table.cell(row, named.column) == value]
            if rows:
                yield named.name, dict.fromkeys(rows, "")


def ranges_to_read(rows: Grid | None, scores: Grid | None, max_rows: int = ROWS_PER_READ) -> list[list[str]]:
    """Return the ranges to read, a list per request: both tabs in the first, the rest of a long tab in parts."""
    tabs = [_parts(grid, max_rows) for grid in (rows, scores) if grid]
    first = [parts[0] for parts in tabs]
    return [first, *([part] for parts in tabs for part in parts[1:])]


def has_new_columns(expected: Iterable[Grid | None], state: SpreadsheetState, max_rows: int = ROWS_PER_READ) -> bool:
    """True if a tab that was read in parts has columns by now that the ranges did not include."""
    in_parts = [grid for grid in expected if grid and grid.rows > max_rows and grid.sheet in state.grids]
    return any(state.grids[grid.sheet].columns > grid.columns for grid in in_parts)


def quote_title(title: str) -> str:
    """Quote the title of a tab, for the start of a range in A1 notation."""
    return "'" + title.replace("'", "''") + "'"


def _parts(grid: Grid, max_rows: int) -> list[str]:
    title = quote_title(grid.title)
    if grid.rows <= max_rows:
        return [title]
    last = column_letter(max(grid.columns, 1) - 1)
    starts = range(1, grid.rows + 1, max_rows)
    ends = [*(str(start - 1) for start in starts[1:]), ""]  # the last part is open: rows may have been added
    return [f"{title}!A{start}:{last}{end}" for start, end in zip(starts, ends, strict=True)]


@parsing()
def parse_response(responses: Iterable[Mapping[str, Any]]) -> SpreadsheetState:
    """Parse one or several responses of spreadsheets.get that are parts of one reading, each freed before the next."""
    named: tuple[NamedColumn, ...] = ()
    properties: dict[int, Mapping[str, Any]] = {}
    rows: dict[int, Rows] = defaultdict(dict)
    for response in responses:
        named = tuple(_named_columns(response.get("namedRanges", ())))
        for tab in response.get("sheets", ()):
            if tab["properties"].get("sheetType", "GRID") == "GRID":  # no chart on a tab of its own
                sheet = tab["properties"].get("sheetId", 0)
                properties[sheet] = tab["properties"]
                rows[sheet] |= _parse_rows(tab, {each.column for each in named if each.sheet == sheet})
    return SpreadsheetState({sheet: _make_grid(sheet, properties[sheet], rows[sheet]) for sheet in properties}, named)


def _named_columns(named_ranges: Iterable[Mapping[str, Any]]) -> Iterable[NamedColumn]:
    """Yield the named ranges of ours that cover one whole column."""
    for each in named_ranges:
        cells = each.get("range", {})
        whole = "startRowIndex" not in cells and "endRowIndex" not in cells
        first, end = cells.get("startColumnIndex", 0), cells.get("endColumnIndex", -1)
        if each["name"].startswith("sheetsync_") and whole and end == first + 1:
            yield NamedColumn(each["namedRangeId"], each["name"], cells.get("sheetId", 0), first)


def _parse_rows(tab: Mapping[str, Any], owned: set[int]) -> Rows:
    return {
        index: _parse_cells(row.get("values", ()), data.get("startColumn", 0), owned)
        for data in tab.get("data", ())
        for index, row in enumerate(data.get("rowData", ()), start=data.get("startRow", 0))
    }


def _make_grid(sheet: int, properties: Mapping[str, Any], rows: Rows) -> Grid:
    size = properties.get("gridProperties", {})
    filled = [rows.get(index, ()) for index in range(max(rows, default=-1) + 1)]
    while filled and not filled[-1]:
        filled.pop()
    table = Table(filled[0], tuple(filled[1:])) if filled else Table()
    return Grid(sheet, properties.get("title", ""), size.get("rowCount", 0), size.get("columnCount", 0), table)


def _parse_cells(values: Sequence[Mapping[str, Any]], start: int, owned: set[int]) -> tuple[str, ...]:
    cells = [""] * start + [_cell_text(value, column in owned) for column, value in enumerate(values, start=start)]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _cell_text(value: Mapping[str, Any], owned: bool) -> str:
    """Return what people see in a cell; the formula of an image, and all digits of a number in a column of ours."""
    entered = value.get("userEnteredValue", {})
    formula = entered.get("formulaValue", "")
    if IMAGE_FORMULA.match(formula):
        return str(formula)
    if owned and "numberValue" in entered:
        number = entered["numberValue"]
        return format_value(int(number) if float(number).is_integer() else float(number))
    return str(value.get("formattedValue", ""))
