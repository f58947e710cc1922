"""The images of a dataset as squares of numbers, decoded once and kept by digest: a relabel decodes nothing.

They lie beside the runs, in `.cache/<resize>-<size>-v<VIEW>/`, and are mapped into every process that trains.
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
from training.data.decode import DECODE_VERSION, check_unchanged, square
from training.data.folder import Dataset, Sample
from training.recipe import Recipe

CACHE = ".cache"
GROUP = 256  # images between two writings


class Images(Protocol):
    """What a model learns from and is asked about: an array (N, H, W, 3) or a stand-in for one."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, where: Any) -> Rows:
        """Those at some positions, or in a slice: (n, H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Images that are rows of a shelf; nothing of them is in memory until asked for."""

    rows: Rows  # (M, H, W, 3)
    places: Ints  # (N,) which row each one is

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, where: Any) -> Rows:
        found: Rows = self.rows[self.places[where]]
        return found

    def only(self, positions: Ints) -> Pixels:
        """Those at these positions."""
        return Pixels(self.rows, self.places[positions])


@dataclass(frozen=True, slots=True)
class DecodedStore:
    """The decoded images of one dataset; small enough to be handed to another process."""

    folder: Path
    resize: str
    size: int
    digests: tuple[str, ...]

    @property
    def shelf(self) -> RowCache:
        """Where they lie."""
        return shelf(self.folder, self.resize, self.size)

    def open(self) -> Pixels:
        """All of them, in the dataset's order."""
        return Pixels(*self.shelf.lookup(self.digests))


def shelf(cache: Path, resize: str, size: int) -> RowCache:
    """The decoded images below a cache folder that were resized in this way, see data.py."""
    kind = np.float32 if resize == "plain" else np.uint8
    return RowCache(cache / f"{resize}-{size}-v{DECODE_VERSION}", (size, size, 3), kind)


@contextmanager
def decoded(data: Dataset, recipe: Recipe, cache: Path, report: console.ProgressCallback) -> Iterator[DecodedStore]:
    """In the block the images of a dataset are there, decoded once; equal ones share theirs.

    Raises DataError with the path of an image that cannot be decoded or that changes meanwhile, and TrainingError when
    the disk is full; what was decoded before that is kept.
    """
    digests = tuple(sample.digest for sample in data.samples)
    store = DecodedStore(cache, recipe.resize, recipe.image_size, digests)
    with store.shelf.in_use(), ThreadPoolExecutor(os.cpu_count()) as pool:

        def make(positions: list[int]) -> Rows:
            samples = (data.samples[i] for i in positions)
            return np.stack(list(pool.map(lambda sample: _square(data.root, sample, recipe), samples)))

        store.shelf.fill(digests, make, GROUP, lambda done: report("decode", done, len(digests), ""))
        yield store


def _square(root: Path, sample: Sample, recipe: Recipe) -> Floats | Bytes:
    path = root / sample.path
    found = square(path, recipe.resize, recipe.image_size)
    check_unchanged(path, sample.digest)
    return found
