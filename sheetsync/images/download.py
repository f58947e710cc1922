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
from sheetsync.common.text import shorten
from sheetsync.images.decode.decode import decode, register_decoders
from sheetsync.images.decode.formats import declares_at_most
from sheetsync.images.fetch.base import Fetch, FetchError, Limits, NotRequestedError, TransientError
from sheetsync.images.fetch.sources import host_of
from sheetsync.images.host_queue import MAX_FAILURES, HostQueue, Lease
from sheetsync.images.records import Download, Failure, FetchRecord
from sheetsync.images.store import ImageStore, Staged

IN_MEMORY = 1 << 20  # bytes of an image that are held before they go to disk
LONGEST_WAIT = 30.0  # seconds that a server may ask for, between two attempts; longer ones are for a later pass
LONGEST_PAUSE = 24 * 3600.0  # seconds for which a server is left alone
# Bytes and pixels of an image that is decoded in less time than it takes to change threads.
LITTLE, FEW_PIXELS = 1 << 15, 1 << 18
BATCH = 64  # images that are put away at a time, at most
HELD = 1024  # that wait for it; more than there are threads, so that each can end


def split_cached(wanted: Iterable[Download], objects: ImageStore) -> tuple[list[FetchRecord], list[Download]]:
    """What the store still holds of the wanted images, from earlier times, and what has to be fetched."""
    wanted = list(wanted)
    known = objects.fetch_log.latest({each.row.key for each in wanted}) if wanted else {}
    arrivals, missing = [], []
    for each in wanted:
        arrival = known.get(each.row.key)
        if arrival is not None and objects.is_intact(arrival):
            arrivals.append(arrival)
        else:
            missing.append(each)
    return arrivals, missing


