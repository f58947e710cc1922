"""The file metadata.csv beside the splits: what the sheet says of each image file, so that it travels along."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sheetsync.common.atomic import write_atomic
from sheetsync.dataset.records import Manifest
from sheetsync.errors import MirrorError
from sheetsync.rows.records import Row
from sheetsync.rows.schema import MACHINE_COLUMNS
from sheetsync.rows.table import Value

FIRST_COLUMNS = ("file_name", "url", "label", "split")  # `file_name` as other tools that read image folders expect


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A metadata.csv. It is for programs, so labels stand there as they are, whatever a spreadsheet makes of them."""

    path: Path

    def write(self, manifest: Manifest, rows: Iterable[Row], values: Mapping[str, Mapping[str, Value]]) -> None:
        """Write a line per image: its file, the cells of its row, `values` of our columns by key, and its tags."""
        row_of = {row.key: row for row in rows}
        tags = sorted({tag for row in row_of.values() for tag in row.tags})
        nothing: Mapping[str, Value] = {}
        out = io.StringIO(newline="")
        table = csv.writer(out, lineterminator="\n")
        table.writerow((*FIRST_COLUMNS, *MACHINE_COLUMNS, *tags))
        for entry in sorted(manifest, key=lambda entry: entry.path):
            row, machine = row_of[entry.key], values.get(entry.key, nothing)
            cells = map(machine.get, MACHINE_COLUMNS)
            table.writerow((entry.path, row.url, entry.label, entry.split, *cells, *(row.tags[tag] for tag in tags)))
        if not self.path.exists() or self.path.read_bytes() != out.getvalue().encode():
            write_atomic(self.path, out.getvalue())

    def fingerprint(self) -> tuple[int, ...]:
        """Return numbers that change when the file is written or replaced; () where there is none."""
        if not self.path.exists():
            return ()
        stat = self.path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def check_ours(self) -> None:
        """Refuse a file of this name that is the team's own and would be replaced. Raises `MirrorError`."""
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8-sig", errors="replace") as file:
            header = file.readline()
        if not header.replace(";", ",").startswith(",".join(FIRST_COLUMNS)):
            raise MirrorError(f"{self.path} did not come from sheetsync and would be replaced: move it elsewhere")
