"""One pass: sheet -> rows -> plan -> mirror -> train -> review -> sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

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
from sheetsync.review.verdicts import Verdict, make_verdicts
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import common_labels, parse_rows
from sheetsync.rows.records import Snapshot
from sheetsync.rows.table import Book
from sheetsync.sheets import formatter_of
from sheetsync.sync.edit_watch import MAX_RESTARTS, TrainingDataChanged, with_edit_check
from sheetsync.sync.environment import Environment
from sheetsync.sync.report import Report
from sheetsync.sync.results import ResultWriter, Seen
from sheetsync.trainer.base import why_untrainable
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import check_scores
from sheetsync.versions.store import Versions


@dataclass(frozen=True)
class Pass:
    """One pass over one project, how long its stages took, and what it did."""

    project: Project
    environment: Environment
    seconds: dict[str, float] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def run(self, *, allow_shrink: bool = False, retry: bool = False) -> Report:
        """Bring dataset, model and sheet up to date with what people wrote.

        `retry` asks at once for images that failed, whenever their next try would be.
        Raises `SheetsyncError`; until the last stage, writing, nothing but provisional predictions was written to
        the sheet then. What was done on disk is used next time.
        """
        watch = self.project.settings.training.when_edited == "restart"
        with project_lock(self.project.state):
            self.environment.trainer.check()
            for left in reversed(range(MAX_RESTARTS)):
                try:
                    return self._once(watch, allow_shrink=allow_shrink, retry=retry)
                except TrainingDataChanged:
                    last = "" if left else ", for the last time"
                    words = f"the sheet was edited, so this training is stopped and the pass begins again{last}"
                    self.environment.progress("train", 0, 0, words)
            return self._once(watch=False, allow_shrink=allow_shrink, retry=retry)

    def _once(self, watch: bool, **how: bool) -> Report:
        """From reading to writing. Raises `TrainingDataChanged` where a training is stopped that is under `watch`."""
        with self._stage("read"):
            book, snapshot = self._read()
        with self._stage("mirror"):
            mirrored = self._collector.update(snapshot, **how)
        with self._stage("provisional"):
            self._write_provisional(book, snapshot, mirrored)
        with self._stage("train"):
            run, trained = self._train(mirrored, watch)
        seen = Seen(snapshot, mirrored, run)
        with self._stage("review"):
            idle = not trained and self._feedback.is_current(book, seen)
            said = {} if idle else self._feedback.review(seen)
        with self._stage("write"):
            if not idle:
                self._write(None if trained else book, said, seen)
            self._update_dropdown(snapshot)
        if run and not idle and self._seeds.missing(run):
            with self._stage("train"):
                trained = bool(list(self._seeds.train(run, self._progress(mirrored, watch))))
            with self._stage("write"):
                self._write(None, said, seen)
        return self._report(snapshot, mirrored, run, trained=trained)

    def preview(self) -> tuple[Snapshot, Plan, int, str]:
        """What a pass would do to the dataset, how many failed images would wait, and why it would refuse to.

        "" = it would not. Changes nothing.
        """
        self.environment.trainer.check()
        _, snapshot = self._read()
        manifest = self._tree.scan()
        plan = self._collector.plan(snapshot, manifest)
        due = self._collector.without_waiting(plan)
        waiting = len(plan.downloads + plan.refreshes) - len(due.downloads + due.refreshes)
        try:
            check_not_emptied(plan, manifest, len(snapshot.rows))
        except Shrunk as refusal:
            return snapshot, due, waiting, str(refusal)
        return snapshot, due, waiting, ""

    # --- stages -----------------------------------------------------------------------------------

    def _read(self) -> tuple[Book, Snapshot]:
        book = self.environment.sheet.read()
        check_ownership(book.rows, self.project.columns, self._feedback.owned_headers(book))
        check_scores(book.scores)
        return book, parse_rows(book.rows, self.project.columns, local=self.project.local)

    def _write_provisional(self, book: Book, snapshot: Snapshot, mirrored: DatasetState) -> None:
        """Where a training will take its time, what a quick model says stands in the sheet meanwhile, marked.

        Nobody waits for it: where it fails, the pass goes on.
        """
        manifest, told = mirrored.manifest, partial(self.environment.progress, "provisional", 0, 0)
        known = why_untrainable(manifest) or self.environment.trainer.find(revision(manifest))
        if known or not self.project.settings.training.provisional:
            return
        try:
            predictions = self.environment.trainer.predict_provisionally(manifest, self.environment.progress)
            said = make_verdicts(
                snapshot, manifest, mirrored.failures, predictions, mirrored.changed_at, provisional=True
            )
            self._write(book, said, Seen(snapshot, mirrored, None))
            told("predictions are in the sheet; the full training goes on")
        except (TrainingError, SheetError) as error:
            told(f"none before the full training: {error}")

    def _train(self, mirrored: DatasetState, watch: bool) -> tuple[RunInfo | None, bool]:
        name = self._versions.save_revision(mirrored.manifest)
        if why_untrainable(mirrored.manifest):
            return None, False
        run = self.environment.trainer.find(name)
        return (run, False) if run else (self.environment.trainer.train(name, self._progress(mirrored, watch)), True)

    def _progress(self, mirrored: DatasetState, watch: bool) -> Progress:
        """Of a training."""
        every, edited = self.project.settings.every_minutes * 60, partial(self._edited, mirrored)
        return (
            with_edit_check(self.environment.progress, edited, self.environment.clock, every)
            if watch
            else self.environment.progress
        )

    def _edited(self, mirrored: DatasetState) -> bool:
        """Whether a pass that began now would train on something else."""
        _, snapshot = self._read()
        plan = make_plan(snapshot.rows, mirrored.manifest, self.project.split_fractions)
        check_not_emptied(plan, mirrored.manifest, len(snapshot.rows))
        return changes_training_data(plan, {failure.key for failure in mirrored.failures})

    def _write(self, first: Book | None, said: Mapping[str, Verdict], seen: Seen) -> None:
        self.done["cells"] += self._feedback.write(first, said, seen)

    def _update_dropdown(self, snapshot: Snapshot) -> None:
        """People who relabel pick from the labels there are; where this fails, the next pass does it."""
        dresser = formatter_of(self.environment.sheet, self.project.columns, self.project.state)
        if dresser:
            with suppress(SheetError):
                dresser.update_dropdown(common_labels(snapshot))

    def _report(self, snapshot: Snapshot, mirrored: DatasetState, run: RunInfo | None, *, trained: bool) -> Report:
        manifest = mirrored.manifest
        usable = {row.key for row in snapshot.rows}
        return Report(
            sheet=self.environment.sheet.name,
            rows=sum(key in usable for key in snapshot.keys.values()),
            issues=snapshot.issues,
            failures=mirrored.failures,
            downloaded=self.done["downloaded"],
            restored=self.done["restored"],
            moved=self.done["moved"],
            deleted=self.done["deleted"],
            images=split_sizes(manifest),
            trained=trained,
            untrained=why_untrainable(manifest),
            revision=revision(manifest),
            run=run.id if run else "",
            score=self._seeds.score(run) if run else {},
            cells=self.done["cells"],
            calls=self.environment.sheet.calls,
            seconds=self.seconds,
            version=self._versions.name(run) if run else "",
            step=self._versions.last_step(run) if run and trained else None,
            asked=self.done["asked"],
            changed=self.done["changed"],
        )

    # --- places -----------------------------------------------------------------------------------

    @property
    def _objects(self) -> ImageStore:
        return ImageStore(self.project.state / "objects")

    @property
    def _collector(self) -> Collector:
        world, ours = self.environment, self.project
        where = (self._tree, world.fetch, ours.limits, ours.split_fractions, ours.refresh)
        return Collector(*where, world.now, world.progress, self.done)

    @property
    def _tree(self) -> Mirror:
        return Mirror(self.project.dataset, self._objects)

    @property
    def _feedback(self) -> ResultWriter:
        world = self.environment
        return ResultWriter(self.project, world.sheet, world.trainer, self._tree, world.progress)

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.environment.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.environment.trainer, self.project.settings.training.seeds)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = self.environment.clock()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self.environment.clock() - started, 3)
