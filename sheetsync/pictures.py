"""Whether a file is a whole picture, and what a model is shown of it."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from traceback import clear_frames
from typing import IO, BinaryIO, TypeVar

from PIL import Image, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from sheetsync.fetching import FetchError
from sheetsync.kinds import START, kind, webp_size
from sheetsync.rendering import (
    LARGEST,
    ORIENTATION,
    SMALL,
    encoded,
    look,
    opaque,
    orientation,
    profile,
    reduction,
    view,
)

# The suffix is the format's, whatever the address said.
SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tiff",
    "GIF": ".gif",
    "AVIF": ".avif",
    "HEIF": ".heic",
}
PLAIN = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # what ImageFolder reads
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # and sees as people do
LOSSY = ("JPEG", "AVIF", "HEIF")

LONGEST = 65_535  # pixels a side, JPEG's own bound: rows are buffered
MOST_SCANS = 64  # of a JPEG: each is a pass over all pixels, and may take no more than a few bytes
MOST_NOTES = 64  # of a JPEG: its reader joins them one by one, each time copying all so far
MOST_NUMBERS = 1 << 20  # bytes of them beside the pixels of a TIFF, or in an EXIF: objects of 30 times that
SLOW_PIXELS = 1 << 22  # of a packed BMP, whose reader goes from pixel to pixel in Python
MEMORY = 750_000_000  # bytes for all pictures that are decoded at the same time
# Bytes a pixel while Pillow decodes, measured. What lies of its size could have taken this much before it is found out.
NEEDED = {"WEBP": 16, "AVIF": 16, "HEIF": 12}
LEAST = {"AVIF": MEMORY // 2, "HEIF": MEMORY // 2}

Found = TypeVar("Found")
DESKS = min(8, max(2, os.cpu_count() or 2))  # decoding is work for the processor
_DESKS = threading.BoundedSemaphore(DESKS)
_NUMBER_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # of a TIFF, by kind
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


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
    with suppress(AttributeError, OSError):  # not glibc: there each thread would keep up to 64 MB that are free
        ctypes.CDLL(None).mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD
        ctypes.CDLL(None).mallopt(-8, DESKS)  # M_ARENA_MAX
    if find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # it warns of what is checked here
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    look(Image.new("L", (1, 1)))  # what it needs is loaded once, and not in many threads


def examine(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode a picture to its end. Raises `FetchError` for what is none, is broken, or has too many pixels.

    All that happens at the same time, in any number of threads, takes `MEMORY` bytes at most, and little beside it.
    """
    start = file.read(START)
    name = kind(start)
    if name not in Image.OPEN:
        raise FetchError(_MISSING[name])
    with _DESKS, ExitStack() as room, _told(name):  # the room is left when nothing of the picture is there any more
        if name == "JPEG":
            _read(file, _check_jpeg)
        file.seek(0)
        if name == "TIFF" and (numbers := _tiff_numbers(file)) > MOST_NUMBERS:
            raise FetchError(f"broken image: a TIFF with {numbers / 1e6:.3g} MB of numbers beside its pixels")
        file.seek(0)
        if name == "WEBP":
            room.enter_context(_ROOM.taken(_webp_needed(*webp_size(start), max_pixels)))
        return _decoded(file, name, max_pixels, room)


def _decoded(file: BinaryIO, name: str, max_pixels: int, room: ExitStack) -> Picture:
    with Image.open(file, formats=(name,)) as image:
        _check_exif(image.info.get("exif") or b"")
        packed = any(part[0] == "bmp_rle" for part in image.tile)
        _check_size(*image.size, min(max_pixels, SLOW_PIXELS) if packed else max_pixels)
        if name != "WEBP":
            room.enter_context(_ROOM.taken(_needed(image, name)))
        image.load()
        return _picture(image, name)


def _picture(image: Image.Image, name: str) -> Picture:
    turned = orientation(image)
    if _plain(image, name, turned) and opaque(image):
        return Picture(SUFFIXES[name], look(view(image, turned, SMALL)))
    shown = view(image, turned, LARGEST)
    return Picture(SUFFIXES[name], look(view(shown, 1, SMALL)), *encoded(shown, lossy=name in LOSSY))


def _plain(image: Image.Image, name: str, turned: int) -> bool:
    return name in PLAIN and turned == 1 and image.mode in PLAIN_MODES and not profile(image)


