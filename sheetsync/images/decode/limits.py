"""Limits on what a picture may take to decode (decompression bombs), looked at before it is decoded."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from typing import IO, BinaryIO, TypeVar

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from sheetsync.images.decode.budget import BUDGET, MEMORY
from sheetsync.images.decode.render import (
    LARGEST,
    ORIENTATION,
    SMALL,
    looks_alike_to_loaders,
    orientation,
    reduction_factor,
)
from sheetsync.images.fetch.base import FetchError

LONGEST = 65_535  # pixels a side, JPEG's own bound: rows are buffered


MOST_SCANS = 64  # of a JPEG: each is a pass over all pixels, and may take no more than a few bytes


MOST_NOTES = 64  # of a JPEG: its reader joins them one by one, each time copying all so far


MOST_NUMBERS = 1 << 20  # bytes of them beside the pixels of a TIFF, or in an EXIF: objects of 30 times that


SLOW_PIXELS = 1 << 22  # of a packed BMP, whose reader goes from pixel to pixel in Python


# Bytes a pixel while Pillow decodes, measured. What lies of its size could have taken this much before it is found out.
NEEDED = {"WEBP": 16, "AVIF": 16, "HEIF": 12}


LEAST = {"AVIF": MEMORY // 2, "HEIF": MEMORY // 2}


Found = TypeVar("Found")


_NUMBER_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # of a TIFF, by kind


_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def check_size(wide: int, high: int, max_pixels: int) -> None:
    """Refuse a picture without pixels or with too many. Raises `FetchError`."""
    if wide < 1 or high < 1:
        raise FetchError(f"broken image: {wide} x {high} pixels")
    if wide * high > max_pixels or max(wide, high) > LONGEST:
        raise FetchError(f"image too large: {wide} x {high} pixels")


def _checked_memory(needed: int, name: str) -> int:
    if needed > MEMORY:
        raise FetchError(f"image too large: its pixels take too much memory as {name}: save it smaller or as PNG")
    return needed


def read_budgeted(file: IO[bytes], look: Callable[[bytes], Found]) -> Found:
    """What is found in all bytes of a file, which have their room meanwhile."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with BUDGET.reserve(min(size, MEMORY)):
        return look(file.read(size))  # not `read()`, which joins what it had with the rest


def check_jpeg(data: bytes) -> None:
    """Refuse a JPEG with so many EXIF parts or scans that reading it takes minutes. Raises `FetchError`."""
    if (notes := data.count(b"Exif\0\0")) > MOST_NOTES:
        raise FetchError(f"broken image: a JPEG of {notes} notes")
    if data.count(b"\xff\xda") > MOST_SCANS and (scans := _count_scans(data)) > MOST_SCANS:
        raise FetchError(f"broken image: a JPEG of {scans} scans")


def _count_scans(data: bytes) -> int:
    """How often a JPEG goes over its pixels; what follows its end does not count."""
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) and found[0] != b"\xff\xd9":
        scans += found[0] == b"\xff\xda"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return scans


def decode_memory(image: Image.Image, name: str) -> int:
    """Bytes to decode a picture and to render it. A JPEG is set to be decoded no larger than needed."""
    pixels = image.width * image.height
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        most = SMALL if looks_alike_to_loaders(image, name, orientation(image)) else LARGEST
        held = _coefficient_memory(image, pixels)
        smaller = 1 << (reduction_factor(pixels, most) - 1).bit_length()
        image.draft(None, (max(1, image.width // smaller), max(1, image.height // smaller)))
        pixels = image.width * image.height
        needed = 4 * pixels + max(0, held - _render_memory(pixels))  # they go before it is rendered
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        needed = _tiff_memory(image, pixels)
    else:
        needed = NEEDED.get(name, 4) * pixels
    return max(_checked_memory(needed + _render_memory(pixels), name), LEAST.get(name, 0))


def _render_memory(pixels: int) -> int:
    return 10 * min(pixels, LARGEST)


def webp_memory(wide: int, high: int, max_pixels: int) -> int:
    """Bytes to decode and render a WebP of this size. Raises `FetchError` for one that is too large."""
    check_size(wide, high, max_pixels)
    return _checked_memory(NEEDED["WEBP"] * wide * high + _render_memory(wide * high), "WebP")


def _coefficient_memory(image: JpegImagePlugin.JpegImageFile, pixels: int) -> int:
    """Bytes of those of a JPEG that are held at full size: all, where it comes in several scans."""
    # Of smaller ones it is not worth a look.
    if pixels > LARGEST and image.fp and read_budgeted(image.fp, _count_scans) == 1:
        return 0
    samples = sum(across * down for _, across, down, _ in image.layer)
    return 2 * pixels * samples // max(across * down for _, across, down, _ in image.layer)


def check_exif(notes: bytes) -> None:
    """What is no more than the numbers of a TIFF may be is no more of them, whatever it says."""
    if len(notes) > MOST_NUMBERS:
        raise FetchError(f"broken image: {len(notes) / 1e6:.3g} MB of EXIF")


def tiff_number_bytes(file: BinaryIO) -> int:
    """Bytes of all tags that hold numbers: they are read with the first look at a TIFF (TIFF 6.0, section 2)."""
    start = file.read(16)
    order, big = "<" if start.startswith(b"II") else ">", 43 in start[2:4]
    many, entry = (f"{order}Q", f"{order}HHQ8x") if big else (f"{order}H", f"{order}HHI4x")
    file.seek(*struct.unpack(f"{order}Q" if big else f"{order}I", start[8:] if big else start[4:8]))
    (left,) = struct.unpack(many, file.read(struct.calcsize(many)))
    tags = file.read(min(left, 1 << 16) * struct.calcsize(entry))
    whole = len(tags) // struct.calcsize(entry) * struct.calcsize(entry)
    return sum(_NUMBER_BYTES.get(kind, 0) * count for _, kind, count in struct.iter_unpack(entry, tags[:whole]))


def _tiff_memory(image: TiffImagePlugin.TiffImageFile, pixels: int) -> int:
    """A strip or tile is decoded as a whole, and may be larger than the picture; a turn needs it twice."""
    tags = image.tag_v2
    wide, high = tags.get(322, image.width), tags.get(323, min(tags.get(278, image.height), image.height))
    depth = tags.get(258, (1,))
    bits: int = sum(depth) if len(depth) > 1 else depth[0] * tags.get(277, 1)
    held: int = wide * high * max(8, bits) // 8
    return (8 if tags.get(ORIENTATION, 1) in range(2, 9) else 4) * pixels + held
