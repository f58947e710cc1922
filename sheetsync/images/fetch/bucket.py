"""Fetch images from buckets (`s3://`, `gs://`) through fsspec.

They are read with the credentials of whoever runs sheetsync, so only buckets listed in the configuration are read.
"""

from __future__ import annotations

import time
from collections.abc import Collection
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

BUCKET_SCHEMES = ("s3", "gs")
PART_BYTES = 4 << 20  # bytes of an object that are requested at a time, and held in memory


@dataclass(frozen=True, slots=True)
class BucketFetcher:
    """A fetcher of objects whose addresses begin with one of `buckets`."""

    buckets: Collection[str]
    limits: Limits

    def __call__(self, url: str, into: BinaryIO, validator: str = "") -> Fetched:
        """Copy an object, unless its validator is still this one. Raises `FetchError`."""
        if not any(f"{url}/".startswith(f"{each.rstrip('/')}/") for each in self.buckets):
            raise NotRequestedError(
                "this bucket is not opened: the configuration lists those that are, as buckets = "
                f'["{url.partition("://")[0]}://my-images"] under [download] in sheetsync.toml'
            )
        try:
            return self._copy(url, into, validator)
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

    def _copy(self, url: str, into: BinaryIO, validator: str) -> Fetched:
        import fsspec

        filesystem = fsspec.filesystem(url.partition("://")[0], use_listings_cache=False)
        call = _DeadlineFilesystem(filesystem, time.monotonic() + self.limits.total_seconds)
        info = call("_info", url)
        if info.get("type") == "directory":
            raise FileNotFoundError(url)
        tag = str(next((info[name] for name in ("ETag", "etag", "LastModified", "mtime") if info.get(name)), ""))
        current = tag if tag.isprintable() and len(tag) <= 200 else ""
        if current and current == validator:
            return Fetched(current, unchanged=True)
        size = int(info["size"])
        parts = (
            call("_cat_file", url, start=start, end=min(start + PART_BYTES, size))
            for start in range(0, size, PART_BYTES)
        )
        copy_limited(parts, into, self.limits.max_bytes)
        return Fetched(current)


@dataclass(frozen=True, slots=True)
class _DeadlineFilesystem:
    """An fsspec filesystem whose methods raise `TimeoutError` after `deadline` (of the monotonic clock)."""

    filesystem: Any
    deadline: float

    def __call__(self, method: str, *args: Any, **options: Any) -> Any:
        from fsspec.asyn import sync

        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return sync(self.filesystem.loop, getattr(self.filesystem, method), *args, timeout=seconds, **options)
