"""Formats and colours as they are stored and answered, and the properties of a new spreadsheet."""

from __future__ import annotations

from typing import Any

from .state import Json

COLORS = ("backgroundColor", "foregroundColor", "tabColor")
WHITE = {"red": 1, "green": 1, "blue": 1}
DEFAULT_FORMAT: Json = {
    "backgroundColor": WHITE,
    "padding": {"top": 2, "right": 3, "bottom": 2, "left": 3},
    "verticalAlignment": "BOTTOM",
    "wrapStrategy": "OVERFLOW_CELL",
    "textFormat": {
        "foregroundColor": {},
        "fontFamily": "arial,sans,sans-serif",
        "fontSize": 10,
        "bold": False,
        "italic": False,
        "strikethrough": False,
        "underline": False,
        "foregroundColorStyle": {"rgbColor": {}},
    },
    "backgroundColorStyle": {"rgbColor": WHITE},
}
THEME = {
    "TEXT": {},
    "BACKGROUND": WHITE,
    "ACCENT1": {"red": 0.25882354, "green": 0.52156866, "blue": 0.95686275},
    "ACCENT2": {"red": 0.91764706, "green": 0.2627451, "blue": 0.20784314},
    "ACCENT3": {"red": 0.9843137, "green": 0.7372549, "blue": 0.015686275},
    "ACCENT4": {"red": 0.20392157, "green": 0.65882355, "blue": 0.3254902},
    "ACCENT5": {"red": 1, "green": 0.42745098, "blue": 0.003921569},
    "ACCENT6": {"red": 0.27450982, "green": 0.7411765, "blue": 0.7764706},
    "LINK": {"red": 0.06666667, "green": 0.33333334, "blue": 0.8},
}


def new_properties(title: str) -> Json:
    """The properties of a new spreadsheet."""
    return {
        "title": title,
        "locale": "en_US",
        "autoRecalc": "ON_CHANGE",
        "timeZone": "Etc/GMT",
        "defaultFormat": DEFAULT_FORMAT,
        "spreadsheetTheme": {
            "primaryFontFamily": "Arial",
            "themeColors": [{"colorType": kind, "color": {"rgbColor": color}} for kind, color in THEME.items()],
        },
    }


def _color(color: Json) -> Json:
    """Channels of 0 are not written."""
    return {name: value for name, value in color.items() if value}


def both_colors(given: Json) -> Json:
    """A colour reads back as a style too."""
    found: Json = {}
    for name, value in given.items():
        if isinstance(value, dict) and name in COLORS:
            found[name] = _color(value)
            found.setdefault(f"{name}Style", {"rgbColor": _color(value)})
        elif isinstance(value, dict) and name.removesuffix("Style") in COLORS and "rgbColor" in value:
            found[name] = {"rgbColor": _color(value["rgbColor"])}
            found[name.removesuffix("Style")] = _color(value["rgbColor"])
        else:
            found[name] = both_colors(value) if isinstance(value, dict) else value
    return found


def effective(own: Json | None) -> Json:
    """A cell's format on top of the default one."""
    return {"hyperlinkDisplayType": "PLAIN_TEXT"} | _over(DEFAULT_FORMAT, own or {})


def _over(under: Json, top: Json) -> Json:
    found = dict(under)
    for name, value in top.items():
        both = isinstance(value, dict) and name in ("textFormat", "padding")
        found[name] = _over(under.get(name, {}), value) if both else value
    return found


def _unset(value: Any) -> bool:
    return value is None or value is False or value in ("", [])


def plain(thing: Any) -> Any:
    """Anything but cells as it is answered: what is false, empty or unset is left out, and sheet 0 in ranges."""
    if isinstance(thing, list):
        return [plain(each) for each in thing]
    if not isinstance(thing, dict):
        return thing
    found = {name: plain(value) for name, value in thing.items() if not _unset(value)}
    if found.get("sheetId") == 0 and "gridProperties" not in found and "title" not in found:
        del found["sheetId"]
    return found