_MISSING = {
    "HEIF": "HEIC images need one more package: pip install 'sheetsync[heic]', or save it as JPEG",
    "AVIF": "AVIF images need a newer Pillow: pip install -U pillow, or save it as PNG or JPEG",
    "WEBP": "WebP images cannot be read by this Pillow: save it as PNG or JPEG",
}


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Say what is wrong with a picture in words that are the same every time."""
    try:
        yield
    except FetchError:
        raise
    except UnidentifiedImageError:
        raise FetchError(f"broken image: it begins like {name} and cannot be read: save it anew") from None
    except (Image.DecompressionBombError, MemoryError) as error:
        clear_frames(error.__traceback__)
        raise FetchError("image too large: more pixels than can be decoded safely") from None
    except Exception as error:  # noqa: BLE001  # there is no list of what a decoder raises at broken bytes
        clear_frames(error.__traceback__)  # they hold the picture
        raise FetchError(f"broken image: {error}: save it anew") from None


# --- what a picture may take ----------------------------------------------------------------------


def _check_size(wide: int, high: int, max_pixels: int) -> None:
    if wide < 1 or high < 1:
        raise FetchError(f"broken image: {wide} x {high} pixels")
    if wide * high > max_pixels or max(wide, high) > LONGEST:
        raise FetchError(f"image too large: {wide} x {high} pixels")


def _check_needed(needed: int, name: str) -> int:
    if needed > MEMORY:
        raise FetchError(f"image too large: its pixels take too much memory as {name}: save it smaller or as PNG")
    return needed


def _read(file: IO[bytes], look: Callable[[bytes], Found]) -> Found:
    """What is found in all bytes of a file, which have their room meanwhile."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with _ROOM.taken(min(size, MEMORY)):
        return look(file.read(size))  # not `read()`, which joins what it had with the rest


def _check_jpeg(data: bytes) -> None:
    if (notes := data.count(b"Exif\0\0")) > MOST_NOTES:
        raise FetchError(f"broken image: a JPEG of {notes} notes")
    if data.count(b"\xff\xda") > MOST_SCANS and (scans := _scans(data)) > MOST_SCANS:
        raise FetchError(f"broken image: a JPEG of {scans} scans")


def _scans(data: bytes) -> int:
    """How often a JPEG goes over its pixels; what follows its end does not count."""
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) and found[0] != b"\xff\xd9":
        scans += found[0] == b"\xff\xda"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return scans


def _needed(image: Image.Image, name: str) -> int:
    """Bytes to decode a picture and to render it. A JPEG is set to be decoded no larger than needed."""
    pixels = image.width * image.height
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        most = SMALL if _plain(image, name, orientation(image)) else LARGEST
        held = _coefficients(image, pixels)
        smaller = 1 << (reduction(pixels, most) - 1).bit_length()
        image.draft(None, (max(1, image.width // smaller), max(1, image.height // smaller)))
        pixels = image.width * image.height
        needed = 4 * pixels + max(0, held - _to_render(pixels))  # they go before it is rendered
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        needed = _tiff_needed(image, pixels)
    else:
        needed = NEEDED.get(name, 4) * pixels
    return max(_check_needed(needed + _to_render(pixels), name), LEAST.get(name, 0))


def _to_render(pixels: int) -> int:
    return 10 * min(pixels, LARGEST)


def _webp_needed(wide: int, high: int, max_pixels: int) -> int:
    _check_size(wide, high, max_pixels)
    return _check_needed(NEEDED["WEBP"] * wide * high + _to_render(wide * high), "WebP")


def _coefficients(image: JpegImagePlugin.JpegImageFile, pixels: int) -> int:
    """Bytes of those of a JPEG that are held at full size: all, where it comes in several scans."""
    # Of smaller ones it is not worth a look.
    if pixels > LARGEST and image.fp and _read(image.fp, _scans) == 1:
        return 0
    samples = sum(across * down for _, across, down, _ in image.layer)
    return 2 * pixels * samples // max(across * down for _, across, down, _ in image.layer)


def _check_exif(notes: bytes) -> None:
    """What is no more than the numbers of a TIFF may be is no more of them, whatever it says."""
    if len(notes) > MOST_NUMBERS:
        raise FetchError(f"broken image: {len(notes) / 1e6:.3g} MB of EXIF")


def _tiff_numbers(file: BinaryIO) -> int:
    """Bytes of all tags that hold numbers: they are read with the first look at a TIFF (TIFF 6.0, section 2)."""
    start = file.read(16)
    order, big = "<" if start.startswith(b"II") else ">", 43 in start[2:4]
    many, entry = (f"{order}Q", f"{order}HHQ8x") if big else (f"{order}H", f"{order}HHI4x")
    file.seek(*struct.unpack(f"{order}Q" if big else f"{order}I", start[8:] if big else start[4:8]))
    (left,) = struct.unpack(many, file.read(struct.calcsize(many)))
    tags = file.read(min(left, 1 << 16) * struct.calcsize(entry))
    whole = len(tags) // struct.calcsize(entry) * struct.calcsize(entry)
    return sum(_NUMBER_BYTES.get(kind, 0) * count for _, kind, count in struct.iter_unpack(entry, tags[:whole]))


def _tiff_needed(image: TiffImagePlugin.TiffImageFile, pixels: int) -> int:
    """A strip or tile is decoded as a whole, and may be larger than the picture; a turn needs it twice."""
    tags = image.tag_v2
    wide, high = tags.get(322, image.width), tags.get(323, min(tags.get(278, image.height), image.height))
    depth = tags.get(258, (1,))
    bits: int = sum(depth) if len(depth) > 1 else depth[0] * tags.get(277, 1)
    held: int = wide * high * max(8, bits) // 8
    return (8 if tags.get(ORIENTATION, 1) in range(2, 9) else 4) * pixels + held


class _Room:
    """Memory that is shared: whoever needs more than is left waits, and the next one behind."""

    def __init__(self, size: int):
        self._left, self._changed, self._turn = size, threading.Condition(), threading.Lock()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold some of it."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify()


_ROOM = _Room(MEMORY)
