"""Build the requests that add the formatting of a Google Sheet; what is there already stays. Pure."""

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

MAX_CHOICES = 500  # in a drop-down
PLAIN_COUNT = re.compile(r"0|[1-9][0-9]{0,14}")
CONVERTED = re.compile(  # what a spreadsheet may convert to a number, a date, a time or a boolean
    r"""^[\d\s.,:/%$€£()-]+$ | ^\d.*e[+-]?\d+$ | ^(?:true|false)$ | \d\s*[ap]m\b
    | ^(?=.*\d).*\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b""",
    re.IGNORECASE | re.VERBOSE,
)


def missing_requests(tab: TabMetadata, positions: Mapping[str, int], labels: Sequence[str]) -> list[Json]:
    """Return requests for all that is missing; [] if nothing is. `positions`: columns by role, all of them anchored.

    A tab of one row has no room for what goes below the header.
    """
    ours = {role: column for role, column in positions.items() if role in NOTES}
    requests = [
        *([freeze_rows(tab.sheet, 1)] if not tab.frozen and tab.rows > 1 else []),
        *(set_note(tab.sheet, column, NOTES[role]) for role, column in ours.items() if not tab.notes.get(column)),
        *(_protect(tab.sheet, role, column) for role, column in ours.items() if not has_protection(tab, role)),
        *(_missing_below_header(tab, positions, ours, labels) if tab.rows > 1 else ()),
    ]
    return only_if_in_place(tab.sheet, positions, requests)


def _missing_below_header(
    tab: TabMetadata, positions: Mapping[str, int], ours: Mapping[str, int], labels: Sequence[str]
) -> Iterator[Json]:
    for role in COLOR_SCALED:
        if role in ours and not has_color_scale(tab, ours[role]):
            rule = {"ranges": [_range(tab.sheet, ours[role], 1)], "gradientRule": GRADIENT}
            yield {"addConditionalFormatRule": {"rule": rule}}
    for view in FILTER_VIEWS:
        yield from _add_or_update_view(tab, view, positions)
    if any(tab.dropdown_runs("none")):
        yield from set_dropdown(tab, positions["label"], labels, "none", "ours")


def only_if_in_place(sheet: int, positions: Mapping[str, int], requests: Sequence[Json]) -> list[Json]:
    """Return a batch of requests that is refused as a whole if one of these columns has moved; [] for none."""
    return (
        [*(each for role, at in positions.items() for each in assert_column_at(sheet, role, at)), *requests]
        if requests
        else []
    )


def set_dropdown(tab: TabMetadata, column: int, labels: Sequence[str], *owners: DropdownOwner) -> list[Json]:
    """Return requests for a drop-down of labels, beside which people may type others, in rows of these owners.

    Without labels, or with more than a drop-down holds, ours is removed. For owners see `TabMetadata.dropdown_runs`.
    """
    values = [{"userEnteredValue": label} for label in pickable_labels(labels)]
    if not values:
        return [set_validation(tab.sheet, column, run, None) for run in tab.dropdown_runs("ours")]
    condition = {"type": "ONE_OF_LIST", "values": values}
    rule = {"condition": condition, "inputMessage": DROPDOWN_HINT, "strict": False, "showCustomUi": True}
    return [set_validation(tab.sheet, column, run, rule) for run in tab.dropdown_runs(*owners)]


def pickable_labels(labels: Sequence[str]) -> list[str]:
    """Return the labels that stay the same when picked: a drop-down types them, and 007 would become 7.

    [] if they are more than a drop-down holds.

    >>> pickable_labels(["iv", "7", "007", "=1+1", "1.50", "May 5", "may", "class 3"])
    ['iv', '7', 'may', 'class 3']
    """
    safe = (PLAIN_COUNT.fullmatch(label) or not (label[0] in "=+-@'" or CONVERTED.search(label)) for label in labels)
    kept = [label for label, is_safe in zip(labels, safe, strict=True) if is_safe]
    return kept if len(kept) <= MAX_CHOICES else []


def freeze_rows(sheet: int, rows: int) -> Json:
    """Return the request that freezes so many rows at the top."""
    properties = {"sheetId": sheet, "gridProperties": {"frozenRowCount": rows}}
    return {"updateSheetProperties": {"properties": properties, "fields": "gridProperties.frozenRowCount"}}


def set_note(sheet: int, column: int, words: str) -> Json:
    """Return the request that sets the note on a header; "" removes it."""
    start = {"sheetId": sheet, "rowIndex": 0, "columnIndex": column}
    return {"updateCells": {"rows": [{"values": [{"note": words}]}], "fields": "note", "start": start}}


