"""What the machine says goes back: into its columns of the sheet, its scores, and beside the images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sheetsync.common.atomic import write_atomic
from sheetsync.common.progress import Progress
from sheetsync.dataset.collect import DatasetState
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.revision import revision, split_sizes
from sheetsync.project.config import Project
from sheetsync.review.verdicts import Verdict, make_verdicts
from sheetsync.review.writeback import plan_row_changes
from sheetsync.rows.ownership import machine_headers
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import UNLABELLED
from sheetsync.rows.table import AddColumns, Book, Change
from sheetsync.sheets import Sheet
from sheetsync.sheets.owned_columns import columns_file, our_columns, read_remembered
from sheetsync.sheets.write import write_back
from sheetsync.sync.fingerprint import FingerprintFile, fingerprint
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import score_changes
from sheetsync.versions.store import Versions


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to speak of: rows, their images, and the run on these; None where nothing could be trained."""

    snapshot: Snapshot
    mirrored: DatasetState
    run: RunInfo | None


@dataclass(frozen=True)
class ResultWriter:
    """Speaks to the people of a project, in their sheet."""

    project: Project
    sheet: Sheet
    trainer: Trainer
    mirror: Mirror
    progress: Progress

    def is_current(self, book: Book, seen: Seen) -> bool:
        """Whether nothing differs from when nothing was left to say, and no seed is still to be trained."""
        missing = seen.run is not None and self._seeds.missing(seen.run)
        return not missing and self._fingerprint_file.matches(self._fingerprint(book, seen))

    def review(self, seen: Seen) -> dict[str, Verdict]:
        """What there is to say of each image, by key; it stands beside the images then. Raises `TrainingError`."""
        mirrored, run = seen.mirrored, seen.run
        predictions = self.trainer.predictions(run, mirrored.manifest, self.progress) if run else []
        said = make_verdicts(seen.snapshot, mirrored.manifest, mirrored.failures, predictions, mirrored.changed_at)
        values = {key: verdict.values for key, verdict in said.items()}
        self.mirror.write_metadata(mirrored.manifest, seen.snapshot.rows, values)
        return said

    def write(self, first: Book | None, said: Mapping[str, Verdict], seen: Seen) -> int:
        """Write what is not there; gives the number of cells. `first` = a reading, if nothing was written since.

        Raises `SheetError`.
        """
        columns, local, run = self.project.columns, self.project.local, seen.run
        seeds = self._seeds.runs(run).values() if run else ()
        scored = run if len(seeds) == self._seeds.wanted else None

        def wanted(book: Book) -> tuple[Change, ...]:
            counts, since = split_sizes(seen.mirrored.manifest), self._versions.changes
            scores = score_changes(book.scores, scored, since, counts, seeds) if scored else ()
            changes = plan_row_changes(book, columns, said, self.owned_headers(book), local=local)
            if not any(isinstance(change, AddColumns) for change in changes):
                self._remember_columns(machine_headers(book.rows, columns))  # before their cells are written
            if not changes and not scores:
                self._save_fingerprint(book, seen)
            return changes + scores

        # What the first reading has right already needs no other: such a pass costs one.
        return write_back(self.sheet, wanted) if first is None or wanted(first) else 0

    def owned_headers(self, book: Book) -> Collection[str]:
        """See `our_columns`."""
        return our_columns(self.project.state, self.sheet, book)

    def _save_fingerprint(self, book: Book, seen: Seen) -> None:
        """Nothing is left to say, but for what people did meanwhile."""
        if parse_rows(book.rows, self.project.columns, local=self.project.local) == seen.snapshot:
            self._fingerprint_file.save(self._fingerprint(book, seen))

    def _fingerprint(self, book: Book, seen: Seen) -> str:
        """Of all that decides what belongs into the sheet and beside the images, and of what stands there."""
        manifest, run = seen.mirrored.manifest, seen.run
        unlabelled = [(entry.key, entry.digest) for entry in manifest if entry.split == UNLABELLED]
        names = [entry.suffix + entry.folder for entry in manifest]
        images = revision(manifest), unlabelled, names, seen.mirrored.failures, seen.mirrored.changed_at
        # A run that was lost and trained again, elsewhere perhaps, says something else; a seed may have come last.
        runs = [(each.id, each.metrics) for each in self._seeds.runs(run).values()] if run else ()
        columns = book.ours is not None and sorted(book.ours), sorted(self.owned_headers(book))
        there = book.rows, book.scores, *columns, self.mirror.metadata_fingerprint()
        return fingerprint((*there, *images, runs, self.project.settings))

    def _remember_columns(self, headers: set[str]) -> None:
        file = columns_file(self.project.state, self.sheet)
        remembered = read_remembered(file)
        if not headers <= remembered:
            write_atomic(file, "\n".join(sorted(headers | remembered)) + "\n")

    @property
    def _fingerprint_file(self) -> FingerprintFile:
        return FingerprintFile(self.project.state / "settled")

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.trainer, self.project.settings.training.seeds)
