"""Where the images of a sheet may be: each kind of address has its fetcher."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sheetsync.images.fetch.base import Fetch, Fetched, Limits
from sheetsync.images.fetch.bucket import SCHEMES, BucketFetcher
from sheetsync.images.fetch.data_url import fetch_data_url
from sheetsync.images.fetch.drive import DriveFetcher, DriveToken, link_in
from sheetsync.images.fetch.http import HttpFetcher
from sheetsync.images.fetch.local_file import LocalFileFetcher

WEB = ("http", "https")
ADDRESSES = ("data:", *(f"{each}://" for each in (*WEB, *SCHEMES)))
# Addresses of pages that show one image, and where the image itself is.
PAGES = (
    (re.compile(r"^(https://www\.dropbox\.com/[^?]*\?(?:.*&)?)dl=0(?=&|$)"), r"\1raw=1"),
    (re.compile(r"^(https://github\.com/[\w.-]+/[\w.-]+/)blob/"), r"\1raw/"),
)


def fetcher_for(
    base: Path, limits: Limits, *, buckets: Collection[str] = (), robot: DriveToken | None = None, endpoint: str = ""
) -> Fetch:
    """Addresses over the web, in the cell, and in `buckets`; relative paths from `base`.

    `robot` may see files in Google Drive, for which `endpoint` can be a server on this machine.
    """
    web, drive = HttpFetcher(limits), DriveFetcher(limits, robot, endpoint)

    def over_web(url: str, into: BinaryIO, mark: str = "") -> Fetched:
        link = link_in(url)
        return web(direct_image_url(url), into, mark) if link is None else drive(link, into, mark)

    cloud = BucketFetcher(tuple(buckets), limits)
    fetchers: dict[str, Fetch] = {
        **dict.fromkeys(WEB, over_web),
        **dict.fromkeys(SCHEMES, cloud),
        "data": partial(fetch_data_url, limits.max_bytes),
        "": LocalFileFetcher(base, limits.max_bytes),
    }
    return lambda url, into, mark="": fetchers[_scheme_of(url)](url, into, mark)


def direct_image_url(url: str) -> str:
    """The address of the image, where one is known to be that of its page; else the same."""
    for page, image in PAGES:
        url = page.sub(image, url, count=1)
    return url


def host_of(url: str) -> str:
    """Who is asked for an address: what is fetched from one host at a time is bounded. "" = this machine."""
    return url.split("/", 3)[2] if _scheme_of(url) in (*WEB, *SCHEMES) else ""


def _scheme_of(url: str) -> str:
    """That of an address as `cells.read_image` gives it, "" for a path."""
    return url.partition(":")[0] if url.startswith(ADDRESSES) else ""
