"""Versions of a sheet: their names, what changed between two, and the score of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sheetsync.dataset.records import Entry, Manifest
from sheetsync.dataset.revision import parse_revision, revision, revision_text, split_sizes
from sheetsync.errors import SheetError
from sheetsync.rows.cells import read_label
from sheetsync.rows.schema import SCORE_COLUMNS, UNLABELLED
from sheetsync.rows.table import AddColumns, AddRow, Table
from sheetsync.trainer.lineage import RunLog
from sheetsync.trainer.records import RunInfo
from sheetsync.versions.changes import count_changes
from sheetsync.versions.records import Changes
from sheetsync.versions.scores import check_scores, plan_score_changes
from tests.helpers.support import table


def legal(label: str) -> bool:
    try:
        return read_label(label) == label != ""
    except ValueError:
        return False


KEYS = [f"{n:020x}" for n in range(8)]
labels = st.sampled_from(["i", "iv", "i v", "i\u2028v"]) | st.text(
    st.characters(exclude_categories=()), min_size=1, max_size=8
)
entries = st.builds(
    Entry,
    st.sampled_from(KEYS),
    st.sampled_from(["0" * 32, "1" * 32]),
    st.sampled_from(["train", "val", "test"]),
    labels.filter(legal),
    st.sampled_from([".png", ".jpg"]),
)
unlabelled = st.builds(lambda entry: Entry(entry.key, entry.digest, UNLABELLED, "", entry.suffix), entries)
manifests = st.lists(entries | unlabelled, unique_by=lambda entry: entry.key).map(lambda all_: Manifest(tuple(all_)))


def seen(manifest: Manifest) -> set[tuple[str, str, str, str]]:
    """What a model would see of a manifest."""
    return {(entry.key, entry.digest, entry.split, entry.label) for entry in manifest if entry.split != UNLABELLED}


@given(manifests)
def test_a_revision_is_kept_whole_and_readable(manifest: Manifest) -> None:
    kept = parse_revision(revision_text(manifest))
    assert seen(kept) == seen(manifest)
    assert list(kept) == sorted(kept)
    assert revision(kept) == revision(manifest)


@given(manifests, manifests)
def test_two_versions_have_one_name_exactly_when_a_model_would_see_the_same(one: Manifest, other: Manifest) -> None:
    assert (revision(one) == revision(other)) == (seen(one) == seen(other))
    assert revision(Manifest(one.entries[::-1])) == revision(one)


@pytest.mark.parametrize("field", ["key", "digest", "split", "label"])
def test_everything_a_model_sees_is_part_of_the_name(field: str) -> None:
    one = {"key": KEYS[0], "digest": "0" * 32, "split": "train", "label": "i", "suffix": ".png"}
    other = one | {field: {"key": KEYS[1], "digest": "1" * 32, "split": "val", "label": "ii"}[field]}
    assert revision(Manifest((Entry(**one),))) != revision(Manifest((Entry(**other),)))


@given(manifests, manifests)
def test_changes_are_counted_image_by_image(before: Manifest, after: Manifest) -> None:
    old, new = ({entry.key: (entry.label, entry.split) for entry in manifest} for manifest in (before, after))
    expected = Changes()
    for key in KEYS:
        match old.get(key), new.get(key):
            case None, None:
                continue
            case None, _:
                kind = "added"
            case _, None:
                kind = "removed"
            case (was, _), (now, _) if was != now:
                kind = "relabelled"
            case was_, now_ if was_ != now_:
                kind = "moved"
            case _:
                continue
        expected = Changes(**{name: getattr(expected, name) + (name == kind) for name in Changes.__slots__})
    digests = [{entry.key: entry.digest for entry in manifest} for manifest in (before, after)]
    both = digests[0].keys() & digests[1].keys()
    assert count_changes(before, after) == replace(
        expected, replaced=sum(digests[0][key] != digests[1][key] for key in both)
    )


@given(manifests)
def test_a_version_does_not_differ_from_itself(manifest: Manifest) -> None:
    assert count_changes(manifest, manifest) == Changes()
    assert count_changes(Manifest(), manifest) == Changes(added=len(manifest))
    assert count_changes(manifest, Manifest()) == Changes(removed=len(manifest))


@given(manifests)
def test_every_image_counts_in_one_split(manifest: Manifest) -> None:
    counts = split_sizes(manifest)
    assert sum(counts.values()) == len(manifest)
    assert list(counts) == ["train", "val", "test", "unlabelled"]


# --- scores ---------------------------------------------------------------------------------------


def run(name: str = "r1", created: str = "2026-01-01", recipe: str = "quick", **metrics: Any) -> RunInfo:
    return RunInfo(name, f"rev-{name}", recipe, {"created": created, **metrics})


VAL = {"accuracy": 0.953_26, "interval": [0.9, 0.97], "macro_f1": 0.5}
COUNTS = {"train": 8, "val": 2, "test": 0, "unlabelled": 1}


def test_the_run_before_is_the_last_one_of_the_same_recipe() -> None:
    a, b, other = run("a-1", "2026-01-01"), run("b-1", "2026-01-02"), run("x-2", "2026-01-03")  # of the same name
    c, twin = run("c-1", "2026-01-04", "renamed"), run("d-1", "2026-01-04")
    log = RunLog((c, twin, other, a, b))
    assert [log.predecessor(each) for each in (a, b, c, twin, other)] == [None, a, b, c, None]
    assert [log.version_name(each) for each in (a, b, c, twin, other)] == ["v1", "v2", "v3", "v4", "v1"]


@given(st.permutations([*SCORE_COLUMNS, "who", ""]))
def test_a_run_is_one_row_whatever_the_order_of_the_columns(header: list[str]) -> None:
    spelled = [name.title() if name else name for name in header]
    (change,) = plan_score_changes(table(header=spelled), run(val=VAL), lambda _: Changes(1, 2, 3, 4, 5), COUNTS)
    assert isinstance(change, AddRow)
    assert dict(zip(header, change.values, strict=True)) == {
        "when": "2026-01-01",
        "run": "r1",
        "revision": "rev-r1",
        "recipe": "quick",
        "added": 1,
        "removed": 2,
        "relabelled": 3,
        "moved": 4,
        "replaced": 5,
        "train": 8,
        "val": 2,
        "test": 0,
        "val_accuracy": 0.9533,
        "val_low": 0.9,
        "val_high": 0.97,
        "val_macro_f1": 0.5,
        "test_accuracy": "",
        "seeds": 1,
        "val_mean": 0.9533,
        "val_spread": "",
        "note": "",
        "who": "",
        "": "",
    }


def test_a_run_that_has_its_row_is_not_written_again_whatever_people_made_of_it() -> None:
    cells = ["changed" if name != "run" else "r1" for name in SCORE_COLUMNS]
    scores = table((), ("x",), cells, header=SCORE_COLUMNS)
    assert plan_score_changes(scores, run(val=VAL), lambda _: Changes(), COUNTS) == ()
    assert plan_score_changes(scores, run("r2", val=VAL), lambda _: Changes(), COUNTS) != ()


def test_missing_score_columns_come_first_and_alone() -> None:
    (change,) = plan_score_changes(Table(), run(), lambda _: Changes(), COUNTS)
    assert change == AddColumns("scores", SCORE_COLUMNS)
    some = table(header=[name for name in SCORE_COLUMNS if name not in ("note", "val")])
    assert plan_score_changes(some, run(), lambda _: Changes(), COUNTS) == (AddColumns("scores", ("val", "note")),)


@pytest.mark.parametrize(
    "theirs", [table(header=("Name", "note")), table(("12",), header=()), table(("", "x"), header=("", ""))]
)
def test_a_table_of_peoples_gets_no_scores(theirs: Table) -> None:
    for act in (check_scores, lambda scores: plan_score_changes(scores, run(), lambda _: Changes(), COUNTS)):
        with pytest.raises(SheetError, match="something else stands where the scores belong"):
            act(theirs)


@pytest.mark.parametrize("ours", [Table(), table((" ",), header=(" ",)), table(("", "r1"), header=("mine", " Run "))])
def test_an_empty_table_and_one_with_a_column_of_scores_may_hold_scores(ours: Table) -> None:
    check_scores(ours)


@pytest.mark.parametrize("val", [None, {"accuracy": None, "interval": None, "macro_f1": None}])
def test_a_run_without_validation_images_has_no_score(val: object) -> None:
    (change,) = plan_score_changes(table(header=SCORE_COLUMNS), run(val=val), lambda _: Changes(), COUNTS)
    assert isinstance(change, AddRow)
    cells = dict(zip(SCORE_COLUMNS, change.values, strict=True))
    assert [cells[name] for name in SCORE_COLUMNS if name.startswith(("val_", "test_"))] == [""] * 7
