"""spreadsheets.values: get, update, append and clear, one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import a1
from .entry import writer
from .errors import Refusal
from .filters import areas_of
from .guard import refuse_protected, refuse_values
from .show import reader
from .state import Area, Book, Cell, Json, Sheet, Stored, Switches, cell_of


@dataclass
class Call:
    """The user who makes a call, and the settings that it depends on."""

    switches: Switches
    year: int
    user: str
    owner: bool = False


def get(book: Book, area: Area, options: Json, *, switches: Switches) -> Json:
    sheet = book.sheet(area.sheet)
    a1.check_inside(area, sheet, start_only=switches.clip_ends)
    area = area.clipped(sheet)
    columns = options.get("majorDimension") == "COLUMNS"
    answer: Json = {"range": a1.name_of(area, sheet), "majorDimension": "COLUMNS" if columns else "ROWS"}
    lines = list(_lines(book, sheet, area, options))
    if columns:
        width = max(map(len, lines), default=0)
        lines = [[line[at] if at < len(line) else "" for line in lines] for at in range(width)]
    trimmed = _trimmed(lines)
    return answer | ({"values": trimmed} if trimmed else {})


def _lines(book: Book, sheet: Sheet, area: Area, options: Json) -> Iterable[list[Any]]:
    render = options.get("valueRenderOption") or "FORMATTED_VALUE"
    read = reader(book, sheet, render, options.get("dateTimeRenderOption") or "SERIAL_NUMBER")
    for at in range(area.top, min(area.bottom or 0, len(sheet.rows))):
        cells = sheet.rows[at][area.left : area.right]
        yield [
            cell if type(cell) is str else "" if cell is None else read(cell, at, column)
            for column, cell in enumerate(cells, area.left)
        ]


def _trimmed(lines: list[list[Any]]) -> list[list[Any]]:
    for line in lines:
        while line and line[-1] == "":
            line.pop()
    while lines and not lines[-1]:
        lines.pop()
    return lines


def batch_get(book: Book, areas: Iterable[Area], options: Json, *, switches: Switches) -> Json:
    return {"spreadsheetId": book.id, "valueRanges": [get(book, area, options, switches=switches) for area in areas]}


# --- writing ----------------------------------------------------------------------------------------


def _rows(data: Json) -> list[list[Any]]:
    values = data.get("values") or []
    if data.get("majorDimension") != "COLUMNS":
        return [list(line) for line in values]
    height = max(map(len, values), default=0)
    return [[line[at] if at < len(line) else None for line in values] for at in range(height)]


def _place(book: Book, area: Area, rows: list[list[Any]], call: Call) -> Area:
    """Return the area that the values go to; refuse what does not fit, or grow the grid."""
    sheet = book.sheet(area.sheet)
    a1.check_inside(area, sheet)
    height, width = len(rows), max(map(len, rows), default=0)
    bottom, right = area.top + height, area.left + width
    single = area.bottom == area.top + 1 and area.right == area.left + 1
    if not single:
        _refuse_overflow(area.clipped(sheet), sheet, bottom, right)
    elif (bottom > sheet.row_count or right > sheet.column_count) and not call.switches.overflow_grows:
        raise Refusal(
            400,
            f"Range ({a1.name_of(Area(sheet.id, area.top, area.left, bottom, right), sheet)}) exceeds grid limits. "
            f"Max rows: {sheet.row_count}, max columns: {sheet.column_count}",
        )
    grow(book, sheet, bottom, right)
    return Area(sheet.id, area.top, area.left, bottom, right)


def _refuse_overflow(area: Area, sheet: Sheet, bottom: int, right: int) -> None:
    name = a1.name_of(area, sheet)
    if bottom > (area.bottom or 0):
        row = (area.bottom or 0) + 1
        raise Refusal(400, f"Requested writing within range [{name}], but tried writing to row [{row}]")
    if right > (area.right or 0):
        column = a1.letters(area.right or 0)
        raise Refusal(400, f"Requested writing within range [{name}], but tried writing to column [{column}]")


def grow(book: Book, sheet: Sheet, rows: int, columns: int) -> None:
    sheet.row_count = max(sheet.row_count, rows)
    sheet.column_count = max(sheet.column_count, columns)
    book.check_size()


def write(book: Book, area: Area, data: Json, options: Json, call: Call) -> Json:
    """Write values at an area; return what was written, without the spreadsheet's id."""
    rows = _rows(data)
    sheet = book.sheet(area.sheet)
    change = writer(options.get("valueInputOption"), call.switches, call.year)
    written = _place(book, area, rows, call)
    if not rows or written.right == written.left:
        start = Area(sheet.id, area.top, area.left, area.top + 1, area.left + 1)
        return {"updatedRange": a1.name_of(start if area.bottom is None else area, sheet)}
    refuse_protected(sheet, written, call.user, owner=call.owner)
    for at, line in enumerate(rows, written.top):
        put_line(sheet, at, written.left, line, change)
    if call.switches.strict_validation_rejects:
        refuse_values(book, sheet, written)
    answer: Json = {
        "updatedRange": a1.name_of(written, sheet),
        "updatedRows": len(rows),
        "updatedColumns": (written.right or 0) - written.left,
        "updatedCells": len(rows) * ((written.right or 0) - written.left),
    }
    if options.get("includeValuesInResponse"):
        answer["updatedData"] = get(book, written, _response(options), switches=call.switches)
    return answer


