"""Rows of equal shape, kept by the digest of the image that they were made from: what is costly is made once.

Two files that only grow: `rows.bin` holds the rows, `digests.bin` the 32 bytes of each one's SHA-256, in the same
order. A row is written before its digest, so that a process killed in between leaves nothing that is not whole.
Rows are mapped, not read: several processes share them, and they may be more than the memory holds.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from training.data.arrays import Ints
from training.errors import TrainingError

DIGEST = 32  # bytes
MAX_STALE_ROWS = (
    1000  # rows that nobody asks for any more and that may lie around, besides as many again as are asked for
)

Rows = npt.NDArray[Any]  # (M, *shape)


class RowCache:
    """The rows in a folder, which is made if it is missing. All rows have one shape and type."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._folder, self._rows, self._digests = folder, folder / "rows.bin", folder / "digests.bin"
        self._bytes = int(np.prod(shape)) * self.dtype.itemsize  # of one row

    def missing(self, digests: Sequence[str]) -> list[int]:
        """The positions of the digests that have no row, of equal ones the first."""
        return _absent(digests, self._known())

    def append(self, digests: Sequence[str], rows: Rows) -> None:
        """Keep more rows, (n, *shape), one a digest. Raises TrainingError when the disk does not take them."""
        try:
            with self._locked():
                known = self._known()
                new = _absent(digests, known)  # another process may have been quicker
                content = np.ascontiguousarray(rows[new], self.dtype).tobytes()
                _write(self._rows, len(known) * self._bytes, content)
                _write(self._digests, len(known) * DIGEST, b"".join(bytes.fromhex(digests[i]) for i in new))
        except OSError as error:
            raise TrainingError(f"{self._folder}: cannot be written ({error.strerror})") from error

    def fill(
        self, digests: Sequence[str], make: Callable[[list[int]], Rows], group: int, done: Callable[[int], None]
    ) -> None:
        """Make the rows that are missing, so many at a time; `make` gets positions, `done` hears how many are there."""
        missing = self.missing(digests)
        for start in range(0, len(missing), group):
            chosen = missing[start : start + group]
            self.append([digests[i] for i in chosen], make(chosen))
            done(len(digests) - len(missing) + start + len(chosen))

    def lookup(self, digests: Sequence[str]) -> tuple[Rows, Ints]:
        """All rows there are, (M, *shape), mapped, and where among them those of these digests are, (N,).

        Raises TrainingError for a digest that has none.
        """
        with self._locked():
            known = self._known()
            where = {digest: place for place, digest in enumerate(known)}
            try:
                places = np.array([where[bytes.fromhex(digest)] for digest in digests], np.int64)
            except KeyError as error:
                raise TrainingError(f"{self._folder}: something was removed there meanwhile; try again") from error
            if not known:
                return np.zeros((0, *self.shape), self.dtype), places
            return np.memmap(self._rows, self.dtype, "r", shape=(len(known), *self.shape)), places

    def forget(self, digests: Sequence[str]) -> None:
        """Begin anew when most of what is kept is of none of these digests, and nobody is using it."""
        wanted = set(map(bytes.fromhex, digests))
        with suppress(BlockingIOError), self._using(fcntl.LOCK_EX | fcntl.LOCK_NB), self._locked():
            if sum(digest not in wanted for digest in self._known()) > len(wanted) + MAX_STALE_ROWS:
                self._digests.unlink()
                self._rows.unlink()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """In the block rows stay where they are, whoever asks for what."""
        with self._using(fcntl.LOCK_SH):
            yield

    def _known(self) -> list[bytes]:
        """The digests of the rows that are whole."""
        try:
            content, size = self._digests.read_bytes(), self._rows.stat().st_size
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TrainingError(f"{self._folder}: cannot be read ({error.strerror})") from error
        count = min(len(content) // DIGEST, size // self._bytes)
        return [content[i * DIGEST : (i + 1) * DIGEST] for i in range(count)]

    def _locked(self) -> AbstractContextManager[None]:
        """In the block nobody else changes the files."""
        return _lock(self._folder / "change.lock", fcntl.LOCK_EX)

    def _using(self, how: int) -> AbstractContextManager[None]:
        return _lock(self._folder / "use.lock", how)


def _absent(digests: Sequence[str], known: Sequence[bytes]) -> list[int]:
    """The positions of the digests that are not known, of equal ones the first."""
    there = set(known)
    first: dict[bytes, int] = {}
    for position, digest in enumerate(map(bytes.fromhex, digests)):
        if digest not in there:
            first.setdefault(digest, position)
    return list(first.values())


@contextmanager
def _lock(path: Path, how: int) -> Iterator[None]:
    """Hold a file; the system lets go of it when this process ends, however it ends."""
    with _opened(path) as file:
        fcntl.flock(file, how)
        yield


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w")
    except OSError as error:
        raise TrainingError(f"{path.parent}: cannot be written ({error.strerror})") from error


def _write(path: Path, start: int, content: bytes) -> None:
    """Put this at a place of a file, as its end."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
