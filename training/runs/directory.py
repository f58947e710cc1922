"""A run directory: the results of one training of one recipe on one dataset. It exists complete or not at all.

recipe.json          the recipe's fields and digest
metrics.json         scores, history, counts, classes, versions; see `metrics`. "seconds" is the time of the training,
                     "sittings" the number of its sessions if it was resumed, "micro_batch" the number of images in a
                     forward and backward pass: less than the recipe's batch if the memory was too small for that
predictions.csv      a row for each image, see `prediction_table`; read it with keep_default_na=False
probs.npy            (N, K) float16: rows in the order of predictions.csv, columns in the order of "classes"
model.safetensors    the main model's weights at its best epoch, names as in its module in networks/
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
from training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    import pandas as pd

WEIGHTS = "model.safetensors"
METRICS = "metrics.json"
PACKAGES = ("torch", "torchvision", "numpy", "pillow")
COLUMNS = ("file", "split", "label", "prediction", "confidence", "self_confidence", "fold")


def default_id(data: Dataset, recipe: Recipe) -> str:
    """Return the name of a run: the same for equal images at equal paths and an equal recipe."""
    return f"{data.digest[:12]}-{recipe.digest[:8]}"


def gather_predictions(data: Dataset, jobs: Sequence[Job], results: Sequence[JobResult]) -> tuple[Floats, Ints]:
    """Gather every image's out-of-sample probabilities, (N, K), and its fold, (N,), -1 where there is none.

    A row of zeros is a train image that no model left out.
    """
    probs = np.zeros((len(data.samples), len(data.classes)), np.float32)
    fold = np.full(len(data.samples), -1, np.int64)
    for number, (job, result) in enumerate(zip(jobs, results, strict=True)):
        probs[job.held_out], probs[job.others] = result.held_out, result.others
        fold[job.held_out] = number - 1  # the first job is the main model
    return probs, fold


def prediction_table(samples: Sequence[Sample], classes: list[str], probs: Floats, fold: Ints) -> pd.DataFrame:
    """Build a table with a row for each image: file, split, label, prediction, confidence, self_confidence, fold.

    Confidences are probabilities, 0..1, of the prediction and of the given label. A cell is empty where it does not
    apply: no label, a label that is none of `classes`, no fold, or no prediction.
    """
    import pandas as pd

    number = {label: column for column, label in enumerate(classes)}
    given = np.array([number.get(sample.label, -1) for sample in samples], np.int64)  # (N,)
    predicted = np.asarray(probs.any(axis=1))  # (N,)
    own = probs[np.arange(len(given)), given]
    best = probs.argmax(axis=1)
    return pd.DataFrame(
        {
            "file": [sample.path for sample in samples],
            "split": [sample.split for sample in samples],
            "label": [sample.label for sample in samples],
            "prediction": np.where(predicted, np.array(classes, object)[best], ""),
            "confidence": pd.Series(np.where(predicted, probs.max(axis=1), np.nan), dtype="float64"),
            "self_confidence": pd.Series(np.where(predicted & (given >= 0), own, np.nan), dtype="float64"),
            "fold": pd.Series(fold, dtype="Int64").where(fold >= 0),
        },
        columns=list(COLUMNS),
    )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as UTF-8 CSV, quoted where needed, its numbers to six decimals."""
    frame.to_csv(path, index=False, float_format="%.6f", errors="surrogateescape", lineterminator="\n")


def replace_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table atomically, where others may read it. Raises TrainingError when it cannot be written."""
    try:
        with replace_file(path) as temporary:
            write_table(frame, temporary)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written ({error.strerror or error})") from error


def metrics(data: Dataset, recipe: Recipe, probs: Floats, main: JobResult) -> dict[str, Any]:
    """Return the content of metrics.json except the time. `val`, `test` and `out_of_fold` are null without images.

    `out_of_fold` is the score of the train images, each predicted by a model that did not train on it.
    """

    def score_split(split: str) -> dict[str, Any] | None:
        rows = data.positions(split)
        rows = rows[probs[rows].any(axis=1)]
        return score(data.targets()[rows], probs[rows], data.classes)

    return {
        "data": data.digest,
        "classes": data.classes,
        "untrained_classes": data.untrained_classes(),
        "images": data.sizes(),
        "counts": data.counts(),
        "best_epoch": main.best_epoch,
        "epochs": [asdict(epoch) for epoch in main.history],
        "val": score_split("val"),
        "test": score_split("test"),
        "out_of_fold": score_split("train"),
        "seed": recipe.seed,
        **main.machine,
        "versions": {"python": python_version()} | {name: version(name) for name in PACKAGES},
    }


def write_run(
    folder: Path, data: Dataset, recipe: Recipe, jobs: Sequence[Job], results: Sequence[JobResult]
) -> dict[str, Any]:
    """Write all but the weights and metrics.json into a run's folder; returns the latter's content except the time."""
    probs, fold = gather_predictions(data, jobs, results)
    np.save(folder / "probs.npy", probs.astype(np.float16))
    write_table(prediction_table(data.samples, data.classes, probs, fold), folder / "predictions.csv")
    write_json(recipe.as_dict(), folder / "recipe.json")
    micro_batch = min(result.micro_batch for result in results)
    return metrics(data, recipe, probs, results[0]) | {"micro_batch": micro_batch}


def read_run(folder: Path) -> tuple[Recipe, list[str]]:
    """Read the recipe and the classes of a run directory. Raises TrainingError when the folder is none."""
    try:
        classes = json.loads((folder / METRICS).read_text("utf-8"))["classes"]
        return load_recipe(str(folder / "recipe.json")), list(classes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder}: not a run directory ({error})") from error


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write standard JSON: NaN is an error."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", "utf-8")


def utc_now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
