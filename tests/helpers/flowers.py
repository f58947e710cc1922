"""A small CSV project for the tests of the Python API: coloured squares beside a labels.csv, and a tiny recipe."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.helpers.support import tiny_recipe
from tests.helpers.training_tree import square

LABELS = ("rose", "daisy", "tulip/red")  # the last one has another name as a folder
SPLITS = ("train", "train", "train", "val", "train", "test")
Cells = tuple[str, str, str, str]


def flower_rows(count: int = 36) -> list[Cells]:
    """Image, label, split, and the tag `light` of every row. The last image has no label."""
    rows = [(f"pics/{n}.png", LABELS[n % 3], SPLITS[n // 3 % 6], ("sun", "shade")[n % 2]) for n in range(count)]
    return [*rows, (f"pics/{count}.png", "", "", "sun")]


def write_rows(folder: Path, rows: list[Cells]) -> None:
    """Write labels.csv."""
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "label", "split", "light"), *rows])


def plant_flowers(folder: Path) -> Path:
    """Draw the images and write labels.csv and recipe.json into a new folder, which is returned."""
    (folder / "pics").mkdir(parents=True)
    rows = flower_rows()
    for number in range(len(rows)):
        square(number, number % 3).save(folder / "pics" / f"{number}.png")
    write_rows(folder, rows)
    tiny_recipe(folder / "recipe.json")
    return folder
