"""The training loop: one recipe, one model, one set of images. Same seed, same machine: same bits.

The bits also depend on the number of threads (one), the memory format, the precision and the kind of
processor; the first three are fixed here and in the recipe, all of them are recorded with a run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn
from torch.utils import deterministic

from training.data import Floats, Ints
from training.errors import TrainingError
from training.model import TruncatedResNet50, build
from training.recipe import Recipe

AT_ONCE = 256  # images a step when nothing is learned; part of what fixes the bits

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the train images, counted from 1: mean cross-entropy (nats), share of val right."""

    epoch: int
    train_loss: float
    val_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model at its best epoch, how it got there, and the mean probabilities of the held-out images."""

    model: TruncatedResNet50
    best_epoch: int
    history: tuple[Epoch, ...]
    averaged: Floats | None  # (H, K)


def prepare() -> torch.device:
    """Make this process deterministic and single-threaded; gives the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may add in any order
    torch.set_num_threads(1)  # more spin and lose as soon as another process wants a core
    torch.use_deterministic_algorithms(mode=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads such memory
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    recipe: Recipe,
    images: Floats,  # (N, 3, H, W)
    targets: Ints,  # (N,)
    classes: int,
    seed: int,
    *,
    val: tuple[Floats, Ints] | None = None,
    held_out: Floats | None = None,
    tell: Callable[[Epoch], None] = lambda _: None,
) -> Fitted:
    """Train one model.

    With `val` (not empty), the weights of the epoch that gets most of it right are kept, the first of
    equals; without, those of the last epoch. `held_out` images, (H, 3, H, W), are predicted after every epoch
    from `recipe.first_averaged` on, and the mean of these probabilities is given back.

    Raises TrainingError when the loss is not a finite number.
    """
    trainer = _Trainer(recipe, images, targets, classes, seed)
    best, weights, history = Epoch(0, 0.0, None), {}, []
    total = np.zeros((0 if held_out is None else len(held_out), classes))
    for number in range(1, recipe.epochs + 1):
        loss = trainer.epoch(number)
        accuracy = None if val is None else float(np.mean(trainer.predict(val[0]).argmax(1) == val[1]))
        history.append(Epoch(number, loss, accuracy))
        if best.val_accuracy is None or (accuracy is not None and accuracy > best.val_accuracy):
            best, weights = history[-1], _copy(trainer.model)
        if held_out is not None and number >= recipe.first_averaged:
            total += trainer.predict(held_out)
        tell(history[-1])
    trainer.model.load_state_dict(weights)
    mean = (total / (recipe.epochs - recipe.first_averaged + 1)).astype(np.float32)
    return Fitted(trainer.model, best.epoch, tuple(history), None if held_out is None else mean)


class _Trainer:
    """What changes while training: a model, its optimiser, and the generator that shuffles."""

    def __init__(self, recipe: Recipe, images: Floats, targets: Ints, classes: int, seed: int) -> None:
        device = prepare()
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.model = place(build(recipe, classes, self.generator), recipe, device)
        self.images = torch.from_numpy(images).to(device)
        self.targets = torch.from_numpy(targets).to(device)
        self.steps = math.ceil(len(images) / recipe.batch)  # an epoch
        self.optimiser = torch.optim.Adam(
            self.model.parameters(),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.epsilon,
            fused=True,
        )

    def epoch(self, number: int) -> float:
        """One pass over the images in a new order; gives the mean loss."""
        self.model.train()
        order = torch.randperm(len(self.images), generator=self.generator).to(self.images.device)
        total = torch.zeros((), device=self.images.device)
        for step, chosen in enumerate(torch.split(order, self.recipe.batch), (number - 1) * self.steps):
            total += self.step(step, chosen) * len(chosen)
        loss = float(total) / len(order)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} in epoch {number}; {_slower(self.recipe)}")
        return loss

    def step(self, step: int, chosen: Tensor) -> Tensor:
        """Learn from one batch; gives its mean loss, before what it changed."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, step, self.steps * self.recipe.epochs)
        with _precision(self.recipe, self.images.device):
            logits = self.model(_format(self.images[chosen], self.recipe))  # (B, K)
        loss = nn.functional.cross_entropy(logits.float(), self.targets[chosen])
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()

    def predict(self, images: Floats) -> Floats:
        return predict(self.model, images, self.recipe)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate at a step counted from 0: up in a straight line, then as the schedule says."""
    rising = recipe.warmup * steps
    if step < rising:
        return recipe.learning_rate * (step + 1) / (rising + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def predict(model: TruncatedResNet50, images: Floats, recipe: Recipe) -> Floats:
    """The probabilities of images (N, 3, H, W), as (N, K) float32. The model is left in evaluation mode.

    Raises TrainingError when they are not finite numbers.
    """
    model.eval()
    device = model.means.device
    found = [np.zeros((0, model.dense.out_features), np.float32)]
    with torch.inference_mode(), _precision(recipe, device):
        for start in range(0, len(images), AT_ONCE):
            batch = torch.from_numpy(images[start : start + AT_ONCE]).to(device)
            logits = model(_format(batch, recipe)).float()
            found.append(logits.softmax(1).cpu().numpy())
    probs = np.concatenate(found)
    if not np.isfinite(probs).all():
        raise TrainingError(f"the model's probabilities are not numbers; {_slower(recipe)}")
    return probs


def _slower(recipe: Recipe) -> str:
    return f"lower learning_rate ({recipe.learning_rate:g}) in the recipe"


def place(model: TruncatedResNet50, recipe: Recipe, device: torch.device) -> TruncatedResNet50:
    """The model on a device, in the recipe's memory format."""
    return model.to(device).to(memory_format=_layout(recipe))


def _layout(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def _format(batch: Tensor, recipe: Recipe) -> Tensor:
    return batch.contiguous(memory_format=_layout(recipe))


def _precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16")


def _copy(model: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def save(model: TruncatedResNet50, path: Path) -> None:
    """Write a model's weights, named as in model.py, as safetensors."""
    path.write_bytes(serialise({name: value.cpu().contiguous() for name, value in model.state_dict().items()}))


def load(path: Path, recipe: Recipe, classes: int) -> TruncatedResNet50:
    """The model that `save` wrote, on this process's device. Raises TrainingError if it is not that."""
    device = prepare()
    model = build(recipe, classes)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{path}: not the weights of {recipe.name} with {classes} classes") from error
    return place(model, recipe, device)


def machine() -> dict[str, Any]:
    """What the bits of a run depend on besides its recipe and its images."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
