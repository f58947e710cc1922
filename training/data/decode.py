"""Decode an image file to an array of pixels, resized as a recipe says."""

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

DECODE_VERSION = 2  # raised when the same file is seen otherwise, for what is kept of it: 2 = upright, by its EXIF


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_unchanged(path: Path, digest: str) -> None:
    """Raise DataError where a file is no longer what it was when it was found.

    To be asked after an image was read and before what was made of it is kept by its digest.
    """
    if file_digest(path) != digest:
        raise DataError(f"{path}: the image was changed while it was read; try again")


def square(path: Path, resize: str, size: int) -> Floats | Bytes:
    """An image file as (size, size, 3) RGB, 0..255, its aspect ratio not kept; `resize` as in a recipe.

    "plain" gives float32, "antialias" bytes. Raises DataError with the path of a file that Pillow cannot decode.
    """
    return plain(read(path), size) if resize == "plain" else shrink(path, size)


def shrink(path: Path, size: int) -> Bytes:
    """An image file as (size, size, 3) RGB by antialiased bilinear sampling; see `square`.

    A large JPEG is decoded at the smallest of its eighths that is not smaller than `size`: that is 1.7 times faster.
    """
    with _opened(path) as image:
        image.draft("RGB", (size, size))
        return np.asarray(_rgb(image).resize((size, size), Image.Resampling.BILINEAR))


def read(path: Path) -> Bytes:
    """An image file as (height, width, 3) RGB, upright by its EXIF. What is transparent becomes white, as on a page.

    Raises DataError with the path of a file that Pillow cannot decode.
    """
    with _opened(path) as image:
        return np.asarray(_rgb(image))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: the image cannot be decoded ({error})") from error


def _rgb(image: Image.Image) -> Image.Image:
    flat = _flat(image)
    with suppress(Exception):  # notes beside a picture may be broken, and the picture whole
        turned = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))  # of a TIFF it is gone: it was turned
        return flat if turned is None else flat.transpose(turned)
    return flat


def _flat(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel; Pillow's own conversion would cut at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def plain(image: Bytes, size: int) -> Floats:
    """(height, width, 3) to (size, size, 3) by plain bilinear sampling, not rounded, aspect ratio not kept.

    No antialiasing: each value mixes the four pixels nearest to its centre, however large the image. The
    same as tf.image.resize, and as torch's interpolate(mode="bilinear", align_corners=False).
    """
    top, bottom, down = _taps(image.shape[0], size)
    left, right, across = _taps(image.shape[1], size)

    def column(places: Ints) -> Floats:  # (size, size, 3), of the pixels needed alone: an image may be very wide
        return _mix(image[np.ix_(top, places)], image[np.ix_(bottom, places)], down[:, None, None])

    return _mix(column(left), column(right), across[:, None])


def _taps(length: int, size: int) -> tuple[Ints, Ints, Floats]:
    """For each of `size` centres along a side: the two pixels around it, and the weight of the second."""
    centre = ((np.arange(size) + 0.5) * length / size - 0.5).clip(0, length - 1)
    low = centre.astype(np.int64)
    return low, np.minimum(low + 1, length - 1), (centre - low).astype(np.float32)


def _mix(first: npt.NDArray[np.number], second: npt.NDArray[np.number], weight: Floats) -> Floats:
    start = first.astype(np.float32)
    return start + (second.astype(np.float32) - start) * weight
