"""Paired comparison of two models on the same images: which is right more often, by more than chance.

An image tells two models apart only where one is right and the other is wrong, so pairs show far smaller
differences than two accuracies with their intervals do. Measured in `benchmarks/paired_comparison.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from sheetsync.dataset.records import Entry
from sheetsync.versions.records import Accuracy, Comparison

Z = 1.959963984540054  # 95 % of a normal distribution lie within
HALVINGS = 50  # steps of a bisection within -1..1


def compare(before: Sequence[bool], after: Sequence[bool]) -> Comparison | None:
    """Compare two models by whether each was right, image by image (N booleans each); None for N = 0.

    `told` is True where the 95 % interval of the difference leaves out 0: exactly where McNemar's chi-squared test,
    without correction, yields p < 0.05. Raises ValueError where the lengths differ.
    """
    pairs = list(zip(before, after, strict=True))
    if not pairs:
        return None
    gained = sum(now and not was for was, now in pairs)
    lost = sum(was and not now for was, now in pairs)
    low, high = interval(gained, lost, len(pairs))
    return Comparison(len(pairs), gained, lost, (gained - lost) / len(pairs), low, high, told=low > 0 or high < 0)


def interval(gained: int, lost: int, images: int) -> tuple[float, float]:
    """Return the 95 % score interval of a difference of paired shares, (gained - lost) / images, within -1..1.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17 (1998). `gained` counts what only the second got right, `lost` what only
    the first did, `images` > 0 all pairs.
    """
    return _lower_bound(gained, lost, images), -_lower_bound(lost, gained, images)


def _lower_bound(gained: int, lost: int, images: int) -> float:
    """Find the smallest difference that the score test does not reject, by bisection: its statistic falls with it."""
    low, high = -1.0, (gained - lost) / images
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _statistic(middle, gained, lost, images) > Z else (low, middle)
    return high


def _statistic(difference: float, gained: int, lost: int, images: int) -> float:
    """Return Tango's score statistic of a supposed difference in -1..1: standard normal if it is the true one.

    `share` is the likeliest share of images that only the first gets right, if that is the difference.
    """
    linear = (2 * images - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    share = (math.sqrt(max(0.0, linear**2 - 8 * images * constant)) - linear) / (4 * images)
    variance = images * (2 * share + difference * (1 - difference))
    return (gained - lost - images * difference) / math.sqrt(max(variance, 1e-12))


def compare_on_common(
    images: Iterable[Entry], before: Mapping[str, str], after: Mapping[str, str]
) -> Comparison | None:
    """Compare the predictions of two models, content digest -> label, on the images that both predicted.

    The truth is the label in `images`. A label "" is no prediction. None where no image is common.
    """
    common = [entry for entry in images if before.get(entry.digest) and after.get(entry.digest)]
    return compare(*([labels[entry.digest] == entry.label for entry in common] for labels in (before, after)))


def judge(images: Iterable[Entry], labels: Mapping[str, str]) -> Accuracy | None:
    """Return how often predictions, content digest -> label, equal the labels of `images`; None without any.

    A label "" is no prediction, and such an image does not count.
    """
    right = [labels[entry.digest] == entry.label for entry in images if labels.get(entry.digest)]
    return Accuracy(len(right), sum(right) / len(right), *wilson(sum(right), len(right))) if right else None


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of n > 0 trials (E. B. Wilson, 1927), within 0..1."""
    share, weight = right / n, Z**2 / n
    spread = math.sqrt(share * (1 - share) * weight + weight**2 / 4)
    low, high = ((share + weight / 2 + side * spread) / (1 + weight) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)
