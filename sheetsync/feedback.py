"""What the machine says goes back: into its columns of the sheet, its scores, and beside the images."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sheetsync import history, writeback
from sheetsync.collect import Mirrored
from sheetsync.config import Project
from sheetsync.mirror import Mirror
from sheetsync.objects import write_text
from sheetsync.records import UNLABELLED, Progress, RunInfo, Snapshot
from sheetsync.retrain import Trainer
from sheetsync.review import Verdict, verdicts
from sheetsync.rows import parse
from sheetsync.seeds import Seeds
from sheetsync.settled import Settled, mark
from sheetsync.sheets import Sheet
from sheetsync.tables import AddColumns, Book, Change
from sheetsync.versions import Versions
from sheetsync.writing import write_back


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
            sizes, since = history.sizes(seen.mirrored.manifest), self._versions.changes
            scores = history.score_changes(book.scores, scored, since, sizes, seeds) if scored else ()
            changes = writeback.row_changes(book, columns, said, self.ours(book), local=local)
            if not any(isinstance(change, AddColumns) for change in changes):
                self._own(writeback.headers(book.rows, columns))  # before their cells are written
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
        images = history.revision(manifest), unlabelled, names, seen.mirrored.failures, seen.mirrored.changed
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


def our_columns(state: Path, sheet: Sheet, book: Book) -> Collection[str]:
    """Headers of columns that we made or filled in this sheet; another of such a name may be the team's own."""
    return writeback.known(book, _remembered(_columns_file(state, sheet)))


def _remembered(kept: Path) -> set[str]:
    return set(kept.read_text(encoding="utf-8").split("\n")) - {""} if kept.exists() else set()


def _columns_file(state: Path, sheet: Sheet) -> Path:
    return state / "columns" / f"{hashlib.sha256(sheet.identity.encode()).hexdigest()[:16]}.txt"
