"""Readers of the `predictions.csv` of a run, whose files lie in folders named by label."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sheetsync.dataset.records import Entry, Manifest, image_in_name
from sheetsync.errors import TrainingError
from sheetsync.rows.folder_names import label_of
from sheetsync.trainer.records import Prediction

Predictions: TypeAlias = Mapping[tuple[str, str], Prediction]  # by key and content digest of the image


def read_predictions(path: Path) -> dict[tuple[str, str], Prediction]:
    """Read a file of predictions, by key and content digest of the image; empty if it is not there.

    Raises `TrainingError` where it cannot be read.
    """
    found: dict[tuple[str, str], Prediction] = {}
    if not path.exists():
        return found
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            columns = ("file", "prediction", "confidence", "self_confidence")
            file_name, label, confidence, quality = (header.index(name) for name in columns)
            for cells in lines:
                # A line without a prediction is an image that every model of the run learned from.
                if cells and cells[label] and (image := image_in_name(cells[file_name])):
                    own = _probability(cells[quality]) if cells[quality] else None
                    found[image] = Prediction(image[0], label_of(cells[label]), _probability(cells[confidence]), own)
    except (ValueError, IndexError, csv.Error) as error:
        raise _unreadable(path, error) from error
    return found


def _probability(cell: str) -> float:
    number = float(cell)
    if not 0 <= number <= 1:
        raise ValueError(f"{cell} is no probability")
    return number


def for_manifest(manifest: Manifest, predictions: Predictions) -> list[Prediction]:
    """Return the predictions of the images in a manifest; those without one are left out."""
    return [found for entry in manifest if (found := predictions.get((entry.key, entry.digest)))]


def read_labels(path: Path) -> list[tuple[str, str, str]]:
    """Read split at that time, content digest and predicted label of every line; "" without a label.

    Raises `TrainingError` where the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines)
            file_name, prediction = header.index("file"), header.index("prediction")
            found = ((Entry.from_path(cells[file_name]), label_of(cells[prediction])) for cells in lines)
            return [(entry.split, entry.digest, label) for entry, label in found if entry]
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path} cannot be read ({error}): delete the folder or file of this run")
