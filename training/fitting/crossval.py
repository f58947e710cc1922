"""Out-of-sample predictions for every image, in one round of jobs: the main model, and one model a fold.

A model that saw an image in training repeats the label it was given, right or wrong. So the train images
are cut into K folds, and each fold is predicted by a model that trained on the other folds only. These
models are compared with no val split: their probabilities are averaged over the later epochs, which finds
wrong labels far better than the last epoch alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.data.arrays import Floats, Ints
from training.data.folder import Dataset
from training.data.images import DecodedStore
from training.fitting.metrics import Epoch
from training.parallel.local import Emit, run_all
from training.recipe import Recipe

if TYPE_CHECKING:
    from training.fitting.checkpoint import Checkpoint

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Job:
    """One model to train. Positions count the dataset's samples."""

    name: str
    seed: int
    train: Ints  # (n,)
    held: Ints  # the val images of the main model, the held-out images of a fold
    others: Ints  # predicted besides, when the model is ready


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came of a job."""

    held: Floats  # (len(held), K) probabilities
    others: Floats  # (len(others), K)
    best_epoch: int
    history: tuple[Epoch, ...]
    micro_batch: int  # images learned from at a time
    machine: dict[str, Any]  # what else the bits depend on


@dataclass(frozen=True, slots=True)
class JobContext:
    """Where the jobs of a run find what they share."""

    recipe: Recipe
    images: DecodedStore
    targets: Ints  # (N,)
    classes: int
    weights: Path  # where the main model goes
    kept: Path | None = None  # the folder in which a job leaves how far it has come, and goes on from there
    key: Mapping[str, str] = field(default_factory=dict)  # which images and recipe that is about
    start: Path | None = None  # the recipe's pretrained weights


def assign_folds(digests: Sequence[str], labels: Sequence[str], folds: int, seed: int) -> Ints:
    """The fold of every image, 0..K-1, as (n,); all -1 where there are fewer than two different images.

    Stratified: each class is dealt out evenly, and so is the whole. Equal images share a fold, so that no
    model is asked about an image it has seen. K is `folds`, or the number of different images if that is
    less. Depends on contents, labels and seed only, not on order or names.
    """
    # Where equal images were given different labels, the first of these in the alphabet deals them.
    dealt: dict[str, str] = {}
    for digest, label in sorted(zip(digests, labels, strict=True)):
        dealt.setdefault(digest, label)
    count = min(folds, len(dealt))
    if count < 2:
        return np.full(len(digests), -1, np.int64)
    deck = sorted(dealt, key=lambda digest: (dealt[digest], _shuffled(digest, seed)))
    fold = {digest: place % count for place, digest in enumerate(deck)}
    return np.array([fold[digest] for digest in digests], np.int64)


def _shuffled(digest: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {digest}".encode()).hexdigest()


def plan_jobs(data: Dataset, fold: Ints, seed: int) -> list[Job]:
    """The main model first, for it takes longest, then one model a fold. `fold` is that of the train images."""
    train, val, none = data.where("train"), data.where("val"), np.zeros(0, np.int64)
    jobs = [Job(MAIN, seed, train, val, data.where("test", "unlabelled"))]
    for number in range(fold.max() + 1):
        name = f"fold {number + 1}"
        jobs.append(Job(name, seed + number + 1, train[fold != number], train[fold == number], none))
    return jobs


def run_jobs(
    bench: JobContext, jobs: Sequence[Job], workers: int, listen: Callable[[Job, Any], None]
) -> list[JobResult]:
    """Train every job's model, `workers` at a time, which changes the time it takes and nothing else."""
    return run_all(partial(run_job, bench), jobs, workers, listen)


def run_job(bench: JobContext, job: Job, tell: Emit) -> JobResult:
    """Train one model, in this process; the weights of the main model are written to `bench.weights`.

    Tells its epochs, and words. One that was trained already is read back, and only predicts.
    """
    from training.fitting import loop, trainer

    main, recipe = job.name == MAIN, bench.recipe.with_min_steps(len(job.train))
    images = bench.images.open()
    held, truth = images.only(job.held), bench.targets[job.held]
    fitted = loop.fit(
        recipe,
        images.only(job.train),
        bench.targets[job.train],
        bench.classes,
        job.seed,
        val=(held, truth) if main and len(held) else None,
        held_out=None if main else held,
        tell=tell,
        kept=_checkpoint(bench, job),
        start=bench.start,
    )
    if main:
        trainer.save(fitted.model, bench.weights)
    return JobResult(
        held=trainer.predict(fitted.model, held, bench.recipe) if fitted.averaged is None else fitted.averaged,
        others=trainer.predict(fitted.model, images.only(job.others), bench.recipe),
        best_epoch=fitted.best_epoch,
        history=fitted.history,
        micro_batch=fitted.micro_batch,
        machine=trainer.machine(bench.recipe),
    )


def _checkpoint(bench: JobContext, job: Job) -> Checkpoint | None:
    from training.fitting import checkpoint, trainer

    if bench.kept is None:
        return None
    key = {**bench.key, "job": job.name, **trainer.machine(bench.recipe)}
    return checkpoint.Checkpoint(bench.kept / f"{job.name}{checkpoint.SUFFIX}", key)
