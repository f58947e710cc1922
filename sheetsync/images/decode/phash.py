"""Perceptual hash (pHash) of a picture."""

from __future__ import annotations

from functools import cache
from typing import Any

from PIL import Image


def perceptual_hash(image: Image.Image) -> str:
    """The perceptual hash of a small RGB or L picture, 16 hex characters; pictures that look alike differ in few bits.

    pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010): of 32 x 32 grey pixels
    the 64 lowest frequencies, each over the median or not. As the imagehash library gives it, but for ties, and without
    SciPy, which takes half a second to load on every pass that has one new image. All flat pictures look alike, but for
    black.
    """
    import numpy as np

    waves = _cosines()  # (8, 32)
    pixels = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), float)  # (32, 32)
    # Not by BLAS, which has memory for each thread.
    low = np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", waves, pixels), waves)  # (8, 8)
    low = low.round(3)  # of gradients most are zero, and what rounding makes of that is chance
    below, above = np.sort(low, axis=None)[31:33]
    return np.packbits(low > (below + above) / 2).tobytes().hex()


@cache
def _cosines() -> Any:
    """The eight lowest cosines of 32 samples, as in the DCT-II."""
    import numpy as np

    return 2 * np.cos(np.pi / 64 * np.outer(np.arange(8), 2 * np.arange(32) + 1))
