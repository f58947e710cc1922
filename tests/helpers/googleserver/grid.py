"""Rows, columns and blocks of cells: put in, taken out, moved, sorted, copied."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from . import shifts
from .errors import Refusal
from .references import Ends, Fixed, carried, rewritten
from .show import value_of
from .state import EMPTY, Area, Book, Cell, Json, Sheet, Stored, Value


def insert(book: Book, sheet: Sheet, dimension: str, at: int, count: int, *, like_before: bool = False) -> None:
    """Put in empty rows or columns; they look like the ones before or after."""
    shifts.follow(book, sheet, dimension, shifts.inserted(at, count))
    model = at - 1 if like_before else at
    if dimension == "ROWS":
        pattern = [_look(cell) for cell in sheet.rows[model]] if 0 <= model < len(sheet.rows) else []
        if at < len(sheet.rows) or any(cell is not None for cell in pattern):
            sheet.rows.extend([] for _ in range(at - len(sheet.rows)))
            sheet.rows[at:at] = [pattern[:] for _ in range(count)]
        sheet.row_count += count
    else:
        for row in sheet.rows:
            look = _look(row[model]) if 0 <= model < len(row) else None
            if at < len(row) or (at == len(row) and look is not None):
                row[at:at] = [look] * count
        sheet.column_count += count


def _look(cell: Stored) -> Stored:
    """Return what a new neighbour takes over from a cell: its format and validation."""
    if type(cell) is not Cell or not (cell.format or cell.validation):
        return None
    return Cell(format=cell.format, validation=cell.validation)


def delete(book: Book, sheet: Sheet, dimension: str, first: int, last: int) -> None:
    if dimension == "ROWS":
        del sheet.rows[first:last]
        sheet.row_count -= last - first
    else:
        for row in sheet.rows:
            del row[first:last]
        sheet.column_count -= last - first
    shifts.follow(book, sheet, dimension, shifts.deleted(first, last))


def move(book: Book, sheet: Sheet, dimension: str, first: int, last: int, before: int) -> None:
    """Move rows or columns before another one, counted before the move."""
    landing = before - (last - first) if before > first else before
    if dimension == "ROWS":
        sheet.rows.extend([] for _ in range(max(last, before) - len(sheet.rows)))
        _move(sheet.rows, first, last, landing)
    else:
        for row in sheet.rows:
            row.extend([None] * (max(last, before) - len(row)))
            _move(row, first, last, landing)
    shifts.follow(book, sheet, dimension, shifts.moved(first, last, before))


def _move(line: list[Any], first: int, last: int, landing: int) -> None:
    block = line[first:last]
    del line[first:last]
    line[landing:landing] = block


def sort(book: Book, sheet: Sheet, area: Area, specs: list[Json]) -> list[int]:
    """Reorder the cells of an area by columns; return where each row came from."""
    area = area.clipped(sheet)
    rows = list(range(area.top, area.bottom or 0))
    if any(Area.of(merge).meets(area) and merge["endRowIndex"] - merge["startRowIndex"] > 1 for merge in sheet.merges):
        raise Refusal(400, "You can't perform this action on a range with vertical merges.")
    order = rows
    for spec in reversed(specs):
        order = _ordered(book, sheet, order, spec.get("dimensionIndex") or 0, spec.get("sortOrder") == "DESCENDING")
    sheet.rows.extend([] for _ in range((area.bottom or 0) - len(sheet.rows)))
    for row in rows:
        sheet.rows[row].extend([None] * ((area.right or 0) - len(sheet.rows[row])))
    lines = [sheet.rows[row][area.left : area.right] for row in order]
    for row, came, line in zip(rows, order, lines, strict=True):
        sheet.rows[row][area.left : area.right] = [_sorted_cell(cell, row - came) for cell in line]
    return order


def _sorted_cell(cell: Stored, by: int) -> Stored:
    if type(cell) is not Cell or cell.formula is None or not by:
        return cell
    return cell._replace(formula=carried(cell.formula, by, 0, own_sheet_only=True))


def _ordered(book: Book, sheet: Sheet, rows: list[int], column: int, down: bool) -> list[int]:
    keys = {row: sort_key(value_of(sheet.get(row, column), book, sheet, row, column)) for row in rows}
    full = [row for row in rows if keys[row] is not None]
    full.sort(key=lambda row: keys[row] or (), reverse=down)
    return full + [row for row in rows if keys[row] is None]


def sort_key(value: Value) -> tuple[int, Any] | None:
    """Numbers, then texts, then booleans; what is empty comes last either way."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, str):
        return 1, value.casefold()
    return 0, value


