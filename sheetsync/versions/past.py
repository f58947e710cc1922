"""The history of a project: every version with its score and the step from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise

from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.errors import TrainingError
from sheetsync.trainer.lineage import RunLog, score_of
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.compare import judge
from sheetsync.versions.records import Accuracy, History, Step, Version
from sheetsync.versions.store import LoadedRun, Versions, make_step, validation_images

STAGE = "rescore"  # of progress


def history(trainer: ProcessTrainer, recipe: str) -> History:
    """Every version of this recipe, each compared with the one before on the val images it had. Looks only.

    `recipe` is what the recipe is called in the answer. Raises `ConfigError` for a recipe that cannot be read.
    """
    runs, kept, log = trainer.runs_of_recipe(), Versions(trainer.state, trainer), trainer.runs()
    pairs = pairwise(chain([None], map(kept.load_run, runs)))  # two at a time: they are large
    versions = tuple(_version(after, log, make_step(before, after, log)) for before, after in pairs if after)
    return History(recipe, versions, _others(runs, log))


def rescored_history(trainer: ProcessTrainer, recipe: str, today: Manifest, progress: Progress) -> History:
    """The same, with every version judged on the val images and labels of `today`, which the mirror holds.

    Without any such image the steps are those of `past`. A model is asked only about images that its run knows
    nothing of, and what it says is kept. Raises `ConfigError` as `past` does; a model that cannot be asked is a
    word in the answer.
    """
    images = validation_images(today)
    runs, kept, log = trainer.runs_of_recipe(), Versions(trainer.state, trainer), trainer.runs()
    failed = _score_all(trainer, runs, log, {entry.digest for entry in images}, progress)
    pairs = pairwise(chain([None], map(kept.load_run, runs)))
    versions = [
        _version(after, log, make_step(before, after, log, images), *_accuracy_today(after, images, failed))
        for before, after in pairs
        if after
    ]
    return History(recipe, tuple(versions), _others(runs, log), rescored=True, images=len(images))


def _others(runs: Iterable[RunInfo], log: RunLog) -> int:
    """How many runs are of other recipes: neither these, nor these with another seed."""
    known = {same.id for run in runs for same in log.seed_variants(run).values()}
    return sum(run.id not in known for run in log)


def _score_all(
    trainer: ProcessTrainer, runs: Sequence[RunInfo], log: RunLog, wanted: set[str], progress: Progress
) -> Mapping[str, str]:
    """Ask every model that lacks an image of today; gives run -> why it could not be asked."""
    known = Versions(trainer.state, trainer).load_run
    unsure = [seen.run for seen in map(known, runs) if not seen.why and not wanted <= seen.said.keys()]
    failed = {}
    for done, run in enumerate(unsure):
        progress(STAGE, done, len(unsure), log.version_name(run))
        try:
            trainer.score_validation(run, lambda *_: None)
        except TrainingError as error:
            failed[run.id] = str(error)
    if unsure:
        progress(STAGE, len(unsure), len(unsure), "")
    return failed


def _accuracy_today(
    known: LoadedRun, images: Sequence[Entry], failed: Mapping[str, str]
) -> tuple[Accuracy | None, str]:
    """How a run does on the images of today, or why that cannot be said."""
    why = known.why or failed.get(known.run.id, "")
    judged = None if why else judge(images, known.said)
    return judged, why or ("" if judged else "no validation image of today that it can be judged on")


def _version(known: LoadedRun, log: RunLog, step: Step, today: Accuracy | None = None, why: str = "") -> Version:
    run, when = known.run, str(known.run.metrics["created"])
    scored = score_of(run, log.seed_variants(run).values())
    return Version(step.after, run.id, run.revision, when, scored, step, today, why)
