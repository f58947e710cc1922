"""The training loop: one recipe, one model, one set of images. Same seed, same machine: same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.data.arrays import Floats, Ints
from training.data.images import Images
from training.fitting.checkpoint import Checkpoint, State
from training.fitting.metrics import Epoch
from training.fitting.trainer import Trainer, copy
from training.networks.base import Network
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FitResult:
    """A model at its best epoch, how it got there, and the mean probabilities of the held-out images."""

    model: Network
    best_epoch: int
    history: tuple[Epoch, ...]
    averaged: Floats | None  # (H, K)
    micro_batch: int  # images learned from at a time; the recipe's batch where the memory suffices


def fit(
    recipe: Recipe,
    images: Images,  # (N, H, W, 3)
    targets: Ints,  # (N,)
    classes: int,
    seed: int,
    *,
    val: tuple[Images, Ints] | None = None,
    held_out: Images | None = None,
    tell: Callable[[Epoch | str], None] = lambda _: None,
    kept: Checkpoint | None = None,
    start: Path | None = None,
) -> FitResult:
    """Train one model.

    With `val` (not empty), the weights of the epoch that gets most of it right are kept, the first of
    equals; without, those of the last epoch. `held_out` images are predicted after every epoch
    from `recipe.first_averaged` on, and the mean of these probabilities is given back.

    `start` is the file of the recipe's pretrained weights, where it has any.

    What `kept` holds of an earlier call with the same arguments is gone on from, to the same bits. `tell` hears
    every epoch, those of earlier calls too, and words on what is out of the ordinary.

    Raises TrainingError when the loss is not a finite number, when the memory is too small for a single image, and
    when `kept` cannot be written.
    """
    course = _TrainingState(Trainer(recipe, images, targets, classes, seed, start), val, held_out, tell)
    if kept is not None:
        course.resume(kept)
    for number in range(len(course.history) + 1, recipe.epochs + 1):
        course.advance(number)
        if kept is not None:
            kept.write(course.tensors(), course.words(), last=number == recipe.epochs)
        tell(course.history[-1])
    return course.end()


class _TrainingState:
    """A training under way: the trainer, and what its epochs have given so far."""

    def __init__(
        self,
        trainer: Trainer,
        val: tuple[Images, Ints] | None,
        held_out: Images | None,
        tell: Callable[[Epoch | str], None],
    ) -> None:
        self.trainer, self.val, self.held_out, self.tell = trainer, val, held_out, tell
        self.history: list[Epoch] = []
        self.best, self.weights = Epoch(0, 0.0, None), copy(trainer.model)
        rows = 0 if held_out is None else len(held_out)
        self.total = torch.zeros((rows, trainer.model.dense.out_features), dtype=torch.float64)

    def advance(self, number: int) -> None:
        """One more epoch."""
        trainer, val = self.trainer, self.val
        loss = trainer.epoch(number, self.tell)
        accuracy = None if val is None else float(np.mean(trainer.predict(val[0]).argmax(1) == val[1]))
        self.history.append(Epoch(number, loss, accuracy))
        if self.best.val_accuracy is None or (accuracy is not None and accuracy > self.best.val_accuracy):
            self.best, self.weights = self.history[-1], copy(trainer.model)
        if self.held_out is not None and number >= trainer.recipe.first_averaged:
            self.total += torch.from_numpy(trainer.predict(self.held_out))

    def end(self) -> FitResult:
        """What came of it."""
        trainer = self.trainer
        trainer.model.load_state_dict(self.weights)
        mean = (self.total / (trainer.recipe.epochs - trainer.recipe.first_averaged + 1)).float().numpy()
        averaged = None if self.held_out is None else mean
        return FitResult(trainer.model, self.best.epoch, tuple(self.history), averaged, trainer.micro_batch)

    def tensors(self) -> State:
        """All that the next epoch depends on, but for `words`; not copied."""
        best = {f"best.{name}": value for name, value in self.weights.items()}
        return {**self.trainer.tensors(), **best, "total": self.total}

    def words(self) -> dict[str, Any]:
        """The rest of it, JSON-safe."""
        history = [asdict(epoch) for epoch in self.history]
        return {"history": history, "best": self.best.epoch, "at_once": self.trainer.micro_batch}

    def resume(self, kept: Checkpoint) -> None:
        """Go on from what was kept, if there is something of use."""
        found = kept.read(self.tensors(), self.tell)
        if found is None:
            return
        tensors, words = found
        self.trainer.restore(tensors)
        self.trainer.micro_batch = words["at_once"]
        self.weights = {name: tensors[f"best.{name}"] for name in self.weights}
        self.total = tensors["total"]
        self.history = [Epoch(**epoch) for epoch in words["history"]]
        self.best = self.history[words["best"] - 1]
        self.tell(f"goes on after epoch {len(self.history)} of {self.trainer.recipe.epochs}")
        for epoch in self.history:
            self.tell(epoch)
