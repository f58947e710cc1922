"""What makes the mirror say what the sheet says. Pure: nothing here touches a file."""

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
    """How large a part of the images without a given split goes to val and to test, 0..1; the rest trains."""

    val: float = 0.2
    test: float = 0.0


def assigned_split(digest: str, shares: SplitFractions) -> str:
    """The split of an image nobody assigned: a fixed function of its content.

    So it does not move when rows are added, and equal images share a split. `digest` is hexadecimal.
    """
    chance = int(digest[:8], 16) / 16**8
    return "val" if chance < shares.val else "test" if chance < shares.val + shares.test else "train"


def folder_of_label(rows: Iterable[Row]) -> dict[str, str]:
    """The folders of labels that differ too little from another of these rows; see `folders.twins`."""
    return disambiguate({row.label for row in rows if row.split != SKIP})


def target_entry(row: Row, digest: str, suffix: str, shares: SplitFractions, folder: str = "") -> Entry:
    """Where the image of a row belongs, once its digest is known. `folder` as in `Entry`; see `apart`."""
    split = (row.split or assigned_split(digest, shares)) if row.label else UNLABELLED
    return Entry(row.key, digest, split, row.label, suffix, folder)


def make_plan(
    rows: Iterable[Row], manifest: Manifest, shares: SplitFractions, stale: Mapping[str, FetchRecord] | None = None
) -> Plan:
    """Downloads, moves and deletions that turn the mirror of `manifest` into the one the rows ask for.

    Rows whose split is skip ask for nothing. What is held and `stale`, by key, is asked for again. Everything comes
    sorted.
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
        target = target_entry(row, entries[0].digest, entries[0].suffix, shares, folders.get(row.label, ""))
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
    """Whether a plan changes what a model sees: the images with a label, but for `lost` keys that cannot be had."""
    deleted = any(delete.entry.label for delete in plan.deletes)
    moved = any(_training_view(move.source) != _training_view(move.target) for move in plan.moves)
    return deleted or moved or any(each.row.label and each.row.key not in lost for each in plan.downloads)


def _training_view(entry: Entry) -> tuple[str, str]:
    """What a model sees of an entry besides its image."""
    return entry.split, entry.label


def check_not_emptied(plan: Plan, manifest: Manifest, usable: int) -> None:
    """Refuse a plan that looks like an accident: over half of the images would go, or lose their label.

    `usable` counts the rows that ask for an image.

    Raises `Shrunk`.
    """
    unlabelled = sum(bool(move.source.label) and not move.target.label for move in plan.moves)
    gone, held = len(plan.deletes) + unlabelled, len(manifest)
    if gone > held / 2:
        raise Shrunk(
            f"the sheet has {usable} usable images, so {gone} of {held} would leave the dataset or lose their label; "
            "nothing was changed. If that was done on purpose, run `sheetsync sync --allow-shrink` once; "
            "if not, look at the sheet's earlier versions"
        )
