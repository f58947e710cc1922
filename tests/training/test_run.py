"""The commands as a user runs them: a folder goes in, a run directory comes out."""

import csv
import hashlib
import json

import numpy as np
import pytest

from tests.helpers.training_tree import (
    FILES,
    TINY,
    folder_of,
    lines,
    made_in,
    metrics_of,
    rows_of,
    train,
    write_example,
)
from training import predict
from training.fitting.trainer import has_bf16
from training.runs.directory import COLUMNS

SAME = ("model.safetensors", "probs.npy", "predictions.csv", "recipe.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_example(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def first(place):
    """Train with two workers; returns the finished process."""
    return train(place / "data", place / "tiny.json", place / "runs", "--json", "--workers", 2)


def test_a_run_directory_is_whole_and_alone(place, first):
    folder = folder_of(first)
    assert {path.name for path in folder.iterdir()} == FILES
    assert made_in(place / "runs") == {folder.name}
    assert json.loads((folder / "recipe.json").read_text())["digest"] == TINY.digest
    data, recipe = folder.name.split("-")
    assert TINY.digest.startswith(recipe)
    assert metrics_of(folder)["data"].startswith(data)


def test_progress_is_told_as_json_lines(first):
    progress = lines(first)[:-1]
    assert {tuple(line) for line in progress} == {("stage", "done", "total", "message")}
    last = {line["stage"]: (line["done"], line["total"]) for line in progress}
    assert last == {"decode": (40, 40), "train": (3, 3), "folds": (9, 9)}
    assert first.stderr == ""


def test_every_image_has_an_out_of_sample_prediction(first):
    folder = folder_of(first)
    rows, probs = rows_of(folder), np.load(folder / "probs.npy")
    classes = metrics_of(folder)["classes"]
    assert classes == ["blue", "green", "red"]
    assert list(rows[0]) == list(COLUMNS)
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert "train/red/a, b.png" in {row["file"] for row in rows}
    assert probs.shape == (len(rows), 3)
    assert probs.dtype == np.float16
    for row, p in zip(rows, probs.astype(float), strict=True):
        assert row["prediction"] == classes[int(p.argmax())]
        assert float(row["confidence"]) == pytest.approx(p.max(), abs=1e-3)
        assert (row["fold"] != "") == (row["split"] == "train")
        own = p[classes.index(row["label"])] if row["label"] else None
        assert (float(row["self_confidence"]) if own is not None else row["self_confidence"]) == (
            pytest.approx(own, abs=1e-3) if own is not None else ""
        )
    assert {row["fold"] for row in rows} == {"", "0", "1", "2"}


def test_scores_are_those_of_the_predictions(first):
    folder = folder_of(first)
    found, rows = metrics_of(folder), rows_of(folder)
    for name, split in {"val": "val", "test": "test", "out_of_fold": "train"}.items():
        right = [row["label"] == row["prediction"] for row in rows if row["split"] == split]
        assert found[name]["n"] == len(right)
        assert found[name]["accuracy"] == pytest.approx(np.mean(right))
    history = [epoch["val_accuracy"] for epoch in found["epochs"]]
    assert found["best_epoch"] == 1 + history.index(max(history))
    assert found["val"]["accuracy"] == max(history)
    assert found["images"] == {"train": 24, "val": 9, "test": 6, "unlabelled": 1}
    assert found["counts"]["val"] == {"blue": 3, "green": 3, "red": 3}
    assert found["untrained_classes"] == []
    assert (found["device"], found["threads"], found["precision"]) == ("cpu", 1, "bf16" if has_bf16() else "fp32")


def test_another_process_and_another_number_of_workers_give_the_same_bits(place, first):
    second = train(place / "data", place / "tiny.json", place / "again", "--json", "--workers", 1)
    digests = [
        [hashlib.sha256((folder_of(result) / name).read_bytes()).hexdigest() for name in SAME]
        for result in (first, second)
    ]
    assert digests[0] == digests[1]
    clock = {"created": "", "seconds": 0}
    assert metrics_of(folder_of(first)) | clock == metrics_of(folder_of(second)) | clock


def test_a_run_that_is_there_is_not_made_again(place, first):
    folder = folder_of(first)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = train(place / "data", place / "tiny.json", place / "runs")
    assert again.returncode == 0
    assert again.stdout == f"{folder}\n"
    assert "is there already" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("split", ["val", "unlabelled"])
def test_a_run_predicts_images_later_as_it_did_then(place, first, split, capsys):
    folder, out = folder_of(first), place / f"{split}.csv"
    assert predict.main([str(folder), str(place / "data"), "--split", split, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"predictions": str(out)}
    with out.open(newline="") as file:
        found = list(csv.DictReader(file))
    wanted = [row for row in rows_of(folder) if row["split"] == split]
    keys = ["file", "prediction", "confidence", "self_confidence"]
    assert list(found[0]) == keys
    # The network works on other groups of images here, which may change the last bits.
    for row, then in zip(found, wanted, strict=True):
        assert [row[key] for key in keys[:2]] == [then[key] for key in keys[:2]]
        assert float(row["confidence"]) == pytest.approx(float(then["confidence"]), abs=5e-3)
        assert (row["self_confidence"] == "") == (then["self_confidence"] == "")


def test_no_new_images_are_a_table_without_rows(place, first, tmp_path):
    (tmp_path / "data").mkdir()
    arguments = [folder_of(first), tmp_path / "data", "--out", tmp_path / "none.csv"]
    assert predict.main([str(part) for part in arguments]) == 0
    assert (tmp_path / "none.csv").read_text() == "file,prediction,confidence,self_confidence\n"


def test_what_is_no_run_is_told(tmp_path, capsys):
    assert predict.main([str(tmp_path), str(tmp_path), "--out", str(tmp_path / "x.csv")]) == 1
    assert "not a run directory" in capsys.readouterr().err
