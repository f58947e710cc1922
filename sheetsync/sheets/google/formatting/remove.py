"""Find what of a Google Sheet's formatting is ours, and build the requests that remove only that. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sheetsync.common.text import shorten
from sheetsync.common.types import Json
from sheetsync.sheets.google.formatting.add import (
    covers_column,
    freeze_rows,
    has_protection,
    only_if_in_place,
    set_note,
    set_validation,
)
from sheetsync.sheets.google.formatting.styles import COLOR_SCALED, FILTER_VIEWS, GRADIENT, NOTES, PREVIEW
from sheetsync.sheets.google.metadata import FormattingRecord, TabMetadata, delete_record, id_of, plain, unanchor


def created_columns(tab: TabMetadata, positions: Mapping[str, int]) -> dict[str, int]:
    """Return the columns that `add` made, role -> column, except those that people have renamed or made again."""
    recorded = (tab.record or FormattingRecord()).columns
    return {
        role: column
        for role, column in positions.items()
        if (role in NOTES or role == PREVIEW)
        and plain(tab.header[column]) in recorded
        and tab.made_column(tab.header[column]) == column
    }


def removal_requests(
    tab: TabMetadata, positions: Mapping[str, int], gone: Collection[str], scores: int | None
) -> list[Json]:
    """Return requests that remove our formatting and nothing else, and whole columns: those of the roles `gone`.

    `scores` is the tab to remove, None = none.
    """
    record = tab.record or FormattingRecord()
    kept = {role: column for role, column in positions.items() if role not in gone}
    removed = [positions[role] for role in gone]
    whole_columns = {"sheetId": tab.sheet, "dimension": "COLUMNS"}
    requests = [
        *(
            {"deleteFilterView": {"filterId": each}}
            for view in FILTER_VIEWS
            if (each := id_of(tab.sheet, view.title)) in tab.views
        ),
        *({"deleteProtectedRange": {"protectedRangeId": id_of(tab.sheet, role)}} for role in _our_protections(tab)),
        *(
            {"deleteConditionalFormatRule": {"sheetId": tab.sheet, "index": index}}
            for index in _our_color_scales(tab, [kept[role] for role in COLOR_SCALED if role in kept])
        ),
        *(set_note(tab.sheet, column, "") for role, column in kept.items() if _has_our_note(tab, role, column)),
        *(set_validation(tab.sheet, positions["label"], run, None) for run in tab.dropdown_runs("ours")),
        *([freeze_rows(tab.sheet, 0)] if record.frozen and tab.frozen == 1 else []),
        *(unanchor(tab.sheet, role) for role in positions),
        *({"deleteNamedRange": {"namedRangeId": each}} for each in _our_named_ranges(tab, removed, scores)),
        *(
            {"deleteDimension": {"range": {**whole_columns, "startIndex": column, "endIndex": column + 1}}}
            for column in sorted(removed, reverse=True)
        ),
        *([{"deleteSheet": {"sheetId": scores}}] if scores is not None else []),
        *([delete_record(tab)] if tab.record else []),
    ]
    return only_if_in_place(tab.sheet, positions, requests)


def _our_protections(tab: TabMetadata) -> list[str]:
    return [role for role in NOTES if has_protection(tab, role)]


def _has_our_note(tab: TabMetadata, role: str, column: int) -> bool:
    return role in NOTES and tab.notes.get(column) == NOTES[role]


def _our_color_scales(tab: TabMetadata, columns: Collection[int]) -> list[int]:
    """Return the indexes of our rules on some columns, the last first, so that deleting one moves no other."""
    indexes = [
        index
        for index, rule in enumerate(tab.rules)
        if is_our_color_scale(rule) and any(covers_column(rule, column) for column in columns)
    ]
    return sorted(indexes, reverse=True)


def is_our_color_scale(rule: Json) -> bool:
    """True if a conditional format rule is our colour scale."""
    points = rule.get("gradientRule", {})
    return set(points) == set(GRADIENT) and all(_same_point(points[name], GRADIENT[name]) for name in GRADIENT)


def _same_point(one: Json, other: Json) -> bool:
    colours = [each.get("colorStyle", {}).get("rgbColor", {}) for each in (one, other)]
    near = (abs(colours[0].get(part, 0) - colours[1].get(part, 0)) < 0.01 for part in ("red", "green", "blue"))
    return one.get("value") == other["value"] and all(near)


def _our_named_ranges(tab: TabMetadata, columns: Collection[int], scores: int | None) -> Iterator[str]:
    """Yield the ids of the named ranges by which we write to columns, and to a tab, that are to be removed."""
    for each in tab.names:
        sheet, column = (each.get("range", {}).get(part, 0) for part in ("sheetId", "startColumnIndex"))
        removed = (sheet == tab.sheet and column in columns) or sheet == scores
        if removed and each["name"].startswith("sheetsync_"):
            yield each["namedRangeId"]


def describe_formatting(tab: TabMetadata, positions: Mapping[str, int], columns: Collection[str]) -> list[str]:
    """List in words what in a tab is ours; `columns`: the roles of the columns to list."""
    record = tab.record or FormattingRecord()
    headers = {role: shorten(tab.header[column], 80) for role, column in positions.items()}
    ours = {
        "columns": [headers[role] for role in positions if role in columns],
        "notes on the headers of": [
            headers[role] for role, column in positions.items() if _has_our_note(tab, role, column)
        ],
        "a warning before edits in": [headers.get(role, role) for role in _our_protections(tab)],
        "colour scales on": [
            headers[role] for role in COLOR_SCALED if role in positions and _our_color_scales(tab, [positions[role]])
        ],
        "filter views": [f"“{view.title}”" for view in FILTER_VIEWS if id_of(tab.sheet, view.title) in tab.views],
        "a drop-down of labels in": [headers["label"]] if "ours" in tab.dropdowns else [],
        "the freezing of the": ["header"] if record.frozen and tab.frozen == 1 else [],
    }
    return [f"{what} {', '.join(names)}" for what, names in ours.items() if names]
