"""Cross-validation: the assignment of folds, and which model predicts which image."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.folder import Dataset, Sample
from training.fitting.crossval import MAIN, assign_folds, plan_jobs


def digest(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


contents = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=2, max_size=60)


@given(contents, st.integers(2, 6), st.integers(0, 3))
def test_equal_images_share_a_fold_and_every_fold_is_used(rows, folds, seed):
    found = assign_folds([digest(number) for number, _ in rows], [label for _, label in rows], folds, seed)
    different = len({number for number, _ in rows})
    if different < 2:
        assert set(found) == {-1}
        return
    assert len({(number, fold) for (number, _), fold in zip(rows, found, strict=True)}) == different
    assert set(found) == set(range(min(folds, different)))


@given(contents, st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_images(rows, random):
    mixed = random.sample(rows, len(rows))
    first = assign_folds([digest(n) for n, _ in rows], [label for _, label in rows], 5, 0)
    second = assign_folds([digest(n) for n, _ in mixed], [label for _, label in mixed], 5, 0)
    of = {number: fold for (number, _), fold in zip(rows, first, strict=True)}
    assert [of[number] for number, _ in mixed] == second.tolist()


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=80), st.integers(2, 6))
def test_folds_are_stratified(labels, folds):
    found = assign_folds([digest(i) for i in range(len(labels))], labels, folds, 0)
    for some in (set("abc"), {"a"}, {"b"}, {"c"}):
        counts = Counter(fold for fold, label in zip(found, labels, strict=True) if label in some)
        sizes = [counts[fold] for fold in range(min(folds, len(labels)))]
        assert max(sizes) - min(sizes) <= 1


def test_another_seed_gives_other_folds():
    digests, labels = [digest(i) for i in range(50)], ["a"] * 50
    assert assign_folds(digests, labels, 5, 0).tolist() != assign_folds(digests, labels, 5, 1).tolist()


@pytest.mark.parametrize("folds", [0, 1])
def test_a_recipe_may_do_without_folds(folds):
    assert assign_folds([digest(i) for i in range(9)], ["a"] * 9, folds, 0).tolist() == [-1] * 9


def sample(split, label, number):
    return Sample(f"{split}/{label}/{number}.png", split, label, digest(number))


def test_no_model_is_asked_about_an_image_it_learned_from():
    splits = ["train"] * 12 + ["val"] * 3 + ["test"] * 2 + ["unlabelled"]
    samples = [sample(split, "ab"[i % 2] if split != "unlabelled" else "", i) for i, split in enumerate(splits)]
    data = Dataset(Path(), tuple(sorted(samples)))
    train = data.positions("train")
    fold = assign_folds([data.samples[i].digest for i in train], [data.samples[i].label for i in train], 4, 0)
    jobs = plan_jobs(data, fold, seed=7)

    assert [job.name for job in jobs] == [MAIN, "fold 1", "fold 2", "fold 3", "fold 4"]
    assert jobs[0].train.tolist() == train.tolist()  # the longest job comes first
    assert jobs[0].held_out.tolist() == data.positions("val").tolist()
    assert jobs[0].others.tolist() == data.positions("test", "unlabelled").tolist()
    for job in jobs:
        assert not set(job.train) & (set(job.held_out) | set(job.others))
    asked = np.concatenate([np.concatenate([job.held_out, job.others]) for job in jobs])
    assert sorted(asked) == list(range(len(samples)))
    assert len({job.seed for job in jobs}) == len(jobs)
