"""Metrics of predictions: accuracy with its Wilson interval, F1, confusion matrix.

Arrays in, JSON-safe values out: None where a number has no meaning.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data.arrays import Floats, Ints

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the train images, counted from 1: mean cross-entropy (nats), accuracy on val (0..1)."""

    epoch: int
    train_loss: float
    val_accuracy: float | None


def score(truth: Ints, probs: Floats, classes: list[str]) -> dict[str, Any] | None:
    """Compute all metrics of probabilities (n, K) against class numbers (n,); None for n = 0."""
    if not len(truth):
        return None
    guess = probs.argmax(1)  # (n,)
    correct = int((guess == truth).sum())
    return {
        "n": len(truth),
        "accuracy": correct / len(truth),
        "interval": wilson(correct, len(truth)),
        "macro_f1": macro_f1(truth, guess),
        "per_class": per_class(truth, guess, classes),
        "confusion": confusion(truth, guess, classes),
    }


def wilson(correct: int, n: int) -> list[float]:
    """Return the Wilson score interval of a share of n > 0 trials (E. B. Wilson, 1927): 95 %, [low, high] in 0..1."""
    share = correct / n
    middle = share + Z**2 / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    low, high = ((middle + side * spread) / (1 + Z**2 / n) for side in (-1, 1))
    return [max(0.0, low), min(1.0, high)]


def macro_f1(truth: Ints, guess: Ints) -> float:
    """Return the mean F1, 0..1, of the classes that occur in truth or guess, both (n,) with n > 0."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, average="macro", zero_division=0))


def per_class(truth: Ints, guess: Ints, classes: list[str]) -> list[dict[str, Any]]:
    """Return each class's label, support, and precision, recall and F1 in 0..1 (None: never guessed or never true)."""
    from sklearn.metrics import precision_recall_fscore_support

    table = precision_recall_fscore_support(truth, guess, labels=range(len(classes)), zero_division=np.nan)
    return [
        {"label": label, "support": int(support), "precision": _or_none(p), "recall": _or_none(r), "f1": _or_none(f)}
        for label, p, r, f, support in zip(classes, *table, strict=True)
    ]


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def confusion(truth: Ints, guess: Ints, classes: list[str]) -> dict[str, dict[str, int]]:
    """Return the confusion matrix without its zeros: true label -> predicted label -> count.

    With 1,000 classes nearly all of a million pairs never occur, and every pass reads this for every run.
    """
    counts: dict[str, dict[str, int]] = {}
    for (true, predicted), count in sorted(Counter(zip(truth.tolist(), guess.tolist(), strict=True)).items()):
        counts.setdefault(classes[true], {})[classes[predicted]] = count
    return counts
