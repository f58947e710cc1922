"""Kinds of requests about cells."""

from __future__ import annotations

import itertools
from typing import Any

from . import grid
from .discovery import refuse_unknown
from .entry import check_length, number
from .errors import Refusal
from .formats import both_colors
from .guard import refuse_values
from .kind import Batch, Kind
from .masks import paths, updated
from .references import carried
from .show import value_of
from .state import EMPTY, Area, Cell, Json, Sheet, Value

WRITABLE = ("userEnteredValue", "userEnteredFormat", "note", "dataValidation")
NOT_KEPT = ("textFormatRuns", "chipRuns", "pivotTable")  # the service takes these, this server does not
VALUES = ("stringValue", "numberValue", "boolValue", "formulaValue")


def fields_of(fields: str | None) -> str:
    """The mask of a cell update, checked."""
    for path in paths(fields):
        if path != ("*",):
            refuse_unknown("CellData", path)
        if path[0] in NOT_KEPT:
            raise Refusal(501, f"{path[0]} is not implemented")
        if path[0] not in (*WRITABLE, "*"):
            raise Refusal(400, f"Invalid field: {path[0]}")
    return fields or ""


def changed(cell: Cell, given: Json, fields: str) -> Cell:
    """A cell with the fields that the mask names taken from a CellData."""
    for path in paths(fields):
        if path[0] in ("userEnteredValue", "*"):
            cell = cell._replace(**entered(given.get("userEnteredValue")), picture=False)
        if path[0] in ("note", "*"):
            cell = cell._replace(note=given.get("note") or None)
        if path[0] in ("dataValidation", "*"):
            cell = cell._replace(validation=given.get("dataValidation") or None)
        if path[0] in ("userEnteredFormat", "*"):
            rest = ".".join(path[1:]) or "*"
            found = updated(cell.format, both_colors(given.get("userEnteredFormat") or {}), _with_styles(rest))
            cell = cell._replace(format=found or None)
    return cell


def _with_styles(fields: str) -> str:
    """Add the style of a colour to the fields to write: Google keeps both equal."""
    last = fields.rpartition(".")[2]
    return f"{fields},{fields}Style" if last in ("backgroundColor", "foregroundColor") else fields


def entered(given: Json | None) -> Json:
    """Value and formula of a cell from an ExtendedValue."""
    found = {name: value for name, value in (given or {}).items() if value is not None}
    if not found:
        return {"value": None, "formula": None}
    if len(found) != 1 or next(iter(found)) not in VALUES:
        raise Refusal(400, "userEnteredValue must hold one value that can be entered.")
    kind, value = next(iter(found.items()))
    if kind == "formulaValue":
        if not value.startswith("="):
            raise Refusal(400, f"Invalid formula: {value}")
        return {"value": None, "formula": value}
    if kind == "stringValue":
        check_length(value)
        return {"value": value or None, "formula": None}
    return {"value": bool(value) if kind == "boolValue" else number(value), "formula": None}


def update_cells(batch: Batch, request: Json) -> None:
    fields = fields_of(request.get("fields"))
    rows = [row.get("values") or [] for row in request.get("rows") or []]
    if request.get("start") is not None:
        sheet, area = _from(batch, request["start"], rows)
    else:
        sheet, area = batch.place(request.get("range"))
        _refuse_wider(area.clipped(sheet), rows)
    batch.may(sheet, area)
    if request.get("start") is None:
        grid.fill(sheet, area, lambda cell, *_: changed(cell, {}, fields))
    for at, line in enumerate(rows, area.top):
        for column, given in enumerate(line, area.left):
            sheet.put(at, column, changed(sheet.get(at, column), given or {}, fields))
    _check_strict(batch, sheet, area)


def _check_strict(batch: Batch, sheet: Sheet, area: Area) -> None:
    if batch.call.switches.strict_validation_rejects:
        refuse_values(batch.book, sheet, area)


