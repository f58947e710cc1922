"""An answer of a web server as it comes, before anything is unpacked: never longer than it may be."""

from __future__ import annotations

import http.client
import io
import socket
from typing import Any

from sheetsync.images.fetch.base import too_large_message


class BoundedResponse(http.client.HTTPResponse):
    """Has at most so many bytes, of which none need become content: of what is packed, most may be thrown away."""

    def __init__(self, sock: socket.socket, *given: Any, max_bytes: int, **more: Any):
        super().__init__(sock, *given, **more)
        self.fp = _CheckedChunks(self.fp.detach())
        self._max_bytes, self._came = max_bytes, 0

    def read(self, amt: int | None = None) -> bytes:
        """Raises `FetchError` when it was too many."""
        data = super().read(amt)
        self._came += len(data)
        if self._came > self._max_bytes:
            raise too_large_message(self._max_bytes)
        return data


class _CheckedChunks(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Raises `ValueError` for a chunk that says it has a size of -1, which to a file is all there is."""
        if size is None or size < 0:
            raise ValueError("a size below zero")
        return super().read(size)
