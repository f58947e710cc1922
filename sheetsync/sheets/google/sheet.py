"""A Google Sheet. Columns are written by a name that moves with them, so no write can hit a column of people.

Rows have no such name (a sort moves their cells, and there is no compare-and-swap): what a write hits is seen by
reading again, which is the business of whoever plans the writes.
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

MAX_READS = 5  # how often a sheet that people rebuild just then is looked at


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
        self._rows_a_read, self._bytes_a_write = rows_per_read, bytes_per_write
        self._view = SpreadsheetState()
        self._known = False  # whether the view has all tabs
        self._anchored = True  # whether the last addition found the columns of scores at their anchors
        self._wrote: dict[str, PendingWrite] = {}  # by the name of the column, until a reading shows it there

    @property
    def name(self) -> str:
        """The address that people open."""
        return self.spreadsheet.name

    @property
    def identity(self) -> str:
        """The spreadsheet, and the tab as it was asked for."""
        return self._identity

    @property
    def calls(self) -> Calls:
        """API calls so far."""
        return self.spreadsheet.client.calls

    def read(self) -> Book:
        """Both tabs as they are now; see `Sheet.read`. One call, and one more where the tabs are not known yet."""
        for again in range(MAX_READS):
            if again or not self._known:
                self._view = parse_response([self.spreadsheet.get(fields=TABS_MASK)])
                self._known = True
            rows, scores = self._grid("rows"), self._grid("scores")
            try:
                parts = ranges_to_read(rows, scores, self._rows_a_read)
                view = parse_response(self.spreadsheet.get(fields=CELLS_MASK, ranges=each) for each in parts)
            except SheetChanged:  # a tab was renamed or became smaller since it was seen
                continue
            if rows and rows.sheet in view.grids and not has_new_columns((rows, scores), view, self._rows_a_read):
                self._view = view
                if not self._take_back():
                    tables = view.table(rows.sheet), view.table(scores.sheet if scores else None)
                    return Book(*tables, owned=view.owned_columns(rows.sheet))
        raise SheetChanged(f"{self.name} is being rebuilt just now: run `sheetsync sync` again")

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`. Columns and rows are added in one step, cells set in the next.

        Raises `SheetChanged` when a column is gone, or the answer to an addition is lost.
        """
        growing = GridGrowth(self._view, self.grids(), {"rows": "", "scores": self._scores}, self._anchored)
        updates: dict[tuple[Tab, int], dict[int, Value]] = defaultdict(dict)
        for change in changes:
            if isinstance(change, CellUpdate):
                updates[change.tab, change.column][change.row] = change.value
            else:
                growing.add(change)
        bound = self._bind(growing, updates)
        names = {each: growing.names.get(each) or self._name_of(*each) for each in updates}
        if growing.requests:
            self._add(growing)
        if bound:
            self._check_bound(book, {each: names[each] for each in bound})
        self._wrote |= {names[each]: PendingWrite(growing.header(*each), cells) for each, cells in updates.items()}
        self._set((names[each], cells) for each, cells in updates.items())

    def formatter(self, columns: ColumnHeaders, memory: Path) -> Formatter:
        """Return what adds and removes the formatting of this sheet; see `Sheet.formatter`."""
        from sheetsync.sheets.google.formatting.formatter import GoogleFormatter

        return GoogleFormatter(self, columns, memory)

    def _add(self, growing: GridGrowth) -> None:
        short = all(grid.rows <= self._rows_a_read for grid in growing.grids.values())
        self._known = short and set(growing.grids) == set(self.grids())  # also where the answer is lost
        self._anchored = False
        self.spreadsheet.batch_update(growing.requests)
        self._anchored = True

    def _take_back(self) -> bool:
        """Empty what was written where a column had stood that people cut away right before: its name stays there.

        Tells whether there was any. What people put there in that very moment is lost, for Google cannot be told to
        write under a condition.
        """
        found = dict(misplaced_writes(self._view, self._wrote))
        self._wrote = {name: self._wrote[name] for name in found}
        self._set(found.items())
        return bool(found)

    def _set(self, columns: Iterable[tuple[str, Mapping[int, Value]]]) -> None:
        most = self._bytes_a_write
        for part in group_into_requests([part for each in columns for part in column_data(*each, most)], most):
            self.spreadsheet.update_values(part)

    # --- where things are -------------------------------------------------------------------------

    def _grid(self, tab: Tab) -> Grid | None:
        if self._gid is None and self._view.grids:
            self._gid = self._first().sheet
        if tab == "scores":
            return self._scores_grid()
        grid = self._view.grids.get(self._gid) if self._gid is not None else None
        if grid is None:
            titles = ", ".join(shorten(grid.title, 80) for grid in self._view.grids.values())
            raise SheetError(f"{self.name} has no tab with gid={self._gid} (its tabs: {titles}): look at its address")
        return grid

    def _first(self) -> Grid:
        """The tab of an address that names none: the one that was synced before, or the first."""
        synced = self._view.synced_tabs()
        if len(synced) > 1:
            titles = ", ".join(shorten(grid.title, 80) for grid in synced)
            raise SheetError(
                f"several tabs of {self.name} hold sheetsync's columns ({titles}): open the tab of this project, and "
                "copy its whole address, with gid=…, to sheetsync.toml"
            )
        return (synced or list(self._view.grids.values()))[0]

    def _scores_grid(self) -> Grid | None:
        """The tab of the title that was asked for, or the one that we made for these rows, whatever it is called."""
        found = self._view.tab_titled(self._scores)
        if found is None:
            return None if self._gid is None else self._view.grids.get(id_of(self._gid, SCORES_TAB))
        if found.sheet == self._gid:
            raise SheetError(
                f"the tab {shorten(found.title, 80)} of {self.name} holds the rows, and cannot hold scores as well: "
                'name another one in sheetsync.toml: [google] scores = "…"'
            )
        return found

    def grids(self) -> dict[Tab, Grid]:
        """The tabs as they were last read; scores may be missing."""
        tabs: tuple[Tab, ...] = ("rows", "scores")
        return {tab: grid for tab in tabs if (grid := self._grid(tab))}

    # --- columns by name --------------------------------------------------------------------------

    def _name_of(self, tab: Tab, column: int) -> str:
        grid = self._grid(tab)
        name = self._view.name_of(grid.sheet, column) if grid else None
        if name is None:
            raise SheetChanged(f"a column of {self.name} is gone: read it again")
        return name

    def _bind(self, growing: GridGrowth, columns: Collection[tuple[Tab, int]]) -> list[tuple[Tab, int]]:
        """Name the columns that stand there without a name; gives them."""
        missing = [
            (tab, column)
            for tab, column in columns
            if (tab, column) not in growing.names
            and tab in growing.grids
            and not self._view.name_of(growing.grids[tab].sheet, column)
        ]
        for tab, column in missing:
            growing.name(tab, column, growing.header(tab, column))
        return missing

    def _check_bound(self, book: Book, bound: Mapping[tuple[Tab, int], str]) -> None:
        """A column may have moved, or got cells of people, before it got its name: then the name goes again."""
        now = self.read()
        for tab, column in bound:
            was, is_now = (each.rows if tab == "rows" else each.scores for each in (book, now))
            rows = range(2, len(was.rows) + 2)  # those that we add come below
            filled = [any(table.cell(row, column).strip() for row in rows) for table in (was, is_now)]
            if was.cell(1, column) != is_now.cell(1, column) or filled == [False, True]:
                self._unbind({*bound.values()})
                raise SheetChanged(f"the columns of {self.name} moved just now: read it again")

    def _unbind(self, names: Collection[str]) -> None:
        ids = [each.id for each in self._view.named_columns if each.name in names]
        requests = [{"deleteNamedRange": {"namedRangeId": each}} for each in ids]
        self.spreadsheet.batch_update(requests)
