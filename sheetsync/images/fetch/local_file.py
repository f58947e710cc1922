"""Fetch images from a folder on this machine, and never from outside it (path traversal)."""

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
    """A fetcher of files by their path relative to `base`."""

    base: Path
    max_bytes: int

    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        """Copy a file, unless its size and time of change are still those of the validator.

        Raises `FetchError` when it is missing, too large, or lies outside the folder.
        """
        with self._open(url) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                raise FetchError(f"no such file: {url}")
            current = f"{info.st_size}-{info.st_mtime_ns}"
            if current == validator:
                return Fetched(current, unchanged=True)
            copy_limited(iter(partial(file.read, CHUNK), b""), into, self.max_bytes)
        return Fetched(current)

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
        except RuntimeError:  # a circle of symbolic links
            pass
        hint = "; an address on the web begins with https://" if LIKE_A_HOST.match(url) else ""
        raise FetchError(f"no such file: {url}{hint}")


def open_below(base: Path, path: Path) -> BinaryIO:
    """Open a file at a resolved path below `base` without following symbolic links.

    A folder or file that was replaced by a link after the path was checked (TOCTOU) is refused. Opening a named pipe
    does not wait for a writer. Raises `OSError`.
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
