"""The methods of Sheets v4."""

from __future__ import annotations

from collections.abc import Callable

from . import a1, reading, values
from .errors import NO_PERMISSION, NOT_FOUND, Refusal
from .filters import areas_of, matching
from .formats import plain
from .kinds_sheets import retarget
from .routes import Request
from .state import Area, Book, Json
from .world import Document, World

Method = Callable[[World, Request], Json]


def _readable(world: World, request: Request) -> Book:
    return world.open(request.path["spreadsheetId"], request.user, "reader").book


def _writable(world: World, request: Request) -> Document:
    return world.open(request.path["spreadsheetId"], request.user, "writer")


def _filtered(book: Book, body: Json) -> list[Area]:
    return [area for each in body.get("dataFilters") or [] for area in areas_of(book, each)]


def get(world: World, request: Request) -> Json:
    book = _readable(world, request)
    areas = [a1.parse(each, book) for each in request.query.get("ranges", [])]
    for area in areas:
        a1.check_inside(area, book.sheet(area.sheet), start_only=world.switches.clip_ends)
    grid_data = request.yes("includeGridData") and request.mask is None
    return reading.get(book, request.user, areas=areas, grid_data=grid_data, mask=request.mask)


def get_by_filter(world: World, request: Request) -> Json:
    book = _readable(world, request)
    areas = _filtered(book, request.body)
    grid_data = bool(request.body.get("includeGridData")) and request.mask is None
    return reading.get(book, request.user, areas=areas, grid_data=grid_data, mask=request.mask)


def create(world: World, request: Request) -> Json:
    if not world.switches.drive_storage:
        raise Refusal(403, NO_PERMISSION)
    given = request.body.get("properties") or {}
    document = world.add(given.get("title") or "Untitled spreadsheet", request.user)
    return reading.get(document.book, request.user, areas=[], grid_data=False, mask=request.mask)


def batch_update(world: World, request: Request) -> Json:
    document, body = _writable(world, request), request.body
    replies = world.apply(document, body.get("requests") or [], world.call(request.user))
    answer: Json = {"spreadsheetId": document.book.id, "replies": replies}
    if body.get("includeSpreadsheetInResponse"):
        areas = [a1.parse(each, document.book) for each in body.get("responseRanges") or []]
        grid_data = bool(body.get("responseIncludeGridData"))
        found = reading.get(document.book, request.user, areas=areas, grid_data=grid_data, mask=None)
        answer["updatedSpreadsheet"] = found
    return answer


def copy_to(world: World, request: Request) -> Json:
    source = _readable(world, request)
    sheet = next((each for each in source.sheets if str(each.id) == request.path["sheetId"]), None)
    if sheet is None:
        raise Refusal(404, NOT_FOUND)
    target = world.open(request.body.get("destinationSpreadsheetId") or "", request.user, "writer")
    twin = sheet.copy()
    twin.id = world.updater.random.randrange(1, 2**31 - 1)
    twin.title, at = f"Copy of {sheet.title}", 2
    while target.book.titled(twin.title):
        twin.title, at = f"Copy of {sheet.title} {at}", at + 1
    retarget(twin)
    world.edit(target, lambda draft: draft.sheets.append(twin))
    return reading.sheet_properties(target.book, target.book.sheet(twin.id))


# --- values -----------------------------------------------------------------------------------------


def values_get(world: World, request: Request) -> Json:
    book = _readable(world, request)
    return values.get(book, a1.parse(request.path["range"], book), request.options, switches=world.switches)


def values_batch_get(world: World, request: Request) -> Json:
    book = _readable(world, request)
    areas = [a1.parse(each, book) for each in request.query.get("ranges", [])]
    return values.batch_get(book, areas, request.options, switches=world.switches)


def values_batch_get_by_filter(world: World, request: Request) -> Json:
    book = _readable(world, request)
    found = []
    for each in request.body.get("dataFilters") or []:
        for area in areas_of(book, each):
            got = values.get(book, area, request.body, switches=world.switches)
            found.append({"valueRange": got, "dataFilters": [each]})
    return {"spreadsheetId": book.id} | ({"valueRanges": found} if found else {})


