"""The decoded images of a dataset, each decoded once and cached by content digest: a relabel decodes nothing.

The cache lies beside the runs, in `.cache/<resize>-<size>-v<DECODE_VERSION>/`, and is memory-mapped by every process
that trains.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training import console
from training.data.arrays import Bytes, Floats, Ints
from training.data.cache import RowCache, Rows
from training.data.decode import DECODE_VERSION, check_unchanged, read_resized
from training.data.folder import Dataset, Sample
from training.recipe import Recipe

CACHE_FOLDER = ".cache"
WRITE_GROUP = 256  # images decoded between two writes to the cache


class Images(Protocol):
    """An array of images (N, H, W, 3), or a stand-in for one, to train on or predict."""

    def __len__(self) -> int:
        """Return N."""

    def __getitem__(self, where: Any) -> Rows:
        """Return the images at an array of positions, or in a slice: (n, H, W, 3)."""


@dataclass(frozen=True, slots=True)
class MappedImages:
    """Images in the rows of a memory-mapped cache; nothing is read before it is indexed."""

    rows: Rows  # (M, H, W, 3)
    indices: Ints  # (N,), the row of each image

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, where: Any) -> Rows:
        images: Rows = self.rows[self.indices[where]]
        return images

    def select(self, positions: Ints) -> MappedImages:
        """Return the images at these positions."""
        return MappedImages(self.rows, self.indices[positions])


@dataclass(frozen=True, slots=True)
class DecodedStore:
    """Where the decoded images of one dataset are cached; small enough to be sent to another process."""

    folder: Path
    resize: str
    size: int
    digests: tuple[str, ...]

    @property
    def cache(self) -> RowCache:
        """The cache that holds them."""
        return decoded_cache(self.folder, self.resize, self.size)

    def open(self) -> MappedImages:
        """Map all images, in the order of the dataset."""
        return MappedImages(*self.cache.lookup(self.digests))


def decoded_cache(cache: Path, resize: str, size: int) -> RowCache:
    """Return the cache of images resized in this way, see decode.py, below a cache folder."""
    dtype = np.float32 if resize == "plain" else np.uint8
    return RowCache(cache / f"{resize}-{size}-v{DECODE_VERSION}", (size, size, 3), dtype)


@contextmanager
def decode_images(
    data: Dataset, recipe: Recipe, cache: Path, report: console.ProgressCallback
) -> Iterator[DecodedStore]:
    """Decode the images of a dataset that are not cached yet, and keep all of them cached during the block.

    Equal images are decoded once. Raises DataError with the path of an image that cannot be decoded or that changes
    meanwhile, and TrainingError when the disk is full; images decoded before that stay cached.
    """
    digests = tuple(sample.digest for sample in data.samples)

    def decode(sample: Sample) -> Floats | Bytes:
        path = data.root / sample.path
        image = read_resized(path, recipe.resize, recipe.image_size)
        check_unchanged(path, sample.digest)
        return image

    store = DecodedStore(cache, recipe.resize, recipe.image_size, digests)
    with store.cache.in_use(), ThreadPoolExecutor(os.cpu_count()) as pool:

        def make(positions: list[int]) -> Rows:
            return np.stack(list(pool.map(decode, (data.samples[i] for i in positions))))

        store.cache.fill(digests, make, WRITE_GROUP, lambda done: report("decode", done, len(digests), ""))
        yield store
