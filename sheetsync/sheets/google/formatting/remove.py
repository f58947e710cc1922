"""What of a dressed Google Sheet is ours, and how to take just that away. Pure: requests only."""

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


def created_columns(marks: TabMetadata, places: Mapping[str, int]) -> dict[str, int]:
    """The columns that init made, and that are still what they were: neither renamed nor made anew by people."""
    ours = {role: at for role, at in places.items() if role in NOTES or role == PREVIEW}
    wanted = (marks.record or FormattingRecord()).columns
    return {
        role: at
        for role, at in ours.items()
        if plain(marks.header[at]) in wanted and marks.made_column(marks.header[at]) == at
    }


def removal_requests(
    marks: TabMetadata, places: Mapping[str, int], gone: Collection[str], scores: int | None
) -> list[Json]:
    """Requests that take away what is ours, and nothing else; the columns of the roles `gone` and all in them.

    `scores` is the tab to remove, None = none.
    """
    record = marks.record or FormattingRecord()
    kept = {role: at for role, at in places.items() if role not in gone}
    leaving = [places[role] for role in gone]
    requests = [
        *({"deleteFilterView": {"filterId": each}} for each in _our_views(marks)),
        *({"deleteProtectedRange": {"protectedRangeId": id_of(marks.sheet, role)}} for role in _our_protections(marks)),
        *(
            {"deleteConditionalFormatRule": {"sheetId": marks.sheet, "index": at}}
            for at in _our_rules(marks, [kept[role] for role in COLOR_SCALED if role in kept])
        ),
        *(set_note(marks.sheet, at, "") for role, at in kept.items() if _our_note(marks, role, at)),
        *(set_validation(marks.sheet, places["label"], run, None) for run in marks.dropdown_runs("ours")),
        *([freeze_rows(marks.sheet, 0)] if record.frozen and marks.frozen == 1 else []),
        *(unanchor(marks.sheet, role) for role in places),
        *({"deleteNamedRange": {"namedRangeId": each}} for each in _names(marks, leaving, scores)),
        *(_without_column(marks.sheet, at) for at in sorted(leaving, reverse=True)),
        *([{"deleteSheet": {"sheetId": scores}}] if scores is not None else []),
        *([delete_record(marks)] if marks.record else []),
    ]
    return only_if_in_place(marks.sheet, places, requests)


def _our_views(marks: TabMetadata) -> list[int]:
    return [each for look in FILTER_VIEWS if (each := id_of(marks.sheet, look.title)) in marks.views]


def _our_protections(marks: TabMetadata) -> list[str]:
    return [role for role in NOTES if has_protection(marks, role)]


def _our_note(marks: TabMetadata, role: str, column: int) -> bool:
    return role in NOTES and marks.notes.get(column) == NOTES[role]


def _our_rules(marks: TabMetadata, columns: Collection[int]) -> list[int]:
    """The numbers of our colour scales on some columns, the last first."""
    found = (
        at
        for at, rule in enumerate(marks.rules)
        if is_our_color_scale(rule) and any(covers_column(rule, c) for c in columns)
    )
    return sorted(found, reverse=True)


def is_our_color_scale(rule: Json) -> bool:
    """Whether a rule is our colour scale."""
    points = rule.get("gradientRule", {})
    return set(points) == set(GRADIENT) and all(_same_point(points[name], GRADIENT[name]) for name in GRADIENT)


def _same_point(one: Json, other: Json) -> bool:
    colours = [each.get("colorStyle", {}).get("rgbColor", {}) for each in (one, other)]
    near = (abs(colours[0].get(part, 0) - colours[1].get(part, 0)) < 0.01 for part in ("red", "green", "blue"))
    return one.get("value") == other["value"] and all(near)


def _names(marks: TabMetadata, columns: Collection[int], scores: int | None) -> Iterator[str]:
    """The names by which we write, of columns and of a tab that go."""
    for each in marks.names:
        sheet, column = (each.get("range", {}).get(part, 0) for part in ("sheetId", "startColumnIndex"))
        goes = (sheet == marks.sheet and column in columns) or sheet == scores
        if goes and each["name"].startswith("sheetsync_"):
            yield each["namedRangeId"]


def _without_column(sheet: int, column: int) -> Json:
    where = {"sheetId": sheet, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
    return {"deleteDimension": {"range": where}}


def describe_formatting(marks: TabMetadata, places: Mapping[str, int], columns: Collection[str]) -> list[str]:
    """What of a tab is ours, in words; of the columns these roles."""
    record = marks.record or FormattingRecord()
    called = {role: shorten(marks.header[at], 80) for role, at in places.items()}
    found = {
        "columns": [called[role] for role in places if role in columns],
        "notes on the headers of": [called[role] for role, at in places.items() if _our_note(marks, role, at)],
        "a warning before edits in": [called.get(role, role) for role in _our_protections(marks)],
        "colour scales on": [
            called[role] for role in COLOR_SCALED if role in places and _our_rules(marks, [places[role]])
        ],
        "filter views": [f"“{look.title}”" for look in FILTER_VIEWS if id_of(marks.sheet, look.title) in marks.views],
        "a drop-down of labels in": [called["label"]] if "ours" in marks.dropdowns else [],
        "the freezing of the": ["header"] if record.frozen and marks.frozen == 1 else [],
    }
    return [f"{what} {', '.join(names)}" for what, names in found.items() if names]
