"""Store a written value: as it is (RAW), or as if a person typed it (USER_ENTERED)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from .errors import Refusal
from .state import EMPTY, MOST_CHARACTERS, Cell, Json, Stored, Switches, Value

BOOLEANS = ("TRUE", "FALSE")
STARTS = frozenset("0123456789+-$.")
DAY_ZERO = dt.datetime(1899, 12, 30)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?(?:\s*(?P<half>[AaPp][Mm]))?"
DATES = (
    (re.compile(rf"(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})(?:[ T]{TIME})?"), "yyyy-mm-dd"),
    (re.compile(rf"(?P<year>\d{{4}})/(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})(?:[ T]{TIME})?"), "yyyy/mm/dd"),
    (re.compile(rf"(?P<month>\d{{1,2}})/(?P<day>\d{{1,2}})/(?P<year>\d{{4}})(?: {TIME})?"), "m/d/yyyy"),
    (re.compile(rf"(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})-(?P<year>\d{{4}})(?: {TIME})?"), "m-d-yyyy"),
    (re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})"), "m/d"),
    (re.compile(r"(?P<month>\d{1,2})-(?P<day>\d{1,2})"), "m-d"),
    (re.compile(r"(?P<word>[A-Za-z]{3,9})\.? (?P<day>\d{1,2})(?:,? (?P<year>\d{4}))?"), "mmm d, yyyy"),
    (re.compile(r"(?P<day>\d{1,2}) (?P<word>[A-Za-z]{3,9})(?: (?P<year>\d{4}))?"), "d mmm yyyy"),
)
NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<currency>\$?)(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?P<part>\.\d*)?(?P<power>[eE][-+]?\d+)?"
    r"(?P<percent>\s?%)?"
)


def number(value: float) -> int | float:
    """Numbers are doubles; whole ones are written without a point."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _pattern(kind: str, pattern: str) -> Json:
    return {"type": kind, "pattern": pattern}


def _number(text: str) -> tuple[Value, Json | None] | None:
    match = NUMBER.fullmatch(text)
    if match is None or not (match["whole"] or (match["part"] or "").strip(".")):
        return None
    digits = match["whole"].replace(",", "") or "0"
    value = float(match["sign"] + digits + (match["part"] or "") + (match["power"] or ""))
    decimals = (match["part"] or ".") != "."
    if match["percent"]:
        return number(value / 100), _pattern("PERCENT", "0.00%" if decimals else "0%")
    if match["power"]:
        return number(value), _pattern("SCIENTIFIC", "0.00E+00")
    if match["currency"]:
        return number(value), _pattern("CURRENCY", '"$"#,##0.00' if decimals else '"$"#,##0')
    if "," in match["whole"]:
        return number(value), _pattern("NUMBER", "#,##0.00" if decimals else "#,##0")
    return number(value), None


def _fraction(match: re.Match[str]) -> float | None:
    parts = match.groupdict()
    if not parts.get("hour"):
        return 0.0
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), float(parts["second"] or 0)
    if parts["half"]:
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    if hour > 23 or minute > 59 or second >= 60:
        return None
    return (hour * 3600 + minute * 60 + second) / 86400


def _date(text: str, year: int) -> tuple[Value, Json | None] | None:
    for regex, pattern in DATES:
        match = regex.fullmatch(text)
        if match and (found := _date_of(match, pattern, year)):
            return found
    match = re.fullmatch(TIME, text)
    if match and (fraction := _fraction(match)) is not None:
        return number(fraction), _pattern("TIME", "h:mm:ss am/pm" if match["half"] else "h:mm:ss")
    return None


def _date_of(match: re.Match[str], pattern: str, year: int) -> tuple[Value, Json | None] | None:
    parts = match.groupdict()
    word = (parts.get("word") or "jan").lower()
    if word[:3] not in MONTHS:
        return None
    month = int(parts["month"]) if parts.get("month") else MONTHS.index(word[:3]) + 1
    fraction = _fraction(match)
    try:
        day = (dt.datetime(int(parts.get("year") or year), month, int(parts["day"])) - DAY_ZERO).days
    except ValueError:
        return None
    if fraction is None:
        return None
    if parts.get("hour"):
        return number(day + fraction), _pattern("DATE_TIME", pattern + " h:mm:ss")
    return day, _pattern("DATE", pattern)


def _starts_formula(text: str, switches: Switches) -> bool:
    if len(text) < 2:
        return False
    return text[0] in "=+" or (switches.dash_starts_formula and text[0] in "-@")


def typed(text: str, old: Cell, switches: Switches, year: int) -> Stored:
    """The cell after a person typed this text into it."""
    if old is EMPTY and text[:1].isalpha() and not _maybe_number(text) and text.upper() not in BOOLEANS:
        return text  # most texts, quickly
    plain = old._replace(value=None, formula=None, picture=False)
    if text == "":
        return plain
    if (old.format or {}).get("numberFormat", {}).get("type") == "TEXT":
        return plain._replace(value=text)
    if text.startswith("'"):
        return plain._replace(value=text[1:] or None)
    if text[0] == "=" and len(text) > 1:
        return plain._replace(formula=text)
    if text.upper() in BOOLEANS:
        return plain._replace(value=text.upper() == "TRUE")
    bare = text.strip()
    found = (_number(bare) or _date(bare, year)) if _maybe_number(bare) else None
    if found is None:
        if _starts_formula(text, switches):
            return plain._replace(formula="=" + text)
        return plain._replace(value=text)
    value, pattern = found
    if pattern and "numberFormat" not in (old.format or {}):
        plain = plain._replace(format={**(old.format or {}), "numberFormat": pattern})
    return plain._replace(value=value)


def _maybe_number(text: str) -> bool:
    """Check quickly, as most texts are not numbers."""
    return len(text) < 40 and (text[:1] in STARTS or text[:3].lower() in MONTHS)


def check_length(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        text = f"Your input contains more than the maximum of {MOST_CHARACTERS} characters in a single cell."
        raise Refusal(400, text)


def _replaced(old: Cell, value: Value) -> Stored:
    return value if old is EMPTY else old._replace(value=value, formula=None, picture=False)


def writer(option: str | None, switches: Switches, year: int) -> Callable[[Any, Cell], Stored]:
    """Return the function that changes a cell by a written value under this valueInputOption."""
    if option not in ("RAW", "USER_ENTERED"):
        raise Refusal(400, "'valueInputOption' is required but not specified")

    def write(value: Any, old: Cell) -> Stored:
        if isinstance(value, str):
            check_length(value)
            if option == "USER_ENTERED":
                return typed(value, old, switches, year)
            return _replaced(old, value or None)
        if isinstance(value, (dict, list)):
            kind = "struct_value" if isinstance(value, dict) else "list_value"
            raise Refusal(400, f"Invalid values: {kind}")
        value = value if isinstance(value, bool) else number(value)
        return _replaced(old, value)

    return write
