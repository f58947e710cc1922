"""Fetch images: many at a time, each within limits, and only real pictures.

A failure is a value with a reason for the annotator, never an exception: one broken image stops no other.
"""

from __future__ import annotations

import http.cookiejar
import ipaddress
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import requests
import stamina
import urllib3
from PIL import Image, UnidentifiedImageError

from sheetsync.objects import Objects
from sheetsync.records import Arrival, Download, Failure

# What ImageFolder reads; the suffix is the format's, whatever the address said.
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tiff"}
CHUNK = 1 << 16
PASSING = (429, 500, 502, 503, 504)  # HTTP statuses that may be gone a moment later


class FetchError(Exception):
    """An image that cannot be had, in words for an annotator."""


class PassingError(FetchError):
    """The same, but it may work a moment later. `wait` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class Fetch(Protocol):
    """Where images come from: writes the bytes at an address into a file, or raises `FetchError`."""

    def __call__(self, url: str, into: BinaryIO) -> None:
        """`url` is an http(s) address, or a path relative to the folder of the sheet."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may cost."""

    workers: int = 16
    connect_seconds: float = 10.0
    read_seconds: float = 20.0
    total_seconds: float = 60.0
    max_bytes: int = 30_000_000
    max_pixels: int = 100_000_000
    attempts: int = 3
    allow_private: bool = False


# --- many images ----------------------------------------------------------------------------------


def at_hand(wanted: Iterable[Download], objects: Objects) -> tuple[list[Arrival], list[Download]]:
    """What the store still holds of the wanted images, from earlier times, and what has to be fetched."""
    known = objects.known()
    arrivals, missing = [], []
    for each in wanted:
        arrival = known.get(each.row.key)
        if arrival is not None and objects.path(arrival.digest, arrival.suffix).exists():
            arrivals.append(arrival)
        else:
            missing.append(each)
    return arrivals, missing


def download(wanted: Iterable[Download], objects: Objects, fetch: Fetch, limits: Limits) -> Iterator[Arrival | Failure]:
    """Fetch images into the store; gives each result as soon as it is there, in no order."""
    pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="download")
    try:
        jobs = [pool.submit(_one, each.row.key, each.row.url, objects, fetch, limits) for each in wanted]
        for job in as_completed(jobs):
            result = job.result()
            if isinstance(result, Arrival):
                objects.remember(result)
            yield result
    finally:  # whoever stops listening, at Ctrl-C say, does not wait for slow servers
        pool.shutdown(wait=False, cancel_futures=True)


def _one(key: str, url: str, objects: Objects, fetch: Fetch, limits: Limits) -> Arrival | Failure:
    try:
        with objects.temporary() as path:
            with path.open("wb") as file:
                fetch(url, file)
            return objects.keep(key, path, picture_suffix(path, limits.max_pixels))
    except FetchError as error:
        return Failure(key, url, str(error))


