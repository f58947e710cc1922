"""Developer metadata of a tab, which marks what is ours, and its notes, protections, filter views and rules. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
DROPDOWN_HINT = "A label in use, or a new one. sheetsync keeps this list."  # by this our drop-down is recognised
ANCHORED = "column {}"
CREATED = "made {}"
RECORD = "record"


def id_of(sheet: int, what: str) -> int:
    """Return the id, a positive number below 2**31, of something that we make in a tab: what has it is ours."""
    return int.from_bytes(sha256(f"{KEY} {sheet} {what}".encode()).digest()[:4], "big") % (2**31 - 1) + 1


@dataclass(frozen=True, slots=True)
class FormattingRecord:
    """A record, kept as metadata of the tab, of what we made in a spreadsheet and cannot recognise by looking at it."""

    columns: tuple[str, ...] = ()  # that we made: their headers, as `plain` returns them
    scores: bool = False
    frozen: bool = False
    dropdown: bool = False

    def __or__(self, other: FormattingRecord) -> FormattingRecord:
        """Merge two records."""
        columns = (*self.columns, *(name for name in other.columns if name not in self.columns))
        flags = {name: getattr(self, name) or getattr(other, name) for name in ("scores", "frozen", "dropdown")}
        return FormattingRecord(columns, **flags)

    def text(self) -> str:
        """Serialise as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> FormattingRecord:
        """Parse what `text` returned. Anything else, or of a later version, is ignored."""
        with suppress(ValueError, TypeError):
            content = dict(json.loads(text))
            columns = [name for name in content.get("columns", ()) if isinstance(name, str)]
            return cls(tuple(columns), **{name: content.get(name) is True for name in ("scores", "frozen", "dropdown")})
        return cls()


