"""Edits that people make to a spreadsheet in their browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from . import a1, values
from .state import Area, Book, Cell, Json, Sheet
from .world import OWNER, Document, World


class BookOf:
    """A spreadsheet in its owner's hands. Tabs go by title, rows by the numbers people see, columns by letters."""

    def __init__(self, world: World, book_id: str, lock: Any = None):
        self.world, self.id = world, book_id
        self._lock = lock or threading.RLock()

    @property
    def document(self) -> Document:
        return self.world.documents[self.id]

    @property
    def state(self) -> Book:
        """The state of the spreadsheet, for reading."""
        return self.document.book

    def _edit(self, change: Callable[[Book], Any]) -> Any:
        with self._lock:
            return self.world.edit(self.document, change)

    def batch(self, *requests: Json) -> list[Json]:
        """Send requests of batchUpdate as the owner."""
        with self._lock:
            return self.world.apply(self.document, list(requests), self.world.call(OWNER, owner=True))

    def area(self, tab: str, cells: str | None = None) -> Area:
        sheet = self.state.tab(tab)
        area = a1.parse_cells(cells, sheet) if cells else Area(sheet.id)
        assert area is not None, cells
        return area

    def _range(self, tab: str, cells: str | None = None) -> Json:
        return self.area(tab, cells).json()

    def _lines(self, tab: str, dimension: str, first: int, last: int) -> Json:
        return {"sheetId": self.state.tab(tab).id, "dimension": dimension, "startIndex": first, "endIndex": last}

    # --- looking ------------------------------------------------------------------------------------

    @property
    def tabs(self) -> list[str]:
        with self._lock:
            return [sheet.title for sheet in self.state.sheets]

    def values(self, tab: str, cells: str | None = None) -> list[list[str]]:
        """Return the cells as people see them, without empty ends."""
        return self._read(tab, cells, "FORMATTED_VALUE")

    def raw(self, tab: str, cells: str | None = None) -> list[list[Any]]:
        """Return the cells as they were typed: formulas as text, numbers and booleans as such."""
        return self._read(tab, cells, "FORMULA")

    def _read(self, tab: str, cells: str | None, render: str) -> list[list[Any]]:
        with self._lock:
            options = {"valueRenderOption": render}
            got = values.get(self.state, self.area(tab, cells), options, switches=self.world.switches)
            found: list[list[Any]] = got.get("values", [])
            return found

    def cell(self, tab: str, cell: str) -> Cell:
        """A cell with its format, note and validation."""
        with self._lock:
            area = self.area(tab, cell)
            return self.state.tab(tab).get(area.top, area.left)

    def rows(self, tab: str) -> int:
        return self.state.tab(tab).row_count

    def columns(self, tab: str) -> int:
        return self.state.tab(tab).column_count

    # --- cells --------------------------------------------------------------------------------------

    def type(self, tab: str, at: str, what: Any, *, raw: bool = False) -> None:
        """Type a value, or rows of them from this cell on; None leaves a cell alone and "" empties it."""
        rows = [list(row) for row in what] if isinstance(what, Sequence) and not isinstance(what, str) else [[what]]
        options = {"valueInputOption": "RAW" if raw else "USER_ENTERED"}
        call = self.world.call(OWNER, owner=True)
        self._edit(lambda draft: values.write(draft, self._first(tab, at), {"values": rows}, options, call))

    def _first(self, tab: str, at: str) -> Area:
        area = self.area(tab, at)
        return Area(area.sheet, area.top, area.left, area.top + 1, area.left + 1)

    def clear(self, tab: str, cells: str | None = None) -> None:
        call = self.world.call(OWNER, owner=True)
        self._edit(lambda draft: values.clear(draft, self.area(tab, cells), call))

    def _change(self, tab: str, cells: str, change: Callable[[Cell], Cell]) -> None:
        def edit(draft: Book) -> None:
            sheet: Sheet = draft.tab(tab)
            area = self.area(tab, cells)
            for row in area.rows(sheet):
                for column in area.columns(sheet):
                    sheet.put(row, column, change(sheet.get(row, column)))

        self._edit(edit)

    def picture(self, tab: str, cell: str) -> None:
        """Insert an image in a cell: it reads as empty everywhere."""
        self._change(tab, cell, lambda old: old._replace(value=None, formula=None, picture=True))

    def note(self, tab: str, cells: str, text: str) -> None:
        self._change(tab, cells, lambda old: old._replace(note=text or None))

    def format(self, tab: str, cells: str, form: Json | None) -> None:
        """Give cells a CellFormat; text_only is {"numberFormat": {"type": "TEXT"}}."""
        self._change(tab, cells, lambda old: old._replace(format=form))

    def dropdown(self, tab: str, cells: str, choices: Sequence[str], *, strict: bool = True) -> None:
        listed = [{"userEnteredValue": choice} for choice in choices]
        condition = {"type": "ONE_OF_LIST", "values": listed}
        rule = {"condition": condition, "strict": strict, "showCustomUi": True}
        self.batch({"setDataValidation": {"range": self._range(tab, cells), "rule": rule}})

    def sort(self, tab: str, cells: str, by: str, *, descending: bool = False) -> None:
        order = "DESCENDING" if descending else "ASCENDING"
        specs = [{"dimensionIndex": a1.number(by), "sortOrder": order}]
        self.batch({"sortRange": {"range": self._range(tab, cells), "sortSpecs": specs}})

    def cut_paste(self, tab: str, cells: str, to: str, to_tab: str | None = None) -> None:
        self._paste("cutPaste", tab, cells, to, to_tab)

    def copy_paste(self, tab: str, cells: str, to: str, to_tab: str | None = None) -> None:
        self._paste("copyPaste", tab, cells, to, to_tab)

    def _paste(self, kind: str, tab: str, cells: str, to: str, to_tab: str | None) -> None:
        area = self.area(to_tab or tab, to)
        start: Json = {"sheetId": area.sheet, "rowIndex": area.top, "columnIndex": area.left}
        target = start if kind == "cutPaste" else area.json()
        self.batch({kind: {"source": self._range(tab, cells), "destination": target, "pasteType": "PASTE_NORMAL"}})

    def merge(self, tab: str, cells: str) -> None:
        self.batch({"mergeCells": {"range": self._range(tab, cells), "mergeType": "MERGE_ALL"}})

    # --- rows and columns ---------------------------------------------------------------------------

    def insert_rows(self, tab: str, before: int, count: int = 1) -> None:
        self._insert(tab, "ROWS", before - 1, count)

    def insert_columns(self, tab: str, before: str, count: int = 1) -> None:
        self._insert(tab, "COLUMNS", a1.number(before), count)

    def _insert(self, tab: str, dimension: str, at: int, count: int) -> None:
        end = at == self.state.tab(tab).count(dimension)
        lines = self._lines(tab, dimension, at, at + count)
        self.batch({"insertDimension": {"range": lines, "inheritFromBefore": end}})

    def delete_rows(self, tab: str, first: int, last: int | None = None) -> None:
        self.batch({"deleteDimension": {"range": self._lines(tab, "ROWS", first - 1, last or first)}})

    def delete_columns(self, tab: str, first: str, last: str | None = None) -> None:
        lines = self._lines(tab, "COLUMNS", a1.number(first), a1.number(last or first) + 1)
        self.batch({"deleteDimension": {"range": lines}})

    def move_rows(self, tab: str, first: int, last: int, before: int) -> None:
        """Drag rows so that they stand before what is now row `before`."""
        lines = self._lines(tab, "ROWS", first - 1, last)
        self.batch({"moveDimension": {"source": lines, "destinationIndex": before - 1}})

    def move_columns(self, tab: str, first: str, last: str, before: str) -> None:
        lines = self._lines(tab, "COLUMNS", a1.number(first), a1.number(last) + 1)
        self.batch({"moveDimension": {"source": lines, "destinationIndex": a1.number(before)}})

    def hide_rows(self, tab: str, first: int, last: int | None = None, *, hidden: bool = True) -> None:
        self._hide(self._lines(tab, "ROWS", first - 1, last or first), hidden=hidden)

    def hide_columns(self, tab: str, first: str, last: str | None = None, *, hidden: bool = True) -> None:
        self._hide(self._lines(tab, "COLUMNS", a1.number(first), a1.number(last or first) + 1), hidden=hidden)

    def _hide(self, lines: Json, *, hidden: bool) -> None:
        properties = {"hiddenByUser": hidden}
        self.batch({"updateDimensionProperties": {"range": lines, "properties": properties, "fields": "hiddenByUser"}})

    def freeze(self, tab: str, rows: int = 1) -> None:
        self._sheet(tab, {"gridProperties": {"frozenRowCount": rows}}, "gridProperties.frozenRowCount")

    def filter(self, tab: str, cells: str | None = None, hidden: dict[str, Sequence[str]] | None = None) -> None:
        """Set a filter; `hidden` says by column which values it hides."""
        criteria = {str(a1.number(column)): {"hiddenValues": list(texts)} for column, texts in (hidden or {}).items()}
        more = {"criteria": criteria} if criteria else {}
        self.batch({"setBasicFilter": {"filter": {"range": self._range(tab, cells)} | more}})

    # --- tabs and people ----------------------------------------------------------------------------

    def _sheet(self, tab: str, properties: Json, fields: str) -> None:
        properties = {"sheetId": self.state.tab(tab).id} | properties
        self.batch({"updateSheetProperties": {"properties": properties, "fields": fields}})

    def add(self, tab: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        self.batch({"addSheet": {"properties": {"title": tab}}})
        if rows:
            self.type(tab, "A1", rows)

    def rename(self, tab: str, title: str) -> None:
        self._sheet(tab, {"title": title}, "title")

    def move(self, tab: str, index: int) -> None:
        self._sheet(tab, {"index": index}, "index")

    def hide(self, tab: str, *, hidden: bool = True) -> None:
        self._sheet(tab, {"hidden": hidden}, "hidden")

    def resize(self, tab: str, rows: int, columns: int) -> None:
        counts = {"rowCount": rows, "columnCount": columns}
        self._sheet(tab, {"gridProperties": counts}, "gridProperties.rowCount,gridProperties.columnCount")

    def delete(self, tab: str) -> None:
        self.batch({"deleteSheet": {"sheetId": self.state.tab(tab).id}})

    def name(self, name: str, tab: str, cells: str) -> None:
        """Define a named range."""
        self.batch({"addNamedRange": {"namedRange": {"name": name, "range": self._range(tab, cells)}}})

    def protect(self, tab: str, cells: str | None = None, *, warning: bool = False) -> None:
        """Protect cells, or a whole tab, from everybody else."""
        protected = {"range": self._range(tab, cells), "warningOnly": warning}
        self.batch({"addProtectedRange": {"protectedRange": protected}})

    def unprotect(self, tab: str) -> None:
        found = [each["protectedRangeId"] for each in self.state.tab(tab).protected]
        self.batch(*({"deleteProtectedRange": {"protectedRangeId": each}} for each in found))

    def grant(self, email: str, role: str = "writer") -> None:
        with self._lock:
            self.document.roles[email] = role

    def withdraw(self, email: str) -> None:
        with self._lock:
            self.document.roles.pop(email, None)

    def title(self, title: str) -> None:
        self.batch({"updateSpreadsheetProperties": {"properties": {"title": title}, "fields": "title"}})
