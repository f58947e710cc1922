"""Fetch images: many at a time, each within limits, and only real pictures.

A failure is a value with a reason for the annotator, never an exception: one broken image stops no other.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from queue import Empty, Queue
from typing import BinaryIO, TypeAlias, cast

from sheetsync.common.atomic import TEMPORARY
from sheetsync.common.text import shown
from sheetsync.images.decode.decode import examine, prepare
from sheetsync.images.decode.formats import modest
from sheetsync.images.fetch.base import Fetch, FetchError, Limits, LocalError, PassingError
from sheetsync.images.fetch.sources import host
from sheetsync.images.host_queue import IN_VAIN, Lanes, Turn
from sheetsync.images.records import Arrival, Download, Failure
from sheetsync.images.store import Objects, Staged

IN_MEMORY = 1 << 20  # bytes of an image that are held before they go to disk
LONGEST_WAIT = 30.0  # seconds that a server may ask for, between two attempts; longer ones are for a later pass
LONGEST_PAUSE = 24 * 3600.0  # seconds for which a server is left alone
# Bytes and pixels of an image that is decoded in less time than it takes to change threads.
LITTLE, FEW_PIXELS = 1 << 15, 1 << 18
BATCH = 64  # images that are put away at a time, at most
HELD = 1024  # that wait for it; more than there are threads, so that each can end


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
) -> Generator[Arrival | Failure, None, None]:
    """Fetch images into the store; gives each result as soon as it is there, in no order.

    `when` is the time that is noted for them, in seconds since 1970. What may pass is tried again meanwhile. Whoever
    stops listening closes it.
    """
    jobs = [(host(each.row.url), _Job(each)) for each in wanted]
    if not jobs:
        return
    prepare()
    objects.root.mkdir(parents=True, exist_ok=True)
    lanes = Lanes(jobs, limits.workers, limits.per_host, time.monotonic)
    crew = _Crew(lanes, objects, fetch, limits, when)
    left = len(jobs)
    try:
        crew.start(min(left, 2 * limits.workers))
        while left:
            results = crew.results(min(left, BATCH))
            yield from results
            # Noted when whoever asks for the next one has put these where they belong.
            objects.arrivals.add(each for each in results if isinstance(each, Arrival))
            left -= len(results)
    finally:  # whoever stops listening, at Ctrl-C say, does not wait for slow servers
        crew.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to fetch, and how often that was tried."""

    wanted: Download
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Raw:
    """An image as it came, and its mark."""

    wanted: Download
    content: bytes
    mark: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """An image that was looked at, and what is to be settled before it counts."""

    arrival: Arrival
    staged: Staged


@dataclass(frozen=True)
class _Crew:
    """The threads that fetch, and what they bring.

    They look at large images themselves, for that is work for many processors. Little ones are looked at where all
    come together, for there it takes less time than many threads that step on each other's toes.
    """

    lanes: Lanes[_Job]
    objects: Objects
    fetch: Fetch
    limits: Limits
    when: int
    brought: Queue[list[Brought]] = field(default_factory=lambda: Queue(HELD))

    def start(self, threads: int) -> None:
        for _ in range(threads):
            threading.Thread(target=self._work, name="download", daemon=True).start()

    def results(self, most: int) -> list[Arrival | Failure]:
        """The next ones, about as many as were brought meanwhile. Raises what ended a thread, such as a full disk."""
        brought = [*self.brought.get()]
        with suppress(Empty):
            while len(brought) < most:
                brought += self.brought.get_nowait()
        seen = [self._looked_at(each) for each in brought]
        self.objects.settle(each.staged for each in seen if isinstance(each, _Ready))
        return [each.arrival if isinstance(each, _Ready) else each for each in seen]

    def close(self) -> None:
        """Let the threads end, and leave nothing half done."""
        self.lanes.close()
        with suppress(Empty):
            while True:
                self.brought.get_nowait()
        self.objects.sweep()

    def _work(self) -> None:
        try:
            while turn := self.lanes.take():
                self._try(turn)
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that listens
            self.brought.put([error])

    def _try(self, turn: Turn[_Job]) -> None:
        job = turn.job
        try:
            brought: list[Brought] = [self._one(job.wanted)]
        except FetchError as error:
            refused = isinstance(error, PassingError) and error.wait is not None
            if isinstance(error, PassingError) and not _pause(error) and job.tries + 1 < self.limits.attempts:
                self._again(turn, error)
                return
            rest = self.lanes.over(turn, answered=error.answered, refused=refused)
            brought = [_failure(job.wanted, error), *(_failure(each.wanted, _unasked(error)) for each in rest)]
        else:
            self.lanes.over(turn, answered=True)
        self.brought.put(brought)

    def _again(self, turn: Turn[_Job], error: PassingError) -> None:
        later = replace(turn.job, tries=turn.job.tries + 1)
        wait = random.uniform(0.5, 1) * 0.2 * 2**later.tries if error.wait is None else error.wait
        rest = error.wait is not None
        self.lanes.again(turn, later, wait, answered=error.answered, rest=rest)

    def _one(self, wanted: Download) -> Brought:
        known = wanted.known
        with tempfile.SpooledTemporaryFile(IN_MEMORY, prefix=TEMPORARY, dir=str(self.objects.root)) as spool:
            file = cast(BinaryIO, spool)
            fetched = self.fetch(wanted.row.url, file, known.mark if known else "")
            if fetched.unchanged and known:
                return replace(known, asked=self.when, mark=fetched.mark or known.mark)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size <= LITTLE and modest(content := file.read(), FEW_PIXELS):
                return _Raw(wanted, content, fetched.mark)
            file.seek(0)
            return self._ready(wanted, file, fetched.mark)

    def _looked_at(self, brought: Brought) -> Arrival | Failure | _Ready:
        if isinstance(brought, BaseException):
            raise brought
        if not isinstance(brought, _Raw):
            return brought
        try:
            return self._ready(brought.wanted, BytesIO(brought.content), brought.mark)
        except FetchError as error:
            return _failure(brought.wanted, error)

    def _ready(self, wanted: Download, file: BinaryIO, mark: str) -> _Ready:
        row, known, picture = wanted.row, wanted.known, examine(file, self.limits.max_pixels)
        staged = self.objects.stage(file, picture)
        original = picture.suffix if picture.shown else ""
        suffix = picture.shown_suffix if picture.shown else picture.suffix
        same = known is None or known.digest == staged.digest
        changed = (known.changed if known else 0) if same else self.when
        arrival = Arrival(row.key, staged.digest, suffix, original, picture.look, self.when, changed, mark)
        return _Ready(arrival, staged)


def _pause(error: FetchError) -> int:
    """Seconds for which a server wants to be left alone, where nobody waits that long here; else 0."""
    wait = error.wait if isinstance(error, PassingError) else None
    return int(min(wait, LONGEST_PAUSE)) if wait is not None and wait > LONGEST_WAIT else 0


def _unasked(error: FetchError) -> PassingError:
    """Why an image was not asked for any more, after many of the same host that could not be had."""
    wait = error.wait if isinstance(error, PassingError) else None
    return PassingError(f"left to a later pass: its server gave nothing {IN_VAIN} times in a row: {error}", wait)


def _failure(wanted: Download, error: FetchError) -> Failure:
    row, passing = wanted.row, isinstance(error, PassingError)
    local = isinstance(error, LocalError) or not host(row.url)
    return Failure(row.key, row.number, row.url, shown(str(error), 500), passing, local=local, pause=_pause(error))


Brought: TypeAlias = _Raw | _Ready | Arrival | Failure | BaseException
