"""Perceptual hash (pHash) of a picture."""

from __future__ import annotations

from functools import cache
from typing import Any

from PIL import Image


def perceptual_hash(image: Image.Image) -> str:
    """Return the perceptual hash of a small RGB or L picture, 16 hex characters; similar pictures differ in few bits.

    pHash (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010): of 32 x 32 grey pixels
    the 64 lowest frequencies, each above the median or not. Equal to that of the imagehash library, except for ties,
    and without SciPy, which takes half a second to load on every pass that has a new image. All pictures of one colour
    have the same hash, except for black.
    """
    import numpy as np

    cosines = _cosines()  # (8, 32)
    pixels = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS), float)  # (32, 32)
    # einsum and not BLAS, which allocates memory for each thread.
    low = np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", cosines, pixels), cosines)  # (8, 8)
    low = low.round(3)  # most frequencies of a gradient are zero: rounding errors must not decide their bits
    below, above = np.sort(low, axis=None)[31:33]
    return np.packbits(low > (below + above) / 2).tobytes().hex()


@cache
def _cosines() -> Any:
    """Return the eight lowest cosines of 32 samples, as in the DCT-II; (8, 32)."""
    import numpy as np

    return 2 * np.cos(np.pi / 64 * np.outer(np.arange(8), 2 * np.arange(32) + 1))
