"""What a training says of images, as its CSV files have it: it knows labels by the names of their folders."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from sheetsync.dataset.records import Entry, Manifest, image_in_name
from sheetsync.errors import TrainingError
from sheetsync.rows.folder_names import label_of
from sheetsync.trainer.records import Prediction

Predictions: TypeAlias = Mapping[tuple[str, str], Prediction]  # by key and content digest of the image


def read_predictions(path: Path) -> dict[tuple[str, str], Prediction]:
    """What a file says, by key and content digest of the image; nothing if it is not there.

    Raises `TrainingError` where it cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines, [])
            places = [header.index(name) for name in ("file", "prediction", "confidence", "self_confidence")]
            return dict(_read_lines(lines, *places))
    except (ValueError, IndexError, csv.Error) as error:
        raise _unreadable(path, error) from error


def _read_lines(
    lines: Iterable[Sequence[str]], file: int, label: int, confidence: int, quality: int
) -> Iterator[tuple[tuple[str, str], Prediction]]:
    """A line without a prediction is an image that every model of the run learned from."""
    for line in lines:
        if line and line[label] and (image := image_in_name(line[file])):
            own = _probability(line[quality]) if line[quality] else None
            yield image, Prediction(image[0], label_of(line[label]), _probability(line[confidence]), own)


def _probability(cell: str) -> float:
    share = float(cell)
    if not 0 <= share <= 1:
        raise ValueError(f"{cell} is no probability")
    return share


def for_manifest(manifest: Manifest, said: Predictions) -> list[Prediction]:
    """What was said of the images that are there."""
    return [found for entry in manifest if (found := said.get((entry.key, entry.digest)))]


def read_labels(path: Path) -> list[tuple[str, str, str]]:
    """Split of then, content digest and predicted label of every line, "" without one. Raises `TrainingError`."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            header = next(lines)
            file_name, label = header.index("file"), header.index("prediction")
            found = ((Entry.from_path(line[file_name]), label_of(line[label])) for line in lines)
            return [(entry.split, entry.digest, said) for entry, said in found if entry]
    except (ValueError, IndexError, StopIteration, csv.Error) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> TrainingError:
    return TrainingError(f"{path} cannot be read ({error}): delete the folder or file of this run")
