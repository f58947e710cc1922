"""Dresses a Google Sheet, keeps its drop-down up to date, and takes it all away again.

Whatever is addressed by the place of a column is sent with a guard (`marks.guard`), so that it is refused when people
have moved a column since it was seen; then everything is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sheetsync.cells import shown
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.history import SCORE_COLUMNS
from sheetsync.objects import write_text
from sheetsync.rows import Columns, column_letter, layout
from sheetsync.sheets.dressing import choices, dress, guarded, offer, preview
from sheetsync.sheets.google import GoogleSheet
from sheetsync.sheets.gridview import quoted
from sheetsync.sheets.looks import PREVIEW
from sheetsync.sheets.marks import FIELDS, Marks, Offer, Record, anchor, keep_record, parse, unanchor
from sheetsync.sheets.undressing import is_ours, listing, undress
from sheetsync.tables import AddColumns, Book, Change, Table

Json = dict[str, Any]
T = TypeVar("T")
TRIES = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """The sheet at one moment: its cells, its marks, and its columns by role."""

    book: Book
    marks: Marks
    places: Mapping[str, int]


class Dresser:
    """Works on the tab of rows of a sheet, whose columns are called as `columns` says.

    `memory` is a file with the labels that were offered last; where it is missing, nothing was dressed from here.
    """

    def __init__(self, sheet: GoogleSheet, columns: Columns, memory: Path):
        self._sheet, self._columns, self._memory = sheet, columns, memory

    def dress(self, labels: Sequence[str], *, with_preview: bool = False) -> list[str]:
        """Add what is missing; gives what of the sheet is ours now. Raises `SheetError`."""

        def step() -> list[str] | None:
            seen = self._look()
            wanted = self._record(seen, labels, with_preview=with_preview)
            if wanted != seen.marks.record:
                self._send([keep_record(seen.marks, wanted)])
            elif missing := self._missing(seen):
                self._sheet.write(seen.book, missing)
            elif requests := self._anchors(seen.marks, seen.places) or self._dressing(seen, labels, with_preview):
                self._send(requests)
            else:
                return self._listing(seen)
            return None

        said = self._until_done(step)
        if self._remembered() != [*labels]:
            self._offer(labels)
        return said

    def keep_up(self, labels: Sequence[str]) -> None:
        """Bring the drop-down of a dressed sheet, read before, up to date; no call when it is. Raises `SheetError`."""
        if self._remembered() not in (None, [*labels]):
            self._offer(labels)

    def _offer(self, labels: Sequence[str]) -> None:
        """Offer these labels, unless people have taken the drop-down away."""

        def step() -> bool | None:
            marks, places = self._marks()
            record, column = marks.record, {"label": places["label"]}
            if record is None:
                return True
            if requests := self._anchors(marks, column):
                self._send(requests)
                return None
            fresh: tuple[Offer, ...] = () if record.dropdown else ("none",)  # later, who has none took it away
            requests = offer(marks, column["label"], labels, "ours", *fresh)
            if requests:
                record |= Record(dropdown=True)
                self._send(guarded(marks.sheet, column, [*requests, keep_record(marks, record)]))
            return True

        self._until_done(step)
        write_text(self._memory, "".join(f"{label}\n" for label in labels))

    def _remembered(self) -> list[str] | None:
        return self._memory.read_text(encoding="utf-8").splitlines() if self._memory.exists() else None

    def undress(self) -> list[str]:
        """Take away what is ours; gives what that was, and what stays. Raises `SheetError`."""
        said: list[str] = []

        def step() -> list[str] | None:
            seen = self._look()
            if seen.marks.record is None:
                self._memory.unlink(missing_ok=True)
                return said
            anchors = self._anchors(seen.marks, seen.places)
            if not anchors:
                said[:] = [f"removed: {each}" for each in self._listing(seen)] + self._staying(seen)
            self._send(anchors or undress(seen.marks, seen.places, self._removable_scores(seen)))
            return None

        return self._until_done(step)

    # --- looking ----------------------------------------------------------------------------------

    def _look(self) -> Seen:
        book = self._sheet.read()
        return Seen(book, *self._marks())

    def _marks(self) -> tuple[Marks, dict[str, int]]:
        """The marks and columns of the tab as it was read last, by one call."""
        grid = self._sheet.grids()["rows"]
        label = layout(grid.table, self._columns).label
        title, letters = quoted(grid.title), column_letter(label)
        ranges = [f"{title}!1:1", f"{title}!{letters}:{letters}"]
        marks = parse(self._sheet.spreadsheet.get(fields=FIELDS, ranges=ranges))
        places = self._places(marks.header)
        if places["label"] != label:
            raise SheetChanged(f"the columns of {self._sheet.name} moved just now: read it again")
        return marks, places

    def _places(self, header: tuple[str, ...]) -> dict[str, int]:
        where = layout(Table(header), self._columns)
        names = [name.strip().casefold() for name in header]
        preview_at = {PREVIEW: names.index(PREVIEW)} if PREVIEW in names else {}
        return {"image": where.image, "label": where.label, **where.machine, **preview_at}

    def _record(self, seen: Seen, labels: Sequence[str], *, with_preview: bool) -> Record:
        """What there was of ours, and what will be made."""
        roles = (*self._columns.machine, *((PREVIEW,) if with_preview else ()))
        made = Record(
            tuple(role for role in roles if role not in seen.places),
            scores="scores" not in self._sheet.grids(),
            frozen=not seen.marks.frozen and seen.marks.rows > 1,
            dropdown=bool(choices(labels)) and any(seen.marks.runs("none")),
        )
        return (seen.marks.record or Record()) | made

    def _missing(self, seen: Seen) -> list[Change]:
        rows = tuple(header for role, header in self._columns.machine.items() if role not in seen.places)
        scores = () if "scores" in self._sheet.grids() else SCORE_COLUMNS
        found = (AddColumns("rows", rows), AddColumns("scores", scores))
        return [change for change in found if change.names]

    def _anchors(self, marks: Marks, places: Mapping[str, int]) -> list[Json]:
        """What brings the anchor of every column to where the column is. Of no consequence where it is wrong."""
        requests = []
        for role, place in places.items():
            found = marks.anchor(role)
            if found != place:
                requests += [] if found is None else [unanchor(marks.sheet, role)]
                requests.append(anchor(marks.sheet, role, place))
        return requests

    def _dressing(self, seen: Seen, labels: Sequence[str], with_preview: bool) -> list[Json]:
        if with_preview and PREVIEW not in seen.places:
            return preview(seen.marks, seen.places, self._sheet.grids()["rows"].width)
        return dress(seen.marks, seen.places, labels)

    def _listing(self, seen: Seen) -> list[str]:
        tab = seen.marks.record and seen.marks.record.scores and self._sheet.grids().get("scores")
        return listing(seen.marks, seen.places) + ([f"the tab {shown(tab.title, 80)}"] if tab else [])

    def _removable_scores(self, seen: Seen) -> int | None:
        """The tab of scores where we made it and nothing stands in it that could be missed."""
        tab = self._sheet.grids().get("scores")
        made = seen.marks.record is not None and seen.marks.record.scores
        bare = not seen.book.scores.rows and set(seen.book.scores.header) <= set(SCORE_COLUMNS)
        return tab.sheet if tab and made and bare else None

    def _staying(self, seen: Seen) -> list[str]:
        tab = self._sheet.grids().get("scores")
        kept = tab and seen.book.scores.rows
        return (
            [f"kept: the tab {shown(tab.title, 80)}, for it holds scores and notes; delete it yourself"]
            if tab and kept
            else []
        )

    # --- doing ------------------------------------------------------------------------------------

    def _until_done(self, step: Callable[[], T | None]) -> T:
        """Repeat until a step has a result; one whose ground has moved is tried again."""
        for _ in range(TRIES):
            try:
                result = step()
            except SheetChanged:
                self._sheet.read()
            else:
                if result is not None:
                    return result
        raise SheetError(f"{self._sheet.name} kept changing while it was being dressed: run it again")

    def _send(self, requests: Sequence[Json]) -> None:
        """Send requests in one step. A rule goes by its number, so one of people's may go with it: it is put back."""
        replies = self._sheet.spreadsheet.batch(requests)
        for request, reply in zip(requests, replies, strict=False):
            gone = reply.get("deleteConditionalFormatRule", {}).get("rule")
            if gone and not is_ours(gone):
                index = request["deleteConditionalFormatRule"]["index"]
                self._sheet.spreadsheet.batch([{"addConditionalFormatRule": {"rule": gone, "index": index}}])
