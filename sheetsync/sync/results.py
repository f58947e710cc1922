"""Results of a pass: predictions and review into the sheet, scores into its second tab, metadata beside the images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sheetsync.common.atomic import write_atomic
from sheetsync.common.progress import Progress
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.revision import revision, split_sizes
from sheetsync.project.config import Project
from sheetsync.review.verdicts import Verdict, make_verdicts
from sheetsync.review.writeback import plan_row_changes
from sheetsync.rows.ownership import machine_headers
from sheetsync.rows.parse import parse_rows
from sheetsync.rows.schema import UNLABELLED
from sheetsync.rows.table import AddColumns, Book, Change
from sheetsync.sheets import Sheet
from sheetsync.sheets.owned_columns import our_columns, read_remembered
from sheetsync.sheets.write import write_back
from sheetsync.sync.fingerprint import FingerprintFile, fingerprint
from sheetsync.sync.state import PassState
from sheetsync.trainer.base import Trainer
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import plan_score_changes
from sheetsync.versions.store import Versions


@dataclass(frozen=True)
class ResultWriter:
    """Writes predictions and scores into the sheet, and metadata beside the images."""

    project: Project
    sheet: Sheet
    trainer: Trainer
    mirror: Mirror
    progress: Progress

    def is_current(self, state: PassState) -> bool:
        """True if sheet, dataset and run equal the last fingerprint and no seed is left to train."""
        missing = state.run is not None and self._seeds.missing(state.run)
        return not missing and self._fingerprint_file.matches(self._fingerprint(state.book, state))

    def review(self, state: PassState) -> dict[str, Verdict]:
        """Judge each image, by key, and write the verdicts beside the images. Raises `TrainingError`."""
        dataset, run = state.dataset, state.run
        predictions = self.trainer.predictions(run, dataset.manifest, self.progress) if run else []
        images = dataset.manifest, dataset.failures, predictions, dataset.changed_at
        verdicts = make_verdicts(state.snapshot, *images)
        values = {key: verdict.values for key, verdict in verdicts.items()}
        self.mirror.metadata.write(dataset.manifest, state.snapshot.rows, values)
        return verdicts

    def write(self, state: PassState, verdicts: Mapping[str, Verdict]) -> int:
        """Write the cells that differ; returns their number. Raises `SheetError`."""
        seeds = tuple(self._seeds.runs(state.run).values()) if state.run else ()
        plan = partial(self._plan_cells, state, verdicts, seeds)
        cells, book = 0, state.book
        # What the first reading has right already needs no other: such a pass costs one.
        if state.trained or plan(book):
            cells, book = write_back(self.sheet, plan, self._before_writing)
        self._remember_columns(book)
        self._save_fingerprint(book, state)
        return cells

    def owned_headers(self, book: Book) -> Collection[str]:
        """Return the headers of columns that are ours; see `our_columns`."""
        return our_columns(self.project.state, self.sheet, book)

    def _plan_cells(
        self, state: PassState, verdicts: Mapping[str, Verdict], seeds: Collection[RunInfo], book: Book
    ) -> tuple[Change, ...]:
        """Plan the changes that a reading lacks. The row of scores waits until every seed is trained."""
        changes = plan_row_changes(
            book, self.project.columns, verdicts, self.owned_headers(book), local=self.project.local
        )
        if state.run is None or len(seeds) < self._seeds.count:
            return changes
        sizes = split_sizes(state.dataset.manifest)
        return changes + plan_score_changes(book.scores, state.run, self._versions.changes, sizes, seeds)

    def _before_writing(self, book: Book, changes: Sequence[Change]) -> None:
        """Remember our columns before their cells are filled: a killed pass must not take them for people's."""
        if not any(isinstance(change, AddColumns) and change.tab == "rows" for change in changes):
            self._remember_columns(book)

    def _remember_columns(self, book: Book) -> None:
        headers = machine_headers(book.rows, self.project.columns)
        file = self.project.state.columns(self.sheet.identity)
        remembered = read_remembered(file)
        if not headers <= remembered:
            write_atomic(file, "\n".join(sorted(headers | remembered)) + "\n")

    def _save_fingerprint(self, book: Book, state: PassState) -> None:
        """Note that nothing is left to do, unless people edited meanwhile."""
        if parse_rows(book.rows, self.project.columns, local=self.project.local) == state.snapshot:
            version = self._versions.name(state.run) if state.run else ""
            self._fingerprint_file.save(self._fingerprint(book, state), version)

    def saved_version(self) -> str:
        """Return the name of the version that the last up-to-date pass saved; right while `is_current`."""
        return self._fingerprint_file.version()

    def _fingerprint(self, book: Book, state: PassState) -> str:
        """Fingerprint of every input of the review, and of the cells and the metadata that it wrote."""
        dataset, run = state.dataset, state.run
        unlabelled = [(entry.key, entry.digest) for entry in dataset.manifest if entry.split == UNLABELLED]
        names = [entry.suffix + entry.folder for entry in dataset.manifest]
        images = revision(dataset.manifest), unlabelled, names, dataset.failures, dataset.changed_at
        # A run that was lost and trained again, elsewhere perhaps, says something else; a seed may have come last.
        runs = [(each.id, each.metrics) for each in self._seeds.runs(run).values()] if run else ()
        columns = book.owned is not None and sorted(book.owned), sorted(self.owned_headers(book))
        written = book.rows, book.scores, *columns, self.mirror.metadata.fingerprint()
        # Versions are counted, so another run, of whatever recipe, may give this one another name.
        return fingerprint((*written, *images, runs, self.trainer.run_names(), self.project.settings))

    @property
    def _fingerprint_file(self) -> FingerprintFile:
        return FingerprintFile(self.project.state.fingerprint)

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.trainer, self.project.settings.training.seeds)
