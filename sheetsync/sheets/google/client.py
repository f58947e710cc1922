"""How sheetsync talks to Google: gspread's client with bounded patience, a budget below the quota, and a count."""

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

PATIENCE = 170.0  # seconds for one call with all its repetitions: longer than a minute's quota, twice
MAX_LOST_WRITES = 7  # writes in a row whose answers are lost, with a wait after each: two minutes as well
MAX_PAUSE = 32.0  # seconds between two tries where the server asks for no more
JITTER = 2.0  # seconds by which those differ who failed together
CALLS_PER_MINUTE = 50  # calls of a kind in any minute; Google allows a user 60
RATE_LIMIT = re.compile("rate_?limit_?exceeded", re.IGNORECASE)  # what is said with a 429, or at times with a 403


class LostResponse(Exception):
    """A call without a usable answer. `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0, *, refused: bool = False):
        super().__init__(reason)
        self.wait = wait
        self.refused = refused  # surely not carried out


class Client(HTTPClient):
    """The HTTPClient of gspread, and over it `ask`, which repeats what may be repeated, and nothing else.

    A call that reads, or that was refused (429, no access token), is repeated within `patience` seconds. Any other
    whose answer is lost raises `SheetChanged`, after a wait: whoever made it must look whether it took effect, and
    where the rows are by now. `clock` and `sleep` are in seconds and rule every wait; `timeout` bounds connecting and
    silence.
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
        self.session.headers["User-Agent"] = f"sheetsync/{__version__} (gzip)"  # else Google packs no answer
        self.timeout = timeout
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._recent: dict[bool, deque[float]] = {True: deque(), False: deque()}
        self._counts = {True: 0, False: 0}
        self._losses = 0

    @property
    def calls(self) -> Calls:
        """Calls that read and calls that wrote so far, repetitions included."""
        return Calls(self._counts[True], self._counts[False])

    @property
    def account(self) -> str:
        """With whom a sheet is to be shared; a machine in Google's cloud learns its address with its first token."""
        return str(getattr(self._auth, "service_account_email", "the person who signed in"))

    def close(self) -> None:
        """End all connections."""
        self.session.close()
        self._tokens.close()

    def call(self, method: str, endpoint: str, *, params: Json | None = None, body: Json | None = None) -> Json:
        """Make one call. Raises `SheetError` in words for the user, or `SheetChanged`; see the class."""
        reads = method.lower() == "get"

        def once() -> Json:
            self._count(reads)
            return self._once(method, endpoint, params, body)

        try:
            said = self._patiently(reads=reads)(once)
        except LostResponse as lost:
            raise self._given_up(lost, repeated=reads or lost.refused) from lost
        if not reads:
            self._losses = 0
        return said

    # --- patience ---------------------------------------------------------------------------------

    def _patiently(self, *, reads: bool) -> Retrying:
        """Repeats a call until its time is over, and a last time right then."""
        end = self._clock() + self._patience

        def again(state: RetryCallState) -> bool:
            lost = _loss(state)
            return lost is not None and (reads or lost.refused)

        def wait(state: RetryCallState) -> float:
            lost = _loss(state)
            return min(_pause(state.attempt_number, lost.wait if lost else 0.0), end - self._clock())

        return Retrying(sleep=self._sleep, retry=again, wait=wait, stop=lambda _: end - self._clock() < 1, reraise=True)

    def _given_up(self, lost: LostResponse, *, repeated: bool) -> SheetError:
        self._losses += not repeated
        if repeated or self._losses > MAX_LOST_WRITES:
            return SheetError(f"Google Sheets does not answer: {lost}; try again later")
        self._sleep(_pause(self._losses + 1, min(lost.wait, MAX_PAUSE)))  # whoever made the call looks, and comes again
        return SheetChanged(f"the answer of Google Sheets was lost ({lost}): read the sheet again")

    def _once(self, method: str, endpoint: str, params: Json | None, body: Json | None) -> Json:
        try:
            answer = self.session.request(method, endpoint, params=params, json=body, timeout=self.timeout)
        except requests.Timeout as error:
            raise LostResponse("no answer in time") from error
        except requests.ConnectionError as error:
            raise LostResponse("no connection, or it broke") from error
        except requests.RequestException as error:  # half an answer, or one that leads in a circle
            raise LostResponse("an answer that is none") from error
        except GoogleAuthError as error:
            raise _no_token(error) from None  # the cause may quote what was sent
        if not answer.ok:
            raise _refusal(answer)
        if (said := parse_object(answer.content)) is None:
            raise LostResponse("an answer that is none")
        return said

    def _count(self, reads: bool) -> None:
        """Stay below the quota: wait until fewer than the budget were made in the last minute."""
        recent = self._recent[reads]
        while recent and self._clock() - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= CALLS_PER_MINUTE:
            self._sleep(60 - (self._clock() - recent.popleft()))
        recent.append(self._clock())
        self._counts[reads] += 1


def _loss(state: RetryCallState) -> LostResponse | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, LostResponse) else None


def _pause(tries: int, asked: float) -> float:
    """Seconds until the next try: longer each time, no less than what was asked for, and never to the beat."""
    return max(asked, min(2.0 ** (tries - 1), MAX_PAUSE)) + random.uniform(0, JITTER)


# --- what answers mean ----------------------------------------------------------------------------


def _refusal(answer: requests.Response) -> Exception:
    """What passes, what Google refuses, or what somebody on the way to Google says in its place."""
    status, error = answer.status_code, (parse_object(answer.content) or {}).get("error")
    googles = isinstance(error, dict) and "code" in error
    over = status == 429 or (status == 403 and RATE_LIMIT.search(answer.text) is not None)
    if over or status in TRANSIENT_STATUSES:
        words = error.get("message", "") if isinstance(error, dict) else answer.reason
        return LostResponse(f"{status}, {shorten_reply(words, 160)}", _retry_after(answer), refused=over)
    if googles:
        return APIError(answer)
    return SheetError(
        f"something between this machine and Google Sheets answers in its place, with status {status}: look at the "
        "network of this machine, its proxy and its firewall"
    )


def shorten_reply(said: object, most: int) -> str:
    """A server's words, short, and nothing unseen in them."""
    return shorten(" ".join(str(said or "").split()), most) or "no reason given"


def _retry_after(answer: requests.Response) -> float:
    """Seconds that a server asks to wait; 0 where it asks for none."""
    return retry_after(answer.headers.get("Retry-After", ""), answer.headers.get("Date", "")) or 0.0


def _no_token(error: GoogleAuthError) -> LostResponse | SheetError:
    if isinstance(error, TransportError) or error.retryable:
        return LostResponse("no access token, for who gives them out does not answer", refused=True)
    words = redact(error.args[0] if error.args else type(error).__name__)
    return SheetError(f"Google does not accept the credentials: {words}; run `sheetsync doctor`")


class EndpointAdapter(HTTPAdapter):
    """Sends what is meant for Google to another address that speaks its protocol, for tests and proxies."""

    def __init__(self, endpoint: str):
        self._endpoint = endpoint.rstrip("/")
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send with scheme and host replaced."""
        request.url = self._endpoint + (request.path_url or "/")
        return super().send(request, *args, **kwargs)
