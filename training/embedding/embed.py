"""Images as vectors, by a network that is not trained here: made once, and kept by the content of the image.

They lie beside the runs, in `.cache/<network>-<size>-v<VIEW>/`. A vector depends on nothing but the image, the network
and the machine: batches are filled up to one size, because how numbers are added depends on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from training import console, weights
from training.data.arrays import Bytes, Floats
from training.data.cache import RowCache
from training.data.decode import DECODE_VERSION, check_unchanged, shrink
from training.data.folder import Dataset
from training.data.images import CACHE
from training.errors import TrainingError
from training.parallel.local import Emit, run_all
from training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    Network: TypeAlias = Callable[[Tensor], Tensor]

BATCH = 16  # images at a time; part of what fixes the bits
GROUP = 4 * BATCH  # images between two writings

Halves: TypeAlias = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network with pretrained weights, and the size of the images that it looks at."""

    network: str
    weights: str  # a name that weights.py knows
    size: int  # pixels a side
    features: int  # in a vector


# Average precision at finding wrong labels of photos (9 / 18 / 42 % wrong), and images a second on a core, in float32:
# 96 px .549 / .735 / .884 at 279, 128 px .595 / .770 / .895 at 156, 160 px .603 / .777 / .901 at 92, 224 px .613 /
# .784 / .900 at 41
LITE0 = Backbone("efficientnet-lite0", weights.LITE0, 128, 1280)
FEATURES = {"efficientnet-lite0": 1280, "resnet50": 2048}


def backbone(recipe: Recipe) -> Backbone:
    """The recipe's own network as it was before the training, if it is pretrained; else a small one."""
    if not recipe.weights:
        return LITE0
    return Backbone(recipe.network, recipe.weights, recipe.image_size, FEATURES[recipe.network])


def embed(data: Dataset, chosen: Backbone, runs: Path, given: Path | None, report: console.ProgressCallback) -> Floats:
    """The vectors of all images, (N, features), in the dataset's order; `given` is where the weights are (weights.py).

    What was made stays when this is stopped. Raises TrainingError: no weights, an image that cannot be decoded, a full
    disk.
    """
    shelf = _shelf(runs, chosen)
    digests = [sample.digest for sample in data.samples]
    shelf.forget(digests)
    with shelf.in_use():
        missing = shelf.missing(digests)
        if missing:
            path = weights.fetch(chosen.weights, given, report)
            parts = [missing[i : i + GROUP] for i in range(0, len(missing), GROUP)]
            _make([_task(data, part, chosen, runs, path) for part in parts], report)
        rows, places = shelf.lookup(digests)
        found: Floats = rows[places].astype(np.float32)
    report("embed", len(digests), len(digests), "")
    return found


def _shelf(runs: Path, chosen: Backbone) -> RowCache:
    return RowCache(runs / CACHE / f"{chosen.network}-{chosen.size}-v{DECODE_VERSION}", (chosen.features,), np.float16)


@dataclass(frozen=True, slots=True)
class Task:
    """Some images to make vectors of, in another process."""

    chosen: Backbone
    runs: Path
    weights: Path
    paths: tuple[Path, ...]
    digests: tuple[str, ...]


def _task(data: Dataset, positions: Sequence[int], chosen: Backbone, runs: Path, path: Path) -> Task:
    samples = [data.samples[i] for i in positions]
    paths = tuple(data.root / sample.path for sample in samples)
    return Task(chosen, runs, path, paths, tuple(sample.digest for sample in samples))


def _make(tasks: Sequence[Task], report: console.ProgressCallback) -> None:
    """Work at tasks on all cores, or on the GPU; each keeps its vectors as soon as it has them."""
    done, total = 0, sum(len(task.paths) for task in tasks)

    def listen(task: Task, _: object) -> None:
        nonlocal done
        done += len(task.paths)
        report("embed", done, total, "")

    report("embed", 0, total, "")
    run_all(_work, tasks, 1 if len(tasks) == 1 else _workers(), listen)


def _workers() -> int:
    import torch

    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def _work(task: Task, tell: Emit) -> None:
    network, images = _network(task.chosen, task.weights), []
    for path, digest in zip(task.paths, task.digests, strict=True):
        images.append(shrink(path, task.chosen.size))
        check_unchanged(path, digest)
    parts = [np.stack(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    found = np.concatenate([vectors(network, part) for part in parts])
    _shelf(task.runs, task.chosen).append(task.digests, found)
    tell("done")


def vectors(network: Network, images: Bytes) -> Halves:
    """The vectors of at most BATCH images (n, H, W, 3), as (n, F); raises TrainingError when they are not numbers."""
    import torch

    whole = np.zeros((BATCH, *images.shape[1:]), np.uint8)
    whole[: len(images)] = images
    with torch.inference_mode():
        batch = torch.from_numpy(whole).to("cuda" if torch.cuda.is_available() else "cpu").permute(0, 3, 1, 2)
        found: Halves = network(batch.float()).cpu().numpy()[: len(images)].astype(np.float16)
    if not np.isfinite(found).all():
        raise TrainingError("the vectors of some images are not numbers: is this machine's GPU or memory at fault?")
    return found


@cache
def _network(chosen: Backbone, path: Path) -> Network:
    """A backbone as a function from images (N, 3, H, W), 0..255, to vectors (N, F), on this process's device."""
    import torch

    from training.fitting.trainer import has_bf16, prepare
    from training.networks.efficientnet import fuse
    from training.networks.registry import NETWORKS

    device, model = prepare(), NETWORKS[chosen.network](1, 0.1)
    model.load_pretrained(weights.load(chosen.weights, path))
    fuse(model).to(device).to(memory_format=torch.channels_last)

    def look(batch: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16()):
            return model.embed(batch).float()

    return look
