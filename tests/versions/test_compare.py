"""Two models on the same images: what is claimed, how often that is wrong, and how often it is missed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, chi2

from sheetsync.dataset.records import Entry
from sheetsync.versions.compare import Z, compare, compare_on_common, interval, judge, wilson

PAIRS = 200
TOO_OFTEN = 0.07

# Accuracy of the earlier model, and the correlation of being right: two trainings agree on most images.
MODELS = [(0.55, 0.6), (0.7, 0.3), (0.7, 0.7), (0.9, 0.3), (0.9, 0.6), (0.95, 0.6)]


def draw(images: int, accuracy: float, phi: float, difference: float, pairs: int, seed: int = 0) -> list[list[int]]:
    """Cells of simulated pairs: both right, only the later one, only the earlier one, neither."""
    later = accuracy + difference
    both = accuracy * later + phi * math.sqrt(accuracy * (1 - accuracy) * later * (1 - later))
    chances = [both, later - both, accuracy - both, 1 - accuracy - later + both]
    random = np.random.default_rng([seed, images, *(round(100 * each) for each in (accuracy, phi))])
    cells: list[list[int]] = random.multinomial(images, chances, pairs).tolist()
    return cells


def claimed(cells: list[int]) -> bool:
    """Return True if `compare` claims a difference on these images, whose order does not matter."""
    both, gained, lost, neither = cells
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * both + [True] * gained + [False] * lost + [False] * neither
    compared = compare(before, after)
    assert compared is not None
    assert (compared.images, compared.gained, compared.lost) == (sum(cells), gained, lost)
    return compared.told


def mcnemar(cells: list[int]) -> Iterator[tuple[str, bool]]:
    """Yield for each kind of McNemar's test if it finds a difference at 5 %, from its definition."""
    _, gained, lost, _ = cells
    unequal, few = gained + lost, min(gained, lost)
    both_sides = 2 * binom.cdf(few, unequal, 0.5)
    yield "exact", both_sides < 0.05
    yield "mid-p", both_sides - binom.pmf(few, unequal, 0.5) < 0.05
    yield "chi-squared", bool(unequal) and chi2.sf((gained - lost) ** 2 / unequal, 1) < 0.05
    yield "corrected", bool(unequal) and chi2.sf(max(abs(gained - lost) - 1, 0) ** 2 / unequal, 1) < 0.05


def rate(drawn: list[list[int]]) -> float:
    """Return the share of pairs for which a difference is claimed."""
    bounds = Counter((gained, lost, sum(cells)) for cells in drawn for _, gained, lost, _ in [cells])
    intervals = ((count, interval(*counts)) for counts, count in bounds.items())
    return sum(count for count, (low, high) in intervals if low > 0 or high < 0) / len(drawn)


def test_no_difference_is_seldom_taken_for_one() -> None:
    """Of 200 pairs of versions that are equally good at most 7 % are told apart.

    At a rate of 5 % one such draw in thirteen has more; the next test takes so many that none has.
    """
    drawn = draw(800, 0.9, 0.6, 0.0, PAIRS)
    assert 0 < sum(map(claimed, drawn)) / PAIRS <= TOO_OFTEN


@pytest.mark.parametrize("images", [200, 800])
@pytest.mark.parametrize(("accuracy", "phi"), MODELS)
def test_no_kind_of_pair_is_told_apart_too_often(images: int, accuracy: float, phi: float) -> None:
    assert rate(draw(images, accuracy, phi, 0.0, 4000)) <= 0.06


def test_over_many_pairs_the_rate_of_false_claims_is_the_one_promised() -> None:
    """A comparison that claims nothing would keep the laws above, and one that claims a little too much as well."""
    drawn = [cells for images in (200, 800) for models in MODELS for cells in draw(images, *models, 0.0, 1000, seed=1)]
    assert 0.045 < rate(drawn) < 0.055


@pytest.mark.parametrize(("accuracy", "phi"), MODELS)
def test_three_points_on_800_images_are_found_as_often_as_by_mcnemar(accuracy: float, phi: float) -> None:
    drawn = draw(800, accuracy, phi, 0.03, PAIRS)
    found = sum(map(claimed, drawn))
    others = [dict(mcnemar(cells)) for cells in drawn]
    for name in others[0]:
        assert found >= sum(other[name] for other in others), name
    assert found > 0


@pytest.mark.parametrize("difference", [0.0, 0.01, -0.03])
@pytest.mark.parametrize("images", [200, 800])
def test_the_interval_holds_the_true_difference_19_times_in_20(images: int, difference: float) -> None:
    drawn = [cells for models in MODELS for cells in draw(images, *models, difference, 300, seed=2)]
    bounds = [interval(cells[1], cells[2], images) for cells in drawn]
    assert 0.935 < np.mean([low <= difference <= high for low, high in bounds]) < 0.965


