"""What stands on a tab besides its cells: notes, protections, views, rules, and the metadata that tells ours. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from sheetsync.common.types import Json
from sheetsync.sheets.google.spreadsheet import parsing

DropdownOwner: TypeAlias = Literal["ours", "another", "none"]

METADATA_MASK = (
    "sheets(properties(sheetId,gridProperties),developerMetadata,protectedRanges,filterViews,conditionalFormats,"
    "data(startRow,startColumn,rowData(values(formattedValue,note,dataValidation(condition(type),inputMessage))),"
    "columnMetadata(developerMetadata(metadataId)))),namedRanges(namedRangeId,name,range)"
)
NOTES_MASK = "sheets(properties(sheetId),charts(chartId),data(rowData(values(note))))"
KEY = "sheetsync"
DROPDOWN_HINT = "A label in use, or a new one. sheetsync keeps this list."  # what our drop-down is known by
ANCHORED = "column {}"
CREATED = "made {}"
RECORD = "record"


def id_of(sheet: int, what: str) -> int:
    """The same positive number below 2**31 each time: what bears it is ours."""
    return int.from_bytes(sha256(f"{KEY} {sheet} {what}".encode()).digest()[:4], "big") % (2**31 - 1) + 1


@dataclass(frozen=True, slots=True)
class FormattingRecord:
    """What was made in a spreadsheet and cannot be told by looking at it; kept with the tab itself."""

    columns: tuple[str, ...] = ()  # their headers, plain
    scores: bool = False
    frozen: bool = False
    dropdown: bool = False

    def __or__(self, other: FormattingRecord) -> FormattingRecord:
        """Both together."""
        columns = (*self.columns, *(name for name in other.columns if name not in self.columns))
        either = {name: getattr(self, name) or getattr(other, name) for name in ("scores", "frozen", "dropdown")}
        return FormattingRecord(columns, **either)

    def text(self) -> str:
        """For keeping."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> FormattingRecord:
        """The inverse of `text`. What is none of ours, or of a later version, counts for nothing."""
        with suppress(ValueError, TypeError):
            found = dict(json.loads(text))
            columns = [name for name in found.get("columns", ()) if isinstance(name, str)]
            return cls(tuple(columns), **{name: found.get(name) is True for name in ("scores", "frozen", "dropdown")})
        return cls()


@dataclass(frozen=True, slots=True)
class TabMetadata:
    """One tab. Columns and rows count from 0; `anchors`, `has_protection` and `views` go by their ids.

    `dropdowns` tells for each row of the column of labels whose rule it has; rows after these have none.
    """

    sheet: int
    rows: int
    columns: int
    frozen: int = 0
    header: tuple[str, ...] = ()
    notes: Mapping[int, str] = field(default_factory=dict)
    dropdowns: tuple[DropdownOwner, ...] = ()
    anchors: Mapping[int, int] = field(default_factory=dict)
    protected: Mapping[int, Json] = field(default_factory=dict)
    views: Mapping[int, Json] = field(default_factory=dict)
    rules: tuple[Json, ...] = ()
    names: tuple[Json, ...] = ()
    record: FormattingRecord | None = None

    def anchor(self, role: str) -> int | None:
        """Where the anchor of a column is."""
        return self.anchors.get(id_of(self.sheet, ANCHORED.format(role)))

    def made_column(self, header: str) -> int | None:
        """Where the column is that was made with this header, whatever it is called by now."""
        return self.anchors.get(id_of(self.sheet, CREATED.format(plain(header))))

    def dropdown_runs(self, *wanted: DropdownOwner) -> Iterator[tuple[int, int]]:
        """Stretches of rows below the header, first and end, whose drop-down is one of these."""
        start = None
        for row in range(1, self.rows + 1):
            fits = row < self.rows and (self.dropdowns[row] if row < len(self.dropdowns) else "none") in wanted
            if fits and start is None:
                start = row
            elif not fits and start is not None:
                yield start, row
                start = None


@parsing()
def parse_metadata(answer: Mapping[str, Any]) -> TabMetadata:
    """The marks in an answer to `FIELDS` for one tab's first row and, after it, its column of labels."""
    tab = answer["sheets"][0]
    sheet = tab["properties"].get("sheetId", 0)
    size = tab["properties"].get("gridProperties", {})
    first, labels = tab["data"]
    header = [cell for row in first.get("rowData", ())[:1] for cell in row.get("values", ())]
    return TabMetadata(
        sheet,
        size.get("rowCount", 0),
        size.get("columnCount", 0),
        size.get("frozenRowCount", 0),
        tuple(cell.get("formattedValue", "") for cell in header),
        {column: cell["note"] for column, cell in enumerate(header) if "note" in cell},
        _offers(labels),
        dict(_anchors(tab["data"])),
        {each["protectedRangeId"]: each for each in tab.get("protectedRanges", ())},
        {each["filterViewId"]: each for each in tab.get("filterViews", ())},
        tuple(tab.get("conditionalFormats", ())),
        tuple(answer.get("namedRanges", ())),
        _record(tab.get("developerMetadata", ()), sheet),
    )


