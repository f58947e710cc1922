"""Kinds of requests about sheets, rows and columns."""

from __future__ import annotations

from typing import Any

from . import grid, reading
from .discovery import refuse_unknown
from .errors import Refusal
from .formats import both_colors
from .kind import Batch, Kind
from .masks import paths, updated
from .references import rename
from .state import Area, Json, Sheet


def _title(batch: Batch, title: str, own: Sheet | None = None) -> str:
    taken = next((sheet for sheet in batch.book.sheets if sheet.title.lower() == title.lower()), None)
    if taken is not None and taken is not own:
        raise Refusal(400, f'A sheet with the name "{title}" already exists. Please enter another name.')
    if not title or len(title) > 100:
        raise Refusal(400, "You can't leave a sheet's name empty." if not title else "The sheet's name is too long.")
    return title


def _free_title(batch: Batch) -> str:
    at = len(batch.book.sheets) + 1
    while batch.book.titled(f"Sheet{at}"):
        at += 1
    return f"Sheet{at}"


def _put_at(batch: Batch, sheet: Sheet, index: int | None) -> None:
    sheets = batch.book.sheets
    sheets.insert(len(sheets) if index is None else index, sheet)


def update_spreadsheet(batch: Batch, request: Json) -> None:
    for path in paths(request.get("fields")):
        refuse_unknown("SpreadsheetProperties", path)
    batch.book.properties = updated(batch.book.properties, request.get("properties"), request.get("fields"))


def update_sheet(batch: Batch, request: Json) -> None:
    given = request.get("properties") or {}
    sheet = batch.book.sheet(given.get("sheetId"))
    for path in paths(request.get("fields")):
        if path != ("*",):
            refuse_unknown("SheetProperties", path)
    old = reading.sheet_properties(batch.book, sheet)
    new = updated(old, given, request.get("fields"))
    if new.get("title") != sheet.title:
        batch.may(sheet, Area(sheet.id))
        rename(batch.book.sheets, sheet.title, new.get("title", ""))
    sheet.title = _title(batch, new.get("title", ""), sheet)
    counts = new.get("gridProperties", {})
    for dimension, name in (("ROWS", "rowCount"), ("COLUMNS", "columnCount")):
        _resize(batch, sheet, dimension, counts.get(name, 0))
    _freeze_fits(counts)
    sheet.properties = _own(new)
    if new.get("index", 0) != old["index"]:
        _reorder(batch, sheet, old["index"], new.get("index", 0))
    if all(each.properties.get("hidden") for each in batch.book.sheets):
        raise Refusal(400, "You can't hide all the sheets in a document.")


def _own(properties: Json) -> Json:
    inner = properties.get("gridProperties") or {}
    kept = {name: value for name, value in inner.items() if name not in ("rowCount", "columnCount")}
    elsewhere = ("sheetId", "title", "index", "gridProperties", "sheetType")
    own = both_colors({name: value for name, value in properties.items() if name not in elsewhere})
    return own | ({"gridProperties": kept} if kept else {})


def _resize(batch: Batch, sheet: Sheet, dimension: str, count: int) -> None:
    old = sheet.count(dimension)
    if count == old:
        return
    if count < 1:
        raise Refusal(400, f"You can't delete all the {dimension.lower()} on the sheet.")
    if count < old:
        grid.delete(batch.book, sheet, dimension, count, old)
    sheet.resize(dimension, count)
    batch.book.check_size()


def _freeze_fits(counts: Json) -> None:
    for what in ("row", "column"):
        if counts.get(f"frozen{what.title()}Count", 0) >= counts.get(f"{what}Count", 0):
            raise Refusal(400, f"You can't freeze all visible {what}s on the sheet.")


def _reorder(batch: Batch, sheet: Sheet, old: int, new: int) -> None:
    sheets = batch.book.sheets
    if new > len(sheets):
        raise Refusal(400, f"index[{new}] is after the last sheet.")
    sheets.remove(sheet)
    sheets.insert(new - (new > old), sheet)  # an index is counted before the sheet leaves its place


