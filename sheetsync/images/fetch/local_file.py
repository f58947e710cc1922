"""Images in a folder of this machine, and nothing outside it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sheetsync.images.fetch.base import CHUNK, Fetched, FetchError, copy_limited

LIKE_A_HOST = re.compile(r"[\w-]+(\.[\w-]+)+/")


@dataclass(frozen=True, slots=True)
class LocalFileFetcher:
    """Relative paths are files below a folder."""

    base: Path
    max_bytes: int

    def __call__(self, url: str, into: BinaryIO, mark: str = "") -> Fetched:
        """Copy the file, unless its size and time are still those of `mark`.

        Raises `FetchError` when it is missing, too large, or lies outside the folder.
        """
        with self._open(url) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise FetchError(f"no such file: {url}")
            now = f"{found.st_size}-{found.st_mtime_ns}"
            if now == mark:
                return Fetched(now, unchanged=True)
            copy_limited(iter(partial(file.read, CHUNK), b""), into, self.max_bytes)
        return Fetched(now)

    def _open(self, url: str) -> BinaryIO:
        try:
            base = self.base.resolve()
            path = (base / url).resolve()
            if not path.is_relative_to(base):
                raise FetchError(f"the path leads out of the folder of images: {url}")
            if path.is_file():
                return open_below(base, path.relative_to(base))
        except OSError as error:
            raise FetchError(f"the file cannot be read: {url} ({error.strerror})") from None
        except RuntimeError:  # links that lead in a circle
            pass
        web = "; an address on the web begins with https://" if LIKE_A_HOST.match(url) else ""
        raise FetchError(f"no such file: {url}{web}")


def open_below(base: Path, path: Path) -> BinaryIO:
    """Open a file at a path of folders, no links: what became one since it was looked at is not followed.

    Waits for nobody who would write to a pipe. Raises `OSError`.
    """
    at = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in path.parts[:-1]:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.fdopen(os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at), "rb")
    finally:
        os.close(at)
