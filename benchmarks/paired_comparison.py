"""Error rates of paired comparisons (McNemar, Tango): `python benchmarks/paired_comparison.py [PAIRS]`, about a minute.

Pairs of versions are simulated: whether the earlier and the later model is right, image by image, with accuracies
a and a + d, correlated by phi: two trainings on nearly the same images agree on most of them. The number of pairs
is 4,000 a line by default; the seed is fixed, so the numbers are reproducible.

The first table shows how often a difference is claimed. At d = 0 every claim is false, and the nominal rate is .05;
elsewhere more is better. It has McNemar's test in three variants (exact, mid-p, chi-squared), and intervals that
exclude 0: Tango's score interval, which sheetsync/versions/compare.py uses; Newcombe's method 10; Wald's; and Wald's
with half an image more in each of the four cells. The second table shows the coverage, how often an interval contains
the true difference (nominal: .95), and its width in points.

    T. Tango, Statistics in Medicine 17 (1998), 891: the score interval
    R. G. Newcombe, Statistics in Medicine 17 (1998), 2635: method 10
    A. Agresti, Y. Min, Statistics in Medicine 24 (2005), 729: Wald's, adjusted
    M. W. Fagerland, S. Lydersen, P. Laake, BMC Medical Research Methodology 13 (2013), 91: McNemar's, mid-p
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from sheetsync.versions.compare import Z, interval, wilson

Cells = tuple[int, int, int, int]  # images: both right, only the later, only the earlier, neither
Bounds = tuple[float, float]
ACCURACIES = ((0.55, 0.6), (0.7, 0.3), (0.7, 0.7), (0.9, 0.3), (0.9, 0.6), (0.95, 0.6))  # with phi
SIZES = (200, 800)  # images
DIFFERENCES = (0.0, 0.01, 0.03)
SEED = 0


def probabilities(accuracy: float, difference: float, phi: float) -> list[float]:
    """Return the probabilities of the four cells; none is below 0 for the accuracies above."""
    later = accuracy + difference
    both = accuracy * later + phi * math.sqrt(accuracy * (1 - accuracy) * later * (1 - later))
    return [both, later - both, accuracy - both, 1 - accuracy - later + both]


def exact(cells: Cells) -> float:
    """Return the p-value of McNemar's exact test."""
    few, unequal = min(cells[1:3]), cells[1] + cells[2]
    return min(1.0, 2 * float(binom.cdf(few, unequal, 0.5)))


def midp(cells: Cells) -> float:
    """Return the p-value of McNemar's mid-p test."""
    few, unequal = min(cells[1:3]), cells[1] + cells[2]
    return min(1.0, 2 * float(binom.cdf(few, unequal, 0.5)) - float(binom.pmf(few, unequal, 0.5)))


def chi_squared(cells: Cells) -> float:
    """Return the p-value of McNemar's chi-squared test, without continuity correction."""
    _, gained, lost, _ = cells
    return math.erfc(abs(gained - lost) / math.sqrt(2 * (gained + lost))) if gained + lost else 1.0


def tango(cells: Cells) -> Bounds:
    return interval(cells[1], cells[2], sum(cells))


def newcombe(cells: Cells) -> Bounds:
    """Combine two Wilson intervals, with a continuity-corrected correlation."""
    both, gained, lost, neither = cells
    n = sum(cells)
    later, earlier = (both + gained) / n, (both + lost) / n
    (low2, high2), (low1, high1) = wilson(both + gained, n), wilson(both + lost, n)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    product = both * neither - gained * lost
    product = max(product - n / 2, 0) if product > 0 else product
    phi = product / math.sqrt(margins) if margins else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    difference = later - earlier
    return difference - reach(later - low2, high1 - earlier), difference + reach(high2 - later, earlier - low1)


def wald(cells: Cells, more: float = 0.0) -> Bounds:
    _, gained, lost, _ = cells
    n = sum(cells) + 4 * more
    difference = (gained - lost) / n
    reach = Z * math.sqrt(max(0.0, gained + lost + 2 * more - n * difference**2)) / n
    return difference - reach, difference + reach


TESTS: dict[str, Callable[[Cells], float]] = {"exact": exact, "mid-p": midp, "chi2": chi_squared}
INTERVALS: dict[str, Callable[[Cells], Bounds]] = {
    "Tango": lru_cache(None)(tango),
    "Newcombe": lru_cache(None)(newcombe),
    "Wald": wald,
    "Wald+2": lambda cells: wald(cells, 0.5),
}


def simulate(pairs: int) -> Iterator[tuple[str, float, list[Cells]]]:
    """Yield, for each line of the tables, its name, the true difference, and the cells of each pair."""
    random = np.random.default_rng(SEED)
    for images in SIZES:
        for accuracy, phi in ACCURACIES:
            for difference in DIFFERENCES:
                drawn = random.multinomial(images, probabilities(accuracy, difference, phi), pairs).tolist()
                name = f"{images:>6} {accuracy:5.2f} {phi:4.1f} {100 * difference:+4.0f}"
                yield name, difference, [tuple(cells) for cells in drawn]


def claim_rates(drawn: list[Cells]) -> Iterator[float]:
    for test in TESTS.values():
        yield sum(test(cells) < 0.05 for cells in drawn) / len(drawn)
    for bounds in INTERVALS.values():
        yield sum(low > 0 or high < 0 for low, high in map(bounds, drawn)) / len(drawn)


def coverages(drawn: list[Cells], difference: float) -> Iterator[str]:
    for bounds in INTERVALS.values():
        found = [bounds(cells) for cells in drawn]
        share = sum(low <= difference <= high for low, high in found) / len(found)
        width = sum(high - low for low, high in found) / len(found)
        yield f"{share:.3f} {100 * width:5.2f}"


def main() -> None:
    """Print both tables."""
    simulated = list(simulate(int(sys.argv[1]) if sys.argv[1:] else 4000))
    head = "images     a  phi    d"
    print(f"claims\n{head}" + "".join(f"{name:>10}" for name in (*TESTS, *INTERVALS)))
    for name, _, drawn in simulated:
        print(name + "".join(f"{share:10.3f}" for share in claim_rates(drawn)))
    print(f"\ncoverage of the true difference, width\n{head}" + "".join(f"{name:>14}" for name in INTERVALS))
    for name, difference, drawn in simulated:
        print(name + "".join(f"{words:>14}" for words in coverages(drawn, difference)))


if __name__ == "__main__":
    main()
