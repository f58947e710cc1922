"""Append-only log of fetches (arrivals.tsv): key of an address -> digest, ETag, time of the last request."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.images.records import FetchRecord

# Written after a line that a crash cut short: it then has more cells than any valid line.
INVALIDATE_LINE = b"\t" * 7 + b"\n"


@dataclass(frozen=True, slots=True)
class FetchLog:
    """A file with one line per `FetchRecord`; the last line of a key counts. Lines cut short by a crash are skipped."""

    file: Path

    def append(self, records: Iterable[FetchRecord]) -> None:
        """Add records at the end."""
        with self.file.open("ab+") as log:
            cut_short = log.tell() and (log.seek(-1, 2), log.read(1))[1] != b"\n"
            log.write((INVALIDATE_LINE if cut_short else b"") + "".join(map(format_record, records)).encode())

    def count_lines(self) -> int:
        """Count all lines, outdated ones included."""
        with suppress(FileNotFoundError), self.file.open("rb") as log:
            return sum(1 for _ in log)
        return 0

    def latest(self, keys: Container[str] | None = None) -> dict[str, FetchRecord]:
        """Return the last record of each of these keys, or of all keys."""
        return {record.key: record for record in self._read(keys)}

    def latest_and_count(self) -> tuple[dict[str, FetchRecord], int]:
        """Return the last record of every key, and the number of records, outdated ones included."""
        latest, count = {}, 0
        for record in self._read(None):
            latest[record.key] = record
            count += 1
        return latest, count

    def _read(self, keys: Container[str] | None) -> Iterator[FetchRecord]:
        with suppress(FileNotFoundError), self.file.open(encoding="utf-8", errors="replace", newline="\n") as log:
            for line in log:
                if line.endswith("\n") and (keys is None or line.partition("\t")[0] in keys):
                    record = _parse_record(line[:-1].split("\t"))
                    if record is not None:
                        yield record


def format_record(record: FetchRecord) -> str:
    """Return the line of a record in the log."""
    return "\t".join(str(getattr(record, name)) for name in FetchRecord.__slots__) + "\n"


def _parse_record(cells: list[str]) -> FetchRecord | None:
    if len(cells) != 8 or not (cells[5].isdecimal() and cells[6].isdecimal()):
        return None
    key, digest, suffix, original_suffix, phash, checked_at, changed_at, validator = cells
    return FetchRecord(key, digest, suffix, original_suffix, phash, int(checked_at), int(changed_at), validator)
