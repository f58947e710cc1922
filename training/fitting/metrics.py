"""How good a set of predictions is. Arrays in, JSON-safe values out: None where a number has no meaning."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data.arrays import Floats, Ints

Z = 1.959963984540054  # 95 % of a normal distribution lie within


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the train images, counted from 1: mean cross-entropy (nats), share of val right."""

    epoch: int
    train_loss: float
    val_accuracy: float | None


def score(truth: Ints, probs: Floats, classes: list[str]) -> dict[str, Any] | None:
    """All scores of probabilities (n, K) against class numbers (n,); None for n = 0."""
    if not len(truth):
        return None
    guess = probs.argmax(1)  # (n,)
    right = int((guess == truth).sum())
    return {
        "n": len(truth),
        "accuracy": right / len(truth),
        "interval": wilson(right, len(truth)),
        "macro_f1": macro_f1(truth, guess),
        "per_class": per_class(truth, guess, classes),
        "confusion": confusion(truth, guess, classes),
    }


def wilson(right: int, n: int) -> list[float]:
    """The 95 % interval of a share of n > 0 trials (E. B. Wilson, 1927), as [low, high] within 0..1."""
    share = right / n
    middle = share + Z**2 / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((middle + side * spread) / (1 + Z**2 / n) for side in (-1, 1))
    return [max(0.0, low), min(1.0, high)]


def macro_f1(truth: Ints, guess: Ints) -> float:
    """The mean F1, 0..1, of the classes that occur in truth or guess, both (n,) with n > 0."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, average="macro", zero_division=0))


def per_class(truth: Ints, guess: Ints, classes: list[str]) -> list[dict[str, Any]]:
    """A row a class: label, support, and precision, recall and F1 in 0..1 (None: never guessed, never true)."""
    from sklearn.metrics import precision_recall_fscore_support

    table = precision_recall_fscore_support(truth, guess, labels=range(len(classes)), zero_division=np.nan)
    return [
        {"label": label, "support": int(support), "precision": _safe(p), "recall": _safe(r), "f1": _safe(f)}
        for label, p, r, f, support in zip(classes, *table, strict=True)
    ]


def _safe(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def confusion(truth: Ints, guess: Ints, classes: list[str]) -> dict[str, dict[str, int]]:
    """How often images of a class were taken for each: true label -> guessed label -> count, without the zeros.

    Of 1,000 classes nearly all of a million pairs never occur, and every pass reads this of every run.
    """
    found: dict[str, dict[str, int]] = {}
    for (given, said), count in sorted(Counter(zip(truth.tolist(), guess.tolist(), strict=True)).items()):
        found.setdefault(classes[given], {})[classes[said]] = count
    return found