def _from(batch: Batch, start: Json, rows: list[list[Any]]) -> tuple[Sheet, Area]:
    sheet, top, left = batch.corner(start)
    bottom, right = top + len(rows), left + max(map(len, rows), default=0)
    for name, end, most in (("rowIndex", bottom, sheet.row_count), ("columnIndex", right, sheet.column_count)):
        if end > most:
            what = name.removesuffix("Index")
            raise Refusal(400, f"Attempting to write {what}: {most}, beyond the last requested {what} of: {most - 1}")
    return sheet, Area(sheet.id, top, left, bottom, right)


def _refuse_wider(area: Area, rows: list[list[Any]]) -> None:
    high, wide = (area.bottom or 0) - area.top, (area.right or 0) - area.left
    widest = max(map(len, rows), default=0)
    for what, size, most, first in (("row", len(rows), high, area.top), ("column", widest, wide, area.left)):
        if size > most:
            at = first + most
            raise Refusal(400, f"Attempting to write {what}: {at}, beyond the last requested {what} of: {at - 1}")


def repeat_cell(batch: Batch, request: Json) -> None:
    sheet, area = batch.place(request.get("range"))
    fields = fields_of(request.get("fields"))
    batch.may(sheet, area)
    given = request.get("cell") or {}

    def change(cell: Cell, row: int, column: int) -> Cell:
        new = changed(cell, given, fields)
        if new.formula and new.formula != cell.formula:
            new = new._replace(formula=carried(new.formula, row - area.top, column - area.left))
        return new

    if given:
        grid.fill(sheet, area, change)
    else:  # what is empty stays so
        for row, column, cell in list(sheet.cells(area)):
            sheet.put(row, column, change(cell, row, column))
    _check_strict(batch, sheet, area)


def append_cells(batch: Batch, request: Json) -> None:
    sheet = batch.book.sheet(request.get("sheetId"))
    fields = fields_of(request.get("fields"))
    rows = [row.get("values") or [] for row in request.get("rows") or []]
    filled = (row for row, _, cell in sheet.cells(Area(sheet.id)) if cell.formula or cell.value is not None)
    top = 1 + max(filled, default=-1)
    sheet.row_count = max(sheet.row_count, top + len(rows))
    sheet.column_count = max(sheet.column_count, *map(len, rows), 1)
    batch.book.check_size()
    batch.may(sheet, Area(sheet.id, top, 0, top + max(len(rows), 1)))
    for at, line in enumerate(rows, top):
        for column, given in enumerate(line):
            sheet.put(at, column, changed(sheet.get(at, column), given or {}, fields))


def sort_range(batch: Batch, request: Json) -> None:
    sheet, area = batch.place(request.get("range"))
    batch.may(sheet, area)
    specs = request.get("sortSpecs") or []
    if not specs:
        raise Refusal(400, "Must specify at least one sort spec.")
    for spec in specs:
        if (spec.get("dimensionIndex") or 0) not in area.columns(sheet):
            raise Refusal(400, f"dimensionIndex[{spec.get('dimensionIndex') or 0}] is outside the range.")
    order = grid.sort(batch.book, sheet, area, specs)
    if batch.call.switches.metadata_follows_sort:
        _sort_metadata(batch, sheet, area.top, order)


def _sort_metadata(batch: Batch, sheet: Sheet, top: int, order: list[int]) -> None:
    now = {came: at for at, came in enumerate(order, top)}
    for index, entry in enumerate(batch.book.metadata):
        found = entry["location"].get("dimensionRange", {})
        if found.get("dimension") == "ROWS" and found["sheetId"] == sheet.id and found["startIndex"] in now:
            at = now[found["startIndex"]]
            place = {"dimensionRange": found | {"startIndex": at, "endIndex": at + 1}}
            batch.book.metadata[index] = entry | {"location": entry["location"] | place}


def copy_paste(batch: Batch, request: Json) -> None:
    source, area = batch.place(request.get("source"))
    target, to = batch.place(request.get("destination"))
    area, to = area.clipped(source), to.clipped(target)
    batch.may(target, to)
    if request.get("pasteOrientation") == "TRANSPOSE":
        raise Refusal(501, "TRANSPOSE is not implemented")

    def value(row: int, column: int) -> Value:
        found = value_of(source.get(row, column), batch.book, source, row, column)
        return str(found) if isinstance(found, str) else found

    _refuse_outside(target, to.top + (area.bottom or 0) - area.top, to.left + (area.right or 0) - area.left)
    grid.copy(source, area, target, to, request.get("pasteType") or "PASTE_NORMAL", value)


