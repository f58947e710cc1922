"""What the machine says goes back: into its columns of the sheet, its scores, and beside the images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sheetsync.common.atomic import write_text
from sheetsync.common.progress import Progress
from sheetsync.dataset.collect import Mirrored
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.revision import revision, sizes
from sheetsync.project.config import Project
from sheetsync.review.verdicts import Verdict, verdicts
from sheetsync.review.writeback import row_changes
from sheetsync.rows.ownership import headers
from sheetsync.rows.parse import parse
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import UNLABELLED
from sheetsync.rows.table import AddColumns, Book, Change
from sheetsync.sheets import Sheet
from sheetsync.sheets.owned_columns import _columns_file, _remembered, our_columns
from sheetsync.sheets.write import write_back
from sheetsync.sync.fingerprint import Settled, mark
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import score_changes
from sheetsync.versions.store import Versions


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to speak of: rows, their images, and the run on these; None where nothing could be trained."""

    snapshot: Snapshot
    mirrored: Mirrored
    run: RunInfo | None


@dataclass(frozen=True)
class Feedback:
    """Speaks to the people of a project, in their sheet."""

    project: Project
    sheet: Sheet
    trainer: Trainer
    tree: Mirror
    progress: Progress

    def idle(self, book: Book, seen: Seen) -> bool:
        """Whether nothing differs from when nothing was left to say, and no seed is still to be trained."""
        missing = seen.run is not None and self._seeds.missing(seen.run)
        return not missing and self._settled.same(self._mark(book, seen))

    def review(self, seen: Seen) -> dict[str, Verdict]:
        """What there is to say of each image, by key; it stands beside the images then. Raises `TrainingError`."""
        mirrored, run = seen.mirrored, seen.run
        predictions = self.trainer.predictions(run, mirrored.manifest, self.progress) if run else []
        said = verdicts(seen.snapshot, mirrored.manifest, mirrored.failures, predictions, mirrored.changed)
        values = {key: verdict.values for key, verdict in said.items()}
        self.tree.describe(mirrored.manifest, seen.snapshot.rows, values)
        return said

    def write(self, first: Book | None, said: Mapping[str, Verdict], seen: Seen) -> int:
        """Write what is not there; gives the number of cells. `first` = a reading, if nothing was written since.

        Raises `SheetError`.
        """
        columns, local, run = self.project.columns, self.project.local, seen.run
        seeds = self._seeds.runs(run).values() if run else ()
        scored = run if len(seeds) == self._seeds.wanted else None

        def wanted(book: Book) -> tuple[Change, ...]:
            counts, since = sizes(seen.mirrored.manifest), self._versions.changes
            scores = score_changes(book.scores, scored, since, counts, seeds) if scored else ()
            changes = row_changes(book, columns, said, self.ours(book), local=local)
            if not any(isinstance(change, AddColumns) for change in changes):
                self._own(headers(book.rows, columns))  # before their cells are written
            if not changes and not scores:
                self._settle(book, seen)
            return changes + scores

        # What the first reading has right already needs no other: such a pass costs one.
        return write_back(self.sheet, wanted) if first is None or wanted(first) else 0

    def ours(self, book: Book) -> Collection[str]:
        """See `our_columns`."""
        return our_columns(self.project.state, self.sheet, book)

    def _settle(self, book: Book, seen: Seen) -> None:
        """Nothing is left to say, but for what people did meanwhile."""
        if parse(book.rows, self.project.columns, local=self.project.local) == seen.snapshot:
            self._settled.keep(self._mark(book, seen))

    def _mark(self, book: Book, seen: Seen) -> str:
        """Of all that decides what belongs into the sheet and beside the images, and of what stands there."""
        manifest, run = seen.mirrored.manifest, seen.run
        unlabelled = [(entry.key, entry.digest) for entry in manifest if entry.split == UNLABELLED]
        names = [entry.suffix + entry.folder for entry in manifest]
        images = revision(manifest), unlabelled, names, seen.mirrored.failures, seen.mirrored.changed
        # A run that was lost and trained again, elsewhere perhaps, says something else; a seed may have come last.
        runs = [(each.id, each.metrics) for each in self._seeds.runs(run).values()] if run else ()
        columns = book.ours is not None and sorted(book.ours), sorted(self.ours(book))
        there = book.rows, book.scores, *columns, self.tree.described()
        return mark((*there, *images, runs, self.project.settings))

    def _own(self, headers: set[str]) -> None:
        file = _columns_file(self.project.state, self.sheet)
        remembered = _remembered(file)
        if not headers <= remembered:
            write_text(file, "\n".join(sorted(headers | remembered)) + "\n")

    @property
    def _settled(self) -> Settled:
        return Settled(self.project.state / "settled")

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.trainer, self.project.settings.training.seeds)
