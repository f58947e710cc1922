"""Parse addresses of Google Sheets, and check which other server may receive access tokens."""

from __future__ import annotations

import ipaddress
import os
import re

from sheetsync.errors import SheetError

GOOGLE_SHEET = re.compile(
    r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]+)(?:.*?[#?&]gid=(\d+))?.*"
)
_ENDPOINT = re.compile(r"(https?)://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::\d+)?(?:/[\w./~-]*)?", re.ASCII | re.IGNORECASE)
ENDPOINT_HOST = "SHEETSYNC_ENDPOINT_HOST"


def same_sheet(one: str, other: str) -> bool:
    """True if two addresses are equal, or lead to the same tab of a Google Sheet."""
    first, second = GOOGLE_SHEET.fullmatch(one), GOOGLE_SHEET.fullmatch(other)
    return one == other or bool(first and second and spreadsheet_and_gid(first) == spreadsheet_and_gid(second))


def spreadsheet_and_gid(google: re.Match[str]) -> tuple[str, int | None]:
    """Return the id of the spreadsheet, and of the tab (`gid`) if the address names one."""
    return google[1], int(google[2]) if google[2] else None


def trusted_endpoint(endpoint: str) -> str:
    """Check that an endpoint may receive access tokens: on this machine, or https on the host `ENDPOINT_HOST` names.

    sheetsync.toml may come from others, while the credentials are those of whoever runs it. Raises `SheetError`.
    """
    match = _ENDPOINT.fullmatch(endpoint)
    scheme, host = (match[1].lower(), match[2].lower().strip("[]")) if match else ("", "")
    if not endpoint or _is_loopback(host) or (scheme == "https" and host == os.environ.get(ENDPOINT_HOST, "").lower()):
        return endpoint
    raise SheetError(
        f"[google] endpoint = {endpoint!r} in sheetsync.toml would get your access to Google: take it out; only a "
        f"server on this machine (http://127.0.0.1:…) may stand there, or one with https:// whose host the environment "
        f"variable {ENDPOINT_HOST} names"
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
