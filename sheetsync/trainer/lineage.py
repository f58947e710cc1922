"""The runs of a project as one log: lineages by recipe, version names, predecessors, runs that differ by their seed.

A lineage is all runs of one recipe, to the last number, in the order in which they were finished.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from sheetsync.trainer.records import RunInfo

MOST_SEEDS = 20  # trainings of one version


@dataclass(frozen=True)
class RunLog:
    """Finished runs, of every recipe, in no order. It is sorted once, however often it is asked."""

    runs: tuple[RunInfo, ...] = ()

    def __iter__(self) -> Iterator[RunInfo]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def lineage(self, run: RunInfo) -> tuple[RunInfo, ...]:
        """Return all runs of the same recipe in the order in which they were finished."""
        return self._lineages.get(_recipe_digest(run), ())

    def lineages(self) -> Collection[tuple[RunInfo, ...]]:
        """Return the lineages of all recipes."""
        return self._lineages.values()

    def predecessor(self, run: RunInfo) -> RunInfo | None:
        """Return the run of the same recipe that was finished last before this one, None for the first."""
        earlier = self._finished_before(run)
        return self.lineage(run)[earlier - 1] if earlier else None

    def version_name(self, run: RunInfo) -> str:
        """Name the version of the sheet that a run was trained on: v1, v2 and so on, counted for each recipe."""
        return f"v{1 + self._finished_before(run)}"

    def seed_variants(self, run: RunInfo) -> dict[int, RunInfo]:
        """Return the runs on the same revision that differ by a raised seed alone: by how much -> run.

        The run itself is 0.
        """
        first, rest = _split_seed(run)
        others = [(_split_seed(other), other) for other in self._by_revision.get(run.revision, ())]
        raised = {seed - first: other for (seed, others_rest), other in others if others_rest == rest}
        return {0: run} | {seed: raised[seed] for seed in range(1, MOST_SEEDS) if seed in raised}

    def _finished_before(self, run: RunInfo) -> int:
        """Count the runs of the same recipe that were finished before this one, which need not be in the log."""
        return bisect_left(self.lineage(run), finished_at(run), key=finished_at)

    @cached_property
    def _lineages(self) -> Mapping[str, tuple[RunInfo, ...]]:
        found: dict[str, list[RunInfo]] = defaultdict(list)
        for run in sorted(self.runs, key=finished_at):
            found[_recipe_digest(run)].append(run)
        return {digest: tuple(runs) for digest, runs in found.items()}

    @cached_property
    def _by_revision(self) -> Mapping[str, list[RunInfo]]:
        found: dict[str, list[RunInfo]] = defaultdict(list)
        for run in self.runs:
            found[run.revision].append(run)
        return found


def finished_at(run: RunInfo) -> tuple[str, str]:
    """Return what runs are sorted by: when they were finished, and where that is the same, their names."""
    return str(run.metrics["created"]), run.id


def _recipe_digest(run: RunInfo) -> str:
    """Return the digest of a run's recipe from the name of its folder; the recipe's own name may be used again."""
    return run.id.rpartition("-")[2]


def _split_seed(run: RunInfo) -> tuple[int, Mapping[str, Any]]:
    """Return the seed of a run, and all else that was chosen for it."""
    seed = run.choices.get("seed")
    rest = {name: value for name, value in run.choices.items() if name not in ("name", "digest", "seed")}
    return seed if isinstance(seed, int) else 0, rest


def score_of(run: RunInfo, seeds: Collection[RunInfo] = ()) -> dict[str, Any]:
    """Return the figures of a run that people compare; None where a split is empty.

    `seeds` are the runs of all seeds, this one among them, whose validation accuracies have a mean and, if they are
    several, a standard deviation (of n - 1).
    """
    seeds = seeds or [run]
    vals = [each.metrics.get("val") or {} for each in seeds]
    accuracies = [val["accuracy"] for val in vals if val.get("accuracy") is not None]
    val, test = (run.metrics.get(split) or {} for split in ("val", "test"))
    low, high = val.get("interval") or (None, None)
    return {
        "val_accuracy": val.get("accuracy"),
        "val_low": low,
        "val_high": high,
        "val_macro_f1": val.get("macro_f1"),
        "test_accuracy": test.get("accuracy"),
        "seeds": len(seeds),
        "val_mean": fmean(accuracies) if accuracies else None,
        "val_spread": stdev(accuracies) if len(accuracies) > 1 else None,
    }
