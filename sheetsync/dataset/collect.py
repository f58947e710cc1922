"""Update of the dataset from the rows: plan, refuse accidents, fetch, put in place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from sheetsync.common.progress import Progress
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import SplitFractions, check_not_emptied, make_plan
from sheetsync.dataset.records import Manifest, Plan
from sheetsync.images.download import download, split_cached
from sheetsync.images.fetch.base import Fetch, Limits
from sheetsync.images.records import Failure, FetchRecord
from sheetsync.images.retry_schedule import RetrySchedule
from sheetsync.rows.records import Snapshot


@dataclass(frozen=True, slots=True)
class UpdateCounts:
    """Number of images that an update downloaded, took from the store, moved, deleted, asked about, found changed."""

    downloaded: int = 0
    restored: int = 0
    moved: int = 0
    deleted: int = 0
    asked: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class DatasetState:
    """The dataset after an update: what it holds and lacks, when images changed at their address, and the counts.

    `changed_at` is key -> seconds since 1970.
    """

    failures: tuple[Failure, ...]
    manifest: Manifest
    changed_at: dict[str, int] = field(default_factory=dict)
    counts: UpdateCounts = UpdateCounts()


@dataclass(frozen=True, slots=True)
class Collector:
    """Makes the dataset equal to the rows, with images from the store or their addresses.

    `refresh` is the number of seconds after which an address is asked again, None = never; `now` returns seconds since
    1970.
    """

    mirror: Mirror
    fetch: Fetch
    limits: Limits
    fractions: SplitFractions
    refresh: float | None
    now: Callable[[], float]
    progress: Progress

    def plan(self, snapshot: Snapshot, manifest: Manifest) -> Plan:
        """Plan what turns the dataset of `manifest` into the one that the rows ask for."""
        return make_plan(snapshot.rows, manifest, self.fractions, self._find_stale(manifest))

    def without_waiting(self, plan: Plan) -> Plan:
        """Drop from a plan what failed before and waits for its next try. Raises `MirrorError`."""
        requests = [*plan.downloads, *plan.refreshes]
        waiting = {failure.key for failure in self._retries.not_due(requests, int(self.now()))}
        downloads = tuple(request for request in plan.downloads if request.row.key not in waiting)
        refreshes = tuple(request for request in plan.refreshes if request.row.key not in waiting)
        return replace(plan, downloads=downloads, refreshes=refreshes)

    def update(self, snapshot: Snapshot, *, allow_shrink: bool, retry: bool) -> DatasetState:
        """Make the dataset equal to the rows.

        `retry` = ask for failed images now, however often they failed. Raises `Shrunk`, `MirrorError`.
        """
        manifest = self.mirror.scan()
        plan = self.plan(snapshot, manifest)
        if not allow_shrink:
            check_not_emptied(plan, manifest, len(snapshot.rows))
        self.mirror.store.remove_temporary()
        self.mirror.apply(plan)
        failures, fetched = self._fetch(plan, snapshot, retry)
        manifest = manifest if plan == Plan() else self.mirror.scan()
        log = {} if self.refresh is None else self.mirror.store.compact_log()
        return DatasetState(
            tuple(sorted(failures, key=lambda failure: failure.key)),
            manifest,
            {key: record.changed_at for key, record in log.items() if record.changed_at},
            replace(fetched, moved=len(plan.moves), deleted=len(plan.deletes)),
        )

    def _fetch(self, plan: Plan, snapshot: Snapshot, retry: bool) -> tuple[list[Failure], UpdateCounts]:
        """Put missing and changed images into the dataset; returns what failed, what still waits with it."""
        now, store = int(self.now()), self.mirror.store
        restored, missing = split_cached(plan.downloads, store)
        requests = [*missing, *plan.refreshes]
        waiting = [] if retry else self._retries.not_due(requests, now)
        waiting_keys = {failure.key for failure in waiting}
        due = [request for request in requests if request.row.key not in waiting_keys]
        before = {request.row.key: request.known for request in plan.refreshes}
        results: list[FetchRecord | Failure] = []
        with closing(download(due, store, self.fetch, self.limits, now)) as fetched:
            arrivals = chain(restored, fetched)
            for result in self.mirror.receive(snapshot.rows, arrivals, self.fractions, before):
                results.append(result)
                self.progress("download", len(results), len(restored) + len(due), "")
        failures = [result for result in results if isinstance(result, Failure)]
        # The time is asked again, so that a long pass shortens no pause.
        failures = self._retries.record([*waiting, *failures], int(self.now()))
        return failures, _count(results, before, len(restored))

    def _find_stale(self, manifest: Manifest) -> dict[str, FetchRecord]:
        """Find the images whose address is to be asked again: key -> what is known of it."""
        if self.refresh is None:
            return {}
        known, now = self.mirror.store.fetch_log.latest(), self.now()
        held = {entry.key: FetchRecord(entry.key, entry.digest, entry.suffix) for entry in manifest}
        for key in held.keys() & known.keys():
            same = known[key].digest == held[key].digest
            # Where a crash came before the log was written, the dataset holds something newer than the log knows.
            held[key] = known[key] if same else replace(held[key], changed_at=int(now))
        return {key: record for key, record in held.items() if now - record.checked_at >= self.refresh}

    @property
    def _retries(self) -> RetrySchedule:
        return RetrySchedule(self.mirror.store.failed)


def _count(results: list[FetchRecord | Failure], before: dict[str, FetchRecord | None], restored: int) -> UpdateCounts:
    """Count what came, of which `restored` images from the store; `before` is what refreshed addresses gave."""
    records = {result.key: result for result in results if isinstance(result, FetchRecord)}
    asked = {key: known for key, known in before.items() if known is not None and key in records}
    return UpdateCounts(
        downloaded=len(records) - len(asked) - restored,
        restored=restored,
        asked=len(asked),
        changed=sum(records[key].digest != known.digest for key, known in asked.items()),
    )
