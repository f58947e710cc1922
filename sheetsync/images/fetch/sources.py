"""Fetchers by source: picks the one for an address by its scheme (web, Drive, bucket, data URL, local file)."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sheetsync.images.fetch.base import Fetch, Fetched, Limits
from sheetsync.images.fetch.bucket import BUCKET_SCHEMES, BucketFetcher
from sheetsync.images.fetch.data_url import fetch_data_url
from sheetsync.images.fetch.drive import DriveFetcher, DriveToken, link_in
from sheetsync.images.fetch.http import HttpFetcher
from sheetsync.images.fetch.local_file import LocalFileFetcher

WEB_SCHEMES = ("http", "https")
URL_PREFIXES = ("data:", *(f"{each}://" for each in (*WEB_SCHEMES, *BUCKET_SCHEMES)))  # anything else is a path
# Addresses of pages that show one image, and the address of that image.
IMAGE_PAGES = (
    (re.compile(r"^(https://www\.dropbox\.com/[^?]*\?(?:.*&)?)dl=0(?=&|$)"), r"\1raw=1"),
    (re.compile(r"^(https://github\.com/[\w.-]+/[\w.-]+/)blob/"), r"\1raw/"),
)


def fetcher_for(
    base: Path,
    limits: Limits,
    *,
    buckets: Collection[str] = (),
    drive_token: DriveToken | None = None,
    endpoint: str = "",
) -> Fetch:
    """Return a fetcher for every kind of address: over the web, data: URLs, in `buckets`, and paths relative to `base`.

    `drive_token` gives access to private files in Google Drive. `endpoint` is a server on this machine that stands
    for Google's, for tests.
    """
    web, drive = HttpFetcher(limits), DriveFetcher(limits, drive_token, endpoint)

    def fetch_web(url: str, into: BinaryIO, validator: str = "") -> Fetched:
        link = link_in(url)
        return web(direct_image_url(url), into, validator) if link is None else drive(link, into, validator)

    fetchers: dict[str, Fetch] = {
        **dict.fromkeys(WEB_SCHEMES, fetch_web),
        **dict.fromkeys(BUCKET_SCHEMES, BucketFetcher(tuple(buckets), limits)),
        "data": partial(fetch_data_url, limits.max_bytes),
        "": LocalFileFetcher(base, limits.max_bytes),
    }
    return lambda url, into, validator="": fetchers[_scheme_of(url)](url, into, validator)


def direct_image_url(url: str) -> str:
    """Return the address of the image that a known kind of page shows; else the same address."""
    for page, image in IMAGE_PAGES:
        url = page.sub(image, url, count=1)
    return url


def host_of(url: str) -> str:
    """Return the host (with port) or bucket of an address, for the limit per host; "" = this machine."""
    return url.split("/", 3)[2] if _scheme_of(url) in (*WEB_SCHEMES, *BUCKET_SCHEMES) else ""


def _scheme_of(url: str) -> str:
    """Return the scheme of an address as `cells.read_image` returns it, "" for a path."""
    return url.partition(":")[0] if url.startswith(URL_PREFIXES) else ""
