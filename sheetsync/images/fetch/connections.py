"""HTTP connection pools shared by all threads, with a deadline per fetch and an SSRF guard."""

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

MAX_HOSTS = 256  # hosts whose connections are kept: a sheet of many thousand hosts must not keep as many sockets
CA_BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")  # else certifi's list is trusted


class ConnectionPools:
    """Connections within limits. A thread enters `deadline` before it sends requests."""

    def __init__(self, limits: Limits):
        self._limits, self._watchdog = limits, Watchdog(limits.total_seconds)
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._making = threading.Lock()
        self._proxy_for = lru_cache(1 << 14)(_proxy_for)
        self._refuse_private_host = lru_cache(1 << 14)(refuse_private_host)

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """Bound the time that this thread takes to fetch, and where it may connect. Raises `FetchTimeout`."""
        deadline = current.deadline = Deadline(self._limits)
        self._watchdog.add(deadline)
        try:
            yield
        except Exception:
            deadline.expired |= deadline.seconds_left <= 0  # a read timeout may come a moment before the watchdog
            raise
        finally:
            self._watchdog.remove(deadline)
            if deadline.expired:
                raise FetchTimeout(f"too slow: not whole after {self._limits.total_seconds:.3g} s") from None

    def get(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send one GET request and return the response with its body still unread.

        Raises `NotRequestedError` where this machine refuses to connect, or an error of urllib3 or requests.
        """
        if not url.isascii():
            prepared = requests.PreparedRequest()
            prepared.prepare_url(url, None)  # encodes the host name as DNS has it (IDNA)
            url = prepared.url or url
        parts = urlsplit(url)
        proxy = self._proxy_for(parts.scheme, parts.netloc)
        if proxy and not self._limits.allow_private:
            self._refuse_private_host(parts.hostname or "")
        manager = self._managers.get((parts.scheme, proxy))
        if manager is None:
            with self._making:
                manager = self._managers.setdefault((parts.scheme, proxy), self._make_manager(parts.scheme, proxy))
        return _send(manager, url, headers)

    def _make_manager(self, scheme: str, proxy: str) -> urllib3.PoolManager:
        limits = self._limits
        options: dict[str, Any] = {
            "num_pools": MAX_HOSTS,
            "maxsize": 2 * limits.per_host,
            "timeout": urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
        }
        if scheme == "https":
            options["ssl_context"] = _ssl_context()
        manager = _proxy_manager(proxy, options) if proxy else urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


def _send(manager: urllib3.PoolManager, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
    """Send a GET request, again where a kept connection turns out to have been closed by the server."""
    while True:
        current.deadline.reused = True  # until a new connection is made
        try:
            return manager.urlopen("GET", url, redirect=False, retries=False, preload_content=False, headers=headers)
        except ProtocolError:
            if not current.deadline.reused or current.deadline.expired:
                raise


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    user, password = get_auth_from_url(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None
    ssl_context = _ssl_context() if proxy.startswith("https:") else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, proxy_ssl_context=ssl_context, **options)


def _ssl_context() -> ssl.SSLContext:
    context = urllib3.util.ssl_.create_urllib3_context()
    configured = (os.environ[name] for name in CA_BUNDLE_VARIABLES if os.environ.get(name))
    bundle = next(configured, requests.utils.DEFAULT_CA_BUNDLE_PATH)
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})  # noqa: PTH112
    except (OSError, ssl.SSLError):
        names = ", ".join(CA_BUNDLE_VARIABLES)
        raise NotRequestedError(f"no secure connection: {names} name no file of certificates") from None
    return context


def _proxy_for(scheme: str, netloc: str) -> str:
    """Return the URL of the proxy that the environment names for a host, "" = none."""
    url = f"{scheme}://{netloc}/"
    proxy = select_proxy(url, get_environ_proxies(url, None))
    if not proxy:
        return ""
    with suppress(LocationParseError):
        proxy = str(prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
        parts = urllib3.util.parse_url(proxy)
        if parts.scheme in ("http", "https") and parts.host:
            return proxy
    raise NotRequestedError(
        "HTTP_PROXY or HTTPS_PROXY names no proxy that can be used, such as http://proxy.example:3128"
    )


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Connect to the IP addresses that were checked, never to the name again: DNS rebinding gains nothing."""
        deadline = current.deadline
        deadline.reused = False
        anywhere = deadline.allow_private or self.proxy is not None  # the address of a proxy is its owner's choice
        addresses = self._resolve()
        for address in () if anywhere else addresses:
            refuse_private(address)
        peer = self._connect_to_first(addresses, deadline)
        try:
            if not anywhere:
                refuse_private(peer.getpeername()[0])  # the one really reached
            peer.settimeout(self._timeout(deadline))  # of the TLS handshake
            deadline.watch(peer)
        except BaseException:
            peer.close()
            raise
        return peer

    def _resolve(self) -> list[str]:
        try:
            return resolve(self._dns_host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except UnicodeError:
            raise LocationParseError(self.host) from None

    def _connect_to_first(self, addresses: list[str], deadline: Deadline) -> socket.socket:
        """Connect to the first address that accepts."""
        failure: Exception = ConnectTimeoutError(self, "no time is left")
        for address in addresses:
            if deadline.seconds_left <= 0:
                break
            target, seconds = (address, self.port), self._timeout(deadline)
            try:
                return sockets.create_connection(target, seconds, socket_options=self.socket_options)
            except TimeoutError:
                failure = ConnectTimeoutError(self, "timed out")
            except OSError as error:
                failure = NewConnectionError(self, f"Failed to establish a new connection: {error}")
        raise failure

    def _timeout(self, deadline: Deadline) -> float:
        left = deadline.seconds_left
        return max(0.001, min(left, float(self.timeout or left)))

    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        current.deadline.watch(self.sock)
        self.response_class = partial(BoundedResponse, max_bytes=current.deadline.max_bytes)  # type: ignore[assignment]  # makes one
        return super().getresponse()


class _HTTPSConnection(_HTTPConnection, urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        finally:
            current.deadline.watch(self.sock)  # another object: TLS has wrapped the socket


class _UnwatchingPool:
    """A pool mixin that stops watching a connection on its return: another thread may take it at once."""

    def _put_conn(self, conn: Any) -> None:
        current.deadline.watch(None)
        super()._put_conn(conn)  # type: ignore[misc]  # of the pool that this is mixed into


class _HTTPPool(_UnwatchingPool, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_UnwatchingPool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection
