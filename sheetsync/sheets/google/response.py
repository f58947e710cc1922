"""What one answer of spreadsheets.get says: tabs, their cells as text, and which columns are bound to a name. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from sheetsync.rows.header import column_letter
from sheetsync.rows.table import Table, Value, format_value
from sheetsync.sheets.google.spreadsheet import parsing

ROWS_PER_READ = 40_000  # of one answer: some 28 MB with four columns of a team's, a twelfth of it as packed
ROWS_PREFIX = "sheetsync_rows_"  # how the names of columns of rows begin
NAMED_RANGES_MASK = "namedRanges(namedRangeId,name,range)"
TABS_MASK = f"{NAMED_RANGES_MASK},sheets.properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount))"
CELLS_MASK = (
    f"{NAMED_RANGES_MASK},"
    "sheets(properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount)),"
    "data(startRow,startColumn,rowData(values(userEnteredValue(formulaValue,numberValue),formattedValue))))"
)
SCORES_TAB = "tab scores"  # gives, with `marks.id_of`, the id of the tab of scores that we make for a tab of rows
NEW_HEADER = "·"  # the header of a column that is just being added
Rows: TypeAlias = dict[int, tuple[str, ...]]  # by their place, counted from 0
IMAGE_FORMULA = re.compile(r"=\s*(IMAGE|HYPERLINK)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A named range of ours over one column, counted from 0, of a tab. It moves with its column."""

    id: str
    name: str
    sheet: int
    column: int


@dataclass(frozen=True, slots=True)
class Grid:
    """One tab: its identity, its size, and its cells."""

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
        """This tab with at least so many columns and rows in use."""
        header = (*self.table.header, *(NEW_HEADER for _ in range(width - len(self.table.header))))
        rows = (*self.table.rows, *(() for _ in range(height - 1 - len(self.table.rows))))
        return replace(self, table=Table(header, rows))


@dataclass(frozen=True, slots=True)
class SpreadsheetState:
    """One reading of a spreadsheet."""

    grids: Mapping[int, Grid] = field(default_factory=dict)
    named_columns: tuple[NamedColumn, ...] = ()

    def tab_titled(self, title: str) -> Grid | None:
        """The tab of this title; no two differ in case alone."""
        return next((grid for grid in self.grids.values() if grid.title.casefold() == title.casefold()), None)

    def synced_tabs(self) -> list[Grid]:
        """The tabs with columns of ours that are those of rows."""
        named = {each.sheet for each in self.named_columns if each.name.startswith(ROWS_PREFIX)}
        return [grid for grid in self.grids.values() if grid.sheet in named]

    def owned_columns(self, sheet: int) -> frozenset[int]:
        """The columns of a tab of rows that bear a name of ours."""
        return frozenset(
            each.column for each in self.named_columns if each.sheet == sheet and each.name.startswith(ROWS_PREFIX)
        )

    def table(self, sheet: int | None) -> Table:
        """The cells of a tab; none where it was not read."""
        grid = self.grids.get(sheet) if sheet is not None else None
        return grid.table if grid else Table()

    def name_of(self, sheet: int, column: int) -> str | None:
        """The name that a column goes by, wherever it moves."""
        return next((each.name for each in self.named_columns if (each.sheet, each.column) == (sheet, column)), None)


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """What was written to a column by its name: the header seen above it, and row -> value."""

    header: str
    cells: Mapping[int, Value]


def misplaced_writes(
    view: SpreadsheetState, wrote: Mapping[str, PendingWrite]
) -> Iterator[tuple[str, dict[int, Value]]]:
    """What empties the cells that were written by a name whose column stands elsewhere by now, name by name.

    A column that people renamed where it stands keeps them: it was ours a moment ago. Only what stands in the very row
    where it was written is taken for ours: after a sort it stays, for a cell of people may look like it.
    """
    for each in view.named_columns:
        said, table = wrote.get(each.name, PendingWrite("", {})), view.table(each.sheet)
        now = table.cell(1, each.column)
        if now != said.header and (not now or said.header in table.header):
            ours = {row: format_value(value) for row, value in said.cells.items()}
            found = [row for row, value in ours.items() if value and table.cell(row, each.column) == value]
            if found:
                yield each.name, dict.fromkeys(found, "")


