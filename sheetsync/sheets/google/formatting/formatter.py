"""Add the formatting of a Google Sheet, keep its drop-down up to date, and remove all of it again.

Requests that address a column by its index are sent together with `metadata.assert_column_at`: if people have moved a
column since it was read, the whole batch is refused, and everything is read again.
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
MAX_ATTEMPTS = 12  # of one step, while people keep changing the sheet


@dataclass(frozen=True, slots=True)
class FormattedSheet:
    """One reading: the cells, the metadata of the tab of rows, and its columns by role."""

    book: Book
    metadata: TabMetadata
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Removable:
    """The columns, by role, and the tab of scores that `remove` deletes with all that is in them."""

    columns: tuple[str, ...]
    tab: Grid | None


class FormattableSheet(Sheet, Protocol):
    """A `GoogleSheet` as the formatter uses it; that class itself is not imported here, for it imports this module."""

    @property
    def spreadsheet(self) -> Spreadsheet:
        """The spreadsheet that requests go to."""

    def grids(self) -> dict[Tab, Grid]:
        """The tabs as they were last read; scores may be missing."""


class GoogleFormatter:
    """The `Formatter` of a Google Sheet. `columns` are the headers of its tab of rows.

    `memory` is a file with the labels that the drop-down had last; if it is missing, no formatting was added from here.
    """

    def __init__(self, sheet: FormattableSheet, columns: ColumnHeaders, memory: Path):
        self._sheet, self._columns, self._memory = sheet, columns, memory

    def add(self, labels: Sequence[str], *, with_preview: bool = False) -> list[str]:
        """Add what is missing; return a list of what is ours in the sheet. Raises `SheetError`."""

        def step() -> list[str] | None:
            now = self._read()
            tab, positions = now.metadata, now.positions
            record = self._next_record(now, labels, with_preview=with_preview)
            if record != tab.record:
                self._send([save_record(tab, record)])
            elif missing := self._missing_columns(now):
                self._sheet.write(now.book, missing)
            elif requests := self._anchors(tab, positions) or self._additions(now, labels, with_preview):
                self._send(requests)
            else:
                return self._describe(now, created_columns(tab, positions), self._our_scores(now))
            return None

        ours = self._until_done(step)
        if self._remembered_labels() != [*labels]:
            self._set_dropdown(labels)
        return ours

    def update_dropdown(self, labels: Sequence[str]) -> None:
        """Update the drop-down if its labels have changed; else no call is made. See `Formatter.update_dropdown`."""
        if self._remembered_labels() not in (None, [*labels]):
            self._set_dropdown(labels)

    def _set_dropdown(self, labels: Sequence[str]) -> None:
        """Put these labels into the drop-down, unless people have removed it."""

        def step() -> bool | None:
            tab, positions = self._read_metadata()
            record, column = tab.record, {"label": positions["label"]}
            if record is None:
                return True
            if requests := self._anchors(tab, column):
                self._send(requests)
                return None
            # Once it was made, rows without a drop-down are rows where people have removed it.
            unset: tuple[DropdownOwner, ...] = () if record.dropdown else ("none",)
            requests = set_dropdown(tab, column["label"], labels, "ours", *unset)
            if requests:
                record |= FormattingRecord(dropdown=True)
                self._send(only_if_in_place(tab.sheet, column, [*requests, save_record(tab, record)]))
            return True

        self._until_done(step)
        write_atomic(self._memory, "".join(f"{label}\n" for label in labels))

    def _remembered_labels(self) -> list[str] | None:
        return self._memory.read_text(encoding="utf-8").splitlines() if self._memory.exists() else None

    def remove(self) -> list[str]:
        """Remove what is ours; return a list of what was removed and what was kept. Raises `SheetError`."""
        done: list[str] = []

        def step() -> list[str] | None:
            now = self._read()
            if now.metadata.record is None:
                self._memory.unlink(missing_ok=True)
                return done
            if anchors := self._anchors(now.metadata, now.positions):
                self._send(anchors)
                return None
            removable = self._removable(now)
            done[:] = self._describe_removal(now, removable)
            scores = removable.tab.sheet if removable.tab else None
            self._send(removal_requests(now.metadata, now.positions, removable.columns, scores))
            return None

        return self._until_done(step)

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> FormattedSheet:
        book = self._sheet.read()
        return FormattedSheet(book, *self._read_metadata())

    def _read_metadata(self) -> tuple[TabMetadata, dict[str, int]]:
        """Read the metadata of the tab whose cells were read last, and find its columns by role, in one call."""
        grid = self._sheet.grids()["rows"]
        label = find_columns(grid.table, self._columns).label
        title, letters = quote_title(grid.title), column_letter(label)
        ranges = [f"{title}!1:1", f"{title}!{letters}:{letters}"]
        tab = parse_metadata(self._sheet.spreadsheet.get(fields=METADATA_MASK, ranges=ranges))
        layout = find_columns(Table(tab.header), self._columns)
        if layout.label != label:
            raise SheetChanged(f"the columns of {self._sheet.name} moved just now: read it again")
        headers = [plain(header) for header in tab.header]
        preview = {PREVIEW: headers.index(PREVIEW)} if PREVIEW in headers else {}
        return tab, {"image": layout.image, "label": layout.label, **layout.machine, **preview}

    def _next_record(self, now: FormattedSheet, labels: Sequence[str], *, with_preview: bool) -> FormattingRecord:
        """Return the record of what is ours already and what will be made: it is saved before anything is made."""
        headers = {**self._columns.machine, **({PREVIEW: PREVIEW} if with_preview else {})}
        to_make = FormattingRecord(
            tuple(plain(header) for role, header in headers.items() if role not in now.positions),
            scores="scores" not in self._sheet.grids(),
            frozen=not now.metadata.frozen and now.metadata.rows > 1,
            dropdown=bool(pickable_labels(labels)) and any(now.metadata.dropdown_runs("none")),
        )
        return (now.metadata.record or FormattingRecord()) | to_make

    def _missing_columns(self, now: FormattedSheet) -> list[Change]:
        rows = tuple(header for role, header in self._columns.machine.items() if role not in now.positions)
        scores = () if "scores" in self._sheet.grids() else SCORE_COLUMNS
        return [change for change in (AddColumns("rows", rows), AddColumns("scores", scores)) if change.names]

    def _anchors(self, tab: TabMetadata, positions: Mapping[str, int]) -> list[Json]:
        """Return requests that move each anchor to its column. Not guarded: a wrong anchor is moved again."""
        requests = []
        for role, column in positions.items():
            anchored = tab.anchor(role)
            if anchored != column:
                requests += [] if anchored is None else [unanchor(tab.sheet, role)]
                requests.append(anchor(tab.sheet, role, column))
        return requests

    def _additions(self, now: FormattedSheet, labels: Sequence[str], with_preview: bool) -> list[Json]:
        if with_preview and PREVIEW not in now.positions:
            return add_preview(now.metadata, now.positions, self._sheet.grids()["rows"].width)
        return missing_requests(now.metadata, now.positions, labels)

    # --- what is ours -----------------------------------------------------------------------------

    def _describe(self, now: FormattedSheet, columns: Collection[str], tab: Grid | None) -> list[str]:
        described = describe_formatting(now.metadata, now.positions, columns)
        return described + ([f"the tab {shorten(tab.title, 80)}"] if tab else [])

    def _our_scores(self, now: FormattedSheet) -> Grid | None:
        """Return the tab of scores, if we made it."""
        tab = self._sheet.grids().get("scores")
        recorded = now.metadata.record is not None and now.metadata.record.scores
        return tab if tab and recorded and tab.sheet == id_of(now.metadata.sheet, SCORES_TAB) else None

    def _removable(self, now: FormattedSheet) -> Removable:
        """Find what we made and can delete whole, as it holds nothing of people's."""
        columns, tab = created_columns(now.metadata, now.positions), self._our_scores(now)
        title = quote_title(self._sheet.grids()["rows"].title)
        ranges = [f"{title}!{letters}:{letters}" for letters in map(column_letter, columns.values())]
        ranges += [quote_title(tab.title)] if tab else []
        notes = parse_notes(self._sheet.spreadsheet.get(fields=NOTES_MASK, ranges=ranges)) if ranges else {}
        by_role = dict(zip(columns, notes.get(now.metadata.sheet, ()), strict=False))
        empty = not now.book.scores.rows and set(now.book.scores.header) <= set(SCORE_COLUMNS)
        return Removable(
            tuple(role for role in columns if not by_role.get(role, set()) - {NOTES.get(role)}),
            tab if tab and empty and not any(notes.get(tab.sheet, ())) else None,
        )

    def _describe_removal(self, now: FormattedSheet, removable: Removable) -> list[str]:
        """List in words what will be removed, and what of ours will be kept."""
        removed = {plain(now.metadata.header[now.positions[role]]) for role in removable.columns}
        left = {plain(header) for header in now.metadata.header} - removed
        kept = [name for name in (now.metadata.record or FormattingRecord()).columns if name in left]
        lines = [f"removed: {each}" for each in self._describe(now, removable.columns, removable.tab)]
        lines += [
            f"kept: the column {shorten(name, 80)}, for it is people's, or holds notes of theirs" for name in kept
        ]
        tab = self._our_scores(now)
        if tab and not removable.tab:
            lines.append(f"kept: the tab {shorten(tab.title, 80)}, for something stands in it")
        return lines

    # --- writing ----------------------------------------------------------------------------------

    def _until_done(self, step: Callable[[], T | None]) -> T:
        """Repeat a step until it has a result; read again and repeat it where people have changed the sheet."""
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
        """Send a batch of requests. A rule is deleted by index: if it was one of people's, put it back."""
        replies = self._sheet.spreadsheet.batch_update(requests)
        for request, reply in zip(requests, replies, strict=False):
            deleted = reply.get("deleteConditionalFormatRule", {}).get("rule")
            if deleted and not is_our_color_scale(deleted):
                rule = {"rule": deleted, "index": request["deleteConditionalFormatRule"]["index"]}
                self._sheet.spreadsheet.batch_update([{"addConditionalFormatRule": rule}])
