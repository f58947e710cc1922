"""Injected faults: errors, delays, lost and repeated requests."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from .errors import Refusal, over_quota, service_disabled

HTML = """<!DOCTYPE html>
<html lang=en>
  <meta charset=utf-8>
  <title>Error 502 (Server Error)!!1</title>
  <p><b>502.</b> <ins>That's an error.</ins>
  <p>The server encountered a temporary error and could not complete your request.<p>Please try again in 30 seconds.
"""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `kind` is answer, slow, silent, dropped, cut, lost or twice."""

    kind: str
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    second_answer: bool = False
    handled: bool = False  # of answer and silent: the request took effect all the same


def answered(status: int, body: bytes, content_type: str = "application/json; charset=UTF-8", **headers: str) -> Fault:
    """Answer with this, without handling the request."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Fault("answer", status, body, content_type, pairs)


def _refused(refusal: Refusal, **headers: str) -> Fault:
    return answered(refusal.code, json.dumps(refusal.body(), indent=2).encode(), **headers)


def rate_limited(retry_after: float | str | None = None, kind: str = "Write", project: str = "123456789012") -> Fault:
    """Answer 429 in the words of the service; `kind` is Read or Write."""
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return _refused(over_quota(kind, project), **headers)


def server_error() -> Fault:
    return _refused(Refusal(500, "Internal error encountered."))


def unavailable(retry_after: float | str | None = None) -> Fault:
    headers = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return _refused(Refusal(503, "The service is currently unavailable."), **headers)


def disabled(project: str = "123456789012") -> Fault:
    """Answer 403 in the words of Google for a project in which the Sheets API is not enabled."""
    return _refused(service_disabled(project))


def html(status: int = 502) -> Fault:
    """Answer with a page of a front end in place of JSON."""
    return answered(status, HTML.encode(), "text/html; charset=UTF-8")


def slow(seconds: float) -> Fault:
    """Handle the request, and answer only so much later."""
    return Fault("slow", seconds=seconds)


def silent() -> Fault:
    """Receive the request, and neither handle nor answer it."""
    return Fault("silent")


def in_effect(fault: Fault) -> Fault:
    """Handle the request first, then answer with this fault, or not at all."""
    return replace(fault, handled=True)


def dropped() -> Fault:
    """Close the connection before the request is handled."""
    return Fault("dropped")


def cut() -> Fault:
    """Handle the request; close the connection in the middle of the answer's body."""
    return Fault("cut")


def lost() -> Fault:
    """Handle the request; close the connection before the answer."""
    return Fault("lost")


def twice(*, second_answer: bool = False) -> Fault:
    """Handle the request twice; send the first answer, or the second."""
    return Fault("twice", second_answer=second_answer)


Plan = Callable[[str, str, int], Fault | None]


@dataclass
class Faults:
    """Faults of the next requests: first those of `queue`, in order (None: no fault), then those that `plan` returns.

    `plan` gets method, path and the number of the request, from 1; token requests have their own count and only
    `plan` sees them. `match` narrows the queue to requests whose "METHOD path" holds that text.
    """

    plan: Plan | None = None
    match: str = ""
    _queue: deque[Fault | None] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def queue(self, *faults: Fault | None) -> None:
        with self._lock:
            self._queue.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._queue.clear()
            self.plan, self.match = None, ""

    @property
    def left(self) -> Iterable[Fault | None]:
        return tuple(self._queue)

    def next(self, method: str, path: str, number: int, *, token: bool = False) -> Fault | None:
        with self._lock:
            if not token and self._queue and self.match in f"{method} {path}":
                return self._queue.popleft()
            return self.plan(method, path, number) if self.plan else None


@dataclass
class Quota:
    """The limit of reads and writes per user in each minute of the clock; None: no limit."""

    reads: int | None = None
    writes: int | None = None
    seconds: float = 60.0
    used: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def spend(self, user: str, kind: str, now: float) -> Refusal | None:
        """Count a request of `kind` Read or Write; return the refusal if it is one too many."""
        most = self.reads if kind == "Read" else self.writes
        if most is None:
            return None
        key = (user, kind, int(now // self.seconds))
        self.used[key] = self.used.get(key, 0) + 1
        return over_quota(kind, "123456789012") if self.used[key] > most else None
