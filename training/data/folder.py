"""Scan a dataset folder (ImageFolder layout): its images with their splits, labels and digests.

    <root>/train/<label>/*.png    val/<label>/*    test/<label>/*    unlabelled/*

A file's label is the name of its folder. Files whose name or folder starts with a dot are ignored, as is everything
without the suffix of an image.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.arrays import Ints
from training.data.digest import file_digest
from training.errors import DataError
from training.recipe import Recipe

LABELLED = ("train", "val", "test")
UNLABELLED = "unlabelled"
SPLITS = (*LABELLED, UNLABELLED)
# torchvision.datasets.folder.IMG_EXTENSIONS, without importing torch for it
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """One image file: its POSIX path below the root, and the SHA-256 of its bytes. `label` "" = none."""

    path: str
    split: str
    label: str
    digest: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All images of a dataset folder, sorted by path."""

    root: Path
    samples: tuple[Sample, ...]

    @property
    def classes(self) -> list[str]:
        """The labels of train, val and test, sorted: the order of the model's outputs."""
        return sorted({sample.label for sample in self.samples if sample.label})

    @property
    def digest(self) -> str:
        """Fingerprint of every path and content: 64 hexadecimal characters of a SHA-256."""
        lines = [f"{sample.path}\0{sample.digest}\n" for sample in self.samples]
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def positions(self, *splits: str) -> Ints:
        """Return the positions of the samples in these splits, ascending."""
        return np.array([i for i, sample in enumerate(self.samples) if sample.split in splits], np.int64)

    def targets(self) -> Ints:
        """Return each sample's class number, (N,); -1 for a sample without a label."""
        number = {label: i for i, label in enumerate(self.classes)} | {"": -1}
        return np.array([number[sample.label] for sample in self.samples], np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many images each labelled split has of each class that occurs in it."""
        counts = Counter((sample.split, sample.label) for sample in self.samples)
        return {
            split: {label: counts[split, label] for label in self.classes if counts[split, label]} for split in LABELLED
        }

    def sizes(self) -> dict[str, int]:
        """Return how many images each split has."""
        counts = Counter(sample.split for sample in self.samples)
        return {split: counts[split] for split in SPLITS}

    def untrained_classes(self) -> list[str]:
        """Return the classes that val or test have and train lacks: the model has no way to learn them."""
        train = self.counts()["train"]
        return [label for label in self.classes if label not in train]


def scan(root: Path, splits: Iterable[str] = SPLITS) -> Dataset:
    """Find the images of these splits and compute their digests. Raises DataError when there is no such folder."""
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")

    def read_sample(path: Path, split: str, label: str) -> Sample:
        return Sample(path.relative_to(root).as_posix(), split, label, file_digest(path))

    files = [file for split in splits for file in _find_images(root, split)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return Dataset(root, tuple(sorted(pool.map(lambda file: read_sample(*file), files))))


def _find_images(root: Path, split: str) -> Iterator[tuple[Path, str, str]]:
    """Yield the path, split and label of each image of a split."""
    if split == UNLABELLED:
        yield from ((path, split, "") for path in _images_below(root / split))
        return
    for folder in _visible_entries(root / split):
        yield from ((path, split, folder.name) for path in _images_below(folder))


def _images_below(folder: Path) -> Iterator[Path]:
    for path in _visible_entries(folder):
        if path.is_dir():
            yield from _images_below(path)  # as ImageFolder does
        elif path.suffix.lower() in EXTENSIONS and path.is_file():
            yield path


def _visible_entries(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def check_trainable(data: Dataset, recipe: Recipe) -> None:
    """Raise DataError, with the counts a person needs to mend it, if this recipe cannot train on this dataset."""
    sizes = data.sizes()
    train = data.counts()["train"]
    if not sizes["train"]:
        raise DataError(f"{data.root}: no images in train/<label>/; nothing can be trained")
    if len(train) < 2:
        only = next(iter(train))
        raise DataError(f"{data.root}: train has one class only ({only}); a classifier needs two or more")
    if sizes["train"] + sizes["val"] > recipe.max_images:
        raise DataError(
            f"{data.root}: {sizes['train'] + sizes['val']} images in train and val; {recipe.name} allows "
            f"{recipe.max_images}: take some out ({_describe_counts(data.counts())})"
        )


def _describe_counts(counts: dict[str, dict[str, int]], limit: int = 20) -> str:
    """Describe the number of images in train and val, and in each of their `limit` largest classes."""
    parts = []
    for split in ("train", "val"):
        images = Counter(counts[split])
        shown = images.most_common(limit)
        rest = images.total() - sum(count for _, count in shown)
        shown += [(f"{len(images) - limit} more classes", rest)] if rest else []
        if images:
            parts.append(f"{split} {images.total()}: " + ", ".join(f"{label} {count}" for label, count in shown))
    return "; ".join(parts)
