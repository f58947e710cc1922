"""Where the images of a sheet may be: each kind of address has its fetcher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sheetsync.fetching import CHUNK, Fetch, Fetched, FetchError, Limits, copy_within
from sheetsync.web import FetchWeb


@dataclass(frozen=True, slots=True)
class FetchFile:
    """Relative paths are files below a folder."""

    base: Path
    max_bytes: int

    def __call__(self, url: str, into: BinaryIO, mark: str = "") -> Fetched:  # noqa: ARG002
        """Copy the file. Raises `FetchError` when it is missing, too large, or lies outside the folder."""
        with self._open(url) as file:
            copy_within(iter(partial(file.read, CHUNK), b""), into, self.max_bytes)
        return Fetched()

    def _open(self, url: str) -> BinaryIO:
        try:
            path = (self.base / url).resolve()
            if not path.is_relative_to(self.base.resolve()):
                raise FetchError(f"the path leads out of the folder of the sheet: {url}")
            if path.is_file():
                return path.open("rb")
        except OSError as error:
            raise FetchError(f"the file cannot be read: {url} ({error.strerror})") from None
        except RuntimeError:  # links that lead in a circle
            pass
        raise FetchError(f"no such file: {url}")


def fetch_any(base: Path, limits: Limits) -> Fetch:
    """Addresses over the web, relative paths from `base`."""
    web, file = FetchWeb(limits), FetchFile(base, limits.max_bytes)

    def fetch(url: str, into: BinaryIO, mark: str = "") -> Fetched:
        return (web if "://" in url else file)(url, into, mark)

    return fetch


def host(url: str) -> str:
    """Who is asked for an address: what is fetched from one host at a time is bounded. "" = this machine."""
    return url.split("/", 3)[2] if "://" in url else ""
