"""Images that could not be had: how often that was tried, and when it is tried again."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sheetsync.common.atomic import write_atomic
from sheetsync.errors import MirrorError
from sheetsync.images.records import Download, Failure

# Seconds until an image is asked for again, doubled with every try, and the most it comes to.
SOON, SOON_MOST = 120, 6 * 3600  # for what may pass: a server that is down, or has no time
LATER, LATER_MOST = 600, 24 * 3600  # for what somebody has to mend


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """A file that holds what could not be had the last time. Without it, everything is tried at once."""

    file: Path

    def not_due(self, wanted: Iterable[Download], now: int) -> list[Failure]:
        """Those of the wanted images for which it is too early. Raises `MirrorError` for a file that is not ours."""
        known = self._read()
        found = ((each.row, known.get(each.row.key)) for each in wanted)
        return [_failure(row.key, row.number, row.url, said) for row, said in found if said and now < said["until"]]

    def record(self, failures: Collection[Failure], now: int) -> list[Failure]:
        """Count those that were tried just now, and keep all; gives them as they stand then."""
        known = self._read()
        counted = [_counted(failure, known.get(failure.key), now) for failure in failures]
        kept = {each.key: _cells(each) for each in counted if each.times}
        if kept != known:
            write_atomic(self.file, json.dumps(kept, indent=0, ensure_ascii=False) + "\n")
        return counted

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self.file.exists():
            return {}
        try:
            said = json.loads(self.file.read_text(encoding="utf-8"))
            return {key: _cells(_failure(key, 0, "", cells)) for key, cells in said.items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MirrorError(f"{self.file} cannot be read ({error}): delete it; all images are tried then") from error


def _counted(failure: Failure, known: dict[str, Any] | None, now: int) -> Failure:
    if failure.times or failure.local:  # it waits, or costs nothing, and whoever mends it waits for no try
        return failure
    times = 1 + (known["times"] if known else 0)
    first, most = (SOON, SOON_MOST) if failure.passing else (LATER, LATER_MOST)
    wait = failure.pause or min(most, first * 2 ** min(times - 1, 20))
    return replace(failure, times=times, last=now, until=now + wait, pause=0)


def _cells(failure: Failure) -> dict[str, Any]:
    names = ("reason", "passing", "times", "last", "until")
    return {name: getattr(failure, name) for name in names}


def _failure(key: str, number: int, url: str, said: dict[str, Any]) -> Failure:
    times, last, until = (int(said[name]) for name in ("times", "last", "until"))
    return Failure(key, number, url, str(said["reason"]), bool(said["passing"]), times, last, until)
