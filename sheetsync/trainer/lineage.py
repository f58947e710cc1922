"""Runs of one recipe in the order of their training: versions, predecessors, seeds, scores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from sheetsync.trainer.records import RunInfo

MOST_SEEDS = 20  # trainings of one version


def predecessor(run: RunInfo, runs: Iterable[RunInfo]) -> RunInfo | None:
    """The run of the same recipe, to the last number, that was finished last before this one."""
    earlier = [other for other in lineage(run, runs) if finished_at(other) < finished_at(run)]
    return earlier[-1] if earlier else None


def lineage(run: RunInfo, runs: Iterable[RunInfo]) -> list[RunInfo]:
    """All runs of the same recipe, to the last number, in the order in which they were finished."""
    return sorted((other for other in runs if _recipe(other) == _recipe(run)), key=finished_at)


def version_name(run: RunInfo, runs: Iterable[RunInfo]) -> str:
    """What people call the version of the sheet that a run was trained on: v1, v2, and so on for each recipe."""
    return f"v{1 + sum(finished_at(other) < finished_at(run) for other in lineage(run, runs))}"


def _recipe(run: RunInfo) -> str:
    """The digest of its recipe; a name can be given to another."""
    return run.id.rpartition("-")[2]


def finished_at(run: RunInfo) -> tuple[str, str]:
    """What runs are ordered by: when they were finished, and where that is the same, their names."""
    return str(run.metrics["created"]), run.id


def seed_variants(run: RunInfo, runs: Iterable[RunInfo]) -> dict[int, RunInfo]:
    """The runs on the same revision that differ by a raised seed alone: by how much -> run. The run itself is 0."""
    first, rest = _seed(run)
    same = [other for other in runs if other.revision == run.revision and _seed(other)[1] == rest]
    raised = {_seed(other)[0] - first: other for other in same}
    return {0: run} | {seed: raised[seed] for seed in range(1, MOST_SEEDS) if seed in raised}


def _seed(run: RunInfo) -> tuple[int, Mapping[str, Any]]:
    """The seed of a run, and all else that was chosen for it."""
    seed = run.choices.get("seed")
    rest = {name: value for name, value in run.choices.items() if name not in ("name", "digest", "seed")}
    return seed if isinstance(seed, int) else 0, rest


def score_of(run: RunInfo, seeds: Collection[RunInfo] = ()) -> dict[str, Any]:
    """The figures of a run that people compare; None where a split is empty.

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
