"""What kind of file some bytes are, by how they begin; nothing else is believed, no name and no header of a server."""

from __future__ import annotations

import re
from typing import Literal

from sheetsync.images.fetch.base import FetchError

START = 1024  # bytes that are enough to tell

# By Pillow's names. No other reader of Pillow's ever sees a stranger's bytes.
_READABLE = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb"....ftyp(avi[fs]|m[is]f1.{4}(.{4})*?avi[fs])",
    "HEIF": rb"....ftyp(he[iv][cxms]|m[is]f1)",
}
# Where it says how large it is. A JPEG may hold smaller ones of itself.
_SIZES: dict[str, tuple[re.Pattern[bytes], Literal["big", "little"]]] = {
    "JPEG": (re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..\x08(..)(..)", re.DOTALL), "big"),
    "PNG": (re.compile(rb"\A.{16}(.{4})(.{4})", re.DOTALL), "big"),
    "GIF": (re.compile(rb"\A.{6}(..)(..)", re.DOTALL), "little"),
    "BMP": (re.compile(rb"\A.{18}(.{4})(.{4})", re.DOTALL), "little"),
}
# What a text may begin with. Nothing in it is ever read in another way, for of a row of comments there are too many.
_BEFORE = rb"(?:<\?xml[^>]*>|<!doctype svg[^>]*>|(?><!--.*?-->)|\s)*+"
_SAVE = "save it as PNG or JPEG"
_REFUSED = {
    rb"\0\0[\x01\x02]\0": f"ICO images cannot be used: {_SAVE}",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": f"JPEG 2000 images cannot be used: {_SAVE}",
    rb"\0\0\0\x0cJXL |\xff\x0a": f"JPEG XL images cannot be used: {_SAVE}",
    rb"P[1-7fF]\s": f"PPM images cannot be used: {_SAVE}",
    rb"8BPS": f"Photoshop files cannot be used: {_SAVE}",
    rb"%PDF-|%!PS": "not an image but a document (PDF or PostScript): save the page as PNG or JPEG",
    rb"....ftyp|....moov|\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xba\xb3]|OggS": (
        "not an image but a video: save a frame of it as PNG or JPEG"
    ),
    rb"PK\x03\x04": "not an image: the address gives an archive or an office document",
    _BEFORE + rb"<svg[\s>]": "SVG drawings cannot be used: export it as PNG",
    _BEFORE + rb"<(!doctype|html|head|body|title|meta|script|h1|p|div|center)\b": (
        "not an image: the address gives a web page: open it, and copy the address of the image itself"
    ),
    rb"<\?xml|<\w[\w:]*[\s/>]": "not an image: the address gives XML, which may say why: open it in a browser",
    rb"[{\[]\s*[\"{}\[\]]": "not an image: the address gives JSON, which may say why: open it in a browser",
}


def sniff_format(start: bytes) -> str:
    """Pillow's name of the format that a file is in, from its first `START` bytes.

    Raises `FetchError` where it is none that can be used, with what it is instead and what to do.
    """
    if name := _readable(start):
        return name
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, reason in _REFUSED.items():
        if re.match(pattern, start, re.DOTALL) or re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            raise FetchError(reason)
    raise FetchError("not an image: unknown content" if start else "not an image: the file is empty")


def declares_at_most(content: bytes, pixels: int) -> bool:
    """Whether a file says that it has at most so many pixels, where that is quickly found; also for what is no picture.

    It may lie: this is for deciding who looks at it, and not for what it may take.
    """
    name = _readable(content)
    if name in _SIZES:
        pattern, order = _SIZES[name]
        sizes = [tuple(int.from_bytes(side, order) for side in found) for found in pattern.findall(content)]
    else:
        sizes = [webp_size(content)] if name == "WEBP" else []
    return not name or (bool(sizes) and all(wide * high <= pixels for wide, high in sizes))


def _readable(start: bytes) -> str:
    return next((name for name, pattern in _READABLE.items() if re.match(pattern, start, re.DOTALL)), "")


def webp_size(start: bytes) -> tuple[int, int]:
    """Width and height of a WebP, in pixels, as it begins (RFC 9649): its reader takes memory for them at once."""
    part, body = start[12:16], start[20:30]
    if part == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if part == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
