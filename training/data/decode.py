"""Decode an image file to an RGB array, upright by its EXIF orientation, and resize it as a recipe says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from training.data.arrays import Bytes, Floats, Ints
from training.data.digest import file_digest
from training.errors import DataError

# Part of the name of every cache; raised when the same file is decoded to other values. 2 = upright by EXIF.
DECODE_VERSION = 2

_TRANSPOSES = {  # by EXIF orientation; 1 = upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_unchanged(path: Path, digest: str) -> None:
    """Raise DataError if the content of a file no longer has this digest.

    Call it after reading an image and before caching what was made of it under its digest.
    """
    if file_digest(path) != digest:
        raise DataError(f"{path}: the image was changed while it was read; try again")


def read_resized(path: Path, resize: str, size: int) -> Floats | Bytes:
    """Read an image file as (size, size, 3) RGB, 0..255, its aspect ratio not kept; `resize` as in a recipe.

    "plain" returns float32, "antialias" bytes. Raises DataError with the path of a file that Pillow cannot decode.
    """
    return resize_plain(read_rgb(path), size) if resize == "plain" else read_antialiased(path, size)


def resize_opened(image: Image.Image, resize: str, size: int) -> Floats | Bytes:
    """Resize an image that Pillow has opened, as `read_resized` does a file; the image itself stays as it is.

    With "antialias" the values of a large JPEG differ a little from those of its file, which is decoded at a reduced
    size. Raises DataError when Pillow cannot decode it.
    """
    with _decoding("the image given"):
        rgb = _upright_rgb(image)
        if resize == "plain":
            return resize_plain(np.asarray(rgb), size)
        return np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR))


def read_antialiased(path: Path, size: int) -> Bytes:
    """Read an image file as (size, size, 3) RGB, resized by antialiased bilinear sampling; see `read_resized`.

    A large JPEG is decoded at the smallest of its eighths that is not smaller than `size`: that is 1.7 times faster.
    """
    with _open(path) as image:
        image.draft("RGB", (size, size))
        return np.asarray(_upright_rgb(image).resize((size, size), Image.Resampling.BILINEAR))


def read_rgb(path: Path) -> Bytes:
    """Read an image file as (height, width, 3) RGB, upright by its EXIF. Transparent pixels become white, as on a page.

    Raises DataError with the path of a file that Pillow cannot decode.
    """
    with _open(path) as image:
        return np.asarray(_upright_rgb(image))


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    with _decoding(path), Image.open(path) as image:
        yield image


@contextmanager
def _decoding(what: object) -> Iterator[None]:
    """Turn Pillow's errors in the block into a DataError that names the image."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{what}: the image cannot be decoded ({error})") from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    rgb = _to_rgb(image)
    with suppress(Exception):  # the metadata may be broken where the image is whole
        # Of a TIFF the orientation is gone by now: Pillow turned it while decoding.
        transpose = _TRANSPOSES.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        return rgb if transpose is None else rgb.transpose(transpose)
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would cut at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def resize_plain(image: Bytes, size: int) -> Floats:
    """Resize (height, width, 3) to (size, size, 3) by plain bilinear sampling, not rounded, aspect ratio not kept.

    No antialiasing: each value mixes the four pixels nearest to its centre, however large the image. The
    same as tf.image.resize, and as torch's interpolate(mode="bilinear", align_corners=False).
    """
    top, bottom, down = _taps(image.shape[0], size)
    left, right, across = _taps(image.shape[1], size)

    def at_columns(columns: Ints) -> Floats:  # (size, size, 3), from the needed pixels only: an image may be very wide
        return _interpolate(image[np.ix_(top, columns)], image[np.ix_(bottom, columns)], down[:, None, None])

    return _interpolate(at_columns(left), at_columns(right), across[:, None])


def _taps(length: int, size: int) -> tuple[Ints, Ints, Floats]:
    """Return the two pixels around each of `size` centres along a side, and the weight of the second."""
    centre = ((np.arange(size) + 0.5) * length / size - 0.5).clip(0, length - 1)
    low = centre.astype(np.int64)
    return low, np.minimum(low + 1, length - 1), (centre - low).astype(np.float32)


def _interpolate(first: npt.NDArray[np.number], second: npt.NDArray[np.number], weight: Floats) -> Floats:
    start = first.astype(np.float32)
    return start + (second.astype(np.float32) - start) * weight
