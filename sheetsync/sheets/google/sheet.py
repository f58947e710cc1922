"""A Google Sheet as a `Sheet`. Columns are written through named ranges that move with them, never by index.

So no write can hit a column of people. Rows have no such name (a sort moves their cells, and there is no
compare-and-swap): the caller, `sheets.write`, reads again to see which rows a write hit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from sheetsync.common.text import shorten
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.header import ColumnHeaders
from sheetsync.rows.table import Book, Calls, CellUpdate, Change, Tab, Value
from sheetsync.sheets.base import Formatter
from sheetsync.sheets.google.client import Client
from sheetsync.sheets.google.grid_requests import MAX_REQUEST_BYTES, GridGrowth, column_data, group_into_requests
from sheetsync.sheets.google.metadata import id_of
from sheetsync.sheets.google.response import (
    CELLS_MASK,
    ROWS_PER_READ,
    SCORES_TAB,
    TABS_MASK,
    Grid,
    PendingWrite,
    SpreadsheetState,
    has_new_columns,
    misplaced_writes,
    parse_response,
    ranges_to_read,
)
from sheetsync.sheets.google.spreadsheet import Spreadsheet

MAX_READS = 5  # how often a sheet is read again that people are rebuilding


class GoogleSheet:
    """A spreadsheet of Google's, by its id. `gid` is the tab of the rows (None = the first), `scores` a title."""

    def __init__(
        self,
        client: Client,
        spreadsheet: str,
        gid: int | None = None,
        scores: str = "scores",
        *,
        rows_per_read: int = ROWS_PER_READ,
        bytes_per_write: int = MAX_REQUEST_BYTES,
    ):
        self.spreadsheet = Spreadsheet(client, spreadsheet)
        self._identity = spreadsheet if gid is None else f"{spreadsheet}#gid={gid}"
        self._gid, self._scores = gid, scores
        self._rows_per_read, self._bytes_per_write = rows_per_read, bytes_per_write
        self._state = SpreadsheetState()
        self._tabs_known = False  # whether the state has all tabs
        self._anchored = True  # whether the last addition found the columns of scores at their anchors
        self._pending: dict[str, PendingWrite] = {}  # by the name of the column, until a reading shows them

    @property
    def name(self) -> str:
        """Its address in a browser."""
        return self.spreadsheet.name

    @property
    def identity(self) -> str:
        """The id of the spreadsheet, and of the tab if the address named one."""
        return self._identity

    @property
    def calls(self) -> Calls:
        """API calls so far."""
        return self.spreadsheet.client.calls

    def read(self) -> Book:
        """Read both tabs; see `Sheet.read`. One call, and one more if the tabs are not known yet."""
        for again in range(MAX_READS):
            if again or not self._tabs_known:
                self._state = parse_response([self.spreadsheet.get(fields=TABS_MASK)])
                self._tabs_known = True
            rows, scores = self._grid("rows"), self._grid("scores")
            try:
                parts = ranges_to_read(rows, scores, self._rows_per_read)
                state = parse_response(self.spreadsheet.get(fields=CELLS_MASK, ranges=each) for each in parts)
            except SheetChanged:  # a tab was renamed or became smaller since its size was read
                continue
            if rows and rows.sheet in state.grids and not has_new_columns((rows, scores), state, self._rows_per_read):
                self._state = state
                if not self._undo_misplaced_writes():
                    tables = state.table(rows.sheet), state.table(scores.sheet if scores else None)
                    return Book(*tables, owned=state.owned_columns(rows.sheet))
        raise SheetChanged(f"{self.name} is being rebuilt just now: run `sheetsync sync` again")

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`. Columns and rows are added in one request, cells written in the next.

        Raises `SheetChanged` when a column is gone, or the response to an addition is lost.
        """
        growth = GridGrowth(self._state, self.grids(), {"rows": "", "scores": self._scores}, self._anchored)
        updates: dict[tuple[Tab, int], dict[int, Value]] = defaultdict(dict)
        for change in changes:
            if isinstance(change, CellUpdate):
                updates[change.tab, change.column][change.row] = change.value
            else:
                growth.add(change)
        unnamed = self._name_columns(growth, updates)
        names = {each: growth.names.get(each) or self._column_name(*each) for each in updates}
        if growth.requests:
            self._add(growth)
        if unnamed:
            self._check_not_moved(book, {each: names[each] for each in unnamed})
        self._pending |= {names[each]: PendingWrite(growth.header(*each), cells) for each, cells in updates.items()}
        self._write_cells((names[each], cells) for each, cells in updates.items())

    def formatter(self, columns: ColumnHeaders, memory: Path) -> Formatter:
        """Return what adds and removes the formatting of this sheet; see `Sheet.formatter`."""
        from sheetsync.sheets.google.formatting.formatter import GoogleFormatter

        return GoogleFormatter(self, columns, memory)

    def _add(self, growth: GridGrowth) -> None:
        """Send requests that add; what is known of the sheet is set before, as the response may be lost."""
        in_one_part = all(grid.rows <= self._rows_per_read for grid in growth.grids.values())
        self._tabs_known = in_one_part and set(growth.grids) == set(self.grids())
        self._anchored = False
        self.spreadsheet.batch_update(growth.requests)
        self._anchored = True

    def _undo_misplaced_writes(self) -> bool:
        """Clear what was written to the place of a column that people cut away right before; True if anything was.

        The name of such a column stays at its place. What people put there in that very moment is lost, as Google has
        no conditional writes.
        """
        misplaced = dict(misplaced_writes(self._state, self._pending))
        self._pending = {name: self._pending[name] for name in misplaced}
        self._write_cells(misplaced.items())
        return bool(misplaced)

    def _write_cells(self, columns: Iterable[tuple[str, Mapping[int, Value]]]) -> None:
        max_bytes = self._bytes_per_write
        data = [part for each in columns for part in column_data(*each, max_bytes)]
        for part in group_into_requests(data, max_bytes):
            self.spreadsheet.update_values(part)

    # --- tabs -------------------------------------------------------------------------------------

    def _grid(self, tab: Tab) -> Grid | None:
        if self._gid is None and self._state.grids:
            self._gid = self._default_tab().sheet
        if tab == "scores":
            return self._scores_grid()
        grid = self._state.grids.get(self._gid) if self._gid is not None else None
        if grid is None:
            titles = ", ".join(shorten(grid.title, 80) for grid in self._state.grids.values())
            raise SheetError(f"{self.name} has no tab with gid={self._gid} (its tabs: {titles}): look at its address")
        return grid

    def _default_tab(self) -> Grid:
        """Return the tab for an address that names none: the one that was synced before, or the first."""
        synced = self._state.synced_tabs()
        if len(synced) > 1:
            titles = ", ".join(shorten(grid.title, 80) for grid in synced)
            raise SheetError(
                f"several tabs of {self.name} hold sheetsync's columns ({titles}): open the tab of this project, and "
                "copy its whole address, with gid=…, to sheetsync.toml"
            )
        return (synced or list(self._state.grids.values()))[0]

    def _scores_grid(self) -> Grid | None:
        """Return the tab of the configured title, or the one that we made for these rows, whatever its title is now."""
        found = self._state.tab_titled(self._scores)
        if found is None:
            return None if self._gid is None else self._state.grids.get(id_of(self._gid, SCORES_TAB))
        if found.sheet == self._gid:
            raise SheetError(
                f"the tab {shorten(found.title, 80)} of {self.name} holds the rows, and cannot hold scores as well: "
                'name another one in sheetsync.toml: [google] scores = "…"'
            )
        return found

    def grids(self) -> dict[Tab, Grid]:
        """Return the tabs as they were last read; scores may be missing."""
        tabs: tuple[Tab, ...] = ("rows", "scores")
        return {tab: grid for tab in tabs if (grid := self._grid(tab))}

    # --- columns by named range -------------------------------------------------------------------

    def _column_name(self, tab: Tab, column: int) -> str:
        grid = self._grid(tab)
        name = self._state.name_of(grid.sheet, column) if grid else None
        if name is None:
            raise SheetChanged(f"a column of {self.name} is gone: read it again")
        return name

    def _name_columns(self, growth: GridGrowth, columns: Collection[tuple[Tab, int]]) -> list[tuple[Tab, int]]:
        """Add requests that name the columns without a name; return these columns."""
        missing = [
            (tab, column)
            for tab, column in columns
            if (tab, column) not in growth.names
            and tab in growth.grids
            and not self._state.name_of(growth.grids[tab].sheet, column)
        ]
        for tab, column in missing:
            growth.name(tab, column, growth.header(tab, column))
        return missing

    def _check_not_moved(self, book: Book, names: Mapping[tuple[Tab, int], str]) -> None:
        """Remove the new names, and raise `SheetChanged`, if a column moved or people filled it before it was named."""
        now = self.read()
        for tab, column in names:
            before, after = (each.rows if tab == "rows" else each.scores for each in (book, now))
            rows = range(2, len(before.rows) + 2)  # those that we add come below
            filled = [any(table.cell(row, column).strip() for row in rows) for table in (before, after)]
            if before.cell(1, column) != after.cell(1, column) or filled == [False, True]:
                ids = [each.id for each in self._state.named_columns if each.name in names.values()]
                self.spreadsheet.batch_update([{"deleteNamedRange": {"namedRangeId": each}} for each in ids])
                raise SheetChanged(f"the columns of {self.name} moved just now: read it again")
