"""Edge-case datasets, each as a folder for a training and as a sheet for a pass; also for benchmarks/odd_data.py."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers.training_tree import save

Picture = tuple[str, str, Image.Image]  # split, label (both "" where there is none), image
SIDE = 16
CLASSES = 1000


def noise(seed: int, colour: int, width: int = SIDE, height: int = SIDE) -> Image.Image:
    """Make a noise image, different for each seed, brighter in one of three colours."""
    pixels = np.random.default_rng(seed).integers(0, 90, (height, width, 3))
    pixels[..., colour % 3] += 150
    return Image.fromarray(pixels.astype(np.uint8))


def images_of(split: str, **counts: int) -> list[Picture]:
    """Make `counts` images of each label; those of a label look alike."""
    start = {"train": 0, "val": 10_000, "": 20_000}[split]
    return [
        (split, label, noise(start + 1000 * colour + i, colour))
        for colour, (label, count) in enumerate(counts.items())
        for i in range(count)
    ]


def one_class() -> list[Picture]:
    return images_of("train", a=6) + images_of("val", a=2)


def class_of_one() -> list[Picture]:
    return images_of("train", a=8, b=8, c=1) + images_of("val", a=2, b=2)


def no_val() -> list[Picture]:
    return images_of("train", a=8, b=8)


def two_images() -> list[Picture]:
    return images_of("train", a=1, b=1)


def two_images_of_one_class() -> list[Picture]:
    return images_of("train", a=2)


def thousand_classes() -> list[Picture]:
    """Two images a class, and every tenth class in val."""
    names = [(f"class {i:03}", i) for i in range(CLASSES)]
    train = [("train", name, noise(2 * i + copy, i)) for name, i in names for copy in range(2)]
    return train + [("val", name, noise(10_000 + i, i)) for name, i in names[::10]]


def imbalance() -> list[Picture]:
    return images_of("train", a=200, b=2) + images_of("val", a=10, b=1)


def identical_of_one_label() -> list[Picture]:
    return [("train", "a", noise(1, 0))] * 4 + [("val", "a", noise(1, 0))]


def identical_of_two_labels() -> list[Picture]:
    pairs = [("train", "a"), ("train", "a"), ("train", "b"), ("val", "b"), ("", "")]
    return [(*pair, noise(1, 0)) for pair in pairs]


def class_in_val_only() -> list[Picture]:
    return images_of("train", a=6, b=6) + images_of("val", a=2, b=2, c=2)


def unlabelled_only() -> list[Picture]:
    return [("", "", noise(i, i)) for i in range(4)]


def odd_shapes() -> list[Picture]:
    shapes = [(1, 1), (5000, 3), (3, 5000)]
    odd = [("train", "ab"[i % 2], noise(90 + i, i % 2, *shape)) for i, shape in enumerate(shapes)]
    return [*odd, *images_of("train", a=6, b=6), *images_of("val", a=1), ("val", "b", noise(99, 1, 1, 1))]


def one_left_for_the_last_batch() -> list[Picture]:
    """One image more than batches of 16 take."""
    return images_of("train", a=9, b=8)


def too_many() -> list[Picture]:
    """More than the 300 images that the recipes here allow."""
    return images_of("train", a=150, b=150) + images_of("val", a=1)


SETS: dict[str, Callable[[], list[Picture]]] = {
    make.__name__.replace("_", " "): make
    for make in (
        one_class,
        class_of_one,
        no_val,
        two_images,
        two_images_of_one_class,
        one_left_for_the_last_batch,
        thousand_classes,
        imbalance,
        identical_of_one_label,
        identical_of_two_labels,
        class_in_val_only,
        unlabelled_only,
        odd_shapes,
        too_many,
    )
}
CHANGES = {"batch": 16, "epochs": 2, "folds": 2, "max_images": 300}
MOST = 10_000  # images for the set that needs them
LITE = {
    "network": "efficientnet-lite0",
    "weights": "efficientnet-lite0",
    "image_size": 40,
    "crop_size": 33,
    "resize": "antialias",
    "augment": "crop-flip",
    "crop_area": 0.35,
    "epochs": 1,
}


def write_folder(pictures: list[Picture], root: Path) -> None:
    """Write images as `<split>/<label>/<number>.png`."""
    root.mkdir(parents=True)
    for number, (split, label, image) in enumerate(pictures):
        save(root / (f"{split}/{label}" if label else "unlabelled") / f"{number}.png", image)


def write_project(pictures: list[Picture], root: Path, recipe: Path, *, provisional: bool = True) -> None:
    """Write images and a CSV sheet of them, with a configuration."""
    rows = [["image", "label", "split"]]
    for number, (split, label, image) in enumerate(pictures):
        save(root / f"images/{number}.png", image)
        rows.append([f"images/{number}.png", label, split])
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    choices = f"[training]\nprovisional = {str(provisional).lower()}\n"
    (root / "sheetsync.toml").write_text(f'sheet = "labels.csv"\nrecipe = "{recipe}"\n{choices}')
