"""Find the images of a dataset folder, and turn each into a square of numbers.

    <root>/train/<label>/*.png    val/<label>/*    test/<label>/*    unlabelled/*

A file's label is the name of its folder. Files whose name or folder starts with a dot are left aside, as
is everything that is not an image by its ending.
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
    """One image file: its POSIX path below the root, and the sha256 of its bytes. `label` "" = none."""

    path: str
    split: str
    label: str
    digest: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All images of a folder, sorted by path."""

    root: Path
    samples: tuple[Sample, ...]

    @property
    def classes(self) -> list[str]:
        """The labels of train, val and test, sorted: the model's outputs, in this order."""
        return sorted({sample.label for sample in self.samples if sample.label})

    @property
    def digest(self) -> str:
        """64 hexadecimal characters over every path and content."""
        lines = [f"{sample.path}\0{sample.digest}\n" for sample in self.samples]
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def where(self, *splits: str) -> Ints:
        """The positions of the samples in these splits, ascending."""
        return np.array([i for i, sample in enumerate(self.samples) if sample.split in splits], np.int64)

    def targets(self) -> Ints:
        """Each sample's class number, (N,); -1 where it has no label."""
        number = {label: i for i, label in enumerate(self.classes)} | {"": -1}
        return np.array([number[sample.label] for sample in self.samples], np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many images each labelled split has of each class that occurs in it."""
        found = Counter((sample.split, sample.label) for sample in self.samples)
        return {
            split: {label: found[split, label] for label in self.classes if found[split, label]} for split in LABELLED
        }

    def sizes(self) -> dict[str, int]:
        """How many images each split has."""
        found = Counter(sample.split for sample in self.samples)
        return {split: found[split] for split in SPLITS}

    def untrained(self) -> list[str]:
        """The classes that val or test have and train lacks: the model has no way to learn them."""
        trained = self.counts()["train"]
        return [label for label in self.classes if label not in trained]


def scan(root: Path, splits: Iterable[str] = SPLITS) -> Dataset:
    """Find and digest the images of these splits. Raises DataError when there is no such folder."""
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    found = [place for split in splits for place in _files(root, split)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        samples = pool.map(lambda place: _sample(root, *place), found)
        return Dataset(root, tuple(sorted(samples)))


def _files(root: Path, split: str) -> Iterator[tuple[Path, str, str]]:
    if split == UNLABELLED:
        yield from ((path, split, "") for path in _images(root / split))
        return
    for folder in _visible(root / split):
        yield from ((path, split, folder.name) for path in _images(folder))


def _images(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _images(path)  # ImageFolder looks into folders of folders, too
        elif path.suffix.lower() in EXTENSIONS and path.is_file():
            yield path


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _sample(root: Path, path: Path, split: str, label: str) -> Sample:
    return Sample(path.relative_to(root).as_posix(), split, label, file_digest(path))


def check(data: Dataset, recipe: Recipe) -> None:
    """Raise DataError, with the counts a person needs to mend it, where this recipe cannot train on this data."""
    sizes = data.sizes()
    trained = data.counts()["train"]
    if not sizes["train"]:
        raise DataError(f"{data.root}: no images in train/<label>/; nothing can be trained")
    if len(trained) < 2:
        only = next(iter(trained))
        raise DataError(f"{data.root}: train has one class only ({only}); a classifier needs two or more")
    if sizes["train"] + sizes["val"] > recipe.max_images:
        raise DataError(
            f"{data.root}: {sizes['train'] + sizes['val']} images in train and val; {recipe.name} allows "
            f"{recipe.max_images}: take some out ({_listed(data.counts())})"
        )


def _listed(counts: dict[str, dict[str, int]], most: int = 20) -> str:
    """Images of each class, the largest first, for the splits that a limit is about."""
    return "; ".join(
        f"{split} {sum(counts[split].values())}: " + ", ".join(f"{label} {n}" for label, n in _largest(found, most))
        for split in ("train", "val")
        if (found := Counter(counts[split]))
    )


def _largest(found: Counter[str], most: int) -> list[tuple[str, int]]:
    rest = sum(found.values()) - sum(n for _, n in found.most_common(most))
    others = [(f"{len(found) - most} more classes", rest)] if rest else []
    return found.most_common(most) + others
