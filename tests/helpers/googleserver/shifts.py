"""Ranges follow rows and columns that are put in, taken out or moved."""

from __future__ import annotations

from typing import Any

from .references import Span, shift_formulas
from .state import Book, Json, Sheet

KEYS = {"ROWS": ("startRowIndex", "endRowIndex"), "COLUMNS": ("startColumnIndex", "endColumnIndex")}


def inserted(at: int, count: int) -> Span:
    def span(start: int, end: int | None) -> tuple[int, int | None]:
        return start + count if start >= at else start, end + count if end is not None and end > at else end

    return span


def deleted(first: int, last: int) -> Span:
    def point(index: int) -> int:
        return index - max(0, min(index, last) - first)

    def span(start: int, end: int | None) -> tuple[int, int | None] | None:
        if end is None:
            return point(start), None
        return (point(start), point(end)) if point(start) < point(end) else None

    return span


def moved(first: int, last: int, before: int) -> Span:
    """Move `first` up to `last` before what is at `before`."""
    count = last - first
    landing = before - count if before > first else before
    take_out, put_in = deleted(first, last), inserted(landing, count)

    def span(start: int, end: int | None) -> tuple[int, int | None] | None:
        if end is not None and first <= start and end <= last:
            return start + landing - first, end + landing - first
        if start <= first and start <= before and (end is None or (last <= end and before <= end)):
            return start, end
        rest = take_out(start, end)
        return None if rest is None else put_in(*rest)

    return span


def _grid(found: Json, sheet: int, dimension: str, span: Span) -> Json | None:
    first, last = KEYS[dimension]
    if (found.get("sheetId") or 0) != sheet or (first not in found and last not in found):
        return found
    ends = span(found.get(first, 0), found.get(last))
    if ends is None:
        return None
    return found | {key: end for key, end in zip((first, last), ends, strict=True) if key in found}


def _line(found: Json, sheet: int, dimension: str, span: Span) -> Json | None:
    if (found.get("sheetId") or 0) != sheet or found["dimension"] != dimension:
        return found
    ends = span(found.get("startIndex", 0), found.get("endIndex"))
    return None if ends is None else found | {"startIndex": ends[0], "endIndex": ends[1]}


def _index(index: int, span: Span) -> int | None:
    found = span(index, index + 1)
    return None if found is None else found[0]


def _ranged(thing: Json, *change: Any) -> Json | None:
    """A thing with a range, gone when its range is."""
    if "range" not in thing:
        return thing
    found = _grid(thing["range"], *change)
    if found is None:
        return None
    thing = thing | {"range": found}
    if "unprotectedRanges" in thing:
        rest = [_grid(each, *change) for each in thing["unprotectedRanges"]]
        thing["unprotectedRanges"] = [each for each in rest if each is not None]
    return thing


def _filter(thing: Json | None, sheet: int, dimension: str, span: Span) -> Json | None:
    """A filter, whose criteria are by column."""
    ranged = _ranged(thing, sheet, dimension, span) if thing else None
    if ranged is None or dimension == "ROWS":
        return ranged
    if "criteria" in ranged:
        moves = ((_index(int(column), span), rule) for column, rule in ranged["criteria"].items())
        ranged["criteria"] = {str(column): rule for column, rule in moves if column is not None}
    for name, key in (("filterSpecs", "columnIndex"), ("sortSpecs", "dimensionIndex")):
        if name in ranged:
            specs = [spec | {key: _index(spec.get(key, 0), span)} for spec in ranged[name]]
            ranged[name] = [spec for spec in specs if spec[key] is not None]
    return ranged


def _rule(rule: Json, *change: Any) -> Json | None:
    ranges = [_grid(each, *change) for each in rule["ranges"]]
    left = [each for each in ranges if each is not None]
    return rule | {"ranges": left} if left else None


def _metadata(entry: Json, *change: Any) -> Json | None:
    location = entry["location"]
    if "dimensionRange" not in location:
        return entry
    found = _line(location["dimensionRange"], *change)
    return None if found is None else entry | {"location": location | {"dimensionRange": found}}


def _group(group: Json, *change: Any) -> Json | None:
    found = _line(group["range"], *change)
    return None if found is None else group | {"range": found}


def _merge(merge: Json, *change: Any) -> Json | None:
    found = _grid(merge, *change)
    if found is None:
        return None
    single = all(found[last] - found[first] == 1 for first, last in KEYS.values())
    return None if single else found


def _kept(things: list[Json], how: Any, *change: Any) -> list[Json]:
    return [found for found in (how(thing, *change) for thing in things) if found is not None]


def follow(book: Book, sheet: Sheet, dimension: str, span: Span) -> None:
    """Move everything that has a place, except the cells."""
    change = (sheet.id, dimension, span)
    book.named = _kept(book.named, _ranged, *change)
    book.metadata = _kept(book.metadata, _metadata, *change)
    sheet.merges = _kept(sheet.merges, _merge, *change)
    sheet.protected = _kept(sheet.protected, _ranged, *change)
    sheet.filter_views = _kept(sheet.filter_views, _filter, *change)
    sheet.conditional = _kept(sheet.conditional, _rule, *change)
    sheet.groups = _kept(sheet.groups, _group, *change)
    sheet.basic_filter = _filter(sheet.basic_filter, *change)
    moves = ((_index(at, span), size) for at, size in sheet.sizes[dimension].items())
    sheet.sizes[dimension] = {at: size for at, size in moves if at is not None}
    shift_formulas(book.sheets, sheet, dimension, span)
