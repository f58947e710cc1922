"""The history of a project: every version with its score and the step from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise

from sheetsync.common.progress import Progress
from sheetsync.dataset.records import Manifest
from sheetsync.errors import TrainingError
from sheetsync.trainer.lineage import RunLog, score_of
from sheetsync.trainer.process_trainer import ProcessTrainer
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.compare import judge
from sheetsync.versions.records import Accuracy, History, Step, Version
from sheetsync.versions.store import LoadedRun, Versions, make_step, validation_images

STAGE = "rescore"  # of progress


def history(trainer: ProcessTrainer, recipe: str) -> History:
    """List every version of this recipe, each compared with the one before on the val images it had.

    `recipe` is its name in the history. Changes nothing. Raises `ConfigError` for a recipe that cannot be read.
    """
    runs, log = trainer.runs_of_recipe(), trainer.runs()
    versions = [_version(after, log, make_step(before, after, log)) for before, after in _load_pairs(trainer, runs)]
    return History(recipe, tuple(versions), _count_others(runs, log))


def rescored_history(trainer: ProcessTrainer, recipe: str, today: Manifest, progress: Progress) -> History:
    """List the versions as `history` does, all judged on the val images and labels of `today`, the dataset as it is.

    Without any such image the steps are those of `history`. A model predicts only images that its run does not know,
    and the predictions are kept. Raises `ConfigError` as `history` does; where a model cannot predict, its version
    says why.
    """
    images = validation_images(today)
    runs, log = trainer.runs_of_recipe(), trainer.runs()
    problems = _score_all(trainer, runs, log, {entry.digest for entry in images}, progress)
    versions = []
    for before, after in _load_pairs(trainer, runs):
        why = after.why or problems.get(after.run.id, "")
        accuracy = None if why else judge(images, after.labels)
        if accuracy is None and not why:
            why = "no validation image of today that it can be judged on"
        versions.append(_version(after, log, make_step(before, after, log, images), accuracy, why))
    return History(recipe, tuple(versions), _count_others(runs, log), rescored=True, images=len(images))


def _load_pairs(trainer: ProcessTrainer, runs: Iterable[RunInfo]) -> Iterable[tuple[LoadedRun | None, LoadedRun]]:
    """Yield each run with the one before, None before the first. Two are loaded at a time: they are large."""
    loaded = map(Versions(trainer.state, trainer).load_run, runs)
    return ((before, after) for before, after in pairwise(chain([None], loaded)) if after)


def _count_others(runs: Iterable[RunInfo], log: RunLog) -> int:
    """Count the runs of other recipes: neither these, nor these with another seed."""
    known = {same.id for run in runs for same in log.seed_variants(run).values()}
    return sum(run.id not in known for run in log)


def _score_all(
    trainer: ProcessTrainer, runs: Sequence[RunInfo], log: RunLog, digests: set[str], progress: Progress
) -> Mapping[str, str]:
    """Let every model that lacks one of these images predict it; returns run -> why it could not."""
    loaded = map(Versions(trainer.state, trainer).load_run, runs)
    incomplete = [each.run for each in loaded if not each.why and not digests <= each.labels.keys()]
    problems = {}
    for done, run in enumerate(incomplete):
        progress(STAGE, done, len(incomplete), log.version_name(run))
        try:
            trainer.score_validation(run, lambda *_: None)
        except TrainingError as error:
            problems[run.id] = str(error)
    if incomplete:
        progress(STAGE, len(incomplete), len(incomplete), "")
    return problems


def _version(loaded: LoadedRun, log: RunLog, step: Step, today: Accuracy | None = None, why: str = "") -> Version:
    run, when = loaded.run, str(loaded.run.metrics["created"])
    score = score_of(run, log.seed_variants(run).values())
    return Version(step.after, run.id, run.revision, when, score, step, today, why)
