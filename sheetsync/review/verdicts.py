"""Verdicts: the values of our columns for each image, and the order in which people should review (ranking)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sheetsync.common.text import join_names
from sheetsync.dataset.records import Entry, Manifest
from sheetsync.images.records import Failure
from sheetsync.rows.records import Snapshot
from sheetsync.rows.schema import OK, PROVISIONAL_NOTE, SKIP, SPLITS
from sheetsync.rows.table import Value
from sheetsync.trainer.records import Prediction

DIGITS = 4  # of a probability: with more, cells would differ that mean the same


@dataclass(frozen=True, slots=True)
class Verdict:
    """The values of our columns on the row of an image, column -> value, for the label that it had."""

    label: str
    values: Mapping[str, Value]


def make_verdicts(
    snapshot: Snapshot,
    manifest: Manifest,
    failures: Iterable[Failure],
    predictions: Iterable[Prediction],
    changed_at: Mapping[str, int] | None = None,
    *,
    provisional: bool = False,
) -> dict[str, Verdict]:
    """Return key -> verdict on the image. A column that is absent stays empty on its row.

    Depends on the images alone, not on where their rows are. The status of a row with a provisional prediction
    says so. `changed_at` as in `collect.DatasetState`.
    """
    predicted = {prediction.key: prediction for prediction in predictions}
    held = {entry.key: entry for entry in manifest}
    failed = {failure.key: failure_words(failure) for failure in failures}
    facts = _collect_facts(manifest, failed, changed_at or {})
    ranks = {key: place for place, key in enumerate(rank(predicted.values()), start=1)}
    reasons = _collect_reasons(manifest, predicted)
    verdicts = {}
    for row in snapshot.rows:
        key, values = row.key, _prediction_cells(predicted.get(row.key))
        if row.split == SKIP or key not in held:
            values = {"used_split": SKIP} if row.split == SKIP else {}
            values["status"] = failed.get(key, OK)
        else:
            values["used_split"] = held[key].split
            notes = [*facts.get(key, ()), *([PROVISIONAL_NOTE] if provisional and key in predicted else [])]
            values["status"] = f"{OK}, {'; '.join(notes)}" if notes else OK
            if key in reasons:
                values["review"] = "; ".join(reasons[key])
            if key in ranks:
                values["review_rank"] = ranks[key]
        verdicts[key] = Verdict(row.label, values)
    return verdicts


def failure_words(failure: Failure) -> str:
    """Say why an image could not be fetched, how often that was tried, and when it is tried again."""
    if not failure.times:
        return failure.reason
    times = "once" if failure.times == 1 else f"{failure.times} times"
    return f"{failure.reason}; tried {times}, last {_minute(failure.last)}, next after {_minute(failure.until)} UTC"


def _minute(seconds: int) -> str:
    """Format a time, in seconds since 1970, as day and minute in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _collect_facts(
    manifest: Manifest, failed: Mapping[str, str], changed_at: Mapping[str, int]
) -> dict[str, list[str]]:
    """Collect what people should know of images that can be used, key -> sentences for `status`."""
    facts: dict[str, list[str]] = defaultdict(list)
    copies = Counter(entry.digest for entry in manifest)
    for key, digest in ((entry.key, entry.digest) for entry in manifest):
        if copies[digest] > 1:
            facts[key].append(f"the same image is at {copies[digest]} addresses")
        if key in changed_at:
            facts[key].append(f"its image changed on {_minute(changed_at[key]).split()[0]}")
        if key in failed:
            facts[key].append(f"kept as it was, for its address fails: {failed[key]}")
    return facts


def rank(predictions: Iterable[Prediction]) -> list[str]:
    """Sort the keys of labelled images, the most doubtful label first.

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


def _collect_reasons(manifest: Manifest, predicted: Mapping[str, Prediction]) -> dict[str, list[str]]:
    """Collect why to review an image, key -> sentences for `review`."""
    reasons: dict[str, list[str]] = defaultdict(list)
    equal: dict[str, list[Entry]] = defaultdict(list)
    count = Counter(entry.digest for entry in manifest)
    for entry in manifest:
        if count[entry.digest] > 1:
            equal[entry.digest].append(entry)
        prediction = predicted.get(entry.key)
        if entry.label and prediction is not None and prediction.label != entry.label:
            reasons[entry.key].append(f"looks like {prediction.label} ({prediction.confidence:.2f})")
    for entries in equal.values():
        found = _equal_reasons(entries)
        for entry in entries:
            reasons[entry.key] += found
    return reasons


def _equal_reasons(entries: list[Entry]) -> list[str]:
    """Say what is wrong with images of equal content: other labels, other splits, or just another address."""
    labels = {entry.label for entry in entries if entry.label}
    splits = [split for split in SPLITS if any(entry.split == split for entry in entries)]
    reasons = [f"same image labelled {join_names(labels, ' and ')}"] if len(labels) > 1 else []
    reasons += [f"same image in {' and '.join(splits)}"] if len(splits) > 1 else []
    return reasons or ["same image at another address"]
