"""How a Google Sheet is dressed for the people who work in it: what is there already stays. Pure: requests only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sheetsync.common.types import Json
from sheetsync.rows.header import column_letter
from sheetsync.sheets.google.formatting.styles import COLOR_SCALED, FILTER_VIEWS, GRADIENT, NOTES, PREVIEW, FilterView
from sheetsync.sheets.google.grid_requests import NOT_INHERITED, clear_fields
from sheetsync.sheets.google.metadata import (
    DROPDOWN_HINT,
    DropdownOwner,
    TabMetadata,
    assert_column_at,
    id_of,
    mark_created,
)

MAX_CHOICES = 500  # of a drop-down
PLAIN_COUNT = re.compile(r"0|[1-9][0-9]{0,14}")
CONVERTED = re.compile(  # what a spreadsheet may take for a number, a date, a time or a yes or no
    r"""^[\d\s.,:/%$€£()-]+$ | ^\d.*e[+-]?\d+$ | ^(?:true|false)$ | \d\s*[ap]m\b
    | ^(?=.*\d).*\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b""",
    re.IGNORECASE | re.VERBOSE,
)


def missing_requests(marks: TabMetadata, places: Mapping[str, int], labels: Sequence[str]) -> list[Json]:
    """Requests for whatever is missing; [] when nothing is. `places` are the columns by role, all of them anchored.

    A tab of one row has no room for what goes below the header.
    """
    ours = {role: place for role, place in places.items() if role in NOTES}
    requests = [
        *_freeze(marks),
        *(set_note(marks.sheet, place, NOTES[role]) for role, place in ours.items() if not marks.notes.get(place)),
        *(_protection(marks.sheet, role, place) for role, place in ours.items() if not has_protection(marks, role)),
        *(_below(marks, places, ours, labels) if marks.rows > 1 else ()),
    ]
    return only_if_in_place(marks.sheet, places, requests)


def _below(
    marks: TabMetadata, places: Mapping[str, int], ours: Mapping[str, int], labels: Sequence[str]
) -> Iterator[Json]:
    """Requests for what is missing below the header."""
    for role in COLOR_SCALED:
        if role in ours and not has_color_scale(marks, ours[role]):
            yield _color_scale(marks.sheet, ours[role])
    for look in FILTER_VIEWS:
        yield from _view(marks, look, places)
    if any(marks.dropdown_runs("none")):
        yield from set_dropdown(marks, places["label"], labels, "none", "ours")


def only_if_in_place(sheet: int, places: Mapping[str, int], requests: Sequence[Json]) -> list[Json]:
    """Requests that are all refused when one of these columns has moved."""
    return (
        [*(each for role, at in places.items() for each in assert_column_at(sheet, role, at)), *requests]
        if requests
        else []
    )


def set_dropdown(marks: TabMetadata, column: int, labels: Sequence[str], *where: DropdownOwner) -> list[Json]:
    """A drop-down of labels, where people may type others too, for rows as in `Marks.runs`.

    Without labels, and with more of them than it holds, ours is taken away.
    """
    values = [{"userEnteredValue": label} for label in pickable_labels(labels)]
    if not values:
        return [set_validation(marks.sheet, column, run, None) for run in marks.dropdown_runs("ours")]
    condition = {"type": "ONE_OF_LIST", "values": values}
    rule = {"condition": condition, "inputMessage": DROPDOWN_HINT, "strict": False, "showCustomUi": True}
    return [set_validation(marks.sheet, column, run, rule) for run in marks.dropdown_runs(*where)]


def pickable_labels(labels: Sequence[str]) -> list[str]:
    """The labels that stay what they are when they are picked: a drop-down types them, and 007 would become 7.

    None at all where they are more than it holds.

    >>> pickable_labels(["iv", "7", "007", "=1+1", "1.50", "May 5", "may", "class 3"])
    ['iv', '7', 'may', 'class 3']
    """
    safe = (PLAIN_COUNT.fullmatch(label) or not (label[0] in "=+-@'" or CONVERTED.search(label)) for label in labels)
    kept = [label for label, is_safe in zip(labels, safe, strict=True) if is_safe]
    return kept if len(kept) <= MAX_CHOICES else []


def _freeze(marks: TabMetadata) -> Iterator[Json]:
    if not marks.frozen and marks.rows > 1:
        yield freeze_rows(marks.sheet, 1)


def freeze_rows(sheet: int, rows: int) -> Json:
    """Keep so many rows in sight."""
    properties = {"sheetId": sheet, "gridProperties": {"frozenRowCount": rows}}
    return {"updateSheetProperties": {"properties": properties, "fields": "gridProperties.frozenRowCount"}}


def set_note(sheet: int, column: int, words: str) -> Json:
    """Put a note on a header, or take it off."""
    start = {"sheetId": sheet, "rowIndex": 0, "columnIndex": column}
    return {"updateCells": {"rows": [{"values": [{"note": words}]}], "fields": "note", "start": start}}


def has_protection(marks: TabMetadata, role: str) -> bool:
    """Whether there is a warning of ours before edits of a column."""
    return id_of(marks.sheet, role) in marks.protected


def _protection(sheet: int, role: str, column: int) -> Json:
    words = f"sheetsync writes {role}: what is typed here is replaced"
    protected = {"protectedRangeId": id_of(sheet, role), "description": words, "warningOnly": True}
    return {"addProtectedRange": {"protectedRange": {**protected, "range": _range(sheet, column)}}}


def has_color_scale(marks: TabMetadata, column: int) -> bool:
    """Whether a column has a colour scale, of ours or another."""
    return any("gradientRule" in rule and covers_column(rule, column) for rule in marks.rules)


def covers_column(rule: Json, column: int) -> bool:
    """Whether a rule is for a column."""
    spans = ((each.get("startColumnIndex", 0), each.get("endColumnIndex", column + 1)) for each in rule["ranges"])
    return any(start <= column < end for start, end in spans)


def _color_scale(sheet: int, column: int) -> Json:
    return {"addConditionalFormatRule": {"rule": {"ranges": [_range(sheet, column, 1)], "gradientRule": GRADIENT}}}


def _view(marks: TabMetadata, look: FilterView, places: Mapping[str, int]) -> Iterator[Json]:
    """A view that is missing, or one that new rows and columns have outgrown."""
    if not look.needs <= set(places):
        return
    whole = {"sheetId": marks.sheet, "startRowIndex": 0, "endRowIndex": marks.rows}
    whole |= {"startColumnIndex": 0, "endColumnIndex": marks.columns}
    identity = id_of(marks.sheet, look.title)
    view: Json = {"filterViewId": identity, "range": whole}
    there = marks.views.get(identity)
    specs = [{"columnIndex": places[role], "filterCriteria": shows} for role, shows in look.criteria.items()]
    if there is None:
        yield {"addFilterView": {"filter": {**view, "title": look.title, "filterSpecs": specs, **_order(look, places)}}}
    elif not there.get("filterSpecs") and not there.get("sortSpecs"):  # its column went away, and came back
        fields = {"filterSpecs": specs, **_order(look, places)}
        yield {"updateFilterView": {"filter": {**view, **fields}, "fields": ",".join(["range", *fields])}}
    elif any(there["range"].get(end, whole[end]) < whole[end] for end in ("endRowIndex", "endColumnIndex")):
        yield {"updateFilterView": {"filter": view, "fields": "range"}}


def _order(look: FilterView, places: Mapping[str, int]) -> Json:
    if not look.sort:
        return {}
    return {"sortSpecs": [{"dimensionIndex": places[look.sort], "sortOrder": "ASCENDING"}]}


def set_validation(sheet: int, column: int, run: tuple[int, int], rule: Json | None) -> Json:
    """Give rows of a column a rule for what is typed, or take theirs away."""
    where = {**_range(sheet, column), "startRowIndex": run[0], "endRowIndex": run[1]}
    given = {"rule": rule} if rule else {}
    return {"setDataValidation": {"range": where, **given, "filteredRowsIncluded": True}}


def _range(sheet: int, column: int, first: int = 0) -> Json:
    rows = {"startRowIndex": first} if first else {}
    return {"sheetId": sheet, **rows, "startColumnIndex": column, "endColumnIndex": column + 1}


def add_preview(marks: TabMetadata, places: Mapping[str, int], width: int) -> list[Json]:
    """A new column right of everything that shows the image of each row, by one formula in its header.

    One formula for all rows: new rows have their picture at once, and sorting moves nothing. Semicolons separate
    arguments in every language of a spreadsheet.
    """
    letters = column_letter(places["image"])
    whole = f"{letters}:{letters}"  # a part would be pushed down by a row that comes at its top
    formula = f'=ARRAYFORMULA(IF(ROW({whole})=1;"{PREVIEW}";IF({whole}="";"";IFERROR(IMAGE({whole})))))'
    where = {"sheetId": marks.sheet, "dimension": "COLUMNS", "startIndex": width, "endIndex": width + 1}
    cells = [{"values": [{"userEnteredValue": {"formulaValue": formula}}]}]
    start = {"sheetId": marks.sheet, "rowIndex": 0, "columnIndex": width}
    requests: list[Json] = [
        {"insertDimension": {"range": where, "inheritFromBefore": width > 0}},
        clear_fields(marks.sheet, "Column", width, 1, NOT_INHERITED),
        {"updateCells": {"rows": cells, "fields": "userEnteredValue", "start": start}},
        *mark_created(marks.sheet, PREVIEW, width),
    ]
    return only_if_in_place(marks.sheet, places, requests)
