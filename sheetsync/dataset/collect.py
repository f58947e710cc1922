"""From rows to the mirror: plan, guard, fetch, put in place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from sheetsync.common.progress import Progress
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import SplitFractions, check_not_emptied, make_plan
from sheetsync.dataset.records import Manifest, Plan
from sheetsync.images.download import download, split_cached
from sheetsync.images.fetch.base import Fetch, Limits
from sheetsync.images.records import Download, Failure, FetchRecord
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
    """What the mirror holds now, what it lacks, and when images changed under their address (seconds since 1970)."""

    failures: tuple[Failure, ...]
    manifest: Manifest
    changed_at: dict[str, int] = field(default_factory=dict)
    counts: UpdateCounts = UpdateCounts()


@dataclass(frozen=True, slots=True)
class Collector:
    """Makes the mirror say what the rows say. `refresh`: seconds after which an address is asked again, None = never.

    `now` gives seconds since 1970.
    """

    mirror: Mirror
    fetch: Fetch
    limits: Limits
    shares: SplitFractions
    refresh: float | None
    now: Callable[[], float]
    progress: Progress

    def plan(self, snapshot: Snapshot, manifest: Manifest) -> Plan:
        """What there is to do."""
        return make_plan(snapshot.rows, manifest, self.shares, self._stale(manifest))

    def without_waiting(self, plan: Plan) -> Plan:
        """A plan without what failed before and waits for its next try. Raises `MirrorError`."""
        wanted = [*plan.downloads, *plan.refreshes]
        early = {failure.key for failure in self._tries.not_due(wanted, int(self.now()))}
        downloads = tuple(each for each in plan.downloads if each.row.key not in early)
        refreshes = tuple(each for each in plan.refreshes if each.row.key not in early)
        return replace(plan, downloads=downloads, refreshes=refreshes)

    def update(self, snapshot: Snapshot, *, allow_shrink: bool, retry: bool) -> DatasetState:
        """Do it. `retry` = ask for failed images now, however often they failed. Raises `Shrunk`, `MirrorError`."""
        manifest = self.mirror.scan()
        plan = self.plan(snapshot, manifest)
        if not allow_shrink:
            check_not_emptied(plan, manifest, len(snapshot.rows))
        self.mirror.store.remove_temporary()
        self.mirror.apply(plan)
        failures, fetched = self._fetch(plan, snapshot, retry)
        return DatasetState(
            tuple(sorted(failures, key=lambda failure: failure.key)),
            manifest if plan == Plan() else self.mirror.scan(),
            self._changed(),
            replace(fetched, moved=len(plan.moves), deleted=len(plan.deletes)),
        )

    def _fetch(self, plan: Plan, snapshot: Snapshot, retry: bool) -> tuple[list[Failure], UpdateCounts]:
        now = int(self.now())
        restored, missing = split_cached(plan.downloads, self.mirror.store)
        wanted = [*missing, *plan.refreshes]
        waiting = [] if retry else self._tries.not_due(wanted, now)
        early = {failure.key for failure in waiting}
        due = [each for each in wanted if each.row.key not in early]
        with closing(download(due, self.mirror.store, self.fetch, self.limits, now)) as fetched:
            results = self._receive(snapshot, plan.refreshes, chain(restored, fetched), len(restored) + len(due))
        failures = [result for result in results if isinstance(result, Failure)]
        records = {result.key: result for result in results if isinstance(result, FetchRecord)}
        known = {each.row.key: each.known for each in plan.refreshes}
        asked = {key: before for key, before in known.items() if before is not None and key in records}
        counts = UpdateCounts(
            downloaded=len(records) - len(asked) - len(restored),
            restored=len(restored),
            asked=len(asked),
            changed=sum(records[key].digest != before.digest for key, before in asked.items()),
        )
        # The time is asked again, so that a long pass shortens no pause.
        return self._tries.record([*waiting, *failures], int(self.now())), counts

    def _receive(
        self, snapshot: Snapshot, refreshes: Collection[Download], results: Iterable[FetchRecord | Failure], total: int
    ) -> list[FetchRecord | Failure]:
        received = []
        known = {each.row.key: each.known for each in refreshes}
        for done, result in enumerate(self.mirror.receive(snapshot.rows, results, self.shares, known), start=1):
            self.progress("download", done, total, "")
            received.append(result)
        return received

    def _stale(self, manifest: Manifest) -> dict[str, FetchRecord]:
        """What to ask for again, and what is known of it."""
        if self.refresh is None:
            return {}
        known, now = self.mirror.store.fetch_log.latest(), self.now()
        of_entry = {entry.key: FetchRecord(entry.key, entry.digest, entry.suffix) for entry in manifest}
        # Where a crash kept the log from what the mirror holds by now, that came later than what is known.
        held = of_entry | {
            key: known[key] if known[key].digest == entry.digest else replace(entry, changed_at=int(now))
            for key, entry in of_entry.items()
            if key in known
        }
        return {key: each for key, each in held.items() if now - each.checked_at >= self.refresh}

    def _changed(self) -> dict[str, int]:
        if self.refresh is None:
            return {}
        return {key: each.changed_at for key, each in self.mirror.store.compact_log().items() if each.changed_at}

    @property
    def _tries(self) -> RetrySchedule:
        return RetrySchedule(self.mirror.store.failed)
