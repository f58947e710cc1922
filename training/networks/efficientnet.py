"""EfficientNet-Lite0, a small convolutional network for photos that is fast on a CPU.

Tan and Le, "EfficientNet", 2019, in the variant that Google published in 2020 for small devices: no
squeeze-and-excitation, ReLU6 in place of swish. Layer by layer the same as TensorFlow's, whose published weights it
loads (see weights.py), except that it has no dropout and no stochastic depth: nothing in it is random.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.networks.base import Network

FEATURES = 1280
CLASSES = 1000  # of ImageNet, for which the published weights were trained
STAGES = (  # blocks, kernel, stride of the first block, expansion, outputs
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SamePad2d(nn.Module):
    """Zero padding before a convolution of stride 2, as TensorFlow's "same": an odd one goes right and below."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """Pad (N, C, H, W) to (N, C, H + kernel - 2, W + kernel - 2), and one more where a side is odd."""
        down, across = (self.kernel - 2 + side % 2 for side in x.shape[2:])
        return functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, a depthwise convolution, project by 1 x 1, plus the input where the shapes are the same."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, momentum: float) -> None:
        super().__init__()
        wide = inputs * expansion
        conv = partial(_conv, momentum=momentum)
        self.expand = conv(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv(wide, wide, kernel, stride, groups=wide)
        self.project = conv(wide, outputs, 1, active=False)
        self.same = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W), with half the sides where the stride is 2."""
        inner = self.project(self.depthwise(self.expand(x)))
        return cast("Tensor", inner + x if self.same else inner)


class EfficientNetLite0(Network):
    """A network from RGB images (N, 3, H, W), 0..255, to logits (N, classes). The preprocessing is inside.

    Made for 224 x 224 pixels; other sizes work too. `momentum` is BatchNorm's.
    """

    means: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("means", torch.full((1, 3, 1, 1), 127.0), persistent=False)
        self.stem = _conv(3, 32, 3, 2, momentum=momentum)
        blocks, inputs = [], 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, kernel, step, expansion, momentum))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = _conv(inputs, FEATURES, 1, momentum=momentum)
        self.dense = nn.Linear(FEATURES, classes)

    def preprocess(self, x: Tensor) -> Tensor:
        """Scale to about -1..1 as in efficientnet_lite_builder.py: minus 127, divided by 128."""
        return (x - self.means) / 128

    def embed(self, x: Tensor) -> Tensor:
        """Return the vectors before the dense layer, (N, 1280), all values 0..6."""
        maps: Tensor = self.head(self.blocks(self.stem(self.preprocess(x))))
        return maps.mean((2, 3), dtype=torch.float32)  # float32 also where the maps are bfloat16

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Copy the published weights, named as in their file, into all layers but the dense one."""
        published = {name: value for name, value in rename_keys(state).items() if not name.startswith("dense.")}
        dense = {name: value for name, value in self.state_dict().items() if name.startswith("dense.")}
        self.load_state_dict(published | dense)


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    *,
    active: bool = True,
    momentum: float,
) -> nn.Sequential:
    """Build a convolution with BatchNorm and activation."""
    padding = 0 if stride == 2 else kernel // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=momentum)
    layer = nn.Sequential(conv, norm, *([nn.ReLU6(inplace=True)] if active else []))
    return nn.Sequential(SamePad2d(kernel), layer) if stride == 2 else layer


def rename_keys(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename published weights to the names of this module; both list the layers in the same order.

    Raises ValueError if there are more or fewer of them than here; `load_state_dict` checks their shapes.
    """
    names = EfficientNetLite0(CLASSES, momentum=0.01).state_dict()
    return dict(zip(names, published.values(), strict=True))


def fuse_batchnorm(model: nn.Module) -> nn.Module:
    """Fold each BatchNorm into the convolution before it, in place, and set the model to evaluation mode.

    It computes the same function up to rounding, faster.
    """
    model.eval()
    for parent in list(model.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return model