def ranges_to_read(rows: Grid | None, scores: Grid | None, most: int = ROWS_PER_READ) -> list[list[str]]:
    """What to ask for, a list a request: both tabs at once, and the rest of a long one in parts."""
    asked = [_parts(grid, most) for grid in (rows, scores) if grid]
    first = [parts[0] for parts in asked]
    return [first, *([part] for parts in asked for part in parts[1:])]


def has_new_columns(asked: Iterable[Grid | None], view: SpreadsheetState, most: int = ROWS_PER_READ) -> bool:
    """Whether a tab that was read in parts has columns by now that were not asked for."""
    parted = [grid for grid in asked if grid and grid.rows > most and grid.sheet in view.grids]
    return any(view.grids[grid.sheet].columns > grid.columns for grid in parted)


def quote_title(title: str) -> str:
    """The title of a tab as a range begins with it."""
    return "'" + title.replace("'", "''") + "'"


def _parts(grid: Grid, most: int) -> list[str]:
    title = quote_title(grid.title)
    if grid.rows <= most:
        return [title]
    last = column_letter(max(grid.columns, 1) - 1)
    starts = range(1, grid.rows + 1, most)
    ends = [*(str(start - 1) for start in starts[1:]), ""]  # the last part is open: rows may have come
    return [f"{title}!A{start}:{last}{end}" for start, end in zip(starts, ends, strict=True)]


@parsing()
def parse_response(answers: Iterable[Mapping[str, Any]]) -> SpreadsheetState:
    """A view of one or several answers of spreadsheets.get that are parts of one reading; none is kept for the next."""
    bound: tuple[NamedColumn, ...] = ()
    properties: dict[int, Mapping[str, Any]] = {}
    rows: dict[int, Rows] = defaultdict(dict)
    for answer in answers:
        bound = tuple(_named_columns(answer.get("namedRanges", ())))
        for sheet in filter(_is_grid, answer.get("sheets", ())):
            identity = sheet["properties"].get("sheetId", 0)
            properties[identity] = sheet["properties"]
            rows[identity] |= _rows(sheet, {each.column for each in bound if each.sheet == identity})
    return SpreadsheetState(
        {identity: _grid(identity, properties[identity], rows[identity]) for identity in properties}, bound
    )


def _named_columns(found: Iterable[Mapping[str, Any]]) -> Iterable[NamedColumn]:
    for each in found:
        where = each.get("range", {})
        whole = "startRowIndex" not in where and "endRowIndex" not in where
        first, end = where.get("startColumnIndex", 0), where.get("endColumnIndex", -1)
        if each["name"].startswith("sheetsync_") and whole and end == first + 1:
            yield NamedColumn(each["namedRangeId"], each["name"], where.get("sheetId", 0), first)


def _is_grid(sheet: Mapping[str, Any]) -> bool:
    return bool(sheet["properties"].get("sheetType", "GRID") == "GRID")


def _rows(sheet: Mapping[str, Any], ours: set[int]) -> Rows:
    return {
        number: _cells(row.get("values", ()), data.get("startColumn", 0), ours)
        for data in sheet.get("data", ())
        for number, row in enumerate(data.get("rowData", ()), start=data.get("startRow", 0))
    }


def _grid(identity: int, properties: Mapping[str, Any], rows: Rows) -> Grid:
    size = properties.get("gridProperties", {})
    filled = [rows.get(number, ()) for number in range(max(rows, default=-1) + 1)]
    while filled and not filled[-1]:
        filled.pop()
    table = Table(filled[0], tuple(filled[1:])) if filled else Table()
    return Grid(identity, properties.get("title", ""), size.get("rowCount", 0), size.get("columnCount", 0), table)


def _cells(values: Sequence[Mapping[str, Any]], start: int, ours: set[int]) -> tuple[str, ...]:
    cells = [""] * start + [_text(value, column in ours) for column, value in enumerate(values, start=start)]
    while cells and not cells[-1]:
        cells.pop()
    return tuple(cells)


def _text(value: Mapping[str, Any], ours: bool) -> str:
    """What people see in a cell; of an image its formula, and of our own numbers all digits."""
    entered = value.get("userEnteredValue", {})
    formula = entered.get("formulaValue", "")
    if IMAGE_FORMULA.match(formula):
        return str(formula)
    if ours and "numberValue" in entered:
        number = entered["numberValue"]
        return format_value(int(number) if float(number).is_integer() else float(number))
    return str(value.get("formattedValue", ""))
