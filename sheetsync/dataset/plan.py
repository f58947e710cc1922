"""The plan that makes the dataset equal to the rows: downloads, moves, deletions. Pure: it touches no file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sheetsync.dataset.records import Delete, Entry, Manifest, Move, Plan
from sheetsync.errors import Shrunk
from sheetsync.images.records import Download, FetchRecord
from sheetsync.rows.folder_names import disambiguate
from sheetsync.rows.records import Row
from sheetsync.rows.schema import SKIP, UNLABELLED


@dataclass(frozen=True, slots=True)
class SplitFractions:
    """The share of the images without a given split that goes to val and to test, 0..1; the rest is train."""

    val: float = 0.2
    test: float = 0.0


def assigned_split(digest: str, fractions: SplitFractions) -> str:
    """Choose the split of an image that nobody assigned, from its content alone.

    So it does not move when rows are added, and equal images share a split. `digest` is hexadecimal.
    """
    position = int(digest[:8], 16) / 16**8  # 0..1, uniform
    if position < fractions.val:
        return "val"
    return "test" if position < fractions.val + fractions.test else "train"


def folder_of_label(rows: Iterable[Row]) -> dict[str, str]:
    """Return label -> folder for labels that some file system would mix up; see `folder_names.disambiguate`."""
    return disambiguate({row.label for row in rows if row.split != SKIP})


def target_entry(row: Row, digest: str, suffix: str, fractions: SplitFractions, folder: str = "") -> Entry:
    """Return the entry of a row whose digest is known. `folder` as in `Entry`, from `folder_of_label`."""
    split = (row.split or assigned_split(digest, fractions)) if row.label else UNLABELLED
    return Entry(row.key, digest, split, row.label, suffix, folder)


def make_plan(
    rows: Iterable[Row],
    manifest: Manifest,
    fractions: SplitFractions,
    stale: Mapping[str, FetchRecord] | None = None,
) -> Plan:
    """Plan downloads, moves and deletions that turn the dataset of `manifest` into the one that the rows ask for.

    Rows whose split is skip ask for nothing. Images of `stale`, by key, that are held are refreshed. All is sorted.
    """
    stale = stale or {}
    held: dict[str, list[Entry]] = {}
    for entry in manifest:
        held.setdefault(entry.key, []).append(entry)
    rows = sorted(rows, key=lambda row: row.key)
    folders = folder_of_label(rows)
    deletes, moves, downloads, refreshes = [], [], [], []
    for row in rows:
        if row.split == SKIP:
            continue
        entries = held.pop(row.key, [])
        if not entries:
            downloads.append(Download(row))
            continue
        entries.sort()
        target = target_entry(row, entries[0].digest, entries[0].suffix, fractions, folders.get(row.label, ""))
        refreshes += [Download(row, stale[row.key])] if row.key in stale else []
        if entries == [target]:
            continue
        source = target if target in entries else entries[0]
        moves += [Move(source, target)] if source != target else []
        deletes += [Delete(entry) for entry in entries if entry != source]
    deletes += [Delete(entry) for entries in held.values() for entry in entries]
    deletes.sort(key=lambda delete: delete.entry)
    return Plan(tuple(deletes), tuple(moves), tuple(downloads), tuple(refreshes))


def changes_training_data(plan: Plan, lost: Collection[str]) -> bool:
    """True if a plan changes what a model sees: images with a label. Keys in `lost` cannot be fetched anyway."""
    deleted = any(delete.entry.label for delete in plan.deletes)
    moved = any(move.source.split != move.target.split or move.source.label != move.target.label for move in plan.moves)
    downloaded = any(download.row.label and download.row.key not in lost for download in plan.downloads)
    return deleted or moved or downloaded


def check_not_emptied(plan: Plan, manifest: Manifest, usable: int) -> None:
    """Refuse a plan that looks like an accident: over half of the images would go, or lose their label.

    `usable` counts the rows that ask for an image. Raises `Shrunk`.
    """
    unlabelled = sum(bool(move.source.label) and not move.target.label for move in plan.moves)
    lost, held = len(plan.deletes) + unlabelled, len(manifest)
    if lost > held / 2:
        raise Shrunk(
            f"the sheet has {usable} usable images, so {lost} of {held} would leave the dataset or lose their label; "
            "nothing was changed. If that was done on purpose, run `sheetsync sync --allow-shrink` once; "
            "if not, look at the sheet's earlier versions"
        )
