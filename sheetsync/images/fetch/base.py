"""What every place that images come from has in common: what one may cost, and how a failure is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

CHUNK = 1 << 16


class FetchError(Exception):
    """An image that cannot be had, in words for an annotator. `answered` = whoever was asked did answer."""

    answered = True


class TransientError(FetchError):
    """The same, but it may work a moment later. `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None, *, answered: bool = True):
        super().__init__(reason)
        self.retry_after, self.answered = wait, answered


class FetchTimeout(FetchError):
    """The same, for want of time: whoever was asked may never come to an end."""

    answered = False


class NotRequestedError(FetchError):
    """The same, found on this machine with nobody asked: its set-up or the cell has to change."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may cost, and how many are fetched at a time: in all, and from one host."""

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
    """What came of asking an address. `mark` tells this content from a later one: an ETag or a date, "" = none.

    `unchanged` = it is still what the mark said that was sent along, and nothing was written.
    """

    validator: str = ""
    unchanged: bool = False


class Fetch(Protocol):
    """Where images come from."""

    def __call__(self, url: str, into: BinaryIO, mark: str = "") -> Fetched:
        """Write what is at an address into a file; nothing where it still is what `mark` stands for.

        `url` is an address as `cells.read_image` gives it. Raises `FetchError`.
        """


def copy_limited(chunks: Iterable[bytes], into: BinaryIO, max_bytes: int) -> None:
    """Write chunks to a file. Raises `FetchError` when they are too many."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise too_large_message(max_bytes)
        into.write(chunk)


def too_large_message(max_bytes: int) -> FetchError:
    """What is said of a file of more bytes than that."""
    return FetchError(f"file too large: over {max_bytes / 1e6:.3g} MB")
