"""Connections to web servers: kept and shared by all threads, none for too long, none into the network."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_auth_from_url, get_environ_proxies, prepend_scheme_if_needed, select_proxy
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
)
from urllib3.util import connection as sockets

from sheetsync.images.fetch.base import FetchTimeout, Limits, NotRequestedError
from sheetsync.images.fetch.deadline import Deadline, Watchdog, current
from sheetsync.images.fetch.public_address import refuse_private, refuse_private_host, resolve
from sheetsync.images.fetch.response import BoundedResponse

HOSTS = 256  # hosts whose connections are kept: of many thousand hosts, not many thousand sockets
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")  # who is trusted, if not certifi's list


class ConnectionPools:
    """Connections within limits. Whoever uses them holds a `line` meanwhile."""

    def __init__(self, limits: Limits):
        self._limits, self._watcher = limits, Watchdog(limits.total_seconds)
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._making = threading.Lock()
        self._proxy = lru_cache(1 << 14)(_proxy_for)
        self._look = lru_cache(1 << 14)(refuse_private_host)

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """Bound the time of what this thread fetches, and where it may connect to. Raises `FetchTimeout`."""
        line = current.deadline = Deadline(self._limits)
        self._watcher.add(line)
        try:
            yield
        except Exception:
            line.late |= line.left <= 0  # a timeout may come a moment before the watcher
            raise
        finally:
            self._watcher.remove(line)
            if line.late:
                raise FetchTimeout(f"too slow: not whole after {self._limits.total_seconds:.3g} s") from None

    def get(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Ask for an address once; the answer's body is still to come.

        Raises `NotRequestedError` where this machine refuses to, or an error of urllib3 or requests.
        """
        if not url.isascii():
            asked = requests.PreparedRequest()
            asked.prepare_url(url, None)  # writes names as DNS knows them
            url = asked.url or url
        parts = urlsplit(url)
        proxy = self._proxy(parts.scheme, parts.netloc)
        if proxy and not self._limits.allow_private:
            self._look(parts.hostname or "")
        manager = self._managers.get((parts.scheme, proxy)) or self._manager(parts.scheme, proxy)
        return _request(manager, url, headers)

    def _manager(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        with self._making:
            manager = self._managers.setdefault((scheme, proxy), self._made(scheme, proxy))
        return manager

    def _made(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        limits = self._limits
        options: dict[str, Any] = {
            "num_pools": HOSTS,
            "maxsize": 2 * limits.per_host,
            "timeout": urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
        }
        if scheme == "https":
            options["ssl_context"] = _ssl_context()
        manager = _proxy_manager(proxy, options) if proxy else urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


def _request(manager: urllib3.PoolManager, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
    """Over a kept connection, or a new one where the kept ones turn out to have been ended from the other side."""
    while True:
        current.deadline.kept = True
        try:
            return manager.urlopen("GET", url, redirect=False, retries=False, preload_content=False, headers=headers)
        except ProtocolError:
            if not current.deadline.kept or current.deadline.late:
                raise


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    user, password = get_auth_from_url(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    own = _ssl_context() if proxy.startswith("https:") else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, proxy_ssl_context=own, **options)


def _ssl_context() -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context()
    given = next((os.environ[name] for name in BUNDLES if os.environ.get(name)), requests.utils.DEFAULT_CA_BUNDLE_PATH)
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(given) else "cafile": given})  # noqa: PTH112
    except (OSError, ssl.SSLError):
        raise NotRequestedError(f"no secure connection: {', '.join(BUNDLES)} name no file of certificates") from None
    return context


def _proxy_for(scheme: str, netloc: str) -> str:
    """The proxy that the environment names for a host, "" = none."""
    url = f"{scheme}://{netloc}/"
    found = select_proxy(url, get_environ_proxies(url, None))
    return _checked_proxy(found) if found else ""


def _checked_proxy(proxy: str) -> str:
    with suppress(LocationParseError):
        url = str(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
        parts = urllib3.util.parse_url(url)
        if parts.scheme in ("http", "https") and parts.host:
            return url
    raise NotRequestedError(
        "HTTP_PROXY or HTTPS_PROXY names no proxy that can be used, such as http://proxy.example:3128"
    )


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect to the addresses that were looked at, so that a name that changes its mind gains nothing."""
        line = current.deadline
        line.kept = False
        anywhere = line.allow_private or self.proxy is not None  # where the proxy is, is its owner's choice
        addresses = self._addresses()
        for address in () if anywhere else addresses:
            refuse_private(address)
        peer = self._reach(addresses, line)
        try:
            if not anywhere:
                refuse_private(peer.getpeername()[0])  # and to the one really reached
            peer.settimeout(self._seconds(line))  # for TLS, which is done within that, or not at all
            line.watch(peer)
        except BaseException:
            peer.close()
            raise
        return peer

    def _addresses(self) -> list[str]:
        try:
            return resolve(self._dns_host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except UnicodeError:
            raise LocationParseError(self.host) from None

    def _reach(self, addresses: list[str], line: Deadline) -> socket.socket:
        failure: Exception = ConnectTimeoutError(self, "no time is left")
        for address in addresses:
            if line.left <= 0:
                break
            place, seconds = (address, self.port), self._seconds(line)
            try:
                return sockets.create_connection(place, seconds, socket_options=self.socket_options)
            except TimeoutError:
                failure = ConnectTimeoutError(self, "timed out")
            except OSError as error:
                failure = NewConnectionError(self, f"Failed to establish a new connection: {error}")
        raise failure

    def _seconds(self, line: Deadline) -> float:
        return max(0.001, min(line.left, float(self.timeout or line.left)))

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        current.deadline.watch(self.sock)
        self.response_class = partial(BoundedResponse, max_bytes=current.deadline.max_bytes)  # type: ignore[assignment]  # makes one
        return super().getresponse()


class _HTTPSConnection(_HTTPConnection, urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        finally:
            current.deadline.watch(self.sock)  # another object: TLS takes the socket over


class _Shared:
    """A connection that goes back is another thread's at once, and this one's no more."""

    def _put_conn(self, conn: Any) -> None:
        current.deadline.watch(None)
        super()._put_conn(conn)  # type: ignore[misc]  # of the pool that this is mixed into


class _HTTPPool(_Shared, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_Shared, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection
