"""What a training says of images, as its CSV files have it: it knows labels by the names of their folders."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from sheetsync.errors import TrainingError
from sheetsync.folders import label_of
from sheetsync.records import Entry, Manifest, Prediction

Said: TypeAlias = Mapping[tuple[str, str], Prediction]  # by key and content digest of the image


def read_predictions(path: Path) -> dict[tuple[str, str], Prediction]:
    """What a file says, by key and content digest of the image; nothing if it is not there.

    Raises `TrainingError` where it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = ((Entry.at(row["file"]), row) for row in csv.DictReader(file))
            # A line without a prediction is an image that every model of the run learned from.
            said = ((entry, row) for entry, row in rows if entry and row["prediction"])
            return {(entry.key, entry.digest): _prediction(entry.key, row) for entry, row in said}
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _prediction(key: str, row: Mapping[str, str]) -> Prediction:
    quality = row["self_confidence"]
    return Prediction(key, label_of(row["prediction"]), _share(row["confidence"]), _share(quality) if quality else None)


def _share(cell: str) -> float:
    if not 0 <= float(cell) <= 1:
        raise ValueError(f"{cell} is no probability")
    return float(cell)


def said_of(manifest: Manifest, said: Said) -> list[Prediction]:
    """What was said of the images that are there."""
    return [said[entry.key, entry.digest] for entry in manifest if (entry.key, entry.digest) in said]


def read_labels(path: Path) -> list[tuple[str, str, str]]:
    """Split of then, content digest and predicted label of every line, "" without one. Raises `TrainingError`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines)
            file_name, label = header.index("file"), header.index("prediction")
            found = ((Entry.at(line[file_name]), label_of(line[label])) for line in lines)
            return [(entry.split, entry.digest, said) for entry, said in found if entry]
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path} cannot be read ({error}): delete the folder or file of this run")
