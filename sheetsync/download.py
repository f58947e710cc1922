"""Fetch images: many at a time, each within limits, and only real pictures.

A failure is a value with a reason for the annotator, never an exception: one broken image stops no other.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import BinaryIO, TypeAlias, cast

from sheetsync.cells import shown
from sheetsync.fetching import Fetch, FetchError, Limits, PassingError
from sheetsync.lanes import Lanes, Turn
from sheetsync.objects import TEMPORARY, Objects
from sheetsync.pictures import examine, prepare
from sheetsync.places import host
from sheetsync.records import Arrival, Download, Failure

IN_MEMORY = 1 << 20  # bytes of an image that are held before they go to disk
LONGEST_WAIT = 30.0  # seconds that a server may ask for, between two attempts
Result: TypeAlias = Arrival | Failure | BaseException


def at_hand(wanted: Iterable[Download], objects: Objects) -> tuple[list[Arrival], list[Download]]:
    """What the store still holds of the wanted images, from earlier times, and what has to be fetched."""
    wanted = list(wanted)
    known = objects.arrivals.known({each.row.key for each in wanted}) if wanted else {}
    arrivals, missing = [], []
    for each in wanted:
        arrival = known.get(each.row.key)
        if arrival is not None and objects.holds(arrival):
            arrivals.append(arrival)
        else:
            missing.append(each)
    return arrivals, missing


def download(
    wanted: Iterable[Download], objects: Objects, fetch: Fetch, limits: Limits, when: int = 0
) -> Iterator[Arrival | Failure]:
    """Fetch images into the store; gives each result as soon as it is there, in no order.

    `when` is the time that is noted for them, in seconds since 1970. What may pass is tried again meanwhile.
    """
    jobs = [(host(each.row.url), _Job(each)) for each in wanted]
    if not jobs:
        return
    prepare()
    objects.root.mkdir(parents=True, exist_ok=True)
    lanes = Lanes(jobs, limits.workers, limits.per_host, time.monotonic)
    crew = _Crew(lanes, objects, fetch, limits, when)
    try:
        crew.start(min(len(jobs), 2 * limits.workers))
        for _ in jobs:
            result = crew.result()
            yield result  # noted when whoever asks for the next one has put it where it belongs
            if isinstance(result, Arrival):
                objects.arrivals.add(result)
    finally:  # whoever stops listening, at Ctrl-C say, does not wait for slow servers
        lanes.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to fetch, and how often that was tried."""

    wanted: Download
    tries: int = 0


@dataclass(frozen=True)
class _Crew:
    """The threads that fetch, and what they bring."""

    lanes: Lanes[_Job]
    objects: Objects
    fetch: Fetch
    limits: Limits
    when: int
    results: SimpleQueue[Result] = field(default_factory=SimpleQueue)

    def start(self, threads: int) -> None:
        for _ in range(threads):
            threading.Thread(target=self._work, name="download", daemon=True).start()

    def result(self) -> Arrival | Failure:
        """The next one. Raises what ended a thread, such as a full disk."""
        result = self.results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def _work(self) -> None:
        try:
            while turn := self.lanes.take():
                self._try(turn)
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that listens
            self.results.put(error)

    def _try(self, turn: Turn[_Job]) -> None:
        job = turn.job
        try:
            result: Result = self._one(job.wanted)
            answered = True
        except FetchError as error:
            if isinstance(error, PassingError) and job.tries + 1 < self.limits.attempts:
                self._again(turn, error)
                return
            row, answered = job.wanted.row, error.answered
            passing = isinstance(error, PassingError)
            result = Failure(row.key, row.number, row.url, shown(str(error), 500), passing)
        self.lanes.over(turn, answered=answered)
        self.results.put(result)

    def _again(self, turn: Turn[_Job], error: PassingError) -> None:
        later = replace(turn.job, tries=turn.job.tries + 1)
        wait = random.uniform(0.5, 1) * 0.2 * 2**later.tries if error.wait is None else error.wait
        rest = error.wait is not None
        self.lanes.again(turn, later, min(wait, LONGEST_WAIT), answered=error.answered, rest=rest)

    def _one(self, wanted: Download) -> Arrival:
        row, known = wanted.row, wanted.known
        with tempfile.SpooledTemporaryFile(IN_MEMORY, prefix=TEMPORARY, dir=str(self.objects.root)) as spool:
            file = cast(BinaryIO, spool)
            fetched = self.fetch(row.url, file, known.mark if known else "")
            if fetched.unchanged and known:
                return replace(known, asked=self.when, mark=fetched.mark or known.mark)
            file.seek(0)
            picture = examine(file, self.limits.max_pixels)
            digest = self.objects.keep(file, picture)
        original = picture.suffix if picture.shown else ""
        suffix = picture.shown_suffix if picture.shown else picture.suffix
        before = known or Arrival(row.key, digest, suffix)
        changed = before.changed if before.digest == digest else self.when
        return Arrival(row.key, digest, suffix, original, picture.look, self.when, changed, fetched.mark)
