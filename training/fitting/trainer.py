"""Train one model in this process, predict with it, and save and load its weights.

The bits depend on the number of threads (one), the memory format, the precision and the kind of processor; the
first three are fixed here and in the recipe, all of them are recorded with a run.

If the memory is too small for a batch, it is processed in micro-batches (gradient accumulation): gradients add up, and
one step is made with their mean, as before. BatchNorm then normalises each micro-batch by itself and updates its
running statistics after each, so such a run has other numbers than one with enough memory. The size of a micro-batch
is recorded with a run, too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor, nn
from torch.utils import deterministic

from training import weights
from training.data.arrays import Floats, Ints
from training.data.augment import crop_flip
from training.data.batches import BatchLoader
from training.data.cache import Rows
from training.data.images import Images
from training.errors import TrainingError
from training.fitting.checkpoint import StateDict
from training.networks.base import Network
from training.networks.registry import build
from training.recipe import Recipe

INFERENCE_BATCH = 256  # images predicted at a time, fewer of large ones; the bits depend on it
MAX_INFERENCE_PIXELS = 4_000_000  # predicted at a time
OUT_OF_MEMORY_MESSAGES = (  # of PyTorch and oneDNN
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
)


def prepare_process() -> torch.device:
    """Make this process deterministic and single-threaded; returns the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may add in any order
    torch.set_num_threads(1)  # more threads spin and lose time as soon as another process needs a core
    # As use_deterministic_algorithms, without importing the compiler.
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads such memory
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16() -> bool:
    """Return True if this machine computes faster in bfloat16 than in float32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


def effective_precision(recipe: Recipe) -> str:
    """Return the precision that a recipe gets on this machine, "bf16" or "fp32"."""
    return "bf16" if recipe.precision == "bf16" and has_bf16() else "fp32"


class Trainer:
    """All that changes while training: a model, its optimiser, the generator that shuffles, the micro-batch size."""

    def __init__(
        self, recipe: Recipe, images: Images, targets: Ints, classes: int, seed: int, pretrained: Path | None = None
    ) -> None:
        self.device = prepare_process()
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.model = to_device(initial_model(recipe, classes, self.generator, pretrained), recipe, self.device)
        self.feed = BatchLoader(images, self.device)
        self.targets = torch.from_numpy(targets).to(self.device)
        self.steps = math.ceil(len(images) / recipe.batch)  # in one epoch
        self.optimiser = torch.optim.AdamW(
            _parameter_groups(self.model, recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.epsilon,
            fused=True,
        )
        for parameter in self.model.parameters():  # as Adam's first step would, so that `tensors` is always complete
            step = torch.zeros((), device=self.device)
            moments = {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
            self.optimiser.state[parameter] = {"step": step, **moments}
        self.micro_batch = recipe.batch

    def tensors(self) -> StateDict:
        """Return all tensors of the state (`micro_batch` is the rest of it); not copied."""
        model = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        states = [self.optimiser.state[parameter] for parameter in self.model.parameters()]
        adam = {f"adam.{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}
        return {**model, **adam, "generator": self.generator.get_state()}

    @torch.no_grad()
    def restore(self, tensors: StateDict) -> None:
        """Set the state to what `tensors` returned before."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])
        self.generator.set_state(tensors["generator"])

    def train_epoch(self, number: int, emit: Callable[[str], None]) -> float:
        """Train for one epoch and return its mean loss.

        If the memory is too small, the epoch starts over with half the micro-batch, after a message to `emit`.
        """
        start = {name: value.clone() for name, value in self.tensors().items()}
        while True:
            try:
                return self.run_epoch(number)
            except (RuntimeError, MemoryError) as error:
                self.micro_batch = _halve(self.micro_batch, error)
            self.restore(start)
            emit(f"the memory is too small: batches of {self.recipe.batch} are processed {self.micro_batch} at a time")

    def run_epoch(self, number: int) -> float:
        """Train for one epoch, over the images in a new random order; returns the mean loss."""
        self.model.train()
        order = torch.randperm(len(self.targets), generator=self.generator).numpy()
        groups = [order[start : start + self.recipe.batch] for start in range(0, len(order), self.recipe.batch)]
        total = torch.zeros((), device=self.device)
        for step, (positions, images) in enumerate(
            zip(groups, self.feed.batches(groups), strict=True), (number - 1) * self.steps
        ):
            total += self.step(step, images, torch.from_numpy(positions)) * len(positions)
        loss = float(total) / len(order)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} in epoch {number}; {_lower_rate(self.recipe)}")
        return loss

    def step(self, step: int, images: Tensor, positions: Tensor) -> Tensor:
        """Make one optimiser step on the images (B, 3, H, W) at these positions; returns their mean loss before it."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, self.steps * recipe.epochs)
            group["eps"] = recipe.epsilon / math.sqrt(
                1 - recipe.beta2 ** (step + 1)
            )  # Keras's epsilon, in PyTorch's formula
        self.optimiser.zero_grad()
        if recipe.augment == "crop-flip":
            images = crop_flip(images, recipe.crop_size, recipe.crop_area, self.generator)
        targets = self.targets[positions.to(self.device)]
        loss = torch.zeros((), device=self.device)
        micro_batches = torch.split(images, self.micro_batch), torch.split(targets, self.micro_batch)
        for part, truth in zip(*micro_batches, strict=True):
            loss += self.accumulate_gradient(part, truth, len(part) / len(images))
        self.optimiser.step()
        return loss

    def accumulate_gradient(self, images: Tensor, targets: Tensor, share: float) -> Tensor:
        """Add `share` times the gradient of the images' mean loss to the gradients; returns `share` times the loss."""
        with _autocast(self.recipe, self.device):
            logits = self.model(_as_input(images, self.recipe))  # (P, K)
        full = logits.to(self.model.dense.weight.dtype)  # the weights' precision, where autocast took 16 bits
        loss = nn.functional.cross_entropy(full, targets) * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def predict(self, images: Images) -> Floats:
        """Return the probabilities of images by the model as it is now; see the function `predict`."""
        return predict(self.model, images, self.recipe)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate at a step counted from 0: linear warm-up, then constant or cosine decay."""
    warmup = recipe.warmup * steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def predict(model: Network, images: Images, recipe: Recipe) -> Floats:
    """Return the probabilities of images (N, H, W, 3), as (N, K) float32. The model is left in evaluation mode.

    If the memory is too small, the images are predicted in smaller batches, which may change the last bits.

    Raises TrainingError when the probabilities are not finite numbers.
    """
    model.eval()
    batches, start = [np.zeros((0, model.dense.out_features), np.float32)], 0
    size = max(1, min(INFERENCE_BATCH, MAX_INFERENCE_PIXELS // recipe.image_size**2))
    while start < len(images):
        try:
            batches.append(_predict_batch(model, images[start : start + size], recipe))
            start += size
        except (RuntimeError, MemoryError) as error:
            size = _halve(size, error)
    probs = np.concatenate(batches)
    if not np.isfinite(probs).all():
        raise TrainingError(f"the model's probabilities are not numbers; {_lower_rate(recipe)}")
    return probs


@torch.inference_mode()
def _predict_batch(model: Network, images: Rows, recipe: Recipe) -> Floats:
    device = model.dense.weight.device
    with _autocast(recipe, device):
        batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        logits = model(_as_input(batch, recipe))  # (N, K)
    probs: Floats = logits.float().softmax(1).cpu().numpy()
    return probs


def _halve(size: int, error: Exception) -> int:
    """Halve a batch size after an out-of-memory error; raises any other error, and TrainingError for size 1."""
    out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if not out_of_memory and not any(words in str(error) for words in OUT_OF_MEMORY_MESSAGES):
        raise error
    if size == 1:
        words = str(error).partition("\n")[0]
        raise TrainingError(
            f"the memory is too small for a single image: free some, and try again ({words})"
        ) from error
    return size // 2


def _lower_rate(recipe: Recipe) -> str:
    return f"lower learning_rate ({recipe.learning_rate:g}) in the recipe"


def initial_model(recipe: Recipe, classes: int, generator: torch.Generator, pretrained: Path | None) -> Network:
    """Build the model that a training starts from: random weights, or the pretrained ones in a file.

    The dense layer after pretrained layers starts at zero, so that the first steps do not change them at random
    (Kolesnikov et al., "Big Transfer", 2020).
    """
    model = build(recipe, classes, generator)
    if pretrained is not None:
        model.load_pretrained(weights.load(recipe.weights, pretrained))
        nn.init.zeros_(model.dense.weight)
    return model


def _parameter_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Apply weight decay to kernels, not to biases and normalisation (He et al., "Bag of tricks", 2019)."""
    kernels = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def to_device(model: Network, recipe: Recipe, device: torch.device) -> Network:
    """Move a model to a device, in the recipe's memory format."""
    return model.to(device).to(memory_format=_memory_format(recipe))


def _memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def _as_input(batch: Tensor, recipe: Recipe) -> Tensor:
    return batch.float().contiguous(memory_format=_memory_format(recipe))


def _autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=effective_precision(recipe) == "bf16")


def copy_state(model: nn.Module) -> StateDict:
    """Copy a model's weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def save(model: Network, path: Path) -> None:
    """Write a model's weights, named as in its module in networks/, as safetensors."""
    path.write_bytes(serialise({name: value.cpu().contiguous() for name, value in model.state_dict().items()}))


def load(path: Path, recipe: Recipe, classes: int, device: torch.device | None = None) -> Network:
    """Load a model that `save` wrote, onto a device. Raises TrainingError for any other file.

    Without a device the process is prepared as for a training, and its device is used.
    """
    device = device or prepare_process()
    model = build(recipe, classes)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{path}: not the weights of {recipe.name} with {classes} classes") from error
    return to_device(model, recipe, device)


def describe_machine(recipe: Recipe) -> dict[str, Any]:
    """Return what a run's bits depend on besides its recipe and images; prepares the process as for a training."""
    prepare_process()
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": effective_precision(recipe),
    }
