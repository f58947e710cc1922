"""Data augmentation: random crops, half of them mirrored, of a whole batch at a time on the batch's device.

The random numbers come from a generator on the CPU, so that a recipe draws the same ones on every device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

ASPECTS = (3 / 4, 4 / 3)  # of a crop: width by height


def crop_flip(images: Tensor, size: int, area: float, generator: torch.Generator) -> Tensor:
    """Crop each image (N, 3, H, W) at random and resize it: (N, 3, size, size), float32.

    A crop covers a share of the image drawn uniformly from `area`..1, with an aspect ratio drawn log-uniformly from
    ASPECTS, and is mirrored half of the time (Szegedy et al., "Going deeper with convolutions", 2014). Resizing is
    bilinear without antialiasing: crops are about as large as what they become.
    """
    boxes = draw_boxes(len(images), area, generator)
    grid = functional.affine_grid(boxes.to(images.device), [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def draw_boxes(count: int, area: float, generator: torch.Generator) -> Tensor:
    """Draw crops as affine maps (count, 2, 3) from a crop's coordinates, -1..1, to its image's, -1..1."""
    uniform = torch.rand((5, count), generator=generator)
    share = area + (1 - area) * uniform[0]
    low, high = (math.log(aspect) for aspect in ASPECTS)
    root = torch.exp((low + (high - low) * uniform[1]) / 2)
    width, height = ((share.sqrt() * side).clamp(max=1) for side in (root, 1 / root))
    left, top = ((2 * uniform[2 + i] - 1) * (1 - side) for i, side in enumerate((width, height)))
    mirror = (uniform[4] < 0.5).float() * 2 - 1
    zeros = torch.zeros(count)
    return torch.stack([width * mirror, zeros, left, zeros, height, top], 1).view(count, 2, 3)