def picture_suffix(path: Path, max_pixels: int) -> str:
    """The suffix for a file that is a whole picture of a format that training reads.

    Raises `FetchError` otherwise.
    """
    if path.stat().st_size == 0:
        raise FetchError("not an image: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is checked here
            with Image.open(path) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise FetchError(f"image too large: {width} x {height} pixels")
                kind = image.format or "unknown"
                if kind not in SUFFIXES:
                    raise FetchError(f"{kind} images cannot be used yet: save it as PNG or JPEG")
                image.load()
    except UnidentifiedImageError:
        raise FetchError(f"not an image: {_looks_like(path)}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FetchError(f"broken image: {error}") from None
    return SUFFIXES[kind]


def _looks_like(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(256).lstrip().lower()
    return "the address gives a web page" if start.startswith((b"<!doctype", b"<html")) else "unknown content"


# --- one image ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FetchFile:
    """Relative paths are files below a folder."""

    base: Path

    def __call__(self, url: str, into: BinaryIO) -> None:
        """Copy the file. Raises `FetchError` when it is missing or lies outside the folder."""
        path = (self.base / url).resolve()
        if not path.is_relative_to(self.base.resolve()):
            raise FetchError(f"the path leads out of the folder of the sheet: {url}")
        try:
            file = path.open("rb")
        except OSError as error:
            raise FetchError(f"no such file: {url} ({error.strerror})") from None
        with file:
            shutil.copyfileobj(file, into)


class FetchWeb:
    """http and https addresses, over kept-alive connections, one session a thread."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._threads = threading.local()

    def __call__(self, url: str, into: BinaryIO) -> None:
        """Download. What may pass (429, 5xx, timeouts, dropped connections) is tried again within limits."""
        for attempt in stamina.retry_context(on=_again, attempts=self._limits.attempts, wait_max=5.0):
            with attempt:
                into.seek(0)
                into.truncate()
                self._get(url, into)

    def _get(self, url: str, into: BinaryIO) -> None:
        timeout = (self._limits.connect_seconds, self._limits.read_seconds)
        deadline = time.monotonic() + self._limits.total_seconds
        try:
            with self._session().get(url, stream=True, timeout=timeout) as answer:
                _check_status(answer)
                self._read(answer, into, deadline)
        except PrivateAddressError as error:
            raise FetchError(str(error)) from None
        except requests.TooManyRedirects:
            raise FetchError("too many redirects") from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise PassingError(_network_reason(error)) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as error:
            raise FetchError(f"cannot be fetched: {type(error).__name__}") from None

    def _read(self, answer: requests.Response, into: BinaryIO, deadline: float) -> None:
        size = 0
        for chunk in answer.iter_content(CHUNK):
            size += len(chunk)
            if size > self._limits.max_bytes:
                raise FetchError(f"file too large: over {self._limits.max_bytes / 1e6:.0f} MB")
            if time.monotonic() > deadline:
                raise FetchError(f"too slow: not whole after {self._limits.total_seconds:.0f} s")
            into.write(chunk)

    def _session(self) -> requests.Session:
        if not hasattr(self._threads, "session"):
            session = requests.Session()
            session.max_redirects = 5
            session.headers["User-Agent"] = "sheetsync"
            session.auth = _no_credentials
            session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter(self._limits.allow_private))
            self._threads.session = session
        session = self._threads.session
        assert isinstance(session, requests.Session)  # noqa: S101  # a thread-local is untyped
        return session


def fetch_any(base: Path, limits: Limits) -> Fetch:
    """Addresses over the web, relative paths from `base`."""
    web, file = FetchWeb(limits), FetchFile(base)

    def fetch(url: str, into: BinaryIO) -> None:
        (web if "://" in url else file)(url, into)

    return fetch


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from looking into .netrc for the image's host."""
    return request


def _again(error: Exception) -> bool | float:
    if not isinstance(error, PassingError):
        return False
    return True if error.wait is None else min(error.wait, 30.0)


def _check_status(answer: requests.Response) -> None:
    if answer.status_code in PASSING:
        wait = answer.headers.get("Retry-After", "")
        raise PassingError(f"the server answers {answer.status_code}", float(wait) if wait.isdigit() else None)
    if answer.status_code != requests.codes.ok:
        raise FetchError(f"the server answers {answer.status_code} ({answer.reason})")


def _network_reason(error: Exception) -> str:
    words = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in words:
        return "no answer in time"
    if "Name or service not known" in words or "NameResolutionError" in words or "getaddrinfo" in words:
        return "the server's name is not known"
    return "cannot connect" if "Failed to establish" in words or "refused" in words else "the connection broke off"


# --- addresses inside the network -----------------------------------------------------------------


class PrivateAddressError(Exception):  # not an OSError: urllib3 would take it for a passing fault
    """The connection went to an address that is not on the open internet."""


def _refuse_private(peer: socket.socket) -> socket.socket:
    """Look at the address really connected to, so that a name that changes its mind gains nothing."""
    address = ipaddress.ip_address(peer.getpeername()[0].partition("%")[0])
    inner = getattr(address, "ipv4_mapped", None) or address
    if not inner.is_global or inner.is_multicast:
        peer.close()
        raise PrivateAddressError(
            f"private address ({inner}): allow_private = true under [download] in sheetsync.toml allows it"
        )
    return peer


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _refuse_private(super()._new_conn())


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _refuse_private(super()._new_conn())


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, allow_private: bool):
        self._allow_private = allow_private
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        if not self._allow_private:
            self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
