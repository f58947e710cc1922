"""HTTP client for Google Sheets: gspread's, with timeouts, retries with back-off, and a rate limit below the quota."""

from __future__ import annotations

import random
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying

from sheetsync.auth.key_file import redact
from sheetsync.auth.tokens import TIMEOUT, TRANSIENT_STATUSES, TokenRequest, parse_object
from sheetsync.common.retry_after import retry_after
from sheetsync.common.text import shorten
from sheetsync.common.types import Json
from sheetsync.errors import SheetChanged, SheetError
from sheetsync.rows.table import Calls
from sheetsync.version import __version__

PATIENCE = 170.0  # seconds for one call with all its retries: over twice the minute that a quota counts in
MAX_LOST_WRITES = 7  # in a row whose responses are lost, with a wait after each: two minutes as well
MAX_PAUSE = 32.0  # seconds between two attempts, unless the server asks for more
JITTER = 2.0  # seconds; so that clients that failed together do not retry together
CALLS_PER_MINUTE = 50  # reads, and as many writes; Google allows a user 60 of each
RATE_LIMIT = re.compile("rate_?limit_?exceeded", re.IGNORECASE)  # in responses with status 429, sometimes 403


class LostResponse(Exception):
    """A call without a usable response. `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0, *, refused: bool = False):
        super().__init__(reason)
        self.wait = wait
        self.refused = refused  # certainly not carried out


class Client(HTTPClient):
    """gspread's HTTPClient with `call`, which retries only what may be repeated.

    A call that reads, or that was refused (429, no access token), is retried within `patience` seconds. A write whose
    response is lost raises `SheetChanged`, after a wait: the caller must read whether it took effect, and where the
    rows are by now. `clock` and `sleep` are in seconds and used for every wait; `timeout` is (to connect, between two
    bytes).
    """

    def __init__(
        self,
        auth: Any,
        *,
        patience: float = PATIENCE,
        timeout: tuple[float, float] = TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._auth, self._tokens = auth, requests.Session()
        session = AuthorizedSession(auth, auth_request=TokenRequest(self._tokens))  # type: ignore[no-untyped-call]
        super().__init__(auth, session)
        self.session.headers["User-Agent"] = f"sheetsync/{__version__} (gzip)"  # without gzip Google does not compress
        self.timeout = timeout
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._recent: dict[bool, deque[float]] = {True: deque(), False: deque()}
        self._counts = {True: 0, False: 0}
        self._lost_writes = 0  # in a row

    @property
    def calls(self) -> Calls:
        """Calls that read and calls that wrote so far, retries included."""
        return Calls(self._counts[True], self._counts[False])

    @property
    def account(self) -> str:
        """The account to share a sheet with; a machine in Google's cloud learns its own with its first token."""
        return str(getattr(self._auth, "service_account_email", "the person who signed in"))

    def close(self) -> None:
        """Close all connections."""
        self.session.close()
        self._tokens.close()

    def call(self, method: str, endpoint: str, *, params: Json | None = None, body: Json | None = None) -> Json:
        """Make one call, with retries. Raises `SheetError` in words for the user, or `SheetChanged`; see the class."""
        reads = method.lower() == "get"

        def attempt() -> Json:
            self._wait_for_quota(reads)
            return self._send(method, endpoint, params, body)

        try:
            content = self._retrying(reads=reads)(attempt)
        except LostResponse as lost:
            raise self._give_up(lost, retried=reads or lost.refused) from lost
        if not reads:
            self._lost_writes = 0
        return content

    # --- retries ----------------------------------------------------------------------------------

    def _retrying(self, *, reads: bool) -> Retrying:
        """Return the retry loop of one call: until its time is over, and a last attempt right then."""
        end = self._clock() + self._patience

        def may_retry(state: RetryCallState) -> bool:
            lost = _lost_response(state)
            return lost is not None and (reads or lost.refused)

        def wait(state: RetryCallState) -> float:
            lost = _lost_response(state)
            return min(_back_off(state.attempt_number, lost.wait if lost else 0.0), end - self._clock())

        return Retrying(
            sleep=self._sleep, retry=may_retry, wait=wait, stop=lambda _: end - self._clock() < 1, reraise=True
        )

    def _give_up(self, lost: LostResponse, *, retried: bool) -> SheetError:
        """Return the error of a failed call. After a lost write, wait first: the caller is to read and try again."""
        self._lost_writes += not retried
        if retried or self._lost_writes > MAX_LOST_WRITES:
            return SheetError(f"Google Sheets does not answer: {lost}; try again later")
        self._sleep(_back_off(self._lost_writes + 1, min(lost.wait, MAX_PAUSE)))
        return SheetChanged(f"the answer of Google Sheets was lost ({lost}): read the sheet again")

    def _send(self, method: str, endpoint: str, params: Json | None, body: Json | None) -> Json:
        try:
            response = self.session.request(method, endpoint, params=params, json=body, timeout=self.timeout)
        except requests.Timeout as error:
            raise LostResponse("no answer in time") from error
        except requests.ConnectionError as error:
            raise LostResponse("no connection, or it broke") from error
        except requests.RequestException as error:  # half a response, or redirects in a circle
            raise LostResponse("an answer that cannot be read") from error
        except GoogleAuthError as error:
            raise _token_error(error) from None  # the cause may quote what was sent
        if not response.ok:
            raise _response_error(response)
        if (content := parse_object(response.content)) is None:
            raise LostResponse("an answer that cannot be read")
        return content

    def _wait_for_quota(self, reads: bool) -> None:
        """Rate limit: wait until fewer than `CALLS_PER_MINUTE` were made in the last minute, and count this call."""
        recent = self._recent[reads]
        while recent and self._clock() - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= CALLS_PER_MINUTE:
            self._sleep(60 - (self._clock() - recent.popleft()))
        recent.append(self._clock())
        self._counts[reads] += 1


