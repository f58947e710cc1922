"""Data filters: ranges that are given as a range or by developer metadata."""

from __future__ import annotations

from . import a1
from .errors import Refusal
from .state import Area, Book, Json


def areas_of(book: Book, data_filter: Json) -> list[Area]:
    """The ranges that a filter picks."""
    if data_filter.get("a1Range"):
        return [a1.parse(data_filter["a1Range"], book)]
    if data_filter.get("gridRange") is not None:
        area = Area.of(data_filter["gridRange"])
        book.sheet(area.sheet)
        return [area]
    found = map(area_of, matching(book, data_filter))
    return [area for area in found if area is not None]


def matching(book: Book, data_filter: Json) -> list[Json]:
    """The metadata that a filter picks."""
    lookup = data_filter.get("developerMetadataLookup")
    if lookup is not None:
        return [entry for entry in book.metadata if _matches(entry, lookup)]
    areas = areas_of(book, data_filter)
    return [entry for entry in book.metadata if any(_on(entry, area) for area in areas)]


def area_of(entry: Json) -> Area | None:
    location = entry["location"]
    if "dimensionRange" in location:
        found = location["dimensionRange"]
        sheet, first, last = found.get("sheetId") or 0, found["startIndex"], found["endIndex"]
        if found["dimension"] == "ROWS":
            return Area(sheet, first, 0, last)
        return Area(sheet, 0, first, None, last)
    return Area(location["sheetId"]) if "sheetId" in location else None


def _on(entry: Json, area: Area) -> bool:
    own = area_of(entry)
    return own is not None and own.meets(area)


def _matches(entry: Json, lookup: Json) -> bool:
    for name in ("metadataKey", "metadataValue", "metadataId", "visibility"):
        if lookup.get(name) is not None and entry.get(name) != lookup[name]:
            return False
    if lookup.get("locationType") and entry["location"]["locationType"] != lookup["locationType"]:
        return False
    return not lookup.get("metadataLocation") or _located(entry["location"], lookup["metadataLocation"])


def _located(location: Json, wanted: Json) -> bool:
    if wanted.get("spreadsheet"):
        return bool(location.get("spreadsheet"))
    if wanted.get("dimensionRange"):
        asked = location_of(wanted)["dimensionRange"]
        return bool(location.get("dimensionRange") == asked)
    return location.get("sheetId") == wanted.get("sheetId")


def location_of(given: Json) -> Json:
    """A location as it is kept, with its type; refuses a range of several rows or columns."""
    if given.get("spreadsheet"):
        return {"locationType": "SPREADSHEET", "spreadsheet": True}
    if given.get("dimensionRange") is not None:
        found = {"sheetId": 0} | given["dimensionRange"]
        if found.get("endIndex") is None or found["endIndex"] - found.get("startIndex", 0) != 1:
            raise Refusal(400, "DimensionRange must represent a single row or column")
        kind = "ROW" if found["dimension"] == "ROWS" else "COLUMN"
        return {"locationType": kind, "dimensionRange": {"startIndex": 0} | found}
    if given.get("sheetId") is not None:
        return {"locationType": "SHEET", "sheetId": given["sheetId"]}
    raise Refusal(400, "A location must be set.")
