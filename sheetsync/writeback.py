"""Which cells to write. Pure, and planned from a fresh reading each time.

What belongs on a row depends only on that row's own image, so planning again after a write shows whether
the rows stood still meanwhile: nothing left to write means every machine value is on its own image's row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sheetsync.errors import SheetError
from sheetsync.records import Snapshot
from sheetsync.review import Verdict, warned
from sheetsync.rows import Columns, column_letter, layout, parse
from sheetsync.tables import AddColumns, Book, CellUpdate, Change, Table, Value, same

# What the machine says of a label, and not of the image alone.
OF_LABEL = ("label_quality", "review", "review_rank")


def row_changes(
    book: Book, columns: Columns, verdicts: Mapping[str, Verdict], ours: Collection[str], *, local: bool
) -> tuple[Change, ...]:
    """What makes the machine's cells of a reading say what they should; () when they do.

    Only machine columns are ever addressed. Columns that are missing are added first, alone; plan again then.
    Raises `SheetError` when people filled a column of that name themselves; see `check_ownership`.
    """
    check_ownership(book.rows, columns, ours)
    where = layout(book.rows, columns)
    missing = tuple(header for name, header in columns.machine.items() if name not in where.machine)
    if missing:
        return (AddColumns("rows", missing),)
    wanted = _wanted(parse(book.rows, columns, local=local), verdicts)
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
            wanted[issue.number] = {**wanted[issue.number], "status": warned(status, issue.problem)}
    return wanted


def _values(verdict: Verdict | None, label: str) -> Mapping[str, Value]:
    if verdict is None:
        return {}
    if verdict.label == label:
        return verdict.values
    # It was labelled otherwise while the pass was at work.
    return {name: value for name, value in verdict.values.items() if name not in OF_LABEL}


def check_ownership(table: Table, columns: Columns, ours: Collection[str]) -> None:
    """Refuse to take over a column that people filled under a name we use. `ours` as `known` or `headers` gives them.

    Where nothing is known to be ours, all machine columns together are, from an earlier time. Raises `SheetError`.
    """
    where = layout(table, columns)
    if not ours and len(where.machine) == len(columns.machine):
        return
    for name, place in where.machine.items():
        filled = any(table.cell(number, place).strip() for number in range(2, len(table.rows) + 2))
        if filled and _plain(table.header[place]) not in ours:
            raise SheetError(
                f"column {column_letter(place)} is called '{table.header[place]}' and holds values that may not be "
                f"sheetsync's: rename or clear it, or choose another name for ours in sheetsync.toml: "
                f'[columns] {name} = "…"'
            )


def known(book: Book, remembered: Collection[str]) -> Collection[str]:
    """The headers of columns that are ours: the sheet itself knows best, for people may have renamed one of ours."""
    if book.ours is None:
        return remembered
    return {_plain(book.rows.cell(1, place)) for place in book.ours}


def headers(table: Table, columns: Columns) -> set[str]:
    """The machine columns of a reading, by header, as they are remembered."""
    return {_plain(table.header[place]) for place in layout(table, columns).machine.values()}


def _plain(header: str) -> str:
    return header.strip().casefold()
