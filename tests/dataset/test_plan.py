"""The plan that makes the dataset equal to the rows."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.dataset.plan import (
    SplitFractions,
    assigned_split,
    changes_training_data,
    check_not_emptied,
    folder_of_label,
    make_plan,
    target_entry,
)
from sheetsync.dataset.records import Delete, Entry, Manifest, Plan
from sheetsync.errors import Shrunk
from sheetsync.rows.folder_names import casefold_name, folder_name
from sheetsync.rows.records import Row
from sheetsync.rows.schema import SKIP, UNLABELLED

KEYS = [f"{n:020x}" for n in range(8)]
DIGESTS = [hashlib.sha256(bytes([n])).hexdigest()[:32] for n in range(12)]
SHARES = st.sampled_from([SplitFractions(), SplitFractions(0, 0), SplitFractions(0.5, 0.5), SplitFractions(0.3, 0.3)])
LABELS = st.sampled_from(["", "i", "iv", "été", "Cat", "cat", "ß", "ss", "con", "CON", "a/b", "%2F", "İ"])

rows = st.lists(
    st.builds(
        Row,
        st.integers(2, 99),
        st.sampled_from(KEYS),
        st.just("http://pics.example/1.png"),
        LABELS,
        st.sampled_from(["", "", "train", "val", "test", SKIP]),
    ),
    unique_by=lambda row: row.key,
)


def found(entry: Entry) -> Entry:
    again = Entry.from_path(entry.path)
    assert again is not None
    return again


entries = st.builds(
    lambda key, digest, split, label, twin: found(
        Entry(
            key, digest, split if label else UNLABELLED, label, ".png", folder_name(label, 1) if label and twin else ""
        )
    ),
    st.sampled_from(KEYS),
    st.sampled_from(DIGESTS[:2]),
    st.sampled_from(["train", "val", "test"]),
    LABELS,
    st.booleans(),
)
manifests = st.lists(entries, unique=True).map(lambda held: Manifest(tuple(sorted(held))))
tidy = st.lists(entries, unique_by=lambda entry: entry.key).map(lambda held: Manifest(tuple(sorted(held))))


def carried_out(plan: Plan, manifest: Manifest, fractions: SplitFractions, rows: list[Row]) -> Manifest:
    """Return what a folder holds after a plan; as with files, only what is there can be deleted or moved."""
    held, folders = {entry.path: entry for entry in manifest}, folder_of_label(rows)
    for delete in plan.deletes:
        del held[delete.entry.path]
    for move in plan.moves:
        assert move.target.path not in held, "a move would overwrite an image"
        assert held.pop(move.source.path) == move.source
        held[move.target.path] = move.target
    for download in plan.downloads:
        digest = DIGESTS[int(download.row.key, 16)]
        entry = target_entry(download.row, digest, ".png", fractions, folders.get(download.row.label, ""))
        assert entry.path not in held, "a download would overwrite an image"
        held[entry.path] = entry
    return Manifest(tuple(sorted(held.values())))


@given(rows, manifests, SHARES)
def test_a_plan_carried_out_gives_each_row_its_image_and_nothing_else(
    rows: list[Row], manifest: Manifest, fractions: SplitFractions
) -> None:
    after = carried_out(make_plan(rows, manifest, fractions), manifest, fractions, rows)
    held = {entry.key: entry for entry in manifest}
    asked = {row.key: row for row in rows if row.split != SKIP}
    assert [entry.key for entry in after] == sorted(asked)
    for entry in after:
        row = asked[entry.key]
        chosen = row.split or assigned_split(entry.digest, fractions)
        assert (entry.label, entry.split) == (row.label, chosen if row.label else UNLABELLED)
        assert entry.key not in held or entry.digest in {each.digest for each in manifest if each.key == entry.key}


@given(rows, manifests, SHARES)
def test_a_plan_carried_out_leaves_nothing_to_plan(
    rows: list[Row], manifest: Manifest, fractions: SplitFractions
) -> None:
    after = carried_out(make_plan(rows, manifest, fractions), manifest, fractions, rows)
    again = make_plan(rows, after, fractions)
    assert again == Plan()
    assert again == Plan()


@given(rows.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), manifests)
def test_the_order_of_rows_and_of_files_does_not_matter(case: tuple[list[Row], list[Row]], manifest: Manifest) -> None:
    backwards = Manifest(manifest.entries[::-1])
    assert make_plan(case[0], manifest, SplitFractions()) == make_plan(case[1], backwards, SplitFractions())


@given(rows, tidy, SHARES)
def test_an_image_that_is_there_is_never_fetched_again(
    rows: list[Row], manifest: Manifest, fractions: SplitFractions
) -> None:
    plan = make_plan(rows, manifest, fractions)
    held, asked = {entry.key for entry in manifest}, {row.key for row in rows if row.split != SKIP}
    assert {download.row.key for download in plan.downloads} == asked - held
    assert {delete.entry.key for delete in plan.deletes} == held - asked


@given(rows, manifests, SHARES)
def test_an_image_that_stands_where_it_belongs_stays_there(
    rows: list[Row], manifest: Manifest, fractions: SplitFractions
) -> None:
    plan = make_plan(rows, manifest, fractions)
    for move in plan.moves:
        assert move.target not in manifest.entries


@given(rows, rows, tidy)
def test_what_happens_to_an_image_does_not_depend_on_rows_of_other_labels(
    some: list[Row], others: list[Row], manifest: Manifest
) -> None:
    known = {row.key for row in some}, {casefold_name(row.label) for row in some}
    together = [*some, *(row for row in others if row.key not in known[0] and casefold_name(row.label) not in known[1])]
    keys = {row.key for row in some}
    alone, among = (make_plan(rows, manifest, SplitFractions()) for rows in (some, together))
    assert alone.moves == tuple(move for move in among.moves if move.source.key in keys)
    assert alone.downloads == tuple(download for download in among.downloads if download.row.key in keys)


@given(rows, manifests)
def test_no_two_folders_of_a_dataset_are_one_on_a_file_system_where_case_does_not_count(
    rows: list[Row], manifest: Manifest
) -> None:
    after = carried_out(make_plan(rows, manifest, SplitFractions()), manifest, SplitFractions(), rows)
    assert len({casefold_name(entry.path) for entry in after}) == len(after)
    labels = {entry.label for entry in after}
    assert len({casefold_name(entry.path.split("/")[1]) for entry in after if entry.label}) == len(labels - {""})


@given(rows, SHARES)
def test_a_folder_that_is_spelled_otherwise_wakes_nobody(rows: list[Row], fractions: SplitFractions) -> None:
    held = [
        found(target_entry(row, DIGESTS[0], ".png", fractions, folder_name(row.label, 2)))
        for row in rows
        if row.split != SKIP
    ]
    assert not changes_training_data(make_plan(rows, Manifest(tuple(held)), fractions), ())


# --- the split of an image nobody assigned --------------------------------------------------------


def test_shares_are_met_in_the_long_run() -> None:
    digests = [hashlib.sha256(str(n).encode()).hexdigest()[:32] for n in range(20_000)]
    splits = [assigned_split(digest, SplitFractions(0.2, 0.1)) for digest in digests]
    assert splits.count("val") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert splits.count("test") / 20_000 == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("fractions", "first", "last"),
    [
        (SplitFractions(0, 0), "train", "train"),
        (SplitFractions(0.001, 0), "val", "train"),
        (SplitFractions(0, 0.001), "test", "train"),
        (SplitFractions(0.5, 0.5), "val", "test"),
        (SplitFractions(1, 0), "val", "val"),
    ],
)
def test_a_share_of_nothing_gets_nothing_and_a_share_of_all_gets_all(
    fractions: SplitFractions, first: str, last: str
) -> None:
    assert (assigned_split("0" * 32, fractions), assigned_split("f" * 32, fractions)) == (first, last)


@given(st.sampled_from(DIGESTS), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_larger_validation_share_takes_images_in_and_gives_none_away(digest: str, one: float, other: float) -> None:
    small, large = (assigned_split(digest, SplitFractions(share)) for share in sorted((one, other)))
    assert (small, large) != ("val", "train")


def test_equal_images_share_a_split() -> None:
    here, there = (target_entry(Row(2, key, "", "i"), DIGESTS[0], ".png", SplitFractions(0.5)) for key in KEYS[:2])
    assert here.split == there.split


def test_a_given_split_counts_for_labelled_images_only() -> None:
    entries_ = [
        target_entry(Row(2, KEYS[0], "", label, "test"), DIGESTS[0], ".png", SplitFractions()) for label in ("i", "")
    ]
    assert [entry.split for entry in entries_] == ["test", UNLABELLED]


# --- the guard ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "gone", "usable", "refused"),
    [(10, 5, 5, False), (10, 6, 4, True), (1, 1, 0, True), (10, 10, 30, True), (0, 0, 0, False), (10, 0, 0, False)],
)
def test_over_half_of_the_images_do_not_leave_by_accident(held: int, gone: int, usable: int, refused: bool) -> None:
    manifest = Manifest(tuple(Entry(f"{n:020x}", DIGESTS[0], "train", "i", ".png") for n in range(held)))
    plan = Plan(tuple(Delete(entry) for entry in manifest.entries[:gone]))
    if not refused:
        check_not_emptied(plan, manifest, usable)
        return
    with pytest.raises(Shrunk) as caught:
        check_not_emptied(plan, manifest, usable)
    words = f"the sheet has {usable} usable images, so {gone} of {held} would leave the dataset"
    assert words in str(caught.value)
    assert "--allow-shrink" in str(caught.value)


def test_over_half_of_the_labels_are_not_lost_by_accident() -> None:
    manifest = Manifest(tuple(Entry(f"{n:020x}", DIGESTS[0], "train", "i", ".png") for n in range(4)))
    rows = [Row(n + 2, entry.key, "", "i" if n < 1 else "", "train") for n, entry in enumerate(manifest)]
    with pytest.raises(Shrunk, match="3 of 4 would leave the dataset or lose their label"):
        check_not_emptied(make_plan(rows, manifest, SplitFractions()), manifest, 4)
    rows[1] = Row(3, rows[1].key, "", "i", "train")
    check_not_emptied(make_plan(rows, manifest, SplitFractions()), manifest, 4)
