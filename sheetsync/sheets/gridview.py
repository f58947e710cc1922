"""What one answer of spreadsheets.get says: tabs, their cells as text, and which columns are bound to a name. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sheetsync.rows import column_letter
from sheetsync.tables import Table, text

ROWS_A_READ = 25_000
TABS = "sheets.properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount))"
CELLS = (
    "namedRanges(namedRangeId,name,range),"
    "sheets(properties(sheetId,title,sheetType,gridProperties(rowCount,columnCount)),"
    "data(startRow,startColumn,rowData(values(userEnteredValue(formulaValue,numberValue),formattedValue))))"
)
ADDRESS = re.compile(r"=\s*(IMAGE|HYPERLINK)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bound:
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
        header = (*self.table.header, *("·" for _ in range(width - len(self.table.header))))
        rows = (*self.table.rows, *(() for _ in range(height - 1 - len(self.table.rows))))
        return replace(self, table=Table(header, rows))


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a spreadsheet."""

    grids: Mapping[int, Grid] = field(default_factory=dict)
    bound: tuple[Bound, ...] = ()

    def titled(self, title: str) -> Grid | None:
        """The tab of this title."""
        return next((grid for grid in self.grids.values() if grid.title == title), None)

    def table_of(self, grid: Grid | None) -> Table:
        """The cells of a tab seen earlier, as this reading has them."""
        return self.grids[grid.sheet].table if grid and grid.sheet in self.grids else Table()

    def name_of(self, sheet: int, column: int) -> str | None:
        """The name that a column goes by, wherever it moves."""
        return next((each.name for each in self.bound if (each.sheet, each.column) == (sheet, column)), None)


def ranges(rows: Grid | None, scores: Grid | None) -> list[list[str]]:
    """What to ask for, a list a request: both tabs at once, and the rest of a long one in parts."""
    asked = [_parts(grid) for grid in (rows, scores) if grid]
    first = [parts[0] for parts in asked]
    return [first, *([part] for parts in asked for part in parts[1:])]


def _parts(grid: Grid) -> list[str]:
    title = "'" + grid.title.replace("'", "''") + "'"
    if grid.rows <= ROWS_A_READ:
        return [title]
    last = column_letter(max(grid.columns, 1) - 1)
    starts = range(1, grid.rows + 1, ROWS_A_READ)
    ends = [*(str(start - 1) for start in starts[1:]), ""]  # the last part is open: rows may have come
    return [f"{title}!A{start}:{last}{end}" for start, end in zip(starts, ends, strict=True)]


def parse(answers: Sequence[Mapping[str, Any]]) -> View:
    """A view of one or several answers of spreadsheets.get that are parts of one reading."""
    bound = tuple(_bound(answers[-1].get("namedRanges", ())))
    sheets: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for answer in answers:
        for sheet in answer.get("sheets", ()):
            if _is_grid(sheet):
                sheets[sheet["properties"].get("sheetId", 0)].append(sheet)
    return View({identity: _grid(identity, parts, bound) for identity, parts in sheets.items()}, bound)


def _bound(found: Iterable[Mapping[str, Any]]) -> Iterable[Bound]:
    for each in found:
        where = each.get("range", {})
        whole = "startRowIndex" not in where and "endRowIndex" not in where
        first, end = where.get("startColumnIndex", 0), where.get("endColumnIndex", -1)
        if each["name"].startswith("sheetsync_") and whole and end == first + 1:
            yield Bound(each["namedRangeId"], each["name"], where.get("sheetId", 0), first)


def _is_grid(sheet: Mapping[str, Any]) -> bool:
    return bool(sheet["properties"].get("sheetType", "GRID") == "GRID")


def _grid(identity: int, parts: Sequence[Mapping[str, Any]], bound: Sequence[Bound]) -> Grid:
    properties = parts[-1]["properties"]
    size = properties.get("gridProperties", {})
    ours = {each.column for each in bound if each.sheet == identity}
    rows: dict[int, tuple[str, ...]] = {}
    for data in (data for part in parts for data in part.get("data", ())):
        for number, row in enumerate(data.get("rowData", ()), start=data.get("startRow", 0)):
            rows[number] = _cells(row.get("values", ()), data.get("startColumn", 0), ours)
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
    if ADDRESS.match(formula):
        return str(formula)
    if ours and "numberValue" in entered:
        number = entered["numberValue"]
        return text(int(number) if float(number).is_integer() else float(number))
    return str(value.get("formattedValue", ""))
