"""Dresses a Google Sheet, keeps its drop-down up to date, and takes it all away again.

Whatever is addressed by the place of a column is sent with a guard (`marks.guard`), so that it is refused when people
have moved a column since it was seen; then everything is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from sheetsync.common.atomic import write_atomic
from sheetsync.common.text import shorten
from sheetsync.common.types import Json
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.header import ColumnHeaders, column_letter, find_columns
from sheetsync.rows.schema import SCORE_COLUMNS
from sheetsync.rows.table import AddColumns, Book, Change, Tab, Table
from sheetsync.sheets.base import Sheet
from sheetsync.sheets.google.formatting.add import (
    add_preview,
    missing_requests,
    only_if_in_place,
    pickable_labels,
    set_dropdown,
)
from sheetsync.sheets.google.formatting.remove import (
    created_columns,
    describe_formatting,
    is_our_color_scale,
    removal_requests,
)
from sheetsync.sheets.google.formatting.styles import NOTES, PREVIEW
from sheetsync.sheets.google.metadata import (
    METADATA_MASK,
    NOTES_MASK,
    DropdownOwner,
    FormattingRecord,
    TabMetadata,
    anchor,
    id_of,
    parse_metadata,
    parse_notes,
    plain,
    save_record,
    unanchor,
)
from sheetsync.sheets.google.response import SCORES_TAB, Grid, quote_title
from sheetsync.sheets.google.spreadsheet import Spreadsheet

T = TypeVar("T")
MAX_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class FormattedSheet:
    """The sheet at one moment: its cells, its marks, and its columns by role."""

    book: Book
    metadata: TabMetadata
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Removable:
    """What undressing takes away whole: columns by role, and the tab of scores."""

    columns: tuple[str, ...]
    tab: Grid | None


class FormattableSheet(Sheet, Protocol):
    """What the formatter needs of a `GoogleSheet`, which imports this module."""

    @property
    def spreadsheet(self) -> Spreadsheet:
        """The spreadsheet that requests go to."""

    def grids(self) -> dict[Tab, Grid]:
        """The tabs as they were last read; scores may be missing."""


class GoogleFormatter:
    """Works on the tab of rows of a sheet, whose columns are called as `columns` says.

    `memory` is a file with the labels that were offered last; where it is missing, nothing was dressed from here.
    """

    def __init__(self, sheet: FormattableSheet, columns: ColumnHeaders, memory: Path):
        self._sheet, self._columns, self._memory = sheet, columns, memory

    def add(self, labels: Sequence[str], *, with_preview: bool = False) -> list[str]:
        """Add what is missing; gives what of the sheet is ours now. Raises `SheetError`."""

        def step() -> list[str] | None:
            seen = self._read()
            wanted = self._record(seen, labels, with_preview=with_preview)
            if wanted != seen.metadata.record:
                self._send([save_record(seen.metadata, wanted)])
            elif missing := self._missing(seen):
                self._sheet.write(seen.book, missing)
            elif requests := self._anchors(seen.metadata, seen.positions) or self._additions(
                seen, labels, with_preview
            ):
                self._send(requests)
            else:
                return self._listing(seen, created_columns(seen.metadata, seen.positions), self._our_scores(seen))
            return None

        said = self._until_done(step)
        if self._remembered() != [*labels]:
            self._set_dropdown(labels)
        return said

    def update_dropdown(self, labels: Sequence[str]) -> None:
        """Bring the drop-down of a dressed sheet, read before, up to date; no call when it is. Raises `SheetError`."""
        if self._remembered() not in (None, [*labels]):
            self._set_dropdown(labels)

    def _set_dropdown(self, labels: Sequence[str]) -> None:
        """Offer these labels, unless people have taken the drop-down away."""

        def step() -> bool | None:
            marks, places = self._marks()
            record, column = marks.record, {"label": places["label"]}
            if record is None:
                return True
            if requests := self._anchors(marks, column):
                self._send(requests)
                return None
            fresh: tuple[DropdownOwner, ...] = () if record.dropdown else ("none",)  # later, who has none took it away
            requests = set_dropdown(marks, column["label"], labels, "ours", *fresh)
            if requests:
                record |= FormattingRecord(dropdown=True)
                self._send(only_if_in_place(marks.sheet, column, [*requests, save_record(marks, record)]))
            return True

        self._until_done(step)
        write_atomic(self._memory, "".join(f"{label}\n" for label in labels))

    def _remembered(self) -> list[str] | None:
        return self._memory.read_text(encoding="utf-8").splitlines() if self._memory.exists() else None

    def remove(self) -> list[str]:
        """Take away what is ours; gives what that was, and what stays. Raises `SheetError`."""
        said: list[str] = []

        def step() -> list[str] | None:
            seen = self._read()
            if seen.metadata.record is None:
                self._memory.unlink(missing_ok=True)
                return said
            if anchors := self._anchors(seen.metadata, seen.positions):
                self._send(anchors)
                return None
            leaving = self._removable(seen)
            said[:] = self._removals(seen, leaving)
            tab = leaving.tab.sheet if leaving.tab else None
            self._send(removal_requests(seen.metadata, seen.positions, leaving.columns, tab))
            return None

        return self._until_done(step)

    # --- looking ----------------------------------------------------------------------------------

    def _read(self) -> FormattedSheet:
        book = self._sheet.read()
        return FormattedSheet(book, *self._marks())

    def _marks(self) -> tuple[TabMetadata, dict[str, int]]:
        """The marks and columns of the tab as it was read last, by one call."""
        grid = self._sheet.grids()["rows"]
        label = find_columns(grid.table, self._columns).label
        title, letters = quote_title(grid.title), column_letter(label)
        ranges = [f"{title}!1:1", f"{title}!{letters}:{letters}"]
        marks = parse_metadata(self._sheet.spreadsheet.get(fields=METADATA_MASK, ranges=ranges))
        places = self._places(marks.header)
        if places["label"] != label:
            raise SheetChanged(f"the columns of {self._sheet.name} moved just now: read it again")
        return marks, places

    def _places(self, header: tuple[str, ...]) -> dict[str, int]:
        where = find_columns(Table(header), self._columns)
        names = [name.strip().casefold() for name in header]
        preview_at = {PREVIEW: names.index(PREVIEW)} if PREVIEW in names else {}
        return {"image": where.image, "label": where.label, **where.machine, **preview_at}

    def _record(self, seen: FormattedSheet, labels: Sequence[str], *, with_preview: bool) -> FormattingRecord:
        """What there was of ours, and what will be made."""
        headers = {**self._columns.machine, **({PREVIEW: PREVIEW} if with_preview else {})}
        coming = FormattingRecord(
            tuple(plain(header) for role, header in headers.items() if role not in seen.positions),
            scores="scores" not in self._sheet.grids(),
            frozen=not seen.metadata.frozen and seen.metadata.rows > 1,
            dropdown=bool(pickable_labels(labels)) and any(seen.metadata.dropdown_runs("none")),
        )
        return (seen.metadata.record or FormattingRecord()) | coming

    def _missing(self, seen: FormattedSheet) -> list[Change]:
        rows = tuple(header for role, header in self._columns.machine.items() if role not in seen.positions)
        scores = () if "scores" in self._sheet.grids() else SCORE_COLUMNS
        found = (AddColumns("rows", rows), AddColumns("scores", scores))
        return [change for change in found if change.names]

    def _anchors(self, marks: TabMetadata, places: Mapping[str, int]) -> list[Json]:
        """What brings the anchor of every column to where the column is. Of no consequence where it is wrong."""
        requests = []
        for role, place in places.items():
            found = marks.anchor(role)
            if found != place:
                requests += [] if found is None else [unanchor(marks.sheet, role)]
                requests.append(anchor(marks.sheet, role, place))
        return requests

    def _additions(self, seen: FormattedSheet, labels: Sequence[str], with_preview: bool) -> list[Json]:
        if with_preview and PREVIEW not in seen.positions:
            return add_preview(seen.metadata, seen.positions, self._sheet.grids()["rows"].width)
        return missing_requests(seen.metadata, seen.positions, labels)

    # --- what of it is ours -----------------------------------------------------------------------

    def _listing(self, seen: FormattedSheet, columns: Collection[str], tab: Grid | None) -> list[str]:
        return describe_formatting(seen.metadata, seen.positions, columns) + (
            [f"the tab {shorten(tab.title, 80)}"] if tab else []
        )

    def _our_scores(self, seen: FormattedSheet) -> Grid | None:
        """The tab of scores, if we made it."""
        tab = self._sheet.grids().get("scores")
        made_here = seen.metadata.record is not None and seen.metadata.record.scores
        return tab if tab and made_here and tab.sheet == id_of(seen.metadata.sheet, SCORES_TAB) else None

    def _removable(self, seen: FormattedSheet) -> Removable:
        """What undressing takes away: what we made, where nothing of people's stands in it."""
        columns, tab = created_columns(seen.metadata, seen.positions), self._our_scores(seen)
        title = quote_title(self._sheet.grids()["rows"].title)
        ranges = [f"{title}!{letters}:{letters}" for letters in map(column_letter, columns.values())]
        ranges += [quote_title(tab.title)] if tab else []
        found = parse_notes(self._sheet.spreadsheet.get(fields=NOTES_MASK, ranges=ranges)) if ranges else {}
        noted = dict(zip(columns, found.get(seen.metadata.sheet, ()), strict=False))
        bare = not seen.book.scores.rows and set(seen.book.scores.header) <= set(SCORE_COLUMNS)
        return Removable(
            tuple(role for role in columns if not noted.get(role, set()) - {NOTES.get(role)}),
            tab if tab and bare and not any(found.get(tab.sheet, ())) else None,
        )

    def _removals(self, seen: FormattedSheet, leaving: Removable) -> list[str]:
        """What goes, and what of ours stays, in words."""
        gone = {plain(seen.metadata.header[seen.positions[role]]) for role in leaving.columns}
        there = {plain(name) for name in seen.metadata.header}
        stays = [name for name in (seen.metadata.record or FormattingRecord()).columns if name in there - gone]
        said = [f"removed: {each}" for each in self._listing(seen, leaving.columns, leaving.tab)]
        said += [
            f"kept: the column {shorten(name, 80)}, for it is people's, or holds notes of theirs" for name in stays
        ]
        tab = self._our_scores(seen)
        kept = tab and not leaving.tab
        return said + ([f"kept: the tab {shorten(tab.title, 80)}, for something stands in it"] if tab and kept else [])

    # --- doing ------------------------------------------------------------------------------------

    def _until_done(self, step: Callable[[], T | None]) -> T:
        """Repeat until a step has a result; one whose ground has moved is tried again."""
        last = SheetChanged(f"{self._sheet.name} kept changing")
        for _ in range(MAX_ATTEMPTS):
            try:
                result = step()
            except SheetChanged as error:
                last = error
                self._sheet.read()
            else:
                if result is not None:
                    return result
        raise SheetError(f"{last}; this was tried {MAX_ATTEMPTS} times, what is done so far stays") from last

    def _send(self, requests: Sequence[Json]) -> None:
        """Send requests in one step. A rule goes by its number, so one of people's may go with it: it is put back."""
        replies = self._sheet.spreadsheet.batch_update(requests)
        for request, reply in zip(requests, replies, strict=False):
            gone = reply.get("deleteConditionalFormatRule", {}).get("rule")
            if gone and not is_our_color_scale(gone):
                index = request["deleteConditionalFormatRule"]["index"]
                self._sheet.spreadsheet.batch_update([{"addConditionalFormatRule": {"rule": gone, "index": index}}])
