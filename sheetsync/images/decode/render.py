"""Render a picture as people see it: upright, RGB, on white; for formats that a plain loader would misread."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from PIL import Image, ImageCms

MAX_RENDERED_PIXELS = 16_000_000  # a rendering of more is reduced by whole numbers
LOSSLESS_PIXELS = 256 * 256  # up to which a rendering is lossless, and a perceptual hash is made of all of them
STRIP_PIXELS = 1 << 20  # that are converted at a time, so that a picture is never in memory twice
ORIENTATION_TAG = 0x0112  # of EXIF and TIFF
LOADER_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # that torchvision's ImageFolder reads
LOADER_MODES = (
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "CMYK",
    "YCbCr",
)  # that `convert("RGB")` converts right
PROFILE_MODES = ("CMYK", "LAB")  # whose colours are defined only by a profile
GREY_MODES = ("1", "L", "LA", "La", "F")  # and all that begin with I

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Conversion = Callable[[Image.Image], Image.Image]


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a picture, 1..8; 1 = upright, also where it cannot be read."""
    with suppress(Exception):  # the EXIF may be broken, and the picture whole
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        return orientation if orientation in _TRANSPOSES else 1
    return 1


def is_shown_correctly(image: Image.Image, format_name: str, orientation: int) -> bool:
    """Return True if a plain loader, `Image.open(path).convert("RGB")`, shows what people see; alpha is not checked."""
    if format_name not in LOADER_FORMATS or orientation != 1 or image.mode not in LOADER_MODES:
        return False
    profile = image.info.get("icc_profile") if image.mode == "CMYK" else None
    return not (isinstance(profile, bytes) and _profile_transform(image.mode, profile))


def is_opaque(image: Image.Image) -> bool:
    """Return True if no pixel of a loaded picture is transparent."""
    if not image.has_transparency_data:
        return True
    if image.mode not in ("RGBA", "LA", "PA"):
        return False
    lowest = (strip.getchannel("A").getextrema()[0] for strip in _strips(image, 1))
    return all(isinstance(alpha, int) and alpha == 255 for alpha in lowest)


def reduction_factor(pixels: int, most: int) -> int:
    """Return the smallest whole number to divide both sides by, so that at most `most` pixels are left."""
    return math.ceil(math.sqrt(pixels / most))


def to_rgb(image: Image.Image, orientation: int, most: int) -> Image.Image:
    """Convert a loaded picture of any mode to 8-bit RGB, or L where its mode has no colour; upright, and on white.

    16-bit values are divided by 256 (and clipped where they are out of range). Floats are taken for 0..1 where none is
    larger, else for 0..255, else for 16-bit ones. CMYK and LAB become sRGB by their embedded ICC profile; CMYK without
    one as Pillow does it. Profiles of RGB pictures are ignored, as every loader does. A picture of more than `most`
    pixels is reduced by the smallest whole number that suffices. `orientation` is its EXIF orientation.
    """
    factor = reduction_factor(image.width * image.height, most)
    rendered = _convert_in_strips(image, _conversion_for(image), factor)
    rendered.info = {}  # metadata may tell where it was taken
    return rendered.transpose(_TRANSPOSES[orientation]) if orientation in _TRANSPOSES else rendered


def encode(rendered: Image.Image, *, lossy: bool) -> tuple[bytes, str]:
    """Return a picture as the bytes of a file, and its suffix.

    PNG, or JPEG where it is large and its original was `lossy`.
    """
    out = io.BytesIO()
    if lossy and rendered.width * rendered.height > LOSSLESS_PIXELS:
        rendered.save(out, "JPEG", quality=95, subsampling="4:4:4")
        return out.getvalue(), ".jpg"
    rendered.save(out, "PNG", compress_level=1)
    return out.getvalue(), ".png"


# --- strip by strip -------------------------------------------------------------------------------


def _strips(image: Image.Image, step: int) -> Iterator[Image.Image]:
    """Yield a picture from top to bottom in strips, each a multiple of `step` rows, except for the last."""
    rows = max(1, STRIP_PIXELS // image.width // step) * step
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _convert_in_strips(image: Image.Image, convert: Conversion, factor: int) -> Image.Image:
    whole: Image.Image | None = None
    top = 0
    for strip in _strips(image, factor):
        converted = convert(strip)
        converted = converted.reduce(factor) if factor > 1 else converted
        if strip is image:
            return converted
        whole = whole or Image.new(converted.mode, (converted.width, -(-image.height // factor)))
        whole.paste(converted, (0, top))
        top += converted.height
    assert whole is not None  # noqa: S101  # a picture has a row
    return whole


def _conversion_for(image: Image.Image) -> Conversion:
    """Return a function that converts strips of this picture to 8-bit RGB or L."""
    if image.mode.startswith("I"):
        return _convert_integers
    if image.mode == "F":
        return _float_conversion(image)
    if image.mode in PROFILE_MODES:
        transform = _profile_transform(image.mode, image.info.get("icc_profile"))
        if transform:
            return lambda strip: ImageCms.applyTransform(strip, transform) or strip
    return partial(_flatten_on_white, mode="L" if image.mode in GREY_MODES else "RGB")


def _flatten_on_white(strip: Image.Image, mode: str) -> Image.Image:
    if strip.has_transparency_data:
        layer = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return strip if strip.mode == mode else strip.convert(mode)


def _convert_integers(strip: Image.Image) -> Image.Image:
    import numpy as np

    return Image.fromarray((np.asarray(strip).clip(0, 65535) // 256).astype(np.uint8))


def _float_conversion(image: Image.Image) -> Conversion:
    """Return a function that converts strips of floats, by a scale that depends on the whole picture."""
    import numpy as np

    highest = max(float(np.nan_to_num(np.asarray(strip)).max()) for strip in _strips(image, 1))
    scale = np.float32(255.0 if highest <= 1 else 1.0 if highest <= 255 else 1 / 256)

    def convert(strip: Image.Image) -> Image.Image:
        values = np.nan_to_num(np.asarray(strip) * scale)
        return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))

    return convert


def _profile_transform(mode: str, profile: object) -> Any:
    """Return the colour transform from a mode to sRGB; None where the ICC profile is broken or of another mode."""
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        if isinstance(profile, bytes):
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif mode == "LAB":
            source = ImageCms.createProfile("LAB")
        else:
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    return None
