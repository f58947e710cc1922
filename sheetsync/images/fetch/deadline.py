"""Deadline of a fetch: a watchdog thread shuts its socket when the time is up."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from sheetsync.images.fetch.base import Limits


class Deadline:
    """The deadline of one fetch and the socket it waits on, shared by its own thread and the watchdog's.

    `expired` = its time is up. `reused` = its request went over a connection that was open before.
    """

    def __init__(self, limits: Limits):
        self.allow_private, self.max_bytes = limits.allow_private, limits.max_bytes
        self._until = time.monotonic() + limits.total_seconds
        self.expired, self.reused = False, True
        self._peer: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def seconds_left(self) -> float:
        """Seconds until the time is up; below 0 after it."""
        return self._until - time.monotonic()

    def watch(self, peer: socket.socket | None) -> None:
        """Set the socket to shut when the time is up; None = none."""
        with self._lock:
            self._peer = peer
            if self.expired:
                self._shut_socket()

    def expire(self) -> None:
        """Shut the socket: a server that sends a byte now and then never runs into a read timeout."""
        with self._lock:
            self.expired = True
            self._shut_socket()

    def _shut_socket(self) -> None:
        if self._peer is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._peer, socket.SHUT_RDWR)  # below TLS, which two threads must not share


class Watchdog:
    """Expires deadlines whose time is up: one thread for all of them, which ends when there are none."""

    def __init__(self, seconds: float):
        self._nap = min(seconds / 4, 1.0)
        self._deadlines: dict[Deadline, None] = {}  # in the order in which their time is up
        self._lock = threading.Lock()
        self._running = False

    def add(self, deadline: Deadline) -> None:
        """Watch a deadline."""
        with self._lock:
            self._deadlines[deadline] = None
            if not self._running:
                self._running = True
                threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def remove(self, deadline: Deadline) -> None:
        """Stop watching a deadline."""
        with self._lock:
            self._deadlines.pop(deadline, None)
        deadline.watch(None)

    def _watch(self) -> None:
        while True:
            with self._lock:
                first = next(iter(self._deadlines), None)
                self._running = first is not None
            if first is None:
                return
            if first.seconds_left > 0:
                time.sleep(min(first.seconds_left, self._nap))
            else:
                first.expire()
                with self._lock:
                    self._deadlines.pop(first, None)


class _CurrentDeadline(threading.local):
    deadline: Deadline


current = _CurrentDeadline()  # of the fetch that this thread is doing
