"""Content-addressed, append-only cache of array rows, keyed by the digest of the image each was made from.

Two files: `rows.bin` holds the rows, `digests.bin` the 32 bytes of each one's SHA-256, in the same order. A row is
written before its digest, so that a process killed in between leaves nothing that is read as a row. Rows are
memory-mapped: several processes share them, and there may be more of them than the memory holds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.arrays import Ints
from training.errors import TrainingError

DIGEST_SIZE = 32  # bytes
MAX_STALE_ROWS = 1000  # of images no longer in the dataset that may stay, besides as many as the dataset has images

Rows = npt.NDArray[Any]  # (M, *shape)


class RowCache:
    """The cached rows in a folder, which is made if it is missing. All rows have one shape and type."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._folder, self._rows, self._digests = folder, folder / "rows.bin", folder / "digests.bin"
        self._row_size = int(np.prod(shape)) * self.dtype.itemsize  # bytes

    def missing(self, digests: Sequence[str]) -> list[int]:
        """Return the positions of the digests that have no row; of equal digests the first."""
        return _find_missing(digests, self._cached_digests())

    def append(self, digests: Sequence[str], rows: Rows) -> None:
        """Add rows, (n, *shape), one for each digest. Raises TrainingError when they cannot be written."""
        try:
            with self._change_lock():
                cached = self._cached_digests()
                new = _find_missing(digests, cached)  # another process may have been quicker
                content = np.ascontiguousarray(rows[new], self.dtype).tobytes()
                _write_at(self._rows, len(cached) * self._row_size, content)
                _write_at(self._digests, len(cached) * DIGEST_SIZE, b"".join(bytes.fromhex(digests[i]) for i in new))
        except OSError as error:
            raise TrainingError(f"{self._folder}: cannot be written ({error.strerror})") from error

    def fill(
        self, digests: Sequence[str], make: Callable[[list[int]], Rows], group: int, progress: Callable[[int], None]
    ) -> None:
        """Add the missing rows, `group` at a time: `make` gets their positions, `progress` the count so far."""
        missing = self.missing(digests)
        for start in range(0, len(missing), group):
            positions = missing[start : start + group]
            self.append([digests[i] for i in positions], make(positions))
            progress(len(digests) - len(missing) + start + len(positions))

    def lookup(self, digests: Sequence[str]) -> tuple[Rows, Ints]:
        """Return all cached rows, (M, *shape), memory-mapped, and the index of each digest's row among them, (N,).

        Raises TrainingError for a digest that has no row.
        """
        with self._change_lock():
            cached = self._cached_digests()
            index_of = {digest: index for index, digest in enumerate(cached)}
            try:
                indices = np.array([index_of[bytes.fromhex(digest)] for digest in digests], np.int64)
            except KeyError as error:
                raise TrainingError(f"{self._folder}: something was removed there meanwhile; try again") from error
            if not cached:
                return np.zeros((0, *self.shape), self.dtype), indices
            return np.memmap(self._rows, self.dtype, "r", shape=(len(cached), *self.shape)), indices

    def remove_stale(self, digests: Sequence[str]) -> None:
        """Empty the cache when most of its rows are of none of these digests, and no process is using it."""
        current = set(map(bytes.fromhex, digests))
        with suppress(BlockingIOError), self._use_lock(fcntl.LOCK_EX | fcntl.LOCK_NB), self._change_lock():
            if sum(digest not in current for digest in self._cached_digests()) > len(current) + MAX_STALE_ROWS:
                self._digests.unlink()
                self._rows.unlink()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep other processes from emptying the cache during the block."""
        with self._use_lock(fcntl.LOCK_SH):
            yield

    def _cached_digests(self) -> list[bytes]:
        """Return the digests of all complete rows, in the order of the rows."""
        try:
            content, size = self._digests.read_bytes(), self._rows.stat().st_size
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TrainingError(f"{self._folder}: cannot be read ({error.strerror})") from error
        count = min(len(content) // DIGEST_SIZE, size // self._row_size)
        return [content[i * DIGEST_SIZE : (i + 1) * DIGEST_SIZE] for i in range(count)]

    def _change_lock(self) -> AbstractContextManager[None]:
        """Keep other processes from changing the files during the block."""
        return _lock(self._folder / "change.lock", fcntl.LOCK_EX)

    def _use_lock(self, operation: int) -> AbstractContextManager[None]:
        return _lock(self._folder / "use.lock", operation)


def _find_missing(digests: Sequence[str], cached: Sequence[bytes]) -> list[int]:
    """Return the positions of the digests that are not cached; of equal digests the first."""
    present = set(cached)
    first: dict[bytes, int] = {}
    for position, digest in enumerate(map(bytes.fromhex, digests)):
        if digest not in present:
            first.setdefault(digest, position)
    return list(first.values())


@contextmanager
def _lock(path: Path, operation: int) -> Iterator[None]:
    """Hold a lock file (flock); the system releases it when this process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise TrainingError(f"{path.parent}: cannot be written ({error.strerror})") from error
    with file:
        fcntl.flock(file, operation)
        yield


def _write_at(path: Path, start: int, content: bytes) -> None:
    """Cut a file to `start` bytes and append the content, synced to disk."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
