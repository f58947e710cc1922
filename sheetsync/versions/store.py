"""The versions of a sheet that were trained on: what each held, and how it compares with the one before.

What is read is small and stays where it is:

    .sheetsync/revisions/<revision>.tsv     what a version held
    .sheetsync/runs/<run>/predictions.csv   what its models say of images they did not learn from
    .sheetsync/rescored/<run>.csv           what its main model says of val images that came after it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sheetsync.common.atomic import write_atomic
from sheetsync.common.state_folder import StateFolder
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.dataset.revision import parse_revision, revision, revision_text
from sheetsync.errors import TrainingError
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.changes import changes
from sheetsync.versions.compare import compare_on_common
from sheetsync.versions.records import Changes, Comparison, Step


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A run and what is kept of it: what its version held, and what it says, content digest -> label.

    `why` says why what it says cannot be read, "" where it can.
    """

    run: RunInfo
    held: Manifest
    said: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Versions:
    """What is kept of the versions in `state`, the project's .sheetsync, and the trainer that knows the runs."""

    state: StateFolder
    trainer: Trainer

    def save_revision(self, manifest: Manifest) -> str:
        """Keep what this version holds, once; gives its revision."""
        name = revision(manifest)
        if not self._file(name).exists():
            write_atomic(self._file(name), revision_text(manifest))
        return name

    def changes(self, run: RunInfo) -> Changes:
        """How the version of a run differs from the one before; from nothing if there is none."""
        before = self.trainer.runs().predecessor(run)
        return changes(self._held(before) if before else Manifest(), self._held(run))

    def name(self, run: RunInfo) -> str:
        """What people call its version, such as v13."""
        return self.trainer.runs().version_name(run)

    def last_step(self, run: RunInfo) -> Step:
        """From the version before to the one of a run, both judged on the val images of the latter."""
        log = self.trainer.runs()
        before = log.predecessor(run)
        return make_step(self.load_run(before) if before else None, self.load_run(run), log)

    def load_run(self, run: RunInfo) -> LoadedRun:
        """What is kept of a run."""
        try:
            return LoadedRun(run, self._held(run), self.trainer.out_of_sample_labels(run))
        except TrainingError as error:
            return LoadedRun(run, self._held(run), why=str(error))

    def _held(self, run: RunInfo) -> Manifest:
        """What a version held; nothing if nobody kept it."""
        kept = self._file(run.revision)
        return parse_revision(kept.read_text(encoding="utf-8")) if kept.exists() else Manifest()

    def _file(self, revision: str) -> Path:
        return self.state.revision(revision)


def make_step(before: LoadedRun | None, after: LoadedRun, log: RunLog, images: Sequence[Entry] = ()) -> Step:
    """From one version to the next, of those in `log`.

    Both are judged on `images` and the labels there; without any, on the val images of the later version.
    """
    known = len(after.held) and (before is None or len(before.held))
    changed = changes(before.held if before else Manifest(), after.held) if known else None
    name = log.version_name(after.run)
    if before is None:
        return Step("", name, changed)
    return Step(
        log.version_name(before.run),
        name,
        changed,
        *_compared(before, after, images or validation_images(after.held)),
    )


def _compared(before: LoadedRun, after: LoadedRun, images: Sequence[Entry]) -> tuple[Comparison | None, str]:
    """How two runs compare, or why that cannot be said."""
    if before.why or after.why:
        return None, before.why or after.why
    if not images:
        return None, "no validation images to compare them on"
    compared = compare_on_common(images, before.said, after.said)
    return compared, "" if compared else "no validation image that both can be judged on"


def validation_images(manifest: Iterable[Entry]) -> list[Entry]:
    """The entries of the split val."""
    return [entry for entry in manifest if entry.split == "val"]
