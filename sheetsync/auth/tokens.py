"""Request OAuth access tokens, without google-auth's own retries."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request

from sheetsync.common.types import Json

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
TRANSIENT_STATUSES = (429, 500, 502, 503, 504)  # of HTTP: trying again may help


def parse_object(content: bytes) -> Json | None:
    """Parse a JSON object; None for anything else, such as a proxy's page with status 200, or half a response."""
    with suppress(ValueError):
        parsed = json.loads(content)
        return parsed if isinstance(parsed, dict) else None
    return None


class TokenRequest(Request):
    """google-auth's transport for token requests, without its retries: the caller repeats the whole API call."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send one request. Raises `TransportError` where google-auth would sleep and retry, or fail to parse."""
        response = super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]
        if response.status in TRANSIENT_STATUSES or (
            kwargs.get("method") == "POST" and parse_object(response.data) is None
        ):
            raise TransportError(f"status {response.status}")  # type: ignore[no-untyped-call]
        return response
