"""References in formulas, rewritten when cells move."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import a1
from .state import Cell, Sheet

ONE = r"(\$?)([A-Za-z]{1,3})(\$?)([0-9]{1,7})"
SPAN = re.compile(
    rf"""("(?:[^"]|"")*")|('(?:[^']|'')*'!|[A-Za-z_][A-Za-z0-9_]*!)?(?<![A-Za-z0-9_.$]){ONE}(?::{ONE})?(?![A-Za-z0-9_(])"""
)
# rows first, last, columns first, last -> the same, or None where nothing is left of them
Ends = tuple[int, int, int, int]
Fixed = tuple[bool, bool, bool, bool]
Change = Callable[[str | None, Ends, Fixed], Ends | None]
# where from and to (None: to the edge) a stretch of rows or columns lies after a change, or None when it is gone
Span = Callable[[int, int | None], tuple[int, int | None] | None]


def rewritten(formula: str, change: Change) -> str:
    """The formula with each reference changed; what lies in quotes stays."""

    def each(match: re.Match[str]) -> str:
        if match[1]:
            return match[0]
        title = match[2]
        name = (a1.split_title(title[:-1])[0] or title[:-1]) if title else None
        single = match[8] is None
        last = match.group(3, 4, 5, 6) if single else match.group(7, 8, 9, 10)
        ends = (int(match[6]) - 1, int(last[3]) - 1, a1.number(match[4]), a1.number(last[1]))
        fixed = (bool(match[5]), bool(last[2]), bool(match[3]), bool(last[0]))
        changed = change(name, ends, fixed)
        if changed is None:
            return "#REF!"
        if changed == ends:
            return match[0]
        first = _written(changed[2], changed[0], fixed[2], fixed[0])
        text = first if single else f"{first}:{_written(changed[3], changed[1], fixed[3], fixed[1])}"
        return (title or "") + text

    return SPAN.sub(each, formula)


def _written(column: int, row: int, column_fixed: bool, row_fixed: bool) -> str:
    return f"{'$' * column_fixed}{a1.letters(column)}{'$' * row_fixed}{row + 1}"


def carried(formula: str, rows: int, columns: int, *, own_sheet_only: bool = False) -> str:
    """A formula that is put so many rows and columns further, as copying does."""

    def change(title: str | None, ends: Ends, fixed: Fixed) -> Ends | None:
        if own_sheet_only and title is not None:
            return ends
        by = (rows, rows, columns, columns)
        moved = [end if still else end + step for end, still, step in zip(ends, fixed, by, strict=True)]
        return None if min(moved) < 0 else (moved[0], moved[1], moved[2], moved[3])

    return rewritten(formula, change)


def rename(sheets: list[Sheet], old: str, new: str) -> None:
    """Let every formula follow the new title of a sheet."""

    def each(match: re.Match[str]) -> str:
        title = match[2]
        if not title or (a1.split_title(title[:-1])[0] or title[:-1]) != old:
            return match[0]
        return a1.quoted(new) + match[0][len(title) - 1 :]

    for sheet in sheets:
        for row in sheet.rows:
            for at, cell in enumerate(row):
                if type(cell) is Cell and cell.formula and "!" in cell.formula:
                    row[at] = cell._replace(formula=SPAN.sub(each, cell.formula))


def shift_formulas(sheets: list[Sheet], target: Sheet, dimension: str, span: Span) -> None:
    """Let every formula follow rows or columns of `target` that were put in, taken out or moved."""

    def changer(home: Sheet) -> Change:
        def change(title: str | None, ends: Ends, fixed: Fixed) -> Ends | None:
            if (home.title if title is None else title) != target.title:
                return ends
            top, bottom, left, right = ends
            rows = dimension == "ROWS"
            found = span(top, bottom + 1) if rows else span(left, right + 1)
            if found is None or found[1] is None:
                return None
            return (found[0], found[1] - 1, left, right) if rows else (top, bottom, found[0], found[1] - 1)

        return change

    for sheet in sheets:
        change = changer(sheet)
        for row in sheet.rows:
            for at, cell in enumerate(row):
                if type(cell) is Cell and cell.formula:
                    row[at] = cell._replace(formula=rewritten(cell.formula, change))
