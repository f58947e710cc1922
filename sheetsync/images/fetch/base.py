"""Interface and limits that all fetchers share, and the errors they raise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

CHUNK = 1 << 16  # bytes that are read at a time


class FetchError(Exception):
    """An image that cannot be fetched, in words for an annotator. `answered` = its server sent a response."""

    answered = True


class TransientError(FetchError):
    """A failure that may soon be over. `retry_after` = seconds that the server asks to wait, None = it asks nothing."""

    def __init__(self, reason: str, retry_after: float | None = None, *, answered: bool = True):
        super().__init__(reason)
        self.retry_after, self.answered = retry_after, answered


class FetchTimeout(FetchError):
    """A fetch that was cut off at its deadline; the server may be one that never finishes."""

    answered = False


class NotRequestedError(FetchError):
    """A failure found on this machine, with no request sent: its configuration or the cell has to change."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one image may cost, and how many are fetched at a time: in all, and from one host."""

    workers: int = 32
    per_host: int = 16
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    total_seconds: float = 60.0
    max_bytes: int = 30_000_000
    max_pixels: int = 100_000_000
    attempts: int = 3
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a fetch. `validator` tells this content from a later one: an ETag or a date, "" = none.

    `unchanged` = the content is still the one of the validator in the request (HTTP 304); nothing was written.
    """

    validator: str = ""
    unchanged: bool = False


class Fetch(Protocol):
    """A function that downloads one image."""

    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        """Write the content of an address into a file, unless it is still the content of `validator`.

        `url` is an address as `cells.read_image` returns it. Raises `FetchError`.
        """


def copy_limited(chunks: Iterable[bytes], into: BinaryIO, max_bytes: int) -> None:
    """Write chunks to a file. Raises `FetchError` when they exceed `max_bytes`."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise too_large_error(max_bytes)
        into.write(chunk)


def too_large_error(max_bytes: int) -> FetchError:
    """Return the error for a file of more than `max_bytes` bytes."""
    return FetchError(f"file too large: over {max_bytes / 1e6:.3g} MB")