def _lost_response(state: RetryCallState) -> LostResponse | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, LostResponse) else None


def _back_off(attempts: int, asked: float) -> float:
    """Return the seconds until the next attempt: exponential, at least what the server asked for, with jitter."""
    return max(asked, min(2.0 ** (attempts - 1), MAX_PAUSE)) + random.uniform(0, JITTER)


# --- errors of responses --------------------------------------------------------------------------


def _response_error(response: requests.Response) -> Exception:
    """Return a `LostResponse` for what may pass, an `APIError` of Google's, or the error of a proxy in between."""
    status, error = response.status_code, (parse_object(response.content) or {}).get("error")
    over_quota = status == 429 or (status == 403 and RATE_LIMIT.search(response.text) is not None)
    if over_quota or status in TRANSIENT_STATUSES:
        message = error.get("message", "") if isinstance(error, dict) else response.reason
        wait = retry_after(response.headers.get("Retry-After", ""), response.headers.get("Date", "")) or 0.0
        return LostResponse(f"{status}, {shorten_reply(message, 160)}", wait, refused=over_quota)
    if isinstance(error, dict) and "code" in error:
        return APIError(response)
    return SheetError(
        f"something between this machine and Google Sheets answers in its place, with status {status}: look at the "
        "network of this machine, its proxy and its firewall"
    )


def shorten_reply(message: object, max_chars: int) -> str:
    """Shorten a server's message, and replace its invisible characters."""
    return shorten(" ".join(str(message or "").split()), max_chars) or "no reason given"


def _token_error(error: GoogleAuthError) -> LostResponse | SheetError:
    if isinstance(error, TransportError) or error.retryable:
        return LostResponse("no access token, as Google's token server does not answer", refused=True)
    message = redact(error.args[0] if error.args else type(error).__name__)
    return SheetError(f"Google does not accept the credentials: {message}; run `sheetsync doctor`")


class EndpointAdapter(HTTPAdapter):
    """Sends requests to another server that speaks Google's API, for tests and proxies."""

    def __init__(self, endpoint: str):
        self._endpoint = endpoint.rstrip("/")
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request with scheme and host replaced."""
        request.url = self._endpoint + (request.path_url or "/")
        return super().send(request, *args, **kwargs)
