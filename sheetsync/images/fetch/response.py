"""HTTP response that bounds the bytes on the wire, before decompression."""

from __future__ import annotations

import http.client
import io
import socket
from typing import Any

from sheetsync.images.fetch.base import too_large_error


class BoundedResponse(http.client.HTTPResponse):
    """An HTTP response of at most `max_bytes` bytes as sent.

    The bound on the decompressed content is not enough: a gzip stream may be endless and decompress to nothing.
    """

    def __init__(self, sock: socket.socket, *args: Any, max_bytes: int, **options: Any):
        super().__init__(sock, *args, **options)
        self.fp = _CheckedChunks(self.fp.detach())
        self._max_bytes, self._received = max_bytes, 0

    def read(self, amt: int | None = None) -> bytes:
        """Read bytes. Raises `FetchError` when they are too many."""
        data = super().read(amt)
        self._received += len(data)
        if self._received > self._max_bytes:
            raise too_large_error(self._max_bytes)
        return data


class _CheckedChunks(io.BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        """Read bytes. Raises `ValueError` for a chunk whose declared size is -1, which would read to the end."""
        if size is None or size < 0:
            raise ValueError("a size below zero")
        return super().read(size)
