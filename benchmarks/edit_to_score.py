"""Latency from an edit of 100 labels to a new score: `python benchmarks/edit_to_score.py [RECIPE [ROUNDS]]`.

The 3,000 images are scikit-learn's digits, some of them shifted, as PNGs of 64 pixels beside a CSV. After a first pass,
which decodes and embeds them, each round changes the labels of another 100 images and measures, side by side:

    sheetsync   `sheetsync sync` as a user starts it: the time until provisional predictions stand in the CSV, until the
                pass ends with the score of the trained model and its folds, and the seconds of its stages
    by hand     the script that people write (below): pandas, shutil, a torchvision loop in fp32 for the same network,
                batch, epochs and folds; until the score is printed and the CSV written

Seconds, medians over rounds. The default recipe is demo-resnet50.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

COUNT, EDITED = 3000, 100
HEADER = ["image", "label", "split"]


def write_project(root: Path, recipe: str) -> None:
    """Write images, a sheet and a configuration."""
    digits = load_digits()
    (root / "images").mkdir()
    rows = []
    for i in range(COUNT):
        pixels = np.roll(digits.images[i % len(digits.images)], i // len(digits.images), axis=1)
        grey = Image.fromarray((pixels / 16 * 255).round().astype(np.uint8))
        grey.resize((64, 64), Image.Resampling.BICUBIC).save(root / f"images/{i:04d}.png")
        rows.append([f"images/{i:04d}.png", str(digits.target[i % len(digits.images)]), ""])
    write_rows(root / "labels.csv", [HEADER, *rows])
    (root / "sheetsync.toml").write_text(f'sheet = "labels.csv"\nrecipe = "{recipe}"\n')


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write_rows(path: Path, rows: list[list[str]]) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    temporary.replace(path)


def edit(path: Path, number: int) -> None:
    """Change 100 labels of the sheet, others in each round."""
    header, *rows = read_rows(path)
    label = header.index("label")
    for row in np.random.default_rng(number).permutation(len(rows))[:EDITED]:
        rows[row][label] = str((int(rows[row][label]) + 1) % 10)
    write_rows(path, [header, *rows])


def sync(root: Path) -> tuple[dict[str, float], dict[str, Any]]:
    """Run one pass; returns the seconds of its stages, of both kinds of predictions, and its report."""
    program, path = Path(sys.executable).with_name("sheetsync"), root / "labels.csv"
    start, inode, first = time.perf_counter(), path.stat().st_ino, 0.0
    process = subprocess.Popen([program, "sync", "--json"], cwd=root, stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        if not first and path.stat().st_ino != inode and "predictions are provisional" in path.read_text():
            first = time.perf_counter() - start
        time.sleep(0.02)
    total = time.perf_counter() - start
    report = json.loads((process.stdout or sys.stdin).read())
    stages = report["seconds"]
    rest = {"start and end": total - sum(stages.values())}
    return {**stages, **rest, "PROVISIONAL PREDICTIONS": first, "SCORE": total}, report


BY_HAND = """
import json, os, shutil, sys, time
import pandas as pd
start = time.perf_counter()
import torch
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torch.utils.data import DataLoader, Subset
from training.networks.registry import build
from training.recipe import load_recipe

recipe, seconds = load_recipe(sys.argv[1]), {}
def lap(name):
    global start
    seconds[name] = time.perf_counter() - start
    start = time.perf_counter()
lap("imports")

sheet = pd.read_csv("labels.csv", dtype=str, keep_default_na=False)
shutil.rmtree("byhand", ignore_errors=True)
for split in ("train", "val"):
    for label in sorted(set(sheet.label)):
        os.makedirs(f"byhand/{split}/{label}")
for image, label, split in zip(sheet.image, sheet.label, sheet.used_split):
    shutil.copy(image, f"byhand/{split}/{label}/")
size = (recipe.image_size, recipe.image_size)
change = transforms.Compose([transforms.Resize(size), transforms.ToTensor()])
train, val = (ImageFolder(f"byhand/{split}", change) for split in ("train", "val"))
lap("folders")

def fit(dataset):
    torch.manual_seed(0)
    loader = DataLoader(dataset, recipe.batch, shuffle=True, num_workers=2)
    model = build(recipe, 10, torch.Generator().manual_seed(0)).train()
    optimiser = torch.optim.Adam(model.parameters(), recipe.learning_rate)
    for epoch in range(recipe.epochs):
        for images, targets in loader:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images * 255), targets)
            loss.backward()
            optimiser.step()
    return model.eval()

@torch.no_grad()
def predict(model, dataset):
    return torch.cat([model(images * 255).softmax(1) for images, _ in DataLoader(dataset, 256, num_workers=2)])

model = fit(train)
right = predict(model, val).argmax(1) == torch.tensor(val.targets)
lap("main model")
predictions = {}
for fold in range(recipe.folds):
    held = [i for i in range(len(train)) if i % recipe.folds == fold]
    rest = [i for i in range(len(train)) if i % recipe.folds != fold]
    probs = predict(fit(Subset(train, rest)), Subset(train, held))
    for i, row in zip(held, probs):
        image = "images/" + train.imgs[i][0].rsplit("/", 1)[1]
        predictions[image] = (train.classes[int(row.argmax())], float(row.max()))
lap("folds")
sheet["by_hand"] = [predictions.get(image, ("", ""))[0] for image in sheet.image]
sheet.to_csv("byhand.csv", index=False)
lap("write")
print(json.dumps({**seconds, "accuracy": float(right.float().mean())}))
"""


def by_hand(root: Path, recipe: str) -> dict[str, float]:
    """Run the script that people write by hand; returns the seconds of its parts."""
    start = time.perf_counter()
    command = [sys.executable, "-c", BY_HAND, recipe]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    figures["val accuracy"] = figures.pop("accuracy")
    return figures | {"SCORE": time.perf_counter() - start}


def table(title: str, rounds: list[dict[str, float]]) -> None:
    """Print the medians over rounds."""
    print(f"{title}:")
    for name in rounds[0]:
        values = sorted(figures[name] for figures in rounds)
        print(f"    {name:24} {statistics.median(values):8.2f}   ({values[0]:.2f} to {values[-1]:.2f})")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Print the table."""
    recipe, count = (arguments + ["demo-resnet50", "3"][len(arguments) :])[:2]
    print(
        f"{COUNT} images, {EDITED} labels changed, {recipe}, {os.cpu_count()} cores; seconds, medians of {count} rounds"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_project(root, recipe)
        table("sheetsync, first pass of all", [sync(root)[0]])
        ours, others = [], []
        for number in range(int(count)):
            edit(root / "labels.csv", number)
            seconds, report = sync(root)
            ours.append(seconds | {"val accuracy": report["score"]["val_accuracy"]})
            others.append(by_hand(root, recipe))
        table("sheetsync", ours)
        table("by hand", others)
    ratios = sorted(hand["SCORE"] / mine["SCORE"] for hand, mine in zip(others, ours, strict=True))
    print(f"by hand / sheetsync, to the score: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
