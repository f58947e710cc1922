"""One pass: sheet -> rows -> plan -> dataset -> train -> review -> sheet."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial

from sheetsync.common.memo import clear_caches
from sheetsync.common.progress import Progress
from sheetsync.dataset.collect import Collector, DatasetState
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import changes_training_data, check_not_emptied, make_plan
from sheetsync.dataset.records import Plan
from sheetsync.dataset.revision import revision, split_sizes
from sheetsync.errors import SheetError, Shrunk, TrainingError
from sheetsync.images.store import ImageStore
from sheetsync.project.config import Project
from sheetsync.project.lock import project_lock
from sheetsync.review.verdicts import make_verdicts
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import common_labels, parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.table import Book
from sheetsync.sync.edit_watch import MAX_RESTARTS, TrainingDataChanged, with_edit_check
from sheetsync.sync.environment import Environment
from sheetsync.sync.report import Report
from sheetsync.sync.results import ResultWriter
from sheetsync.sync.state import PassState, Tally
from sheetsync.trainer.base import why_untrainable
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import check_scores
from sheetsync.versions.store import Versions


@dataclass(frozen=True, slots=True)
class Preview:
    """A dry run: what a pass would do to the dataset, `waiting` failed downloads that it would leave for later.

    `refusal` says why it would stop, "" if it would not.
    """

    snapshot: Snapshot
    plan: Plan
    waiting: int
    refusal: str = ""


@dataclass(frozen=True)
class Pass:
    """One pass over one project."""

    project: Project
    environment: Environment

    def run(self, *, allow_shrink: bool = False, retry: bool = False) -> Report:
        """Bring dataset, model and sheet up to date with what people wrote.

        `retry` asks at once for images that failed, whenever their next try would be.
        Raises `SheetsyncError`; then nothing but provisional predictions was written to the sheet before the last
        stage, writing. What was done on disk is used next time.
        """
        watch = self.project.settings.training.when_edited == "restart"
        tally, how = Tally(self.environment.clock), {"allow_shrink": allow_shrink, "retry": retry}
        with project_lock(self.project.state), clear_caches():
            self.environment.trainer.check()
            for left in reversed(range(MAX_RESTARTS if watch else 0)):
                try:
                    return self._attempt(tally, watch=True, **how)
                except TrainingDataChanged:
                    last = "" if left else ", for the last time"
                    words = f"the sheet was edited, so this training is stopped and the pass begins again{last}"
                    self.environment.progress("train", 0, 0, words)
            return self._attempt(tally, watch=False, **how)

    def preview(self) -> Preview:
        """Say what a pass would do to the dataset, and do nothing (a dry run)."""
        self.environment.trainer.check()
        _, snapshot = self._read()
        manifest = self._mirror.scan()
        plan = self._collector.plan(snapshot, manifest)
        due = self._collector.without_waiting(plan)
        waiting = len(plan.downloads + plan.refreshes) - len(due.downloads + due.refreshes)
        try:
            check_not_emptied(plan, manifest, len(snapshot.rows))
        except Shrunk as refusal:
            return Preview(snapshot, due, waiting, str(refusal))
        return Preview(snapshot, due, waiting)

    def _attempt(self, tally: Tally, *, watch: bool, **how: bool) -> Report:
        """Go through all stages. Raises `TrainingDataChanged` where a training under `watch` is stopped."""
        with tally.stage("read"):
            book, snapshot = self._read()
        with tally.stage("mirror"):
            dataset = self._collector.update(snapshot, **how)
            tally.counts.update(asdict(dataset.counts))
        state = PassState(book, snapshot, dataset)
        with tally.stage("provisional"):
            tally.counts["cells"] += self._write_provisional(state)
        with tally.stage("train"):
            state = self._train(state, watch)
        with tally.stage("review"):
            current = not state.trained and self._results.is_current(state)
            verdicts = {} if current else self._results.review(state)
        with tally.stage("write"):
            tally.counts["cells"] += 0 if current else self._results.write(state, verdicts)
            self._update_dropdown(snapshot)
        if state.run and not current and self._seeds.missing(state.run):
            with tally.stage("train"):
                trained = list(self._seeds.train(state.run, self._training_progress(dataset, watch)))
                state = replace(state, trained=bool(trained))
            with tally.stage("write"):
                tally.counts["cells"] += self._results.write(state, verdicts)
        return self._report(state, tally, current=current)

    # --- stages -----------------------------------------------------------------------------------

    def _read(self) -> tuple[Book, Snapshot]:
        book = self.environment.sheet.read()
        check_ownership(book.rows, self.project.columns, self._results.owned_headers(book))
        check_scores(book.scores)
        return book, parse_rows(book.rows, self.project.columns, local=self.project.local)

    def _write_provisional(self, state: PassState) -> int:
        """Before a training, write what a quick model predicts, marked as provisional; returns the cells written.

        Nobody waits for it: where it fails, the pass goes on without.
        """
        dataset, say = state.dataset, partial(self.environment.progress, "provisional", 0, 0)
        trained = why_untrainable(dataset.manifest) or self.environment.trainer.find(revision(dataset.manifest))
        if trained or not self.project.settings.training.provisional:
            return 0
        try:
            predictions = self.environment.trainer.predict_provisionally(dataset.manifest, self.environment.progress)
            images = dataset.manifest, dataset.failures, predictions, dataset.changed_at
            cells = self._results.write(state, make_verdicts(state.snapshot, *images, provisional=True))
            say("predictions are in the sheet; the full training goes on")
        except (TrainingError, SheetError) as error:
            say(f"none before the full training: {error}")
            return 0
        return cells

    def _train(self, state: PassState, watch: bool) -> PassState:
        manifest, trainer = state.dataset.manifest, self.environment.trainer
        name = self._versions.save_revision(manifest)
        if why_untrainable(manifest):
            return state
        if run := trainer.find(name):
            return replace(state, run=run)
        return replace(state, run=trainer.train(name, self._training_progress(state.dataset, watch)), trained=True)

    def _training_progress(self, dataset: DatasetState, watch: bool) -> Progress:
        if not watch:
            return self.environment.progress
        changed, seconds = partial(self._training_data_changed, dataset), self.project.settings.every_minutes * 60
        return with_edit_check(self.environment.progress, changed, self.environment.clock, seconds)

    def _training_data_changed(self, dataset: DatasetState) -> bool:
        """True if a pass that began now would train on something else."""
        _, snapshot = self._read()
        plan = make_plan(snapshot.rows, dataset.manifest, self.project.split_fractions)
        check_not_emptied(plan, dataset.manifest, len(snapshot.rows))
        return changes_training_data(plan, {failure.key for failure in dataset.failures})

    def _update_dropdown(self, snapshot: Snapshot) -> None:
        """Offer the labels in use to people who relabel; where this fails, the next pass does it."""
        sheet = self.environment.sheet
        formatter = sheet.formatter(self.project.columns, self.project.state.offered(sheet.identity))
        if formatter:
            with suppress(SheetError):
                formatter.update_dropdown(common_labels(snapshot))

    def _report(self, state: PassState, tally: Tally, *, current: bool) -> Report:
        snapshot, manifest, run, counts = state.snapshot, state.dataset.manifest, state.run, tally.counts
        version = self._results.saved_version() if current else self._versions.name(run) if run else ""
        usable = {row.key for row in snapshot.rows}
        return Report(
            sheet=self.environment.sheet.name,
            rows=sum(key in usable for key in snapshot.keys.values()),
            issues=snapshot.issues,
            failures=state.dataset.failures,
            downloaded=counts["downloaded"],
            restored=counts["restored"],
            moved=counts["moved"],
            deleted=counts["deleted"],
            images=split_sizes(manifest),
            trained=state.trained,
            untrained=why_untrainable(manifest),
            revision=revision(manifest),
            run=run.id if run else "",
            score=self._seeds.score(run) if run else {},
            cells=counts["cells"],
            calls=self.environment.sheet.calls,
            seconds=tally.seconds,
            version=version,
            step=self._versions.last_step(run) if run and state.trained else None,
            asked=counts["asked"],
            changed=counts["changed"],
        )

    # --- parts ------------------------------------------------------------------------------------

    @property
    def _mirror(self) -> Mirror:
        return Mirror(self.project.dataset, ImageStore(self.project.state.objects))

    @property
    def _collector(self) -> Collector:
        project, outside = self.project, self.environment
        bounds = project.limits, project.split_fractions, project.refresh
        return Collector(self._mirror, outside.fetch, *bounds, outside.now, outside.progress)

    @property
    def _results(self) -> ResultWriter:
        outside = self.environment
        return ResultWriter(self.project, outside.sheet, outside.trainer, self._mirror, outside.progress)

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.environment.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.environment.trainer, self.project.settings.training.seeds)
