"""The plan of which cells to write. Pure, and made from a fresh reading each time.

The values of a row depend only on that row's own image, so planning again after a write shows whether the rows stood
still meanwhile: nothing left to write means every value of ours is on its own image's row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sheetsync.review.verdicts import Verdict
from sheetsync.rows.header import ColumnHeaders, find_columns
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import with_warning
from sheetsync.rows.table import AddColumns, Book, CellUpdate, Change, Value, shows_value

# Our columns whose values depend on the label of the row, and not on the image alone.
LABEL_DEPENDENT = ("label_quality", "review", "review_rank")


def plan_row_changes(
    book: Book, columns: ColumnHeaders, verdicts: Mapping[str, Verdict], owned: Collection[str], *, local: bool
) -> tuple[Change, ...]:
    """Plan the changes that give our columns of a reading the values of the verdicts; () when they have them.

    Only machine columns are ever addressed. Missing columns are added first, alone; plan again then. Raises
    `SheetError` when people filled a column of such a name themselves; see `check_ownership`, also for `owned`.
    """
    check_ownership(book.rows, columns, owned)
    found = find_columns(book.rows, columns)
    missing = tuple(header for name, header in columns.machine.items() if name not in found.machine)
    if missing:
        return (AddColumns("rows", missing),)
    values = _values_by_row(parse_rows(book.rows, columns, local=local), verdicts)
    return tuple(_diff(book, found.machine, values))


def _diff(
    book: Book, positions: Mapping[str, int], values_by_row: Mapping[int, Mapping[str, Value]]
) -> Iterator[CellUpdate]:
    """Yield the cells that differ. A column that is taken over is written as a whole: that makes it ours."""
    new = set() if book.owned is None else {*positions.values()} - book.owned
    nothing: Mapping[str, Value] = {}
    for number, cells in enumerate(book.rows.rows, start=2):
        values, width = values_by_row.get(number, nothing), len(cells)
        for name, position in positions.items():
            value = values.get(name, "")
            cell = cells[position] if position < width else ""
            if position in new or not (cell == value or shows_value(cell, value)):
                yield CellUpdate("rows", number, position, value)


def _values_by_row(snapshot: Snapshot, verdicts: Mapping[str, Verdict]) -> dict[int, Mapping[str, Value]]:
    """Return row number -> machine column -> value. An unusable row has a status that says why, and nothing else."""
    labels = {row.key: row.label for row in snapshot.rows}
    found: dict[int, Mapping[str, Value]] = {}
    for number, key in snapshot.keys.items():
        verdict = verdicts.get(key)
        found[number] = verdict.values if verdict else {}
        if verdict and verdict.label != labels.get(key, ""):  # people changed it while the pass was at work
            found[number] = {name: value for name, value in verdict.values.items() if name not in LABEL_DEPENDENT}
    for issue in snapshot.issues:
        if not issue.warning:
            found[issue.number] = {"status": issue.problem}
        elif status := found[issue.number].get("status"):
            found[issue.number] = {**found[issue.number], "status": with_warning(status, issue.problem)}
    return found
