"""Parse the HTTP header Retry-After (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from contextlib import suppress
from email.utils import parsedate_to_datetime


def retry_after(value: str, date: str) -> float | None:
    """Return the seconds that a Retry-After asks to wait, given as a number or as a date; None if it asks for none.

    `date` is the Date header of the same response: a date counts by the server's clock, as ours may be wrong.

    >>> retry_after("Wed, 25 Nov 2026 10:00:30 GMT", "Wed, 25 Nov 2026 10:00:00 GMT")
    30.0
    """
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    with suppress(ValueError, TypeError, OverflowError):  # a server may send anything
        until, now = map(parsedate_to_datetime, (value, date))
        return max(0.0, (until - now).total_seconds())
    return None
