"""A run, and its prediction for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Prediction:
    """The label predicted for an image by a model that did not train on it, and its probability, 0..1.

    `quality` is the probability of the given label (self-confidence), None where there is no label.
    """

    key: str
    label: str
    confidence: float
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One training of one recipe on one revision. `metrics` is its metrics.json, `choices` its recipe.json."""

    id: str
    revision: str
    recipe: str
    metrics: Mapping[str, Any]
    choices: Mapping[str, Any] = field(default_factory=dict)
