"""A1 notation: what a caller writes and what the service answers."""

from __future__ import annotations

import re

from .errors import Refusal
from .state import Area, Book, Sheet

CORNER = r"\$?([A-Za-z]{1,3})?\$?([1-9][0-9]{0,6})?"
CELLS = re.compile(rf"{CORNER}(?:(:){CORNER})?")
PLAIN_TITLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LOOKS_LIKE_CELL = re.compile(r"[A-Za-z]{1,3}[0-9]+|[Rr][0-9]*[Cc][0-9]*")


def letters(column: int) -> str:
    """Return the letters of a column: 0 is A."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def number(name: str) -> int:
    """Return the index of a column: A is 0."""
    column = 0
    for letter in name.upper():
        column = column * 26 + ord(letter) - 64
    return column - 1


def quoted(title: str) -> str:
    """A title as the service writes it: in quotes only when it needs them."""
    if PLAIN_TITLE.fullmatch(title) and not LOOKS_LIKE_CELL.fullmatch(title):
        return title
    return "'" + title.replace("'", "''") + "'"


def cells_name(area: Area, sheet: Sheet) -> str:
    rows, columns = area.rows(sheet), area.columns(sheet)
    first = f"{letters(columns.start)}{rows.start + 1}"
    last = f"{letters(columns.stop - 1)}{rows.stop}"
    return first if first == last else f"{first}:{last}"


def name_of(area: Area, sheet: Sheet) -> str:
    """A range with its ends as far as they go in this sheet."""
    return f"{quoted(sheet.title)}!{cells_name(area, sheet)}"


def parse(text: str, book: Book) -> Area:
    """A range as asked for: of the first sheet where no sheet is named, a named range, or a whole sheet."""
    title, cells = split_title(text)
    if title is None:
        return _bare(text, book)
    sheet = book.titled(title)
    if sheet is None:
        raise Refusal(400, f"Unable to parse range: {text}")
    if cells is None:
        return Area(sheet.id)
    area = parse_cells(cells, sheet)
    if area is None:
        raise Refusal(400, f"Unable to parse range: {text}")
    return area


def split_title(text: str) -> tuple[str | None, str | None]:
    """Title and cells, each None where the text has none."""
    if text.startswith("'"):
        match = re.fullmatch(r"'((?:[^']|'')*)'(?:!(.*))?", text, re.DOTALL)
        return (match[1].replace("''", "'"), match[2]) if match else (None, text)
    if "!" in text:
        title, _, cells = text.rpartition("!")
        return title, cells
    return None, text


def _bare(text: str, book: Book) -> Area:
    area = parse_cells(text, book.sheets[0])
    if area is not None:
        return area
    for named in book.named:
        if named["name"] == text:
            return Area.of(named["range"])
    sheet = book.titled(text)
    if sheet is None:
        raise Refusal(400, f"Unable to parse range: {text}")
    return Area(sheet.id)


def parse_cells(text: str, sheet: Sheet) -> Area | None:
    match = CELLS.fullmatch(text)
    if match is None:
        return None
    left, top, colon, right, bottom = match.groups()
    if not colon:
        if not (left and top):
            return None
        right, bottom = left, top
    elif not (left or top) or not (right or bottom):
        return None
    columns = _span(number(left) if left else None, number(right) if right else None)
    rows = _span(int(top) - 1 if top else None, int(bottom) - 1 if bottom else None)
    return Area(sheet.id, rows[0], columns[0], rows[1], columns[1])


def _span(first: int | None, last: int | None) -> tuple[int, int | None]:
    if first is None:
        return last or 0, None
    if last is None:
        return first, None
    return min(first, last), max(first, last) + 1


def check_inside(area: Area, sheet: Sheet, *, start_only: bool = False) -> None:
    """Refuse what starts or ends outside the grid."""
    beyond_start = area.top >= sheet.row_count or area.left >= sheet.column_count
    beyond_end = (area.bottom or 0) > sheet.row_count or (area.right or 0) > sheet.column_count
    if beyond_start or (beyond_end and not start_only):
        raise Refusal(
            400,
            f"Range ({name_of(area, sheet)}) exceeds grid limits. "
            f"Max rows: {sheet.row_count}, max columns: {sheet.column_count}",
        )
