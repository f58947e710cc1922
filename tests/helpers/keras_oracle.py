"""Reference values of the fixed network from Keras 3.15 on TensorFlow 2.21; benchmarks/keras_parity.py checks them.

Keras's network is `keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), include_top=False)` up to
`conv2_block3_out`, with `preprocess_input` before it, GlobalAveragePooling2D and Dense(10) after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from training.data.arrays import Floats, Ints
from training.fitting.trainer import Trainer
from training.networks.resnet50 import IMAGENET_MEANS, TruncatedResNet50
from training.recipe import Recipe

Wave = Callable[[tuple[int, ...]], npt.NDArray[np.float64]]  # numbers from -1 to 1, in this shape
Weights = dict[str, list[Floats]]  # of each Keras layer: kernel, bias; or gamma, beta, moving mean, moving variance

CLASSES = 10
# Name of Keras's layer; number of its parameters, moving means and variances included; its output (height, width,
# channels); name of our layer. Relus, paddings and additions, without parameters, are inside ours.
LAYERS: tuple[tuple[str, int, tuple[int, ...], str], ...] = (
    ("conv1_conv", 9472, (16, 16, 64), "stem.conv"),
    ("conv1_bn", 256, (16, 16, 64), "stem.norm"),
    ("pool1_pool", 0, (8, 8, 64), "pool"),
    ("conv2_block1_1_conv", 4160, (8, 8, 64), "block1.down.conv"),
    ("conv2_block1_1_bn", 256, (8, 8, 64), "block1.down.norm"),
    ("conv2_block1_2_conv", 36928, (8, 8, 64), "block1.middle.conv"),
    ("conv2_block1_2_bn", 256, (8, 8, 64), "block1.middle.norm"),
    ("conv2_block1_0_conv", 16640, (8, 8, 256), "block1.shortcut.conv"),
    ("conv2_block1_3_conv", 16640, (8, 8, 256), "block1.up.conv"),
    ("conv2_block1_0_bn", 1024, (8, 8, 256), "block1.shortcut.norm"),
    ("conv2_block1_3_bn", 1024, (8, 8, 256), "block1.up.norm"),
    ("conv2_block1_out", 0, (8, 8, 256), "block1"),
    ("conv2_block2_1_conv", 16448, (8, 8, 64), "block2.down.conv"),
    ("conv2_block2_1_bn", 256, (8, 8, 64), "block2.down.norm"),
    ("conv2_block2_2_conv", 36928, (8, 8, 64), "block2.middle.conv"),
    ("conv2_block2_2_bn", 256, (8, 8, 64), "block2.middle.norm"),
    ("conv2_block2_3_conv", 16640, (8, 8, 256), "block2.up.conv"),
    ("conv2_block2_3_bn", 1024, (8, 8, 256), "block2.up.norm"),
    ("conv2_block2_out", 0, (8, 8, 256), "block2"),
    ("conv2_block3_1_conv", 16448, (8, 8, 64), "block3.down.conv"),
    ("conv2_block3_1_bn", 256, (8, 8, 64), "block3.down.norm"),
    ("conv2_block3_2_conv", 36928, (8, 8, 64), "block3.middle.conv"),
    ("conv2_block3_2_bn", 256, (8, 8, 64), "block3.middle.norm"),
    ("conv2_block3_3_conv", 16640, (8, 8, 256), "block3.up.conv"),
    ("conv2_block3_3_bn", 1024, (8, 8, 256), "block3.up.norm"),
    ("conv2_block3_out", 0, (8, 8, 256), "block3"),
    ("dense", 2570, (10,), "dense"),
)
# For the network with the weights of `draw(model, formula())`, and the images of `pictures(formula(), 40)`, in float64:
# the logits of the first image, the loss of each batch of 8 in training, and the logits of the first image afterwards.
LOGITS = (0.8083945, 0.37529479, -0.75246517, 1.22180748, -0.31153191)
LOGITS += (-0.0806721, 0.13489406, 1.4418621, 1.09806882, -1.28770001)
LOSSES = (2.37413362, 1.98476753, 1.87744445, 1.71563736, 1.60544787)
TRAINED = (2.79200606, 0.75037515, -1.56676107, 2.71720864, -1.56358452)
TRAINED += (0.49253914, -0.05547318, 1.8494115, 1.29917964, -2.13715774)
OURS = {keras: ours for keras, _, _, ours in LAYERS}
AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # from Keras's order of a weight's axes to ours
BACK = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def formula() -> Wave:
    """Return a source of pseudo-random numbers, sines of squares: equal on every machine, and new ones at each call."""
    start = 0

    def wave(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        nonlocal start
        first, start = start, start + math.prod(shape)
        return np.sin(np.arange(first, start, dtype=np.float64) ** 2).reshape(shape)

    return wave


def pictures(wave: Wave, count: int) -> tuple[Floats, Ints]:
    """Make noisy images whose colour and direction depend on their class: (count, 32, 32, 3) RGB, whole; (count,)."""
    targets = np.arange(count) % CLASSES
    y, x = np.mgrid[:32, :32] / 32  # (32, 32)
    angle = (targets[:, None, None] * x + (CLASSES - targets[:, None, None]) * y)[..., None]  # (count, 32, 32, 1)
    colour = (targets[:, None] * [1, 2, 3])[:, None, None]  # (count, 1, 1, 3)
    noisy = 128 + 90 * np.sin(angle + colour) + 37 * wave((count, 32, 32, 3))
    return noisy.round().astype(np.float32), targets


def draw(model: TruncatedResNet50, wave: Wave) -> Weights:
    """Draw weights for every layer that has any, none of them 0 or 1, in Keras's order and layout."""
    return {keras: list(_draw(model.get_submodule(ours), wave)) for keras, count, _, ours in LAYERS if count}