def fill(sheet: Sheet, area: Area, change: Callable[[Cell, int, int], Cell]) -> None:
    """Change every cell of an area."""
    for row in area.rows(sheet):
        for column in area.columns(sheet):
            sheet.put(row, column, change(sheet.get(row, column), row, column))


def block(sheet: Sheet, area: Area) -> list[list[Cell]]:
    return [[sheet.get(row, column) for column in area.columns(sheet)] for row in area.rows(sheet)]


def copy(source: Sheet, area: Area, target: Sheet, to: Area, kind: str, value: Callable[[int, int], Value]) -> None:
    """Copy a block over an area, again and again where the area is larger."""
    cells = block(source, area)
    high, wide = len(cells), len(cells[0])
    rows = to.rows(target)
    columns = to.columns(target)
    for row in range(rows.start, rows.start + max(len(rows) // high, 1) * high):
        for column in range(columns.start, columns.start + max(len(columns) // wide, 1) * wide):
            down, right = (row - rows.start) % high, (column - columns.start) % wide
            cell = cells[down][right]
            if cell.formula:
                by = row - area.top - down, column - area.left - right
                cell = cell._replace(formula=carried(cell.formula, *by))
            old = target.get(row, column)
            target.put(row, column, _pasted(kind, cell, old, partial(value, area.top + down, area.left + right)))


def _pasted(kind: str, cell: Cell, old: Cell, value: Callable[[], Value]) -> Cell:
    match kind:
        case "PASTE_VALUES":
            return old._replace(value=value(), formula=None, picture=cell.picture)
        case "PASTE_FORMAT":
            return old._replace(format=cell.format)
        case "PASTE_FORMULA":
            return old._replace(value=cell.value, formula=cell.formula, picture=cell.picture)
        case "PASTE_DATA_VALIDATION":
            return old._replace(validation=cell.validation)
        case _:
            return cell


def cut(book: Book, source: Sheet, area: Area, target: Sheet, top: int, left: int) -> None:
    """Move a block of cells with all they have; references to them follow."""
    cells = block(source, area)
    merges = [merge for merge in source.merges if Area.of(merge).meets(area)]
    source.merges = [merge for merge in source.merges if merge not in merges]
    fill(source, area, lambda *_: EMPTY)
    for row, line in enumerate(cells, top):
        for column, cell in enumerate(line, left):
            target.put(row, column, cell)
    down, right = top - area.top, left - area.left
    target.merges += [_carried_merge(merge, target.id, down, right) for merge in merges]
    if source is target:
        _follow_cut(book, source, area, down, right)


def _carried_merge(merge: Json, sheet_id: int, down: int, right: int) -> Json:
    old = Area.of(merge)
    bottom, end = (old.bottom or 0) + down, (old.right or 0) + right
    return Area(sheet_id, old.top + down, old.left + right, bottom, end).json()


def _follow_cut(book: Book, sheet: Sheet, area: Area, down: int, right: int) -> None:
    def changer(home: Sheet) -> Callable[[str | None, Ends, Fixed], Ends | None]:
        def change(title: str | None, ends: Ends, fixed: Fixed) -> Ends | None:
            rows = area.top <= ends[0] and ends[1] < (area.bottom or 0)
            columns = area.left <= ends[2] and ends[3] < (area.right or 0)
            if (title or home.title) != sheet.title or not (rows and columns):
                return ends
            return ends[0] + down, ends[1] + down, ends[2] + right, ends[3] + right

        return change

    for home in book.sheets:
        for row, column, cell in list(home.cells(Area(home.id))):
            if cell.formula:
                home.put(row, column, cell._replace(formula=rewritten(cell.formula, changer(home))))
