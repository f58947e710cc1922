"""Compare variants of the demo's recipe (ablation): `python benchmarks/demo_recipe.py`.

Data: scikit-learn's 1,797 digits (8 x 8 pixels, ten classes), enlarged to 64 pixels by bicubic interpolation; 20 % are
val; 3 % of all labels are replaced by a random wrong one, others for each seed. One row for each recipe, means over
the seeds:

    val      accuracy on val against the given labels; about 0.97 at best, because 3 % of the labels are wrong
    true     accuracy on val against the true labels
    AP       average precision of low self-confidence for finding the wrong labels of train
    CPU s    processor seconds of the main model and all folds, two processes at a time, including their start;
             on two idle cores half as many seconds pass, and a busy machine changes the figure little
"""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

from training.data.folder import scan
from training.data.images import CACHE_FOLDER, decode_images
from training.fitting.crossval import JobContext, assign_folds, plan_jobs, run_jobs
from training.recipe import RECIPES, Recipe

DEMO = RECIPES["demo-resnet50"]
SEEDS = (0, 1)
WRONG, VAL = 0.03, 0.2
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"epochs": 4},
    {"epochs": 8},
    {"norm_momentum": 0.01},
    {"schedule": "constant", "warmup": 0.0, "learning_rate": 1e-3},
    {"average_from": 1.0},
    {"precision": "fp32"},
    {"learning_rate": 1e-3},
    {"folds": 3},
)


def write_digits(root: Path, seed: int) -> dict[str, str]:
    """Write the dataset folder; returns the true label of every file."""
    digits, random = load_digits(), np.random.default_rng(seed)
    given, count = digits.target.copy(), len(digits.target)
    wrong = random.permutation(count)[: round(WRONG * count)]
    given[wrong] = (given[wrong] + random.integers(1, 10, len(wrong))) % 10
    val = set(random.permutation(count)[: round(VAL * count)].tolist())
    truth = {}
    for i, pixels in enumerate(digits.images):
        name = f"{'val' if i in val else 'train'}/{given[i]}/{i:04d}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((pixels / 16 * 255).round().astype(np.uint8))
        grey.resize((64, 64), Image.Resampling.BICUBIC).save(root / name)
        truth[name] = str(digits.target[i])
    return truth


def measure(recipe: Recipe, root: Path, truth: dict[str, str]) -> dict[str, float]:
    """Train the main model and the folds; returns the figures of one row."""
    data = scan(root)
    train, val, targets = data.positions("train"), data.positions("val"), data.targets()
    samples = [data.samples[i] for i in train]
    fold = assign_folds([s.digest for s in samples], [s.label for s in samples], recipe.folds, recipe.seed)
    jobs = plan_jobs(data, fold, recipe.seed)
    with decode_images(data, recipe, root / CACHE_FOLDER, lambda *_: None) as images:
        context = JobContext(recipe, images, targets, len(data.classes), root / "weights")
        before = _seconds_of_children()
        results = run_jobs(context, jobs, 2, lambda *_: None)
    seconds = _seconds_of_children() - before

    true = np.array([data.classes.index(truth[sample.path]) for sample in data.samples])
    own = np.zeros(len(targets))
    for job, result in zip(jobs[1:], results[1:], strict=True):
        own[job.held_out] = result.held_out[np.arange(len(job.held_out)), targets[job.held_out]]
    guess = results[0].held_out.argmax(1)
    return {
        "val": float((guess == targets[val]).mean()),
        "true": float((guess == true[val]).mean()),
        "AP": float(average_precision_score(targets[train] != true[train], -own[train])),
        "CPU s": seconds,
    }


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(changes: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the name and the mean figures of every recipe."""
    for change in changes:
        figures = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                truth = write_digits(Path(folder), seed)
                figures.append(measure(replace(DEMO, **change), Path(folder), truth))
        name = ", ".join(f"{key} {value}" for key, value in change.items()) or "demo-resnet50"
        yield name, {key: float(np.mean([row[key] for row in figures])) for key in figures[0]}


def main() -> None:
    """Print the table."""
    print(f"{'recipe':54} {'val':>6} {'true':>6} {'AP':>6} {'CPU s':>6}")
    for name, row in rows(CHANGES):
        print(f"{name:54} {row['val']:6.3f} {row['true']:6.3f} {row['AP']:6.3f} {row['CPU s']:6.1f}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