def values_update(world: World, request: Request) -> Json:
    def change(book: Book) -> Json:
        area = _same_range(book, request)
        return values.update(book, area, request.body, request.options, world.call(request.user))

    return world.edit(_writable(world, request), change)


def _same_range(book: Book, request: Request) -> Area:
    area = a1.parse(request.path["range"], book)
    inside = request.body.get("range")
    if inside and a1.parse(inside, book) != area:
        text = f"Requested writing within range [{request.path['range']}], but the body says [{inside}]"
        raise Refusal(400, text)
    return area


def values_append(world: World, request: Request) -> Json:
    def change(book: Book) -> Json:
        area = _same_range(book, request)
        return values.append(book, area, request.body, request.options, world.call(request.user))

    return world.edit(_writable(world, request), change)


def values_clear(world: World, request: Request) -> Json:
    def change(book: Book) -> Json:
        cleared = values.clear(book, a1.parse(request.path["range"], book), world.call(request.user))
        return {"spreadsheetId": book.id, "clearedRange": cleared}

    return world.edit(_writable(world, request), change)


def values_batch_update(world: World, request: Request) -> Json:
    call = world.call(request.user)
    return world.edit(_writable(world, request), lambda book: values.batch_update(book, request.body, call))


def values_batch_update_by_filter(world: World, request: Request) -> Json:
    call = world.call(request.user)
    return world.edit(_writable(world, request), lambda book: values.batch_update_by_filter(book, request.body, call))


def _clear_all(book: Book, areas: list[Area], world: World, user: str) -> Json:
    cleared = [values.clear(book, area, world.call(user)) for area in areas]
    return {"spreadsheetId": book.id} | ({"clearedRanges": cleared} if cleared else {})


def values_batch_clear(world: World, request: Request) -> Json:
    def change(book: Book) -> Json:
        areas = [a1.parse(each, book) for each in request.body.get("ranges") or []]
        return _clear_all(book, areas, world, request.user)

    return world.edit(_writable(world, request), change)


def values_batch_clear_by_filter(world: World, request: Request) -> Json:
    def change(book: Book) -> Json:
        return _clear_all(book, _filtered(book, request.body), world, request.user)

    return world.edit(_writable(world, request), change)


# --- developer metadata -----------------------------------------------------------------------------


def metadata_get(world: World, request: Request) -> Json:
    for entry in _readable(world, request).metadata:
        if str(entry["metadataId"]) == request.path["metadataId"]:
            return plain(entry)  # type: ignore[no-any-return]
    raise Refusal(404, f"No developer metadata with ID {request.path['metadataId']}")


def metadata_search(world: World, request: Request) -> Json:
    book = _readable(world, request)
    found = []
    for each in request.body.get("dataFilters") or []:
        found += [{"developerMetadata": plain(entry), "dataFilters": [each]} for entry in matching(book, each)]
    return {"matchedDeveloperMetadata": found} if found else {}


METHODS: dict[str, Method] = {
    "spreadsheets.get": get,
    "spreadsheets.getByDataFilter": get_by_filter,
    "spreadsheets.create": create,
    "spreadsheets.batchUpdate": batch_update,
    "spreadsheets.sheets.copyTo": copy_to,
    "spreadsheets.values.get": values_get,
    "spreadsheets.values.batchGet": values_batch_get,
    "spreadsheets.values.batchGetByDataFilter": values_batch_get_by_filter,
    "spreadsheets.values.update": values_update,
    "spreadsheets.values.append": values_append,
    "spreadsheets.values.clear": values_clear,
    "spreadsheets.values.batchUpdate": values_batch_update,
    "spreadsheets.values.batchUpdateByDataFilter": values_batch_update_by_filter,
    "spreadsheets.values.batchClear": values_batch_clear,
    "spreadsheets.values.batchClearByDataFilter": values_batch_clear_by_filter,
    "spreadsheets.developerMetadata.get": metadata_get,
    "spreadsheets.developerMetadata.search": metadata_search,
}
