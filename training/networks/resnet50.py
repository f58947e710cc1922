"""ResNet-50, whole and truncated: RGB images in, logits out; the preprocessing is part of each network.

`resnet50-conv2`: ResNet-50 (He et al., "Deep residual learning for image recognition", 2015) cut at the end of its
stage conv2, as Keras builds it, for small images. Layer by layer the same as
`keras.applications.ResNet50(weights=None)` up to `conv2_block3_out`, then global average pooling and a dense layer.
With 32 x 32 pixels: stem 16 x 16 x 64, pooled 8 x 8 x 64, three blocks 8 x 8 x 256, vector 256.

`resnet50`: all of it, as torchvision builds it, where the stride of a stage is in its 3 x 3 convolution.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from training.networks.base import Network

FEATURES = 256
WIDTH = 64
IMAGENET_MEANS = (103.939, 116.779, 123.68)  # blue, green, red; 0..255
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # red, green, blue; 0..1; means, deviations


class Bottleneck(nn.Module):
    """A residual block, 1 x 1 down, 3 x 3, 1 x 1 up, plus its input: (N, inputs, H, W) to (N, 256, H, W)."""

    def __init__(self, inputs: int, momentum: float) -> None:
        super().__init__()
        self.down = _conv(inputs, WIDTH, 1, momentum)
        self.middle = _conv(WIDTH, WIDTH, 3, momentum)
        self.up = _conv(WIDTH, FEATURES, 1, momentum)
        same = inputs == FEATURES
        self.shortcut = nn.Identity() if same else _conv(inputs, FEATURES, 1, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 256, H, W) for (N, inputs, H, W)."""
        inner = self.middle(self.down(x).relu()).relu()
        return cast("Tensor", (self.up(inner) + self.shortcut(x)).relu())


class TruncatedResNet50(Network):
    """The network `resnet50-conv2`: ResNet-50 up to the end of its stage conv2."""

    means: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor(IMAGENET_MEANS).view(1, 3, 1, 1), persistent=False)
        self.stem = _conv(3, WIDTH, 7, momentum, stride=2)
        # Keras pads with zeros here; after a relu that is the same as this layer's minus infinity.
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block1 = Bottleneck(WIDTH, momentum)
        self.block2 = Bottleneck(FEATURES, momentum)
        self.block3 = Bottleneck(FEATURES, momentum)
        self.dense = nn.Linear(FEATURES, classes)

    def preprocess(self, x: Tensor) -> Tensor:
        """Turn RGB into BGR, minus the means of ImageNet; not scaled. (N, 3, H, W) to the same shape."""
        return x.flip(1) - self.means

    def embed(self, x: Tensor) -> Tensor:
        """Return the vectors before the dense layer, (N, 256), all values >= 0."""
        x = self.pool(self.stem(self.preprocess(x)).relu())
        x = self.block3(self.block2(self.block1(x)))
        return x.mean((2, 3))


class ResNet50(Network):
    """The network `resnet50`."""

    means: Tensor
    deviations: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        from torchvision.models import resnet50  # takes as long to import as torch does, and the others need none of it

        super().__init__()
        for name, values in zip(("means", "deviations"), IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        with torch.device("meta"):  # no random numbers are drawn to be thrown away
            self.body = resnet50()
        self.body.to_empty(device="cpu")
        self.body.fc = nn.Identity()
        for layer in self.body.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = momentum
                layer.reset_parameters()
        self.dense = nn.Linear(2048, classes)

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalise each channel by ImageNet's mean and standard deviation. (N, 3, H, W) to the same shape."""
        return (x / 255 - self.means) / self.deviations

    def embed(self, x: Tensor) -> Tensor:
        """Return the vectors before the dense layer, (N, 2048), all values >= 0."""
        return cast("Tensor", self.body(self.preprocess(x)))

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Copy torchvision's weights into all layers but the dense one."""
        self.body.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})


def _conv(inputs: int, outputs: int, kernel: int, momentum: float, stride: int = 1) -> nn.Sequential:
    """Build a convolution with bias and BatchNorm after it; zero padding keeps (or halves) the sides."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    norm = nn.BatchNorm2d(outputs, eps=1.001e-5, momentum=momentum)  # eps as in keras.applications
    return nn.Sequential(OrderedDict(conv=conv, norm=norm))
