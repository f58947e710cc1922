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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from training.errors import DataError
from training.recipe import Recipe

LABELLED = ("train", "val", "test")
UNLABELLED = "unlabelled"
SPLITS = (*LABELLED, UNLABELLED)
# torchvision.datasets.folder.IMG_EXTENSIONS, without importing torch for it
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

VIEW = 2  # raised when the same file is seen otherwise, for what is kept of it: 2 = upright, by its EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


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
    return Sample(path.relative_to(root).as_posix(), split, label, _digest(path))


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the image cannot be read ({error.strerror})") from error


def check_unchanged(path: Path, digest: str) -> None:
    """Raise DataError where a file is no longer what it was when it was found.

    To be asked after an image was read and before what was made of it is kept by its digest.
    """
    if _digest(path) != digest:
        raise DataError(f"{path}: the image was changed while it was read; try again")


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
