"""Download images in parallel into the store, with limits and retries.

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

SPOOL_BYTES = 1 << 20  # of an image that are held in memory before they go to disk
MAX_RETRY_WAIT = 30.0  # seconds between two attempts on one pass; a server that asks for more is left to a later pass
MAX_PAUSE = 24 * 3600.0  # seconds for which a server is left alone, whatever it asks for
# Bytes and pixels of an image that is decoded in less time than threads take to hand over the GIL.
SMALL_BYTES, SMALL_PIXELS = 1 << 15, 1 << 18
BATCH = 64  # results that are committed at a time, at most
QUEUED_RESULTS = 1024  # results that wait for it; more than there are threads, so that each of them can end


def split_cached(downloads: Iterable[Download], store: ImageStore) -> tuple[list[FetchRecord], list[Download]]:
    """Split downloads into the records of those that the store already holds, and those that must be fetched."""
    downloads = list(downloads)
    latest = store.fetch_log.latest({each.row.key for each in downloads}) if downloads else {}
    cached, missing = [], []
    for each in downloads:
        record = latest.get(each.row.key)
        if record is not None and store.is_intact(record):
            cached.append(record)
        else:
            missing.append(each)
    return cached, missing


def download(
    downloads: Iterable[Download], store: ImageStore, fetch: Fetch, limits: Limits, now: int = 0
) -> Generator[FetchRecord | Failure, None, None]:
    """Fetch images into the store; yields each result as soon as it is there, in any order.

    `now`, in seconds since 1970, is recorded as the time of all requests. Transient failures are retried with back-off.
    A caller that stops early must close the generator.
    """
    jobs = [(host_of(each.row.url), _Job(each)) for each in downloads]
    if not jobs:
        return
    register_decoders()
    store.root.mkdir(parents=True, exist_ok=True)
    queue = HostQueue(jobs, limits.workers, limits.per_host, time.monotonic)
    workers = _Workers(queue, store, fetch, limits, now)
    left = len(jobs)
    try:
        workers.start(min(left, 2 * limits.workers))
        while left:
            results = workers.results(min(left, BATCH))
            yield from results
            # Only when the caller asks for the next result has it put these into the dataset.
            store.fetch_log.append(each for each in results if isinstance(each, FetchRecord))
            left -= len(results)
    finally:  # does not wait for slow servers, at Ctrl-C say
        workers.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """An image to fetch, and how many attempts have failed."""

    download: Download
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Undecoded:
    """The downloaded bytes of a small image, and their validator."""

    download: Download
    content: bytes
    validator: str


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The record of a decoded image, and its files, which must be committed before the record is passed on."""

    record: FetchRecord
    staged: Staged


