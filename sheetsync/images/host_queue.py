"""Fair download queue: round-robin over hosts, a limit per host, back-off and a circuit breaker for failing ones."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

STALLED_SECONDS = 1.0  # after which a running job no longer counts against the limits
MAX_FAILURES = 48  # consecutive failures, after which the waiting jobs of a host are dropped (circuit breaker)
Job = TypeVar("Job")


@dataclass(eq=False)
class _Host(Generic[Job]):
    """The jobs of one host. `responsive` = its last request was answered.

    `failures` = consecutive requests that it did not answer, or answered by asking to be left alone.
    """

    waiting: deque[Job] = field(default_factory=deque)
    running: set[Lease[Job]] = field(default_factory=set)
    resting_until: float = 0.0
    responsive: bool = False
    failures: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Lease(Generic[Job]):
    """A job that was handed to a thread, and when (by the queue's clock)."""

    job: Job
    started: float
    host: _Host[Job]


class HostQueue(Generic[Job]):
    """A queue that hands jobs to any number of threads, round-robin over their hosts.

    At most `max_running` jobs run at a time, and `per_host` of one host. Jobs that have stalled do not count, until as
    many have stalled as may run. While other hosts have jobs, those that have not answered yet get at most half of
    the places. `clock` returns seconds.
    """

    def __init__(self, jobs: Iterable[tuple[str, Job]], max_running: int, per_host: int, clock: Callable[[], float]):
        self._max_running, self._per_host, self._clock = max_running, per_host, clock
        self._changed = threading.Condition()
        # The hosts with waiting jobs, by `responsive`, in the order in which it is their turn.
        self._ready = {responsive: OrderedDict[_Host[Job], None]() for responsive in (True, False)}
        # A heap of delayed jobs, and of resting hosts (None): when, a number that breaks ties, and what.
        self._delayed: list[tuple[float, int, _Host[Job], Job | None]] = []
        self._numbers = count()
        self._running: set[Lease[Job]] = set()
        hosts: dict[str, _Host[Job]] = {}
        for name, job in jobs:
            hosts.setdefault(name, _Host()).waiting.append(job)
        self._unfinished = sum(len(host.waiting) for host in hosts.values())
        for host in hosts.values():
            self._enqueue(host)

    def acquire(self) -> Lease[Job] | None:
        """Wait for the next job; None when there are no more."""
        with self._changed:
            while self._unfinished:
                self._wake_delayed()
                host = self._next_host()
                if host is not None:
                    return self._start(host)
                # Looks again at intervals: a job that stalls notifies nobody.
                due = self._delayed[0][0] - self._clock() if self._delayed else STALLED_SECONDS
                self._changed.wait(max(0.0, min(due, STALLED_SECONDS / 4)))
            return None

    def release(self, lease: Lease[Job], *, answered: bool, refused: bool = False) -> list[Job]:
        """Report a job as finished; return the waiting jobs of its host that are dropped with it.

        `answered` = the host sent a response, be it an error; `refused` = it asks to be left alone. Jobs are dropped
        when it has refused or not answered `MAX_FAILURES` times in a row.
        """
        with self._changed:
            lease.host.failures = lease.host.failures + 1 if refused or not answered else 0
            dropped = self._drop_waiting(lease.host) if lease.host.failures >= MAX_FAILURES else []
            self._unfinished -= 1 + len(dropped)
            self._end(lease, answered)
            return dropped

    def requeue(self, lease: Lease[Job], job: Job, seconds: float, *, answered: bool, rest_host: bool) -> None:
        """Replace a job by another that runs after `seconds`; with `rest_host` its host gets no requests till then."""
        with self._changed:
            until = self._clock() + seconds
            heapq.heappush(self._delayed, (until, next(self._numbers), lease.host, job))
            if rest_host:
                lease.host.failures += 1
                lease.host.resting_until = max(lease.host.resting_until, until)
            self._end(lease, answered)

    def close(self) -> None:
        """Hand out no more jobs."""
        with self._changed:
            self._unfinished = 0
            self._changed.notify_all()

    # --- called with the lock held ----------------------------------------------------------------

    def _enqueue(self, host: _Host[Job]) -> None:
        if host.waiting:
            self._ready[not host.responsive].pop(host, None)
            self._ready[host.responsive].setdefault(host)

    def _drop_waiting(self, host: _Host[Job]) -> list[Job]:
        """Remove and return all jobs of a host that have not started."""
        jobs = [*host.waiting, *(job for _, _, of, job in self._delayed if of is host and job is not None)]
        host.waiting.clear()
        self._delayed = [each for each in self._delayed if each[2] is not host]
        heapq.heapify(self._delayed)
        for hosts in self._ready.values():
            hosts.pop(host, None)
        return jobs

    def _start(self, host: _Host[Job]) -> Lease[Job]:
        lease = Lease(host.waiting.popleft(), self._clock(), host)
        self._running.add(lease)
        host.running.add(lease)
        self._enqueue(host)
        return lease

    def _end(self, lease: Lease[Job], answered: bool) -> None:
        self._running.remove(lease)
        lease.host.running.remove(lease)
        lease.host.responsive = answered
        self._enqueue(lease.host)
        if self._unfinished <= 0:  # else the thread that ended this job takes the next one
            self._changed.notify_all()

    def _wake_delayed(self) -> None:
        """Put delayed jobs whose time has come back into their hosts' waiting jobs."""
        while self._delayed and self._delayed[0][0] <= self._clock():
            until, _, host, job = heapq.heappop(self._delayed)
            if job is not None and until <= host.resting_until:  # first: it shows whether the rest was long enough
                host.waiting.appendleft(job)
            elif job is not None:
                host.waiting.append(job)
            self._enqueue(host)

    def _next_host(self) -> _Host[Job] | None:
        """Take the host whose turn it is out of its queue; None while nothing may start."""
        if not self._has_capacity(self._running, self._max_running):
            return None
        unproven = sum(not lease.host.responsive for lease in self._running)
        for responsive in (True, False) if unproven >= self._max_running / 2 else (False, True):
            host = self._take(self._ready[responsive])
            if host is not None:
                return host
        return None

    def _take(self, hosts: OrderedDict[_Host[Job], None]) -> _Host[Job] | None:
        for _ in range(len(hosts)):
            host, _ = hosts.popitem(last=False)
            if host.resting_until > self._clock():
                heapq.heappush(self._delayed, (host.resting_until, next(self._numbers), host, None))
            elif self._has_capacity(host.running, self._per_host):
                return host
            else:
                hosts[host] = None
        return None

    def _has_capacity(self, running: Collection[Lease[Job]], most: int) -> bool:
        active = sum(self._clock() - lease.started < STALLED_SECONDS for lease in running)
        return active < most and len(running) < 2 * most