@parsing()
def parse_notes(answer: Mapping[str, Any]) -> dict[int, list[set[str]]]:
    """The notes in an answer to `NOTED`: a set for each range that was asked for, by tab. A chart counts as one."""
    found: dict[int, list[set[str]]] = {}
    for tab in answer.get("sheets", ()):
        cells = ([cell for row in part.get("rowData", ()) for cell in row.get("values", ())] for part in tab["data"])
        charts = [{"a chart"}] if tab.get("charts") else []
        sets = [{cell["note"] for cell in each if "note" in cell} for each in cells]
        found[tab["properties"].get("sheetId", 0)] = sets + charts
    return found


def _offers(column: Json) -> tuple[DropdownOwner, ...]:
    rows = [row.get("values", ()) for row in column.get("rowData", ())]
    rules = [cells[0].get("dataValidation") if cells else None for cells in rows]
    return tuple(
        "none" if rule is None else "ours" if rule.get("inputMessage") == DROPDOWN_HINT else "another" for rule in rules
    )


def _anchors(data: Iterable[Json]) -> Iterator[tuple[int, int]]:
    for part in data:
        for column, each in enumerate(part.get("columnMetadata", ()), start=part.get("startColumn", 0)):
            yield from ((entry["metadataId"], column) for entry in each.get("developerMetadata", ()))


def _record(entries: Iterable[Json], sheet: int) -> FormattingRecord | None:
    wanted = id_of(sheet, RECORD)
    found = next((each.get("metadataValue", "") for each in entries if each["metadataId"] == wanted), None)
    return None if found is None else FormattingRecord.of(found)


# --- requests that keep marks -----------------------------------------------------------------------


def save_record(marks: TabMetadata, record: FormattingRecord) -> Json:
    """Write the record of a tab."""
    identity = id_of(marks.sheet, RECORD)
    if marks.record is None:
        return _create(identity, record.text(), {"sheetId": marks.sheet})
    change = {"developerMetadata": {"metadataValue": record.text()}, "fields": "metadataValue"}
    return {"updateDeveloperMetadata": {"dataFilters": [_lookup(identity)], **change}}


def delete_record(marks: TabMetadata) -> Json:
    """Take the record of a tab away."""
    return {"deleteDeveloperMetadata": {"dataFilter": _lookup(id_of(marks.sheet, RECORD))}}


def anchor(sheet: int, role: str, column: int) -> Json:
    """Mark a column as the one of this role; the mark moves with it."""
    return _create(id_of(sheet, ANCHORED.format(role)), role, _place(sheet, column))


def unanchor(sheet: int, role: str) -> Json:
    """Take the mark away, wherever it is."""
    return {"deleteDeveloperMetadata": {"dataFilter": _lookup(id_of(sheet, ANCHORED.format(role)))}}


def mark_created(sheet: int, header: str, column: int) -> tuple[Json, Json]:
    """Mark a column as made by us, in the step that makes it. The mark goes with the column, also to its end."""
    identity = id_of(sheet, CREATED.format(plain(header)))
    before = {"deleteDeveloperMetadata": {"dataFilter": _lookup(identity)}}  # of a column that people have renamed
    return before, _create(identity, plain(header), _place(sheet, column))


def assert_column_at(sheet: int, role: str, column: int) -> tuple[Json, Json]:
    """Two requests that change nothing where the column stands, and fail, with all of their batch, where it does not.

    The first takes the mark away if it is there; the second puts it there, and is refused while it is elsewhere.
    """
    at = {"metadataLocation": _place(sheet, column), "locationMatchingStrategy": "EXACT_LOCATION"}
    found = _lookup(id_of(sheet, ANCHORED.format(role)), at)
    return {"deleteDeveloperMetadata": {"dataFilter": found}}, anchor(sheet, role, column)


def plain(header: str) -> str:
    """A header as headers are compared."""
    return header.strip().casefold()


def _create(identity: int, value: str, location: Json) -> Json:
    entry = {"metadataId": identity, "metadataKey": KEY, "metadataValue": value, "location": location}
    return {"createDeveloperMetadata": {"developerMetadata": {**entry, "visibility": "DOCUMENT"}}}


def _lookup(identity: int, more: Json | None = None) -> Json:
    return {"developerMetadataLookup": {"metadataId": identity, **(more or {})}}


def _place(sheet: int, column: int) -> Json:
    where = {"sheetId": sheet, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
    return {"dimensionRange": where}
