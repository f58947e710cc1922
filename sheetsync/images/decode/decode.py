"""Decode and check pictures: a file is a whole picture within limits, or it is refused with a reason."""

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

from sheetsync.images.decode.budget import BUDGET, DECODER_COUNT, DECODER_SLOTS
from sheetsync.images.decode.formats import SNIFF_BYTES, sniff_format, webp_size
from sheetsync.images.decode.limits import (
    MAX_RLE_PIXELS,
    check_exif,
    check_jpeg,
    check_size,
    check_tiff_tags,
    decode_memory,
    read_budgeted,
    webp_memory,
)
from sheetsync.images.decode.phash import perceptual_hash
from sheetsync.images.decode.render import (
    LOSSLESS_PIXELS,
    MAX_RENDERED_PIXELS,
    encode,
    exif_orientation,
    is_opaque,
    is_shown_correctly,
    to_rgb,
)
from sheetsync.images.fetch.base import FetchError

# By Pillow's name of a format, whatever the suffix of the address was.
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
_MISSING_DECODER = {
    "HEIF": "HEIC images need one more package: pip install 'sheetsync[heic]', or save it as JPEG",
    "AVIF": "AVIF images need a newer Pillow: pip install -U pillow, or save it as PNG or JPEG",
    "WEBP": "WebP images cannot be read by this Pillow: save it as PNG or JPEG",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole picture. `suffix` is that of its format, `phash` its perceptual hash (16 hex characters).

    Where an ImageFolder loader would not show it as people see it, `rendered` is the file to show in its place, with
    the suffix `rendered_suffix`; b"" where the original will do.
    """

    suffix: str
    phash: str = ""
    rendered: bytes = b""
    rendered_suffix: str = ""


def register_decoders() -> None:
    """Load all decoders before the first picture: which ones are loaded decides the reason given for broken bytes."""
    Image.init()
    with suppress(AttributeError, OSError):  # glibc alone has it; there each thread would keep up to 64 MB it has freed
        ctypes.CDLL(None).mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD
        ctypes.CDLL(None).mallopt(-8, DECODER_COUNT)  # M_ARENA_MAX
    if find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # it warns of what is checked here
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    perceptual_hash(Image.new("L", (1, 1)))  # loads NumPy once, and not in many threads


def decode(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode a picture to its end. Raises `FetchError` for a file that is no picture, is broken, or too large.

    All pictures decoded at the same time, in any number of threads, take at most `MEMORY` bytes and little more.
    """
    start = file.read(SNIFF_BYTES)
    format_name = sniff_format(start)
    if format_name not in Image.OPEN:
        raise FetchError(_MISSING_DECODER[format_name])
    # In this order, so that the memory is given back when nothing refers to the picture any more.
    with DECODER_SLOTS, ExitStack() as reserved, _decoder_errors(format_name):
        if format_name == "JPEG":
            read_budgeted(file, check_jpeg)
        file.seek(0)
        if format_name == "TIFF":
            check_tiff_tags(file)
        file.seek(0)
        if format_name == "WEBP":
            reserved.enter_context(BUDGET.reserve(webp_memory(*webp_size(start), max_pixels)))
        return _decode(file, format_name, max_pixels, reserved)


def _decode(file: BinaryIO, format_name: str, max_pixels: int, reserved: ExitStack) -> Picture:
    with Image.open(file, formats=(format_name,)) as image:
        check_exif(image.info.get("exif") or b"")
        run_length_encoded = any(part[0] == "bmp_rle" for part in image.tile)
        check_size(*image.size, min(max_pixels, MAX_RLE_PIXELS) if run_length_encoded else max_pixels)
        if format_name != "WEBP":
            reserved.enter_context(BUDGET.reserve(decode_memory(image, format_name)))
        image.load()
        suffix, orientation = SUFFIXES[format_name], exif_orientation(image)
        if is_shown_correctly(image, format_name, orientation) and is_opaque(image):
            return Picture(suffix, perceptual_hash(to_rgb(image, orientation, LOSSLESS_PIXELS)))
        rendered = to_rgb(image, orientation, MAX_RENDERED_PIXELS)
        phash = perceptual_hash(to_rgb(rendered, 1, LOSSLESS_PIXELS))
        return Picture(suffix, phash, *encode(rendered, lossy=format_name in LOSSY))


@contextmanager
def _decoder_errors(format_name: str) -> Iterator[None]:
    """Translate the errors of decoders to `FetchError`, in words that are the same on every pass."""
    try:
        yield
    except FetchError:
        raise
    except UnidentifiedImageError:
        raise FetchError(f"broken image: it begins like {format_name} and cannot be read: save it again") from None
    except (Image.DecompressionBombError, MemoryError) as error:
        clear_frames(error.__traceback__)
        raise FetchError("image too large: more pixels than can be decoded safely") from None
    except Exception as error:  # noqa: BLE001  # there is no list of what a decoder raises at broken bytes
        clear_frames(error.__traceback__)  # they hold the picture
        raise FetchError(f"broken image: {error}: save it again") from None
