"""Throughput of the training loop, beside two bounds: `python benchmarks/training_speed.py [RECIPE …]`.

For each recipe, on generated files (32 px: PNGs of 64 px; 224 px: JPEGs of 500 px), in images a second:

    compute   the optimiser step alone, on one batch in memory; precision, layout and optimiser as in our loop
    loop      our loop over all images from the cache of decoded ones; one process, one thread
    plain     the usual loop of tutorials: ImageFolder, transforms, DataLoader, fp32, Adam, the same network and batch;
              one process, one thread
    two       two of our processes at a time, as folds are trained: the sum
    plain 2   the plain loop with PyTorch's defaults: as many threads as cores, and two loader processes
    decode    files into the cache, on all cores; done once for each image, whatever happens to its label

The measurements of a round follow each other directly, compute and loop in turns; the ratios are medians over rounds of
ratios within a round. On a GPU, if there is one, the same is measured there; "two" is left out, because folds take
turns on it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from training.data.folder import scan
from training.data.images import decode_images
from training.fitting.trainer import Trainer
from training.networks.registry import build
from training.recipe import RECIPES, Recipe

# Images, epochs a measurement, rounds. ResNet-50 starts from random numbers here: its speed is the same.
SIZES = {"roman-resnet50": (1024, 1, 5), "demo-resnet50": (1024, 2, 5), "resnet50": (64, 1, 3)}
GPU_SIZES = {"roman-resnet50": (4096, 1, 5), "demo-resnet50": (8192, 3, 5), "resnet50": (2048, 2, 3)}


def measured_recipe(name: str) -> Recipe:
    """Return a recipe as it is measured: its crops are as large for us as for the plain loop."""
    recipe = RECIPES[name]
    return replace(recipe, weights="", crop_size=recipe.image_size)


def sizes(name: str) -> tuple[int, int, int]:
    return (GPU_SIZES if torch.cuda.is_available() else SIZES)[name]


def write_files(root: Path, recipe: Recipe, count: int) -> None:
    """Write smooth random images of ten classes."""
    random, photo = np.random.default_rng(0), recipe.image_size > 64
    for i in range(count):
        small = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
        path = root / "train" / str(i % 10) / (f"{i}.jpg" if photo else f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((500, 400) if photo else (64, 64), Image.Resampling.BICUBIC).save(path)


def timed(work: Callable[[], object], images: int) -> float:
    """Run `work` and return its images a second."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return images / (time.perf_counter() - start)


def ours(root: Path, recipe: Recipe, epochs: int) -> dict[str, float]:
    """Measure our loop and the step alone, in turns."""
    data = scan(root)
    with decode_images(data, recipe, root / "cache", lambda *_: None) as store:
        images, count = store.open(), len(data.samples)
        trainer = Trainer(recipe, images, data.targets(), 10, 0)
        positions = torch.arange(min(recipe.batch, count))
        batch = torch.from_numpy(images[: len(positions)]).to(trainer.device).permute(0, 3, 1, 2)
        steps = count // len(positions)

        def compute() -> None:
            for _ in range(steps):
                trainer.step(0, batch, positions)

        trainer.model.train()
        trainer.step(0, batch, positions)
        rates: dict[str, list[float]] = {"loop": [], "compute": []}
        for _ in range(max(2, epochs)):
            rates["loop"].append(timed(lambda: trainer.run_epoch(1), count))
            rates["compute"].append(timed(compute, steps * len(positions)))
    return {name: statistics.median(values) for name, values in rates.items()}


def plain(root: Path, recipe: Recipe, epochs: int, workers: int) -> dict[str, float]:
    """Measure a loop as in the tutorials."""
    size = recipe.image_size
    flip = [transforms.RandomResizedCrop(size, (recipe.crop_area, 1.0)), transforms.RandomHorizontalFlip()]
    first = flip if recipe.augment == "crop-flip" else [transforms.Resize((size, size))]
    folder = ImageFolder(str(root / "train"), transforms.Compose([*first, transforms.ToTensor()]))
    loader = torch.utils.data.DataLoader(
        folder, recipe.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(recipe, 10, torch.Generator().manual_seed(0)).to(device).train()
    optimiser = torch.optim.Adam(model.parameters(), recipe.learning_rate)

    def epoch() -> None:
        for images, targets in loader:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images.to(device) * 255), targets.to(device))
            loss.backward()
            optimiser.step()

    next(iter(loader))  # so that its processes have started
    return {"plain": statistics.median(timed(epoch, len(folder)) for _ in range(epochs))}


def measure(what: str, root: Path, name: str) -> dict[str, float]:
    """Make one measurement, in this process."""
    recipe, (count, epochs, _) = measured_recipe(name), sizes(name)
    if what == "decode":
        data = scan(root)
        decoding = decode_images(data, recipe, root / "cache", lambda *_: None)
        return {"decode": timed(decoding.__enter__, count)}
    if what == "ours":
        return ours(root, recipe, epochs)
    if what == "plain":
        torch.set_num_threads(1)
        return plain(root, recipe, epochs, 0)
    return plain(root, recipe, epochs, 2)


def measure_together(whats: list[str], root: Path, name: str) -> list[dict[str, float]]:
    """Make measurements at the same time, each in its own process."""
    command = [sys.executable, __file__, "--measure"]
    started = [subprocess.Popen([*command, what, str(root), name], stdout=subprocess.PIPE, text=True) for what in whats]
    return [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]


def run_rounds(root: Path, name: str) -> list[dict[str, float]]:
    """Return the figures of every round."""
    results = []
    for _ in range(sizes(name)[2]):
        alone, slow, usual = (measure_together([what], root, name)[0] for what in ("ours", "plain", "plain 2"))
        figures = alone | slow | {"plain 2": usual["plain"]}
        if not torch.cuda.is_available():
            figures["two"] = sum(rates["loop"] for rates in measure_together(["ours", "ours"], root, name))
        results.append(figures)
    return results


def report(name: str, decode: float, rounds: list[dict[str, Any]]) -> None:
    """Print the medians of one recipe, and its ratios."""
    names = [key for key in ("compute", "loop", "plain", "two", "plain 2") if key in rounds[0]]
    medians = {key: statistics.median(figures[key] for figures in rounds) for key in names}
    print(f"{name}: decode {decode:.0f}, " + ", ".join(f"{key} {value:.1f}" for key, value in medians.items()))
    pairs = [("loop", "compute"), ("loop", "plain"), ("two" if "two" in medians else "loop", "plain 2")]
    for one, other in pairs:
        ratios = sorted(figures[one] / figures[other] for figures in rounds)
        middle = statistics.median(ratios)
        print(f"    {one} / {other}: {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {len(ratios)} rounds)")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Print the figures of the named recipes, or of all."""
    if arguments[:1] == ["--measure"]:
        print(json.dumps(measure(arguments[1], Path(arguments[2]), arguments[3])))
        return
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
    print(f"{where}, PyTorch {torch.__version__}; images a second")
    for name in arguments or list(SIZES):
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), measured_recipe(name), sizes(name)[0])
            decode = measure_together(["decode"], Path(folder), name)[0]["decode"]
            report(name, decode, run_rounds(Path(folder), name))


if __name__ == "__main__":
    main(sys.argv[1:])
