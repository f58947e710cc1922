"""Which cells to write. Pure, and planned from a fresh reading each time.

What belongs on a row depends only on that row's own image, so planning again after a write shows whether
the rows stood still meanwhile: nothing left to write means every machine value is on its own image's row.
"""

from __future__ import annotations

from sheetsync.errors import SheetError
from sheetsync.records import Snapshot
from sheetsync.review import MachineValues
from sheetsync.rows import Columns, column_letter, layout, parse
from sheetsync.tables import AddColumns, Book, CellUpdate, Change, Table, Value, same


def row_changes(book: Book, columns: Columns, values: MachineValues, *, local: bool) -> tuple[Change, ...]:
    """What makes the machine's cells of a reading say what they should; () when they do.

    Only machine columns are ever addressed. Columns that are missing are added first, alone; plan again then.
    """
    where = layout(book.rows, columns)
    missing = tuple(header for name, header in columns.machine.items() if name not in where.machine)
    if missing:
        return (AddColumns("rows", missing),)
    snapshot = parse(book.rows, columns, local=local)
    wanted = _wanted(snapshot, values)
    return tuple(
        CellUpdate("rows", number, place, value)
        for number in range(2, len(book.rows.rows) + 2)
        for name, place in where.machine.items()
        if not same(book.rows.cell(number, place), value := wanted.get(number, {}).get(name, ""))
    )


def _wanted(snapshot: Snapshot, values: MachineValues) -> dict[int, dict[str, Value]]:
    """Row number -> machine column -> value. An unusable row says why and nothing else."""
    wanted = {number: dict(values.get(key, {})) for number, key in snapshot.keys.items()}
    for issue in snapshot.issues:
        if not issue.warning:
            wanted[issue.number] = {"status": issue.problem}
        elif wanted[issue.number].get("status") == "ok":
            wanted[issue.number]["status"] = issue.problem
    return wanted


def check_ownership(table: Table, columns: Columns) -> None:
    """Refuse to take over a column that people filled under a name we use.

    All machine columns together are ours from an earlier time. Raises `SheetError`.
    """
    where = layout(table, columns)
    if len(where.machine) == len(columns.machine):
        return
    for name, place in where.machine.items():
        if any(table.cell(number, place).strip() for number in range(2, len(table.rows) + 2)):
            raise SheetError(
                f"column {column_letter(place)} is called '{table.header[place]}' and holds values that sheetsync "
                f"did not write: rename it, or choose another name for ours in sheetsync.toml: "
                f'[columns] {name} = "…"'
            )
