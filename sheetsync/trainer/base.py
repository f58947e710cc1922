"""The interface of a trainer: a fixed model that can be trained on the dataset and predicts its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

from sheetsync.common.memo import cache_last
from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Manifest
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import Prediction, RunInfo


class Trainer(Protocol):
    """A fixed model that can be trained on the dataset folder, and remembers its runs."""

    def check(self) -> None:
        """Check that the recipe can be used, before anything else is done. Raises `ConfigError`."""

    def run_names(self) -> list[str]:
        """List the names of all finished runs, sorted. Reads none of them."""

    def runs(self, revision: str = "") -> RunLog:
        """Return every finished run, of every recipe, or those on one revision."""

    def find(self, revision: str) -> RunInfo | None:
        """Return the run of this recipe on a revision, if there is one."""

    def train(self, revision: str, progress: Progress, seed: int = 0) -> RunInfo:
        """Train on the dataset as it is, with the seed of the recipe raised by `seed`. Raises `TrainingError`."""

    def predict_provisionally(self, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """Predict every image of the dataset quickly, out of sample, before a training. Raises `TrainingError`."""

    def predictions(self, run: RunInfo, manifest: Manifest, progress: Progress) -> list[Prediction]:
        """Return the predictions of a run for every image of the dataset, out of sample. Raises `TrainingError`."""

    def out_of_sample_labels(self, run: RunInfo) -> Mapping[str, str]:
        """Return content digest -> the label predicted by a model of the run that never learned from this image.

        "" where every model of the run learned from it. Changes nothing. Raises `TrainingError` for a broken run.
        """


@cache_last
def why_untrainable(manifest: Manifest) -> str:
    """Say why there is nothing to learn from these images yet; "" when there is."""
    classes = Counter(entry.label for entry in manifest if entry.split == "train")
    if len(classes) >= 2:
        return ""
    found = ", ".join(classes) or "none"
    return f"training needs images of at least two labels in the split train (labels there: {found})"
