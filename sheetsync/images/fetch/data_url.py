"""Fetch an image that is contained in the cell, as a data: URL (RFC 2397)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from sheetsync.images.fetch.base import Fetched, FetchError, copy_limited

IN_CELL = "in the cell"  # the validator of every data: URL, whose content cannot change without its address


def fetch_data_url(max_bytes: int, url: str, into: BinaryIO, validator: str = "") -> Fetched:
    """Write the bytes of a data: URL; the media type that it names is ignored. Raises `FetchError`."""
    if validator == IN_CELL:
        return Fetched(IN_CELL, unchanged=True)
    header, _, data = url.partition(",")
    content = unquote_to_bytes(data)
    if header.lower().endswith(";base64"):
        try:
            content = b64decode(content.rstrip(b"=") + b"=" * (-len(content.rstrip(b"=")) % 4), validate=True)
        except binascii.Error:
            raise FetchError("broken data: address: what stands in it is not base64, or not all of it") from None
    copy_limited([content], into, max_bytes)
    return Fetched(IN_CELL)
