"""Embeddings: images as vectors from a frozen pretrained network, computed once and cached by content digest.

The cache lies beside the runs, in `.cache/<network>-<size>-v<DECODE_VERSION>/`. A vector depends on nothing but the
image, the network and the machine: batches are padded to one size, because the order of summation depends on it.
"""

from __future__ import annotations

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
from training.data.decode import DECODE_VERSION, check_unchanged, read_antialiased
from training.data.folder import Dataset
from training.data.images import CACHE_FOLDER
from training.errors import TrainingError
from training.parallel.local import Emit, default_workers, run_all
from training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    Network: TypeAlias = Callable[[Tensor], Tensor]

BATCH = 16  # images at a time; the bits depend on it
TASK_SIZE = 4 * BATCH  # images embedded between two writes to the cache

Halves: TypeAlias = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained network, and the size of the images that it takes."""

    network: str
    weights: str  # a name that weights.py knows
    size: int  # pixels a side
    features: int  # in a vector


# Average precision at finding wrong labels of photos (9 / 18 / 42 % wrong), and images a second on a core, in float32:
# 96 px .549 / .735 / .884 at 279, 128 px .595 / .770 / .895 at 156, 160 px .603 / .777 / .901 at 92, 224 px .613 /
# .784 / .900 at 41
LITE0 = Backbone("efficientnet-lite0", weights.LITE0, 128, 1280)
FEATURES = {"efficientnet-lite0": 1280, "resnet50": 2048}


def backbone_for(recipe: Recipe) -> Backbone:
    """Return the recipe's own network with its pretrained weights if it has any, else a small one."""
    if not recipe.weights:
        return LITE0
    return Backbone(recipe.network, recipe.weights, recipe.image_size, FEATURES[recipe.network])


def embed(
    data: Dataset, backbone: Backbone, runs: Path, custom: Path | None, report: console.ProgressCallback
) -> Floats:
    """Return the vectors of all images, (N, features), in the order of the dataset.

    `custom` is the path of the weights, None = the default one (see weights.py). Vectors computed before an
    interruption stay cached. Raises TrainingError for missing weights, an image that cannot be decoded, or a full disk.
    """
    cached = vector_cache(runs, backbone)
    digests = [sample.digest for sample in data.samples]
    cached.remove_stale(digests)
    with cached.in_use():
        missing = cached.missing(digests)
        if missing:
            path = weights.fetch(backbone.weights, custom, report)
            tasks = []
            for start in range(0, len(missing), TASK_SIZE):
                samples = [data.samples[i] for i in missing[start : start + TASK_SIZE]]
                paths = tuple(data.root / sample.path for sample in samples)
                tasks.append(Task(backbone, runs, path, paths, tuple(sample.digest for sample in samples)))
            _run_tasks(tasks, report)
        rows, indices = cached.lookup(digests)
        vectors: Floats = rows[indices].astype(np.float32)
    report("embed", len(digests), len(digests), "")
    return vectors


def vector_cache(runs: Path, backbone: Backbone) -> RowCache:
    """Return the cache of a backbone's vectors beside the runs."""
    name = f"{backbone.network}-{backbone.size}-v{DECODE_VERSION}"
    return RowCache(runs / CACHE_FOLDER / name, (backbone.features,), np.float16)


@dataclass(frozen=True, slots=True)
class Task:
    """Some images to embed in a worker process."""

    backbone: Backbone
    runs: Path
    weights: Path
    paths: tuple[Path, ...]
    digests: tuple[str, ...]


def _run_tasks(tasks: Sequence[Task], report: console.ProgressCallback) -> None:
    """Run tasks on all cores, or on the GPU; each caches its vectors as soon as it has them."""
    done, total = 0, sum(len(task.paths) for task in tasks)

    def listen(task: Task, _: object) -> None:
        nonlocal done
        done += len(task.paths)
        report("embed", done, total, "")

    report("embed", 0, total, "")
    run_all(run_task, tasks, 1 if len(tasks) == 1 else default_workers(), listen)


def run_task(task: Task, emit: Emit) -> None:
    """Embed the images of a task and cache their vectors. Raises TrainingError."""
    network, images = load_backbone(task.backbone, task.weights), []
    for path, digest in zip(task.paths, task.digests, strict=True):
        images.append(read_antialiased(path, task.backbone.size))
        check_unchanged(path, digest)
    batches = [np.stack(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    vectors = np.concatenate([embed_batch(network, batch) for batch in batches])
    vector_cache(task.runs, task.backbone).append(task.digests, vectors)
    emit("done")


def embed_batch(network: Network, images: Bytes) -> Halves:
    """Return the vectors (n, F) of at most BATCH images (n, H, W, 3); raises TrainingError when they are not finite."""
    import torch

    padded = np.zeros((BATCH, *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    with torch.inference_mode():
        batch = torch.from_numpy(padded).to("cuda" if torch.cuda.is_available() else "cpu").permute(0, 3, 1, 2)
        vectors: Halves = network(batch.float()).cpu().numpy()[: len(images)].astype(np.float16)
    if not np.isfinite(vectors).all():
        raise TrainingError("the vectors of some images are not numbers: is this machine's GPU or memory at fault?")
    return vectors


@cache
def load_backbone(backbone: Backbone, path: Path) -> Network:
    """Load a backbone as a function from images (N, 3, H, W), 0..255, to vectors (N, F), on this process's device."""
    import torch

    from training.fitting.trainer import has_bf16, prepare_process
    from training.networks.efficientnet import fuse_batchnorm
    from training.networks.registry import NETWORKS

    device, model = prepare_process(), NETWORKS[backbone.network](1, 0.1)
    model.load_pretrained(weights.load(backbone.weights, path))
    fuse_batchnorm(model).to(device).to(memory_format=torch.channels_last)

    def network(batch: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16()):
            return model.embed(batch).float()

    return network
