"""A deadline for each fetch: a watchdog shuts its socket when its time is over."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from sheetsync.images.fetch.base import Limits


class Deadline:
    """What one fetch waits for, seen from its own thread and from the watcher's."""

    def __init__(self, limits: Limits):
        self.allow_private, self.until = limits.allow_private, time.monotonic() + limits.total_seconds
        self.max_bytes = limits.max_bytes
        self.late, self.kept = False, True  # and whether it goes over a connection that was there before
        self._peer: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    def watch(self, peer: socket.socket | None) -> None:
        """This one is waited for now; None = none."""
        with self._lock:
            self._peer = peer
            if self.late:
                self._end()

    def cut(self) -> None:
        """Time is over. A server that drips never runs into a timeout."""
        with self._lock:
            self.late = True
            self._end()

    def _end(self) -> None:
        if self._peer is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._peer, socket.SHUT_RDWR)  # below TLS, which is not for two threads


class Watchdog:
    """Cuts lines whose time is over: one thread for all of them, which ends when there are none."""

    def __init__(self, seconds: float):
        self._nap = min(seconds / 4, 1.0)
        self._lines: dict[Deadline, None] = {}  # in the order in which their time ends
        self._lock = threading.Lock()
        self._awake = False

    def add(self, line: Deadline) -> None:
        """Watch a deadline."""
        with self._lock:
            self._lines[line] = None
            if not self._awake:
                self._awake = True
                threading.Thread(target=self._watch, name="watcher", daemon=True).start()

    def remove(self, line: Deadline) -> None:
        """Stop watching a deadline."""
        with self._lock:
            self._lines.pop(line, None)
        line.watch(None)

    def _watch(self) -> None:
        while (first := self._first()) is not None:
            if first.left > 0:
                time.sleep(min(first.left, self._nap))
            else:
                first.cut()
                with self._lock:
                    self._lines.pop(first, None)

    def _first(self) -> Deadline | None:
        with self._lock:
            first = next(iter(self._lines), None)
            self._awake = first is not None
            return first


class _CurrentDeadline(threading.local):
    deadline: Deadline


current = _CurrentDeadline()
