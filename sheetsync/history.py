"""Versions of a sheet: their names, what changed between two, and the score of each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

from sheetsync.cells import listed, shown
from sheetsync.errors import SheetError
from sheetsync.memo import of_last
from sheetsync.records import SPLITS, UNLABELLED, Entry, Manifest, RunInfo
from sheetsync.steps import Changes
from sheetsync.tables import AddColumns, AddRow, Change, Table, Value

SCORE_COLUMNS = (
    "when", "run", "revision", "recipe",
    "added", "removed", "relabelled", "moved", "replaced",
    "train", "val", "test",
    "val_accuracy", "val_low", "val_high", "val_macro_f1", "test_accuracy",
    "seeds", "val_mean", "val_spread",
    "note",
)  # fmt: skip


MOST_SEEDS = 20  # trainings of one version


@of_last
def revision_text(manifest: Manifest) -> str:
    """What a model would see, a line an image, sorted: key, image digest, split and label between tabs."""
    seen = (entry for entry in manifest if entry.split != UNLABELLED)
    return "".join(sorted(f"{entry.key}\t{entry.digest}\t{entry.split}\t{entry.label}\n" for entry in seen))


@of_last
def revision(manifest: Manifest) -> str:
    """The name of what a model would see: 16 hex characters of the SHA-256 of `revision_text`.

    Images without a label are not part of it: no model learns from them.
    """
    return hashlib.sha256(revision_text(manifest).encode()).hexdigest()[:16]


def parse_revision(text: str) -> Manifest:
    """The inverse of `revision_text`, but for file suffixes, which it does not tell."""
    lines = (line.split("\t") for line in text.split("\n") if line)
    return Manifest(tuple(Entry(key, digest, split, label, "") for key, digest, split, label in lines))


def changes(before: Manifest, after: Manifest) -> Changes:
    """Compare two revisions, image by image."""
    old, new = ({entry.key: entry for entry in manifest} for manifest in (before, after))
    both = [(old[key], new[key]) for key in old.keys() & new.keys()]
    return Changes(
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        relabelled=sum(a.label != b.label for a, b in both),
        moved=sum(a.label == b.label and a.split != b.split for a, b in both),
        replaced=sum(a.digest != b.digest for a, b in both),
    )


def predecessor(run: RunInfo, runs: Iterable[RunInfo]) -> RunInfo | None:
    """The run of the same recipe, to the last number, that was finished last before this one."""
    earlier = [other for other in lineage(run, runs) if when(other) < when(run)]
    return earlier[-1] if earlier else None


def lineage(run: RunInfo, runs: Iterable[RunInfo]) -> list[RunInfo]:
    """All runs of the same recipe, to the last number, in the order in which they were finished."""
    return sorted((other for other in runs if _recipe(other) == _recipe(run)), key=when)


def version(run: RunInfo, runs: Iterable[RunInfo]) -> str:
    """What people call the version of the sheet that a run was trained on: v1, v2, and so on for each recipe."""
    return f"v{1 + sum(when(other) < when(run) for other in lineage(run, runs))}"


def _recipe(run: RunInfo) -> str:
    """The digest of its recipe; a name can be given to another."""
    return run.id.rpartition("-")[2]


def when(run: RunInfo) -> tuple[str, str]:
    """What runs are ordered by: when they were finished, and where that is the same, their names."""
    return str(run.metrics["created"]), run.id


def reseeded(run: RunInfo, runs: Iterable[RunInfo]) -> dict[int, RunInfo]:
    """The runs on the same revision that differ by a raised seed alone: by how much -> run. The run itself is 0."""
    first, rest = _seed(run)
    same = [other for other in runs if other.revision == run.revision and _seed(other)[1] == rest]
    raised = {_seed(other)[0] - first: other for other in same}
    return {0: run} | {seed: raised[seed] for seed in range(1, MOST_SEEDS) if seed in raised}


def _seed(run: RunInfo) -> tuple[int, Mapping[str, Any]]:
    """The seed of a run, and all else that was chosen for it."""
    seed = run.choices.get("seed")
    rest = {name: value for name, value in run.choices.items() if name not in ("name", "digest", "seed")}
    return seed if isinstance(seed, int) else 0, rest


def score(run: RunInfo, seeds: Collection[RunInfo] = ()) -> dict[str, Any]:
    """The figures of a run that people compare; None where a split is empty.

    `seeds` are the runs of all seeds, this one among them, whose validation accuracies have a mean and, if they are
    several, a standard deviation (of n - 1).
    """
    seeds = seeds or [run]
    vals = [each.metrics.get("val") or {} for each in seeds]
    accuracies = [val["accuracy"] for val in vals if val.get("accuracy") is not None]
    val, test = (run.metrics.get(split) or {} for split in ("val", "test"))
    low, high = val.get("interval") or (None, None)
    return {
        "val_accuracy": val.get("accuracy"),
        "val_low": low,
        "val_high": high,
        "val_macro_f1": val.get("macro_f1"),
        "test_accuracy": test.get("accuracy"),
        "seeds": len(seeds),
        "val_mean": fmean(accuracies) if accuracies else None,
        "val_spread": stdev(accuracies) if len(accuracies) > 1 else None,
    }


def check_scores(table: Table) -> None:
    """Refuse to add scores to a table of somebody's: it holds something, and no column of ours. Raises `SheetError`."""
    header = [name.strip() for name in table.header if name.strip()]
    ours = {name.casefold() for name in header} & {*SCORE_COLUMNS} - {"note"}
    if not ours and any(cell.strip() for cells in (table.header, *table.rows) for cell in cells):
        found = listed([shown(name, 80) for name in header], ", ") or "no header"
        raise SheetError(
            f"where the scores belong stands something else ({found}): in a Google Sheet name another tab in "
            'sheetsync.toml, [google] scores = "…"; beside a CSV rename that file, ….scores.csv'
        )


def score_changes(
    table: Table,
    run: RunInfo,
    since: Callable[[RunInfo], Changes],
    sizes: Mapping[str, int],
    seeds: Collection[RunInfo] = (),
) -> tuple[Change, ...]:
    """What brings the row of a run, and of its `seeds`, into the scores tab: nothing when it is there.

    `since` tells how its version differs from the one before, and is asked only for a row that is missing.
    The columns may stand in any order among others; the row of a run, once written, belongs to people. Raises as
    `check_scores` does.
    """
    check_scores(table)
    places = {name.strip().casefold(): place for place, name in enumerate(table.header)}
    missing = tuple(name for name in SCORE_COLUMNS if name not in places)
    if missing:
        return (AddColumns("scores", missing),)
    if any(run.id in cells for cells in table.rows):  # in any column, for people may move a header alone
        return ()
    values: dict[str, Any] = {"when": run.metrics["created"], "run": run.id, "revision": run.revision}
    values |= {"recipe": run.recipe, **{split: sizes[split] for split in SPLITS}, **score(run, seeds)}
    changed = since(run)
    values |= {name: getattr(changed, name) for name in Changes.__slots__}
    cells = {places[name]: _cell(value) for name, value in values.items()}
    return (AddRow("scores", tuple(cells.get(place, "") for place in range(len(table.header)))),)


def _cell(value: Any) -> Value:
    return "" if value is None else round(value, 4) if isinstance(value, float) else value


def sizes(manifest: Manifest) -> dict[str, int]:
    """Images a split, every split named."""
    counts = Counter(entry.split for entry in manifest)
    return {split: counts[split] for split in (*SPLITS, UNLABELLED)}
