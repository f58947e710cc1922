"""What a linear head on frozen embeddings says of images, each judged by a head that did not learn from it.

Ridge regression on the classes as 0 and 1 has its leave-one-out predictions in closed form, so that as many heads as
there are images cost one eigendecomposition (Allen, "The relationship between variable selection and data
augmentation and a method for prediction", 1974). The penalty with the least leave-one-out squared error is taken, and
a softmax, whose temperature is fitted to the leave-one-out predictions, makes probabilities of scores. Of a class with
few images each weighs more, or least squares would never see it beside a large one; the choices of penalty,
temperature and these weights look at all labels, and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.arrays import Floats, Ints

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0)  # in units of the mean eigenvalue; clean digits want 0.3, noisy photos 1 to 10
BALANCE = 0.5  # 0: each image weighs the same; 1: each class
SHARPEST = 50.0  # of the softmax: few images that are told apart perfectly are no ground for certainty
FLAT = 1e-3  # a standard deviation below it is rounding, where embeddings are kept in 16 bits
ROUNDING = 1e-6


def out_of_sample(features: Floats, digests: Sequence[str], targets: Ints, train: Ints, classes: int) -> Floats:
    """The probabilities of every image, (N, classes) float32, by a head that learned from train images only.

    `features` (N, d), `targets` (N,) class numbers, `train` (n,) positions, n > 0. Images of one digest are one image,
    with a share of each label that they were given: whatever equals a train image is judged with all of these left
    out. A class without train images has probability 0; where there are no other images to learn from, all others are
    equally likely.
    """
    first, which = _distinct(digests)
    shares = np.zeros((len(first), classes), np.float32)  # (M, K): how often each image was given each label
    np.add.at(shares, (which[train], targets[train]), 1)
    learned, known = np.asarray(shares.any(axis=1)), np.asarray(shares.any(axis=0))
    probs = np.zeros_like(shares)
    probs[:, known] = _judge(features[first], _balanced(shares[:, known]), learned)
    found: Floats = probs[which]
    return found


def _distinct(digests: Sequence[str]) -> tuple[Ints, Ints]:
    """Where each different digest stands first, (M,), and which of these every digest is, (N,)."""
    _, first, which = np.unique(np.array(digests), return_index=True, return_inverse=True)
    return first, which


def _balanced(shares: Floats) -> Floats:
    counts = shares.sum(axis=0)  # (K,), each above 0
    found: Floats = shares * (counts.mean() / counts) ** np.float32(BALANCE)
    return found


def _judge(features: Floats, shares: Floats, learned: np.ndarray) -> Floats:
    """Probabilities (M, K) of different images: of those that are `learned` without themselves, of others with all."""
    weights = shares[learned].sum(axis=1)  # (m,)
    if len(weights) < 2:
        return np.full(shares.shape, 1 / shares.shape[1], np.float32)
    truth = shares[learned] / weights[:, None]  # (m, K)
    inputs = _standardised(features, learned, weights)
    ridge = _decompose(inputs[learned], truth, weights)
    scores = np.empty_like(shares)
    penalty, scores[learned] = _best(ridge)
    scores[~learned] = ridge.predict(inputs[~learned], penalty)
    scores = scores.clip(-1, 2)  # what lies beyond is the chance of few images, and may be very far
    return softmax(scores, _sharpness(scores[learned], truth, weights))


def _standardised(features: Floats, learned: np.ndarray, weights: Floats) -> Floats:
    """Square roots, for embeddings are sums of what is 0 or more, at mean 0 and variance 1 over train images."""
    roots: Floats = np.sign(features) * np.sqrt(np.abs(features))
    share = weights / weights.sum()
    roots -= share @ roots[learned]
    scale: Floats = np.sqrt(share @ roots[learned] ** 2)
    scale[scale < FLAT] = np.inf  # nothing can be learned from such a feature
    roots /= scale
    return roots


@dataclass(frozen=True, slots=True)
class Ridge:
    """Weighted ridge regressions on the same images for any penalty; rows are weighed by their square roots inside."""

    axes: Floats  # (d, r): directions without correlation, r = min(m, d)
    power: Floats  # (r,): the eigenvalues
    along: Floats  # (m, r): the weighed images in these directions
    truth: Floats  # (m, K)
    mean: Floats  # (K,): of `truth`
    weights: Floats  # (m,)

    def coefficients(self, penalty: float) -> Floats:
        """In the directions, (r, K); the penalty is in units of the mean eigenvalue of standardised features."""
        roots = np.sqrt(self.weights)[:, None]
        drawn = self.along.T @ (roots * (self.truth - self.mean))
        found: Floats = drawn / self._shrunk(penalty)[:, None]
        return found

    def _shrunk(self, penalty: float) -> Floats:
        found: Floats = self.power + np.float32(penalty) * self.weights.sum()
        return found

    def predict(self, inputs: Floats, penalty: float) -> Floats:
        """Scores (P, K) of images that are not among these, (P, d)."""
        return self.mean + inputs @ (self.axes @ self.coefficients(penalty))

    def left_out(self, penalty: float) -> Floats:
        """Scores (m, K) of each image by all others: (fit - leverage * truth) / (1 - leverage)."""
        fit = self.mean + self.along @ self.coefficients(penalty) / np.sqrt(self.weights)[:, None]
        leverage = self.weights / self.weights.sum() + (self.along**2 @ (1 / self._shrunk(penalty)))
        leverage = np.minimum(leverage, 1 - ROUNDING)[:, None]
        found: Floats = (fit - leverage * self.truth) / (1 - leverage)
        return found


def _decompose(inputs: Floats, truth: Floats, weights: Floats) -> Ridge:
    rows = inputs * np.sqrt(weights)[:, None]
    mean = weights @ truth / weights.sum()
    if len(rows) > rows.shape[1]:
        power, axes = np.linalg.eigh(rows.T @ rows)
        return Ridge(axes, power.clip(0), rows @ axes, truth, mean, weights)
    power, own = np.linalg.eigh(rows @ rows.T)
    power = power.clip(0)
    length = np.sqrt(power)
    axes = rows.T @ (own / np.maximum(length, ROUNDING * max(length.max(), 1)))
    return Ridge(axes, power, own * length, truth, mean, weights)


def _best(ridge: Ridge) -> tuple[float, Floats]:
    """The penalty with the least squared error of its left-out scores, and these (m, K)."""
    tried = [(penalty, ridge.left_out(penalty)) for penalty in PENALTIES]
    return min(tried, key=lambda each: float(ridge.weights @ ((each[1] - ridge.truth) ** 2).sum(axis=1)))


def softmax(scores: Floats, sharpness: float) -> Floats:
    """Probabilities (N, K) from scores (N, K)."""
    powers = np.exp(np.float32(sharpness) * (scores - scores.max(axis=1, keepdims=True)))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def _sharpness(scores: Floats, truth: Floats, weights: Floats) -> float:
    """The inverse temperature, 1 / SHARPEST to SHARPEST, with the least log loss: halving, for the loss is convex."""
    low, high = -math.log(SHARPEST), math.log(SHARPEST)
    for _ in range(16):
        middle = (low + high) / 2
        slope = weights @ ((softmax(scores, math.exp(middle)) - truth) * scores).sum(axis=1)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp((low + high) / 2)
