"""One image over HTTP, within limits, and from nowhere inside the network unless that is allowed."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate
from functools import partial
from typing import BinaryIO
from urllib.parse import quote, urljoin

import requests
import urllib3
from urllib3 import exceptions as wrong

from sheetsync.common.retry_after import retry_after
from sheetsync.images.fetch.base import (
    CHUNK,
    Fetched,
    FetchError,
    Limits,
    NotRequestedError,
    TransientError,
    copy_limited,
)
from sheetsync.images.fetch.connections import ConnectionPools
from sheetsync.rows.cells import UNSEEN, normal_url

REDIRECTS = 5
LEADING = (301, 302, 303, 307, 308)  # HTTP statuses of an address that leads to another one
PASSING = (429, 500, 502, 503, 504)  # HTTP statuses that may be gone a moment later
_CLOSED, _GONE = "it must open without signing in", "look in a browser whether the image is still there"
REMEDIES = {401: _CLOSED, 403: _CLOSED, 404: _GONE, 410: _GONE}  # for what somebody has to mend
PACKED = ("br", "zstd", "compress", "dcb", "dcz")  # what nobody asked for
MARK_CHARS = 200
ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
HEADERS = {"User-Agent": "sheetsync", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}  # and nothing of ours


class StatusError(FetchError):
    """The server answers that it does not give this, with an HTTP status."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


class HttpFetcher:
    """http and https addresses. Connections are kept and shared by all threads."""

    def __init__(self, limits: Limits):
        self._limits, self._wires = limits, ConnectionPools(limits)

    def __call__(
        self, url: str, into: BinaryIO, mark: str = "", *, more: Mapping[str, str] | None = None, leads: int = REDIRECTS
    ) -> Fetched:
        """Download, along at most `leads` redirects; `more` headers go to all of them.

        Raises `TransientError` for what may pass: 429, 5xx, timeouts, dropped connections.
        """
        with self._wires.deadline():
            try:
                return self._follow(url, into, HEADERS | _unless(mark) | dict(more or {}), mark, leads)
            except (requests.RequestException, wrong.HTTPError, ValueError) as error:
                raise _told(error) from None

    def _follow(self, url: str, into: BinaryIO, headers: Mapping[str, str], mark: str, leads: int) -> Fetched:
        for led in range(leads + 1):
            into.seek(0)
            into.truncate()
            answer = self._ask(url, headers, led)
            try:
                if answer.status == http.client.NOT_MODIFIED and mark:
                    answer.read(CHUNK)  # nothing: and so the connection is free again
                    return Fetched(_mark(answer) or mark, unchanged=True)
                where = _where(answer)
                copy_limited(_body(answer), into, self._limits.max_bytes)  # of a redirect, too: it keeps the connection
            finally:
                answer.close()
            if where is None:
                return Fetched(_mark(answer))
            url = _next(url, where)
        raise FetchError("too many redirects")

    def _ask(self, url: str, headers: Mapping[str, str], led: int) -> urllib3.BaseHTTPResponse:
        try:
            return self._wires.get(url, headers)
        except NotRequestedError as error:
            if led:  # somebody was asked for the way here
                raise FetchError(str(error)) from None
            raise


def _body(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Unpacked. Not `stream`, which takes a line of any length for the size of a chunk."""
    packed = answer.headers.get("Content-Encoding", "")
    if any(each.strip().lower() in PACKED for each in packed.split(",")):
        raise FetchError("the server sends the image packed in a way that nobody asked for")
    return iter(partial(answer.read, CHUNK, decode_content=True), b"")


def _where(answer: urllib3.BaseHTTPResponse) -> str | None:
    """Where an answer leads, None for the one that was looked for. Raises `FetchError` for any other."""
    if answer.status == http.client.OK:
        return None
    if answer.status in LEADING and "Location" in answer.headers:
        return answer.headers["Location"]
    if answer.length_remaining is not None and answer.length_remaining <= CHUNK:
        answer.drain_conn()  # a short page of error is read to its end: that keeps the connection
    words = http.client.responses.get(answer.status)  # not the server's own: these go into the sheet
    reason = f"the server answers {answer.status}" + (f" ({words})" if words else "")
    if answer.status in PASSING:
        raise TransientError(reason, retry_after(answer.headers.get("Retry-After", ""), answer.headers.get("Date", "")))
    remedy = f": {REMEDIES[answer.status]}" if answer.status in REMEDIES else ""
    raise StatusError(reason + remedy, answer.status)


def _next(url: str, where: str) -> str:
    """An address led to another: the same is allowed there as in a cell."""
    raw = where.encode("latin-1").strip()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = quote(raw, safe="/%:@!$&'()*+,;=~?[]#")
    if UNSEEN.search(text):
        raise FetchError("cannot be fetched: the server leads on to an address with unseen characters")
    try:
        return normal_url(urljoin(url, text))
    except ValueError:
        raise FetchError("cannot be fetched: the server leads on to something that is no image URL") from None


# --- unless it is still the same ------------------------------------------------------------------


def _mark(answer: urllib3.BaseHTTPResponse) -> str:
    """What tells this content from a later one: its ETag, else its date; "" where it has none that can be kept."""
    tag, date = answer.headers.get("ETag", "").strip(), answer.headers.get("Last-Modified", "").strip()
    for mark, fits in ((tag, ETAG.fullmatch(tag)), (date, date.isprintable() and parsedate(date))):
        if fits and len(mark) <= MARK_CHARS:
            return mark
    return ""


def _unless(mark: str) -> dict[str, str]:
    if not mark:
        return {}
    return {"If-None-Match" if ETAG.fullmatch(mark) else "If-Modified-Since": mark}


# --- what went wrong ------------------------------------------------------------------------------

NETWORK: tuple[tuple[type[Exception], str], ...] = (
    (wrong.NameResolutionError, "the server's name is not known: look how it is spelled"),
    (wrong.NewConnectionError, "cannot connect"),
    (wrong.TimeoutError, "no answer in time"),
    (wrong.ProxyError, "the proxy gives no connection to the server"),
    (wrong.SSLError, "no secure connection to the server: its certificate may be wrong"),
    (wrong.ProtocolError, "the connection broke off"),
)


def _told(error: Exception) -> FetchError:
    """The first that fits: to urllib3 an unknown name is a failed connection, and that one that was too slow."""
    cause = next((each for each in error.args if isinstance(each, http.client.HTTPException)), None)
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
        return FetchError("what answers there speaks no HTTP")
    if isinstance(cause, (http.client.LineTooLong, http.client.UnknownProtocol)) or _crowded(cause):
        return FetchError("the server's answer is not HTTP as it should be")
    for kind, reason in NETWORK:
        if isinstance(error, kind):
            return TransientError(reason, answered=False)
    return FetchError(f"cannot be fetched: {type(error).__name__}")


def _crowded(cause: Exception | None) -> bool:
    return type(cause) is http.client.HTTPException  # this one is raised for too many headers, and nothing else
