"""Trainings of one version with several seeds: their spread shows how much of a score is chance."""

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
    """The runs on a version with `count` seeds: that of the recipe, whose results are shown, and the next ones."""

    trainer: Trainer
    count: int

    def runs(self, run: RunInfo) -> dict[int, RunInfo]:
        """Return the finished runs: by how much the seed is raised -> run."""
        log = self.trainer.runs(run.revision) if self.count > 1 else RunLog()
        found = log.seed_variants(run)
        return {seed: found[seed] for seed in range(self.count) if seed in found}

    def missing(self, run: RunInfo) -> list[int]:
        """List the seeds that are still to be trained, as how much each is raised."""
        return sorted({*range(self.count)} - self.runs(run).keys())

    def train(self, run: RunInfo, progress: Progress) -> Iterator[RunInfo]:
        """Train the missing seeds, one after the other, and yield their runs. Raises `TrainingError`."""
        for seed in self.missing(run):
            progress("train", 0, 0, f"seed {seed + 1} of {self.count}")
            yield self.trainer.train(run.revision, progress, seed)

    def score(self, run: RunInfo) -> Mapping[str, Any]:
        """Return the figures that people compare; see `lineage.score_of`."""
        return score_of(run, self.runs(run).values())
