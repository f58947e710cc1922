"""What every network here can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn


class Network(nn.Module):
    """RGB images (N, 3, H, W), 0..255, to logits (N, classes), by way of a vector and a dense layer."""

    dense: nn.Linear

    def embed(self, x: Tensor) -> Tensor:
        """The vector before the dense layer, (N, F)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, classes)."""
        return cast("Tensor", self.dense(self.embed(x)))

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Take over pretrained weights, named as in their file, but for those of the dense layer."""
        raise NotImplementedError
