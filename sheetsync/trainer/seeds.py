"""Several trainings of one version that differ by their seed alone: how much of a score is chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sheetsync.common.progress import Progress
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.lineage import RunLog, score_of
from sheetsync.trainer.records import RunInfo


@dataclass(frozen=True)
class Seeds:
    """The runs of `wanted` seeds on a version: that of the recipe, which speaks for the version, and those after it."""

    trainer: Trainer
    wanted: int

    def runs(self, run: RunInfo) -> dict[int, RunInfo]:
        """By how much the seed is raised -> run, of those that are finished."""
        log = self.trainer.runs(run.revision) if self.wanted > 1 else RunLog()
        found = log.seed_variants(run)
        return {seed: found[seed] for seed in range(self.wanted) if seed in found}

    def missing(self, run: RunInfo) -> list[int]:
        """By how much the seeds are raised that are still to be trained."""
        return sorted({*range(self.wanted)} - self.runs(run).keys())

    def train(self, run: RunInfo, progress: Progress) -> Iterator[RunInfo]:
        """Train what is missing, one after the other. Raises `TrainingError`."""
        for seed in self.missing(run):
            progress("train", 0, 0, f"seed {seed + 1} of {self.wanted}")
            yield self.trainer.train(run.revision, progress, seed)

    def score(self, run: RunInfo) -> Mapping[str, Any]:
        """The figures that people compare; see `history.score`."""
        return score_of(run, self.runs(run).values())
