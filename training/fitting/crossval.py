"""K-fold cross-validation: out-of-sample predictions for every image, from the main model and one model a fold.

A model that saw an image in training repeats the label it was given, right or wrong. So the train images are split into
K folds, and each fold is predicted by a model that trained on the other folds only. No val split picks an epoch of
these models: their probabilities are averaged over the later epochs, which finds wrong labels far better than the last
epoch alone.
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
    """One model to train. Positions index the dataset's samples."""

    name: str
    seed: int
    train: Ints  # (n,)
    held_out: Ints  # the val images for the main model, the images of the fold for a fold's model
    others: Ints  # also predicted when the model is trained


@dataclass(frozen=True, slots=True)
class JobResult:
    """The predictions of a trained model, and how its training went."""

    held_out: Floats  # (H, K) probabilities
    others: Floats  # (O, K) probabilities
    best_epoch: int
    history: tuple[Epoch, ...]
    micro_batch: int  # images in a forward and backward pass
    machine: dict[str, Any]  # what else the bits depend on, see `describe_machine`


@dataclass(frozen=True, slots=True)
class JobContext:
    """The recipe, images, targets and files that all jobs of a run share."""

    recipe: Recipe
    images: DecodedStore
    targets: Ints  # (N,)
    classes: int
    weights: Path  # the file to write the main model to
    checkpoints: Path | None = None  # the folder of the jobs' checkpoints
    key: Mapping[str, str] = field(default_factory=dict)  # of the checkpoints: which images and recipe
    pretrained: Path | None = None  # the file of the recipe's pretrained weights


def assign_folds(digests: Sequence[str], labels: Sequence[str], folds: int, seed: int) -> Ints:
    """Return the fold of every image, 0..K-1, as (n,); all -1 if there are fewer than two different images.

    Stratified: each class is spread evenly over the folds, and so are all images. Equal images share a fold, so that no
    model predicts an image it has seen. K is `folds`, or the number of different images if that is less. Depends on
    contents, labels and seed only, not on order or names.
    """
    # Where equal images were given different labels, the first of these in the alphabet counts.
    label_of: dict[str, str] = {}
    for digest, label in sorted(zip(digests, labels, strict=True)):
        label_of.setdefault(digest, label)
    count = min(folds, len(label_of))
    if count < 2:
        return np.full(len(digests), -1, np.int64)

    def order(digest: str) -> tuple[str, str]:  # by label, within a label shuffled by the seed
        return label_of[digest], hashlib.sha256(f"{seed} {digest}".encode()).hexdigest()

    fold = {digest: index % count for index, digest in enumerate(sorted(label_of, key=order))}
    return np.array([fold[digest] for digest in digests], np.int64)


def plan_jobs(data: Dataset, fold: Ints, seed: int) -> list[Job]:
    """Plan the main model first, which takes longest, then one model a fold. `fold` is that of each train image."""
    train, val, none = data.positions("train"), data.positions("val"), np.zeros(0, np.int64)
    jobs = [Job(MAIN, seed, train, val, data.positions("test", "unlabelled"))]
    for number in range(fold.max() + 1):
        name = f"fold {number + 1}"
        jobs.append(Job(name, seed + number + 1, train[fold != number], train[fold == number], none))
    return jobs


def run_jobs(
    context: JobContext, jobs: Sequence[Job], workers: int, listen: Callable[[Job, Any], None]
) -> list[JobResult]:
    """Train every job's model, `workers` at a time; their number changes no result."""
    return run_all(partial(run_job, context), jobs, workers, listen)


def run_job(context: JobContext, job: Job, emit: Emit) -> JobResult:
    """Train one model in this process; the weights of the main model are written to `context.weights`.

    Emits an `Epoch` after each epoch, and messages. A model whose training is finished in its checkpoint is only loaded
    and predicts.
    """
    from training.fitting import loop, trainer

    main, recipe = job.name == MAIN, context.recipe.with_min_steps(len(job.train))
    images = context.images.open()
    held_out, truth = images.select(job.held_out), context.targets[job.held_out]
    result = loop.fit(
        recipe,
        images.select(job.train),
        context.targets[job.train],
        context.classes,
        job.seed,
        val=(held_out, truth) if main and len(held_out) else None,
        held_out=None if main else held_out,
        emit=emit,
        checkpoint=_checkpoint(context, job),
        pretrained=context.pretrained,
    )
    if main:
        trainer.save(result.model, context.weights)
    averaged = result.averaged
    return JobResult(
        held_out=trainer.predict(result.model, held_out, context.recipe) if averaged is None else averaged,
        others=trainer.predict(result.model, images.select(job.others), context.recipe),
        best_epoch=result.best_epoch,
        history=result.history,
        micro_batch=result.micro_batch,
        machine=trainer.describe_machine(context.recipe),
    )


def _checkpoint(context: JobContext, job: Job) -> Checkpoint | None:
    from training.fitting import checkpoint, trainer

    if context.checkpoints is None:
        return None
    key = {**context.key, "job": job.name, **trainer.describe_machine(context.recipe)}
    return checkpoint.Checkpoint(context.checkpoints / f"{job.name}{checkpoint.SUFFIX}", key)
