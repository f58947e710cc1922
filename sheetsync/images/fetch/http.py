"""Fetch an image over HTTP: redirects, conditional requests (ETag), Retry-After, and errors in words."""

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
from urllib3 import exceptions

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
from sheetsync.rows.cells import CONTROL_CHARS, normalise_url

MAX_REDIRECTS = 5
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
TRANSIENT_STATUSES = (429, 500, 502, 503, 504)
_SIGN_IN, _GONE = "it must open without signing in", "look in a browser whether the image is still there"
REMEDIES = {401: _SIGN_IN, 403: _SIGN_IN, 404: _GONE, 410: _GONE}  # by HTTP status
UNSUPPORTED_ENCODINGS = ("br", "zstd", "compress", "dcb", "dcz")  # not in our Accept-Encoding
MAX_VALIDATOR_CHARS = 200
ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
HEADERS = {"User-Agent": "sheetsync", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}  # no cookies, no netrc


class StatusError(FetchError):
    """A response with an HTTP status that is no success, no redirect, and not transient."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


class HttpFetcher:
    """A fetcher of http and https URLs. Its connections are kept and shared by all threads."""

    def __init__(self, limits: Limits):
        self._limits, self._pools = limits, ConnectionPools(limits)

    def __call__(
        self,
        url: str,
        into: BinaryIO,
        validator: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        max_redirects: int = MAX_REDIRECTS,
    ) -> Fetched:
        """Download, along redirects, to all of which the extra `headers` are sent.

        Raises `TransientError` for 429, 5xx, timeouts and dropped connections, `FetchError` for the rest.
        """
        condition = {}
        if validator:
            condition["If-None-Match" if ETAG.fullmatch(validator) else "If-Modified-Since"] = validator
        with self._pools.deadline():
            try:
                return self._follow(url, into, HEADERS | condition | dict(headers or {}), validator, max_redirects)
            except (requests.RequestException, exceptions.HTTPError, ValueError) as error:
                raise _to_fetch_error(error) from None

    def _follow(
        self, url: str, into: BinaryIO, headers: Mapping[str, str], validator: str, max_redirects: int
    ) -> Fetched:
        for redirects in range(max_redirects + 1):
            into.seek(0)
            into.truncate()
            response = self._get(url, headers, redirects)
            try:
                if response.status == http.client.NOT_MODIFIED and validator:
                    response.read(CHUNK)  # nothing: it frees the connection
                    return Fetched(_validator(response) or validator, unchanged=True)
                target = _redirect_target(response)
                copy_limited(
                    _body(response), into, self._limits.max_bytes
                )  # of a redirect, too: to keep the connection
            finally:
                response.close()
            if target is None:
                return Fetched(_validator(response))
            url = _join_redirect(url, target)
        raise FetchError("too many redirects")

    def _get(self, url: str, headers: Mapping[str, str], redirects: int) -> urllib3.BaseHTTPResponse:
        try:
            return self._pools.get(url, headers)
        except NotRequestedError as error:
            if redirects:  # requests were sent to get here
                raise FetchError(str(error)) from None
            raise


def _body(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Return the decompressed chunks of a body. Not by `stream`, whose line with a chunk's size has no limit."""
    encodings = response.headers.get("Content-Encoding", "")
    if any(each.strip().lower() in UNSUPPORTED_ENCODINGS for each in encodings.split(",")):
        raise FetchError("the server compresses the image in a way that it was not asked to")
    return iter(partial(response.read, CHUNK, decode_content=True), b"")


def _redirect_target(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return the Location of a redirect, None for a response with content. Raises `FetchError` for any other."""
    if response.status == http.client.OK:
        return None
    if response.status in REDIRECT_STATUSES and "Location" in response.headers:
        return response.headers["Location"]
    if response.length_remaining is not None and response.length_remaining <= CHUNK:
        response.drain_conn()  # a short error page is read to its end: that keeps the connection
    words = http.client.responses.get(response.status)  # not the server's own: these go into the sheet
    reason = f"the server answers {response.status}" + (f" ({words})" if words else "")
    if response.status in TRANSIENT_STATUSES:
        headers = response.headers
        raise TransientError(reason, retry_after(headers.get("Retry-After", ""), headers.get("Date", "")))
    remedy = f": {REMEDIES[response.status]}" if response.status in REMEDIES else ""
    raise StatusError(reason + remedy, response.status)


def _join_redirect(url: str, location: str) -> str:
    """Return the URL to which a Location leads, by the rules for URLs in cells. Raises `FetchError`."""
    raw = location.encode("latin-1").strip()  # undoes the decoding of http.client
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = quote(raw, safe="/%:@!$&'()*+,;=~?[]#")
    if CONTROL_CHARS.search(text):
        raise FetchError("cannot be fetched: the server leads on to an address with unseen characters")
    try:
        return normalise_url(urljoin(url, text))
    except ValueError:
        raise FetchError("cannot be fetched: the server leads on to something that is no image URL") from None


def _validator(response: urllib3.BaseHTTPResponse) -> str:
    """Return the ETag of a response, else its Last-Modified (RFC 9110, 8.8); "" where it has none that can be kept."""
    etag = response.headers.get("ETag", "").strip()
    if ETAG.fullmatch(etag) and len(etag) <= MAX_VALIDATOR_CHARS:
        return etag
    date = response.headers.get("Last-Modified", "").strip()
    return date if date.isprintable() and parsedate(date) and len(date) <= MAX_VALIDATOR_CHARS else ""


# --- errors in words --------------------------------------------------------------------------------

# The first that fits: to urllib3 an unknown name is also a failed connection, and a failed connection a timeout.
NETWORK_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NameResolutionError, "the server's name is not known: look how it is spelled"),
    (exceptions.NewConnectionError, "cannot connect"),
    (exceptions.TimeoutError, "no answer in time"),
    (exceptions.ProxyError, "the proxy gives no connection to the server"),
    (exceptions.SSLError, "no secure connection to the server: its certificate may be wrong"),
    (exceptions.ProtocolError, "the connection broke off"),
)


def _to_fetch_error(error: Exception) -> FetchError:
    """Translate an error of urllib3 or requests."""
    cause = next((each for each in error.args if isinstance(each, http.client.HTTPException)), None)
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
        return FetchError("the server does not speak HTTP")
    too_many_headers = type(cause) is http.client.HTTPException  # raised for nothing else
    if isinstance(cause, (http.client.LineTooLong, http.client.UnknownProtocol)) or too_many_headers:
        return FetchError("the server's answer is not HTTP as it should be")
    for kind, reason in NETWORK_ERRORS:
        if isinstance(error, kind):
            return TransientError(reason, answered=False)
    return FetchError(f"cannot be fetched: {type(error).__name__}")
