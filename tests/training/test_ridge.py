"""Leave-one-out ridge regression: each image is predicted by a classifier that did not learn from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

from training.embedding import ridge


def names(count):
    return [f"{i:064x}" for i in range(count)]


def judged(features, targets, train=None, digests=None, classes=None):
    targets = np.array(targets, np.int64)
    train = np.arange(len(targets)) if train is None else np.array(train, np.int64)
    found = ridge.out_of_sample(
        np.array(features, np.float32), digests or names(len(targets)), targets, train, classes or targets.max() + 1
    )
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    return found


def problem(images, dimensions, classes=3, seed=0):
    """Standardised inputs, soft truth and unequal weights."""
    chance = np.random.default_rng(seed)
    weights = chance.integers(1, 5, images).astype(float)
    inputs = chance.standard_normal((images, dimensions))
    inputs -= weights @ inputs / weights.sum()
    return inputs, chance.dirichlet(np.ones(classes), images), weights


@pytest.mark.parametrize(("images", "dimensions"), [(40, 6), (7, 30), (12, 12), (2, 5)])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_left_out_scores_are_those_of_a_head_fitted_without_the_image(images, dimensions, penalty):
    inputs, truth, weights = problem(images, dimensions)
    found = ridge.decompose(inputs, truth, weights).left_out(penalty)
    for i in range(images):
        rest = np.arange(images) != i
        share = weights[rest] / weights[rest].sum()
        shift, mean = share @ inputs[rest], share @ truth[rest]
        rows = inputs[rest] - shift
        matrix = rows.T @ (weights[rest, None] * rows) + penalty * weights.sum() * np.eye(dimensions)
        fitted = np.linalg.solve(matrix, rows.T @ (weights[rest, None] * (truth[rest] - mean)))
        np.testing.assert_allclose(found[i], mean + (inputs[i] - shift) @ fitted, atol=1e-8)


@pytest.mark.parametrize(("images", "dimensions"), [(40, 6), (7, 30)])
def test_other_images_are_scored_by_a_head_fitted_on_all(images, dimensions):
    inputs, truth, weights = problem(images, dimensions)
    others = np.random.default_rng(1).standard_normal((5, dimensions))
    mean = weights @ truth / weights.sum()
    matrix = inputs.T @ (weights[:, None] * inputs) + 0.3 * weights.sum() * np.eye(dimensions)
    fitted = np.linalg.solve(matrix, inputs.T @ (weights[:, None] * (truth - mean)))
    found = ridge.decompose(inputs, truth, weights).predict(others, 0.3)
    np.testing.assert_allclose(found, mean + others @ fitted, atol=1e-8)


def test_the_score_of_an_image_does_not_depend_on_its_own_label():
    inputs, truth, weights = problem(20, 8)
    before = ridge.decompose(inputs, truth, weights).left_out(1.0)
    truth[3] = [0, 0, 1]
    after = ridge.decompose(inputs, truth, weights).left_out(1.0)
    np.testing.assert_allclose(before[3], after[3], atol=1e-10)
    assert np.abs(before - after).max() > 1e-3


def test_an_equal_image_is_judged_as_the_train_image_is_without_either_of_its_labels():
    chance = np.random.default_rng(0)
    features = chance.random((12, 4))
    features[9:] = features[0]
    digests = [*names(9), *[names(1)[0]] * 3]
    targets = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, -1, 0]
    found = judged(features, targets, [*range(10)], digests, 2)  # 9 is a copy in train, 10 unlabelled, 11 in val
    assert (found[[9, 10, 11]] == found[0]).all()
    alone = judged(features[:9], targets[:9])
    assert not np.allclose(found[1], alone[1])  # the copy has taught the others something


def test_copies_of_an_image_weigh_as_that_many_images():
    inputs, truth, _ = problem(20, 4)
    weights = np.ones(20)
    weights[0] = 3
    once = ridge.decompose(inputs, truth, weights)
    thrice = ridge.decompose(inputs[[0, 0, *range(20)]], truth[[0, 0, *range(20)]], np.ones(22))
    np.testing.assert_allclose(once.predict(inputs, 1.0), thrice.predict(inputs, 1.0), atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_any_images_and_labels_give_probabilities(images, dimensions, classes, seed, copies):
    chance = np.random.default_rng(seed)
    features = chance.random((images, dimensions)) * 6 * (chance.random(dimensions) < 0.8)
    targets = chance.integers(0, classes, images)
    train = np.flatnonzero(chance.random(images) < 0.7)
    train = train if len(train) else np.array([0])
    digests = [names(images)[i] for i in chance.integers(0, images, images)] if copies else None
    found = judged(features, targets, train, digests, classes)
    absent = np.setdiff1d(np.arange(classes), targets[train])
    assert not found[:, absent].any()


def test_images_that_are_all_alike_are_taken_for_the_commonest_label():
    found = judged(np.ones((100, 5)), [0] * 99 + [1])
    assert (found.argmax(axis=1) == 0).all()
    np.testing.assert_allclose(found[:99], found[[0] * 99], atol=1e-6)


def test_where_all_rows_are_one_image_nothing_is_known_of_its_labels():
    assert judged([[1, 2]] * 3, [0, 0, 1], digests=names(1) * 3).tolist() == [[0.5, 0.5]] * 3


def test_two_images_of_two_classes_are_told_to_be_anything():
    judged([[0, 1], [1, 0]], [0, 1])


def test_a_rare_class_is_found_among_a_hundred_times_as_many():
    chance = np.random.default_rng(0)
    targets = np.array([0] * 1000 + [1] * 10)
    features = chance.random((1010, 20))
    features[targets == 1, :3] += 3
    assert (judged(features, targets).argmax(axis=1) == targets).mean() > 0.999


def test_a_thousand_classes_of_few_images():
    chance = np.random.default_rng(0)
    targets = np.repeat(np.arange(1000), 2)
    features = chance.random((1000, 64))[targets] * 5 + chance.random((2000, 64))
    assert (judged(features, targets).argmax(axis=1) == targets).mean() > 0.7


def test_an_image_that_is_the_only_one_of_its_class_is_never_taken_for_it():
    chance = np.random.default_rng(0)
    found = judged(chance.random((21, 10)), [0, 1] * 10 + [2])
    assert found[20].argmax() != 2


def test_wrong_labels_of_digits_are_found():
    digits = load_digits()
    chance = np.random.default_rng(0)
    wrong = chance.random(len(digits.target)) < 0.1
    given = np.where(wrong, (digits.target + 1) % 10, digits.target)
    found = judged(digits.data, given)
    assert average_precision_score(wrong, 1 - found[np.arange(len(given)), given]) > 0.85
    assert (found.argmax(axis=1) == digits.target).mean() > 0.9


def test_a_softmax_is_as_sure_as_the_scores_are_right():
    truth = np.eye(2)[np.random.default_rng(0).integers(0, 2, 2000)]
    said = np.where(np.arange(2000)[:, None] % 5 == 0, 1 - truth, truth)  # one of five is wrong
    sure = ridge.softmax(said, ridge.fit_sharpness(said, truth, np.ones(2000)))
    assert sure.max() == pytest.approx(0.8, abs=0.01)
