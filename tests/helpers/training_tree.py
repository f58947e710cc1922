"""A tiny dataset and recipe, and the command that trains on them, for the tests of the training package."""

import csv
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from PIL import Image

from training.recipe import RECIPES

TINY = replace(
    RECIPES["roman-resnet50"],
    name="tiny",
    epochs=3,
    learning_rate=1e-3,
    norm_momentum=0.1,
    folds=3,
    precision="bf16",
)
FILES = {"recipe.json", "metrics.json", "predictions.csv", "probs.npy", "model.safetensors"}


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def square(number, colour):
    """Make a noisy image of 30 x 40 pixels: reddish, greenish or bluish."""
    pixels = np.random.default_rng(number).integers(0, 90, (40, 30, 3))
    pixels[..., colour] += 150
    return Image.fromarray(pixels.astype(np.uint8))


def write_recipe(path, **changes):
    path.write_text(json.dumps(asdict(replace(TINY, **changes))))
    return path


def write_example(root):
    """Put data/ (three classes, a comma in a file's name) and tiny.json into a folder; returns the folder."""
    for split, count in {"train": 8, "val": 3, "test": 2}.items():
        for colour, label in enumerate(["red", "green", "blue"]):
            for i in range(count):
                name = "a, b.png" if i == 0 else f"{i}.png"
                save(root / "data" / split / label / name, square(10 * i + len(split), colour))
    save(root / "data/unlabelled/u.png", square(1, 0))
    write_recipe(root / "tiny.json")
    return root


def command(data, recipe, runs, *more):
    start = [sys.executable, "-m", "training.train", data, "--recipe", recipe, "--runs", runs]
    return [str(part) for part in (*start, *more)]


def train(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True)


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def folder_of(result):
    assert result.returncode == 0, result.stderr
    return Path(lines(result)[-1]["run"])


def made_in(runs):
    """Return the names in a folder of runs, without its cache."""
    return {path.name for path in runs.glob("*")} - {".cache"}


def rows_of(folder):
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())
