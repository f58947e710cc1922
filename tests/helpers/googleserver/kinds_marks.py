"""Kinds of requests about what is laid over the cells: names, protection, filters, rules, metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import a1, grid
from .discovery import refuse_unknown
from .errors import Refusal
from .filters import location_of, matching
from .formats import plain
from .kind import Batch, Kind
from .masks import paths, updated
from .state import Area, Json, Sheet


def _find(things: Iterable[Json], key: str, wanted: Any, what: str) -> Json:
    for thing in things:
        if thing[key] == wanted:
            return thing
    raise Refusal(400, f"No {what} with id: {wanted}")


def _swap(things: list[Json], old: Json, new: Json) -> None:
    things[things.index(old)] = new


def _updated(message: str, old: Json, new: Json | None, fields: str | None) -> Json:
    for path in paths(fields):
        if path != ("*",):
            refuse_unknown(message, path)
    return updated(old, new, fields)


# --- named ranges -----------------------------------------------------------------------------------


def _check_name(batch: Batch, name: str, own: str | None = None) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name) or a1.LOOKS_LIKE_CELL.fullmatch(name):
        raise Refusal(400, f"The name {name} is not valid for a named range.")
    if any(named["name"].lower() == name.lower() and named["namedRangeId"] != own for named in batch.book.named):
        raise Refusal(400, f"A named range with name {name} already exists.")


def add_named(batch: Batch, request: Json) -> Json:
    given = request.get("namedRange") or {}
    _check_name(batch, given.get("name") or "")
    batch.place(given.get("range"))
    named = {"namedRangeId": given.get("namedRangeId") or str(batch.new_id()), "name": given["name"]}
    batch.book.named.append(named | {"range": {"sheetId": 0} | given["range"]})
    return {"namedRange": plain(batch.book.named[-1])}


def update_named(batch: Batch, request: Json) -> None:
    given = request.get("namedRange") or {}
    old = _find(batch.book.named, "namedRangeId", given.get("namedRangeId"), "named range")
    new = _updated("NamedRange", old, given, request.get("fields")) | {"namedRangeId": old["namedRangeId"]}
    _check_name(batch, new.get("name") or "", old["namedRangeId"])
    batch.place(new.get("range"))
    _swap(batch.book.named, old, new | {"range": {"sheetId": 0} | new["range"]})


def delete_named(batch: Batch, request: Json) -> None:
    batch.book.named.remove(_find(batch.book.named, "namedRangeId", request.get("namedRangeId"), "named range"))


# --- protected ranges -------------------------------------------------------------------------------


def _owner_sheet(batch: Batch, name: str, key: str, wanted: Any, what: str) -> tuple[list[Json], Json]:
    for sheet in batch.book.sheets:
        things: list[Json] = getattr(sheet, name)
        for thing in things:
            if thing[key] == wanted:
                return things, thing
    raise Refusal(400, f"No {what} with id: {wanted}")


def _refuse_taken(batch: Batch, name: str, key: str, wanted: Any, what: str) -> None:
    """It is an error to give an id that there is, says the reference; the words are from memory."""
    if any(thing[key] == wanted for sheet in batch.book.sheets for thing in getattr(sheet, name)):
        raise Refusal(400, f"A {what} with id: {wanted} already exists.")


def add_protected(batch: Batch, request: Json) -> Json:
    given = request.get("protectedRange") or {}
    sheet, _ = batch.place(given.get("range"))
    protected_id = given.get("protectedRangeId") or batch.new_id()
    _refuse_taken(batch, "protected", "protectedRangeId", protected_id, "protected range")
    editors = given.get("editors") or {}
    if not given.get("warningOnly"):
        users = [batch.call.user, *(user for user in editors.get("users") or [] if user != batch.call.user)]
        editors = editors | {"users": users}
    kept = given | {"protectedRangeId": protected_id, "range": {"sheetId": 0} | given["range"], "editors": editors}
    sheet.protected.append(kept)
    reply = plain(kept) | {"requestingUserCanEdit": True}
    return {"protectedRange": {k: v for k, v in reply.items() if k != "editors"} | {"editors": {}}}


def update_protected(batch: Batch, request: Json) -> None:
    given = request.get("protectedRange") or {}
    wanted = given.get("protectedRangeId")
    things, old = _owner_sheet(batch, "protected", "protectedRangeId", wanted, "protected range")
    _refuse_stranger(batch, old)
    new = _updated("ProtectedRange", old, given, request.get("fields"))
    things[things.index(old)] = new | {"protectedRangeId": old["protectedRangeId"]}


def _refuse_stranger(batch: Batch, protected: Json) -> None:
    batch.may(Sheet(0, "", protected=[protected]), Area.of(protected.get("range", {}))._replace(sheet=0))


def delete_protected(batch: Batch, request: Json) -> None:
    wanted = request.get("protectedRangeId")
    things, old = _owner_sheet(batch, "protected", "protectedRangeId", wanted, "protected range")
    _refuse_stranger(batch, old)
    things.remove(old)


# --- filters ----------------------------------------------------------------------------------------


def set_filter(batch: Batch, request: Json) -> None:
    given = request.get("filter") or {}
    sheet, area = batch.place(given.get("range"))
    area = area.clipped(sheet)
    sheet.basic_filter = given | {"range": area.json()}
    if given.get("sortSpecs") and area.top + 1 < (area.bottom or 0):
        grid.sort(batch.book, sheet, area._replace(top=area.top + 1), given["sortSpecs"])


def clear_filter(batch: Batch, request: Json) -> None:
    batch.book.sheet(request.get("sheetId")).basic_filter = None


def add_view(batch: Batch, request: Json) -> Json:
    given = request.get("filter") or {}
    sheet, area = batch.place(given.get("range"))
    view = given | {"filterViewId": given.get("filterViewId") or batch.new_id(), "range": area.clipped(sheet).json()}
    _refuse_taken(batch, "filter_views", "filterViewId", view["filterViewId"], "filter view")
    view.setdefault("title", f"Filter {len(sheet.filter_views) + 1}")
    sheet.filter_views.append(view)
    return {"filter": plain(view)}


def update_view(batch: Batch, request: Json) -> None:
    given = request.get("filter") or {}
    things, old = _owner_sheet(batch, "filter_views", "filterViewId", given.get("filterViewId"), "filter view")
    new = _updated("FilterView", old, given, request.get("fields")) | {"filterViewId": old["filterViewId"]}
    batch.place(new.get("range"))
    _swap(things, old, new)


def delete_view(batch: Batch, request: Json) -> None:
    things, old = _owner_sheet(batch, "filter_views", "filterViewId", request.get("filterId"), "filter view")
    things.remove(old)


# --- conditional formats ----------------------------------------------------------------------------


def _rule(batch: Batch, rule: Json | None) -> tuple[Sheet, Json]:
    if not rule or not rule.get("ranges"):
        raise Refusal(400, "At least one range must be set.")
    if not (rule.get("booleanRule") or rule.get("gradientRule")):
        raise Refusal(400, "No rule type specified.")
    sheets = {batch.place(each)[0].id for each in rule["ranges"]}
    if len(sheets) > 1:
        raise Refusal(400, "All ranges must be on the same sheet.")
    ranges = [{"sheetId": 0} | each for each in rule["ranges"]]
    return batch.book.sheet(sheets.pop()), rule | {"ranges": ranges}


def add_rule(batch: Batch, request: Json) -> None:
    sheet, rule = _rule(batch, request.get("rule"))
    index = request.get("index") or 0
    if index > len(sheet.conditional):
        raise Refusal(400, f"No conditional format on sheet: {sheet.id} at index: {index}")
    sheet.conditional.insert(index, rule)


def _rule_at(batch: Batch, sheet_id: int | None, index: int | None) -> tuple[Sheet, int]:
    sheet, at = batch.book.sheet(sheet_id), index or 0
    if not 0 <= at < len(sheet.conditional):
        raise Refusal(400, f"No conditional format on sheet: {sheet.id} at index: {at}")
    return sheet, at


def update_rule(batch: Batch, request: Json) -> Json:
    old_at = request.get("index") or 0
    if request.get("rule") is not None:
        sheet, rule = _rule(batch, request["rule"])
        _rule_at(batch, sheet.id, old_at)
        old, sheet.conditional[old_at] = sheet.conditional[old_at], rule
        return plain({"oldRule": old, "oldIndex": old_at, "newRule": rule, "newIndex": old_at})  # type: ignore[no-any-return]
    sheet, old_at = _rule_at(batch, request.get("sheetId"), old_at)
    rule = sheet.conditional.pop(old_at)
    sheet.conditional.insert(request.get("newIndex") or 0, rule)
    return plain({"oldIndex": old_at, "newRule": rule, "newIndex": request.get("newIndex") or 0})  # type: ignore[no-any-return]


def delete_rule(batch: Batch, request: Json) -> Json:
    sheet, at = _rule_at(batch, request.get("sheetId"), request.get("index"))
    return {"rule": plain(sheet.conditional.pop(at))}


# --- developer metadata -----------------------------------------------------------------------------


def add_metadata(batch: Batch, request: Json) -> Json:
    given = request.get("developerMetadata") or {}
    if not given.get("metadataKey"):
        raise Refusal(400, "metadataKey must be set.")
    if not given.get("visibility"):
        raise Refusal(400, "visibility must be set.")
    location = location_of(given.get("location") or {})
    _refuse_outside(batch, location)
    entry = given | {"metadataId": given.get("metadataId") or batch.new_id(), "location": location}
    if any(each["metadataId"] == entry["metadataId"] for each in batch.book.metadata):
        raise Refusal(400, f"Developer metadata with id {entry['metadataId']} already exists.")
    batch.book.metadata.append(entry)
    return {"developerMetadata": plain(entry)}


def _refuse_outside(batch: Batch, location: Json) -> None:
    found = location.get("dimensionRange")
    sheet_id = (found or location).get("sheetId")
    sheet = batch.book.sheet(sheet_id) if sheet_id is not None else None
    if found and sheet and found["endIndex"] > sheet.count(found["dimension"]):
        raise Refusal(400, "The developer metadata's location is outside the grid.")


def update_metadata(batch: Batch, request: Json) -> Json:
    found = [entry for data_filter in request.get("dataFilters") or [] for entry in matching(batch.book, data_filter)]
    new = []
    for entry in found:
        changed = _updated("DeveloperMetadata", entry, request.get("developerMetadata"), request.get("fields"))
        changed |= {"metadataId": entry["metadataId"], "location": location_of(changed["location"])}
        _swap(batch.book.metadata, entry, changed)
        new.append(changed)
    return plain({"developerMetadata": new}) if new else {}


def delete_metadata(batch: Batch, request: Json) -> Json:
    found = matching(batch.book, request.get("dataFilter") or {})
    batch.book.metadata = [entry for entry in batch.book.metadata if entry not in found]
    return plain({"deletedDeveloperMetadata": found}) if found else {}


KINDS: dict[str, Kind] = {
    "addNamedRange": add_named,
    "updateNamedRange": update_named,
    "deleteNamedRange": delete_named,
    "addProtectedRange": add_protected,
    "updateProtectedRange": update_protected,
    "deleteProtectedRange": delete_protected,
    "setBasicFilter": set_filter,
    "clearBasicFilter": clear_filter,
    "addFilterView": add_view,
    "updateFilterView": update_view,
    "deleteFilterView": delete_view,
    "addConditionalFormatRule": add_rule,
    "updateConditionalFormatRule": update_rule,
    "deleteConditionalFormatRule": delete_rule,
    "createDeveloperMetadata": add_metadata,
    "updateDeveloperMetadata": update_metadata,
    "deleteDeveloperMetadata": delete_metadata,
}
