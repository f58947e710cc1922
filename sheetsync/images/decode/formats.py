"""File format detection by magic numbers; file names and Content-Type headers are ignored."""

from __future__ import annotations

import re
from typing import Literal

from sheetsync.images.fetch.base import FetchError

SNIFF_BYTES = 1024  # from the start of a file, which are enough to tell its format

# By Pillow's names. Pillow's readers of all other formats are never run on a stranger's bytes.
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb"....ftyp(avi[fs]|m[is]f1.{4}(.{4})*?avi[fs])",
    "HEIF": rb"....ftyp(he[iv][cxms]|m[is]f1)",
}
# Where a format states width and height, and its byte order. A JPEG may contain smaller ones, such as a thumbnail.
_SIZE_FIELDS: dict[str, tuple[re.Pattern[bytes], Literal["big", "little"]]] = {
    "JPEG": (re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..\x08(..)(..)", re.DOTALL), "big"),
    "PNG": (re.compile(rb"\A.{16}(.{4})(.{4})", re.DOTALL), "big"),
    "GIF": (re.compile(rb"\A.{6}(..)(..)", re.DOTALL), "little"),
    "BMP": (re.compile(rb"\A.{18}(.{4})(.{4})", re.DOTALL), "little"),
}
# What may precede the first tag of a text. Possessive and atomic, so that many comments cause no backtracking (ReDoS).
_BEFORE_TAG = rb"(?:<\?xml[^>]*>|<!doctype svg[^>]*>|(?><!--.*?-->)|\s)*+"
_REMEDY = "save it as PNG or JPEG"
_REFUSED = {
    rb"\0\0[\x01\x02]\0": f"ICO images cannot be used: {_REMEDY}",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": f"JPEG 2000 images cannot be used: {_REMEDY}",
    rb"\0\0\0\x0cJXL |\xff\x0a": f"JPEG XL images cannot be used: {_REMEDY}",
    rb"P[1-7fF]\s": f"PPM images cannot be used: {_REMEDY}",
    rb"8BPS": f"Photoshop files cannot be used: {_REMEDY}",
    rb"%PDF-|%!PS": "not an image but a document (PDF or PostScript): save the page as PNG or JPEG",
    rb"....ftyp|....moov|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xba\xb3]|OggS": (
        "not an image but a video: save a frame of it as PNG or JPEG"
    ),
    rb"PK\x03\x04": "not an image: the address gives an archive or an office document",
    _BEFORE_TAG + rb"<svg[\s>]": "SVG drawings cannot be used: export it as PNG",
    _BEFORE_TAG + rb"<(!doctype|html|head|body|title|meta|script|h1|p|div|center)\b": (
        "not an image: the address gives a web page: open it, and copy the address of the image itself"
    ),
    rb"<\?xml|<\w[\w:]*[\s/>]": "not an image: the address gives XML, which may say why: open it in a browser",
    rb"[{\[]\s*[\"{}\[\]]": "not an image: the address gives JSON, which may say why: open it in a browser",
}


def sniff_format(start: bytes) -> str:
    """Return Pillow's name of the format of a file, from its first `SNIFF_BYTES` bytes.

    Raises `FetchError` where it is none that can be used, with what it is instead and what to do.
    """
    if format_name := _match_signature(start):
        return format_name
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()  # without a BOM
    for pattern, reason in _REFUSED.items():
        if re.match(pattern, start, re.DOTALL) or re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            raise FetchError(reason)
    raise FetchError("not an image: unknown content" if start else "not an image: the file is empty")


def declares_at_most(content: bytes, pixels: int) -> bool:
    """Return True if a file states at most so many pixels at a place that is quickly found, or is no picture.

    The statement may be false: it may decide which thread decodes the file, not what that may cost.
    """
    format_name = _match_signature(content)
    if format_name in _SIZE_FIELDS:
        pattern, order = _SIZE_FIELDS[format_name]
        sizes = [tuple(int.from_bytes(side, order) for side in match) for match in pattern.findall(content)]
    else:
        sizes = [webp_size(content)] if format_name == "WEBP" else []
    return not format_name or (bool(sizes) and all(width * height <= pixels for width, height in sizes))


def _match_signature(start: bytes) -> str:
    return next((name for name, pattern in _SIGNATURES.items() if re.match(pattern, start, re.DOTALL)), "")


def webp_size(start: bytes) -> tuple[int, int]:
    """Return width and height of a WebP, in pixels, from its header (RFC 9649).

    Pillow allocates memory for them as soon as it opens the file.
    """
    chunk, body = start[12:16], start[20:30]
    if chunk == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
