"""The scores tab: one row per version, with its score and what changed since the one before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from sheetsync.common.text import join_names, shorten
from sheetsync.errors import SheetError
from sheetsync.rows.schema import SCORE_COLUMNS, SPLITS
from sheetsync.rows.table import AddColumns, AddRow, Change, Table, Value
from sheetsync.trainer.lineage import score_of
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.records import Changes


def check_scores(table: Table) -> None:
    """Refuse a table that people filled with something else than our columns. Raises `SheetError`."""
    header = [name.strip() for name in table.header if name.strip()]
    ours = {name.casefold() for name in header} & {*SCORE_COLUMNS} - {"note"}
    if not ours and any(cell.strip() for cells in (table.header, *table.rows) for cell in cells):
        found = join_names([shorten(name, 80) for name in header], ", ") or "no header"
        raise SheetError(
            f"something else stands where the scores belong ({found}): in a Google Sheet name another tab in "
            'sheetsync.toml, [google] scores = "…"; beside a CSV rename that file, ….scores.csv'
        )


def plan_score_changes(
    table: Table,
    run: RunInfo,
    since: Callable[[RunInfo], Changes],
    sizes: Mapping[str, int],
    seeds: Collection[RunInfo] = (),
) -> tuple[Change, ...]:
    """Plan the row of a run, and of its `seeds`, in the scores tab; () when it is there.

    `since` returns how its version differs from the one before, and is called only for a missing row. The columns may
    stand in any order among others; the row of a run, once written, belongs to people. Raises as `check_scores` does.
    """
    check_scores(table)
    columns = {name.strip().casefold(): column for column, name in enumerate(table.header)}
    missing = tuple(name for name in SCORE_COLUMNS if name not in columns)
    if missing:
        return (AddColumns("scores", missing),)
    if any(run.id in cells for cells in table.rows):  # in any column, for people may move a header alone
        return ()
    values: dict[str, Any] = {"when": run.metrics["created"], "run": run.id, "revision": run.revision}
    values |= {"recipe": run.recipe, **{split: sizes[split] for split in SPLITS}, **score_of(run, seeds)}
    values |= asdict(since(run))
    values = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    cells: dict[int, Value] = {columns[name]: "" if value is None else value for name, value in values.items()}
    return (AddRow("scores", tuple(cells.get(column, "") for column in range(len(table.header)))),)
