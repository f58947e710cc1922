"""Corpus of image files: whole ones of every kind, broken ones, and hostile ones (decompression bombs).

Each with its expected result: the picture that a plain loader sees in the dataset, or the reason of its refusal.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
COLOURS = (RED, GREEN, BLUE, WHITE)  # upper left, upper right, lower left, lower right
GREYS = (0, 80, 160, 255)
SIZE = (32, 48)


@dataclass(frozen=True)
class Expected:
    """An expected picture. `corners` are the colours of its quarters; `rendered` is the suffix of a rendering."""

    suffix: str
    rendered: str = ""
    corners: tuple[Any, ...] = COLOURS
    size: tuple[int, int] = SIZE
    off: int = 0  # by how much each value may differ


Case = tuple[bytes, Expected | str]


def scene(*colours: Any, mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of four quarters."""
    (wide, high), image = size, Image.new(mode, size)
    for number, colour in enumerate(colours):
        left, top = number % 2 * wide // 2, number // 2 * high // 2
        image.paste(colour, (left, top, left + wide // 2, top + high // 2))
    return image


COLOURED = scene(*COLOURS)
GREY = scene(*GREYS, mode="L")
ALPHA = scene((*RED, 255), (*GREEN, 255), (0, 0, 0, 0), (*BLACK, 255), mode="RGBA")
ON_WHITE = (RED, GREEN, WHITE, BLACK)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    notes = Image.Exif()
    notes[ExifTags.Base.Orientation] = orientation
    notes.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 14.0)
    return notes


def rotate_for(image: Image.Image, orientation: int) -> Image.Image:
    """Return a picture as a camera stores it with this EXIF orientation."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return image.transpose(back[orientation]) if orientation in back else image


# --- by hand --------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(wide: int, high: int, rows: bytes, *more: bytes, depth: int = 8, colour: int = 2, laced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", wide, high, depth, colour, 0, 0, laced)
    data = chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def even(wide: int, high: int, colour: int, depth: int = 8, value: bytes = b"\0") -> bytes:
    """Return a PNG of one colour, however large, in little memory."""
    pack, row = zlib.compressobj(1), b"\0" + value * (wide * depth * {0: 1, 2: 3, 4: 2, 6: 4}[colour] // 8)
    rows = b"".join(pack.compress(row) for _ in range(high)) + pack.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    whole = encode(Image.new("P", (8, 8)), "GIF")
    at = whole.index(b",\0\0\0\0")
    return whole[:6] + struct.pack("<HH", *screen) + whole[10 : at + 5] + struct.pack("<HH", *frame) + whole[at + 9 :]


def bmp(wide: int, high: int, data: bytes = b"", packed: int = 0, bits: int = 24) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, wide, high, 1, bits, packed, len(data), 0, 0, 0, 0)
    palette = bytes(4 << bits) if bits <= 8 else b""
    return (
        b"BM" + struct.pack("<IHHI", 54 + len(palette) + len(data), 0, 0, 54 + len(palette)) + header + palette + data
    )


def tiff(tags: dict[int, int], data: bytes = bytes(64)) -> bytes:
    """Return a TIFF with these tags, each a number of 32 bits; its data comes first."""
    start = 8 + len(data)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", start) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def shared_tags(number: int, size: int) -> bytes:
    """Return a TIFF with many tags that all point to the same bytes: together they are far larger than the file."""
    whole = tiff(tiff_tags(8, 8), bytes(size))
    start, entries = size + 8, b"".join(struct.pack("<HHII", 40_000 + each, 7, size, 8) for each in range(number))
    old = struct.unpack("<H", whole[start : start + 2])[0]
    return whole[:start] + struct.pack("<H", old + number) + whole[start + 2 : -4] + entries + bytes(4)


def numbers(tag: int, kind: int, count: int, size: int) -> bytes:
    """Return a TIFF of which one tag has so many numbers."""
    whole = tiff(tiff_tags(8, 8) | {tag: 8}, bytes(range(1, 101)) * (count * size // 100))
    at = whole.rindex(struct.pack("<HHI", tag, 4, 1))
    return whole[:at] + struct.pack("<HHI", tag, kind, count) + whole[at + 8 :]


def tiff_tags(width: int, height: int, **more: int) -> dict[int, int]:
    names = {"packed": 259, "rows": 278, "wide": 322, "high": 323, "depth": 258, "samples": 277}
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 64}
    return tags | {names[name]: value for name, value in more.items()}


def jpeg_size(content: bytes, wide: int, high: int) -> bytes:
    """Return a JPEG whose header states another size."""
    at = next(at for at in range(len(content)) if content[at : at + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", high, wide) + content[at + 9 :]


def with_segments(segments: bytes) -> bytes:
    whole = encode(COLOURED, "JPEG")
    return whole[:2] + segments + whole[2:]


def many_scans(scans: int) -> bytes:
    """Return a progressive JPEG with its last scan repeated: each is a pass over all pixels."""
    whole = encode(Image.new("L", (64, 64), 77), "JPEG", progressive=True)
    at = whole.rindex(b"\xff\xda")
    return whole[:at] + whole[at:-2] * scans + b"\xff\xd9"


def webp_size(content: bytes, wide: int, high: int) -> bytes:
    at = content.index(b"VP8X") + 12
    return content[:at] + (wide - 1).to_bytes(3, "little") + (high - 1).to_bytes(3, "little") + content[at + 6 :]


def box_size(content: bytes, wide: int, high: int) -> bytes:
    """Return an AVIF or HEIC whose container states another size."""
    at = content.index(b"ispe") + 8
    return content[:at] + struct.pack(">II", wide, high) + content[at + 8 :]


def flip_byte(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def floats(*values: float) -> bytes:
    return encode(scene(*values, mode="F"), "TIFF")


def sixteen(*values: int) -> Image.Image:
    return Image.fromarray(np.asarray(scene(*values, mode="I")).astype(np.uint16))


# Pillow writes no HEIC: 32 x 48 pixels in the four colours, stored rotated; and one with a transparent quarter.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAcltZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAA"
    "AERAAAIAAQAAAAAB7QABAAAAAAAAAPIAAgAAAAAC3wABAAAAAAAAAFoAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZl"
    "AgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABCGlwcnAAAADnaXBjbwAAAHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNgAAEAF0ABDAH/"
    "/wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAAAwCeOAAAAwAAHpAEECCy3VyU1zcBDQYEAAADAGQAAAMABCBiAAEACEQBwXMYMAiQAAAAE2Nv"
    "bHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAAAwAAAAAQAAACAAAAAB////8AAAAAL////gAAAAAgAAABBwaXhpAAAA"
    "AAMICAgAAAAJaXJvdAMAAAAZaXBtYQAAAAAAAAABAAEGgQIDBYSGAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEAAAFUbWRhdAAAAO4oAa8E+Oxa"
    "6fpf9Df///V1j//1G3lHid7nz1GPvm7Sb+OSTu5weReaRsmEv6vr8lERbLj+1iwVAWrU34ffC1svfgbZ/eWdtssfStXib/uMWY3bgTj+53TWjF/5"
    "mdY+tbJVvqE5f51oL7Kpjb958c+SHyER8ui4hZ/FQ0ZgwqgZR7mINhpnjgz0573MjAD3K2dPVkE5/x2ZeftX/UZxtCL/9c/dzyaE/1R6rxK67E3/"
    "LUY8+m/8Rhlrw2vm3bYuVP+B+GwChyrbRKVyU5h9w3tbmu//okuy1fVVf5Ci1ifjMht0ZrNsIODCiJfXfE58AAAABkV4aWYAAE1NACoAAAAIAAIB"
    "EgADAAAAAQAGAACIJQAEAAAAAQAAACYAAAAAAAEAAgAFAAAAAwAAADgAAAAAAAAAMAAAAAEAAAAIAAAAAQAAAA4AAAAB"
)
HEIC_ALPHA = base64.b64decode(
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAmxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAA"
    "AERAAAIAAQAAAAACkAABAAAAAAAAAHoAAgAAAAADCgABAAAAAAAAARsAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZl"
    "AgAAAAACAABodmMxAAAAAA5waXRtAAAAAAABAAABq2lwcnAAAAGDaXBjbwAAAHdodmNDAQQIAAAAnjgAAAAAHvAA/P/4+AAADwNgAAEAF0ABDAH/"
    "/wQIAAADAJ44AAADAAAeugJAYQABACpCAQEECAAAAwCeOAAAAwAAHpAEECCy3VyU1zcBDQYEAAADAGQAAAMABCBiAAEACEQBwXMYMAiQAAAAE2Nv"
    "bHJuY2x4AAEADQAGgAAAABRpc3BlAAAAAAAAAEAAAABAAAAAKGNsYXAAAAAgAAAAAQAAADAAAAAB////4AAAAAL////wAAAAAgAAABBwaXhpAAAA"
    "AAMICAgAAABwaHZjQwEECAAAAJ/4AAAAAB7wAPz8+PgAAA8DYAABABdAAQwB//8ECAAAAwCf+AAAAwAAHroCQGEAAQAlQgEBBAgAAAMAn/gAAAMA"
    "AB7AggQWW6uSmubAgAAADIAAAAMAhGIAAQAGRAHBc8CJAAAADnBpeGkAAAAAAQgAAAAnYXV4QwAAAAB1cm46bXBlZzpoZXZjOjIwMTU6YXV4aWQ6"
    "MQAAAAAgaXBtYQAAAAAAAAACAAEFgQIDBYQAAgWGAweIhAAAABppcmVmAAAAAAAAAA5hdXhsAAIAAQABAAABnW1kYXQAAAB2KAGvBPhBNYzf8iqv"
    "//Dr+//hw29+r6v6D/7j7//8O+OyDUXfym/RtzFP/eVztihaEuMl7W2W//JU+rt2sZ0X4NNFl1ff73CExYCXlJQU8S5257NmD/1M7/+BY14Dj8hL"
    "7SPO8E/3lQHuHiXtwcNIu0LPx9tlHwAAARcoAa4J8NwCOmS//Su5X37AH+6n29TYIa8xg2Y+5wf5ZsJex31O0BjcBnZORa9NfcVg/bivU049lCQy"
    "mP204/hcMP4hy/3Z8vtwr1krjcK3t8StNZn7vQB0e4M15jz0hGBAOoaEAEwC9ZQM0UTHzfMD0bKmpaYSsGp7AEviHeAA31IXQQ60yMcZlFDo1o0X"
    "jiGLxYuks8uTRv/gqK1BPrfP7Wcl3gBojEvHQGgywUuvfWy1AF/6uQuBhhwYZI0J/G9G5i39DUEFvr90e1wiVdPOMcql9pd18s3UxJw/D/ecJghm"
    "ajwOYpF+p/g+x9lkX9m/0//0qjHuSvHO/qTsVEU0/iuT7NdH/Vot2Zecp+0WU2IIpw6qZjw="
)

# --- whole ones -----------------------------------------------------------------------------------


def whole() -> Iterator[tuple[str, Case]]:
    """Yield pictures of every kind."""
    yield "jpeg", (encode(COLOURED, "JPEG", quality=95, subsampling=0), Expected(".jpg", off=4))
    yield "jpeg-grey", (encode(GREY, "JPEG", quality=95), Expected(".jpg", corners=GREYS, off=4))
    yield "jpeg-progressive", (encode(COLOURED, "JPEG", progressive=True, subsampling=0), Expected(".jpg", off=4))
    yield "jpeg-cmyk", (encode(COLOURED.convert("CMYK"), "JPEG", quality=95), Expected(".jpg", off=6))
    pages = {"save_all": True, "append_images": [Image.new("RGB", SIZE)]}
    yield "mpo", (encode(COLOURED, "MPO", quality=95, subsampling=0, **pages), Expected(".jpg", off=4))
    yield "png", (encode(COLOURED, "PNG"), Expected(".png"))
    yield "png-laced", (png(2, 2, b"\0" + bytes(3) + b"\0" + bytes(3) + b"\0" + bytes(6), laced=1), BLACKS)
    yield "png-grey", (encode(GREY, "PNG"), Expected(".png", corners=GREYS))
    yield "png-alpha", (encode(ALPHA, "PNG"), Expected(".png", ".png", ON_WHITE))
    yield "png-opaque-alpha", (encode(COLOURED.convert("RGBA"), "PNG"), Expected(".png"))
    hole = scene((0, 255), (80, 255), (0, 0), (0, 128), mode="LA")
    yield "png-grey-alpha", (encode(hole, "PNG"), Expected(".png", ".png", (0, 80, 255, 127)))
    yield (
        "png-half-seen",
        (encode(scene(*[(0, 0, 0, 128)] * 4, mode="RGBA"), "PNG"), Expected(".png", ".png", (127,) * 4)),
    )
    yield "png-16", (encode(sixteen(0, 80 * 257, 160 * 257, 65535), "PNG"), Expected(".png", ".png", GREYS))
    deep = b"".join(b"\0" + b"\xff\x00" * 6 for _ in range(2))
    yield "png-16-colours", (png(2, 2, deep, depth=16), Expected(".png", corners=(255,) * 4, size=(2, 2)))
    yield "png-1", (encode(GREY.convert("1", dither=0), "PNG"), Expected(".png", corners=(0, 0, 255, 255)))
    yield "png-palette", (encode(COLOURED.quantize(8), "PNG"), Expected(".png"))
    yield "png-palette-hole", (encode(ALPHA.quantize(8), "PNG"), Expected(".png", ".png", ON_WHITE))
    yield (
        "png-colour-hole",
        (encode(COLOURED, "PNG", transparency=RED), Expected(".png", ".png", (WHITE, GREEN, BLUE, WHITE))),
    )
    yield "apng", (encode(COLOURED, "PNG", save_all=True, append_images=[Image.new("RGB", SIZE)]), Expected(".png"))
    yield "gif", (encode(COLOURED, "GIF"), Expected(".gif", ".png"))
    moving = encode(COLOURED, "GIF", save_all=True, append_images=[Image.new("RGB", SIZE), GREY.convert("RGB")])
    yield "gif-moving", (moving, Expected(".gif", ".png"))
    yield "gif-hole", (encode(ALPHA, "GIF"), Expected(".gif", ".png", ON_WHITE))
    yield "webp", (encode(COLOURED, "WEBP", quality=95), Expected(".webp", off=24))
    yield "webp-lossless", (encode(COLOURED, "WEBP", lossless=True), Expected(".webp"))
    yield "webp-alpha", (encode(ALPHA, "WEBP", lossless=True), Expected(".webp", ".png", ON_WHITE))
    yield "webp-moving", (encode(COLOURED, "WEBP", lossless=True, **pages), Expected(".webp"))
    yield "bmp", (encode(COLOURED, "BMP"), Expected(".bmp"))
    yield "bmp-top-down", (bmp(2, -2, bytes(16)), Expected(".bmp", corners=(0,) * 4, size=(2, 2)))
    yield "bmp-palette", (encode(COLOURED.quantize(8), "BMP"), Expected(".bmp"))
    yield "bmp-1", (encode(GREY.convert("1", dither=0), "BMP"), Expected(".bmp", corners=(0, 0, 255, 255)))
    yield "avif", (encode(COLOURED, "AVIF", quality=95, subsampling="4:4:4"), Expected(".avif", ".png", off=6))
    yield (
        "avif-alpha",
        (encode(ALPHA, "AVIF", quality=100, subsampling="4:4:4"), Expected(".avif", ".png", ON_WHITE, off=6)),
    )
    yield "heic-turned", (HEIC, Expected(".heic", ".png", off=12))
    yield "heic-alpha", (HEIC_ALPHA, Expected(".heic", ".png", ON_WHITE, off=12))
    yield from whole_tiffs()
    for orientation in range(1, 9):
        yield from oriented(orientation)
    for name, broken in (("nonsense", b"nothing"), ("endless", b"II*\0\x08\0\0\0\xff\xff")):
        content = encode(COLOURED, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + broken)
        yield f"exif-{name}", (content, Expected(".jpg", off=4))


BLACKS = Expected(".png", corners=(0,) * 4, size=(2, 2))


def whole_tiffs() -> Iterator[tuple[str, Case]]:
    for packed in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        content = encode(COLOURED, "TIFF", compression=packed)
        yield f"tiff-{packed}", (content, Expected(".tiff", off=30 if packed == "jpeg" else 0))
    yield "tiff-cmyk", (encode(COLOURED.convert("CMYK"), "TIFF"), Expected(".tiff"))
    yield "tiff-alpha", (encode(ALPHA, "TIFF"), Expected(".tiff", ".png", ON_WHITE))
    yield "tiff-1", (encode(GREY.convert("1", dither=0), "TIFF"), Expected(".tiff", corners=(0, 0, 255, 255)))
    pages = {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]}
    yield "tiff-pages", (encode(COLOURED, "TIFF", **pages), Expected(".tiff"))
    yield "tiff-16", (encode(sixteen(0, 80 * 257, 160 * 257, 65535), "TIFF"), Expected(".tiff", ".png", GREYS))
    wild = scene(-5, 80 * 257, 160 * 257, 10**6, mode="I")
    yield "tiff-32", (encode(wild, "TIFF"), Expected(".tiff", ".png", GREYS))
    yield "tiff-floats-to-1", (floats(0, 80 / 255, 160 / 255, 1), Expected(".tiff", ".png", GREYS))
    yield "tiff-floats-to-255", (floats(-7, 80, 160, 255), Expected(".tiff", ".png", GREYS))
    yield "tiff-floats-larger", (floats(0, 80 * 256, 160 * 256, 65535), Expected(".tiff", ".png", GREYS))
    nowhere = floats(float("nan"), 80, 160, float("-inf"))
    yield "tiff-floats-missing", (nowhere, Expected(".tiff", ".png", (0, 80, 160, 0)))
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    content = encode(ImageCms.applyTransform(COLOURED, lab) or COLOURED, "TIFF")
    yield "tiff-lab", (content, Expected(".tiff", ".png", off=25))
    yield "tiff-ycbcr", (encode(COLOURED.convert("YCbCr"), "TIFF"), Expected(".tiff", off=2))


def oriented(orientation: int) -> Iterator[tuple[str, Case]]:
    """Yield a picture with this EXIF orientation, in every format that has one."""
    image, notes = rotate_for(COLOURED, orientation), {"exif": exif(orientation)}
    yield (
        f"jpeg-{orientation}",
        (encode(image, "JPEG", quality=95, subsampling=0, **notes), expect_oriented(".jpg", orientation, 4)),
    )
    yield f"png-{orientation}", (encode(image, "PNG", **notes), expect_oriented(".png", orientation))
    yield f"webp-{orientation}", (encode(image, "WEBP", lossless=True, **notes), expect_oriented(".webp", orientation))
    yield f"tiff-{orientation}", (encode(image, "TIFF", **notes), Expected(".tiff"))  # a plain loader turns it
    content = encode(image, "AVIF", quality=95, subsampling="4:4:4", **notes)
    yield f"avif-{orientation}", (content, Expected(".avif", ".png", off=6))


def expect_oriented(suffix: str, orientation: int, off: int = 0) -> Expected:
    return Expected(suffix, ".png" if orientation > 1 else "", off=off)


# --- broken ones, and other files -----------------------------------------------------------------

SVG = b'<?xml version="1.0"?>\n<!-- drawn -->\n<!DOCTYPE svg PUBLIC "" "">\n<svg xmlns="http://www.w3.org/2000/svg"/>'
PAGE = "not an image: the address gives a web page"
XML = "not an image: the address gives XML"
JSON = "not an image: the address gives JSON"
VIDEO = "not an image but a video"
UNKNOWN = "not an image: unknown content"

OTHERS: dict[str, Case] = {
    "empty": (b"", "not an image: the file is empty"),
    "zeros": (bytes(5000), UNKNOWN),
    "text": (b"Not found", UNKNOWN),
    "html": (b"\n\n<!DOCTYPE html><html></html>", PAGE),
    "html-bom": (b"\xef\xbb\xbf<HTML><body>Please sign in", PAGE),
    "html-part": (b"<h1>403 Forbidden</h1>", PAGE),
    "html-comment": (b"<!-- cached -->\n<html lang='de'>", PAGE),
    "html-comments": (b"<!---->" * 120 + b"<html>", PAGE),
    "comments": (b"<!---->" * 200, "not an image: unknown content"),
    "blanks": (b"<!-- -->" + b" \n" * 600, "not an image: unknown content"),
    "xhtml": (b'<?xml version="1.0"?><!DOCTYPE html><html/>', PAGE),
    "xml": (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>', XML),
    "xml-bare": (b"<Error><Code>NoSuchKey</Code></Error>", XML),
    "json": (json.dumps({"error": "not found"}).encode(), JSON),
    "json-list": (b"[{}]", JSON),
    "svg": (SVG, "SVG drawings cannot be used"),
    "svg-bare": (b"<svg viewBox='0 0 1 1'/>", "SVG drawings cannot be used"),
    "pdf": (b"%PDF-1.7\n", "not an image but a document"),
    "mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", VIDEO),
    "mov": (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", VIDEO),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x86\x81\1", VIDEO),
    "avi": (b"RIFF\0\0\0\0AVI LIST", VIDEO),
    "zip": (b"PK\3\4\x14\0", "not an image: the address gives an archive"),
    "ico": (encode(COLOURED, "ICO"), "ICO images cannot be used: save it as PNG or JPEG"),
    "jpeg2000": (encode(COLOURED, "JPEG2000"), "JPEG 2000 images cannot be used"),
    "jpegxl": (b"\xff\x0a\xfa\x1f", "JPEG XL images cannot be used"),
    "ppm": (encode(COLOURED, "PPM"), "PPM images cannot be used"),
    "photoshop": (b"8BPS\0\1" + bytes(20), "Photoshop files cannot be used"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image but a document"),
    "dds": (b"DDS |\0\0\0" + bytes(120), UNKNOWN),
    "fits": (b"SIMPLE  =                    T", UNKNOWN),
}


def broken() -> Iterator[tuple[str, Case]]:
    """Yield pictures that are cut short or damaged."""
    wholes = {
        "jpeg": encode(COLOURED, "JPEG"),
        "png": encode(COLOURED, "PNG"),
        "gif": encode(COLOURED, "GIF"),
        "webp": encode(COLOURED, "WEBP"),
        "bmp": encode(COLOURED, "BMP"),
        "tiff": encode(COLOURED, "TIFF"),
        "avif": encode(COLOURED, "AVIF"),
        "heic": HEIC,
    }
    for name, content in wholes.items():
        for percent in (20, 60, 98):
            if percent < 98 or name not in ("jpeg", "png"):  # these lack their end marker, and nothing else
                yield f"{name}-cut-{percent}", (content[: len(content) * percent // 100], "broken image: ")
        yield f"{name}-begun", (content[:12], "broken image: ")
    good = wholes["png"]
    yield "png-bad-crc", (flip_byte(good, 30), "broken image: ")
    yield "png-bad-data", (flip_byte(good, good.index(b"IDAT") + 8), "broken image: ")
    bare = encode(COLOURED, "PNG", compress_level=0)
    yield (
        "png-bad-pixel",
        (flip_byte(bare, bare.index(b"IDAT") + 500), "broken image: "),
    )
    yield "png-bad-sum", (flip_byte(good, good.index(b"IEND") - 8), Expected(".png"))  # of pixels that are right
    yield "png-no-end", (good[:-12], Expected(".png"))  # all of the picture is there
    yield "png-no-wide", (png(0, 8, b""), "broken image: ")
    yield "png-no-high", (png(8, 0, b""), "broken image: ")
    yield "png-odd-depth", (png(8, 8, bytes(200), depth=3), "broken image: ")
    yield "bmp-no-wide", (bmp(0, 8, bytes(64)), "broken image: ")
    yield "bmp-negative", (bmp(-8, 8, bytes(200)), LARGE)
    yield "bmp-text", (b"BMW is a car", "broken image: ")
    yield "gif-no-size", (gif((0, 0), (0, 0)), "broken image: ")
    yield "tiff-no-size", (tiff(tiff_tags(0, 0)), "broken image: ")
    yield "tiff-no-tags", (tiff({}), "broken image: ")
    yield "tiff-odd-depth", (tiff(tiff_tags(8, 8, depth=77)), "broken image: ")
    yield "jpeg-no-size", (jpeg_size(wholes["jpeg"], 0, 0), "broken image: ")
    yield (
        "jpeg-longer-than-said",
        (jpeg_size(encode(COLOURED, "JPEG"), 1, 1), Expected(".jpg", corners=(RED,) * 4, size=(1, 1), off=6)),
    )


def two_in_one() -> Iterator[tuple[str, Case]]:
    """Yield polyglots: pictures to some programs, and something else to others."""
    yield (
        "jpeg-and-zip",
        (encode(COLOURED, "JPEG", quality=95, subsampling=0) + b"PK\3\4archive", Expected(".jpg", off=4)),
    )
    yield "png-and-script", (encode(COLOURED, "PNG") + b"<script>alert(1)</script>", Expected(".png"))
    yield "gif-and-script", (b"GIF89a/*" + bytes(9) + b"*/=1;alert(1)", "broken image: ")
    yield "html-then-jpeg", (b"<html>" + encode(COLOURED, "JPEG"), PAGE)
    yield "blank-then-png", (b" " + encode(COLOURED, "PNG"), UNKNOWN)


# --- hostile ones ---------------------------------------------------------------------------------

LARGE = "image too large: "


def bombs() -> Iterator[tuple[str, Case]]:
    """Yield small files that take much memory or time to decode."""
    yield "png-bomb", (png(60_000, 60_000, b""), LARGE)
    yield "png-over-cap", (png(10_001, 10_000, b""), "image too large: 10001 x 10000 pixels")
    yield "png-2-31", (png(2**31 - 1, 2**31 - 1, b""), LARGE)
    yield "png-wide", (png(99_999_999, 1, b""), LARGE)
    yield (
        "png-two-sizes",
        (png(8, 8, bytes(200), chunk(b"IHDR", png(60_000, 60_000, b"")[16:29])), LARGE),
    )
    for name in (b"zTXt", b"iTXt"):
        text = b"a\0" + (b"\0" if name == b"zTXt" else b"\1\0\0\0") + zlib.compress(bytes(50_000_000))
        yield f"png-{name.decode()}", (png(8, 8, bytes(200), chunk(name, text)), "broken image: ")
    many = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 200
    yield "png-many-texts", (png(8, 8, bytes(200), many), "broken image: ")
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000)))
    yield "png-profile", (png(8, 8, bytes(200), profile), "broken image: ")
    yield "jpeg-bomb", (jpeg_size(encode(COLOURED, "JPEG"), 65_535, 65_535), LARGE)
    yield "jpeg-scans", (many_scans(2000), "broken image: a JPEG with ")
    part = b"\xff\xe1\0\x0aExif\0\0ab"
    yield "jpeg-notes", (with_segments(part * 2_000_000), "broken image: a JPEG with 2000000 EXIF blocks")
    yield "jpeg-ink", (jpeg_size(encode(COLOURED.convert("CMYK"), "JPEG", progressive=True), 10_000, 10_000), LARGE)
    yield "gif-bomb", (gif((65_535, 65_535), (8, 8)), LARGE)
    yield "gif-frame-bomb", (gif((8, 8), (65_535, 65_535)), LARGE)
    alpha = encode(ALPHA, "WEBP", lossless=True, exif=exif(1))
    yield "webp-bomb", (webp_size(alpha, 16_383, 16_383), LARGE)
    yield "webp-lie", (webp_size(alpha, 5_000, 5_000), "broken image: ")
    flat = encode(Image.new("RGB", (7000, 7000)), "WEBP", lossless=True, method=0, quality=0)
    yield "webp-much-memory", (flat, "image too large: its pixels take too much memory as WebP")
    yield "bmp-bomb", (bmp(60_000, 60_000), LARGE)
    yield "bmp-2-31", (bmp(2**31 - 1, -(2**31) + 1), LARGE)
    yield "bmp-packed", (bmp(2_000, 2_000, b"\xff\0" * 9, packed=1, bits=8), "broken image: ")
    lines = b"\1\0\0\0" * 1500  # a pixel each, and then on to the next line
    yield "bmp-lines", (bmp(65_000, 1_500, lines, packed=1, bits=8), "image too large: 65000 x 1500 pixels")
    yield "tiff-bomb", (tiff(tiff_tags(60_000, 60_000)), LARGE)
    yield "tiff-tile", (tiff(tiff_tags(8, 8, wide=65_536, high=16_384, packed=5)), LARGE)
    yield "tiff-samples", (tiff(tiff_tags(8, 8, samples=60_000)), "broken image: ")
    yield "tiff-rows", (tiff(tiff_tags(8, 8, rows=2**32 - 1)), Expected(".tiff", corners=(0,) * 4, size=(8, 8)))
    yield "tiff-many-tags", (b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 700, 7, 2**31, 8) * 5, "broken image: ")
    yield "tiff-tags-in-one-place", (shared_tags(20_000, 1_000_000), Expected(".tiff", corners=(0,) * 4, size=(8, 8)))
    yield "tiff-numbers", (numbers(282, 5, 3_600_000, 8), "broken image: a TIFF with ")  # a resolution
    notes = numbers(274, 5, 3_600_000, 8)  # the orientation
    yield "png-exif-numbers", (png(8, 8, bytes(200), chunk(b"eXIf", notes)), "broken image: 28.8 MB of EXIF")
    parts = (b"Exif\0\0" + notes[at : at + 65_000] for at in range(0, len(notes), 65_000))
    spread = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    yield "jpeg-exif-numbers", (with_segments(spread), "broken image: a JPEG with 444 EXIF blocks")
    yield "tiff-depths", (numbers(258, 3, 14_000_000, 2), "broken image: a TIFF with ")
    yield "tiff-circle", (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "broken image: ")
    yield "avif-bomb", (box_size(encode(COLOURED, "AVIF"), 60_000, 60_000), "broken image: ")
    lie = box_size(encode(scene(*COLOURS, size=(3200, 4800)), "AVIF", speed=10), 16, 16)
    yield "avif-lie", (lie, Expected(".avif", ".png", size=(16, 16), off=110))  # it is shrunk to what it says
    yield "heic-bomb", (box_size(HEIC, 60_000, 60_000), "broken image: ")


CASES: Callable[[], dict[str, Case]] = lambda: OTHERS | dict([*whole(), *broken(), *two_in_one(), *bombs()])  # noqa: E731
