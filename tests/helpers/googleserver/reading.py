"""spreadsheets.get: everything about a spreadsheet, or what a mask asks for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .formats import effective, plain
from .masks import Mask, applied, wants, within
from .show import error_type, text_of, value_of
from .state import Area, Book, Cell, Json, Sheet, Value


def sheet_properties(book: Book, sheet: Sheet) -> Json:
    counts = {"rowCount": sheet.row_count, "columnCount": sheet.column_count}
    own = {name: value for name, value in sheet.properties.items() if name != "gridProperties"}
    more = {name: value for name, value in sheet.properties.get("gridProperties", {}).items() if value}
    index = next((at for at, each in enumerate(book.sheets) if each is sheet), 0)
    found: Json = {"sheetId": sheet.id, "title": sheet.title, "index": index, "sheetType": "GRID"}
    found |= {"gridProperties": counts | more}
    found |= plain(own)
    return found


def get(book: Book, user: str, *, areas: list[Area], grid_data: bool, mask: Mask | None) -> Json:
    """The spreadsheet as this user gets it; with areas only the sheets that they are on."""
    if mask is None and not grid_data:
        inner: Mask | None = {name: {} for name in SHEET_PARTS if name != "data"}
    else:
        inner = within(mask, "sheets")
    answer: Json = {"spreadsheetId": book.id, "properties": book.properties}
    if wants(mask, "sheets"):
        ids = {area.sheet for area in areas} or {sheet.id for sheet in book.sheets}
        sheets = [sheet for sheet in book.sheets if sheet.id in ids]
        answer["sheets"] = [_sheet(book, sheet, user, areas, inner) for sheet in sheets]
    if book.named:
        answer["namedRanges"] = plain(book.named)
    top = [entry for entry in book.metadata if entry["location"]["locationType"] == "SPREADSHEET"]
    if top:
        answer["developerMetadata"] = plain(top)
    answer["spreadsheetUrl"] = f"https://docs.google.com/spreadsheets/d/{book.id}/edit"
    return applied(_but_for_cells(mask), answer)  # type: ignore[no-any-return]


def _but_for_cells(mask: Mask | None) -> Mask | None:
    """Return the mask without the cells, which were masked already: in a long sheet they are nearly everything."""
    path = ("sheets", "data", "rowData", "values")
    if not within(mask, *path) or any("*" in (within(mask, *path[:depth]) or {}) for depth in range(len(path))):
        return mask
    sheets, data = within(mask, "sheets") or {}, within(mask, "sheets", "data") or {}
    return {**(mask or {}), "sheets": {**sheets, "data": {**data, "rowData": {}}}}


SHEET_PARTS = (
    "properties", "data", "merges", "conditionalFormats", "filterViews", "protectedRanges", "basicFilter",
    "developerMetadata", "rowGroups", "columnGroups",
)  # fmt: skip


def _sheet(book: Book, sheet: Sheet, user: str, areas: list[Area], mask: Mask | None) -> Json:
    own = [area for area in areas if area.sheet == sheet.id]
    found: Json = {"properties": sheet_properties(book, sheet)}
    if wants(mask, "data"):
        found["data"] = [_data(book, sheet, area, within(mask, "data")) for area in own or [Area(sheet.id)]]
    meets = [Area.of(merge) for merge in sheet.merges]
    merges = [merge.json() for merge in meets if not own or any(merge.meets(area) for area in own)]
    metadata = [entry for entry in book.metadata if entry["location"].get("sheetId") == sheet.id]
    found |= {
        "merges": plain(merges),
        "conditionalFormats": plain(sheet.conditional),
        "filterViews": plain(sheet.filter_views),
        "protectedRanges": [_protected(protected, user) for protected in sheet.protected],
        "basicFilter": plain(sheet.basic_filter),
        "developerMetadata": plain(metadata),
        "rowGroups": plain([group for group in sheet.groups if group["range"]["dimension"] == "ROWS"]),
        "columnGroups": plain([group for group in sheet.groups if group["range"]["dimension"] == "COLUMNS"]),
    }
    return {name: found[name] for name in SHEET_PARTS if found.get(name) and wants(mask, name)}


def _protected(protected: Json, user: str) -> Json:
    found: Json = plain(protected)
    users = protected.get("editors", {}).get("users", [])
    if protected.get("warningOnly"):
        found.pop("editors", None)
        return found | {"requestingUserCanEdit": True}
    return found | ({"requestingUserCanEdit": True} if user in users else {})


# --- cells ------------------------------------------------------------------------------------------


def _data(book: Book, sheet: Sheet, area: Area, mask: Mask | None) -> Json:
    area = area.clipped(sheet)
    found: Json = {}
    if area.top:
        found["startRow"] = area.top
    if area.left:
        found["startColumn"] = area.left
    if wants(mask, "rowData"):
        rows = list(_rows(book, sheet, area, within(mask, "rowData", "values")))
        while rows and not rows[-1]:
            rows.pop()
        if rows:
            found["rowData"] = rows
    if wants(mask, "rowMetadata"):
        found["rowMetadata"] = _sizes(book, sheet, "ROWS", area.rows(sheet))
    if wants(mask, "columnMetadata"):
        found["columnMetadata"] = _sizes(book, sheet, "COLUMNS", area.columns(sheet))
    return found


def _rows(book: Book, sheet: Sheet, area: Area, mask: Mask | None) -> Iterable[Json]:
    for at in range(area.top, min(area.bottom or 0, len(sheet.rows))):
        values: list[Json] = []
        for column, kept in enumerate(sheet.rows[at][area.left : area.right], area.left):
            if type(kept) is Cell:
                values.append(applied(mask, _cell(book, sheet, at, column, kept, mask)))
            else:
                values.append({} if kept is None else applied(mask, _plain_cell(kept, mask)))
        while values and not values[-1]:
            values.pop()
        yield {"values": values} if values else {}


def _plain_cell(value: Value, mask: Mask | None) -> Json:
    """A cell that is nothing but a value, as most are."""
    extended = _extended(value)
    found: Json = {"userEnteredValue": extended, "effectiveValue": extended, "formattedValue": text_of(value)}
    return found | ({"effectiveFormat": effective(None)} if wants(mask, "effectiveFormat") else {})


def _cell(book: Book, sheet: Sheet, row: int, column: int, cell: Cell, mask: Mask | None) -> Json:
    found: Json = {}
    if cell.formula is not None:
        found["userEnteredValue"] = {"formulaValue": cell.formula}
    elif cell.value is not None:
        found["userEnteredValue"] = _extended(cell.value)
    if wants(mask, "effectiveValue") or wants(mask, "formattedValue"):
        value = value_of(cell, book, sheet, row, column)
        if value is not None:
            found["effectiveValue"] = _extended(value)
            found["formattedValue"] = text_of(value, cell.format)
    if cell.format:
        found["userEnteredFormat"] = cell.format
    if wants(mask, "effectiveFormat"):
        found["effectiveFormat"] = effective(cell.format)
    link = _link(cell)
    if link:
        found["hyperlink"] = link
    if cell.note:
        found["note"] = cell.note
    if cell.validation:
        found["dataValidation"] = plain(cell.validation)
    return {name: value for name, value in found.items() if wants(mask, name)}


def _extended(value: Value) -> Json:
    kind = error_type(value)
    if kind:
        return {"errorValue": {"type": kind, "message": f"The formula gives {value}"}}
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"stringValue": value} if isinstance(value, str) else {"numberValue": value}


def _link(cell: Cell) -> str | None:
    formula = cell.formula or ""
    if not formula.upper().startswith('=HYPERLINK("'):
        return None
    return formula[12:].partition('"')[0]


def _sizes(book: Book, sheet: Sheet, dimension: str, lines: range) -> list[Any]:
    default = 21 if dimension == "ROWS" else 100
    hidden = hidden_by_filter(book, sheet) if dimension == "ROWS" else set()
    metadata: dict[int, list[Json]] = {}
    for entry in book.metadata:
        found = entry["location"].get("dimensionRange", {})
        if found.get("dimension") == dimension and found["sheetId"] == sheet.id:
            metadata.setdefault(found["startIndex"], []).append(plain(entry))
    answer = []
    for at in lines:
        size = {"pixelSize": default} | sheet.sizes[dimension].get(at, {})
        more = {"hiddenByFilter": True} if at in hidden else {}
        answer.append(plain(size) | more | ({"developerMetadata": metadata[at]} if at in metadata else {}))
    return answer


def hidden_by_filter(book: Book, sheet: Sheet) -> set[int]:
    """The rows that the basic filter keeps from being seen."""
    basic = sheet.basic_filter
    if not basic:
        return set()
    criteria = {int(column): rule for column, rule in (basic.get("criteria") or {}).items()}
    criteria |= {spec.get("columnIndex", 0): spec.get("filterCriteria", {}) for spec in basic.get("filterSpecs") or []}
    area = Area.of(basic["range"])
    return {row for row in area.rows(sheet)[1:] if any(_hides(book, sheet, row, *rule) for rule in criteria.items())}


def _hides(book: Book, sheet: Sheet, row: int, column: int, rule: Json) -> bool:
    cell = sheet.get(row, column)
    text = text_of(value_of(cell, book, sheet, row, column), cell.format)
    if text in (rule.get("hiddenValues") or []):
        return True
    condition = rule.get("condition") or {}
    wanted = [str(each.get("userEnteredValue", "")).lower() for each in condition.get("values") or [{}]]
    match condition.get("type"):
        case "TEXT_EQ":
            return text.lower() != wanted[0]
        case "TEXT_CONTAINS":
            return wanted[0] not in text.lower()
        case "BLANK":
            return text != ""
        case "NOT_BLANK":
            return text == ""
    return False