def add_sheet(batch: Batch, request: Json) -> Json:
    given = request.get("properties") or {}
    counts = given.get("gridProperties") or {}
    sheet_id = given.get("sheetId")
    if any(sheet.id == sheet_id for sheet in batch.book.sheets):
        raise Refusal(400, f"Sheet with ID {sheet_id} already exists.")
    sheet = Sheet(
        batch.new_id() if sheet_id is None else sheet_id,
        _title(batch, given.get("title") or _free_title(batch)),
        counts.get("rowCount") or 1000,
        counts.get("columnCount") or 26,
        _own(given),
    )
    _put_at(batch, sheet, given.get("index"))
    batch.book.check_size()
    return {"properties": reading.sheet_properties(batch.book, sheet)}


def delete_sheet(batch: Batch, request: Json) -> None:
    sheet = batch.book.sheet(request.get("sheetId"))
    batch.may(sheet, Area(sheet.id))
    if not [each for each in batch.book.sheets if each is not sheet and not each.properties.get("hidden")]:
        raise Refusal(400, "You can't remove all the visible sheets in a document.")
    book = batch.book
    book.sheets.remove(sheet)
    book.named = [named for named in book.named if (named["range"].get("sheetId") or 0) != sheet.id]
    book.metadata = [entry for entry in book.metadata if _sheet_of(entry["location"]) != sheet.id]


def _sheet_of(location: Json) -> int | None:
    found: int | None = location.get("dimensionRange", location).get("sheetId")
    return found


def duplicate_sheet(batch: Batch, request: Json) -> Json:
    source = batch.book.sheet(request.get("sourceSheetId"))
    twin = source.copy()
    twin.id = batch.new_id() if request.get("newSheetId") is None else request["newSheetId"]
    twin.title = _title(batch, request.get("newSheetName") or _copy_title(batch, source.title))
    retarget(twin)
    _put_at(batch, twin, request.get("insertSheetIndex") or 0)
    batch.book.check_size()
    return {"properties": reading.sheet_properties(batch.book, twin)}


def _copy_title(batch: Batch, title: str) -> str:
    name, at = f"Copy of {title}", 2
    while batch.book.titled(name):
        name, at = f"Copy of {title} {at}", at + 1
    return name


def retarget(sheet: Sheet) -> None:
    """Let all that a copied sheet has refer to itself."""

    def turned(thing: Any) -> Any:
        if isinstance(thing, list):
            return [turned(each) for each in thing]
        if isinstance(thing, dict):
            return {name: sheet.id if name == "sheetId" else turned(value) for name, value in thing.items()}
        return thing

    for name in ("merges", "protected", "filter_views", "conditional", "groups", "basic_filter"):
        setattr(sheet, name, turned(getattr(sheet, name)))


def insert_dimension(batch: Batch, request: Json) -> None:
    sheet, dimension, first, last = batch.line(request.get("range"))
    before = bool(request.get("inheritFromBefore"))
    if first > sheet.count(dimension) or (first == sheet.count(dimension) and not before):
        size = f"range.startIndex[{first}] must be less than the grid size[{sheet.count(dimension)}]"
        raise Refusal(400, f"{size} if inheritFromBefore is false.")
    if before and not first:
        raise Refusal(400, "inheritFromBefore cannot be true when inserting at the first row or column.")
    grid.insert(batch.book, sheet, dimension, first, last - first, like_before=before)
    batch.book.check_size()


def delete_dimension(batch: Batch, request: Json) -> None:
    sheet, dimension, first, last = batch.line(request.get("range"))
    what, count = dimension.lower()[:-1], sheet.count(dimension)
    if last > count:
        tried = f"Tried to delete {what} index {last - 1} but there are only {count} {what}s."
        raise Refusal(400, f"Cannot delete a {what} that doesn't exist. {tried}")
    if last - first == count:
        raise Refusal(400, f"You can't delete all the {what}s on the sheet.")
    if count - (last - first) <= sheet.properties.get("gridProperties", {}).get(f"frozen{what.title()}Count", 0):
        raise Refusal(400, f"You can't delete all the {what}s that are not frozen.")
    batch.may_line(sheet, dimension, first, last)
    grid.delete(batch.book, sheet, dimension, first, last)


