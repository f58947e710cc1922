"""Requests that add columns and rows to a spreadsheet, and name columns. Pure: nothing here is sent.

What is added comes as new, empty cells in the same step that fills them, so it never stands where people wrote.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count

from sheetsync.common.types import Json
from sheetsync.rows.table import AddColumns, AddRow, Tab, Value
from sheetsync.sheets.google.metadata import KEY, anchor, assert_column_at, id_of, mark_created, unanchor
from sheetsync.sheets.google.response import NEW_HEADER, SCORES_TAB, Grid, SpreadsheetState

MAX_REQUEST_BYTES = 1_500_000  # of one request; Google advises 2 MB at most
NOT_INHERITED = (
    "userEnteredFormat.numberFormat,dataValidation"  # what new columns do not take over from the one at their left
)


@dataclass
class GridGrowth:
    """Requests in order, while the tabs grow with each of them. `names` has the names of new columns.

    `anchored` tells that the columns of scores are where their anchors are, if they have any.
    """

    state: SpreadsheetState
    grids: dict[Tab, Grid]
    titles: Mapping[Tab, str]
    anchored: bool = True
    requests: list[Json] = field(default_factory=list)
    names: dict[tuple[Tab, int], str] = field(default_factory=dict)

    def add(self, change: AddColumns | AddRow) -> None:
        """Add columns right of everything, or a row below everything; makes the tab if it is missing."""
        grid = self.grids.get(change.tab) or self._new_tab(change.tab)
        if isinstance(change, AddRow):
            if change.tab == "scores":
                self.requests += self._standing_still(grid, change)
            self._insert(grid, "ROWS", grid.height, 1)
            self.requests.append(clear_fields(grid.sheet, "Row", grid.height, 1, "dataValidation"))
            self.requests.append(_once(grid.sheet, grid.height))
            self.requests.append(_fill(grid.sheet, grid.height, 0, change.values))
            self.grids[change.tab] = grid.grown(grid.width, grid.height + 1)
            return
        self._insert(grid, "COLUMNS", grid.width, len(change.names))
        self.requests.append(clear_fields(grid.sheet, "Column", grid.width, len(change.names), NOT_INHERITED))
        self.requests.append(_fill(grid.sheet, 0, grid.width, change.names))
        for column, header in enumerate(change.names, start=grid.width):
            self.name(change.tab, column, header)
            made = self._anchor if change.tab == "scores" else mark_created
            self.requests += made(grid.sheet, header, column)
        self.grids[change.tab] = grid.grown(grid.width + len(change.names), max(grid.height, 1))

    def name(self, tab: Tab, column: int, header: str) -> None:
        """Give a column a name that goes along when it moves."""
        name = self.names[tab, column] = _free_name(tab, header, column, self._taken())
        where = {"sheetId": self.grids[tab].sheet, "startColumnIndex": column, "endColumnIndex": column + 1}
        self.requests.append({"addNamedRange": {"namedRange": {"name": name, "range": where}}})

    def _standing_still(self, grid: Grid, row: AddRow) -> Iterator[Json]:
        """What fails, and the row with it, when a column has moved since it was seen: cells go by their place."""
        for column, header in enumerate(grid.table.header[: len(row.values)]):
            if header != NEW_HEADER and row.values[column] != "":
                guarded = assert_column_at(grid.sheet, _role(header), column)
                yield from guarded if self.anchored else self._anchor(grid.sheet, header, column)

    def _anchor(self, sheet: int, header: str, column: int) -> Iterator[Json]:
        if not self.anchored:
            yield unanchor(sheet, _role(header))
        yield anchor(sheet, _role(header), column)

    def header(self, tab: Tab, column: int) -> str:
        """What stands above a column, as it was read."""
        return self.grids[tab].table.cell(1, column)

    def _taken(self) -> set[str]:
        return {each.name for each in self.state.named_columns} | set(self.names.values())

    def _new_tab(self, tab: Tab) -> Grid:
        grid = Grid(id_of(self.grids["rows"].sheet, SCORES_TAB), self.titles[tab], 1000, 26)
        self.requests.append({"addSheet": {"properties": {"sheetId": grid.sheet, "title": grid.title}}})
        self.grids[tab] = grid
        return grid

    def _insert(self, grid: Grid, dimension: str, start: int, count: int) -> None:
        where = {"sheetId": grid.sheet, "dimension": dimension, "startIndex": start, "endIndex": start + count}
        self.requests.append({"insertDimension": {"range": where, "inheritFromBefore": start > 0}})


def _role(header: str) -> str:
    return header.strip().casefold()


def _once(sheet: int, row: int) -> Json:
    """What makes a request fail as a whole when the network delivers it twice: an id is given to one thing only."""
    where = {"sheetId": sheet, "dimension": "ROWS", "startIndex": row, "endIndex": row + 1}
    entry = {"metadataId": secrets.randbelow(2**31 - 1) + 1, "metadataKey": KEY, "visibility": "DOCUMENT"}
    return {"createDeveloperMetadata": {"developerMetadata": {**entry, "location": {"dimensionRange": where}}}}


def clear_fields(sheet: int, what: str, start: int, count: int, fields: str) -> Json:
    """Cells that were just inserted look like their neighbours; that goes for these fields."""
    where = {"sheetId": sheet, f"start{what}Index": start, f"end{what}Index": start + count}
    return {"repeatCell": {"range": where, "cell": {}, "fields": fields}}


def _fill(sheet: int, row: int, column: int, values: Sequence[Value]) -> Json:
    cells = [{"userEnteredValue": _entered(value)} if value != "" else {} for value in values]
    start = {"sheetId": sheet, "rowIndex": row, "columnIndex": column}
    return {"updateCells": {"rows": [{"values": cells}], "fields": "userEnteredValue", "start": start}}


def _entered(value: Value) -> Json:
    return {"stringValue": value} if isinstance(value, str) else {"numberValue": value}


def _free_name(tab: Tab, header: str, column: int, taken: set[str]) -> str:
    """Names hold letters, digits and underscores, and two columns may have one header."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", header).strip("_").lower()
    base = f"sheetsync_{tab}_{plain or f'column_{column + 1}'}"[:200]
    return next(name for name in chain([base], (f"{base}_{n}" for n in count(2))) if name not in taken)


def column_data(name: str, cells: Mapping[int, Value], most: int = MAX_REQUEST_BYTES) -> Iterator[Json]:
    """Values of one column from its first row on, by its name, in parts that fit a request; None = left alone."""
    values: list[Value | None] = [None] * max(cells)
    for row, value in cells.items():
        values[row - 1] = value
    for start, part in _parts(values, most):
        yield {"range": name, "majorDimension": "COLUMNS", "values": [[None] * start + part]}


def _parts(values: list[Value | None], most: int) -> Iterator[tuple[int, list[Value | None]]]:
    start = size = 0
    for number, value in enumerate(values):
        size += len(json.dumps(value)) + 2
        if size + 6 * start > most:
            yield start, values[start : number + 1]
            start, size = number + 1, 0
    if any(value is not None for value in values[start:]):
        yield start, values[start:]


def group_into_requests(data: Sequence[Json], most: int = MAX_REQUEST_BYTES) -> Iterator[list[Json]]:
    """Put ranges together as long as a request stays small."""
    held: list[Json] = []
    size = 0
    for each in data:
        cost = len(json.dumps(each))
        if held and size + cost > most:
            yield held
            held, size = [], 0
        held.append(each)
        size += cost
    if held:
        yield held
