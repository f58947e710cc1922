"""Which cells to write. Pure, and planned from a fresh reading each time.

What belongs on a row depends only on that row's own image, so planning again after a write shows whether
the rows stood still meanwhile: nothing left to write means every machine value is on its own image's row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sheetsync.review.verdicts import Verdict
from sheetsync.rows.header import ColumnHeaders, find_columns
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import with_warning
from sheetsync.rows.table import AddColumns, Book, CellUpdate, Change, Value, same

# What the machine says of a label, and not of the image alone.
LABEL_DEPENDENT = ("label_quality", "review", "review_rank")


def plan_row_changes(
    book: Book, columns: ColumnHeaders, verdicts: Mapping[str, Verdict], ours: Collection[str], *, local: bool
) -> tuple[Change, ...]:
    """What makes the machine's cells of a reading say what they should; () when they do.

    Only machine columns are ever addressed. Columns that are missing are added first, alone; plan again then.
    Raises `SheetError` when people filled a column of that name themselves; see `check_ownership`.
    """
    check_ownership(book.rows, columns, ours)
    where = find_columns(book.rows, columns)
    missing = tuple(header for name, header in columns.machine.items() if name not in where.machine)
    if missing:
        return (AddColumns("rows", missing),)
    wanted = _wanted(parse_rows(book.rows, columns, local=local), verdicts)
    return tuple(_updates(book, where.machine, wanted))


def _updates(book: Book, places: Mapping[str, int], wanted: Mapping[int, Mapping[str, Value]]) -> Iterator[CellUpdate]:
    """A column that is taken over is written as a whole, for by that it becomes ours."""
    new = set() if book.ours is None else {*places.values()} - book.ours
    nothing: Mapping[str, Value] = {}
    for number, cells in enumerate(book.rows.rows, start=2):
        values, width = wanted.get(number, nothing), len(cells)
        for name, place in places.items():
            value = values.get(name, "")
            cell = cells[place] if place < width else ""
            if place in new or not (cell == value or same(cell, value)):
                yield CellUpdate("rows", number, place, value)


def _wanted(snapshot: Snapshot, verdicts: Mapping[str, Verdict]) -> dict[int, Mapping[str, Value]]:
    """Row number -> machine column -> value. An unusable row says why and nothing else."""
    labels = {row.key: row.label for row in snapshot.rows}
    wanted = {number: _values(verdicts.get(key), labels.get(key, "")) for number, key in snapshot.keys.items()}
    for issue in snapshot.issues:
        if not issue.warning:
            wanted[issue.number] = {"status": issue.problem}
        elif status := wanted[issue.number].get("status"):
            wanted[issue.number] = {**wanted[issue.number], "status": with_warning(status, issue.problem)}
    return wanted


def _values(verdict: Verdict | None, label: str) -> Mapping[str, Value]:
    if verdict is None:
        return {}
    if verdict.label == label:
        return verdict.values
    # It was labelled otherwise while the pass was at work.
    return {name: value for name, value in verdict.values.items() if name not in LABEL_DEPENDENT}
