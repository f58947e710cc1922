"""The lock of a project: one pass at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from sheetsync.common.state_folder import StateFolder
from sheetsync.errors import Busy


@contextmanager
def project_lock(state: StateFolder) -> Iterator[None]:
    """Hold the lock of a project, so that one pass runs at a time. Raises `Busy`."""
    state.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(state.lock, timeout=0):
            yield
    except Timeout:
        raise Busy(f"another sheetsync is at work in {state.root.parent}: wait for it, or stop it") from None
