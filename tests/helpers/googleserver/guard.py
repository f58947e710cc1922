"""Refuse edits: protected ranges and, if the switch is on, strict validation."""

from __future__ import annotations

from .errors import PROTECTED, Refusal
from .show import text_of
from .state import Area, Book, Json, Sheet, Value


def refuse_protected(sheet: Sheet, area: Area, user: str, *, owner: bool) -> None:
    """Refuse an edit of a range that is protected from this user."""
    for protected in sheet.protected:
        if owner or protected.get("warningOnly") or user in protected.get("editors", {}).get("users", []):
            continue
        where = Area.of(protected.get("range", {}))
        free = [Area.of(each) for each in protected.get("unprotectedRanges", [])]
        if where._replace(sheet=sheet.id).meets(area) and not any(_holds(each, area) for each in free):
            raise Refusal(400, PROTECTED)


def _holds(outer: Area, inner: Area) -> bool:
    high = float("inf")
    rows = outer.top <= inner.top and (inner.bottom or high) <= (outer.bottom or high)
    return rows and outer.left <= inner.left and (inner.right or high) <= (outer.right or high)


def refuse_values(book: Book, sheet: Sheet, area: Area) -> None:
    """Refuse values that a strict rule forbids."""
    for _, _, cell in sheet.cells(area):
        strict = cell.validation if cell.validation and cell.validation.get("strict") else None
        if strict and cell.value is not None and not _valid(strict, cell.value):
            raise Refusal(400, "The data you entered violates the data validation rules set on this cell.")


def _valid(rule: Json, value: Value) -> bool:
    condition = rule.get("condition", {})
    allowed = [each.get("userEnteredValue", "") for each in condition.get("values", [])]
    match condition.get("type"):
        case "ONE_OF_LIST":
            return text_of(value) in allowed
        case "BOOLEAN":
            return isinstance(value, bool) if not allowed else text_of(value) in allowed
        case _:
            return True