def download(
    wanted: Iterable[Download], objects: ImageStore, fetch: Fetch, limits: Limits, when: int = 0
) -> Generator[FetchRecord | Failure, None, None]:
    """Fetch images into the store; gives each result as soon as it is there, in no order.

    `when` is the time that is noted for them, in seconds since 1970. What may pass is tried again meanwhile. Whoever
    stops listening closes it.
    """
    jobs = [(host_of(each.row.url), _Job(each)) for each in wanted]
    if not jobs:
        return
    register_decoders()
    objects.root.mkdir(parents=True, exist_ok=True)
    lanes = HostQueue(jobs, limits.workers, limits.per_host, time.monotonic)
    crew = _Workers(lanes, objects, fetch, limits, when)
    left = len(jobs)
    try:
        crew.start(min(left, 2 * limits.workers))
        while left:
            results = crew.results(min(left, BATCH))
            yield from results
            # Noted when whoever asks for the next one has put these where they belong.
            objects.fetch_log.append(each for each in results if isinstance(each, FetchRecord))
            left -= len(results)
    finally:  # whoever stops listening, at Ctrl-C say, does not wait for slow servers
        crew.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to fetch, and how often that was tried."""

    wanted: Download
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Undecoded:
    """An image as it came, and its mark."""

    wanted: Download
    content: bytes
    mark: str


@dataclass(frozen=True, slots=True)
class _Decoded:
    """An image that was looked at, and what is to be settled before it counts."""

    arrival: FetchRecord
    staged: Staged


@dataclass(frozen=True)
class _Workers:
    """The threads that fetch, and what they bring.

    They look at large images themselves, for that is work for many processors. Little ones are looked at where all
    come together, for there it takes less time than many threads that step on each other's toes.
    """

    queue: HostQueue[_Job]
    objects: ImageStore
    fetch: Fetch
    limits: Limits
    when: int
    fetched: Queue[list[Result]] = field(default_factory=lambda: Queue(HELD))

    def start(self, threads: int) -> None:
        for _ in range(threads):
            threading.Thread(target=self._work, name="download", daemon=True).start()

    def results(self, most: int) -> list[FetchRecord | Failure]:
        """The next ones, about as many as were brought meanwhile. Raises what ended a thread, such as a full disk."""
        brought = [*self.fetched.get()]
        with suppress(Empty):
            while len(brought) < most:
                brought += self.fetched.get_nowait()
        seen = [self._looked_at(each) for each in brought]
        self.objects.commit(each.staged for each in seen if isinstance(each, _Decoded))
        return [each.arrival if isinstance(each, _Decoded) else each for each in seen]

    def close(self) -> None:
        """Let the threads end, and leave nothing half done."""
        self.queue.close()
        with suppress(Empty):
            while True:
                self.fetched.get_nowait()
        self.objects.remove_temporary()

    def _work(self) -> None:
        try:
            while turn := self.queue.acquire():
                self._try(turn)
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that listens
            self.fetched.put([error])

    def _try(self, turn: Lease[_Job]) -> None:
        job = turn.job
        try:
            brought: list[Result] = [self._one(job.wanted)]
        except FetchError as error:
            refused = isinstance(error, TransientError) and error.retry_after is not None
            if (
                isinstance(error, TransientError)
                and not _pause_seconds(error)
                and job.attempts + 1 < self.limits.attempts
            ):
                self._requeue(turn, error)
                return
            rest = self.queue.release(turn, answered=error.answered, refused=refused)
            brought = [_failure(job.wanted, error), *(_failure(each.wanted, _not_asked(error)) for each in rest)]
        else:
            self.queue.release(turn, answered=True)
        self.fetched.put(brought)

    def _requeue(self, turn: Lease[_Job], error: TransientError) -> None:
        later = replace(turn.job, attempts=turn.job.attempts + 1)
        wait = random.uniform(0.5, 1) * 0.2 * 2**later.attempts if error.retry_after is None else error.retry_after
        rest = error.retry_after is not None
        self.queue.requeue(turn, later, wait, answered=error.answered, rest=rest)

    def _one(self, wanted: Download) -> Result:
        known = wanted.known
        with tempfile.SpooledTemporaryFile(IN_MEMORY, prefix=TEMPORARY, dir=str(self.objects.root)) as spool:
            file = cast(BinaryIO, spool)
            fetched = self.fetch(wanted.row.url, file, known.validator if known else "")
            if fetched.unchanged and known:
                return replace(known, checked_at=self.when, validator=fetched.validator or known.validator)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size <= LITTLE and declares_at_most(content := file.read(), FEW_PIXELS):
                return _Undecoded(wanted, content, fetched.validator)
            file.seek(0)
            return self._ready(wanted, file, fetched.validator)

    def _looked_at(self, brought: Result) -> FetchRecord | Failure | _Decoded:
        if isinstance(brought, BaseException):
            raise brought
        if not isinstance(brought, _Undecoded):
            return brought
        try:
            return self._ready(brought.wanted, BytesIO(brought.content), brought.mark)
        except FetchError as error:
            return _failure(brought.wanted, error)

    def _ready(self, wanted: Download, file: BinaryIO, mark: str) -> _Decoded:
        row, known, picture = wanted.row, wanted.known, decode(file, self.limits.max_pixels)
        staged = self.objects.stage(file, picture)
        original = picture.suffix if picture.rendered else ""
        suffix = picture.rendered_suffix if picture.rendered else picture.suffix
        same = known is None or known.digest == staged.digest
        changed = (known.changed_at if known else 0) if same else self.when
        arrival = FetchRecord(row.key, staged.digest, suffix, original, picture.phash, self.when, changed, mark)
        return _Decoded(arrival, staged)


def _pause_seconds(error: FetchError) -> int:
    """Seconds for which a server wants to be left alone, where nobody waits that long here; else 0."""
    wait = error.retry_after if isinstance(error, TransientError) else None
    return int(min(wait, LONGEST_PAUSE)) if wait is not None and wait > LONGEST_WAIT else 0


def _not_asked(error: FetchError) -> TransientError:
    """Why an image was not asked for any more, after many of the same host that could not be had."""
    wait = error.retry_after if isinstance(error, TransientError) else None
    return TransientError(f"left to a later pass: its server gave nothing {MAX_FAILURES} times in a row: {error}", wait)


def _failure(wanted: Download, error: FetchError) -> Failure:
    row, passing = wanted.row, isinstance(error, TransientError)
    local = isinstance(error, NotRequestedError) or not host_of(row.url)
    return Failure(
        row.key, row.number, row.url, shorten(str(error), 500), passing, local=local, pause=_pause_seconds(error)
    )


Result: TypeAlias = _Undecoded | _Decoded | FetchRecord | Failure | BaseException
