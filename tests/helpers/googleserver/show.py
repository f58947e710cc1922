"""Render a cell for a reader: as people see it, as a value, or as typed."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable

from .entry import DAY_ZERO, number
from .formulas import Failure, evaluate
from .state import Book, Cell, Json, Sheet, Stored, Value

DATE_KINDS = ("DATE", "TIME", "DATE_TIME")
DEFAULT_PATTERNS = {
    "DATE": "m/d/yyyy",
    "TIME": "h:mm:ss am/pm",
    "DATE_TIME": "m/d/yyyy h:mm:ss",
    "PERCENT": "0.00%",
    "SCIENTIFIC": "0.00E+00",
    "CURRENCY": '"$"#,##0.00',
    "NUMBER": "#,##0.00",
    "TEXT": "@",
}
DATE_TOKEN = re.compile(r"yyyy|yy|mmmm|mmm|mm|m|dddd|ddd|dd|d|hh|h|ss|s|am/pm|\"[^\"]*\"|.", re.IGNORECASE | re.DOTALL)
Reader = Callable[[Stored, int, int], Value]


def general(value: float) -> str:
    """A number in a cell without a format."""
    value = number(value)
    if isinstance(value, int):
        return str(value)
    text = f"{value:.10G}"
    return re.sub(r"E([+-])0*(\d)", r"E\1\2", text)


def _with_decimals(value: float, pattern: str) -> str:
    decimals = len(re.sub(r".*\.", "", pattern)) if "." in pattern else 0
    scaled = math.floor(abs(value) * 10**decimals + 0.5 + 1e-9) / 10**decimals
    text = f"{scaled:{',' if ',' in pattern else ''}.{decimals}f}"
    return ("-" if value < 0 and scaled else "") + text


def _by_pattern(value: float, pattern: str) -> str:
    bare = re.sub(r'"([^"]*)"|\\.', "", pattern)
    prefix = "".join(re.findall(r'"([^"]*)"', pattern)) or ("$" if "$" in bare else "")
    digits = re.sub(r"[^0#.,]", "", bare.split("E")[0])
    if "E" in bare:
        mantissa, _, power = f"{value:.{len(digits.partition('.')[2])}E}".partition("E")
        return f"{mantissa}E{power}"
    if not digits:
        return general(value)
    if "%" in bare:
        return _with_decimals(value * 100, digits) + "%"
    text = _with_decimals(value, digits)
    return "-" + prefix + text[1:] if text.startswith("-") else prefix + text


def by_date(value: float, pattern: str) -> str:
    """A serial number as date and time."""
    moment = DAY_ZERO + dt.timedelta(seconds=round(float(value) * 86400, 3))
    tokens = DATE_TOKEN.findall(pattern)
    half = any(token.lower() == "am/pm" for token in tokens)
    out, after_hour = [], False
    for token in tokens:
        low = token.lower()
        minute = low in ("m", "mm") and after_hour
        out.append(_date_token(token, moment, half=half, minute=minute))
        if low[0] in "hmsdy":
            after_hour = low[0] == "h"
    return "".join(out)


def _date_token(token: str, moment: dt.datetime, *, half: bool, minute: bool) -> str:
    low = token.lower()
    hour = (moment.hour % 12 or 12) if half else moment.hour
    units = {"m": moment.minute if minute else moment.month, "d": moment.day, "h": hour, "s": moment.second}
    words = {
        "yyyy": f"{moment.year:04}",
        "yy": f"{moment.year % 100:02}",
        "mmm": moment.strftime("%b"),
        "mmmm": moment.strftime("%B"),
        "ddd": moment.strftime("%a"),
        "dddd": moment.strftime("%A"),
        "am/pm": "PM" if moment.hour > 11 else "AM",
    }
    if low in words:
        return words[low]
    if low[0] in units and low in ("m", "mm", "d", "dd", "h", "hh", "s", "ss"):
        return f"{units[low[0]]:0{len(low)}}"
    return token.strip('"')


def number_format(form: Json | None) -> tuple[str, str]:
    """Kind and pattern of a cell's number format, both empty where it has none."""
    found = (form or {}).get("numberFormat") or {}
    kind = found.get("type", "")
    return kind, found.get("pattern") or DEFAULT_PATTERNS.get(kind, "")


def text_of(value: Value, form: Json | None = None) -> str:
    """A value as people see it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return value
    kind, pattern = number_format(form)
    if kind in DATE_KINDS:
        return by_date(value, pattern)
    return _by_pattern(value, pattern) if pattern and kind != "TEXT" else general(value)


def value_of(cell: Cell, book: Book, sheet: Sheet, row: int, column: int) -> Value:
    """The value of a cell, of a formula its result; a `Failure` is a text."""
    if cell.formula is None:
        return cell.value
    return evaluate(cell.formula, book, sheet, row, column)


def reader(book: Book, sheet: Sheet, render: str = "FORMATTED_VALUE", dates: str = "SERIAL_NUMBER") -> Reader:
    """Return the function that renders the cells of a sheet under these options; an empty one is "" ."""

    def as_value(stored: Stored, row: int, column: int) -> Value:
        cell = stored if type(stored) is Cell else Cell(stored)  # type: ignore[arg-type]
        if render == "FORMULA" and cell.formula is not None:
            return cell.formula
        value = value_of(cell, book, sheet, row, column)
        if value is None:
            return ""
        if dates == "FORMATTED_STRING" and not isinstance(value, (str, bool)):
            is_date = number_format(cell.format)[0] in DATE_KINDS
            return text_of(value, cell.format) if is_date else value
        return value

    def as_text(stored: Stored, row: int, column: int) -> Value:
        if type(stored) is not Cell:
            return text_of(stored)  # type: ignore[arg-type]
        return text_of(value_of(stored, book, sheet, row, column), stored.format)

    return as_text if render == "FORMATTED_VALUE" else as_value


def error_type(value: Value) -> str | None:
    return value.kind if isinstance(value, Failure) else None
