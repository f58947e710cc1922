"""Scores of predictions, against known values and against other people's code."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from training.fitting.metrics import confusion, macro_f1, per_class, score, wilson


def probs_of(guess, classes):
    return np.eye(classes, dtype=np.float32)[guess] * 0.9 + 0.01


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (1, 1, 0.2065, 1.0)],
)  # 81 of 263: Newcombe, Statistics in Medicine 17 (1998), table I
def test_wilson_gives_the_published_intervals(right, n, low, high):
    assert wilson(right, n) == pytest.approx([low, high], abs=5e-5)


def test_wilson_agrees_with_scipy_everywhere():
    for n in (1, 2, 7, 100, 5000):
        for right in {0, 1, n // 3, n - 1, n}:
            other = binomtest(right, n).proportion_ci(method="wilson")
            assert wilson(right, n) == pytest.approx([other.low, other.high], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    truth, guess = random.integers(0, 4, 60), random.integers(0, 4, 60)
    assert macro_f1(truth, guess) == pytest.approx(f1_score(truth, guess, average="macro"))
    counted = [[row.get(name, 0) for name in "abcd"] for row in confusion(truth, guess, list("abcd")).values()]
    assert counted == confusion_matrix(truth, guess).tolist()
    table = per_class(truth, guess, list("abcd"))
    wanted = np.transpose(precision_recall_fscore_support(truth, guess))
    assert [[row["precision"], row["recall"], row["f1"], row["support"]] for row in table] == wanted.tolist()


def test_macro_f1_leaves_out_classes_that_occur_nowhere():
    # Two of three b are right: F1 is 1 for a, 4/5 for b, 0 for c (guessed once, never true). d occurs nowhere.
    truth, guess = np.array([0, 1, 1, 1]), np.array([0, 1, 1, 2])
    assert macro_f1(truth, guess) == pytest.approx((1 + 0.8 + 0) / 3)


def test_a_number_without_meaning_is_none():
    table = per_class(np.array([0, 1]), np.array([0, 0]), ["a", "b", "c"])
    assert table[1] == {"label": "b", "support": 1, "precision": None, "recall": 0.0, "f1": 0.0}
    assert table[2] == {"label": "c", "support": 0, "precision": None, "recall": None, "f1": None}


def test_rows_of_the_confusion_are_the_truth_and_pairs_that_never_occur_are_left_out():
    assert confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), list("abc")) == {"a": {"b": 2}, "b": {"b": 1}}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("truth", [[0], [2], [0, 0, 0], [0, 1, 2, 2]])
def test_every_score_is_json_without_nan(truth):
    found = score(np.array(truth), probs_of(np.zeros(len(truth), int), 4), list("abcd"))
    json.dumps(found, allow_nan=False)
    assert found["n"] == len(truth)
    assert found["accuracy"] == truth.count(0) / len(truth)


def test_no_images_no_score():
    assert score(np.zeros(0, np.int64), np.zeros((0, 3), np.float32), list("abc")) is None
