"""How sheetsync talks to Google: gspread's client with bounded patience, a budget below the quota, and a count."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import requests
import stamina
from google.auth.exceptions import GoogleAuthError, TransportError
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient
from requests.adapters import HTTPAdapter

from sheetsync.errors import SheetChanged, SheetError
from sheetsync.tables import Calls

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte
PATIENCE = 170.0  # seconds for one call with all its repetitions: longer than a minute's quota, twice
BUDGET = 50  # calls of a kind in any minute; Google allows a user 60
PASSING = (429, 500, 502, 503, 504)


class Lost(Exception):
    """A call without a usable answer. `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None, *, refused: bool = False):
        super().__init__(reason)
        self.wait = wait
        self.refused = refused  # surely not carried out


class Client(HTTPClient):
    """An HTTPClient for gspread that repeats what may be repeated, and nothing else.

    A call that was refused (429), or that can be repeated without harm (reading, setting values), is repeated
    within `patience` seconds. Any other call whose answer is lost raises `SheetChanged`: whoever made it must
    look whether it took effect. `clock` and `sleep` are in seconds.
    """

    def __init__(
        self,
        auth: Any,
        session: requests.Session | None = None,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        super().__init__(auth, session)
        self.timeout = TIMEOUT
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._recent: dict[bool, deque[float]] = {True: deque(), False: deque()}
        self._counts = {True: 0, False: 0}

    @property
    def calls(self) -> Calls:
        """Calls that read and calls that wrote so far, repetitions included."""
        return Calls(self._counts[True], self._counts[False])

    def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
        """Make one call. Raises `SheetError` in words for the user, or `SheetChanged`; see the class."""
        reads = method.lower() == "get"
        harmless = reads or endpoint.endswith("values:batchUpdate")

        def again(error: Exception) -> bool | float:
            if not isinstance(error, Lost) or not (harmless or error.refused):
                return False
            return True if error.wait is None else min(error.wait, self._patience)

        attempts = stamina.retry_context(
            on=again, attempts=None, timeout=self._patience, wait_initial=1.0, wait_max=32.0, wait_jitter=2.0
        )
        try:
            for attempt in attempts:
                with attempt:
                    self._count(reads)
                    return self._once(method, endpoint, *args, **kwargs)
        except Lost as error:
            if harmless or error.refused:
                raise SheetError(f"Google Sheets does not answer: {error}; try again later") from error
            raise SheetChanged(f"the answer of Google Sheets was lost ({error}): read the sheet again") from error
        raise AssertionError("stamina ends with an attempt or an exception")  # pragma: no cover

    def _once(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            answer = super().request(method, endpoint, *args, **kwargs)
            json.loads(answer.content or b"null")  # a proxy's page with status 200 is no answer
        except APIError as error:
            status = error.response.status_code
            if status in PASSING:
                raise Lost(_first_words(error), _seconds(error.response), refused=status == 429) from error
            raise
        except (requests.ConnectionError, requests.Timeout, TransportError) as error:
            raise Lost("no connection, or no answer in time") from error
        except (requests.RequestException, ValueError) as error:
            raise Lost("an answer that is none") from error
        except GoogleAuthError as error:
            raise SheetError(
                f"Google does not accept the credentials: {error.args[0]}; run `sheetsync doctor`"
            ) from error
        return answer

    def _count(self, reads: bool) -> None:
        """Stay below the quota: wait until fewer than the budget were made in the last minute."""
        recent = self._recent[reads]
        while recent and self._clock() - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= BUDGET:
            self._sleep(60 - (self._clock() - recent.popleft()))
        recent.append(self._clock())
        self._counts[reads] += 1


def _first_words(error: APIError) -> str:
    return f"{error.response.status_code}, {str(error.error.get('message', '')).strip()[:160] or 'no reason given'}"


def _seconds(answer: requests.Response) -> float | None:
    wait = answer.headers.get("Retry-After", "")
    return float(wait) if wait.isascii() and wait.isdecimal() else None


class Elsewhere(HTTPAdapter):
    """Sends what is meant for Google to another address that speaks its protocol, for tests and proxies."""

    def __init__(self, endpoint: str):
        self._endpoint = endpoint.rstrip("/")
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send with scheme and host replaced."""
        request.url = self._endpoint + (request.path_url or "/")
        return super().send(request, *args, **kwargs)