def _refuse_outside(sheet: Sheet, bottom: int, right: int) -> None:
    if bottom > sheet.row_count or right > sheet.column_count:
        raise Refusal(400, "The destination does not fit the grid.")


def cut_paste(batch: Batch, request: Json) -> None:
    source, area = batch.place(request.get("source"))
    area = area.clipped(source)
    target, top, left = batch.corner(request.get("destination"))
    bottom, right = top + (area.bottom or 0) - area.top, left + (area.right or 0) - area.left
    _refuse_outside(target, bottom, right)
    batch.may(source, area)
    batch.may(target, Area(target.id, top, left, bottom, right))
    kind = request.get("pasteType") or "PASTE_NORMAL"
    if kind == "PASTE_NORMAL":
        grid.cut(batch.book, source, area, target, top, left)
        return
    to = Area(target.id, top, left, bottom, right)

    def value(row: int, column: int) -> Value:
        return value_of(source.get(row, column), batch.book, source, row, column)

    grid.copy(source, area, target, to, kind, value)
    grid.fill(source, area, lambda cell, *_: cell._replace(value=None, formula=None))


def set_validation(batch: Batch, request: Json) -> None:
    sheet, area = batch.place(request.get("range"))
    batch.may(sheet, area)
    rule = request.get("rule")
    if rule is not None and not (rule.get("condition") or {}).get("type"):
        raise Refusal(400, "rule.condition must be set.")
    for given in ((rule or {}).get("condition") or {}).get("values") or []:
        if given.get("relativeDate"):
            raise Refusal(400, "Relative dates are not supported for data validation.")
    grid.fill(sheet, area, lambda cell, *_: cell._replace(validation=rule or None))


def merge_cells(batch: Batch, request: Json) -> None:
    sheet, area = batch.place(request.get("range"))
    area = area.clipped(sheet)
    batch.may(sheet, area)
    if any(_only_part(Area.of(merge), area) for merge in sheet.merges):
        raise Refusal(400, "You must select all cells in a merged range to merge or unmerge them.")
    sheet.merges = [merge for merge in sheet.merges if not Area.of(merge).meets(area)]
    rows, columns = area.rows(sheet), area.columns(sheet)
    kind = request.get("mergeType") or "MERGE_ALL"
    tops = [(row, row + 1) for row in rows] if kind == "MERGE_ROWS" else [(rows.start, rows.stop)]
    sides = [(column, column + 1) for column in columns] if kind == "MERGE_COLUMNS" else [(columns.start, columns.stop)]
    for (top, bottom), (left, right) in itertools.product(tops, sides):
        if bottom - top > 1 or right - left > 1:
            _merge(sheet, Area(sheet.id, top, left, bottom, right))


def _merge(sheet: Sheet, area: Area) -> None:
    sheet.merges.append(area.json())
    for row, column, cell in list(sheet.cells(area)):
        if (row, column) != (area.top, area.left):
            sheet.put(row, column, EMPTY._replace(format=cell.format))


def _only_part(merge: Area, area: Area) -> bool:
    inside = area.top <= merge.top and (merge.bottom or 0) <= (area.bottom or 0)
    beside = area.left <= merge.left and (merge.right or 0) <= (area.right or 0)
    return merge.meets(area) and not (inside and beside)


def unmerge_cells(batch: Batch, request: Json) -> None:
    sheet, area = batch.place(request.get("range"))
    area = area.clipped(sheet)
    if any(_only_part(Area.of(merge), area) for merge in sheet.merges):
        raise Refusal(400, "You must select all cells in a merged range to merge or unmerge them.")
    sheet.merges = [merge for merge in sheet.merges if not Area.of(merge).meets(area)]


KINDS: dict[str, Kind] = {
    "updateCells": update_cells,
    "repeatCell": repeat_cell,
    "appendCells": append_cells,
    "sortRange": sort_range,
    "copyPaste": copy_paste,
    "cutPaste": cut_paste,
    "setDataValidation": set_validation,
    "mergeCells": merge_cells,
    "unmergeCells": unmerge_cells,
}
