"""Limits on what a picture may cost to decode (decompression bombs), checked before it is decoded."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from typing import IO, BinaryIO, TypeVar

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from sheetsync.images.decode.budget import BUDGET, MEMORY
from sheetsync.images.decode.render import (
    LOSSLESS_PIXELS,
    MAX_RENDERED_PIXELS,
    ORIENTATION_TAG,
    exif_orientation,
    is_shown_correctly,
    reduction_factor,
)
from sheetsync.images.fetch.base import FetchError

MAX_SIDE = 65_535  # pixels, JPEG's own limit: rows are buffered
MAX_SCANS = 64  # of a JPEG: each is a pass over all pixels, and may take no more than a few bytes
MAX_EXIF_BLOCKS = 64  # of a JPEG: Pillow joins them one by one, each time copying all so far
MAX_TAG_BYTES = (
    1 << 20
)  # of the numbers in the tags of a TIFF, and of an EXIF: as Python objects they take 30 times that
MAX_RLE_PIXELS = 1 << 22  # of a run-length encoded BMP, which Pillow decodes pixel by pixel in Python

# Bytes per pixel while Pillow decodes, measured; 4 for other formats.
BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 16, "HEIF": 12}
# A file that lies about its size may take this much before that is found out.
MIN_MEMORY = {"AVIF": MEMORY // 2, "HEIF": MEMORY // 2}

_TIFF_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # of numeric types
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

Result = TypeVar("Result")


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture without pixels or with too many. Raises `FetchError`."""
    if width < 1 or height < 1:
        raise FetchError(f"broken image: {width} x {height} pixels")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise FetchError(f"image too large: {width} x {height} pixels")


def _check_memory(needed: int, format_name: str) -> int:
    if needed > MEMORY:
        raise FetchError(
            f"image too large: its pixels take too much memory as {format_name}: save it smaller or as PNG"
        )
    return needed


def read_budgeted(file: IO[bytes], read: Callable[[bytes], Result]) -> Result:
    """Return `read` of all bytes of a file, which count against the memory budget meanwhile."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with BUDGET.reserve(min(size, MEMORY)):
        return read(file.read(size))  # not `file.read()`, which copies what was buffered before


def check_jpeg(data: bytes) -> None:
    """Refuse a JPEG with so many EXIF blocks or scans that reading it takes minutes. Raises `FetchError`."""
    if (blocks := data.count(b"Exif\0\0")) > MAX_EXIF_BLOCKS:
        raise FetchError(f"broken image: a JPEG with {blocks} EXIF blocks")
    if data.count(b"\xff\xda") > MAX_SCANS and (scans := _count_scans(data)) > MAX_SCANS:
        raise FetchError(f"broken image: a JPEG with {scans} scans")


def _count_scans(data: bytes) -> int:
    """Count the scans of a JPEG up to its end marker: its passes over the pixels."""
    at, scans = 2, 0
    while (marker := _JPEG_MARKER.search(data, at)) and marker[0] != b"\xff\xd9":
        scans += marker[0] == b"\xff\xda"
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return scans


def decode_memory(image: Image.Image, format_name: str) -> int:
    """Return the bytes it takes to decode and render a picture; sets a JPEG to be decoded no larger than needed.

    Raises `FetchError` where they are too many.
    """
    pixels = image.width * image.height
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        shown_correctly = is_shown_correctly(image, format_name, exif_orientation(image))
        most = LOSSLESS_PIXELS if shown_correctly else MAX_RENDERED_PIXELS
        coefficients = _coefficient_memory(image, pixels)
        scale = 1 << (reduction_factor(pixels, most) - 1).bit_length()
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
        pixels = image.width * image.height
        needed = 4 * pixels + max(0, coefficients - _render_memory(pixels))  # freed before it is rendered
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        needed = _tiff_memory(image, pixels)
    else:
        needed = BYTES_PER_PIXEL.get(format_name, 4) * pixels
    return max(_check_memory(needed + _render_memory(pixels), format_name), MIN_MEMORY.get(format_name, 0))


def _render_memory(pixels: int) -> int:
    return 10 * min(pixels, MAX_RENDERED_PIXELS)


def webp_memory(width: int, height: int, max_pixels: int) -> int:
    """Return the bytes it takes to decode and render a WebP of this size. Raises `FetchError` for one too large."""
    check_size(width, height, max_pixels)
    pixels = width * height
    return _check_memory(BYTES_PER_PIXEL["WEBP"] * pixels + _render_memory(pixels), "WebP")


def _coefficient_memory(image: JpegImagePlugin.JpegImageFile, pixels: int) -> int:
    """Return the bytes of the coefficients of a JPEG, which are all held where it has several scans (progressive)."""
    # For smaller ones the scans are not worth counting.
    if pixels > MAX_RENDERED_PIXELS and image.fp and read_budgeted(image.fp, _count_scans) == 1:
        return 0
    samples = sum(across * down for _, across, down, _ in image.layer)
    return 2 * pixels * samples // max(across * down for _, across, down, _ in image.layer)


def check_exif(exif: bytes) -> None:
    """Refuse an EXIF of too many bytes, which bounds the numbers in its tags. Raises `FetchError`."""
    if len(exif) > MAX_TAG_BYTES:
        raise FetchError(f"broken image: {len(exif) / 1e6:.3g} MB of EXIF")


def check_tiff_tags(file: BinaryIO) -> None:
    """Refuse a TIFF whose tags hold too many numbers: Pillow parses all when it opens it. Raises `FetchError`."""
    if (size := _tiff_number_bytes(file)) > MAX_TAG_BYTES:
        raise FetchError(f"broken image: a TIFF with {size / 1e6:.3g} MB of numbers in its tags")


def _tiff_number_bytes(file: BinaryIO) -> int:
    """Return the bytes of all numeric tags in the first directory of a TIFF or BigTIFF (TIFF 6.0, section 2)."""
    start = file.read(16)
    order, big = "<" if start.startswith(b"II") else ">", 43 in start[2:4]
    count_format, entry_format = (f"{order}Q", f"{order}HHQ8x") if big else (f"{order}H", f"{order}HHI4x")
    file.seek(*struct.unpack(f"{order}Q" if big else f"{order}I", start[8:] if big else start[4:8]))
    (entries,) = struct.unpack(count_format, file.read(struct.calcsize(count_format)))
    entry_size = struct.calcsize(entry_format)
    data = file.read(min(entries, 1 << 16) * entry_size)
    complete = data[: len(data) // entry_size * entry_size]
    return sum(_TIFF_TYPE_BYTES.get(kind, 0) * count for _, kind, count in struct.iter_unpack(entry_format, complete))


def _tiff_memory(image: TiffImagePlugin.TiffImageFile, pixels: int) -> int:
    """Return the bytes it takes to decode a TIFF.

    A strip or tile is decoded as a whole, and may be larger than the picture; rotating needs the pixels twice.
    """
    tags = image.tag_v2
    width, height = tags.get(322, image.width), tags.get(323, min(tags.get(278, image.height), image.height))
    depth = tags.get(258, (1,))
    bits: int = sum(depth) if len(depth) > 1 else depth[0] * tags.get(277, 1)
    block: int = width * height * max(8, bits) // 8
    return (8 if tags.get(ORIENTATION_TAG, 1) in range(2, 9) else 4) * pixels + block
