"""One pass: sheet -> rows -> plan -> mirror -> train -> review -> sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from sheetsync.common.progress import Progress
from sheetsync.dataset.collect import Collector, Mirrored
from sheetsync.dataset.mirror import Mirror
from sheetsync.dataset.plan import guard, make_plan, wakes
from sheetsync.dataset.records import Plan
from sheetsync.dataset.revision import revision, sizes
from sheetsync.errors import SheetError, Shrunk, TrainingError
from sheetsync.images.store import Objects
from sheetsync.project.config import Project
from sheetsync.project.lock import locked
from sheetsync.review.verdicts import Verdict, verdicts
from sheetsync.rows.ownership import check_ownership
from sheetsync.rows.parse import parse, usual_labels
from sheetsync.rows.records import Snapshot
from sheetsync.rows.table import Book
from sheetsync.sheets import dresser_of
from sheetsync.sync.edit_watch import RESTARTS, Edited, watched
from sheetsync.sync.environment import World
from sheetsync.sync.report import Report
from sheetsync.sync.results import Feedback, Seen
from sheetsync.trainer.base import untrainable
from sheetsync.trainer.records import RunInfo
from sheetsync.trainer.seeds import Seeds
from sheetsync.versions.scores import check_scores
from sheetsync.versions.store import Versions


@dataclass(frozen=True)
class Pass:
    """One pass over one project, how long its stages took, and what it did."""

    project: Project
    world: World
    seconds: dict[str, float] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def run(self, *, allow_shrink: bool = False, retry: bool = False) -> Report:
        """Bring dataset, model and sheet up to date with what people wrote.

        `retry` asks at once for images that failed, whenever their next try would be.
        Raises `SheetsyncError`; until the last stage, writing, nothing but provisional predictions was written to
        the sheet then. What was done on disk is used next time.
        """
        watch = self.project.settings.training.when_edited == "restart"
        with locked(self.project.state):
            self.world.trainer.check()
            for left in reversed(range(RESTARTS)):
                try:
                    return self._once(watch, allow_shrink=allow_shrink, retry=retry)
                except Edited:
                    last = "" if left else ", for the last time"
                    words = f"the sheet was edited, so this training is stopped and the pass begins again{last}"
                    self.world.progress("train", 0, 0, words)
            return self._once(watch=False, allow_shrink=allow_shrink, retry=retry)

    def _once(self, watch: bool, **how: bool) -> Report:
        """From reading to writing. Raises `Edited` where a training is stopped that is under `watch`."""
        with self._stage("read"):
            book, snapshot = self._read()
        with self._stage("mirror"):
            mirrored = self._collector.bring(snapshot, **how)
        with self._stage("provisional"):
            self._foretell(book, snapshot, mirrored)
        with self._stage("train"):
            run, trained = self._train(mirrored, watch)
        seen = Seen(snapshot, mirrored, run)
        with self._stage("review"):
            idle = not trained and self._feedback.idle(book, seen)
            said = {} if idle else self._feedback.review(seen)
        with self._stage("write"):
            if not idle:
                self._write(None if trained else book, said, seen)
            self._offer(snapshot)
        if run and not idle and self._seeds.missing(run):
            with self._stage("train"):
                trained = bool(list(self._seeds.train(run, self._progress(mirrored, watch))))
            with self._stage("write"):
                self._write(None, said, seen)
        return self._report(snapshot, mirrored, run, trained=trained)

    def look(self) -> tuple[Snapshot, Plan, int, str]:
        """What a pass would do to the dataset, how many failed images would wait, and why it would refuse to.

        "" = it would not. Changes nothing.
        """
        self.world.trainer.check()
        _, snapshot = self._read()
        manifest = self._tree.scan()
        plan = self._collector.plan(snapshot, manifest)
        due = self._collector.due(plan)
        waiting = len(plan.downloads + plan.refreshes) - len(due.downloads + due.refreshes)
        try:
            guard(plan, manifest, len(snapshot.rows))
        except Shrunk as refusal:
            return snapshot, due, waiting, str(refusal)
        return snapshot, due, waiting, ""

    # --- stages -----------------------------------------------------------------------------------

    def _read(self) -> tuple[Book, Snapshot]:
        book = self.world.sheet.read()
        check_ownership(book.rows, self.project.columns, self._feedback.ours(book))
        check_scores(book.scores)
        return book, parse(book.rows, self.project.columns, local=self.project.local)

    def _foretell(self, book: Book, snapshot: Snapshot, mirrored: Mirrored) -> None:
        """Where a training will take its time, what a quick model says stands in the sheet meanwhile, marked.

        Nobody waits for it: where it fails, the pass goes on.
        """
        manifest, told = mirrored.manifest, partial(self.world.progress, "provisional", 0, 0)
        known = untrainable(manifest) or self.world.trainer.find(revision(manifest))
        if known or not self.project.settings.training.provisional:
            return
        try:
            predictions = self.world.trainer.provisional(manifest, self.world.progress)
            said = verdicts(snapshot, manifest, mirrored.failures, predictions, mirrored.changed, provisional=True)
            self._write(book, said, Seen(snapshot, mirrored, None))
            told("predictions are in the sheet; the full training goes on")
        except (TrainingError, SheetError) as error:
            told(f"none before the full training: {error}")

    def _train(self, mirrored: Mirrored, watch: bool) -> tuple[RunInfo | None, bool]:
        name = self._versions.remember(mirrored.manifest)
        if untrainable(mirrored.manifest):
            return None, False
        run = self.world.trainer.find(name)
        return (run, False) if run else (self.world.trainer.train(name, self._progress(mirrored, watch)), True)

    def _progress(self, mirrored: Mirrored, watch: bool) -> Progress:
        """Of a training."""
        every, edited = self.project.settings.every_minutes * 60, partial(self._edited, mirrored)
        return watched(self.world.progress, edited, self.world.clock, every) if watch else self.world.progress

    def _edited(self, mirrored: Mirrored) -> bool:
        """Whether a pass that began now would train on something else."""
        _, snapshot = self._read()
        plan = make_plan(snapshot.rows, mirrored.manifest, self.project.shares)
        guard(plan, mirrored.manifest, len(snapshot.rows))
        return wakes(plan, {failure.key for failure in mirrored.failures})

    def _write(self, first: Book | None, said: Mapping[str, Verdict], seen: Seen) -> None:
        self.done["cells"] += self._feedback.write(first, said, seen)

    def _offer(self, snapshot: Snapshot) -> None:
        """People who relabel pick from the labels there are; where this fails, the next pass does it."""
        dresser = dresser_of(self.world.sheet, self.project.columns, self.project.state)
        if dresser:
            with suppress(SheetError):
                dresser.keep_up(usual_labels(snapshot))

    def _report(self, snapshot: Snapshot, mirrored: Mirrored, run: RunInfo | None, *, trained: bool) -> Report:
        manifest = mirrored.manifest
        usable = {row.key for row in snapshot.rows}
        return Report(
            sheet=self.world.sheet.name,
            rows=sum(key in usable for key in snapshot.keys.values()),
            issues=snapshot.issues,
            failures=mirrored.failures,
            downloaded=self.done["downloaded"],
            restored=self.done["restored"],
            moved=self.done["moved"],
            deleted=self.done["deleted"],
            images=sizes(manifest),
            trained=trained,
            untrained=untrainable(manifest),
            revision=revision(manifest),
            run=run.id if run else "",
            score=self._seeds.score(run) if run else {},
            cells=self.done["cells"],
            calls=self.world.sheet.calls,
            seconds=self.seconds,
            version=self._versions.name(run) if run else "",
            step=self._versions.last_step(run) if run and trained else None,
            asked=self.done["asked"],
            changed=self.done["changed"],
        )

    # --- places -----------------------------------------------------------------------------------

    @property
    def _objects(self) -> Objects:
        return Objects(self.project.state / "objects")

    @property
    def _collector(self) -> Collector:
        world, ours = self.world, self.project
        where = (self._tree, world.fetch, ours.limits, ours.shares, ours.refresh)
        return Collector(*where, world.now, world.progress, self.done)

    @property
    def _tree(self) -> Mirror:
        return Mirror(self.project.dataset, self._objects)

    @property
    def _feedback(self) -> Feedback:
        world = self.world
        return Feedback(self.project, world.sheet, world.trainer, self._tree, world.progress)

    @property
    def _versions(self) -> Versions:
        return Versions(self.project.state, self.world.trainer)

    @property
    def _seeds(self) -> Seeds:
        return Seeds(self.world.trainer, self.project.settings.training.seeds)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = self.world.clock()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self.world.clock() - started, 3)
