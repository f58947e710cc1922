"""Verdicts on images, and the order in which people should review them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sheetsync.dataset.records import Entry, Manifest
from sheetsync.images.records import Failure
from sheetsync.review.verdicts import Verdict, make_verdicts, rank
from sheetsync.rows.records import Row, Snapshot
from sheetsync.rows.schema import MACHINE_COLUMNS, SKIP, UNLABELLED
from sheetsync.trainer.records import Prediction

KEYS = [f"{n:020x}" for n in range(8)]
chances = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)
predictions = st.lists(
    st.builds(Prediction, st.sampled_from(KEYS), st.sampled_from(["i", "iv"]), chances, st.none() | chances),
    unique_by=lambda prediction: prediction.key,
)


def entry(key: str, label: str = "i", split: str = "train", digest: str = "0" * 32) -> Entry:
    return Entry(key, digest, split if label else UNLABELLED, label, ".png")


def scene(*entries: Entry, says: tuple[Prediction, ...] = ()) -> list[dict[str, object]]:
    """Return the values of the verdicts on images that rows ask for, in the order given."""
    rows = tuple(Row(2, each.key, "", each.label) for each in entries)
    verdicts = make_verdicts(Snapshot(rows), Manifest(entries), (), says)
    return [dict(verdicts[each.key].values) for each in entries]


@given(predictions.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_ranks_are_a_permutation_that_does_not_depend_on_the_order_of_rows(
    case: tuple[list[Prediction], list[Prediction]],
) -> None:
    some, permuted = case
    labelled = [each for each in some if each.quality is not None]
    entries = [entry(each.key, "" if each.quality is None else "i") for each in some]
    ranks = [each["review_rank"] for each in scene(*entries, says=tuple(some)) if "review_rank" in each]
    assert sorted(map(int, map(str, ranks))) == list(range(1, len(labelled) + 1))
    assert rank(some) == rank(permuted)


@given(predictions)
def test_the_most_doubtful_label_comes_first(some: list[Prediction]) -> None:
    quality = {each.key: each.quality for each in some}
    found = [quality[key] for key in rank(some)]
    assert found == sorted(value for value in quality.values() if value is not None)


def test_equal_doubts_keep_their_order_from_run_to_run() -> None:
    some = [Prediction(key, "i", 1.0, 0.5) for key in KEYS]
    assert rank(some[::-1]) == KEYS


@given(predictions, st.permutations(KEYS))
def test_only_machine_columns_get_a_value(some: list[Prediction], keys: list[str]) -> None:
    for values in scene(*map(entry, keys), says=tuple(some)):
        assert set(values) <= set(MACHINE_COLUMNS)
        assert str(values["status"]).startswith("ok")


def test_a_label_that_the_model_doubts_is_named_with_its_probability() -> None:
    values = scene(entry(KEYS[0], "vi", "val"), says=(Prediction(KEYS[0], "iv", 0.931_26, 0.0123456),))
    assert values == [
        {
            "status": "ok",
            "used_split": "val",
            "prediction": "iv",
            "confidence": 0.9313,
            "label_quality": 0.0123,
            "review": "looks like iv (0.93)",
            "review_rank": 1,
        }
    ]


def test_a_label_that_the_model_shares_needs_no_word() -> None:
    assert "review" not in scene(entry(KEYS[0], "iv"), says=(Prediction(KEYS[0], "iv", 0.9, 0.9),))[0]


def test_an_image_without_a_label_is_predicted_and_not_ranked() -> None:
    values = scene(entry(KEYS[0], ""), says=(Prediction(KEYS[0], "iv", 0.9),))
    assert values == [{"status": "ok", "used_split": "unlabelled", "prediction": "iv", "confidence": 0.9}]


def test_without_a_model_the_rows_still_say_what_is_known() -> None:
    assert scene(entry(KEYS[0])) == [{"status": "ok", "used_split": "train"}]


def test_an_image_that_could_not_be_had_says_why_and_nothing_else() -> None:
    snapshot = Snapshot((Row(2, KEYS[0], "", "i"), Row(3, KEYS[1], "", "i")))
    failures = (Failure(KEYS[0], 2, "", "no answer in time"),)
    verdicts = make_verdicts(snapshot, Manifest((entry(KEYS[1]),)), failures, [Prediction(KEYS[1], "i", 1.0, 1.0)])
    assert verdicts[KEYS[0]].values == {"status": "no answer in time"}
    assert verdicts[KEYS[1]].values["status"] == "ok"


def test_a_row_left_out_says_so_and_nothing_else() -> None:
    verdicts = make_verdicts(Snapshot((Row(2, KEYS[0], "", "i", SKIP),)), Manifest(), (), [])
    assert verdicts == {KEYS[0]: Verdict("i", {"status": "ok", "used_split": "skip"})}


def test_equal_images_are_told_apart_by_what_disagrees() -> None:
    def reviews(*entries: Entry) -> list[object]:
        return [values.get("review") for values in scene(*entries)]

    a, b, c = KEYS[:3]
    assert reviews(entry(a), entry(b)) == ["same image at another address"] * 2
    assert reviews(entry(a), entry(b, "")) == ["same image at another address"] * 2
    assert reviews(entry(a, "vi"), entry(b, "iv")) == ["same image labelled iv and vi"] * 2
    assert reviews(entry(a, split="val"), entry(b), entry(c)) == ["same image in train and val"] * 3
    both = "same image labelled i and ii; same image in train and test"
    assert reviews(entry(a, "ii", "test"), entry(b)) == [both, both]
    assert reviews(entry(a), entry(b, digest="1" * 32)) == [None, None]


def test_reasons_to_look_stand_side_by_side() -> None:
    values = scene(entry(KEYS[0]), entry(KEYS[1]), says=(Prediction(KEYS[0], "iv", 1.0, 0.0),))
    assert values[0]["review"] == "looks like iv (1.00); same image at another address"
