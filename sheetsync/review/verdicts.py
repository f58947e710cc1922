"""What the machine says of each image, and in which order people should look."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sheetsync.common.text import join_names
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.images.records import Failure
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import MARK, OK, SKIP
from sheetsync.rows.table import Value
from sheetsync.trainer.records import Prediction

DIGITS = 4  # of a probability: more would make cells differ that mean the same


@dataclass(frozen=True, slots=True)
class Verdict:
    """What belongs into the machine columns of an image's row: column -> value, for the label it had then."""

    label: str
    values: Mapping[str, Value]


def make_verdicts(
    snapshot: Snapshot,
    manifest: Manifest,
    failures: Iterable[Failure],
    predictions: Iterable[Prediction],
    changed: Mapping[str, int] | None = None,
    *,
    provisional: bool = False,
) -> dict[str, Verdict]:
    """Key -> what the machine says of the image. A column that is absent stays empty on its row.

    Depends on the images alone, not on where their rows are. The status of a row with a provisional prediction
    says so. `changed_at` as in `collect.DatasetState`.
    """
    said = {prediction.key: prediction for prediction in predictions}
    held = {entry.key: entry for entry in manifest}
    broken = {failure.key: failure_words(failure) for failure in failures}
    facts = _facts(manifest, broken, changed or {})
    ranks = {key: rank for rank, key in enumerate(rank(said.values()), start=1)}
    reasons = _reasons(manifest, said)
    found = {}
    for row in snapshot.rows:
        key, values = row.key, _prediction_cells(said.get(row.key))
        if row.split == SKIP or key not in held:
            values = {"used_split": SKIP} if row.split == SKIP else {}
            values["status"] = broken.get(key, OK)
        else:
            values["used_split"] = held[key].split
            marks = [*facts.get(key, ()), *([MARK] if provisional and key in said else [])]
            values["status"] = f"{OK}, {'; '.join(marks)}" if marks else OK
            if key in reasons:
                values["review"] = "; ".join(reasons[key])
            if key in ranks:
                values["review_rank"] = ranks[key]
        found[key] = Verdict(row.label, values)
    return found


def failure_words(failure: Failure) -> str:
    """Why an image cannot be had, how often that was tried, and when it is tried again."""
    if not failure.times:
        return failure.reason
    times = "once" if failure.times == 1 else f"{failure.times} times"
    return f"{failure.reason}; tried {times}, last {_day(failure.last)}, next after {_day(failure.until)} UTC"


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _facts(manifest: Manifest, broken: Mapping[str, str], changed: Mapping[str, int]) -> dict[str, list[str]]:
    """What there is to know of images that can be used."""
    facts: dict[str, list[str]] = defaultdict(list)
    copies = Counter(entry.digest for entry in manifest)
    for key, digest in ((entry.key, entry.digest) for entry in manifest):
        if copies[digest] > 1:
            facts[key].append(f"the same image is at {copies[digest]} addresses")
        if key in changed:
            facts[key].append(f"its image changed on {_day(changed[key]).split()[0]}")
        if key in broken:
            facts[key].append(f"kept as it was, for its address fails: {broken[key]}")
    return facts


def rank(predictions: Iterable[Prediction]) -> list[str]:
    """Keys of the labelled images, the most doubtful label first.

    Self-confidence, the out-of-sample probability of the given label, ranks best on its own among cheap scores
    (Kuan and Mueller, "Model-agnostic label quality scoring to detect real-world label errors", 2022).
    """
    scored = [(prediction.quality, prediction.key) for prediction in predictions if prediction.quality is not None]
    return [key for _, key in sorted(scored)]


def _prediction_cells(prediction: Prediction | None) -> dict[str, Value]:
    if prediction is None:
        return {}
    values: dict[str, Value] = {"prediction": prediction.label, "confidence": round(prediction.confidence, DIGITS)}
    if prediction.quality is not None:
        values["label_quality"] = round(prediction.quality, DIGITS)
    return values


def _reasons(manifest: Manifest, said: Mapping[str, Prediction]) -> dict[str, list[str]]:
    """Why to look at an image, in words."""
    reasons: dict[str, list[str]] = defaultdict(list)
    equal: dict[str, list[Entry]] = defaultdict(list)
    count = Counter(entry.digest for entry in manifest)
    for entry in manifest:
        if count[entry.digest] > 1:
            equal[entry.digest].append(entry)
        prediction = said.get(entry.key)
        if entry.label and prediction is not None and prediction.label != entry.label:
            reasons[entry.key].append(f"looks like {prediction.label} ({prediction.confidence:.2f})")
    for entries in equal.values():
        for word in _equal_words(entries):
            for entry in entries:
                reasons[entry.key].append(word)
    return reasons


def _equal_words(entries: list[Entry]) -> list[str]:
    labels = {entry.label for entry in entries if entry.label}
    splits = [split for split in ("train", "val", "test") if any(entry.split == split for entry in entries)]
    words = [f"same image labelled {join_names(labels, ' and ')}"] if len(labels) > 1 else []
    words += [f"same image in {' and '.join(splits)}"] if len(splits) > 1 else []
    return words or ["same image at another address"]