@dataclass(frozen=True)
class _Workers:
    """Threads that fetch images.

    They decode large images themselves, in parallel on several processors. Small ones are decoded in the consuming
    thread: with the GIL, many threads would take longer for them than one.
    """

    queue: HostQueue[_Job]
    store: ImageStore
    fetch: Fetch
    limits: Limits
    now: int
    fetched: Queue[list[Result]] = field(default_factory=lambda: Queue(QUEUED_RESULTS))

    def start(self, threads: int) -> None:
        for _ in range(threads):
            threading.Thread(target=self._work, name="download", daemon=True).start()

    def results(self, most: int) -> list[FetchRecord | Failure]:
        """Wait for results and return about `most`, committed. Raises what ended a thread, such as a full disk."""
        fetched = [*self.fetched.get()]
        with suppress(Empty):
            while len(fetched) < most:
                fetched += self.fetched.get_nowait()
        results = [self._decode_small(each) for each in fetched]
        self.store.commit(each.staged for each in results if isinstance(each, _Decoded))
        return [each.record if isinstance(each, _Decoded) else each for each in results]

    def close(self) -> None:
        """Let the threads end, and remove temporary files."""
        self.queue.close()
        with suppress(Empty):
            while True:
                self.fetched.get_nowait()
        self.store.remove_temporary()

    def _work(self) -> None:
        try:
            while lease := self.queue.acquire():
                self._run_job(lease)
        except BaseException as error:  # noqa: BLE001  # `results` raises it in the consuming thread
            self.fetched.put([error])

    def _run_job(self, lease: Lease[_Job]) -> None:
        job = lease.job
        try:
            results: list[Result] = [self._fetch_one(job.download)]
        except FetchError as error:
            wait = error.retry_after if isinstance(error, TransientError) else None
            last_attempt = job.attempts + 1 >= self.limits.attempts
            if isinstance(error, TransientError) and not _pause_seconds(error) and not last_attempt:
                self._requeue(lease, error)
                return
            dropped = self.queue.release(lease, answered=error.answered, refused=wait is not None)
            skipped = TransientError(
                f"left to a later pass: its server gave nothing {MAX_FAILURES} times in a row: {error}", wait
            )
            results = [_to_failure(job.download, error), *(_to_failure(each.download, skipped) for each in dropped)]
        else:
            self.queue.release(lease, answered=True)
        self.fetched.put(results)

    def _requeue(self, lease: Lease[_Job], error: TransientError) -> None:
        retry = replace(lease.job, attempts=lease.job.attempts + 1)
        backoff = random.uniform(0.5, 1) * 0.2 * 2**retry.attempts  # exponential, with jitter
        rest_host = error.retry_after is not None
        wait = backoff if error.retry_after is None else error.retry_after
        self.queue.requeue(lease, retry, wait, answered=error.answered, rest_host=rest_host)

    def _fetch_one(self, download: Download) -> Result:
        known = download.known
        with tempfile.SpooledTemporaryFile(SPOOL_BYTES, prefix=TEMPORARY, dir=str(self.store.root)) as spool:
            file = cast(BinaryIO, spool)
            fetched = self.fetch(download.row.url, file, known.validator if known else "")
            if fetched.unchanged and known:
                return replace(known, checked_at=self.now, validator=fetched.validator or known.validator)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if size <= SMALL_BYTES and declares_at_most(content := file.read(), SMALL_PIXELS):
                return _Undecoded(download, content, fetched.validator)
            file.seek(0)
            return self._decode(download, file, fetched.validator)

    def _decode_small(self, result: Result) -> FetchRecord | Failure | _Decoded:
        if isinstance(result, BaseException):
            raise result
        if not isinstance(result, _Undecoded):
            return result
        try:
            return self._decode(result.download, BytesIO(result.content), result.validator)
        except FetchError as error:
            return _to_failure(result.download, error)

    def _decode(self, download: Download, file: BinaryIO, validator: str) -> _Decoded:
        key, known, picture = download.row.key, download.known, decode(file, self.limits.max_pixels)
        staged = self.store.stage(file, picture)
        original_suffix = picture.suffix if picture.rendered else ""
        suffix = picture.rendered_suffix if picture.rendered else picture.suffix
        changed_at = known.changed_at if known else 0
        if known and known.digest != staged.digest:
            changed_at = self.now
        record = FetchRecord(
            key, staged.digest, suffix, original_suffix, picture.phash, self.now, changed_at, validator
        )
        return _Decoded(record, staged)


def _pause_seconds(error: FetchError) -> int:
    """Return the seconds for which a server asks to be left alone, 0 where they are few enough to wait on this pass."""
    wait = error.retry_after if isinstance(error, TransientError) else None
    return int(min(wait, MAX_PAUSE)) if wait is not None and wait > MAX_RETRY_WAIT else 0


def _to_failure(download: Download, error: FetchError) -> Failure:
    row, transient = download.row, isinstance(error, TransientError)
    local = isinstance(error, NotRequestedError) or not host_of(row.url)
    pause = _pause_seconds(error)
    return Failure(row.key, row.number, row.url, shorten(str(error), 500), transient, local=local, pause=pause)


Result: TypeAlias = _Undecoded | _Decoded | FetchRecord | Failure | BaseException