def _draw(layer: torch.nn.Module, wave: Wave) -> Iterator[Floats]:
    weight = layer.get_parameter("weight")
    shape = tuple(weight.shape[axis] for axis in BACK[weight.ndim])
    if weight.ndim == 1:  # gamma, beta, moving mean, moving variance
        drawn = (1 + wave(shape) / 2, wave(shape) / 3, wave(shape) / 3, 1 + wave(shape) / 2)
    else:
        reach = math.sqrt(2 / math.prod(shape[:-1]))
        pixels = 100 if shape[-2] == 3 else 1  # the scale of the layer's input
        drawn = (wave(shape) * reach / pixels, wave(shape[-1:]) / 5)
    yield from (array.astype(np.float32) for array in drawn)


def load(model: TruncatedResNet50, weights: Weights) -> None:
    """Load Keras's weights into our model; raises if one is missing or left over."""
    names = {2: ("weight", "bias"), 4: ("weight", "bias", "running_mean", "running_var")}
    state = {
        f"{OURS[keras]}.{name}": torch.from_numpy(array.transpose(AXES[array.ndim]).copy())
        for keras, arrays in weights.items()
        for name, array in zip(names[len(arrays)], arrays, strict=True)
    }
    model.load_state_dict(state)


def ours(images: Floats) -> Floats:
    """Turn images from Keras's layout, (N, H, W, 3), into ours: (N, 3, H, W)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def as_double(model: TruncatedResNet50) -> TruncatedResNet50:
    """Convert a model to float64, where rounding hides nothing."""
    model.double().means = torch.tensor(IMAGENET_MEANS, dtype=torch.float64).view(1, 3, 1, 1)
    return model


def in_double(trainer: Trainer) -> Trainer:
    """Convert a trainer's model, and what Adam keeps of it, to float64."""
    as_double(trainer.model)
    for state in trainer.optimiser.state.values():
        state |= {name: value.double() for name, value in state.items() if name != "step"}
    return trainer


def learn(
    model: TruncatedResNet50, recipe: Recipe, images: Floats, targets: Ints, *, rounded: bool = True
) -> list[float]:
    """Train on each batch once, in order, with Adam as Keras computes it; returns each batch's loss before its step.

    Keras adds epsilon to the root of what PyTorch first divides by 1 - beta2 ** step ("epsilon hat" of Kingma and Ba),
    and uses powers of betas that were `rounded` to float32. Everything else is the same.
    """
    x, y = torch.from_numpy(images).to(model.means.dtype), torch.from_numpy(targets)
    optimiser = torch.optim.Adam(model.parameters(), betas=(recipe.beta1, recipe.beta2))
    losses = []
    model.train()
    for step, (batch, classes) in enumerate(zip(x.split(recipe.batch), y.split(recipe.batch), strict=True), 1):
        grown1, grown2 = (1 - beta**step for beta in (recipe.beta1, recipe.beta2))
        keras1, keras2 = (1 - float(np.float32(beta)) ** step for beta in (recipe.beta1, recipe.beta2))
        correction = (grown1 / keras1) * math.sqrt(keras2 / grown2) if rounded else 1.0
        rate = recipe.learning_rate * correction
        optimiser.param_groups[0].update(lr=rate, eps=recipe.epsilon / math.sqrt(grown2))
        loss = torch.nn.functional.cross_entropy(model(batch), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def logits(model: TruncatedResNet50, images: Floats) -> Floats:
    """Return the logits of images (N, 3, H, W), in evaluation mode, in the model's precision."""
    with torch.inference_mode():
        values: Floats = model.eval()(torch.from_numpy(images).to(model.means.dtype)).numpy()
    return values
