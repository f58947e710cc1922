"""What every address gave, and when it was asked: a log in the store of images."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sheetsync.images.records import FetchRecord

TORN = b"\t" * 7 + b"\n"  # ends what a crash cut short, with more cells than any line has


@dataclass(frozen=True, slots=True)
class FetchLog:
    """A file with a line an arrival; the last of an address counts. A line cut short by a crash is not read back."""

    file: Path

    def append(self, arrivals: Iterable[FetchRecord]) -> None:
        """Note which content addresses gave."""
        with self.file.open("ab+") as log:
            torn = log.tell() and (log.seek(-1, 2), log.read(1))[1] != b"\n"
            log.write((TORN if torn else b"") + "".join(map(format_record, arrivals)).encode())

    def count_lines(self) -> int:
        """How many there are, those that count no more among them."""
        with suppress(FileNotFoundError), self.file.open("rb") as log:
            return sum(1 for _ in log)
        return 0

    def latest(self, keys: Container[str] | None = None) -> dict[str, FetchRecord]:
        """The latest of these addresses, or of all."""
        return {arrival.key: arrival for arrival in self._read(keys)}

    def latest_and_count(self) -> tuple[dict[str, FetchRecord], int]:
        """The latest of all addresses, and how many arrivals there are, those that count no more among them."""
        known, count = {}, 0
        for arrival in self._read(None):
            known[arrival.key] = arrival
            count += 1
        return known, count

    def _read(self, keys: Container[str] | None) -> Iterator[FetchRecord]:
        with suppress(FileNotFoundError), self.file.open(encoding="utf-8", errors="replace", newline="\n") as log:
            for line in log:
                if line.endswith("\n") and (keys is None or line.partition("\t")[0] in keys):
                    yield from _parse_record(line[:-1].split("\t"))


def format_record(arrival: FetchRecord) -> str:
    """As it stands in the log."""
    return "\t".join(str(getattr(arrival, name)) for name in FetchRecord.__slots__) + "\n"


def _parse_record(cells: list[str]) -> Iterator[FetchRecord]:
    if len(cells) == 3:  # as it was before there were marks
        key, digest, suffix = cells
        yield FetchRecord(key, digest, suffix)
    elif len(cells) == 8 and cells[5].isdecimal() and cells[6].isdecimal():
        key, digest, suffix, original, look, asked, changed, mark = cells
        yield FetchRecord(key, digest, suffix, original, look, int(asked), int(changed), mark)
