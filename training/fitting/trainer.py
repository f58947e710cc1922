"""One model in this process: how it learns, what it says of images, and its file.

The bits depend on the number of threads (one), the memory format, the precision and the kind of processor; the
first three are fixed here and in the recipe, all of them are recorded with a run.

Where the memory is too small for a batch, it is learned from in parts: gradients add up over the parts, and one step
is made with their mean, as before. BatchNorm then normalises each part by itself, and its running statistics take
in a part at a time, so such a run has other numbers than one that had the memory. How many images a part had at
most is recorded with a run, too.
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
from training.fitting.checkpoint import State
from training.networks.base import Network
from training.networks.registry import build
from training.recipe import Recipe

INFERENCE_BATCH = 256  # images a step when nothing is learned, fewer of large ones; part of what fixes the bits
PIXELS = 4_000_000  # a step when nothing is learned
OUT_OF_MEMORY = (  # what PyTorch and oneDNN say when memory lacks
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
)


def prepare() -> torch.device:
    """Make this process deterministic and single-threaded; gives the device to train on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS may add in any order
    torch.set_num_threads(1)  # more spin and lose as soon as another process wants a core
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports the compiler as well
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads such memory
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16() -> bool:
    """Whether this machine is faster with 16 bits than with 32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16"))


def precision(recipe: Recipe) -> str:
    """The precision that a recipe gets from this machine, "bf16" or "fp32"."""
    return "bf16" if recipe.precision == "bf16" and has_bf16() else "fp32"


class Trainer:
    """What changes while training: a model, its optimiser, the generator that shuffles, how many images at once."""

    def __init__(
        self, recipe: Recipe, images: Images, targets: Ints, classes: int, seed: int, start: Path | None = None
    ) -> None:
        self.device = prepare()
        self.recipe = recipe
        self.generator = torch.Generator().manual_seed(seed)
        self.model = to_device(initial_model(recipe, classes, self.generator, start), recipe, self.device)
        self.feed = BatchLoader(images, self.device)
        self.targets = torch.from_numpy(targets).to(self.device)
        self.steps = math.ceil(len(images) / recipe.batch)  # an epoch
        self.optimiser = torch.optim.AdamW(
            _decayed(self.model, recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            eps=recipe.epsilon,
            fused=True,
        )
        for each in self.model.parameters():  # as Adam would in its first step; here so that `tensors` is always whole
            step = torch.zeros((), device=self.device)
            moments = {"exp_avg": torch.zeros_like(each), "exp_avg_sq": torch.zeros_like(each)}
            self.optimiser.state[each] = {"step": step, **moments}
        self.micro_batch = recipe.batch

    def tensors(self) -> State:
        """All that changes but for `micro_batch`; not copied."""
        model = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        states = [self.optimiser.state[each] for each in self.model.parameters()]
        adam = {f"adam.{i}.{name}": value for i, state in enumerate(states) for name, value in state.items()}
        return {**model, **adam, "generator": self.generator.get_state()}

    @torch.no_grad()
    def restore(self, tensors: State) -> None:
        """Be as when `tensors` gave these."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])
        self.generator.set_state(tensors["generator"])

    def epoch(self, number: int, tell: Callable[[str], None]) -> float:
        """One pass over the images in a new order; gives the mean loss.

        Where the memory is too small it is begun again, with half as many images at once.
        """
        start = {name: value.clone() for name, value in self.tensors().items()}
        while True:
            try:
                return self.run_epoch(number)
            except (RuntimeError, MemoryError) as error:
                self.micro_batch = _half(error, self.micro_batch)
            self.restore(start)
            tell(
                f"the memory is too small: batches of {self.recipe.batch} are learned from {self.micro_batch} at a time"
            )

    def run_epoch(self, number: int) -> float:
        """An epoch, if the memory suffices."""
        self.model.train()
        order = torch.randperm(len(self.targets), generator=self.generator).numpy()
        chosen = [order[start : start + self.recipe.batch] for start in range(0, len(order), self.recipe.batch)]
        total = torch.zeros((), device=self.device)
        for step, (positions, images) in enumerate(
            zip(chosen, self.feed.batches(chosen), strict=True), (number - 1) * self.steps
        ):
            total += self.step(step, images, torch.from_numpy(positions)) * len(positions)
        loss = float(total) / len(order)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss became {loss} in epoch {number}; {_slower(self.recipe)}")
        return loss

    def step(self, step: int, images: Tensor, positions: Tensor) -> Tensor:
        """Learn from the images (B, 3, H, W) at these positions; gives their mean loss, before what it changed."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, self.steps * recipe.epochs)
            group["eps"] = recipe.epsilon / math.sqrt(1 - recipe.beta2 ** (step + 1))  # Keras's, as PyTorch counts it
        self.optimiser.zero_grad()
        if recipe.augment == "crop-flip":
            images = crop_flip(images, recipe.crop_size, recipe.crop_area, self.generator)
        targets = self.targets[positions.to(self.device)]
        loss = torch.zeros((), device=self.device)
        parts = torch.split(images, self.micro_batch), torch.split(targets, self.micro_batch)
        for part, truth in zip(*parts, strict=True):
            loss += self.learn(part, truth, len(part) / len(images))
        self.optimiser.step()
        return loss

    def learn(self, images: Tensor, targets: Tensor, share: float) -> Tensor:
        """Add this share of the gradient of images' mean loss to what is there; gives this share of the loss."""
        with _precision(self.recipe, self.device):
            logits = self.model(_format(images, self.recipe))  # (P, K)
        full = logits.to(self.model.dense.weight.dtype)  # the weights' precision, where autocast took 16 bits
        loss = nn.functional.cross_entropy(full, targets) * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def predict(self, images: Images) -> Floats:
        """See `predict` below."""
        return predict(self.model, images, self.recipe)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate at a step counted from 0: up in a straight line, then as the schedule says."""
    rising = recipe.warmup * steps
    if step < rising:
        return recipe.learning_rate * (step + 1) / (rising + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def predict(model: Network, images: Images, recipe: Recipe) -> Floats:
    """The probabilities of images (N, H, W, 3), as (N, K) float32. The model is left in evaluation mode.

    Where the memory is too small they are taken in smaller groups, which may change the last bits.

    Raises TrainingError when they are not finite numbers.
    """
    model.eval()
    found, start = [np.zeros((0, model.dense.out_features), np.float32)], 0
    at_once = max(1, min(INFERENCE_BATCH, PIXELS // recipe.image_size**2))
    while start < len(images):
        try:
            found.append(_probabilities(model, images[start : start + at_once], recipe))
            start += at_once
        except (RuntimeError, MemoryError) as error:
            at_once = _half(error, at_once)
    probs = np.concatenate(found)
    if not np.isfinite(probs).all():
        raise TrainingError(f"the model's probabilities are not numbers; {_slower(recipe)}")
    return probs


@torch.inference_mode()
def _probabilities(model: Network, images: Rows, recipe: Recipe) -> Floats:
    device = model.dense.weight.device
    with _precision(recipe, device):
        batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        logits = model(_format(batch, recipe))  # (N, K)
    found: Floats = logits.float().softmax(1).cpu().numpy()
    return found


def _half(error: Exception, at_once: int) -> int:
    """Half as many images at once, if that may help; else raises the error, or TrainingError when it was one image."""
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if not memory and not any(words in str(error) for words in OUT_OF_MEMORY):
        raise error
    if at_once == 1:
        words = str(error).partition("\n")[0]
        raise TrainingError(
            f"the memory is too small for a single image: free some, and try again ({words})"
        ) from error
    return at_once // 2


def _slower(recipe: Recipe) -> str:
    return f"lower learning_rate ({recipe.learning_rate:g}) in the recipe"


def initial_model(recipe: Recipe, classes: int, generator: torch.Generator, start: Path | None) -> Network:
    """The model that a training starts from: random numbers, or the pretrained weights in a file.

    The dense layer above pretrained ones is zero, so that the first steps do not pull at them at random (Kolesnikov et
    al., "Big Transfer", 2020).
    """
    model = build(recipe, classes, generator)
    if start is not None:
        model.load_pretrained(weights.load(recipe.weights, start))
        nn.init.zeros_(model.dense.weight)
    return model


def _decayed(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Kernels shrink by weight decay; biases and normalisation do not (He et al., "Bag of tricks", 2019)."""
    kernels = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def to_device(model: Network, recipe: Recipe, device: torch.device) -> Network:
    """The model on a device, in the recipe's memory format."""
    return model.to(device).to(memory_format=_layout(recipe))


def _layout(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def _format(batch: Tensor, recipe: Recipe) -> Tensor:
    return batch.float().contiguous(memory_format=_layout(recipe))


def _precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(recipe) == "bf16")


def copy(model: nn.Module) -> State:
    """Its weights and buffers as they are now."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def save(model: Network, path: Path) -> None:
    """Write a model's weights, named as in model.py, as safetensors."""
    path.write_bytes(serialise({name: value.cpu().contiguous() for name, value in model.state_dict().items()}))


def load(path: Path, recipe: Recipe, classes: int) -> Network:
    """The model that `save` wrote, on this process's device. Raises TrainingError if it is not that."""
    device = prepare()
    model = build(recipe, classes)
    try:
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{path}: not the weights of {recipe.name} with {classes} classes") from error
    return to_device(model, recipe, device)


def machine(recipe: Recipe) -> dict[str, Any]:
    """What the bits of a run depend on besides its recipe and its images; prepares the process as for a training."""
    prepare()
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": precision(recipe),
    }
