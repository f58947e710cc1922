"""Leave-one-out ridge regression: out-of-sample probabilities from a linear classifier on frozen embeddings.

Ridge regression on one-hot classes has its leave-one-out predictions in closed form, so that as many classifiers as
there are images cost one eigendecomposition (Allen, "The relationship between variable selection and data
augmentation and a method for prediction", 1974). The penalty with the least leave-one-out squared error is chosen, and
a softmax, whose temperature is fitted to the leave-one-out predictions, turns scores into probabilities. Each image of
a class with few images weighs more, or least squares would ignore that class beside a large one. The choices of
penalty, temperature and these weights use all labels, and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.arrays import Floats, Ints

PENALTIES = (
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
)  # in units of the mean eigenvalue; best for clean digits: 0.3, for noisy photos: 1 to 10
BALANCE = 0.5  # 0: each image weighs the same; 1: each class
MAX_SHARPNESS = 50.0  # of the softmax: a few images that are separated perfectly do not justify certainty
MIN_DEVIATION = 1e-3  # a standard deviation below it is rounding: embeddings are cached in 16 bits
ROUNDING = 1e-6


def out_of_sample(features: Floats, digests: Sequence[str], targets: Ints, train: Ints, classes: int) -> Floats:
    """Return the probabilities of every image, (N, classes) float32, by a classifier trained on train images only.

    `features` (N, d), `targets` (N,) class numbers, `train` (n,) positions, n > 0. Images with one digest count as one
    image, with a share of each label that they were given: anything equal to a train image is predicted with all of
    these left out. A class without train images has probability 0; if there are no other images to learn from, all
    others are equally likely.
    """
    # (M,) the first position of each different digest, and (N,) the number of each image's digest among them
    _, first, which = np.unique(np.array(digests), return_index=True, return_inverse=True)
    shares = np.zeros((len(first), classes), np.float32)  # (M, K): how often each image was given each label
    np.add.at(shares, (which[train], targets[train]), 1)
    learned, known = np.asarray(shares.any(axis=1)), np.asarray(shares.any(axis=0))
    shares = shares[:, known]
    counts = shares.sum(axis=0)  # each above 0
    balanced: Floats = shares * (counts.mean() / counts) ** np.float32(BALANCE)
    probs = np.zeros((len(first), classes), np.float32)
    probs[:, known] = _predict_distinct(features[first], balanced, learned)
    of_all: Floats = probs[which]
    return of_all


def _predict_distinct(features: Floats, shares: Floats, learned: np.ndarray) -> Floats:
    """Return probabilities (M, K) of different images: those in `learned` are left out of their own prediction."""
    weights = shares[learned].sum(axis=1)  # (m,)
    if len(weights) < 2:
        return np.full(shares.shape, 1 / shares.shape[1], np.float32)
    truth = shares[learned] / weights[:, None]  # (m, K)
    inputs = _standardise(features, learned, weights)
    ridge = decompose(inputs[learned], truth, weights)
    scores = np.empty_like(shares)
    left_out = {penalty: ridge.left_out(penalty) for penalty in PENALTIES}
    penalty = min(PENALTIES, key=lambda penalty: ridge.squared_error(left_out[penalty]))
    scores[learned] = left_out[penalty]
    scores[~learned] = ridge.predict(inputs[~learned], penalty)
    scores = scores.clip(-1, 2)  # scores far outside are chance: they come from few images
    return softmax(scores, fit_sharpness(scores[learned], truth, weights))


def _standardise(features: Floats, learned: np.ndarray, weights: Floats) -> Floats:
    """Scale roots of the features (embeddings average values >= 0) to mean 0 and variance 1 over train images."""
    roots: Floats = np.sign(features) * np.sqrt(np.abs(features))
    share = weights / weights.sum()
    roots -= share @ roots[learned]
    scale: Floats = np.sqrt(share @ roots[learned] ** 2)
    scale[scale < MIN_DEVIATION] = np.inf  # nothing can be learned from such a feature
    roots /= scale
    return roots


@dataclass(frozen=True, slots=True)
class Ridge:
    """Weighted ridge regressions on the same images for any penalty; rows are scaled by the roots of their weights."""

    axes: Floats  # (d, r): principal axes, r = min(m, d)
    power: Floats  # (r,): the eigenvalues
    along: Floats  # (m, r): the weighted images along these axes
    truth: Floats  # (m, K)
    mean: Floats  # (K,): of `truth`
    weights: Floats  # (m,)

    def coefficients(self, penalty: float) -> Floats:
        """Return the coefficients along the axes, (r, K); the penalty is in units of the mean eigenvalue."""
        roots = np.sqrt(self.weights)[:, None]
        projected = self.along.T @ (roots * (self.truth - self.mean))
        coefficients: Floats = projected / self._penalised(penalty)[:, None]
        return coefficients

    def _penalised(self, penalty: float) -> Floats:
        eigenvalues: Floats = self.power + np.float32(penalty) * self.weights.sum()
        return eigenvalues

    def predict(self, inputs: Floats, penalty: float) -> Floats:
        """Return the scores (P, K) of other images, (P, d)."""
        return self.mean + inputs @ (self.axes @ self.coefficients(penalty))

    def left_out(self, penalty: float) -> Floats:
        """Return leave-one-out scores (m, K), each image by all others: (fit - leverage * truth) / (1 - leverage)."""
        fit = self.mean + self.along @ self.coefficients(penalty) / np.sqrt(self.weights)[:, None]
        leverage = self.weights / self.weights.sum() + (self.along**2 @ (1 / self._penalised(penalty)))
        leverage = np.minimum(leverage, 1 - ROUNDING)[:, None]
        scores: Floats = (fit - leverage * self.truth) / (1 - leverage)
        return scores

    def squared_error(self, scores: Floats) -> float:
        """Return the weighted squared error of scores (m, K)."""
        return float(self.weights @ ((scores - self.truth) ** 2).sum(axis=1))


def decompose(inputs: Floats, truth: Floats, weights: Floats) -> Ridge:
    """Prepare ridge regressions of `truth` (m, K) on standardised `inputs` (m, d), weighted by (m,)."""
    rows = inputs * np.sqrt(weights)[:, None]
    mean = weights @ truth / weights.sum()
    if len(rows) > rows.shape[1]:
        power, axes = np.linalg.eigh(rows.T @ rows)
        return Ridge(axes, power.clip(0), rows @ axes, truth, mean, weights)
    power, vectors = np.linalg.eigh(rows @ rows.T)  # with fewer images than features this one is smaller
    power = power.clip(0)
    length = np.sqrt(power)
    axes = rows.T @ (vectors / np.maximum(length, ROUNDING * max(length.max(), 1)))
    return Ridge(axes, power, vectors * length, truth, mean, weights)


def softmax(scores: Floats, sharpness: float) -> Floats:
    """Turn scores (N, K) into probabilities (N, K); `sharpness` is the inverse temperature."""
    powers = np.exp(np.float32(sharpness) * (scores - scores.max(axis=1, keepdims=True)))
    probs: Floats = powers / powers.sum(axis=1, keepdims=True)
    return probs


def fit_sharpness(scores: Floats, truth: Floats, weights: Floats) -> float:
    """Find the inverse temperature with the least log loss (convex: by bisection), at most MAX_SHARPNESS or 1 / it."""
    low, high = -math.log(MAX_SHARPNESS), math.log(MAX_SHARPNESS)
    for _ in range(16):
        middle = (low + high) / 2
        slope = weights @ ((softmax(scores, math.exp(middle)) - truth) * scores).sum(axis=1)
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp((low + high) / 2)
