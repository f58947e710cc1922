"""The parts of a spreadsheet: cells, tabs, ranges.

Cells never change: an edit puts another cell in its place. So a copy of a spreadsheet is a copy of its lists, cheap
enough to make before every batch and to drop when the batch turns out wrong. A cell with nothing but a value is that
value; anything more makes it a `Cell`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from .errors import Refusal

Value: TypeAlias = bool | int | float | str | None
Json: TypeAlias = dict[str, Any]
MOST_CELLS = 10_000_000
MOST_CHARACTERS = 50_000


class Cell(NamedTuple):
    """A cell with more than a value. `picture` is one that was put in the cell: no API shows it."""

    value: Value = None
    formula: str | None = None
    format: Json | None = None
    note: str | None = None
    validation: Json | None = None
    picture: bool = False


Stored: TypeAlias = Value | Cell
EMPTY = Cell()


def cell_of(stored: Stored) -> Cell:
    return stored if type(stored) is Cell else Cell(stored)  # type: ignore[arg-type]


def stored(cell: Cell) -> Stored:
    return cell if any(cell[1:]) else cell.value


class Area(NamedTuple):
    """A rectangle of a sheet; an end of None goes on to the edge."""

    sheet: int
    top: int = 0
    left: int = 0
    bottom: int | None = None
    right: int | None = None

    @classmethod
    def of(cls, grid_range: Json) -> Area:
        """Parse a GridRange."""
        return cls(
            grid_range.get("sheetId") or 0,
            grid_range.get("startRowIndex") or 0,
            grid_range.get("startColumnIndex") or 0,
            grid_range.get("endRowIndex"),
            grid_range.get("endColumnIndex"),
        )

    def json(self) -> Json:
        """Return the GridRange with all its ends."""
        names = ("sheetId", "startRowIndex", "startColumnIndex", "endRowIndex", "endColumnIndex")
        return {name: value for name, value in zip(names, self, strict=True) if value is not None}

    def rows(self, sheet: Sheet) -> range:
        return range(self.top, sheet.row_count if self.bottom is None else self.bottom)

    def columns(self, sheet: Sheet) -> range:
        return range(self.left, sheet.column_count if self.right is None else self.right)

    def clipped(self, sheet: Sheet) -> Area:
        rows, columns = self.rows(sheet), self.columns(sheet)
        bottom, right = min(rows.stop, sheet.row_count), min(columns.stop, sheet.column_count)
        return Area(self.sheet, self.top, self.left, bottom, right)

    def meets(self, other: Area) -> bool:
        if self.sheet != other.sheet:
            return False
        high, wide = float("inf"), float("inf")
        return (
            self.top < (other.bottom or high)
            and other.top < (self.bottom or high)
            and self.left < (other.right or wide)
            and other.left < (self.right or wide)
        )


@dataclass
class Sheet:
    """One tab. Rows and cells at the end that hold nothing are not kept."""

    id: int
    title: str
    row_count: int = 1000
    column_count: int = 26
    properties: Json = field(default_factory=dict)  # hidden, tabColor, … and gridProperties without the counts
    rows: list[list[Stored]] = field(default_factory=list)
    sizes: dict[str, dict[int, Json]] = field(default_factory=lambda: {"ROWS": {}, "COLUMNS": {}})
    merges: list[Json] = field(default_factory=list)
    protected: list[Json] = field(default_factory=list)
    filter_views: list[Json] = field(default_factory=list)
    conditional: list[Json] = field(default_factory=list)
    groups: list[Json] = field(default_factory=list)
    basic_filter: Json | None = None

    def copy(self) -> Sheet:
        twin = copy.copy(self)
        twin.properties = copy.deepcopy(self.properties)
        twin.rows = [row[:] for row in self.rows]
        twin.sizes = {name: dict(sizes) for name, sizes in self.sizes.items()}
        for name in ("merges", "protected", "filter_views", "conditional", "groups"):
            setattr(twin, name, list(getattr(self, name)))
        return twin

    def count(self, dimension: str) -> int:
        return self.row_count if dimension == "ROWS" else self.column_count

    def resize(self, dimension: str, count: int) -> None:
        if dimension == "ROWS":
            self.row_count = count
            del self.rows[count:]
        else:
            self.column_count = count
            for row in self.rows:
                del row[count:]
        self.sizes[dimension] = {at: size for at, size in self.sizes[dimension].items() if at < count}

    def get(self, row: int, column: int) -> Cell:
        line = self.rows[row] if row < len(self.rows) else ()
        found = line[column] if column < len(line) else None
        return EMPTY if found is None else cell_of(found)

    def put(self, row: int, column: int, cell: Stored) -> None:
        if type(cell) is Cell:
            cell = stored(cell)
        if row >= len(self.rows):
            if cell is None:
                return
            self.rows.extend([] for _ in range(row + 1 - len(self.rows)))
        line = self.rows[row]
        if column < len(line):
            line[column] = cell
        elif cell is not None:
            line.extend([None] * (column - len(line)))
            line.append(cell)

    def cells(self, area: Area) -> Iterator[tuple[int, int, Cell]]:
        """The cells of an area that hold anything."""
        columns = area.columns(self)
        for at in range(area.top, min(area.rows(self).stop, len(self.rows))):
            for column, cell in enumerate(self.rows[at][columns.start : columns.stop], columns.start):
                if cell is not None:
                    yield at, column, cell_of(cell)


@dataclass
class Book:
    """A spreadsheet."""

    id: str
    properties: Json
    sheets: list[Sheet] = field(default_factory=list)
    named: list[Json] = field(default_factory=list)
    metadata: list[Json] = field(default_factory=list)

    def copy(self) -> Book:
        return Book(
            self.id,
            copy.deepcopy(self.properties),
            [sheet.copy() for sheet in self.sheets],
            list(self.named),
            list(self.metadata),
        )

    def sheet(self, sheet_id: int | None) -> Sheet:
        for sheet in self.sheets:
            if sheet.id == (sheet_id or 0):
                return sheet
        raise Refusal(400, f"No grid with id: {sheet_id or 0}")

    def titled(self, title: str) -> Sheet | None:
        return next((sheet for sheet in self.sheets if sheet.title == title), None)

    def tab(self, title: str) -> Sheet:
        sheet = self.titled(title)
        if sheet is None:
            raise KeyError(f"no tab {title!r}; there are {[each.title for each in self.sheets]}")
        return sheet

    def check_size(self) -> None:
        if sum(sheet.row_count * sheet.column_count for sheet in self.sheets) > MOST_CELLS:
            raise Refusal(
                400,
                "This action would increase the number of cells in the workbook above the limit of "
                f"{MOST_CELLS} cells.",
            )


@dataclass
class Switches:
    """Behaviour that is not known of the real service, or differs between accounts."""

    overflow_grows: bool = True  # a write anchored at one cell grows the grid
    clip_ends: bool = False  # a range that ends outside the grid is clipped, not refused
    dash_starts_formula: bool = True  # typed text that begins with - or @
    metadata_follows_sort: bool = False
    strict_validation_rejects: bool = False  # values that a strict rule forbids
    drive_storage: bool = False  # service accounts can own files
    drive_lag: float = 180.0  # seconds until Drive's modifiedTime shows an edit