def has_protection(tab: TabMetadata, role: str) -> bool:
    """True if a column has our protection, which warns before edits."""
    return id_of(tab.sheet, role) in tab.protected


def _protect(sheet: int, role: str, column: int) -> Json:
    words = f"sheetsync writes {role}: what is typed here is replaced"
    protected = {"protectedRangeId": id_of(sheet, role), "description": words, "warningOnly": True}
    return {"addProtectedRange": {"protectedRange": {**protected, "range": _range(sheet, column)}}}


def has_color_scale(tab: TabMetadata, column: int) -> bool:
    """True if a column has a colour scale, ours or another."""
    return any("gradientRule" in rule and covers_column(rule, column) for rule in tab.rules)


def covers_column(rule: Json, column: int) -> bool:
    """True if a conditional format rule includes a column."""
    spans = ((each.get("startColumnIndex", 0), each.get("endColumnIndex", column + 1)) for each in rule["ranges"])
    return any(start <= column < end for start, end in spans)


def _add_or_update_view(tab: TabMetadata, view: FilterView, positions: Mapping[str, int]) -> Iterator[Json]:
    """Yield the request for a filter view that is missing, or that does not include new rows and columns."""
    if not view.needs <= set(positions):
        return
    whole = {"sheetId": tab.sheet, "startRowIndex": 0, "endRowIndex": tab.rows}
    whole |= {"startColumnIndex": 0, "endColumnIndex": tab.columns}
    identity = id_of(tab.sheet, view.title)
    base: Json = {"filterViewId": identity, "range": whole}
    existing = tab.views.get(identity)
    specs = [{"columnIndex": positions[role], "filterCriteria": criterion} for role, criterion in view.criteria.items()]
    if existing is None:
        yield {
            "addFilterView": {
                "filter": {**base, "title": view.title, "filterSpecs": specs, **_sort_specs(view, positions)}
            }
        }
    elif not existing.get("filterSpecs") and not existing.get("sortSpecs"):  # its column was deleted, and made again
        fields = {"filterSpecs": specs, **_sort_specs(view, positions)}
        yield {"updateFilterView": {"filter": {**base, **fields}, "fields": ",".join(["range", *fields])}}
    elif any(existing["range"].get(end, whole[end]) < whole[end] for end in ("endRowIndex", "endColumnIndex")):
        yield {"updateFilterView": {"filter": base, "fields": "range"}}


def _sort_specs(view: FilterView, positions: Mapping[str, int]) -> Json:
    if not view.sort:
        return {}
    return {"sortSpecs": [{"dimensionIndex": positions[view.sort], "sortOrder": "ASCENDING"}]}


def set_validation(sheet: int, column: int, run: tuple[int, int], rule: Json | None) -> Json:
    """Return the request that sets the data validation of a run of rows in a column; None removes it."""
    where = {**_range(sheet, column), "startRowIndex": run[0], "endRowIndex": run[1]}
    return {"setDataValidation": {"range": where, **({"rule": rule} if rule else {}), "filteredRowsIncluded": True}}


def _range(sheet: int, column: int, first: int = 0) -> Json:
    rows = {"startRowIndex": first} if first else {}
    return {"sheetId": sheet, **rows, "startColumnIndex": column, "endColumnIndex": column + 1}


def add_preview(tab: TabMetadata, positions: Mapping[str, int], width: int) -> list[Json]:
    """Return requests for a new column right of all others that shows each row's image, by a formula in its header.

    It is one formula for all rows: new rows have their picture at once, and sorting moves no formula. Semicolons
    separate arguments in every locale of a spreadsheet.
    """
    letters = column_letter(positions["image"])
    whole = f"{letters}:{letters}"  # a range from row 2 on would move down when a row is inserted at its top
    formula = f'=ARRAYFORMULA(IF(ROW({whole})=1;"{PREVIEW}";IF({whole}="";"";IFERROR(IMAGE({whole})))))'
    where = {"sheetId": tab.sheet, "dimension": "COLUMNS", "startIndex": width, "endIndex": width + 1}
    cells = [{"values": [{"userEnteredValue": {"formulaValue": formula}}]}]
    start = {"sheetId": tab.sheet, "rowIndex": 0, "columnIndex": width}
    requests: list[Json] = [
        {"insertDimension": {"range": where, "inheritFromBefore": width > 0}},
        clear_fields(tab.sheet, "Column", width, 1, NOT_INHERITED),
        {"updateCells": {"rows": cells, "fields": "userEnteredValue", "start": start}},
        *mark_created(tab.sheet, PREVIEW, width),
    ]
    return only_if_in_place(tab.sheet, positions, requests)
