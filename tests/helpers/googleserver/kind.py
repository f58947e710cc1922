"""Helpers that the kinds of requests in a batch share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from . import a1
from .errors import Refusal
from .guard import refuse_protected
from .state import Area, Book, Json, Sheet
from .values import Call


@dataclass
class Batch:
    """The draft that a batch changes, and for whom."""

    book: Book
    call: Call
    random: random.Random

    def new_id(self) -> int:
        return self.random.randrange(1, 2**31 - 1)

    def place(self, grid_range: Json | None) -> tuple[Sheet, Area]:
        """The sheet and the area of a GridRange, which must lie in the grid."""
        if grid_range is None:
            raise Refusal(400, "range must be set.")
        area = Area.of(grid_range)
        sheet = self.book.sheet(area.sheet)
        a1.check_inside(area, sheet, start_only=self.call.switches.clip_ends)
        clipped = area.clipped(sheet)
        if clipped.top >= (clipped.bottom or 0) or clipped.left >= (clipped.right or 0):
            raise Refusal(400, "The range is empty.")
        return sheet, area

    def corner(self, found: Json | None) -> tuple[Sheet, int, int]:
        """Sheet, row and column of a GridCoordinate."""
        found = found or {}
        sheet = self.book.sheet(found.get("sheetId"))
        row, column = found.get("rowIndex") or 0, found.get("columnIndex") or 0
        for what, at, most in (("row", row, sheet.row_count), ("column", column, sheet.column_count)):
            if at >= most:
                raise Refusal(400, f"GridCoordinate.{what}Index[{at}] is after last {what} in grid[{most - 1}]")
        return sheet, row, column

    def line(self, found: Json | None) -> tuple[Sheet, str, int, int]:
        """Sheet, dimension, first and end of a DimensionRange."""
        found = found or {}
        if found.get("dimension") not in ("ROWS", "COLUMNS"):
            raise Refusal(400, "No dimension specified.")
        sheet = self.book.sheet(found.get("sheetId"))
        first, last = found.get("startIndex") or 0, found.get("endIndex")
        last = sheet.count(found["dimension"]) if last is None else last
        if first >= last:
            raise Refusal(400, f"range.endIndex[{last}] must be after range.startIndex[{first}]")
        return sheet, found["dimension"], first, last

    def may(self, sheet: Sheet, area: Area) -> None:
        refuse_protected(sheet, area, self.call.user, owner=self.call.owner)

    def may_line(self, sheet: Sheet, dimension: str, first: int, last: int) -> None:
        area = Area(sheet.id, first, 0, last) if dimension == "ROWS" else Area(sheet.id, 0, first, None, last)
        self.may(sheet, area)


Kind = Callable[[Batch, Json], Json | None]
