"""A Google Sheet. Columns are written by a name that moves with them, so no write can hit a column of people.

Rows have no such name (a sort moves their cells, and there is no compare-and-swap): what a write hits is seen by
reading again, which is the business of whoever plans the writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.sheets.client import Client
from sheetsync.sheets.gridrequests import Additions, column_data, in_requests
from sheetsync.sheets.gridview import CELLS, TABS, Grid, View, parse, ranges
from sheetsync.sheets.spreadsheet import Spreadsheet
from sheetsync.tables import Book, Calls, CellUpdate, Change, Tab, Value


class GoogleSheet:
    """A spreadsheet of Google's, by its id. `gid` is the tab of the rows (None = the first), `scores` a title."""

    def __init__(self, client: Client, spreadsheet: str, gid: int | None = None, scores: str = "scores"):
        self.spreadsheet = Spreadsheet(client, spreadsheet)
        self._gid, self._scores = gid, scores
        self._view = View()
        self._known = False  # whether the view has all tabs

    @property
    def name(self) -> str:
        """The address that people open."""
        return self.spreadsheet.name

    @property
    def calls(self) -> Calls:
        """API calls so far."""
        return self.spreadsheet.client.calls

    def read(self) -> Book:
        """Both tabs as they are now; see `Sheet.read`. One call, and one more where the tabs are not known yet."""
        for known in (self._known, False):
            if not known:
                self._view = parse([self.spreadsheet.get(fields=TABS)])
                self._known = True
            rows, scores = self._grid("rows"), self._grid("scores")
            try:
                view = parse([self.spreadsheet.get(fields=CELLS, ranges=each) for each in ranges(rows, scores)])
            except SheetChanged:  # a tab was renamed or became smaller since it was seen
                continue
            if rows and rows.sheet in view.grids:
                self._view = view
                return Book(view.grids[rows.sheet].table, view.table_of(scores))
        raise SheetChanged(f"the tabs of {self.name} are being changed just now: read again")

    def write(self, book: Book, changes: Sequence[Change]) -> None:
        """Carry changes out; see `Sheet.write`. Columns and rows are added in one step, cells set in the next.

        Raises `SheetChanged` when a column is gone, or the answer to an addition is lost.
        """
        growing = Additions(self._view, self._grids(), {"rows": "", "scores": self._scores})
        updates: dict[tuple[Tab, int], dict[int, Value]] = defaultdict(dict)
        for change in changes:
            if isinstance(change, CellUpdate):
                updates[change.tab, change.column][change.row] = change.value
            else:
                growing.add(change)
        bound = self._bind(growing, updates)
        if growing.requests:
            self.spreadsheet.batch(growing.requests)
            self._known = set(growing.grids) == set(self._grids())
        if bound:
            self._check_bound(book, bound)
        names = {each: growing.names.get(each) or self._name_of(*each) for each in updates}
        data = [part for each, cells in updates.items() for part in column_data(names[each], cells)]
        for part in in_requests(data):
            self.spreadsheet.set_values(part)

    # --- where things are -------------------------------------------------------------------------

    def _grid(self, tab: Tab) -> Grid | None:
        if tab == "scores":
            return self._view.titled(self._scores)
        if self._gid is None and self._view.grids:
            self._gid = next(iter(self._view.grids))
        grid = self._view.grids.get(self._gid) if self._gid is not None else None
        if grid is None:
            titles = ", ".join(grid.title for grid in self._view.grids.values())
            raise SheetError(f"{self.name} has no tab with gid={self._gid} (its tabs: {titles}): look at its address")
        return grid

    def _grids(self) -> dict[Tab, Grid]:
        tabs: tuple[Tab, ...] = ("rows", "scores")
        return {tab: grid for tab in tabs if (grid := self._grid(tab))}

    # --- columns by name --------------------------------------------------------------------------

    def _name_of(self, tab: Tab, column: int) -> str:
        grid = self._grid(tab)
        name = self._view.name_of(grid.sheet, column) if grid else None
        if name is None:
            raise SheetChanged(f"a column of {self.name} is gone: read it again")
        return name

    def _bind(self, growing: Additions, columns: Collection[tuple[Tab, int]]) -> list[tuple[Tab, int]]:
        """Name the columns that stand there without a name; gives them."""
        missing = [
            (tab, column)
            for tab, column in columns
            if (tab, column) not in growing.names
            and tab in growing.grids
            and not self._view.name_of(growing.grids[tab].sheet, column)
        ]
        for tab, column in missing:
            header = growing.grids[tab].table.header
            growing.name(tab, column, header[column] if column < len(header) else "")
        return missing

    def _check_bound(self, book: Book, bound: Sequence[tuple[Tab, int]]) -> None:
        """A column may have moved before it got its name: then the name is on another one, and goes again."""
        now = self.read()
        for tab, column in bound:
            was, is_now = ((each.rows if tab == "rows" else each.scores).cell(1, column) for each in (book, now))
            if was != is_now:
                self._unbind(bound)
                raise SheetChanged(f"the columns of {self.name} moved just now: read it again")

    def _unbind(self, bound: Sequence[tuple[Tab, int]]) -> None:
        places = {(grid.sheet, column) for tab, column in bound if (grid := self._grid(tab))}
        ours = [each.id for each in self._view.bound if (each.sheet, each.column) in places]
        requests = [{"deleteNamedRange": {"namedRangeId": each}} for each in ours]
        self.spreadsheet.batch(requests)
