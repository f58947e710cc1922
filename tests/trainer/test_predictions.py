"""Reading the predictions of a run from its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sheetsync.dataset.records import Entry, Manifest
from sheetsync.errors import TrainingError
from sheetsync.trainer.predictions import for_manifest, read_labels, read_predictions
from sheetsync.trainer.records import Prediction

HEADER = "file,split,label,prediction,confidence,self_confidence,fold\n"
SEEN = Entry("a" * 20, "b" * 32, "train", "i", ".png")
BARE = Entry("c" * 20, "d" * 32, "unlabelled", "", ".png")
MUTE = Entry("e" * 20, "f" * 32, "val", "i", ".png")
LINES = f"{SEEN.path},train,i,ii,0.75,0.25,1\n{BARE.path},unlabelled,,i,0.500000,,\n{MUTE.path},val,i,,,,\n"


def written(folder: Path, text: str) -> Path:
    (folder / "predictions.csv").write_text(text, encoding="utf-8")
    return folder / "predictions.csv"


def test_what_was_said_of_an_image_is_found_by_its_address_and_content(tmp_path: Path) -> None:
    found = read_predictions(written(tmp_path, HEADER + LINES))
    seen, bare = Prediction(SEEN.key, "ii", 0.75, 0.25), Prediction(BARE.key, "i", 0.5, None)
    assert found == {(SEEN.key, SEEN.digest): seen, (BARE.key, BARE.digest): bare}
    other = Entry(SEEN.key, "0" * 32, "train", "i", ".png")
    assert for_manifest(Manifest((BARE, other, MUTE)), found) == [bare]
    assert read_labels(tmp_path / "predictions.csv") == [
        ("train", SEEN.digest, "ii"),
        ("unlabelled", BARE.digest, "i"),
        ("val", MUTE.digest, ""),
    ]


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_predictions(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(
    "text",
    [
        HEADER + LINES.replace("0.75", "nan"),
        HEADER + LINES.replace("0.25", "inf"),
        HEADER + LINES.replace("0.75", "1.5"),
        HEADER + LINES.replace("0.75", "-0.5"),
        HEADER + LINES.replace("0.75", "much"),
        HEADER + f"{SEEN.path},train,i,ii\n",
        "file,label\n" + SEEN.path + ",i\n",
    ],
)
def test_a_file_that_says_nonsense_is_an_error_that_says_where(tmp_path: Path, text: str) -> None:
    with pytest.raises(TrainingError, match=r"predictions\.csv cannot be read \(.*\): delete the folder or file"):
        read_predictions(written(tmp_path, text))
