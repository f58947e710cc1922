"""The versions of a sheet that were trained on: what each held, and how it compares with the one before.

What is read is small and stays where it is:

    .sheetsync/revisions/<revision>.tsv     what a version held
    .sheetsync/runs/<run>/predictions.csv   predictions of its models for images they did not learn from
    .sheetsync/rescored/<run>.csv           predictions of its main model for val images that are newer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sheetsync.common.atomic import write_atomic
from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.dataset.revision import parse_revision, revision, revision_text
from sheetsync.errors import TrainingError
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.changes import count_changes
from sheetsync.versions.compare import compare_on_common
from sheetsync.versions.records import Changes, Comparison, Step


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run, the manifest of its version, and its out-of-sample predictions, content digest -> label.

    The manifest is empty where it was not kept. `why` says why the predictions cannot be read, "" where they can.
    """

    run: RunInfo
    manifest: Manifest
    labels: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Versions:
    """The versions kept in the state folder of a project, with the trainer that knows their runs."""

    state: StateFolder
    trainer: Trainer

    def save_revision(self, manifest: Manifest) -> str:
        """Keep what this version holds, once; returns its revision."""
        name = revision(manifest)
        file = self.state.revision(name)
        if not file.exists():
            write_atomic(file, revision_text(manifest))
        return name

    def changes(self, run: RunInfo) -> Changes:
        """Count how the version of a run differs from the one before; from nothing if there is none."""
        before = self.trainer.runs().predecessor(run)
        return count_changes(self._load_manifest(before) if before else Manifest(), self._load_manifest(run))

    def name(self, run: RunInfo) -> str:
        """Name the version of a run, such as v13."""
        return self.trainer.runs().version_name(run)

    def last_step(self, run: RunInfo) -> Step:
        """Return the step to the version of a run, both versions judged on the val images of the later one."""
        log = self.trainer.runs()
        before = log.predecessor(run)
        return make_step(self.load_run(before) if before else None, self.load_run(run), log)

    def load_run(self, run: RunInfo) -> LoadedRun:
        """Load the manifest and the predictions of a run."""
        try:
            return LoadedRun(run, self._load_manifest(run), self.trainer.out_of_sample_labels(run))
        except TrainingError as error:
            return LoadedRun(run, self._load_manifest(run), why=str(error))

    def _load_manifest(self, run: RunInfo) -> Manifest:
        """Load what the version of a run held; empty if it was not kept."""
        file = self.state.revision(run.revision)
        return parse_revision(file.read_text(encoding="utf-8")) if file.exists() else Manifest()


def make_step(before: LoadedRun | None, after: LoadedRun, log: RunLog, images: Sequence[Entry] = ()) -> Step:
    """Describe the step from one version to the next, of those in `log`.

    Both are judged on `images` and the labels there; without any, on the val images of the later version.
    """
    kept = len(after.manifest) and (before is None or len(before.manifest))
    changes = count_changes(before.manifest if before else Manifest(), after.manifest) if kept else None
    name = log.version_name(after.run)
    if before is None:
        return Step("", name, changes)
    compared = _compare(before, after, images or validation_images(after.manifest))
    return Step(log.version_name(before.run), name, changes, *compared)


def _compare(before: LoadedRun, after: LoadedRun, images: Sequence[Entry]) -> tuple[Comparison | None, str]:
    """Compare two runs; the second value says why that is impossible, "" if it is not."""
    if before.why or after.why:
        return None, before.why or after.why
    if not images:
        return None, "no validation images to compare them on"
    compared = compare_on_common(images, before.labels, after.labels)
    return compared, "" if compared else "no validation image that both can be judged on"


def validation_images(manifest: Iterable[Entry]) -> list[Entry]:
    """Return the entries of the split val."""
    return [entry for entry in manifest if entry.split == "val"]
