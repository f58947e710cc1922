"""Who is asked next: jobs by host, so that a slow host holds up nobody but itself."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

STALLED_SECONDS = 1.0  # seconds after which a job gives its place to another
MAX_FAILURES = 48  # times in a row, after which a host is asked nothing more
Job = TypeVar("Job")


@dataclass(eq=False)
class _Host(Generic[Job]):
    """The jobs of one host. `responsive` = its last request was answered; `failures` = unanswered requests in a row."""

    waiting: deque[Job] = field(default_factory=deque)
    running: set[Lease[Job]] = field(default_factory=set)
    resting_until: float = 0.0
    responsive: bool = False
    failures: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Lease(Generic[Job]):
    """A job that was handed out, and when."""

    job: Job
    began: float
    host: _Host[Job]


class HostQueue(Generic[Job]):
    """Hands jobs to any number of threads, round-robin over the hosts.

    At most `most` at a time, and `per_host` of one host; those that have stalled do not count, until as many have
    stalled as may run. While other hosts have work, those that have not answered yet get half of the places at most.
    `clock` gives seconds.
    """

    def __init__(self, jobs: Iterable[tuple[str, Job]], most: int, per_host: int, clock: Callable[[], float]):
        self._most, self._per_host, self._clock = most, per_host, clock
        self._changed = threading.Condition()
        self._queues = {proven: OrderedDict[_Host[Job], None]() for proven in (True, False)}
        self._later: list[tuple[float, int, _Host[Job], Job | None]] = []
        self._numbers = count()
        self._running: set[Lease[Job]] = set()
        lanes: dict[str, _Host[Job]] = {}
        for host, job in jobs:
            lanes.setdefault(host, _Host()).waiting.append(job)
        self._left = sum(len(lane.waiting) for lane in lanes.values())
        for lane in lanes.values():
            self._queue(lane)

    def acquire(self) -> Lease[Job] | None:
        """Wait for the next job; None when there will be none."""
        with self._changed:
            while self._left:
                self._wake()
                lane = self._next()
                if lane is not None:
                    return self._start(lane)
                self._changed.wait(self._pause())
            return None

    def release(self, turn: Lease[Job], *, answered: bool, refused: bool = False) -> list[Job]:
        """Say that a job is done. `answered` = its host did, be it with an error.

        `refused` = it wants to be left alone. Where one does so, or does not answer, again and again, its other jobs
        are over with this one. Gives these.
        """
        with self._changed:
            turn.host.failures = turn.host.failures + 1 if refused or not answered else 0
            rest = self._drop(turn.host) if turn.host.failures >= MAX_FAILURES else []
            self._left -= 1 + len(rest)
            self._end(turn, answered)
            return rest

    def requeue(self, turn: Lease[Job], job: Job, seconds: float, *, answered: bool, rest: bool) -> None:
        """Put a job in the place of one, for later; with `rest` nothing is asked of its host till then."""
        with self._changed:
            until = self._clock() + seconds
            heapq.heappush(self._later, (until, next(self._numbers), turn.host, job))
            if rest:
                turn.host.failures += 1
                turn.host.resting_until = max(turn.host.resting_until, until)
            self._end(turn, answered)

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._left = 0
            self._changed.notify_all()

    # --- all of it under the lock -----------------------------------------------------------------

    def _queue(self, lane: _Host[Job]) -> None:
        if lane.waiting:
            self._queues[not lane.responsive].pop(lane, None)
            self._queues[lane.responsive].setdefault(lane)

    def _drop(self, lane: _Host[Job]) -> list[Job]:
        """Take all jobs out of a lane that have not begun."""
        jobs = [*lane.waiting, *(job for _, _, of, job in self._later if of is lane and job is not None)]
        lane.waiting.clear()
        self._later = [each for each in self._later if each[2] is not lane]
        heapq.heapify(self._later)
        for queue in self._queues.values():
            queue.pop(lane, None)
        return jobs

    def _start(self, lane: _Host[Job]) -> Lease[Job]:
        turn = Lease(lane.waiting.popleft(), self._clock(), lane)
        self._running.add(turn)
        lane.running.add(turn)
        self._queue(lane)
        return turn

    def _end(self, turn: Lease[Job], answered: bool) -> None:
        self._running.remove(turn)
        turn.host.running.remove(turn)
        turn.host.responsive = answered
        self._queue(turn.host)
        if self._left <= 0:  # else whoever says so takes the next one
            self._changed.notify_all()

    def _wake(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            until, _, lane, job = heapq.heappop(self._later)
            if job is not None and until <= lane.resting_until:  # it shows first whether the rest was long enough
                lane.waiting.appendleft(job)
            elif job is not None:
                lane.waiting.append(job)
            self._queue(lane)

    def _next(self) -> _Host[Job] | None:
        """The lane whose turn it is, taken out of its queue."""
        if not self._free(self._running, self._most):
            return None
        doubtful = sum(not turn.host.responsive for turn in self._running)
        for proven in (True, False) if doubtful >= self._most / 2 else (False, True):
            lane = self._pick(self._queues[proven])
            if lane is not None:
                return lane
        return None

    def _pick(self, queue: OrderedDict[_Host[Job], None]) -> _Host[Job] | None:
        for _ in range(len(queue)):
            lane, _ = queue.popitem(last=False)
            if lane.resting_until > self._clock():
                heapq.heappush(self._later, (lane.resting_until, next(self._numbers), lane, None))
            elif self._free(lane.running, self._per_host):
                return lane
            else:
                queue[lane] = None
        return None

    def _free(self, running: Collection[Lease[Job]], most: int) -> bool:
        lively = sum(self._clock() - turn.began < STALLED_SECONDS for turn in running)
        return lively < most and len(running) < 2 * most

    def _pause(self) -> float:
        """For how long nothing can change unless somebody says so."""
        soon = self._later[0][0] - self._clock() if self._later else STALLED_SECONDS
        return max(0.0, min(soon, STALLED_SECONDS / 4))
