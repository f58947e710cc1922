"""Network registry: the networks by name; builds the one that a recipe names."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from training.networks.base import Network
from training.networks.efficientnet import EfficientNetLite0
from training.networks.resnet50 import ResNet50, TruncatedResNet50
from training.recipe import Recipe

NETWORKS: dict[str, Callable[[int, float], Network]] = {
    "resnet50-conv2": TruncatedResNet50,
    "resnet50": ResNet50,
    "efficientnet-lite0": EfficientNetLite0,
}


def build(recipe: Recipe, classes: int, generator: torch.Generator | None = None) -> Network:
    """Build a new model. With a generator: Glorot-uniform kernels drawn from it and zero biases, as in Keras."""
    model = NETWORKS[recipe.network](classes, recipe.norm_momentum)
    if generator is not None:
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return model