def append_dimension(batch: Batch, request: Json) -> None:
    sheet = batch.book.sheet(request.get("sheetId"))
    dimension = request.get("dimension") or ""
    if dimension not in ("ROWS", "COLUMNS"):
        raise Refusal(400, "No dimension specified.")
    if (request.get("length") or 0) < 1:
        raise Refusal(400, "length must be positive.")
    sheet.resize(dimension, sheet.count(dimension) + request["length"])
    batch.book.check_size()


def move_dimension(batch: Batch, request: Json) -> None:
    sheet, dimension, first, last = batch.line(request.get("source"))
    before = request.get("destinationIndex") or 0
    if max(last, before) > sheet.count(dimension):
        raise Refusal(400, f"destinationIndex[{before}] or source is outside the grid.")
    if first < before < last:
        raise Refusal(400, "The destination cannot lie within the source.")
    batch.may_line(sheet, dimension, first, last)
    grid.move(batch.book, sheet, dimension, first, last, before)


def update_dimension(batch: Batch, request: Json) -> None:
    sheet, dimension, first, last = batch.line(request.get("range"))
    for path in paths(request.get("fields")):
        refuse_unknown("DimensionProperties", path)
    sizes = sheet.sizes[dimension]
    for at in range(first, last):
        sizes[at] = updated(sizes.get(at), request.get("properties"), request.get("fields"))


def auto_resize(batch: Batch, request: Json) -> None:
    sheet, dimension, first, last = batch.line(request.get("dimensions"))
    for at in range(first, last):
        texts = (len(str(row[at])) for row in sheet.rows if at < len(row) and row[at] is not None)
        size = 21 if dimension == "ROWS" else max(21, 7 * max(texts, default=13) + 8)
        sheet.sizes[dimension][at] = sheet.sizes[dimension].get(at, {}) | {"pixelSize": size}


def add_group(batch: Batch, request: Json) -> Json:
    sheet, dimension, first, last = batch.line(request.get("range"))
    found = {"sheetId": sheet.id, "dimension": dimension, "startIndex": first, "endIndex": last}
    deeper = [group for group in sheet.groups if _same_line(group["range"], found)]
    sheet.groups.append({"range": found, "depth": len(deeper) + 1})
    return {"dimensionGroups": [group for group in sheet.groups if group["range"]["dimension"] == dimension]}


def delete_group(batch: Batch, request: Json) -> Json:
    sheet, dimension, first, last = batch.line(request.get("range"))
    found = {"sheetId": sheet.id, "dimension": dimension, "startIndex": first, "endIndex": last}
    for group in reversed(sheet.groups):
        if group["range"] == found:
            sheet.groups.remove(group)
            rest = [each for each in sheet.groups if each["range"]["dimension"] == dimension]
            return {"dimensionGroups": rest} if rest else {}
    raise Refusal(400, "There is no group over the specified range.")


def _same_line(one: Json, other: Json) -> bool:
    overlap = one["startIndex"] < other["endIndex"] and other["startIndex"] < one["endIndex"]
    return bool(one["dimension"] == other["dimension"] and overlap)


KINDS: dict[str, Kind] = {
    "updateSpreadsheetProperties": update_spreadsheet,
    "updateSheetProperties": update_sheet,
    "addSheet": add_sheet,
    "deleteSheet": delete_sheet,
    "duplicateSheet": duplicate_sheet,
    "insertDimension": insert_dimension,
    "deleteDimension": delete_dimension,
    "appendDimension": append_dimension,
    "moveDimension": move_dimension,
    "updateDimensionProperties": update_dimension,
    "autoResizeDimensions": auto_resize,
    "addDimensionGroup": add_group,
    "deleteDimensionGroup": delete_group,
}
