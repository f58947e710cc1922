"""Where the images of a sheet may be: each kind of address has its fetcher."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sheetsync.images.fetch.base import Fetch, Fetched, Limits
from sheetsync.images.fetch.bucket import SCHEMES, FetchCloud
from sheetsync.images.fetch.data_url import fetch_inline
from sheetsync.images.fetch.drive import FetchDrive, Robot, link_in
from sheetsync.images.fetch.http import FetchWeb
from sheetsync.images.fetch.local_file import FetchFile

WEB = ("http", "https")
ADDRESSES = ("data:", *(f"{each}://" for each in (*WEB, *SCHEMES)))
# Addresses of pages that show one image, and where the image itself is.
PAGES = (
    (re.compile(r"^(https://www\.dropbox\.com/[^?]*\?(?:.*&)?)dl=0(?=&|$)"), r"\1raw=1"),
    (re.compile(r"^(https://github\.com/[\w.-]+/[\w.-]+/)blob/"), r"\1raw/"),
)


def fetch_any(
    base: Path, limits: Limits, *, buckets: Collection[str] = (), robot: Robot | None = None, endpoint: str = ""
) -> Fetch:
    """Addresses over the web, in the cell, and in `buckets`; relative paths from `base`.

    `robot` may see files in Google Drive, for which `endpoint` can be a server on this machine.
    """
    web, drive = FetchWeb(limits), FetchDrive(limits, robot, endpoint)

    def over_web(url: str, into: BinaryIO, mark: str = "") -> Fetched:
        link = link_in(url)
        return web(image_of(url), into, mark) if link is None else drive(link, into, mark)

    cloud = FetchCloud(tuple(buckets), limits)
    fetchers: dict[str, Fetch] = {
        **dict.fromkeys(WEB, over_web),
        **dict.fromkeys(SCHEMES, cloud),
        "data": partial(fetch_inline, limits.max_bytes),
        "": FetchFile(base, limits.max_bytes),
    }
    return lambda url, into, mark="": fetchers[_scheme(url)](url, into, mark)


def image_of(url: str) -> str:
    """The address of the image, where one is known to be that of its page; else the same."""
    for page, image in PAGES:
        url = page.sub(image, url, count=1)
    return url


def host(url: str) -> str:
    """Who is asked for an address: what is fetched from one host at a time is bounded. "" = this machine."""
    return url.split("/", 3)[2] if _scheme(url) in (*WEB, *SCHEMES) else ""


def _scheme(url: str) -> str:
    """That of an address as `cells.read_image` gives it, "" for a path."""
    return url.partition(":")[0] if url.startswith(ADDRESSES) else ""
