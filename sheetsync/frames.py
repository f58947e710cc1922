"""pandas DataFrames: the rows of a sheet with what the machine wrote, and the predictions of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sheetsync.dataset.records import Manifest, image_in_name
from sheetsync.errors import TrainingError
from sheetsync.rows.folder_names import label_of
from sheetsync.rows.header import ColumnHeaders, find_columns
from sheetsync.rows.records import Snapshot
from sheetsync.rows.table import THOUSANDS, Table

SHARES = ("confidence", "label_quality")  # 0..1, NaN where the cell is empty
TEXTS = ("file", "split", "label", "prediction")
ESCAPED = re.compile(r"'[=+\-@\t\r\n]")  # a text in a CSV that without its apostrophe would be a formula


def frame_of_rows(snapshot: Snapshot, table: Table, columns: ColumnHeaders, manifest: Manifest) -> pd.DataFrame:
    """Build a table with a row for each image of a reading, in the order of the sheet; see `OpenProject.rows`."""
    places = find_columns(table, columns).machine
    rows = sorted(snapshot.rows, key=lambda row: row.number)
    files = {entry.key: entry.path for entry in manifest}

    def cells(name: str) -> list[str]:
        return [table.cell(row.number, places[name]) if name in places else "" for row in rows]

    ours = {
        "row": pd.Series([row.number for row in rows], dtype="int64"),
        "key": _texts([row.key for row in rows]),
        "url": _texts([row.url for row in rows]),
        "file": _texts([files.get(row.key, "") for row in rows]),
        "label": _texts([row.label for row in rows]),
        "split": _texts([row.split for row in rows]),
        **{name: _texts(list(map(_unescaped, cells(name)))) for name in ("used_split", "status", "prediction")},
        **{name: pd.Series(list(map(_number, cells(name))), dtype="float64") for name in SHARES},
        "review": _texts(list(map(_unescaped, cells("review")))),
        "review_rank": pd.Series(list(map(_count, cells("review_rank"))), dtype="Int64"),
    }
    tags = {tag: _texts([row.tags.get(tag, "") for row in rows]) for tag in columns.tags}
    return pd.DataFrame(ours | {f"tag_{tag}" if tag in ours else tag: values for tag, values in tags.items()})


def frame_of_predictions(path: Path) -> pd.DataFrame:
    """Read a run's predictions.csv; see `Run.predictions`. Raises `TrainingError` where it is missing or broken."""
    if not path.exists():
        raise TrainingError(f"the run in {path.parent} has no {path.name}: delete this folder, and sync again")
    types = dict.fromkeys(TEXTS, "str") | {"confidence": "float64", "self_confidence": "float64", "fold": "Int64"}
    try:
        frame = pd.read_csv(
            path,
            usecols=list(types),
            dtype=types,
            keep_default_na=False,
            na_values={name: [""] for name in types if name not in TEXTS},
            encoding_errors="surrogateescape",
        )
    except (ValueError, OSError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}): delete the folder of this run, and sync again"
        ) from error
    images = [image_in_name(file) or ("", "") for file in frame["file"]]
    frame.insert(0, "key", _texts([key for key, _ in images]))
    frame.insert(1, "digest", _texts([digest for _, digest in images]))
    for name in ("label", "prediction"):
        frame[name] = _texts([label_of(folder) for folder in frame[name]])
    return frame


def _texts(values: Sequence[str]) -> pd.Series[str]:
    return pd.Series(values, dtype="str")


def _unescaped(cell: str) -> str:
    return cell[1:] if ESCAPED.match(cell) else cell


def _number(cell: str) -> float:
    """Read a number with a dot or a comma as decimal sign; NaN where there is none."""
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return float("nan")


def _count(cell: str) -> int | None:
    """Read a whole number as spreadsheet programs write it: 1234, 1,234 or 1234.0; None where there is none."""
    if THOUSANDS.fullmatch(cell):
        return int(re.sub(r"\D", "", cell))
    number = _number(cell)
    return int(number) if number.is_integer() else None
