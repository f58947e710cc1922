"""Retry schedule of failed downloads (failed.json): exponential back-off from pass to pass."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sheetsync.common.atomic import write_atomic
from sheetsync.errors import MirrorError
from sheetsync.images.records import Download, Failure

# Seconds until an image is tried again, doubled with every failure, and the most it comes to.
TRANSIENT_WAIT, MAX_TRANSIENT_WAIT = 120, 6 * 3600  # a server that is down or busy
PERMANENT_WAIT, MAX_PERMANENT_WAIT = 600, 24 * 3600  # failures that somebody has to fix, such as a 404
FIELDS = ("reason", "passing", "times", "last", "until")  # of a `Failure`, kept by its key


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """A file of the images that failed last time. Without it, everything is tried at once."""

    file: Path

    def not_due(self, downloads: Iterable[Download], now: int) -> list[Failure]:
        """Return the failures of those downloads that are not to be retried yet.

        Raises `MirrorError` for a file of another format.
        """
        known = self._read()
        entries = ((each.row, known.get(each.row.key)) for each in downloads)
        return [
            _parse_failure(row.key, row.number, row.url, entry)
            for row, entry in entries
            if entry and now < entry["until"]
        ]

    def record(self, failures: Collection[Failure], now: int) -> list[Failure]:
        """Replace the file's entries by these failures, with new ones counted and given their next time; return them.

        Images that are not among them are forgotten: they were fetched, or left the sheet.
        """
        known = self._read()
        counted = [_count_attempt(failure, known.get(failure.key), now) for failure in failures]
        entries = {each.key: _to_json(each) for each in counted if each.times}
        if entries != known:
            write_atomic(self.file, json.dumps(entries, indent=0, ensure_ascii=False) + "\n")
        return counted

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.file.exists():
            return {}
        try:
            entries = json.loads(self.file.read_text(encoding="utf-8"))
            return {key: _to_json(_parse_failure(key, 0, "", entry)) for key, entry in entries.items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MirrorError(f"{self.file} cannot be read ({error}): delete it; all images are tried then") from error


def _count_attempt(failure: Failure, known: dict[str, Any] | None, now: int) -> Failure:
    # Not where it was not due, nor where no server was asked: a changed setting takes effect on the next pass.
    if failure.times or failure.local:
        return failure
    times = 1 + (known["times"] if known else 0)
    first, most = (TRANSIENT_WAIT, MAX_TRANSIENT_WAIT) if failure.passing else (PERMANENT_WAIT, MAX_PERMANENT_WAIT)
    wait = failure.pause or min(most, first * 2 ** min(times - 1, 20))
    return replace(failure, times=times, last=now, until=now + wait, pause=0)


def _to_json(failure: Failure) -> dict[str, Any]:
    return {name: getattr(failure, name) for name in FIELDS}


def _parse_failure(key: str, number: int, url: str, entry: dict[str, Any]) -> Failure:
    times, last, until = (int(entry[name]) for name in ("times", "last", "until"))
    return Failure(key, number, url, str(entry["reason"]), bool(entry["passing"]), times, last, until)
