"""A run directory: all that one training of one recipe on one dataset gave. It is there whole or not at all.

recipe.json          the recipe's fields and digest
metrics.json         scores, history, counts, classes, versions; see `metrics`. "seconds" went into it, in so many
                     "sittings" where it was stopped in between; "micro_batch" images were learned from at a time:
                     less than the recipe's batch where the memory was too small for it, see fit.py
predictions.csv      a row an image, see `table`; read it with keep_default_na=False
probs.npy            (N, K) float16, its rows in the order of predictions.csv, its columns of "classes"
model.safetensors    the main model's weights at its best epoch, names as in model.py
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np

from training.atomic import replace_file
from training.data.arrays import Floats, Ints
from training.data.folder import Dataset, Sample
from training.errors import TrainingError
from training.fitting.crossval import Job, JobResult
from training.fitting.metrics import score
from training.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = "model.safetensors"
PACKAGES = ("torch", "torchvision", "numpy", "pillow")
COLUMNS = ("file", "split", "label", "prediction", "confidence", "self_confidence", "fold")


def default_id(data: Dataset, recipe: Recipe) -> str:
    """The same for the same images at the same places and the same recipe."""
    return f"{data.digest[:12]}-{recipe.digest[:8]}"


def gather(data: Dataset, jobs: Sequence[Job], outcomes: Sequence[JobResult]) -> tuple[Floats, Ints]:
    """Every image's out-of-sample probabilities, (N, K), and its fold, (N,), -1 where there is none.

    A row of zeros is a train image that no model has left out.
    """
    probs = np.zeros((len(data.samples), len(data.classes)), np.float32)
    fold = np.full(len(data.samples), -1, np.int64)
    for number, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True)):
        probs[job.held], probs[job.others] = outcome.held, outcome.others
        fold[job.held] = number - 1  # the first job is the main model
    return probs, fold


def table(samples: Sequence[Sample], classes: list[str], probs: Floats, fold: Ints) -> pd.DataFrame:
    """A row an image: file, split, label, prediction, confidence, self_confidence, fold.

    Confidences are probabilities, 0..1, of the prediction and of the given label. A cell is empty where
    there is no such thing: no label, a label that is none of `classes`, no fold, or no prediction.
    """
    import pandas as pd

    number = {label: column for column, label in enumerate(classes)}
    given = np.array([number.get(sample.label, -1) for sample in samples], np.int64)  # (N,)
    known = np.asarray(probs.any(axis=1))  # (N,)
    own = probs[np.arange(len(given)), given]
    best = probs.argmax(axis=1)
    return pd.DataFrame(
        {
            "file": [sample.path for sample in samples],
            "split": [sample.split for sample in samples],
            "label": [sample.label for sample in samples],
            "prediction": np.where(known, np.array(classes, object)[best], ""),
            "confidence": pd.Series(np.where(known, probs.max(axis=1), np.nan), dtype="float64"),
            "self_confidence": pd.Series(np.where(known & (given >= 0), own, np.nan), dtype="float64"),
            "fold": pd.Series(fold, dtype="Int64").where(fold >= 0),
        },
        columns=list(COLUMNS),
    )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as UTF-8 CSV, quoted where needed, its numbers to six decimals."""
    frame.to_csv(path, index=False, float_format="%.6f", errors="surrogateescape", lineterminator="\n")


def replace_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table where others may read it: whole or not at all. Raises TrainingError when it cannot be written."""
    try:
        with replace_file(path) as temporary:
            write_table(frame, temporary)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror or error})") from error


def metrics(data: Dataset, recipe: Recipe, probs: Floats, main: JobResult) -> dict[str, Any]:
    """What metrics.json says, all but the time. `val`, `test` and `out_of_fold` are null without images.

    `out_of_fold` is the score of the train images, each by a model that did not train on it.
    """
    scored = {"val": "val", "test": "test", "out_of_fold": "train"}
    return {
        "data": data.digest,
        "classes": data.classes,
        "untrained_classes": data.untrained(),
        "images": data.sizes(),
        "counts": data.counts(),
        "best_epoch": main.best_epoch,
        "epochs": [asdict(epoch) for epoch in main.history],
        **{name: _score(data, split, probs) for name, split in scored.items()},
        "seed": recipe.seed,
        **main.machine,
        "versions": {"python": python_version()} | {name: version(name) for name in PACKAGES},
    }


def _score(data: Dataset, split: str, probs: Floats) -> dict[str, Any] | None:
    rows = data.where(split)
    rows = rows[probs[rows].any(axis=1)]
    return score(data.targets()[rows], probs[rows], data.classes)


def write(
    folder: Path, data: Dataset, recipe: Recipe, jobs: Sequence[Job], outcomes: Sequence[JobResult]
) -> dict[str, Any]:
    """Write all but the weights into a run's folder; gives what metrics.json will say, all but the time."""
    probs, fold = gather(data, jobs, outcomes)
    np.save(folder / "probs.npy", probs.astype(np.float16))
    write_table(table(data.samples, data.classes, probs, fold), folder / "predictions.csv")
    write_json(recipe.as_dict(), folder / "recipe.json")
    smallest = min(outcome.micro_batch for outcome in outcomes)
    return metrics(data, recipe, probs, outcomes[0]) | {"micro_batch": smallest}


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write JSON that every reader takes: no NaN."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
