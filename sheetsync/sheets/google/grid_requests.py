"""Build the requests that add columns and rows to a spreadsheet, and name columns. Pure: nothing here is sent.

Columns and rows are inserted as new cells in the same request that fills them, so they never overwrite people's cells.
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
from sheetsync.sheets.google.metadata import KEY, anchor, assert_column_at, id_of, mark_created, plain, unanchor
from sheetsync.sheets.google.response import NEW_HEADER, SCORES_TAB, Grid, SpreadsheetState

MAX_REQUEST_BYTES = 1_500_000  # Google advises 2 MB at most
# Fields that new columns do not take over from the column at their left.
NOT_INHERITED = "userEnteredFormat.numberFormat,dataValidation"


@dataclass
class GridGrowth:
    """Requests in order, and the tabs as they will be after them. `names` has the names of new columns.

    `anchored`: the columns of scores are known to be at their anchors, if they have any.
    """

    state: SpreadsheetState
    grids: dict[Tab, Grid]
    titles: Mapping[Tab, str]
    anchored: bool = True
    requests: list[Json] = field(default_factory=list)
    names: dict[tuple[Tab, int], str] = field(default_factory=dict)

    def add(self, change: AddColumns | AddRow) -> None:
        """Add columns right of all others, or a row below all others; make the tab if it is missing."""
        grid = self.grids.get(change.tab) or self._new_tab(change.tab)
        if isinstance(change, AddRow):
            if change.tab == "scores":
                self.requests += self._assert_columns_in_place(grid, change)
            self._insert(grid, "ROWS", grid.height, 1)
            self.requests.append(clear_fields(grid.sheet, "Row", grid.height, 1, "dataValidation"))
            self.requests.append(_fail_if_sent_twice(grid.sheet, grid.height))
            self.requests.append(_fill(grid.sheet, grid.height, 0, change.values))
            self.grids[change.tab] = grid.grown(grid.width, grid.height + 1)
            return
        self._insert(grid, "COLUMNS", grid.width, len(change.names))
        self.requests.append(clear_fields(grid.sheet, "Column", grid.width, len(change.names), NOT_INHERITED))
        self.requests.append(_fill(grid.sheet, 0, grid.width, change.names))
        for column, header in enumerate(change.names, start=grid.width):
            self.name(change.tab, column, header)
            mark = self._anchor if change.tab == "scores" else mark_created
            self.requests += mark(grid.sheet, header, column)
        self.grids[change.tab] = grid.grown(grid.width + len(change.names), max(grid.height, 1))

    def name(self, tab: Tab, column: int, header: str) -> None:
        """Give a column a named range, which moves with it."""
        taken = {each.name for each in self.state.named_columns} | set(self.names.values())
        words = re.sub(r"[^A-Za-z0-9]+", "_", header).strip("_").lower()
        base = f"sheetsync_{tab}_{words or f'column_{column + 1}'}"[:200]
        candidates = chain([base], (f"{base}_{n}" for n in count(2)))  # two columns may have one header
        name = self.names[tab, column] = next(name for name in candidates if name not in taken)
        where = {"sheetId": self.grids[tab].sheet, "startColumnIndex": column, "endColumnIndex": column + 1}
        self.requests.append({"addNamedRange": {"namedRange": {"name": name, "range": where}}})

    def _assert_columns_in_place(self, grid: Grid, row: AddRow) -> Iterator[Json]:
        """Yield requests that fail, and the row with them, if a column has moved: cells are filled by index."""
        for column, header in enumerate(grid.table.header[: len(row.values)]):
            if header != NEW_HEADER and row.values[column] != "":
                assertion = assert_column_at(grid.sheet, plain(header), column)
                yield from assertion if self.anchored else self._anchor(grid.sheet, header, column)

    def _anchor(self, sheet: int, header: str, column: int) -> Iterator[Json]:
        if not self.anchored:
            yield unanchor(sheet, plain(header))
        yield anchor(sheet, plain(header), column)

    def header(self, tab: Tab, column: int) -> str:
        """Return the header of a column, as it was read."""
        return self.grids[tab].table.cell(1, column)

    def _new_tab(self, tab: Tab) -> Grid:
        grid = Grid(id_of(self.grids["rows"].sheet, SCORES_TAB), self.titles[tab], 1000, 26)
        self.requests.append({"addSheet": {"properties": {"sheetId": grid.sheet, "title": grid.title}}})
        self.grids[tab] = grid
        return grid

    def _insert(self, grid: Grid, dimension: str, start: int, count: int) -> None:
        where = {"sheetId": grid.sheet, "dimension": dimension, "startIndex": start, "endIndex": start + count}
        self.requests.append({"insertDimension": {"range": where, "inheritFromBefore": start > 0}})


def _fail_if_sent_twice(sheet: int, row: int) -> Json:
    """Make the whole batch fail if the network delivers it twice (idempotency key): a metadata id can be used once."""
    where = {"sheetId": sheet, "dimension": "ROWS", "startIndex": row, "endIndex": row + 1}
    entry = {"metadataId": secrets.randbelow(2**31 - 1) + 1, "metadataKey": KEY, "visibility": "DOCUMENT"}
    return {"createDeveloperMetadata": {"developerMetadata": {**entry, "location": {"dimensionRange": where}}}}


def clear_fields(sheet: int, dimension: str, start: int, count: int, fields: str) -> Json:
    """Clear fields of inserted columns or rows, which take over the format of their neighbours."""
    where = {"sheetId": sheet, f"start{dimension}Index": start, f"end{dimension}Index": start + count}
    return {"repeatCell": {"range": where, "cell": {}, "fields": fields}}


def _fill(sheet: int, row: int, column: int, values: Sequence[Value]) -> Json:
    cells = [
        {"userEnteredValue": {"stringValue" if isinstance(value, str) else "numberValue": value}} if value != "" else {}
        for value in values
    ]
    start = {"sheetId": sheet, "rowIndex": row, "columnIndex": column}
    return {"updateCells": {"rows": [{"values": cells}], "fields": "userEnteredValue", "start": start}}


def column_data(name: str, cells: Mapping[int, Value], max_bytes: int = MAX_REQUEST_BYTES) -> Iterator[Json]:
    """Yield a column's values from its first row on, by its name, in parts that fit a request; None = left alone."""
    values: list[Value | None] = [None] * max(cells)
    for row, value in cells.items():
        values[row - 1] = value
    for start, part in _parts(values, max_bytes):
        yield {"range": name, "majorDimension": "COLUMNS", "values": [[None] * start + part]}


def _parts(values: list[Value | None], max_bytes: int) -> Iterator[tuple[int, list[Value | None]]]:
    start = size = 0
    for number, value in enumerate(values):
        size += len(json.dumps(value)) + 2
        if size + 6 * start > max_bytes:  # each value left alone before is "null, "
            yield start, values[start : number + 1]
            start, size = number + 1, 0
    if any(value is not None for value in values[start:]):
        yield start, values[start:]


def group_into_requests(data: Sequence[Json], max_bytes: int = MAX_REQUEST_BYTES) -> Iterator[list[Json]]:
    """Group ranges into requests of at most so many bytes, or of one range."""
    group: list[Json] = []
    group_bytes = 0
    for each in data:
        added = len(json.dumps(each))
        if group and group_bytes + added > max_bytes:
            yield group
            group, group_bytes = [], 0
        group.append(each)
        group_bytes += added
    if group:
        yield group
