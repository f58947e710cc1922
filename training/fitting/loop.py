"""The training loop: trains one model by a recipe. Reproducible: same seed, same machine, same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.data.arrays import Floats, Ints
from training.data.images import Images
from training.fitting.checkpoint import Checkpoint, StateDict
from training.fitting.metrics import Epoch
from training.fitting.trainer import Trainer, copy_state
from training.networks.base import Network
from training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FitResult:
    """A model at its best epoch, how it got there, and the mean probabilities of the held-out images."""

    model: Network
    best_epoch: int
    history: tuple[Epoch, ...]
    averaged: Floats | None  # (H, K)
    micro_batch: int  # images in a forward and backward pass; the recipe's batch if the memory suffices


def fit(
    recipe: Recipe,
    images: Images,  # (N, H, W, 3)
    targets: Ints,  # (N,)
    classes: int,
    seed: int,
    *,
    val: tuple[Images, Ints] | None = None,
    held_out: Images | None = None,
    emit: Callable[[Epoch | str], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
    pretrained: Path | None = None,
) -> FitResult:
    """Train one model.

    With `val` (not empty), the weights of the epoch with the best accuracy on it are returned, of equal ones the first;
    without, those of the last epoch. `held_out` images are predicted after every epoch from `recipe.first_averaged` on,
    and the mean of these probabilities is returned.

    `pretrained` is the file of the recipe's pretrained weights, if it has any. Training resumes from a `checkpoint`
    that an earlier call with the same arguments left, and ends in the same bits. `emit` gets every epoch, those of
    earlier calls too, and messages about anything unusual.

    Raises TrainingError when the loss is not a finite number, when the memory is too small for a single image, and
    when the checkpoint cannot be written.
    """
    state = TrainingState(Trainer(recipe, images, targets, classes, seed, pretrained), val, held_out, emit)
    if checkpoint is not None:
        state.resume(checkpoint)
    for number in range(len(state.history) + 1, recipe.epochs + 1):
        state.advance(number)
        if checkpoint is not None:
            checkpoint.write(state.tensors(), state.metadata(), last=number == recipe.epochs)
        emit(state.history[-1])
    return state.finish()


class TrainingState:
    """A training in progress: the trainer, its history, its best weights, and the sum of held-out probabilities."""

    def __init__(
        self,
        trainer: Trainer,
        val: tuple[Images, Ints] | None,
        held_out: Images | None,
        emit: Callable[[Epoch | str], None],
    ) -> None:
        self.trainer, self.val, self.held_out, self.emit = trainer, val, held_out, emit
        self.history: list[Epoch] = []
        self.best, self.best_weights = Epoch(0, 0.0, None), copy_state(trainer.model)
        rows = 0 if held_out is None else len(held_out)
        self.total = torch.zeros((rows, trainer.model.dense.out_features), dtype=torch.float64)

    def advance(self, number: int) -> None:
        """Train for one more epoch, and evaluate."""
        trainer, val = self.trainer, self.val
        loss = trainer.train_epoch(number, self.emit)
        accuracy = None if val is None else float(np.mean(trainer.predict(val[0]).argmax(1) == val[1]))
        self.history.append(Epoch(number, loss, accuracy))
        if self.best.val_accuracy is None or (accuracy is not None and accuracy > self.best.val_accuracy):
            self.best, self.best_weights = self.history[-1], copy_state(trainer.model)
        if self.held_out is not None and number >= trainer.recipe.first_averaged:
            self.total += torch.from_numpy(trainer.predict(self.held_out))

    def finish(self) -> FitResult:
        """Return the model with its best weights, and the mean of the held-out probabilities."""
        trainer = self.trainer
        trainer.model.load_state_dict(self.best_weights)
        mean = (self.total / (trainer.recipe.epochs - trainer.recipe.first_averaged + 1)).float().numpy()
        averaged = None if self.held_out is None else mean
        return FitResult(trainer.model, self.best.epoch, tuple(self.history), averaged, trainer.micro_batch)

    def tensors(self) -> StateDict:
        """Return all tensors that the next epoch depends on; not copied."""
        best = {f"best.{name}": value for name, value in self.best_weights.items()}
        return {**self.trainer.tensors(), **best, "total": self.total}

    def metadata(self) -> dict[str, Any]:
        """Return the rest of the state, JSON-safe."""
        history = [asdict(epoch) for epoch in self.history]
        return {"history": history, "best": self.best.epoch, "at_once": self.trainer.micro_batch}

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restore the state from a checkpoint, if there is one that fits."""
        found = checkpoint.read(self.tensors(), self.emit)
        if found is None:
            return
        tensors, metadata = found
        self.trainer.restore(tensors)
        self.trainer.micro_batch = metadata["at_once"]
        self.best_weights = {name: tensors[f"best.{name}"] for name in self.best_weights}
        self.total = tensors["total"]
        self.history = [Epoch(**epoch) for epoch in metadata["history"]]
        self.best = self.history[metadata["best"] - 1]
        self.emit(f"goes on after epoch {len(self.history)} of {self.trainer.recipe.epochs}")
        for epoch in self.history:
            self.emit(epoch)
