"""One image over HTTP, within limits, and from nowhere inside the network unless that is allowed."""

from __future__ import annotations

import http.client
import http.cookiejar
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urljoin

import requests
import urllib3

from sheetsync.fetching import CHUNK, Fetched, FetchError, Limits, PassingError, copy_within

REDIRECTS = 5
PASSING = (429, 500, 502, 503, 504)  # HTTP statuses that may be gone a moment later


class FetchWeb:
    """http and https addresses, over kept-alive connections, one session a thread."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._threads = threading.local()

    def __call__(self, url: str, into: BinaryIO, mark: str = "") -> Fetched:  # noqa: ARG002
        """Download. Raises `PassingError` for what may pass: 429, 5xx, timeouts, dropped connections."""
        with _line(self._limits):
            self._get(url, into)
        return Fetched()

    def _get(self, url: str, into: BinaryIO) -> None:
        try:
            self._follow(url, into)
        except PrivateAddressError as error:
            raise FetchError(str(error)) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise PassingError(_network_reason(error), answered=False) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise FetchError(f"cannot be fetched: {type(error).__name__}") from None

    def _follow(self, url: str, into: BinaryIO) -> None:
        timeout = (self._limits.connect_seconds, self._limits.read_seconds)
        for _ in range(REDIRECTS + 1):
            into.seek(0)
            into.truncate()
            with self._session().get(url, stream=True, timeout=timeout) as answer:
                _check_status(answer)
                copy_within(
                    answer.iter_content(CHUNK), into, self._limits.max_bytes
                )  # of a redirect, too: see _Session
            if not answer.is_redirect:
                return
            url = urljoin(url, answer.headers["Location"].encode("latin-1").decode("utf-8"))
        raise FetchError("too many redirects")

    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            session = _Session()
            session.headers["User-Agent"] = "sheetsync"
            session.auth = _no_credentials
            session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
            self._threads.session = session
        session = self._threads.session
        assert isinstance(session, requests.Session)  # noqa: S101  # a thread-local is untyped
        return session


class _Session(requests.Session):
    """Leaves redirects to `FetchWeb`: requests reads their bodies without limit, and adds cookies and .netrc."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking into .netrc for the image's host."""
    return request


def _check_status(answer: requests.Response) -> None:
    words = http.client.responses.get(answer.status_code)  # not the server's own: these go into the sheet
    reason = f"the server answers {answer.status_code}" + (f" ({words})" if words else "")
    if answer.status_code in PASSING:
        wait = answer.headers.get("Retry-After", "")
        raise PassingError(reason, float(wait) if wait.isdecimal() else None)
    if answer.status_code != requests.codes.ok and not answer.is_redirect:
        raise FetchError(reason)


def _network_reason(error: Exception) -> str:
    words = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in words:
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection to the server: its certificate may be wrong"
    if "Name or service not known" in words or "NameResolutionError" in words or "getaddrinfo" in words:
        return "the server's name is not known"
    return "cannot connect" if "Failed to establish" in words or "refused" in words else "the connection broke off"


# --- connections: none for too long, none into the network ----------------------------------------


class PrivateAddressError(Exception):  # not an OSError: urllib3 would take it for a passing fault
    """The connection went to an address that is not on the open internet."""


@dataclass(slots=True)
class _Line:
    """The connections of one fetch, seen from its own thread and from that of its timer."""

    allow_private: bool
    late: bool = False
    peer: socket.socket | None = None

    def watch(self, peer: socket.socket) -> None:
        self.peer = peer
        if self.late:
            self.cut()

    def cut(self) -> None:
        """Time is over: end what waits for an answer. A server that drips never runs into a timeout."""
        self.late = True
        if self.peer is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.peer, socket.SHUT_RDWR)  # below TLS, which is not for two threads


_here = threading.local()


@contextmanager
def _line(limits: Limits) -> Iterator[None]:
    """Bound the time of what this thread fetches meanwhile, and where it may go."""
    line = _here.line = _Line(limits.allow_private)
    timer = threading.Timer(limits.total_seconds, line.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if line.late:
            raise FetchError(f"too slow: not whole after {limits.total_seconds:.3g} s") from None


def _refuse_private(address: str) -> None:
    """Says the same of every such address, so that nobody learns from a sheet what is inside the network."""
    given = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(given, "ipv4_mapped", None) or given
    if not inner.is_global or inner.is_multicast:
        raise PrivateAddressError(
            "not a public address: allow_private = true under [download] in sheetsync.toml allows it"
        )


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        if _here.line.allow_private:
            return super()._new_conn()
        with suppress(socket.gaierror, UnicodeError):  # then connecting says what is wrong with the name
            for *_, address in socket.getaddrinfo(self.host.strip("[]"), self.port, 0, socket.SOCK_STREAM):
                _refuse_private(str(address[0]))
        peer = super()._new_conn()
        try:  # the address really connected to: a name that changes its mind gains nothing
            _refuse_private(peer.getpeername()[0])
        except PrivateAddressError:
            peer.close()
            raise
        return peer

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        _here.line.watch(self.sock)
        return super().getresponse()


class _HTTPSConnection(_HTTPConnection, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
