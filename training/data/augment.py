"""Random parts of images, half of them mirrored: a whole batch at a time, on the device that it is on.

The random numbers come from a generator on the CPU, so that a recipe draws the same ones on every device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

ASPECTS = (3 / 4, 4 / 3)  # of a part: width by height


def crop_flip(images: Tensor, size: int, area: float, generator: torch.Generator) -> Tensor:
    """Images (N, 3, H, W), each cut to a random part of it and resized to (N, 3, size, size), float32.

    The part covers a share of the area drawn evenly from `area`..1, of an aspect ratio drawn evenly by its logarithm
    from ASPECTS, and is mirrored half of the time (Szegedy et al., "Going deeper with convolutions", 2014). Its
    values are mixed from the nearest four, without antialiasing: parts are about as large as what they become.
    """
    boxes = draw(len(images), area, generator)
    grid = functional.affine_grid(boxes.to(images.device), [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)


def draw(count: int, area: float, generator: torch.Generator) -> Tensor:
    """Random parts as affine maps (count, 2, 3) from a part's coordinates, -1..1, to an image's, -1..1."""
    chance = torch.rand((5, count), generator=generator)
    share = area + (1 - area) * chance[0]
    low, high = (math.log(aspect) for aspect in ASPECTS)
    root = torch.exp((low + (high - low) * chance[1]) / 2)
    width, height = ((share.sqrt() * side).clamp(max=1) for side in (root, 1 / root))
    left, top = ((2 * chance[2 + i] - 1) * (1 - side) for i, side in enumerate((width, height)))
    mirror = (chance[4] < 0.5).float() * 2 - 1
    none = torch.zeros(count)
    return torch.stack([width * mirror, none, left, none, height, top], 1).view(count, 2, 3)