def put_line(sheet: Sheet, at: int, left: int, line: list[Any], change: Callable[[Any, Cell], Stored]) -> None:
    """Write a row of values; None leaves a cell alone."""
    for column, value in enumerate(line, left):
        if value is not None:
            sheet.put(at, column, change(value, sheet.get(at, column)))


def _response(options: Json) -> Json:
    names = {"responseValueRenderOption": "valueRenderOption", "responseDateTimeRenderOption": "dateTimeRenderOption"}
    return {name: options.get(given) for given, name in names.items()}


def update(book: Book, area: Area, data: Json, options: Json, call: Call) -> Json:
    return {"spreadsheetId": book.id} | write(book, area, data, options, call)


def totals(book: Book, entries: list[tuple[Area, Json]], answers: list[Json]) -> Json:
    """The sums of a batch, in which rows, columns and sheets count once."""
    rows, columns, cells = set(), set(), 0
    for (area, data), answer in zip(entries, answers, strict=True):
        width = answer.get("updatedColumns", 0)
        rows |= {(area.sheet, area.top + at) for at in range(len(_rows(data)))}
        columns |= {(area.sheet, area.left + at) for at in range(width)}
        cells += answer.get("updatedCells", 0)
    counts = {
        "totalUpdatedRows": len(rows),
        "totalUpdatedColumns": len(columns),
        "totalUpdatedCells": cells,
        "totalUpdatedSheets": len({sheet for sheet, _ in rows}),
    }
    return {"spreadsheetId": book.id} | {name: count for name, count in counts.items() if count}


def batch_update(book: Book, body: Json, call: Call) -> Json:
    entries, answers = [], []
    for index, data in enumerate(body.get("data") or []):
        try:
            entries.append((a1.parse(data.get("range") or "", book), data))
            answers.append(update(book, entries[-1][0], data, body, call))
        except Refusal as refusal:
            raise refusal.within(f"Invalid data[{index}]: ") from None
    return totals(book, entries, answers) | ({"responses": answers} if answers else {})


def batch_update_by_filter(book: Book, body: Json, call: Call) -> Json:
    entries, answers = [], []
    for data in body.get("data") or []:
        for area in areas_of(book, data.get("dataFilter") or {}):
            entries.append((area, data))
            answers.append({"dataFilter": data["dataFilter"]} | write(book, area, data, body, call))
    return totals(book, entries, answers) | ({"responses": answers} if answers else {})


# --- clearing and appending -------------------------------------------------------------------------


def clear(book: Book, area: Area, call: Call) -> str:
    """Clear the values, not the formats; return the range."""
    sheet = book.sheet(area.sheet)
    a1.check_inside(area, sheet)
    area = area.clipped(sheet)
    refuse_protected(sheet, area, call.user, owner=call.owner)
    for row, column, cell in list(sheet.cells(area)):
        sheet.put(row, column, cell._replace(value=None, formula=None, picture=False))
    return a1.name_of(area, sheet)


def append(book: Book, area: Area, data: Json, options: Json, call: Call) -> Json:
    """Write below the table that the range touches, at the table's first column."""
    sheet = book.sheet(area.sheet)
    a1.check_inside(area, sheet)
    rows = _rows(data)
    table = find_table(sheet, area)
    top, left = ((table.bottom or 0), table.left) if table else (area.top, area.left)
    width = max(map(len, rows), default=0)
    answer: Json = {"spreadsheetId": book.id}
    if table:
        answer["tableRange"] = a1.name_of(table, sheet)
    if options.get("insertDataOption") == "INSERT_ROWS" and rows:
        from . import grid

        grid.insert(book, sheet, "ROWS", top, len(rows), like_before=top > 0)
    grow(book, sheet, top + max(len(rows), 1), left + width)
    start = Area(sheet.id, top, left, top + max(len(rows), 1), left + max(width, 1))
    return answer | {"updates": update(book, start, data, options, call)}


def _full(sheet: Sheet, row: int, column: int) -> bool:
    cell = cell_of(sheet.get(row, column))
    return cell.value is not None or cell.formula is not None or cell.picture


def find_table(sheet: Sheet, area: Area) -> Area | None:
    """The last block of filled cells in the area, grown over its filled neighbours."""
    columns = area.columns(sheet)
    for row in reversed(range(area.top, min(area.rows(sheet).stop, len(sheet.rows)))):
        full = [column for column in columns if _full(sheet, row, column)]
        if full:
            return _grown(sheet, Area(sheet.id, row, full[-1], row + 1, full[-1] + 1))
    return None


def _grown(sheet: Sheet, area: Area) -> Area:
    """Grow a block by every filled cell that touches it, even at a corner."""
    _, top, left, bottom, right = area
    assert bottom is not None
    assert right is not None
    while True:
        columns = range(max(left - 1, 0), right + 1)
        while top and _any(sheet, range(top - 1, top), columns):
            top -= 1
        while _any(sheet, range(bottom, bottom + 1), columns):
            bottom += 1
        rows = range(max(top - 1, 0), bottom + 1)
        if left and _any(sheet, rows, range(left - 1, left)):
            left -= 1
        elif _any(sheet, rows, range(right, right + 1)):
            right += 1
        else:
            return Area(sheet.id, top, left, bottom, right)


def _any(sheet: Sheet, rows: range, columns: range) -> bool:
    return any(_full(sheet, row, column) for row in reversed(rows) for column in columns)
