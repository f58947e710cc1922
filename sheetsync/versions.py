"""The versions of a sheet that were trained on: what each held, and how it compares with the one before.

What is read is small and stays where it is:

    .sheetsync/revisions/<revision>.tsv     what a version held
    .sheetsync/runs/<run>/predictions.csv   what its models say of images they did not learn from
    .sheetsync/rescored/<run>.csv           what its main model says of val images that came after it
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

from sheetsync import history
from sheetsync.compare import judge, on_common
from sheetsync.errors import TrainingError
from sheetsync.objects import write_text
from sheetsync.records import Entry, Manifest, Progress, RunInfo
from sheetsync.retrain import ProcessTrainer, Trainer
from sheetsync.steps import Changes, Comparison, Judged, Past, Step, Version

STAGE = "rescore"  # of progress


@dataclass(frozen=True, slots=True)
class Known:
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

    state: Path
    trainer: Trainer

    def remember(self, manifest: Manifest) -> str:
        """Keep what this version holds, once; gives its revision."""
        name = history.revision(manifest)
        if not self._file(name).exists():
            write_text(self._file(name), history.revision_text(manifest))
        return name

    def changes(self, run: RunInfo) -> Changes:
        """How the version of a run differs from the one before; from nothing if there is none."""
        before = history.predecessor(run, self.trainer.runs())
        return history.changes(self._held(before) if before else Manifest(), self._held(run))

    def name(self, run: RunInfo) -> str:
        """What people call its version, such as v13."""
        return history.version(run, self.trainer.runs())

    def last_step(self, run: RunInfo) -> Step:
        """From the version before to the one of a run, both judged on the val images of the latter."""
        runs = self.trainer.runs()
        before = history.predecessor(run, runs)
        return step(self.look(before) if before else None, self.look(run), runs)

    def look(self, run: RunInfo) -> Known:
        """What is kept of a run."""
        try:
            return Known(run, self._held(run), self.trainer.judged(run))
        except TrainingError as error:
            return Known(run, self._held(run), why=str(error))

    def _held(self, run: RunInfo) -> Manifest:
        """What a version held; nothing if nobody kept it."""
        kept = self._file(run.revision)
        return history.parse_revision(kept.read_text(encoding="utf-8")) if kept.exists() else Manifest()

    def _file(self, revision: str) -> Path:
        return self.state / "revisions" / f"{revision}.tsv"


def step(before: Known | None, after: Known, runs: Sequence[RunInfo], images: Sequence[Entry] = ()) -> Step:
    """From one version to the next, of those in `runs`.

    Both are judged on `images` and the labels there; without any, on the val images of the later version.
    """
    known = len(after.held) and (before is None or len(before.held))
    changed = history.changes(before.held if before else Manifest(), after.held) if known else None
    name = history.version(after.run, runs)
    if before is None:
        return Step("", name, changed)
    return Step(history.version(before.run, runs), name, changed, *_compared(before, after, images or _val(after.held)))


def _compared(before: Known, after: Known, images: Sequence[Entry]) -> tuple[Comparison | None, str]:
    """How two runs compare, or why that cannot be said."""
    if before.why or after.why:
        return None, before.why or after.why
    if not images:
        return None, "no validation images to compare them on"
    compared = on_common(images, before.said, after.said)
    return compared, "" if compared else "no validation image that both can be judged on"


def _val(manifest: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in manifest if entry.split == "val"]


# --- the past of a project ------------------------------------------------------------------------


def past(trainer: ProcessTrainer, recipe: str) -> Past:
    """Every version of this recipe, each compared with the one before on the val images it had. Looks only.

    `recipe` is what the recipe is called in the answer. Raises `ConfigError` for a recipe that cannot be read.
    """
    runs, kept, every = trainer.of_recipe(), Versions(trainer.state, trainer), trainer.runs()
    pairs = pairwise(chain([None], map(kept.look, runs)))  # two at a time: they are large
    versions = tuple(_version(after, every, step(before, after, runs)) for before, after in pairs if after)
    return Past(recipe, versions, _others(runs, every))


def rescored(trainer: ProcessTrainer, recipe: str, today: Manifest, progress: Progress) -> Past:
    """The same, with every version judged on the val images and labels of `today`, which the mirror holds.

    Without any such image the steps are those of `past`. A model is asked only about images that its run knows
    nothing of, and what it says is kept. Raises `ConfigError` as `past` does; a model that cannot be asked is a
    word in the answer.
    """
    images = _val(today)
    runs, kept, every = trainer.of_recipe(), Versions(trainer.state, trainer), trainer.runs()
    failed = _ask_all(trainer, runs, {entry.digest for entry in images}, progress)
    pairs = pairwise(chain([None], map(kept.look, runs)))
    versions = [
        _version(after, every, step(before, after, runs, images), *_today(after, images, failed))
        for before, after in pairs
        if after
    ]
    return Past(recipe, tuple(versions), _others(runs, every), rescored=True, images=len(images))


def _others(runs: Iterable[RunInfo], every: Sequence[RunInfo]) -> int:
    """How many runs are of other recipes: neither these, nor these with another seed."""
    known = {same.id for run in runs for same in history.reseeded(run, every).values()}
    return sum(run.id not in known for run in every)


def _ask_all(
    trainer: ProcessTrainer, runs: Sequence[RunInfo], wanted: set[str], progress: Progress
) -> Mapping[str, str]:
    """Ask every model that lacks an image of today; gives run -> why it could not be asked."""
    known = Versions(trainer.state, trainer).look
    unsure = [seen.run for seen in map(known, runs) if not seen.why and not wanted <= seen.said.keys()]
    failed = {}
    for done, run in enumerate(unsure):
        progress(STAGE, done, len(unsure), history.version(run, runs))
        try:
            trainer.ask(run, lambda *_: None)
        except TrainingError as error:
            failed[run.id] = str(error)
    if unsure:
        progress(STAGE, len(unsure), len(unsure), "")
    return failed


def _today(known: Known, images: Sequence[Entry], failed: Mapping[str, str]) -> tuple[Judged | None, str]:
    """How a run does on the images of today, or why that cannot be said."""
    why = known.why or failed.get(known.run.id, "")
    judged = None if why else judge(images, known.said)
    return judged, why or ("" if judged else "no validation image of today that it can be judged on")


def _version(known: Known, every: Iterable[RunInfo], step: Step, today: Judged | None = None, why: str = "") -> Version:
    run, when = known.run, str(known.run.metrics["created"])
    score = history.score(run, history.reseeded(run, every).values())
    return Version(step.after, run.id, run.revision, when, score, step, today, why)
