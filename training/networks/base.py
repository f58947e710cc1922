"""Base class of the networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn


class Network(nn.Module):
    """A network from RGB images (N, 3, H, W), 0..255, to an embedding (N, F), and by a dense layer to logits (N, K)."""

    dense: nn.Linear

    def embed(self, x: Tensor) -> Tensor:
        """Return the vectors before the dense layer, (N, F)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, K) of images (N, 3, H, W)."""
        return cast("Tensor", self.dense(self.embed(x)))

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Copy pretrained weights, named as in their file, into all layers but the dense one."""
        raise NotImplementedError
