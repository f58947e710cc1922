"""Requests for OAuth access tokens, with timeouts."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request

from sheetsync.common.types import Json

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte


TRANSIENT_STATUSES = (429, 500, 502, 503, 504)


def parse_object(content: bytes) -> Json | None:
    """A JSON object; None for anything else, such as a proxy's page with status 200, or half an answer."""
    with suppress(ValueError):
        said = json.loads(content)
        return said if isinstance(said, dict) else None
    return None


class TokenRequest(Request):
    """Asks for access tokens. Trouble that may pass is waited out by whoever makes the call, as any other."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One request; raises `TransportError` where google-auth would wait by a clock of its own, or trip."""
        answer = super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]
        if answer.status in TRANSIENT_STATUSES or (
            kwargs.get("method") == "POST" and parse_object(answer.data) is None
        ):
            raise TransportError(f"status {answer.status}")  # type: ignore[no-untyped-call]
        return answer
