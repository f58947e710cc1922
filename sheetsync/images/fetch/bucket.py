"""Images in buckets, `s3://` and `gs://`, which are read as whoever runs sheetsync: so only in those it was told of."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from sheetsync.images.fetch.base import (
    Fetched,
    FetchError,
    FetchTimeout,
    Limits,
    NotRequestedError,
    TransientError,
    copy_limited,
)

SCHEMES = ("s3", "gs")
PART = 4 << 20  # bytes that are held while they come


@dataclass(frozen=True, slots=True)
class BucketFetcher:
    """Objects whose addresses begin with one of `buckets`, through fsspec."""

    buckets: Collection[str]
    limits: Limits

    def __call__(self, url: str, into: BinaryIO, mark: str = "") -> Fetched:
        """Copy an object, unless it is still what `mark` says. Raises `FetchError`."""
        if not any(f"{url}/".startswith(f"{each.rstrip('/')}/") for each in self.buckets):
            raise NotRequestedError(
                "this bucket is not opened: the configuration lists those that are, as buckets = "
                f'["{url.partition("://")[0]}://my-images"] under [download] in sheetsync.toml'
            )
        try:
            return self._copy(url, into, mark)
        except FetchError:
            raise
        except ImportError:
            raise NotRequestedError("buckets need more packages: pip install 'sheetsync[cloud]'") from None
        except FileNotFoundError:
            raise FetchError("no such object in the bucket") from None
        except PermissionError:
            raise FetchError("the bucket does not let sheetsync read this: its credentials lack the right") from None
        except TimeoutError:
            raise FetchTimeout(f"too slow: not whole after {self.limits.total_seconds:.3g} s") from None
        except Exception as error:  # noqa: BLE001  # each of these libraries has errors of its own
            raise TransientError(f"the bucket cannot be read: {type(error).__name__}") from None

    def _copy(self, url: str, into: BinaryIO, mark: str) -> Fetched:
        import fsspec

        until = time.monotonic() + self.limits.total_seconds
        system = fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)
        ask = _DeadlineFilesystem(system, until)
        info = ask("_info", url)
        if info.get("type") == "directory":
            raise FileNotFoundError(url)
        now = _mark(info)
        if now and now == mark:
            return Fetched(now, unchanged=True)
        copy_limited(_parts(ask, url, int(info["size"])), into, self.limits.max_bytes)
        return Fetched(now)


@dataclass(frozen=True, slots=True)
class _DeadlineFilesystem:
    """A file system that is asked no longer than until a time."""

    system: Any
    until: float

    def __call__(self, what: str, *given: Any, **more: Any) -> Any:
        from fsspec.asyn import sync

        seconds = self.until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return sync(self.system.loop, getattr(self.system, what), *given, timeout=seconds, **more)


def _parts(ask: _DeadlineFilesystem, url: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, PART):
        yield ask("_cat_file", url, start=start, end=min(start + PART, size))


def _mark(info: dict[str, Any]) -> str:
    """Whatever the store has of what changes with the content."""
    mark = str(next((info[name] for name in ("ETag", "etag", "LastModified", "mtime") if info.get(name)), ""))
    return mark if mark.isprintable() and len(mark) <= 200 else ""
