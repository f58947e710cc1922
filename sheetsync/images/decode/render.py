"""A picture as people see it: what a model is shown where a plain loader would see something else."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from PIL import Image, ImageCms

LARGEST = 16_000_000  # pixels of a rendering; what has more is reduced by whole numbers
SMALL = 256 * 256  # pixels up to which a rendering is lossless, and a hash is of all of them
STRIP = 1 << 20  # pixels that are changed at a time: a picture is never in memory twice
ORIENTATION = 0x0112
PROFILED = ("CMYK", "LAB")  # modes whose colours nobody knows without a profile
GREY = ("1", "L", "LA", "La", "F")  # and all that begin with I

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Change = Callable[[Image.Image], Image.Image]


def orientation(image: Image.Image) -> int:
    """How a picture is turned by its EXIF, 1..8; 1 = upright, and where that cannot be read."""
    with suppress(Exception):  # notes beside a picture may be broken, and the picture whole
        said = image.getexif().get(ORIENTATION, 1)
        return said if said in _TURNS else 1
    return 1


def needed_profile(image: Image.Image) -> bytes:
    """The colour profile that is needed to know a picture's colours, b"" = none is, or none is there."""
    found = image.info.get("icc_profile") if image.mode == "CMYK" else None
    return found if isinstance(found, bytes) and _transform(image.mode, found) else b""


def is_opaque(image: Image.Image) -> bool:
    """Whether nothing of a loaded picture is transparent."""
    if not image.has_transparency_data:
        return True
    if image.mode not in ("RGBA", "LA", "PA"):
        return False
    lowest = (part.getchannel("A").getextrema()[0] for part in _strips(image, 1))
    return all(isinstance(low, int) and low == 255 for low in lowest)


def reduction_factor(pixels: int, most: int) -> int:
    """The smallest whole number by which sides are divided so that there are no more than so many pixels."""
    return math.ceil(math.sqrt(pixels / most))


def to_rgb(image: Image.Image, turned: int, most: int) -> Image.Image:
    """A loaded picture of any mode as 8-bit RGB, or L where its mode knows no colour; upright, and on white.

    16-bit values are divided by 256 (and cut where they are out of range). Floats are taken for 0..1 where none is
    larger, else for 0..255, else for 16-bit ones. CMYK and LAB become sRGB by the profile that came along; CMYK without
    one as Pillow does it. Profiles of RGB pictures are not looked at: no loader does. What has more than `most` pixels
    is reduced by the smallest whole number that helps. `turned` is its EXIF orientation.
    """
    shown = _changed(image, _flattening(image), reduction_factor(image.width * image.height, most))
    shown.info = {}  # where it was taken, say
    return shown.transpose(_TURNS[turned]) if turned in _TURNS else shown


def encode(shown: Image.Image, *, lossy: bool) -> tuple[bytes, str]:
    """A picture as bytes of a file, and its suffix: PNG, or JPEG where it has lost details before and is not small."""
    out = io.BytesIO()
    if lossy and shown.width * shown.height > SMALL:
        shown.save(out, "JPEG", quality=95, subsampling="4:4:4")
        return out.getvalue(), ".jpg"
    shown.save(out, "PNG", compress_level=1)
    return out.getvalue(), ".png"


# --- strip by strip -------------------------------------------------------------------------------


def _strips(image: Image.Image, step: int) -> Iterator[Image.Image]:
    """A picture from top to bottom in parts, each a multiple of `step` rows, but for the last."""
    rows = max(1, STRIP // image.width // step) * step
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _changed(image: Image.Image, change: Change, factor: int) -> Image.Image:
    shown: Image.Image | None = None
    top = 0
    for part in _strips(image, factor):
        done = change(part)
        done = done.reduce(factor) if factor > 1 else done
        if part is image:
            return done
        shown = shown or Image.new(done.mode, (done.width, -(-image.height // factor)))
        shown.paste(done, (0, top))
        top += done.height
    assert shown is not None  # noqa: S101  # a picture has a row
    return shown


def _flattening(image: Image.Image) -> Change:
    """What makes 8-bit RGB or L of a part of a picture."""
    if image.mode.startswith("I"):
        return _from_integers
    if image.mode == "F":
        return partial(_from_floats, scale=_float_scale(image))
    transform = _transform(image.mode, image.info.get("icc_profile")) if image.mode in PROFILED else None
    if transform:
        return lambda part: ImageCms.applyTransform(part, transform) or part
    return partial(_on_white, mode="L" if image.mode in GREY else "RGB")


def _on_white(part: Image.Image, mode: str) -> Image.Image:
    if part.has_transparency_data:
        layer = part.convert("RGBA")
        part = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return part if part.mode == mode else part.convert(mode)


def _from_integers(part: Image.Image) -> Image.Image:
    import numpy as np

    return Image.fromarray((np.asarray(part).clip(0, 65535) // 256).astype(np.uint8))


def _from_floats(part: Image.Image, scale: float) -> Image.Image:
    import numpy as np

    values = np.nan_to_num(np.asarray(part) * np.float32(scale))
    return Image.fromarray(values.clip(0, 255).round().astype(np.uint8))


def _float_scale(image: Image.Image) -> float:
    import numpy as np

    highest = max(float(np.nan_to_num(np.asarray(part)).max()) for part in _strips(image, 1))
    return 255.0 if highest <= 1 else 1.0 if highest <= 255 else 1 / 256


def _transform(mode: str, profile: object) -> Any:
    """What turns colours into sRGB; None where that profile says nothing of this mode, or nothing at all."""
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        if isinstance(profile, bytes):
            source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        elif mode == "LAB":
            source = ImageCms.createProfile("LAB")
        else:
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    return None


PLAIN = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # what ImageFolder reads


PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # and sees as people do


def looks_alike_to_loaders(image: Image.Image, name: str, turned: int) -> bool:
    """Whether a plain loader, `Image.open(path).convert("RGB")`, sees what people see."""
    return name in PLAIN and turned == 1 and image.mode in PLAIN_MODES and not needed_profile(image)
