"""An image that stands in the cell itself, as a data: address (RFC 2397)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from sheetsync.images.fetch.base import Fetched, FetchError, copy_limited

HERE = "in the cell"  # what is there cannot change without its address


def fetch_data_url(max_bytes: int, url: str, into: BinaryIO, mark: str = "") -> Fetched:
    """Write the bytes of a data: address, whatever it says of their kind. Raises `FetchError`."""
    if mark == HERE:
        return Fetched(HERE, unchanged=True)
    said, _, data = url.partition(",")
    content = unquote_to_bytes(data)
    if said.lower().endswith(";base64"):
        try:
            content = b64decode(content.rstrip(b"=") + b"=" * (-len(content.rstrip(b"=")) % 4), validate=True)
        except binascii.Error:
            raise FetchError("broken data: address: what stands in it is not base64, or not all of it") from None
    copy_limited([content], into, max_bytes)
    return Fetched(HERE)
