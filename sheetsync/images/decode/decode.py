"""Whether a file is a whole picture, and what a model is shown of it."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from traceback import clear_frames
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from sheetsync.images.decode.budget import BUDGET, DECODER_COUNT, DECODERS
from sheetsync.images.decode.formats import START, sniff_format, webp_size
from sheetsync.images.decode.limits import (
    MOST_NUMBERS,
    SLOW_PIXELS,
    check_exif,
    check_jpeg,
    check_size,
    decode_memory,
    read_budgeted,
    tiff_number_bytes,
    webp_memory,
)
from sheetsync.images.decode.phash import perceptual_hash
from sheetsync.images.decode.render import (
    LARGEST,
    SMALL,
    encode,
    is_opaque,
    looks_alike_to_loaders,
    orientation,
    to_rgb,
)
from sheetsync.images.fetch.base import FetchError

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
LOSSY = ("JPEG", "AVIF", "HEIF")


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole picture. `suffix` is that of its format.

    Where an ImageFolder loader would not see it as people do, `shown` is the file to show in its place, of the format
    that `rendered_suffix` says; b"" where the original will do. `look` is its perceptual hash, 16 hex characters.
    """

    suffix: str
    phash: str = ""
    rendered: bytes = b""
    rendered_suffix: str = ""


def register_decoders() -> None:
    """Load all readers at once: which ones are there decides what is said of broken bytes."""
    Image.init()
    with suppress(AttributeError, OSError):  # not glibc: there each thread would keep up to 64 MB that are free
        ctypes.CDLL(None).mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD
        ctypes.CDLL(None).mallopt(-8, DECODER_COUNT)  # M_ARENA_MAX
    if find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # it warns of what is checked here
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    perceptual_hash(Image.new("L", (1, 1)))  # what it needs is loaded once, and not in many threads


def decode(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode a picture to its end. Raises `FetchError` for what is none, is broken, or has too many pixels.

    All that happens at the same time, in any number of threads, takes `MEMORY` bytes at most, and little beside it.
    """
    start = file.read(START)
    name = sniff_format(start)
    if name not in Image.OPEN:
        raise FetchError(_MISSING[name])
    with (
        DECODERS,
        ExitStack() as room,
        _decoder_errors(name),
    ):  # the room is left when nothing of the picture is there any more
        if name == "JPEG":
            read_budgeted(file, check_jpeg)
        file.seek(0)
        if name == "TIFF" and (numbers := tiff_number_bytes(file)) > MOST_NUMBERS:
            raise FetchError(f"broken image: a TIFF with {numbers / 1e6:.3g} MB of numbers beside its pixels")
        file.seek(0)
        if name == "WEBP":
            room.enter_context(BUDGET.reserve(webp_memory(*webp_size(start), max_pixels)))
        return _decode(file, name, max_pixels, room)


def _decode(file: BinaryIO, name: str, max_pixels: int, room: ExitStack) -> Picture:
    with Image.open(file, formats=(name,)) as image:
        check_exif(image.info.get("exif") or b"")
        packed = any(part[0] == "bmp_rle" for part in image.tile)
        check_size(*image.size, min(max_pixels, SLOW_PIXELS) if packed else max_pixels)
        if name != "WEBP":
            room.enter_context(BUDGET.reserve(decode_memory(image, name)))
        image.load()
        return _picture(image, name)


def _picture(image: Image.Image, name: str) -> Picture:
    turned = orientation(image)
    if looks_alike_to_loaders(image, name, turned) and is_opaque(image):
        return Picture(SUFFIXES[name], perceptual_hash(to_rgb(image, turned, SMALL)))
    shown = to_rgb(image, turned, LARGEST)
    return Picture(SUFFIXES[name], perceptual_hash(to_rgb(shown, 1, SMALL)), *encode(shown, lossy=name in LOSSY))


_MISSING = {
    "HEIF": "HEIC images need one more package: pip install 'sheetsync[heic]', or save it as JPEG",
    "AVIF": "AVIF images need a newer Pillow: pip install -U pillow, or save it as PNG or JPEG",
    "WEBP": "WebP images cannot be read by this Pillow: save it as PNG or JPEG",
}


@contextmanager
def _decoder_errors(name: str) -> Iterator[None]:
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
