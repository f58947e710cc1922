"""Whether a file is a whole picture, and what a model is shown of it."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from sheetsync.fetching import FetchError

# What ImageFolder reads; the suffix is the format's, whatever the address said.
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tiff"}
# Told apart from unknown content for the annotator's sake; Pillow's rarer readers never see a stranger's bytes.
READ = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "ICO", "JPEG2000", "PPM")

# A picture may take hundreds of megabytes while it is looked at, and looking is work for the processor.
_DECODING = threading.Semaphore(2)


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole picture. `suffix` is that of its format.

    Where an ImageFolder loader would not see it as people do, `shown` is the file to show in its place, of the format
    that `shown_suffix` says; b"" where the original will do. `look` is its perceptual hash, 16 hex characters.
    """

    suffix: str
    look: str = ""
    shown: bytes = b""
    shown_suffix: str = ""


def prepare() -> None:
    """Load all readers at once: which ones are there decides what is said of broken bytes."""
    Image.init()


def examine(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode a picture to its end. Raises `FetchError` for what is none, is broken, or has too many pixels."""
    if not file.read(1):
        raise FetchError("not an image: the file is empty")
    file.seek(0)
    try:
        with _DECODING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is checked here
            with Image.open(file, formats=READ) as image:
                suffix = _usable_suffix(image, max_pixels)
                image.load()
    except FetchError:
        raise
    except UnidentifiedImageError:
        raise FetchError(f"not an image: {_looks_like(file)}") from None
    except Image.DecompressionBombError:
        raise FetchError("image too large: more pixels than can be decoded safely") from None
    except Exception as error:  # noqa: BLE001  # there is no list of what a decoder raises at broken bytes
        raise FetchError(f"broken image: {error}") from None
    return Picture(suffix)


def _usable_suffix(image: Image.Image, max_pixels: int) -> str:
    if image.width * image.height > max_pixels:
        raise FetchError(f"image too large: {image.width} x {image.height} pixels")
    kind = image.format or "unknown"
    if kind not in SUFFIXES:
        raise FetchError(f"{kind} images cannot be used yet: save it as PNG or JPEG")
    return SUFFIXES[kind]


def _looks_like(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(256).lstrip().lower()
    return "the address gives a web page" if start.startswith((b"<!doctype", b"<html")) else "unknown content"
