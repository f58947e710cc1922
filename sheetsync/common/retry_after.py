"""Retry-After of HTTP (RFC 9110, section 10.2.3) as seconds to wait."""

from __future__ import annotations

from contextlib import suppress
from email.utils import parsedate_to_datetime


def retry_after(said: str, date: str) -> float | None:
    """Seconds that a server asks to wait in a Retry-After, as a number or as a date (RFC 9110, 10.2.3); None = none.

    `date` is the answer's own: by the server's clock, for ours may be wrong.

    >>> retry_after("Wed, 25 Nov 2026 10:00:30 GMT", "Wed, 25 Nov 2026 10:00:00 GMT")
    30.0
    """
    said = said.strip()
    if said.isascii() and said.isdecimal():
        return float(said)
    with suppress(ValueError, TypeError, OverflowError):  # it may say anything
        until, now = map(parsedate_to_datetime, (said, date))
        return max(0.0, (until - now).total_seconds())
    return None