@dataclass(frozen=True, slots=True)
class TabMetadata:
    """All of one tab but its cells. Columns and rows count from 0; `anchors`, `protected`, `views` are by id.

    `dropdowns` says for each row of the column of labels whose drop-down it has; rows after these have none.
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
        """Return the column where the anchor of a role is."""
        return self.anchors.get(id_of(self.sheet, ANCHORED.format(role)))

    def made_column(self, header: str) -> int | None:
        """Return the column that we made with this header, even if people have renamed it."""
        return self.anchors.get(id_of(self.sheet, CREATED.format(plain(header))))

    def dropdown_runs(self, *owners: DropdownOwner) -> Iterator[tuple[int, int]]:
        """Yield runs of rows below the header, (first, end), whose drop-down has one of these owners."""
        start = None
        for row in range(1, self.rows + 1):
            inside = row < self.rows and (self.dropdowns[row] if row < len(self.dropdowns) else "none") in owners
            if inside and start is None:
                start = row
            elif not inside and start is not None:
                yield start, row
                start = None


@parsing()
def parse_metadata(response: Mapping[str, Any]) -> TabMetadata:
    """Parse a response to `METADATA_MASK` for two ranges of one tab: its first row, and its column of labels."""
    tab = response["sheets"][0]
    sheet = tab["properties"].get("sheetId", 0)
    size = tab["properties"].get("gridProperties", {})
    first, labels = tab["data"]
    header = [cell for row in first.get("rowData", ())[:1] for cell in row.get("values", ())]
    anchors = {
        entry["metadataId"]: column
        for part in tab["data"]
        for column, each in enumerate(part.get("columnMetadata", ()), start=part.get("startColumn", 0))
        for entry in each.get("developerMetadata", ())
    }
    records = [
        FormattingRecord.of(entry.get("metadataValue", ""))
        for entry in tab.get("developerMetadata", ())
        if entry["metadataId"] == id_of(sheet, RECORD)
    ]
    return TabMetadata(
        sheet,
        size.get("rowCount", 0),
        size.get("columnCount", 0),
        size.get("frozenRowCount", 0),
        tuple(cell.get("formattedValue", "") for cell in header),
        {column: cell["note"] for column, cell in enumerate(header) if "note" in cell},
        _dropdown_owners(labels),
        anchors,
        {each["protectedRangeId"]: each for each in tab.get("protectedRanges", ())},
        {each["filterViewId"]: each for each in tab.get("filterViews", ())},
        tuple(tab.get("conditionalFormats", ())),
        tuple(response.get("namedRanges", ())),
        records[0] if records else None,
    )


@parsing()
def parse_notes(response: Mapping[str, Any]) -> dict[int, list[set[str]]]:
    """Parse a response to `NOTES_MASK`: tab -> a set of notes for each range read. A chart counts as a note."""
    notes: dict[int, list[set[str]]] = {}
    for tab in response.get("sheets", ()):
        cells = ([cell for row in part.get("rowData", ()) for cell in row.get("values", ())] for part in tab["data"])
        charts = [{"a chart"}] if tab.get("charts") else []
        sets = [{cell["note"] for cell in each if "note" in cell} for each in cells]
        notes[tab["properties"].get("sheetId", 0)] = sets + charts
    return notes


def _dropdown_owners(column: Json) -> tuple[DropdownOwner, ...]:
    rows = [row.get("values", ()) for row in column.get("rowData", ())]
    rules = [cells[0].get("dataValidation") if cells else None for cells in rows]
    return tuple(
        "none" if rule is None else "ours" if rule.get("inputMessage") == DROPDOWN_HINT else "another" for rule in rules
    )


# --- requests -------------------------------------------------------------------------------------


def save_record(tab: TabMetadata, record: FormattingRecord) -> Json:
    """Return the request that writes the record of a tab."""
    identity = id_of(tab.sheet, RECORD)
    if tab.record is None:
        return _create(identity, record.text(), {"sheetId": tab.sheet})
    change = {"developerMetadata": {"metadataValue": record.text()}, "fields": "metadataValue"}
    return {"updateDeveloperMetadata": {"dataFilters": [_lookup(identity)], **change}}


def delete_record(tab: TabMetadata) -> Json:
    """Return the request that deletes the record of a tab."""
    return {"deleteDeveloperMetadata": {"dataFilter": _lookup(id_of(tab.sheet, RECORD))}}


def anchor(sheet: int, role: str, column: int) -> Json:
    """Return the request that anchors a role to a column: metadata that moves with the column."""
    return _create(id_of(sheet, ANCHORED.format(role)), role, _place(sheet, column))


def unanchor(sheet: int, role: str) -> Json:
    """Return the request that deletes the anchor of a role, wherever it is."""
    return {"deleteDeveloperMetadata": {"dataFilter": _lookup(id_of(sheet, ANCHORED.format(role)))}}


def mark_created(sheet: int, header: str, column: int) -> tuple[Json, Json]:
    """Return the requests that mark a column as made by us: metadata that moves, and is deleted, with the column."""
    identity = id_of(sheet, CREATED.format(plain(header)))
    before = {"deleteDeveloperMetadata": {"dataFilter": _lookup(identity)}}  # of a column that people have renamed
    return before, _create(identity, plain(header), _place(sheet, column))


def assert_column_at(sheet: int, role: str, column: int) -> tuple[Json, Json]:
    """Return two requests that fail, and their whole batch with them, unless the anchor of a role is at this column.

    The first deletes the anchor if it is there; the second puts it there, and is refused while it is elsewhere.
    """
    at = {"metadataLocation": _place(sheet, column), "locationMatchingStrategy": "EXACT_LOCATION"}
    found = _lookup(id_of(sheet, ANCHORED.format(role)), at)
    return {"deleteDeveloperMetadata": {"dataFilter": found}}, anchor(sheet, role, column)


def plain(header: str) -> str:
    """Normalise a header for comparison."""
    return header.strip().casefold()


def _create(identity: int, value: str, location: Json) -> Json:
    entry = {"metadataId": identity, "metadataKey": KEY, "metadataValue": value, "location": location}
    return {"createDeveloperMetadata": {"developerMetadata": {**entry, "visibility": "DOCUMENT"}}}


def _lookup(identity: int, more: Json | None = None) -> Json:
    return {"developerMetadataLookup": {"metadataId": identity, **(more or {})}}


def _place(sheet: int, column: int) -> Json:
    where = {"sheetId": sheet, "dimension": "COLUMNS", "startIndex": column, "endIndex": column + 1}
    return {"dimensionRange": where}
