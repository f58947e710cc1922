"""Fetch images: many at a time, each within limits, and only real pictures.

A failure is a value with a reason for the annotator, never an exception: one broken image stops no other.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from PIL import Image, UnidentifiedImageError

from sheetsync.cells import shown
from sheetsync.objects import Objects
from sheetsync.records import Arrival, Download, Failure, Row
from sheetsync.web import CHUNK, FetchError, FetchWeb, Limits, copy_within

# What ImageFolder reads; the suffix is the format's, whatever the address said.
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tiff"}
# Told apart from unknown content for the annotator's sake; Pillow's rarer readers never see a stranger's bytes.
READ = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "ICO", "JPEG2000", "PPM")


# A picture may take hundreds of megabytes while it is looked at, and looking is work for the processor.
_DECODING = threading.Semaphore(2)


class Fetch(Protocol):
    """Where images come from: writes the bytes at an address into a file, or raises `FetchError`."""

    def __call__(self, url: str, into: BinaryIO) -> None:
        """`url` is an http(s) address, or a path relative to the folder of the sheet."""


# --- many images ----------------------------------------------------------------------------------


def at_hand(wanted: Iterable[Download], objects: Objects) -> tuple[list[Arrival], list[Download]]:
    """What the store still holds of the wanted images, from earlier times, and what has to be fetched."""
    known = objects.known()
    arrivals, missing = [], []
    for each in wanted:
        arrival = known.get(each.row.key)
        if arrival is not None and objects.holds(arrival):
            arrivals.append(arrival)
        else:
            missing.append(each)
    return arrivals, missing


def download(wanted: Iterable[Download], objects: Objects, fetch: Fetch, limits: Limits) -> Iterator[Arrival | Failure]:
    """Fetch images into the store; gives each result as soon as it is there, in no order."""
    Image.init()  # all readers at once: which ones are there decides what is said of broken bytes
    pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="download")
    try:
        jobs = [pool.submit(_one, each.row, objects, fetch, limits) for each in wanted]
        for job in as_completed(jobs):
            result = job.result()
            if isinstance(result, Arrival):
                objects.remember(result)
            yield result
    finally:  # whoever stops listening, at Ctrl-C say, does not wait for slow servers
        pool.shutdown(wait=False, cancel_futures=True)


def _one(row: Row, objects: Objects, fetch: Fetch, limits: Limits) -> Arrival | Failure:
    try:
        with objects.temporary() as path:
            with path.open("wb") as file:
                fetch(row.url, file)
            with _DECODING:
                suffix = picture_suffix(path, limits.max_pixels)
            return objects.keep(row.key, path, suffix)
    except FetchError as error:
        return Failure(row.key, row.number, row.url, shown(str(error), 500))


def picture_suffix(path: Path, max_pixels: int) -> str:
    """The suffix for a file that is a whole picture of a format that training reads.

    Raises `FetchError` otherwise.
    """
    if path.stat().st_size == 0:
        raise FetchError("not an image: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is checked here
            with Image.open(path, formats=READ) as image:
                suffix = _usable_suffix(image, max_pixels)
                image.load()
    except FetchError:
        raise
    except UnidentifiedImageError:
        raise FetchError(f"not an image: {_looks_like(path)}") from None
    except Image.DecompressionBombError:
        raise FetchError("image too large: more pixels than can be decoded safely") from None
    except Exception as error:  # noqa: BLE001  # there is no list of what a decoder raises at broken bytes
        raise FetchError(f"broken image: {error}") from None
    return suffix


def _usable_suffix(image: Image.Image, max_pixels: int) -> str:
    if image.width * image.height > max_pixels:
        raise FetchError(f"image too large: {image.width} x {image.height} pixels")
    kind = image.format or "unknown"
    if kind not in SUFFIXES:
        raise FetchError(f"{kind} images cannot be used yet: save it as PNG or JPEG")
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
    max_bytes: int

    def __call__(self, url: str, into: BinaryIO) -> None:
        """Copy the file. Raises `FetchError` when it is missing, too large, or lies outside the folder."""
        with self._open(url) as file:
            copy_within(iter(partial(file.read, CHUNK), b""), into, self.max_bytes)

    def _open(self, url: str) -> BinaryIO:
        try:
            path = (self.base / url).resolve()
            if not path.is_relative_to(self.base.resolve()):
                raise FetchError(f"the path leads out of the folder of the sheet: {url}")
            if path.is_file():
                return path.open("rb")
        except OSError as error:
            raise FetchError(f"the file cannot be read: {url} ({error.strerror})") from None
        except RuntimeError:  # links that lead in a circle
            pass
        raise FetchError(f"no such file: {url}")


def fetch_any(base: Path, limits: Limits) -> Fetch:
    """Addresses over the web, relative paths from `base`."""
    web, file = FetchWeb(limits), FetchFile(base, limits.max_bytes)

    def fetch(url: str, into: BinaryIO) -> None:
        (web if "://" in url else file)(url, into)

    return fetch