# --- against other people's numbers and the definition -----------------------------------------------


def test_the_interval_is_the_published_one() -> None:
    """Airways of 21 children before and after a transplant: 1 and 7 react once (Fagerland and others, 2014)."""
    assert interval(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


def score_statistic(difference: float, gained: int, lost: int, images: int) -> float:
    """Tango's statistic with the likeliest share found by search, and not by his formula."""

    def unlikely(share: float) -> float:  # share of images that only the earlier model gets right
        same = 1 - 2 * share - difference
        terms = ((gained, share + difference), (lost, share), (images - gained - lost, same))
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in terms if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    share = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    variance = images * (2 * share + difference * (1 - difference))
    return (gained - lost - images * difference) / math.sqrt(variance)


@pytest.mark.parametrize("counts", [(1, 7, 21), (20, 9, 800), (9, 20, 800), (31, 30, 200), (5, 1, 40)])
def test_at_its_bounds_the_score_test_is_about_to_reject(counts: tuple[int, int, int]) -> None:
    low, high = interval(*counts)
    assert score_statistic(low, *counts) == pytest.approx(Z, abs=1e-4)
    assert score_statistic(high, *counts) == pytest.approx(-Z, abs=1e-4)


counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200)).filter(any)


@given(counts)
def test_an_interval_lies_around_its_difference_and_turns_with_it(cells: tuple[int, int, int]) -> None:
    gained, lost, images = *cells[:2], sum(cells)
    low, high = interval(gained, lost, images)
    assert -1 <= low <= (gained - lost) / images <= high <= 1
    assert low < high
    assert interval(lost, gained, images) == (-high, -low)


@given(counts)
def test_a_difference_is_told_exactly_where_the_chi_squared_test_tells_one(cells: tuple[int, int, int]) -> None:
    gained, lost, same = cells
    assert claimed([same, gained, lost, 0]) == dict(mcnemar([same, gained, lost, 0]))["chi-squared"]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_difference_is_that_of_the_accuracies(pairs: list[tuple[bool, bool]]) -> None:
    before, after = [was for was, _ in pairs], [now for _, now in pairs]
    compared = compare(before, after)
    assert compared is not None
    assert compared.difference == pytest.approx(np.mean(after) - np.mean(before))
    assert compared.told == (not compared.low <= 0 <= compared.high)
    assert compared == compare(*zip(*sorted(pairs), strict=True)), "the order of the images does not matter"


def test_no_images_no_comparison() -> None:
    assert compare([], []) is None
    with pytest.raises(ValueError, match="argument 2 is longer"):
        compare([True], [True, False])


def test_wilson_agrees_with_scipy() -> None:
    for n in (1, 2, 7, 100, 5000):
        for right in {0, 1, n // 3, n - 1, n}:
            other = binomtest(right, n).proportion_ci(method="wilson")
            assert wilson(right, n) == pytest.approx((other.low, other.high), abs=1e-9)


# --- images and predictions for them ------------------------------------------------------------------


def entry(number: int, label: str) -> Entry:
    return Entry(f"{number:020x}", f"{number:032x}", "val", label, ".png")


IMAGES = [entry(1, "i"), entry(2, "ii"), entry(3, "i"), entry(4, "iii"), entry(5, "i")]


def labels_of(*labels: str | None) -> dict[str, str]:
    return {each.digest: label for each, label in zip(IMAGES, labels, strict=True) if label is not None}


def test_only_images_that_both_can_be_judged_on_count() -> None:
    before = labels_of("i", "i", None, "ii", "")  # nothing known of the third, no model of the fifth
    after = labels_of("ii", "ii", "i", "iii", "i")
    compared = compare_on_common(IMAGES, before, after)
    assert compared is not None
    assert (compared.images, compared.gained, compared.lost) == (3, 2, 1)
    assert compare_on_common(IMAGES, before, {}) is None
    assert compare_on_common([], before, after) is None


def test_a_class_that_a_model_does_not_have_is_wrong() -> None:
    judged = judge(IMAGES, labels_of("i", "ii", "i", "ii", "i"))  # the model never heard of iii
    assert judged is not None
    assert (judged.images, judged.accuracy) == (5, 0.8)
    assert (judged.low, judged.high) == wilson(4, 5)


def test_a_model_without_a_judgement_is_not_judged() -> None:
    judged = judge(IMAGES, labels_of("i", "", None, "iii", "ii"))
    assert judged is not None
    assert (judged.images, judged.accuracy) == (3, pytest.approx(2 / 3))
    assert judge(IMAGES, labels_of("", "", "", "", "")) is None
    assert judge([], {}) is None
